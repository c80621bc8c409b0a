"""Data in sight in the editor: input, settings and output side by side; fields dragged or inserted into settings."""

import re

import pytest
from playwright.sync_api import expect
from test_editor import placed
from world import chain, node

ITEMS = [{"name": "Ada", "age": 36}, {"name": "Bo", "age": 7}]
ANSWER = {"body": {"items": ITEMS, "total": 2}}


def values(id_, **more):
    return node(id_, "set", {"values": more})


@pytest.fixture
def opened(editor):
    """Return `opened(*nodes, input=…)`: run a chain of these nodes, and open the last one in a wide panel."""

    def make(*nodes, input=ANSWER):
        editor.open(placed(chain(node("start", "manual"), *nodes)))
        editor.run_with(input)
        editor.ended()
        editor.click(nodes[-1]["id"])
        editor.panel.get_by_role("button", name="Widen panel").click()
        # The button's tooltip disappears.
        editor.page.mouse.move(*editor.spot(0.1, 0.6))
        return editor

    return make


def column(editor, name):
    return editor.panel.get_by_role("region", name=name, exact=True)


def field_row(editor, name, view="Schema"):
    """Return a field of the input in this view."""
    column(editor, "Input").get_by_text(view, exact=True).click()
    return column(editor, "Input").get_by_role("treeitem", name=re.compile(f"^{name}"))


def config(editor, id_):
    return next(one for one in editor.definition["nodes"] if one["id"] == id_).get("config", {})


def test_input_settings_and_output_are_side_by_side(opened, axe):
    editor = opened(values("get", n="{{ input.body.total }}"), values("make", twice="{{ input.n * 2 }}"))
    expect(column(editor, "Input")).to_contain_text('"n": 2')
    expect(column(editor, "Output")).to_contain_text('"twice": 4')
    names = ("Data of the node", "Settings of the node", "Result of the node")
    left, middle, right = (column(editor, name).bounding_box() for name in names)
    assert left["y"] == middle["y"] == right["y"] and left["x"] < middle["x"] < right["x"]
    axe(editor.page)
    # The input may be that of a node further back.
    column(editor, "Data of the node").get_by_role("combobox", name="Data from").click()
    editor.page.get_by_role("option", name="Output of Manual start").click()
    expect(column(editor, "Input")).to_contain_text("Ada")


def test_a_field_is_dragged_into_a_text(opened):
    editor = opened(values("make", who=""))
    target = editor.panel.get_by_role("textbox", name="Values: who")
    field_row(editor, "name").drag_to(target)
    expect(target).to_have_text("{{ input.body.items[0].name }}")
    editor.saved()
    assert config(editor, "make") == {"values": {"who": "{{ input.body.items[0].name }}"}}
    editor.press("Control+z")
    expect(target).not_to_contain_text("input")


def test_a_field_dragged_into_a_number_makes_it_an_expression(opened):
    editor = opened(node("pause", "wait", {"seconds": 0}))
    target = editor.field("Duration (seconds)")
    field_row(editor, "total").drag_to(target)
    expect(editor.panel.get_by_role("textbox", name="Duration (seconds)")).to_have_text("{{ input.body.total }}")
    editor.saved()
    assert config(editor, "pause")["seconds"] == "{{ input.body.total }}"


def test_a_click_and_the_enter_key_insert_into_the_setting_with_the_focus(opened, page):
    editor = opened(values("make", who="Dear "))
    target = editor.panel.get_by_role("textbox", name="Values: who")
    target.click()
    editor.press("End")
    field_row(editor, "name").click()
    expect(target).to_have_text("Dear {{ input.body.items[0].name }}")
    expect(target).to_be_focused()
    tree = column(editor, "Input").get_by_role("tree")
    tree.focus()
    editor.press("End")
    editor.press("Enter")
    expect(target).to_have_text("Dear {{ input.body.items[0].name }}{{ input.body.total }}")


def test_table_headers_and_json_keys_are_inserted_too(opened):
    editor = opened(values("make", who=""), input=ITEMS)
    target = editor.panel.get_by_role("textbox", name="Values: who")
    region = column(editor, "Input")
    region.get_by_text("Table", exact=True).click()
    region.get_by_role("columnheader", name="age").drag_to(target)
    expect(target).to_have_text("{{ input[0].age }}")
    editor.write(target, "x")
    region.get_by_text("JSON", exact=True).click()
    region.locator(".cm-pick").nth(2).click()
    expect(target).to_have_text("x{{ input[1].name }}")


def test_in_a_loop_a_field_of_the_list_is_a_field_of_the_item(opened):
    loop = {**values("each", who=""), "foreach": "{{ input.body.items }}"}
    editor = opened(loop)
    target = editor.panel.get_by_role("textbox", name="Values: who")
    field_row(editor, "name").drag_to(target)
    expect(target).to_have_text("{{ item.name }}")


def test_in_the_condition_of_a_filter_a_field_of_the_list_is_a_field_of_the_item(opened, page):
    editor = opened(node("keep", "filter", {"items": "{{ input.body.items }}", "keep": "{{ item.age > 1 }}"}))
    operand = editor.panel.get_by_role("combobox", name="Keep if, condition 1: field")
    value = editor.panel.get_by_role("textbox", name="Keep if, condition 1: value")
    field_row(editor, "name").drag_to(operand)
    expect(operand).to_have_value("item.name")
    # Dropped on a filled field, it replaces the text instead of tearing it apart.
    field_row(editor, "age").drag_to(operand)
    expect(operand).to_have_value("item.age")
    # A click goes to the input that has the focus, here the value to compare with.
    value.click()
    field_row(editor, "total").click()
    expect(editor.panel.get_by_role("combobox", name="Keep if, condition 1: value")).to_have_value("input.body.total")
    operand.click()
    field_row(editor, "name").click()
    expect(operand).to_have_value("item.name")
    editor.saved()
    page.reload()
    editor.click("keep")
    operand.fill("item.")
    expect(page.get_by_role("option", name=re.compile("^item.age 36"))).to_be_visible()
    operand.fill("item.name")
    editor.press("Escape")
    # The same in the expression: the dropped field replaces the one that it is dropped on.
    editor.panel.get_by_text("Expression", exact=True).click()
    text = editor.panel.get_by_role("textbox", name="Keep if")
    editor.write(text, "{{ item.name.first.of.all.names == input.body.total }}")
    field_row(editor, "age").drag_to(text, target_position={"x": 120, "y": 16})
    expect(text).to_have_text("{{ item.age == input.body.total }}")


def test_a_click_without_a_setting_says_what_to_do(opened):
    editor = opened(values("make", who=""))
    field_row(editor, "name").click()
    expect(editor.page.get_by_text("Click into a setting first")).to_be_visible()


def test_the_edges_show_how_many_items_went_over_them(opened, page):
    editor = opened(node("same", "noop"), values("make", n=1), input=ITEMS)
    editor.panel.get_by_role("button", name="Narrow panel").click()
    expect(editor.canvas.get_by_text("2 items", exact=True)).to_have_count(2)
    page.goto(f"/runs/{editor.ended()['id']}")
    expect(page.locator(".react-flow").get_by_text("2 items", exact=True)).to_have_count(2)


def test_the_sent_settings_are_shown_without_secrets(opened, axe, page, server):
    body = {"name": "shop", "type": "secret", "data": {"value": "never-shown-value"}}
    server.call("POST", "/api/credentials", body)
    editor = opened(values("make", auth="Bearer {{ secrets.shop }}", n="{{ input.body.total }}"))
    result = column(editor, "Result of the node")
    result.get_by_text("Sent", exact=True).click()
    sent = column(editor, "Sent")
    expect(sent).to_contain_text("Bearer ••••")
    expect(sent).to_contain_text('"n": 2')
    expect(page.get_by_text("never-shown-value")).to_have_count(0)
    axe(page)


def test_a_phone_has_tabs_instead_of_columns(editor, axe, page):
    page.set_viewport_size({"width": 390, "height": 844})
    flow = editor.add(placed(chain(node("start", "manual"), values("make", n="{{ input.body.total }}"))))
    editor.server.run(flow, ANSWER, wait=60)
    editor.open(flow).click("make")
    editor.tab("Run data")
    editor.panel.get_by_role("button", name="Input", exact=True).click()
    expect(column(editor, "Input")).to_contain_text("Ada")
    expect(column(editor, "Output")).to_contain_text("2")
    axe(page)
