"""Two users edit one flow: neither overwrites the other unnoticed. A viewer cannot edit."""

import re

import chromium
import pytest
from editing import Editor
from playwright.sync_api import expect
from test_editor import placed
from world import chain, node

FLOW = placed(chain(node("start", "manual"), "one", "two"))


@pytest.fixture
def other(another, server):
    """Open the editor as a second user with the role editor."""
    return Editor(another("editor"), server)


def rename(editor, id_, name):
    editor.click(id_)
    editor.panel.get_by_role("textbox", name="Node name").fill(name)


def names(editor):
    return [item.get("name") for item in editor.definition["nodes"]]


@pytest.fixture
def conflict(editor, other, watch):
    """Name the same node as two users; the other one's draft is saved, and `editor` shows the notice."""
    flow = editor.add(FLOW, status="active")
    apart(editor, other, watch, flow, "one", "one")
    expect(notice(editor)).to_be_visible()
    return editor


def apart(editor, other, watch, flow, mine, theirs):
    """Name a node as each of two users while the first is offline. The other one's draft is saved first."""
    editor.open(flow)
    other.open(flow)
    watch.allow("failed")
    editor.page.context.set_offline(True)
    rename(editor, mine, "Mine")
    rename(other, theirs, "Theirs")
    rename(other, "start", "Begin")
    other.saved()
    watch.allow(409, flow)
    editor.page.context.set_offline(False)


def notice(editor):
    return editor.page.get_by_role("status").filter(has_text="while you were editing")


def test_a_conflict_shows_both_values_and_mine_can_be_kept(conflict, axe):
    expect(notice(conflict)).to_contain_text("Editor changed the draft")
    expect(notice(conflict).get_by_role("listitem")).to_have_text(["Mine › name: yours “Mine”, theirs “Theirs”"])
    axe(conflict.page)
    conflict.page.get_by_role("button", name="Keep mine").click()
    expect(notice(conflict)).to_be_hidden()
    conflict.saved()
    assert names(conflict) == ["Begin", "Mine", None]


def test_the_other_users_value_can_be_used_and_undo_restores_mine(conflict):
    conflict.page.get_by_role("button", name="Use theirs").click()
    expect(notice(conflict)).to_be_hidden()
    expect(conflict.node("one")).to_contain_text("Theirs")
    assert names(conflict) == ["Begin", "Theirs", None]
    conflict.press("Escape")
    conflict.page.get_by_role("button", name="Undo").click()
    expect(conflict.node("one")).to_contain_text("Mine")


def test_my_changes_can_be_saved_as_a_new_flow(conflict):
    before = conflict.page.url
    conflict.page.get_by_role("button", name="Save mine as new flow").click()
    expect(conflict.page).not_to_have_url(before)
    conflict.flow = conflict.page.url.rsplit("/", 1)[-1]
    expect(conflict.node("one")).to_contain_text("Mine")
    assert names(conflict) == [None, "Mine", None]


def test_changes_of_different_nodes_are_both_kept(editor, other, watch):
    apart(editor, other, watch, editor.add(FLOW), "one", "two")
    expect(editor.node("two")).to_contain_text("Theirs")
    editor.saved()
    assert names(other) == ["Begin", "Mine", "Theirs"]
    expect(other.node("one")).to_contain_text("Mine")


def test_another_users_changes_appear_if_there_are_no_own_changes(editor, other):
    flow = editor.add(FLOW)
    editor.open(flow)
    other.open(flow)
    rename(other, "two", "Theirs")
    expect(editor.node("two")).to_contain_text("Theirs")
    expect(editor.page.get_by_text(re.compile("Editor changed the draft"))).to_be_visible()


def test_two_people_see_each_other_share_the_draft_and_one_publishes_it(editor, other, axe):
    flow = editor.add(FLOW, status="active")
    editor.open(flow)
    other.open(flow)
    expect(editor.page.get_by_role("img", name="Editor has this flow open")).to_be_visible()
    rename(other, "two", "Theirs")
    expect(editor.node("two")).to_contain_text("Theirs")
    axe(editor.page)
    page = editor.page
    page.get_by_role("button", name="More about the draft").click()
    page.get_by_role("menuitem", name="Compare with version 1").click()
    compared = page.get_by_role("dialog", name="Draft compared with version 1")
    expect(compared.get_by_role("status")).to_contain_text("1 node changed")
    axe(page, within="[role=dialog]")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="More about the draft").click()
    page.get_by_role("menuitem", name="Publish with a name").click()
    asked = page.get_by_role("dialog", name="Publish")
    asked.get_by_label("Name of the version").fill("Easter")
    axe(page, within="[role=dialog]")
    asked.get_by_role("button", name="Publish").click()
    expect(page.get_by_text("Published as version 2")).to_be_visible()
    expect(other.page.get_by_role("button", name="Publish", exact=True)).to_have_count(0)
    assert editor.published["nodes"][2]["name"] == "Theirs" and editor.draft["definition_json"] is None
    assert editor.server.call("GET", f"/api/workflows/{flow}/versions/2")["name"] == "Easter"


def test_a_publish_is_scheduled_and_cancelled_by_discarding(editor, axe):
    editor.open(editor.add(FLOW, status="active"))
    rename(editor, "one", "At night")
    editor.saved()
    page = editor.page
    page.get_by_role("button", name="More about the draft").click()
    page.get_by_role("menuitem", name="Publish at a time").click()
    asked = page.get_by_role("dialog", name="Publish at a time")
    expect(asked.get_by_label("Time (UTC)")).to_be_visible()
    axe(page, within="[role=dialog]")
    asked.get_by_role("button", name="Schedule").click()
    expect(page.get_by_role("status").filter(has_text="will be published")).to_be_visible()
    page.get_by_role("button", name="More about the draft").click()
    page.get_by_role("menuitem", name="Discard changes").click()
    sure = page.get_by_role("dialog", name="Discard the draft?")
    expect(sure).to_contain_text("Its scheduled publish is cancelled")
    sure.get_by_role("button", name="Discard").click()
    expect(editor.node("one")).not_to_contain_text("At night")
    expect(page.get_by_role("status").filter(has_text="will be published")).to_have_count(0)
    assert editor.draft["definition_json"] is None


def test_a_viewer_can_see_but_not_change_a_flow(another, server, axe):
    looking = Editor(another("viewer"), server)
    flow = looking.add(placed(chain(node("start", "manual"), node("say", "set", {"values": {"a": 1}}))))
    looking.open(flow)
    page = looking.page
    expect(page.get_by_role("button", name="Add node")).to_have_count(0)
    expect(page.get_by_role("switch", name="Active")).to_have_count(0)
    looking.click("say")
    expect(page.get_by_role("textbox", name="Node name")).not_to_be_editable()
    expect(page.get_by_role("button", name="Delete node")).to_have_count(0)
    looking.press("Delete")
    looking.press("/")
    expect(looking.nodes).to_have_count(2)
    expect(looking.palette).to_have_count(0)
    expect(page.get_by_role("button", name="Run", exact=True)).to_have_attribute("aria-disabled", "true")
    axe(page)
    assert looking.stored["version"] == 1


@pytest.mark.parametrize(
    ("path", "missing"),
    [("/flows", "New flow"), ("/members", "Invite a member"), ("/agents", "New agent")],
)
def test_a_viewer_does_not_see_actions_without_permission(another, server, path, missing):
    page = another("viewer")
    page.goto(path)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.get_by_role("button", name=missing)).to_have_count(0)
    expect(page.get_by_role("link", name="Audit log")).to_have_count(0)


def test_a_tab_does_not_save_as_another_user_who_logged_in_in_another_tab(editor, watch, log_in):
    watch.allow(403, "/api/")
    beside = {"email": "beside@example.com", "password": chromium.PASSWORD}
    editor.server.add_member(beside["email"], "editor", "Beside")
    page = editor.open(editor.add(FLOW, status="active")).page
    watch.allow("failed", "PUT", editor.flow)
    allow_saves = editor.refuse_saves()
    rename(editor, "one", "Typed by the owner")
    expect(page.get_by_text("Not saved; retrying")).to_be_visible()
    assert page.context.request.post("/api/auth/login", data=beside).ok
    allow_saves()
    expect(page.get_by_role("button", name="Account: Beside")).to_be_visible()
    editor.is_open()
    expect(editor.node("one")).not_to_contain_text("Typed by the owner")
    assert (editor.draft["revision"], names(editor)) == (0, [None, None, None])
    log_in(page)
    editor.open(editor.flow)
    expect(editor.node("one")).to_contain_text("Typed by the owner")
