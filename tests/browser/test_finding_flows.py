"""Folders, tags, favourites and actions on several flows, at a desk and on a phone; and saved filters of runs."""

import json
import re

from playwright.sync_api import expect
from world import flow, node

PHONE = {"width": 390, "height": 844}
WIDER = "() => document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth"
START = flow(node("start", "manual"))


def add(server, *names):
    """Create flows; return their ids."""
    return [server.call("POST", "/api/flows", {"name": name, "definition": START})["id"] for name in names]


def rows(page):
    return page.get_by_role("main").get_by_role("listitem")


def select(page, *names):
    """Select these flows. Return the bar of actions on them."""
    for name in names:
        page.get_by_role("checkbox", name=f"Select {name}").check()
    bar = page.get_by_role("toolbar", name="Selected flows")
    expect(bar).to_contain_text(f"{len(names)} selected")
    return bar


def tag(page, name, text):
    """Add a tag to a flow by its menu."""
    page.get_by_role("button", name=f"Actions for {name}").click()
    page.get_by_role("menuitem", name="Tags…").click()
    dialog = page.get_by_role("dialog", name=f"Tags of “{name}”")
    dialog.get_by_role("combobox", name="Tags").fill(text)
    dialog.get_by_role("button", name="Save").click()


def test_flows_are_sorted_into_folders_and_found_by_tags_and_stars(page, server, log_in, axe):
    ids = add(server, "Orders", "Refunds", "Backup")
    log_in(page)
    page.goto("/flows")
    bar = select(page, "Orders", "Refunds")
    bar.get_by_role("button", name="Move…").click()
    dialog = page.get_by_role("dialog", name="Move 2 flows")
    dialog.get_by_role("combobox", name="Folder").fill("Shop/Daily")
    dialog.get_by_role("button", name="Move").click()
    expect(rows(page)).to_have_count(2)  # a folder, and the flow that is in no folder
    expect(bar).to_have_count(0)
    page.get_by_role("link", name="Shop").click()
    page.get_by_role("link", name="Daily").press("Enter")
    expect(page).to_have_url(re.compile(r"folder=Shop%2FDaily$"))
    expect(rows(page)).to_have_count(2)
    axe(page)
    # A click on a tag shows the flows that have it, here and in subfolders.
    tag(page, "Orders", "urgent")
    page.get_by_role("button", name="urgent", exact=True).click()
    expect(page).to_have_url(re.compile("tag=urgent"))
    expect(rows(page)).to_have_count(1)
    page.get_by_role("button", name="Clear filters").click()
    # A new flow is in the open folder.
    page.get_by_role("button", name="New flow").click()
    expect(page).to_have_url(re.compile("/flows/wf_"))
    page.goto("/flows?folder=Shop/Daily")
    expect(rows(page)).to_have_count(3)
    # The folder is dissolved, and its flows move up.
    page.get_by_role("button", name="Actions for folder Daily").click()
    page.get_by_role("menuitem", name="Dissolve folder…").click()
    page.get_by_role("dialog").get_by_role("button", name="Dissolve").click()
    expect(page).to_have_url(re.compile("folder=Shop$"))
    expect(rows(page)).to_have_count(3)
    # Favourites of all folders.
    star = page.get_by_role("button", name="Favourite: Refunds")
    star.press("Enter")
    expect(star).to_have_attribute("aria-pressed", "true")
    page.get_by_role("link", name="All flows").click()
    page.get_by_role("button", name="Favourites").click()
    expect(rows(page)).to_have_count(1)
    expect(rows(page).get_by_role("link", name="Shop")).to_be_visible()
    # Several flows at once.
    page.goto("/flows?search=r")
    select(page, "Orders", "Refunds").get_by_role("button", name="Activate", exact=True).click()
    page.get_by_role("dialog", name="Activate 2 flows?").get_by_role("button", name="Activate").click()
    expect(page.get_by_text("2 flows activated")).to_be_visible()
    stored = [server.call("GET", f"/api/workflows/{id_}") for id_ in ids]
    assert [(one["status"], one["folder"], one["tags"]) for one in stored] == [
        ("active", "Shop", ["urgent"]),
        ("active", "Shop", []),
        ("draft", None, []),
    ]


def test_a_viewer_on_a_phone_opens_folders_and_saves_filters_of_runs(another, server, axe):
    first, second = add(server, "Rates", "A flow with a rather long name that a phone cannot show in one line")
    labels = {"folder": "A folder with a long name/Another one", "add_tags": ["customer facing", "daily"]}
    server.call("POST", "/api/flows/labels", {"ids": [first, second], **labels})
    server.call("POST", f"/api/workflows/{first}/run")
    page = another("viewer", viewport=PHONE)
    page.goto("/flows")
    page.get_by_role("link", name="A folder with a long name").click()
    page.get_by_role("link", name="Another one").click()
    expect(rows(page)).to_have_count(2)
    assert page.evaluate(WIDER) == 0
    expect(page.get_by_role("checkbox")).to_have_count(0)
    expect(page.get_by_role("button", name="Actions for folder")).to_have_count(0)
    page.get_by_role("button", name="Favourite: Rates").click()
    axe(page)
    # Filters of runs, saved on the server under a name.
    page.goto("/runs?outcome=success&range=24h")
    saved = page.get_by_role("button", name="Saved filters")
    saved.click()
    page.get_by_role("menuitem", name="Save these filters…").click()
    dialog = page.get_by_role("dialog", name="Save filters")
    dialog.get_by_role("textbox", name="Name").fill("Good")
    dialog.get_by_role("button", name="Save").click()
    expect(saved).to_have_text("Good")
    assert page.evaluate(WIDER) == 0
    page.goto("/runs")
    saved.click()
    page.get_by_role("menuitem", name="Good").press("Enter")
    expect(page).to_have_url(re.compile("outcome=success&range=24h"))
    saved.click()
    page.get_by_role("menuitem", name="Rename “Good”").click()
    dialog = page.get_by_role("dialog", name="Rename saved filter")
    dialog.get_by_role("textbox", name="Name").fill("Better")
    dialog.get_by_role("button", name="Rename").click()
    expect(saved).to_have_text("Better")
    axe(page)
    saved.click()
    page.get_by_role("menuitem", name="Delete “Better”").click()
    expect(saved).to_have_text("Saved filters")


def test_the_filters_fit_in_one_row_of_a_wide_window(new_context, log_in, server):
    server.call("POST", "/api/flows/labels", {"ids": add(server, "Wide"), "add_tags": ["wide"]})
    page = new_context(viewport={"width": 1440, "height": 900}).new_page()
    log_in(page)
    page.goto("/flows")
    filters = page.get_by_role("search", name="Filters")
    expect(filters.get_by_role("combobox", name="Tag")).to_be_visible()
    saved = filters.get_by_role("button", name="Saved filters")
    assert saved.bounding_box()["y"] == filters.bounding_box()["y"]


def test_an_import_of_a_flow_that_is_there_says_so_and_asks(page, server, log_in, watch):
    watch.allow(409, "/api/flows")
    definition = flow(node("only_here", "manual"))
    server.call("POST", "/api/flows", {"name": "Only here", "definition": definition})
    log_in(page)
    page.goto("/flows")
    page.get_by_role("button", name="Import", exact=True).click()
    dialog = page.get_by_role("dialog", name="Import flow")
    dialog.get_by_role("textbox", name="Flow as JSON").fill(json.dumps({"name": "Again", "definition": definition}))
    dialog.get_by_role("button", name="Import", exact=True).click()
    expect(dialog.get_by_text("The workspace already has the same definition, in 'Only here'")).to_be_visible()
    assert server.call("GET", "/api/flows?search=Again")["items"] == []
    dialog.get_by_role("button", name="Import anyway").click()
    page.wait_for_url("**/flows/wf_*")
    assert len(server.call("GET", "/api/flows?search=Again")["items"]) == 1
