"""The full-screen editors of expressions and of code."""

import re

from playwright.sync_api import expect
from test_conditions import stored
from test_editor import placed
from world import chain, node


def screen(editor, name):
    return editor.page.get_by_role("dialog", name=name)


def test_an_expression_is_written_in_full_screen_with_the_result_for_each_run(editor, axe):
    keep = node("check", "set", {"values": {"a": "{{ input.name }}"}})
    editor.open(placed(chain(node("start", "manual"), keep)))
    for name in ("Ada", "Bob"):
        editor.run_with({"name": name})
        editor.ended()
    editor.click("check")
    editor.field("Values: a").click()
    editor.press("Alt+Enter")
    full = screen(editor, "Values: a")
    results = full.get_by_role("region", name="Result for each of the last items")
    expect(results.get_by_role("row")).to_have_text([re.compile("Last run.*Bob"), re.compile("2. last run.*Ada")])
    full.get_by_role("textbox", name="Search functions").fill("upper case")
    text = full.get_by_role("textbox", name="Values: a, full screen")
    text.click()
    editor.press("Control+End")
    for _ in range(3):
        editor.press("ArrowLeft")
    full.get_by_role("button", name=re.compile(r"^\|upper ")).click()
    expect(text).to_have_text("{{ input.name|upper }}")
    expect(results.get_by_role("row")).to_have_text([re.compile("BOB"), re.compile("ADA")])
    axe(editor.page)
    text.click()
    editor.press("Control+A")
    editor.page.keyboard.insert_text("{{ input.nothing }}")
    expect(full.locator(".cm-lintRange-error")).to_have_text("nothing")
    full.get_by_role("button", name="Close full screen").click()
    expect(full).to_have_count(0)


def test_a_loop_shows_the_result_for_each_item(editor):
    each = node("check", "set", {"values": {"a": "{{ item.n * 2 }}"}}) | {"foreach": "{{ input }}"}
    editor.open(placed(chain(node("start", "manual"), each)))
    editor.run_with([{"n": 1}, {"n": 2}, {"m": 3}])
    editor.ended("Failed")
    editor.click("check")
    editor.tab("Settings")
    editor.field("Values: a").click()
    editor.panel.get_by_role("button", name="Edit expression in full screen").click()
    results = screen(editor, "Values: a").get_by_role("region", name="Result for each of the last items")
    expect(results.get_by_role("row")).to_have_text(
        [re.compile("Item 0.*2"), re.compile("Item 1.*4"), re.compile("Item 2.*has no key 'n'")]
    )


def test_code_is_written_in_full_screen_and_run_there(editor, axe, watch):
    watch.allow(400, "/run")
    code = node("check", "code", {"source": "input"})
    editor.open(placed(chain(node("start", "manual"), code)))
    editor.run_with({"total": 5})
    editor.ended()
    editor.click("check")
    editor.panel.get_by_role("button", name="Full screen: Code").click()
    full = screen(editor, "Code")
    text = full.get_by_role("textbox", name="Code, full screen")
    text.click()
    editor.press("Control+A")
    editor.page.keyboard.insert_text("x = 1\nx =")
    stored(editor, "x = 1\nx =", "source")
    expect(full.locator(".cm-lintRange-error")).to_be_visible()
    expect(full.get_by_role("status").filter(has_text="line 2: SyntaxError")).to_be_visible()
    assert full.bounding_box()["width"] == editor.page.viewport_size["width"]
    run = full.get_by_role("button", name=re.compile("^Run "))
    run.click()
    expect(full.get_by_role("alert")).to_contain_text("SyntaxError")
    axe(editor.page)
    editor.press("Control+A")
    editor.page.keyboard.type('input["to', delay=30)
    editor.page.get_by_role("option", name=re.compile("^total")).click()
    expect(text).to_have_text('input["total"]')
    stored(editor, 'input["total"]', "source")
    run.click()
    output = full.get_by_role("region", name="Output")
    expect(output.get_by_role("status")).to_have_text("5")
    expect(full.get_by_role("alert")).to_have_count(0)
    editor.write(text, "print('half')\nprint('way')\n1 / 0")
    stored(editor, "print('half')\nprint('way')\n1 / 0", "source")
    run.click()
    expect(output.get_by_role("group", name="Printed")).to_have_text("half\nway")
    expect(output.get_by_role("alert")).to_contain_text("division by zero")
