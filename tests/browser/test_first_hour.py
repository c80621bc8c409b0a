"""The first hour: a flow is made from a template, set up in the editor, explained, and run."""

import json

import pytest
from playwright.sync_api import expect
from servers import until
from test_editor import placed
from world import chain, node


@pytest.fixture
def setup(editor):
    """Open a new flow from a template that needs credentials and addresses; return its set-up."""
    editor.flow = editor.server.call("POST", "/api/templates/job-with-callback/use", {})["id"]
    editor.page.goto(f"/flows/{editor.flow}")
    editor.is_open()
    return editor.page.get_by_role("region", name="Set up this flow")


def test_a_flow_from_a_template_is_set_up_in_the_editor(editor, setup, axe):
    page = editor.page
    expect(setup.get_by_text("0 of 5 done")).to_be_visible()
    axe(page)

    # A missing credential is created in place, with the name that the flow uses.
    setup.get_by_role("button", name="Create credential").last.click()
    form = page.get_by_role("dialog", name="New credential")
    expect(form.get_by_label("Name")).to_have_value("chat")
    form.get_by_label("Name").press("Escape")
    editor.server.call(
        "POST",
        "/api/credentials",
        {"name": "service", "type": "http_bearer", "data": {"token": "t"}, "hosts": ["jobs.example.org"]},
    )
    page.reload()
    expect(setup.get_by_text("1 of 5 done")).to_be_visible()

    # An example's address is replaced; it is in the draft.
    variable = setup.get_by_label("Variable “service”")
    variable.fill("https://jobs.mine.net/v1")
    variable.press("Enter")
    expect(setup.get_by_text("2 of 5 done")).to_be_visible()
    description = editor.panel.get_by_label("Description", exact=True)
    description.fill("Starts the nightly job")
    editor.saved()
    assert editor.definition["settings"]["vars"]["service"] == "https://jobs.mine.net/v1"

    # The credential does not fit the address: it is edited in the node's form.
    editor.click("start")
    expect(editor.panel.get_by_text("sent only to jobs.example.org, not to jobs.mine.net")).to_be_visible()
    editor.panel.get_by_role("button", name="Edit this credential").click()
    edit = page.get_by_role("dialog", name="Edit “service”")
    edit.get_by_label("Name").fill("jobs")
    edit.get_by_role("button", name="Save").click()
    expect(edit).to_be_hidden()
    until(
        lambda: page.wait_for_timeout(50) or editor.definition["nodes"][1]["config"]["credential"] == "jobs",
        "the node has the credential's new name",
    )

    # The list of flows shows the description of the version, and a dismissed set-up stays so.
    editor.press("Control+s")
    until(
        lambda: (
            page.wait_for_timeout(50)
            or json.loads(editor.stored["definition_json"])["settings"]["description"] == "Starts the nightly job"
        ),
        "the description is in the version",
    )
    page.goto(f"/flows/{editor.flow}")
    setup.get_by_role("button", name="Dismiss the set-up").click()
    page.reload()
    expect(editor.panel.get_by_label("Description", exact=True)).to_have_value("Starts the nightly job")
    expect(setup).to_be_hidden()
    page.goto("/flows")
    expect(page.get_by_text("Starts the nightly job")).to_be_visible()


def test_a_node_is_explained_in_its_panel(editor, axe):
    editor.open(placed(chain(node("start", "manual"), node("call", "set", {"values": {"a": 1}}))))
    editor.click("call")
    editor.panel.get_by_role("button", name="Settings and examples explained").click()
    expect(editor.panel.get_by_role("heading", name="Examples")).to_be_visible()
    axe(editor.page)
    editor.panel.get_by_role("button", name="Use these settings").first.click()
    until(
        lambda: editor.page.wait_for_timeout(50) or editor.definition["nodes"][1]["config"] != {"values": {"a": 1}},
        "the example's settings are in the node",
    )


def test_the_tour_is_taken_by_keyboard_ended_and_started_again(editor, axe):
    page = editor.page
    flow = editor.add(chain(node("start", "manual"), "one"))
    page.goto(f"/flows/{flow}")
    page.get_by_role("button", name="Take the tour").click()
    tour = page.get_by_role("dialog").filter(has_text="Tour, ")
    expect(tour).to_be_focused()
    expect(tour.get_by_role("heading", name="Flows")).to_be_visible()
    axe(page)
    tour.get_by_role("button", name="Next").focus()
    for title in ("Templates", "The canvas", "The panel"):
        editor.press("Enter")
        expect(tour.get_by_role("heading", name=title)).to_be_visible()
    # The page stays usable, and the tour goes on at the same step on other pages and after a reload.
    editor.click("one")
    page.goto("/runs")
    expect(tour.get_by_role("heading", name="The panel")).to_be_visible()
    tour.get_by_role("button", name="Show me").click()
    editor.is_open()
    expect(tour.get_by_role("button", name="Show me")).to_be_hidden()
    tour.get_by_role("button", name="Back").press("Escape")
    expect(tour).to_be_hidden()
    page.reload()
    editor.is_open()
    expect(page.get_by_role("button", name="Take the tour")).to_be_hidden()
    page.get_by_role("button", name="Account").click()
    page.get_by_role("menuitem", name="Tour of the app").click()
    expect(tour.get_by_role("heading", name="Flows")).to_be_visible()
    tour.get_by_role("button", name="End the tour").click()
    expect(tour).to_be_hidden()
