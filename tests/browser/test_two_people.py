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
def conflict(editor, other):
    """Change an active flow as two users; the other one has published, and `editor` shows the notice."""
    flow = editor.add(FLOW, status="active")
    editor.open(flow)
    other.open(flow)
    rename(editor, "one", "Mine")
    rename(other, "two", "Theirs")
    other.page.get_by_role("button", name="Publish").click()
    other.saved()
    expect(notice(editor)).to_be_visible()
    return editor


def notice(editor):
    return editor.page.get_by_role("status").filter(has_text="while you were editing")


def test_a_conflict_names_the_other_user_and_my_changes_can_be_kept(conflict, axe):
    expect(notice(conflict)).to_contain_text("Editor")
    axe(conflict.page)
    conflict.page.get_by_role("button", name="Keep mine").click()
    expect(notice(conflict)).to_be_hidden()
    conflict.saved()
    assert names(conflict) == [None, "Mine", None]


def test_the_other_users_version_can_be_used_and_undo_restores_mine(conflict):
    conflict.page.get_by_role("button", name="Use theirs").click()
    expect(notice(conflict)).to_be_hidden()
    expect(conflict.node("two")).to_contain_text("Theirs")
    expect(conflict.node("one")).not_to_contain_text("Mine")
    assert names(conflict) == [None, None, "Theirs"]
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


def test_offline_changes_do_not_overwrite_another_users_changes(editor, other, watch):
    flow = editor.add(FLOW)
    editor.open(flow)
    other.open(flow)
    watch.allow("failed")
    editor.page.context.set_offline(True)
    rename(editor, "one", "Mine")
    rename(other, "two", "Theirs")
    other.saved()
    watch.allow(409, flow)
    editor.page.context.set_offline(False)
    expect(notice(editor)).to_be_visible()
    assert names(other) == [None, None, "Theirs"]
    editor.page.get_by_role("button", name="Use theirs").click()
    expect(editor.node("two")).to_contain_text("Theirs")


def test_another_users_changes_appear_if_there_are_no_own_changes(editor, other):
    flow = editor.add(FLOW)
    editor.open(flow)
    other.open(flow)
    rename(other, "two", "Theirs")
    expect(editor.node("two")).to_contain_text("Theirs")
    expect(editor.page.get_by_text(re.compile("saved version"))).to_be_visible()


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


LOG_IN_AND_CLICK = """async (button, body) => {
  const headers = { "Content-Type": "application/json" };
  await fetch("/api/auth/login", { method: "POST", headers, body: JSON.stringify(body) });
  button.click();
}"""


def test_a_tab_does_not_save_as_another_user_who_logged_in_in_another_tab(editor, watch, log_in):
    watch.allow(403, "/api/")
    beside = {"email": "beside@example.com", "password": chromium.PASSWORD}
    editor.server.add_member(beside["email"], "editor", "Beside")
    page = editor.open(editor.add(FLOW, status="active")).page
    rename(editor, "one", "Typed by the owner")
    before = editor.stored["version"]
    page.get_by_role("button", name="Publish").evaluate(LOG_IN_AND_CLICK, beside)
    expect(page.get_by_role("button", name="Account: Beside")).to_be_visible()
    editor.is_open()
    expect(editor.node("one")).not_to_contain_text("Typed by the owner")
    assert (editor.stored["version"], names(editor)) == (before, [None, None, None])
    log_in(page)
    editor.open(editor.flow)
    expect(editor.node("one")).to_contain_text("Typed by the owner")
