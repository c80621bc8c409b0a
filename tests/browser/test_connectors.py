"""A service described by data: found by what it does, connected, filled in with what the service has, and run."""

import json
import re

import chromium
import pytest
from connector_stub import aim
from editing import Editor
from playwright.sync_api import expect
from pytest_httpserver import HTTPServer
from servers import serving
from test_editor import placed
from werkzeug import Response
from world import chain, node

from packs.connectors import connector_files

TOKEN = "tok-4711"


def operations(base):
    """Return what the shop at this address can do."""
    customer = {
        "title": "Customer",
        "required": True,
        "help": "Its id",
        "options": {"operation": "list_customers", "value": "id", "label": "name"},
    }
    order = {
        "title": "Order",
        "required": True,
        "options": {"operation": "list_orders", "value": "id", "label": "text", "inputs": {"customer": "customer"}},
    }
    tags = {"title": "Tags", "type": "list", "options": {"operation": "list_tags", "value": "id", "label": "name"}}
    return [
        {
            "id": "list_tags", "name": "List tags", "group": "Order", "description": "Returns the tags of orders.",
            "method": "GET", "path": "/tags", "list": True, "result": "tags",
        },
        {
            "id": "list_customers", "name": "List customers", "group": "Customer", "description": "Returns customers.",
            "method": "GET", "path": "/customers", "list": True, "result": "customers",
        },
        {
            "id": "list_orders", "name": "List orders", "group": "Order", "description": "Returns a customer's orders.",
            "method": "GET", "path": "/customers/{customer}/orders", "list": True, "result": "orders",
            "inputs": {"customer": customer},
        },
        {
            "id": "change_order", "name": "Change an order", "group": "Order", "also": ["edit"],
            "description": "Sets the note of an order.", "docs": "https://docs.example.com/orders",
            "method": "POST", "path": "/customers/{customer}/orders/{order}",
            "inputs": {
                "customer": customer,
                "order": order,
                "note": {"title": "Note", "type": "text", "required": True},
                "silent": {"title": "Tell nobody", "type": "boolean", "advanced": True},
                "tags": tags,
            },
            "example": {
                "config": {"customer": "c1", "order": "c1-2", "note": "Ring once"},
                "request": {"method": "POST", "url": f"{base}/customers/c1/orders/c1-2", "body": {"note": "Ring once"}},
                "response": {"changed": {}},
                "output": {"changed": {}},
            },
        },
    ]  # fmt: skip


def shop(base):
    """Return a connector for a small service at this address."""
    return {
        "name": "Corner shop",
        "description": "Orders of the shop around the corner.",
        "category": "sales",
        "icon": {"text": "Co", "color": "#6b2a6b"},
        "docs": "https://docs.example.com/",
        "base": base,
        "auth": [
            {
                "type": "http_bearer", "title": "Shop token", "help": "From Settings, API.",
                "link": "https://docs.example.com/tokens", "hosts": ["127.0.0.1"],
            },
            {"type": "http_basic", "title": "Till", "username": {"title": "Till number"}, "hosts": ["127.0.0.1"]},
        ],
        "rate": {"calls": 50, "per": 60},
        "operations": operations(base),
    }  # fmt: skip


@pytest.fixture(scope="module")
def service():
    """Start the service; `service.log` has the requests."""
    with HTTPServer(host="127.0.0.1") as service:

        def answer(request):
            if request.headers.get("Authorization") != f"Bearer {TOKEN}":
                return Response('{"message": "bad token"}', 401, content_type="application/json")
            if request.method == "POST":
                found = {"changed": request.get_json()}
            elif request.path == "/tags":
                found = {"tags": [{"id": f"t{n}", "name": name} for n, name in enumerate(("Urgent", "Gift", "Old"))]}
            elif request.path.endswith("/orders"):
                found = {"orders": [{"id": f"{request.path.split('/')[2]}-{n}", "text": f"Order {n}"} for n in (1, 2)]}
            else:
                found = {"customers": [{"id": "c1", "name": "Ada Lovelace"}, {"id": "c2", "name": "Grace Hopper"}]}
            return Response(json.dumps(found), content_type="application/json")

        service.expect_request("/customers").respond_with_handler(answer)
        service.expect_request("/tags").respond_with_handler(answer)
        for customer in ("c1", "c2"):
            service.expect_request(f"/customers/{customer}/orders").respond_with_handler(answer)
            service.expect_request(f"/customers/{customer}/orders/{customer}-2").respond_with_handler(answer)
        yield service


class Sheet:
    """A stub of Google's spreadsheets: `header` is the first row, `rows` are the appended ones."""

    def __init__(self, service):
        self.header, self.rows, self.status = ["Full name", "E-Mail", "Amount", "Notes"], [], 200
        service.expect_request(re.compile("/https/.*")).respond_with_handler(self.answer)

    def answer(self, request):
        path = request.path
        if path.endswith(":append"):
            self.rows += request.get_json()["values"]
            found = {"updates": {"updatedRange": "Orders!A2:D2"}}
        elif path.endswith("/user/repos"):
            found = [{"full_name": "ada/engine", "name": "engine"}]
        elif path.endswith("/files"):
            found = {"files": [{"id": "1AbC", "name": "Sales 2026"}]}
        elif path.endswith(("/1AbC", "/old")):
            found = {"sheets": [{"properties": {"sheetId": 0, "title": "Orders", "index": 0}}]}
        else:
            header = self.header if "/1AbC/" in path else ["Old"]
            found = {"range": "Orders!A1:Z1", "values": [header] if header else []}
        if self.status != 200:
            found = {"error": {"code": self.status, "message": "The caller does not have permission"}}
        return Response(json.dumps(found), self.status, content_type="application/json")


@pytest.fixture(scope="module")
def sheet(service):
    return Sheet(service)


@pytest.fixture(scope="module")
def server(equipped, service, sheet, tmp_path_factory):
    folder = tmp_path_factory.mktemp("connectors")
    (folder / "corner_shop.json").write_text(json.dumps(shop(service.url_for("").rstrip("/"))))
    sheets = aim(connector_files.read("google_sheets"), service.port)
    github = aim(connector_files.read("github"), service.port)
    github["auth"][0]["hosts"] = ["127.0.0.1"]
    (folder / "github.json").write_text(json.dumps(github))
    (folder / "google_sheets.json").write_text(json.dumps({**sheets, "auth": [{"type": "http_bearer"}]}))
    data = tmp_path_factory.mktemp("data")
    with serving(data, HEADRACE_CONNECTORS_DIR=folder, HEADRACE_EGRESS_ALLOW="127.0.0.1") as server:
        yield server


def add_credential(server, name, token=TOKEN):
    body = {"name": name, "type": "http_bearer", "data": {"token": token}, "hosts": ["127.0.0.1"]}
    return server.call("POST", "/api/credentials", body)


def choose(editor, label, words, option):
    """Open the list of an input, search, and choose an option by keyboard."""
    editor.panel.get_by_role("button", name=f"Choose {label.lower()}").click()
    search = editor.page.get_by_role("textbox", name=f"Search: {label}")
    expect(search).to_be_focused()
    expect(editor.page.get_by_role("option", name=option)).to_be_visible()
    search.fill(words)
    editor.page.keyboard.press("ArrowDown")
    editor.page.keyboard.press("Enter")


def test_an_operation_is_found_connected_filled_in_and_run(editor, service, axe):
    editor.open(placed(chain(node("start", "manual")))).click("start")
    editor.page.get_by_role("button", name="Add node", exact=True).click()
    editor.palette.get_by_role("combobox", name="Search nodes").fill("change order")
    expect(editor.palette.get_by_role("option", selected=True)).to_contain_text("Corner shop: Change an order")
    axe(editor.page)
    editor.page.keyboard.press("Enter")
    card = editor.node("corner_shop")
    expect(card).to_contain_text("Corner shop")
    expect(card).to_contain_text("Change an order")
    expect(card.get_by_text("Co", exact=True)).to_be_visible()
    expect(editor.panel.get_by_text("Sets the note of an order.")).to_be_visible()
    expect(editor.panel.get_by_text("Corner shop allows 50 calls a minute.")).to_be_visible()

    # Without a credential nothing can be listed, and the list says so.
    editor.panel.get_by_role("button", name="Choose customer").click()
    expect(editor.page.get_by_text("Connect an account first.")).to_be_visible()
    axe(editor.page, but=("region",))  # the list is beside the page, as those of all selects are
    editor.press("Escape")

    editor.panel.get_by_role("button", name="Connect Corner shop").click()
    dialog = editor.page.get_by_role("dialog", name="Connect Corner shop")
    expect(dialog.get_by_role("radio", name="Shop token")).to_be_checked()
    expect(dialog.get_by_text("From Settings, API.")).to_be_visible()
    expect(dialog.get_by_text("Sent only to 127.0.0.1.")).to_be_visible()
    expect(dialog.get_by_label("Name")).to_have_value("Corner shop")
    axe(editor.page)
    dialog.get_by_role("radio", name="Till").click()
    expect(dialog.get_by_label("Till number")).to_be_visible()
    dialog.get_by_role("radio", name="Shop token").click()
    dialog.get_by_role("textbox", name="Token").fill(TOKEN)
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_be_hidden()
    expect(editor.field("Account")).to_have_value("Corner shop")

    choose(editor, "Customer", "grace", "Grace Hopper")
    expect(editor.field("Customer")).to_have_value("c2")
    expect(editor.panel.get_by_text("Grace Hopper")).to_be_visible()
    choose(editor, "Order", "2", "Order 2")
    expect(editor.field("Order")).to_have_value("c2-2")
    editor.type_in("Note", "Ring twice")
    axe(editor.page)
    editor.saved()
    editor.run()
    assert editor.ended()["output"] == {"changed": {"note": "Ring twice"}}


def test_the_columns_of_a_sheet_are_fields_that_are_matched_filled_in_and_sent(editor, server, sheet, watch, axe):
    add_credential(server, "Sheets")
    person = {"full_name": "Ann", "email": "ann@example.com", "amount": 7}
    rows = node("rows", "google_sheets", {"operation": "append_rows", "credential": "Sheets", "spreadsheet": "old"})
    editor.open(placed(chain(node("start", "manual"), node("person", "set", {"values": person}), rows)))
    editor.run()  # it fails at the row, but the input of the node is known then
    editor.ended("Failed")
    editor.click("rows")
    fields = editor.panel.get_by_role("group", name="Row")
    expect(editor.field("Old")).to_be_visible()
    choose(editor, "Spreadsheet", "sales", "Sales 2026")
    choose(editor, "Sheet", "ord", "Orders")
    expect(fields.get_by_label("Full name")).to_be_visible()
    fields.get_by_role("button", name="Match by name").click()
    expect(fields.get_by_role("status").filter(has_text="Filled 3 fields from the input.")).to_be_visible()
    expect(editor.field("E-Mail")).to_contain_text("{{ input.email }}")
    editor.type_in("Notes", "By hand")
    axe(editor.page)
    editor.saved()
    kept = next(one for one in editor.definition["nodes"] if one["id"] == "rows")["config"]
    matched = {"Full name": "{{ input.full_name }}", "E-Mail": "{{ input.email }}", "Amount": "{{ input.amount }}"}
    assert kept["row"] == {**matched, "Notes": "By hand"}
    editor.run()
    editor.ended()
    assert sheet.rows == [["Ann", "ann@example.com", 7, "By hand"]]

    # A column vanishes: its value can be removed.
    sheet.header = ["Full name", "E-Mail", "Amount"]
    fields.get_by_role("button", name="Refresh").click()
    expect(fields.get_by_text("Not in the sheet any more")).to_be_visible()
    expect(fields.get_by_text("Notes: By hand")).to_be_visible()
    axe(editor.page)
    fields.get_by_role("button", name="Remove Notes").click()
    expect(fields.get_by_text("Not in the sheet any more")).to_have_count(0)

    # The service refuses, and then the header is empty: the values stay, and can be edited as an object.
    sheet.status = 403
    watch.allow(400, "/api/connectors/google_sheets/options")
    fields.get_by_role("button", name="Refresh").click()
    refusal = fields.get_by_role("alert")
    expect(refusal).to_contain_text("The caller does not have permission")
    expect(editor.field("Row: name 1")).to_have_value("Full name")
    axe(editor.page)
    sheet.status, sheet.header = 200, []
    refusal.get_by_role("button", name="Try again").click()
    expect(fields.get_by_text("The header row of the sheet is empty.")).to_be_visible()
    expect(editor.field("Row: name 3")).to_have_value("Amount")
    sheet.header = ["Amount"]
    fields.get_by_role("button", name="Refresh").click()
    expect(editor.field("Amount")).to_contain_text("{{ input.amount }}")
    fields.get_by_role("button", name="Edit as object").click()
    expect(editor.field("Row: name 2")).to_have_value("E-Mail")
    fields.get_by_role("button", name="Edit by field").click()
    expect(editor.field("Amount")).to_be_visible()
    editor.saved()
    kept = next(one for one in editor.definition["nodes"] if one["id"] == "rows")["config"]
    assert kept["row"] == matched


def test_a_trigger_of_a_service_asks_for_its_account_and_what_to_watch(editor, server, sheet, axe):
    add_credential(server, "GitHub of the team")
    editor.open({"nodes": [], "edges": []})
    editor.page.get_by_role("button", name="Add first node").click()
    editor.pick("github trigger")
    labels = editor.panel.locator("[data-field]")
    expect(labels).to_have_count(3)
    expect(labels).to_contain_text(["Account", "Repository", "Events"])
    expect(editor.panel.get_by_text("connect GitHub, or enter a signing secret")).to_be_visible()
    editor.panel.get_by_role("button", name="Connect GitHub").click()
    dialog = editor.page.get_by_role("dialog", name="Connect GitHub")
    expect(dialog.get_by_role("textbox", name="Token")).to_be_focused()
    axe(editor.page)
    editor.press("Escape")
    expect(editor.field("Account")).to_be_in_viewport()
    by_hand = editor.panel.get_by_role("button", name="Set up in the service yourself")
    by_hand.click()
    expect(editor.panel.get_by_text(re.compile("/api/webhooks/github/[0-9a-f]{24}$"))).to_be_visible()
    by_hand.click()
    editor.field("Account").click()
    editor.page.get_by_role("option", name="GitHub of the team").click()
    expect(editor.panel.get_by_text("it adds the webhook in the service")).to_be_visible()
    choose(editor, "Repository", "ada", "ada/engine")
    expect(editor.field("Repository")).to_have_value("ada/engine")
    axe(editor.page)
    editor.panel.get_by_role("button", name="More settings").click()
    expect(editor.field("Path")).to_have_value(re.compile("^github/[0-9a-f]{24}$"))
    expect(editor.panel.get_by_role("button", name="New credential")).to_be_visible()  # of the signing secret


def test_several_values_are_chosen_and_typed(editor, server, axe):
    add_credential(server, "Tagger")
    config = {"operation": "change_order", "credential": "Tagger", "customer": "c1", "order": "c1-2", "note": "Hello"}
    editor.open(placed(chain(node("start", "manual"), node("shop", "corner_shop", config)))).click("shop")
    field = editor.panel.get_by_role("textbox", name="Tags")
    field.fill("mine")
    editor.press("Enter")
    expect(editor.panel.get_by_role("button", name="Remove mine")).to_be_visible()
    # What was typed is what the list is searched for.
    field.fill("gi")
    editor.press("ArrowDown")
    listed = editor.page.get_by_role("listbox", name="Tags")
    expect(listed.get_by_role("option")).to_have_count(1)
    editor.press("ArrowDown")
    editor.press("Enter")
    expect(listed.get_by_role("option", name="Gift", selected=True)).to_be_visible()
    editor.page.get_by_role("textbox", name="Search: Tags").fill("")
    listed.get_by_role("option", name="Urgent").click()
    axe(editor.page, but=("region",))  # the list is beside the page, as those of all selects are
    editor.press("Escape")
    expect(listed).to_be_hidden()
    for name in ("mine", "Gift", "Urgent"):
        expect(editor.panel.get_by_role("button", name=f"Remove {name}")).to_be_visible()
    axe(editor.page)
    editor.panel.get_by_role("button", name="Remove mine").click()
    expect(field).to_be_focused()
    editor.press("Backspace")
    editor.saved()
    kept = next(one for one in editor.definition["nodes"] if one["id"] == "shop")["config"]
    assert kept["tags"] == ["t1"]
    editor.run()
    assert editor.ended()["output"] == {"changed": {"note": "Hello", "tags": ["t1"]}}


def test_typing_braces_begins_an_expression(editor):
    config = {"operation": "change_order", "customer": "c1", "order": "c1-2", "note": "Hello"}
    editor.open(placed(chain(node("start", "manual"), node("shop", "corner_shop", config)))).click("shop")
    for label in ("Order", "Tags"):
        editor.panel.get_by_role("textbox", name=label).click()
        editor.page.keyboard.press("ControlOrMeta+a")
        editor.page.keyboard.type("{{ input.of", delay=20)
        expect(editor.field(label)).to_contain_text("{{ input.of")
    editor.saved()
    kept = next(one for one in editor.definition["nodes"] if one["id"] == "shop")["config"]
    assert kept["order"].startswith("{{ input.of") and kept["tags"].startswith("{{ input.of")


def test_the_list_of_services_is_brief_and_remembers_the_last_ones(editor):
    editor.open(placed(chain(node("start", "manual")))).click("start")
    editor.page.get_by_role("button", name="Add node", exact=True).click()
    services = editor.palette.get_by_role("group", name="Services", exact=True)
    expect(services.get_by_role("option", name="Corner shop")).to_be_visible()
    expect(editor.palette.get_by_role("option", name="List orders")).to_have_count(0)
    editor.palette.get_by_role("combobox", name="Search nodes").fill("corner list orders")
    editor.page.keyboard.press("Enter")
    editor.click("start")
    editor.page.get_by_role("button", name="Add node", exact=True).click()
    recent = editor.palette.get_by_role("group", name="Recently used services")
    expect(recent.get_by_role("option")).to_contain_text(["Corner shop: List orders"])


def test_another_operation_keeps_the_inputs_that_it_has_too(editor, server, axe):
    config = {"operation": "change_order", "customer": "c1", "order": "c1-2", "note": "Hello", "silent": True}
    editor.open(placed(chain(node("start", "manual"), node("shop", "corner_shop", config)))).click("shop")
    expect(editor.panel.get_by_role("button", name="More settings")).to_be_visible()
    operation = editor.field("Operation")
    operation.click()
    axe(editor.page, but=("region",))  # the list is beside the page, as those of all selects are
    operation.fill("customer's")
    editor.page.keyboard.press("ArrowDown")
    axe(editor.page, but=("region",))
    editor.page.keyboard.press("Enter")
    expect(operation).to_have_value("List orders")
    expect(editor.field("Customer")).to_have_value("c1")
    expect(editor.field("Note")).to_have_count(0)
    editor.saved()
    kept = next(one for one in editor.definition["nodes"] if one["id"] == "shop")["config"]
    assert kept == {"operation": "list_orders", "customer": "c1"}
    operation.click()
    operation.fill("edit")
    editor.page.keyboard.press("ArrowDown")
    editor.page.keyboard.press("Enter")
    expect(editor.field("Note")).to_contain_text("Hello")


def test_a_problem_is_shown_at_its_input_and_under_its_title(editor):
    config = {"operation": "change_order", "customer": "c1", "silent": "perhaps"}
    editor.open(placed(chain(node("start", "manual"), node("shop", "corner_shop", config)))).click("shop")
    expect(editor.panel.get_by_text("Order is required")).to_be_visible()
    expect(editor.panel.get_by_text("Note is required")).to_be_visible()
    editor.page.get_by_role("button", name="problem").click()
    problems = editor.page.get_by_role("region", name="Problems")
    expect(problems).to_contain_text("Order is required")
    problems.get_by_text("Note is required").click()
    expect(editor.field("Note")).to_be_focused()


def test_the_example_of_an_operation_keeps_the_credential(editor):
    config = {"operation": "change_order", "credential": "Corner shop", "note": "Mine"}
    editor.open(placed(chain(node("start", "manual"), node("shop", "corner_shop", config)))).click("shop")
    editor.panel.get_by_role("button", name="Settings and examples explained").click()
    expect(editor.panel.get_by_role("term").filter(has_text="Tell nobody")).to_be_visible()
    editor.panel.get_by_role("button", name="Use these settings").click()
    expect(editor.field("Note")).to_contain_text("Ring once")
    expect(editor.field("Account")).to_have_value("Corner shop")


def test_a_refusal_of_the_service_is_told_in_the_list_which_can_be_read_again(editor, server, watch, axe):
    wrong = add_credential(server, "Wrong token", "tok-0")
    config = {"operation": "list_orders", "credential": "Wrong token", "customer": "c1"}
    editor.open(placed(chain(node("start", "manual"), node("shop", "corner_shop", config)))).click("shop")
    watch.allow(400, "/api/connectors/corner_shop/options")
    editor.panel.get_by_role("button", name="Choose customer").click()
    refusal = editor.page.get_by_role("alert").filter(has_text="401")
    expect(refusal).to_be_visible()
    axe(editor.page, but=("region",))
    server.call("PUT", f"/api/credentials/{wrong['id']}", {"data": {"token": TOKEN}})
    refusal.get_by_role("button", name="Try again").press("Enter")
    expect(editor.page.get_by_role("option", name="Grace Hopper")).to_be_visible()
    expect(refusal).to_have_count(0)


def test_a_list_that_failed_is_read_again_when_it_is_opened_again(editor, server, watch):
    wrong = add_credential(server, "Old token", "tok-0")
    config = {"operation": "list_orders", "credential": "Old token", "customer": "c2"}
    editor.open(placed(chain(node("start", "manual"), node("shop", "corner_shop", config)))).click("shop")
    watch.allow(400, "/api/connectors/corner_shop/options")
    button = editor.panel.get_by_role("button", name="Choose customer")
    button.click()
    expect(editor.page.get_by_role("alert").filter(has_text="401")).to_be_visible()
    editor.press("Escape")
    server.call("PUT", f"/api/credentials/{wrong['id']}", {"data": {"token": TOKEN}})
    button.click()
    editor.page.get_by_role("option", name="Grace Hopper").click()
    expect(editor.field("Customer")).to_be_focused()
    expect(editor.panel.get_by_text("Grace Hopper")).to_be_visible()


def test_on_a_phone_the_settings_can_be_read(new_context, server, axe):
    page = new_context(viewport={"width": 390, "height": 844}).new_page()
    chromium.log_in(page)
    config = {"operation": "change_order", "customer": "c1", "order": "c1-2", "note": "Hello"}
    editor = Editor(page, server).open(placed(chain(node("start", "manual"), node("shop", "corner_shop", config))))
    editor.click("shop")
    expect(editor.field("Operation")).to_have_value("Change an order")
    expect(editor.panel.get_by_role("button", name="Choose customer")).to_have_count(0)
    axe(page)
