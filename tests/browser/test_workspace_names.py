"""Settings that name something of the workspace: chosen from a list, or typed."""

import re

from playwright.sync_api import expect
from servers import until
from test_editor import placed
from world import chain, node


def shown(editor, type_, **config):
    """Open a new flow with one node of this type, and its settings."""
    return editor.open(placed(chain(node("start", "manual"), node("it", type_, config)))).click("it")


def becomes(editor, **expected):
    """Wait until these settings are saved."""

    def holds():
        found = next(one for one in editor.definition["nodes"] if one["id"] == "it")["config"]
        return {key: found.get(key) for key in expected} == expected

    # The page's events are processed only during Playwright's own wait.
    until(lambda: editor.page.wait_for_timeout(50) or holds(), f"the node has {expected}")


def choose(editor, label, words, name):
    """Open the list beside a field by keyboard, search, and choose."""
    editor.panel.get_by_role("button", name=f"Choose {label}").press("Enter")
    editor.page.get_by_role("textbox", name=re.compile(f"^Search: {label}", re.IGNORECASE)).fill(words)
    expect(editor.page.get_by_role("option", name=name, exact=True)).to_be_visible()
    editor.press("ArrowDown")
    editor.press("Enter")


def test_a_table_and_its_columns_are_chosen_and_a_new_name_is_typed(editor, server, axe):
    for name in ("customers", "orders"):
        columns = [{"name": "email"}, {"name": "total", "type": "number"}]
        server.call("POST", "/api/tables", {"name": name, "columns": columns})
    shown(editor, "table", operation="upsert", values={"email": "a@example.com"}, column="")
    editor.panel.get_by_role("button", name="Choose column").click()
    expect(editor.page.get_by_text("Choose a table first.")).to_be_visible()
    editor.press("Escape")
    choose(editor, "table", "cust", "customers")
    expect(editor.field("Table")).to_be_focused()
    expect(editor.field("Table")).to_have_text("customers")
    choose(editor, "column", "em", "email")
    becomes(editor, table="customers", column="email")
    fields = editor.panel.get_by_role("group", name="Values")
    expect(fields.get_by_label("email")).to_have_text("a@example.com")
    fields.get_by_label("total").fill("7")
    becomes(editor, values={"email": "a@example.com", "total": 7})
    editor.panel.get_by_role("button", name="Choose table").click()
    expect(editor.page.get_by_role("listbox", name="Table").get_by_role("option")).to_have_text(["customers", "orders"])
    axe(editor.page, but=("region",))  # the list is beside the page, as those of all selects are
    editor.press("Escape")
    axe(editor.page)
    editor.type_in("Table", "invoices of {{ input.year }}")
    becomes(editor, table="invoices of {{ input.year }}")


def test_the_input_of_another_flow_has_the_fields_of_its_schema(editor, axe):
    city, vip = {"title": "City", "type": "string"}, {"type": "boolean", "description": "Treat them well"}
    schema = {"type": "object", "properties": {"vip": vip, "city": city}, "required": ["city"]}
    called = editor.add(placed(chain(node("start", "manual", {"input_schema": schema}))), name="Called")
    shown(editor, "subflow", workflow_id="")
    editor.field("Flow").click()
    editor.page.get_by_role("option", name="Called").click()
    fields = editor.panel.get_by_role("group", name="Input")
    expect(fields.get_by_text("Treat them well")).to_be_visible()
    axe(editor.page)
    fields.get_by_label("vip").click()
    editor.page.get_by_role("option", name="No", exact=True).click()
    editor.type_in("City", "{{ input.place }}")
    becomes(editor, workflow_id=called, input={"city": "{{ input.place }}", "vip": False})


def test_a_file_is_chosen_by_its_path_and_a_target_by_its_folder(editor, server):
    for path in ("reports/2026/may.csv", "reports/june.csv", "notes.txt"):
        made = {"path": path, "file": {"name": "it", "mimeType": "text/plain", "buffer": b"text"}}
        headers = {"Authorization": f"Bearer {server.token}"}
        assert editor.page.request.post("/api/files", multipart=made, headers=headers).status == 201
    shown(editor, "file", operation="copy", path="", to="")
    choose(editor, "path", "reports/ may", "reports/2026/may.csv")
    choose(editor, "target path", "2026", "reports/2026/")
    becomes(editor, path="reports/2026/may.csv", to="reports/2026/")
    shown(editor, "spreadsheet", file="")
    choose(editor, "file", "notes", "notes.txt")
    becomes(editor, file="notes.txt")


def test_several_files_are_chosen_for_a_list(editor, server, axe):
    for path in ("bills/1.pdf", "bills/2.pdf", "logo.png"):
        made = {"path": path, "file": {"name": "it", "mimeType": "text/plain", "buffer": b"text"}}
        headers = {"Authorization": f"Bearer {server.token}"}
        assert editor.page.request.post("/api/files", multipart=made, headers=headers).status == 201
    shown(editor, "email", to="a@example.com", subject="Bills", attachments="{{ input.made }}")
    button = editor.panel.get_by_role("button", name="Choose attachments")
    button.click()
    listed = editor.page.get_by_role("listbox", name="Attachments")
    listed.get_by_role("option", name="bills/1.pdf").click()
    becomes(editor, attachments=["{{ input.made }}", "bills/1.pdf"])
    listed.get_by_role("option", name="logo.png").click()
    expect(listed.get_by_role("option", name="bills/1.pdf", selected=True)).to_be_visible()
    axe(editor.page, but=("region",))  # the list is beside the page, as those of all selects are
    listed.get_by_role("option", name="bills/1.pdf").click()
    becomes(editor, attachments=["{{ input.made }}", "logo.png"])
    editor.press("Escape")
    expect(listed).to_be_hidden()
    expect(button).to_be_visible()
    axe(editor.page)


def test_a_list_that_is_empty_says_so(editor, server):
    shown(editor, "store", operation="get", key="")
    editor.panel.get_by_role("button", name="Choose key").click()
    expect(editor.page.get_by_text("The store has no key yet. Type a new one.")).to_be_visible()
    editor.press("Escape")
    server.call("PUT", "/api/store/visits/home", {"value": 1})
    choose(editor, "key", "home", "visits/home")
    becomes(editor, key="visits/home")
