"""Values of runs in the app: as a table, as a list of fields and as JSON; search, keyboard, large values."""

import re

import pytest
from chromium import log_in
from playwright.sync_api import expect
from world import chain, node

PEOPLE = [
    {"name": "Ada", "age": 36, "home": {"city": "London"}},
    {"name": "Bo", "tags": ["a", "b"]},
]
MANY = 10_000


@pytest.fixture
def show(page, server):
    """Return `show(input)`, which opens the input of a new run and returns its region."""
    log_in(page)

    def show(value):
        flow = server.call(
            "POST", "/api/flows", {"name": "Values", "definition": chain(node("start", "manual"), "end")}
        )
        run = server.run(flow["id"], value, wait=60)
        page.goto(f"/runs/{run['id']}?tab=input")
        return page.get_by_role("region", name="Input of the run")

    return show


def view(region, name):
    region.get_by_text(name, exact=True).click()


def test_a_list_is_a_table_with_nested_values_and_a_count(show, axe, page):
    region = show(PEOPLE)
    expect(region.get_by_role("heading", name="Input of the run 2 items")).to_be_visible()
    table = region.get_by_role("grid")
    expect(table.get_by_role("columnheader")).to_have_text(["#", "name", "age", "home", "tags"])
    expect(table.get_by_role("row").nth(1)).to_have_text(re.compile("Ada.*36.*city: London"))
    expect(table.get_by_role("row").nth(2)).to_have_text(re.compile("Bo.*a, b"))
    axe(page)
    table.get_by_text("city: London").click()
    expect(region.get_by_role("region", name="Selected cell")).to_have_text(re.compile(r'"city": "London"'))
    axe(page)


def test_the_schema_merges_the_items_and_shows_types_and_examples(show, axe, page):
    region = show({"people": PEOPLE})
    view(region, "Schema")
    tree = region.get_by_role("tree")
    expect(tree.get_by_role("treeitem")).to_have_count(6)
    expect(tree.get_by_role("treeitem", name="city")).to_have_text("citytextLondon")
    expect(tree.get_by_role("treeitem", name="age")).to_contain_text("not in all items")
    axe(page)
    # The chosen view is remembered on this device.
    page.reload()
    expect(tree.get_by_role("treeitem", name="city")).to_be_visible()
    tree.focus()
    page.keyboard.press("ArrowLeft")
    expect(tree.get_by_role("treeitem")).to_have_count(1)
    page.keyboard.press("ArrowRight")
    expect(tree.get_by_role("treeitem")).to_have_count(6)


def test_the_table_shows_a_list_within_an_object(show):
    region = show({"status": 200, "body": {"people": PEOPLE, "total": 7}})
    # A value with one list opens on it, with its other fields above.
    expect(region.get_by_role("columnheader").nth(1)).to_have_text("name")
    expect(region.get_by_text("status: 200, body: total: 7")).to_be_visible()
    region.get_by_role("combobox", name="Rows of the table").click()
    region.page.get_by_role("option", name="The whole object").click()
    expect(region.get_by_role("columnheader")).to_have_text(["#", "status", "body"])
    expect(region.get_by_text("status: 200, body: total: 7")).to_have_count(0)


def test_the_search_finds_rows_fields_and_places_in_json(show, page):
    region = show([*PEOPLE, *({"name": f"n{n}"} for n in range(300)), {"name": "Last One"}])
    search = region.get_by_role("searchbox")
    search.fill("last one")
    expect(region.get_by_role("row")).to_have_count(2)
    expect(region.get_by_text("1 of 303 rows")).to_be_visible()
    view(region, "Schema")
    search.fill("city")
    expect(region.get_by_role("treeitem")).to_have_count(2)
    view(region, "JSON")
    search.fill("last one")
    expect(region.locator(".cm-searchMatch")).to_have_text("Last One")
    expect(region.locator(".cm-searchMatch")).to_be_in_viewport()


def test_ten_thousand_rows_are_rendered_in_part_and_reached_by_keys(show, page):
    region = show([{"id": n, "name": f"Customer {n}", "mail": f"c{n}@example.com"} for n in range(MANY)])
    load = region.get_by_role("button", name="Load")
    table = region.get_by_role("grid")
    expect(load.or_(table)).to_be_visible()
    if load.is_visible():
        load.click()
    expect(table).to_have_attribute("aria-rowcount", str(MANY + 1))
    assert table.get_by_role("row").count() < 100
    table.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("End")
    expect(table.get_by_role("gridcell", name="Customer 9999")).to_be_visible()
    expect(region.get_by_role("region", name="Selected cell")).to_contain_text("id, row 10,000: number")
    page.keyboard.press("ArrowRight")
    expect(region.get_by_role("region", name="Selected cell")).to_contain_text("Customer 9999")


def test_values_are_usable_on_a_phone(show, axe, page):
    page.set_viewport_size({"width": 390, "height": 844})
    region = show(PEOPLE)
    expect(region.get_by_role("grid")).to_be_visible()
    for name in ("Schema", "JSON", "Table"):
        view(region, name)
        axe(page)
    assert page.evaluate("document.querySelector('#content').scrollWidth <= innerWidth")
