"""Conditions by form: rows of field, operator and value that write the expression of if and filter nodes."""

import re

import pytest
from playwright.sync_api import expect
from servers import until
from test_editor import placed
from world import chain, node


def checking(condition, type_="if", key="condition"):
    """Return a flow whose node `check` has this condition."""
    config = {} if condition is None else {key: condition}
    return placed(chain(node("start", "manual"), node("check", type_, config)))


def stored(editor, text, key="condition"):
    """Wait until the condition is saved as this text."""

    def found():
        editor.page.wait_for_timeout(50)
        return editor.definition["nodes"][1].get("config", {}).get(key)

    until(lambda: found() == text, f"the condition is {text}; it is {found()}")


def field(editor, number, label="Condition"):
    return editor.panel.get_by_role("combobox", name=f"{label}, condition {number}: field")


def choose(editor, number, group, operator, label="Condition"):
    """Choose an operator of a type."""
    box = editor.panel.get_by_role("combobox", name=f"{label}, condition {number}: operator")
    box.click()
    groups = editor.page.locator(".mantine-Select-group").filter(has=editor.page.get_by_text(group, exact=True))
    groups.get_by_role("option", name=operator, exact=True).click()


def test_a_condition_is_made_by_form_with_fields_of_the_last_run(editor, axe):
    editor.open(checking("{{ input }}"))
    editor.run_with({"total": 120, "customer": {"name": "Ada"}})
    editor.ended()
    editor.click("check")
    box = field(editor, 1)
    box.fill("total")
    editor.page.get_by_role("option", name=re.compile("^input.total")).click()
    choose(editor, 1, "Number", "is greater than")
    value = editor.panel.get_by_role("textbox", name="Condition, condition 1: value")
    value.fill("100")
    stored(editor, "{{ input.total > 100 }}")
    editor.panel.get_by_role("button", name="Add condition").click()
    expect(field(editor, 2)).to_be_focused()
    field(editor, 2).fill("input.customer.name")
    choose(editor, 2, "Text", "starts with")
    editor.panel.get_by_role("textbox", name="Condition, condition 2: value").fill("A")
    stored(editor, '{{ input.total > 100 and input.customer.name.startswith("A") }}')
    editor.panel.get_by_text("Any is met").click()
    stored(editor, '{{ input.total > 100 or input.customer.name.startswith("A") }}')
    expect(editor.panel.get_by_text("Result (last run): boolean")).to_be_visible()
    axe(editor.page)


def test_groups_can_be_nested(editor):
    editor.open(checking("{{ input.a > 1 and (input.b == true or input.c == none) }}")).click("check")
    inner = editor.panel.get_by_role("group", name="Condition, group 2", exact=True)
    expect(inner.get_by_role("combobox", name=re.compile("condition 2: field"))).to_have_value("input.c")
    inner.get_by_role("button", name="Remove Condition, group 2, condition 1").click()
    stored(editor, "{{ input.a > 1 and input.c == none }}")


def test_the_form_and_the_expression_show_the_same_condition(editor):
    editor.open(checking("{{ input.total > 100 }}")).click("check")
    expect(field(editor, 1)).to_have_value("input.total")
    editor.panel.get_by_text("Expression", exact=True).click()
    expect(editor.field("Condition")).to_have_text("{{ input.total > 100 }}")
    editor.type_in("Condition", "{{ input.total <= 5 }}")
    editor.panel.get_by_text("Form", exact=True).click()
    operator = editor.panel.get_by_role("combobox", name="Condition, condition 1: operator")
    expect(operator).to_have_value("is at most")


def test_an_expression_that_the_form_cannot_read_stays_an_expression(editor, axe):
    editor.open(checking("{{ (1 if input.a else 2) == 2 if input.b else true }}")).click("check")
    expect(editor.field("Condition")).to_contain_text("if input.b else true")
    expect(editor.panel.get_by_text("This expression is too complex for the form.")).to_be_visible()
    expect(editor.panel.get_by_role("radio", name="Form")).to_be_disabled()
    axe(editor.page)


def test_plain_text_is_wrapped_by_one_click_and_then_shown_in_the_form(editor):
    editor.open(checking("input.total > 3")).click("check")
    expect(editor.panel.get_by_text(re.compile("plain text is always true"))).to_be_visible()
    editor.panel.get_by_role("button", name="Fix").click()
    stored(editor, "{{ input.total > 3 }}")
    expect(field(editor, 1)).to_have_value("input.total")


def test_a_filter_offers_the_fields_of_an_item(editor):
    editor.open(checking("{{ item }}", "filter", "keep"))
    editor.run_with([{"price": 10, "name": "pen"}, {"price": 30, "name": "book"}])
    editor.ended()
    editor.click("check")
    box = field(editor, 1, "Keep if")
    box.fill("item.")
    editor.page.get_by_role("option", name=re.compile("^item.price")).click()
    choose(editor, 1, "Number", "is less than", "Keep if")
    editor.panel.get_by_role("textbox", name="Keep if, condition 1: value").fill("20")
    stored(editor, "{{ item.price < 20 }}", "keep")
    editor.run()
    assert editor.ended()["output"] == [{"price": 10, "name": "pen"}]


def test_a_switch_routes_by_conditions_and_gets_the_cases_they_name(editor, axe):
    editor.open(placed(chain(node("start", "manual"), node("check", "switch", {"cases": ["silver"]})))).click("check")
    editor.panel.get_by_text("By conditions", exact=True).click()
    for number, name, least in ((1, "gold", "1000"), (2, "silver", "100")):
        rule = f"Value, rule {number}"
        field(editor, 1, rule).fill("input.total")
        choose(editor, 1, "Number", "is at least", rule)
        editor.panel.get_by_role("textbox", name=f"{rule}, condition 1: value").fill(least)
        editor.panel.get_by_role("combobox", name=f"{rule}: case").click()
        editor.page.keyboard.type(name)
        editor.press("Enter")
        if number == 1:
            stored(editor, '{{ "gold" if input.total >= 1000 else "default" }}', "value")
            editor.panel.get_by_role("button", name="Add rule").click()
            expect(field(editor, 1, "Value, rule 2")).to_be_focused()
    stored(editor, '{{ "gold" if input.total >= 1000 else "silver" if input.total >= 100 else "default" }}', "value")
    assert editor.definition["nodes"][1]["config"]["cases"] == ["silver", "gold"]
    expect(editor.node("check").get_by_text("gold", exact=True)).to_be_visible()
    axe(editor.page)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_viewer_on_a_phone_reads_the_condition(editor, another, axe, scheme):
    id_ = editor.add(checking('{{ input.total > 100 and input.name in ["Ada", "Bob"] }}'))
    page = another("viewer", viewport={"width": 390, "height": 844}, color_scheme=scheme)
    page.goto(f"/flows/{id_}")
    page.locator('.react-flow__node[data-id="check"]').click()
    expect(page.get_by_role("combobox", name="Condition, condition 1: field")).to_have_value("input.total")
    axe(page)
