"""The page of tables: a grid that is edited by keyboard, filters, order, columns, CSV, and the key-value store."""

import pytest
from playwright.sync_api import expect


@pytest.fixture
def tables(page, log_in, server):
    """Open the page of tables as the owner, without tables."""
    for table in server.call("GET", "/api/tables")["items"]:
        server.call("DELETE", f"/api/tables/{table['id']}", status=(204,))
    log_in(page)
    page.goto("/tables")
    return page


def rows_of(server):
    (table,) = server.call("GET", "/api/tables")["items"]
    return [row["values"] for row in server.call("GET", f"/api/tables/{table['id']}/rows")["items"]]


def cell(page, column, text):
    return page.get_by_role("button", name=f"{column}: {text}", exact=True)


def test_a_table_is_made_filled_and_edited_by_keyboard(tables, server, axe, watch):
    watch.allow(400, "/rows/")
    tables.get_by_role("button", name="New table").click()
    tables.get_by_role("textbox", name="Name").fill("customers")
    tables.get_by_role("button", name="Create").click()
    expect(tables.get_by_role("heading", level=1, name="customers")).to_be_visible()
    tables.get_by_role("button", name="Column", exact=True).click()
    dialog = tables.get_by_role("dialog", name="New column")
    dialog.get_by_role("textbox", name="Name").fill("total")
    dialog.get_by_role("combobox", name="Type").or_(dialog.get_by_role("textbox", name="Type")).click()
    tables.get_by_role("option", name="Number").click()
    dialog.get_by_role("button", name="Add column").click()
    tables.get_by_role("button", name="Add row").click()
    expect(cell(tables, "name", "empty")).to_be_focused()
    tables.keyboard.type("Ada")
    tables.keyboard.press("Enter")
    expect(cell(tables, "name", "Ada")).to_be_focused()
    tables.keyboard.press("ArrowRight")
    tables.keyboard.type("12x")
    tables.keyboard.press("Enter")
    expect(tables.get_by_text('total: "12x" is not a number')).to_be_visible()
    expect(cell(tables, "total", "empty")).to_be_focused()
    tables.keyboard.press("Enter")
    tables.keyboard.type("99")
    tables.keyboard.press("Escape")
    expect(cell(tables, "total", "empty")).to_be_focused()
    tables.keyboard.press("Enter")
    tables.keyboard.type("12.5")
    tables.keyboard.press("Enter")
    expect(cell(tables, "total", "12.5")).to_be_visible()
    axe(tables)
    assert rows_of(server) == [{"name": "Ada", "total": 12.5}]
    tables.get_by_role("checkbox", name="Select all rows").check()
    tables.get_by_role("button", name="Delete 1").click()
    tables.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(tables.get_by_text("No rows yet.")).to_be_visible()
    assert rows_of(server) == []


def test_a_csv_file_is_imported_filtered_sorted_and_exported(tables, server, axe):
    made = server.call("POST", "/api/tables", {"name": "orders", "columns": [{"name": "email"}]})
    tables.goto(f"/tables/{made['id']}")
    tables.get_by_role("button", name="Import CSV").click()
    with tables.expect_file_chooser() as chooser:
        tables.get_by_role("button", name="CSV file").click()
    text = "E-mail,Stock,Ignored\nada@x.org,5,x\nbob@x.org,12,y\ncy@x.org,3,z\n"
    chooser.value.set_files([{"name": "o.csv", "mimeType": "text/csv", "buffer": text.encode()}])
    choose(tables, "Column for E-mail", "email")
    choose(tables, "Column for Ignored", "Ignore")
    axe(tables)
    tables.get_by_role("button", name="Import", exact=True).click()
    expect(tables.get_by_text("3 rows imported")).to_be_visible()
    expect(tables.locator("[data-row]")).to_have_count(3)
    tables.get_by_role("button", name="Sort by Stock").click()
    expect(tables.locator("[data-row]").first).to_contain_text("cy@x.org")
    tables.get_by_role("button", name="Add filter").click()
    choose(tables, "Column", "Stock")
    choose(tables, "Operator", "is at least")
    tables.get_by_role("textbox", name="Value").fill("5")
    expect(tables.locator("[data-row]")).to_have_count(2)
    with tables.expect_download() as got:
        tables.get_by_role("link", name="Export CSV").click()
    assert got.value.suggested_filename == "orders.csv"
    assert "ada@x.org,5," in got.value.path().read_text()


def choose(page, label, option):
    page.get_by_role("combobox", name=label, exact=True).or_(
        page.get_by_role("textbox", name=label, exact=True)
    ).click()
    page.get_by_role("option", name=option, exact=True).click()


def test_keys_of_the_store_are_added_and_deleted(tables, server, axe):
    tables.get_by_role("tab", name="Key-value store").click()
    tables.get_by_role("button", name="Add key").click()
    dialog = tables.get_by_role("dialog", name="Add key")
    dialog.get_by_role("textbox", name="Key").fill("rates/eur")
    dialog.get_by_role("textbox", name="Value").fill('{"rate": 1.08}')
    dialog.get_by_role("button", name="Save").click()
    expect(tables.get_by_role("row").filter(has_text="rates/eur")).to_contain_text('{"rate":1.08}')
    axe(tables)
    tables.get_by_role("button", name="Delete rates/eur").click()
    tables.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(tables.get_by_text("No keys yet")).to_be_visible()
    assert server.call("GET", "/api/store")["items"] == []


def test_a_viewer_sees_tables_without_rows(another, server):
    made = server.call("POST", "/api/tables", {"name": "private", "columns": [{"name": "email"}]})
    viewer = another("viewer")
    viewer.goto(f"/tables/{made['id']}")
    expect(viewer.get_by_text("Rows are visible to operators and above")).to_be_visible()
    expect(viewer.get_by_role("button", name="Import CSV")).to_have_count(0)
