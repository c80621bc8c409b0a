"""Input forms of flows: filling them in from the list and the editor, and designing them field by field."""

from playwright.sync_api import expect
from test_editor import placed
from world import chain, node

BOOKING = {
    "type": "object",
    "properties": {
        "room": {"type": "string", "enum": ["north", "south"]},
        "day": {"type": "string", "format": "date"},
        "seats": {"type": "integer", "maximum": 12, "default": 4},
        "guests": {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}}}},
    },
    "required": ["room", "day"],
}


def asking(**config):
    return placed(chain(node("start", "manual", config), "end"))


def test_an_operator_runs_a_flow_with_its_form_and_errors_appear_at_the_fields(editor, another, axe):
    flow = editor.add(asking(input_schema=BOOKING, description="Books a room."), "Book a room")
    page = another("operator")
    page.watch.allow(422, "/run")
    page.goto("/flows")
    page.get_by_role("button", name="Run Book a room").click()
    dialog = page.get_by_role("dialog", name="Run “Book a room”")
    expect(dialog.get_by_text("Books a room.")).to_be_visible()
    seats = dialog.get_by_label("Seats")
    expect(seats).to_have_value("4")
    seats.fill("13")
    dialog.get_by_label("Day").fill("2026-01-05")
    dialog.get_by_role("button", name="Run", exact=True).click()
    expect(dialog.get_by_text("13 is greater than the maximum of 12")).to_be_visible()
    room = dialog.get_by_role("combobox", name="Room")
    expect(room).to_be_focused()
    expect(room).to_have_accessible_description("This field is required")
    axe(page, "[role=dialog]")
    room.click()
    page.get_by_role("option", name="south").click()
    seats.fill("12")
    dialog.get_by_role("button", name="Add item").click()
    dialog.get_by_role("button", name="Add item").click()
    dialog.get_by_role("group", name="Item 2").get_by_label("Name").fill("Bo")
    dialog.get_by_role("button", name="Run", exact=True).click()
    expect(dialog).to_be_hidden()
    expect(page.get_by_role("heading", name="Book a room", level=1)).to_be_visible()
    (run,) = editor.server.call("GET", f"/api/runs?workflow_id={flow}")["items"]
    assert run["input"] == {"room": "south", "day": "2026-01-05", "seats": 12, "guests": [{}, {"name": "Bo"}]}
    page.wait_for_url(f"**/runs/{run['id']}")
    page.get_by_role("button", name="Run again").click()
    page.get_by_role("menuitem", name="With another input").click()
    expect(seats).to_have_value("12")
    seats.fill("2")
    dialog.get_by_role("button", name="Run", exact=True).click()
    expect(dialog).to_be_hidden()
    (run, _) = editor.server.call("GET", f"/api/runs?workflow_id={flow}")["items"]
    assert run["input"]["seats"] == 2
    page.wait_for_url(f"**/runs/{run['id']}")


def test_a_form_is_designed_and_filled_in_in_the_editor(editor, page, watch, axe):
    editor.open(asking()).click("start")
    fields = editor.panel.get_by_role("group", name="Input schema", exact=True)
    fields.get_by_role("button", name="Add field").click()
    page.keyboard.insert_text("city")
    fields.get_by_label("Help").fill("Where it is")
    fields.get_by_label("Required").check()
    fields.get_by_role("button", name="Add field").click()
    page.keyboard.insert_text("days")
    days = fields.get_by_role("group", name="Input schema: days")
    days.get_by_role("combobox", name="Type").click()
    page.get_by_role("option", name="Integer").click()
    days.get_by_label("Default").fill("3")
    axe(page, "aside")
    editor.saved()
    assert editor.definition["nodes"][0]["config"]["input_schema"] == {
        "type": "object",
        "properties": {
            "city": {"type": "string", "description": "Where it is"},
            "days": {"type": "integer", "default": 3},
        },
        "required": ["city"],
    }
    watch.allow(422, "/run")
    editor.run()
    dialog = page.get_by_role("dialog", name="Run with input")
    dialog.get_by_role("button", name="Run", exact=True).click()
    city = dialog.get_by_role("textbox", name="City")
    expect(city).to_have_accessible_description("This field is required Where it is")
    dialog.get_by_role("textbox", name="City").fill("Oslo")
    dialog.get_by_role("button", name="Run", exact=True).click()
    assert editor.ended("Succeeded")["output"] == {"city": "Oslo", "days": 3}
    # The form opens again if the last input no longer matches the schema.
    editor.type_in("Description", "Plans a trip.")
    days.get_by_label("Name").fill("nights")
    days = fields.get_by_role("group", name="Input schema: nights")
    days.get_by_label("Required").check()
    editor.run()
    expect(dialog.get_by_text("Plans a trip.")).to_be_visible()
    expect(dialog.get_by_label("Nights")).to_have_accessible_description("This field is required")
