"""Notes, groups, the context menu and the keys of the canvas."""

import re

from playwright.sync_api import expect
from test_editor import placed
from world import chain, node


def menu(page, choice):
    """Choose an entry of the open context menu, and wait until it is closed."""
    page.get_by_role("menuitem", name=re.compile(f"^{choice}")).click()
    expect(page.get_by_role("menu")).to_have_count(0)


def five(editor):
    """Open a flow of five nodes in a line, in which the node "loop" loops over two items."""
    values = node("orders", "set", {"values": {"sums": [1, 2]}})
    loop = node("loop", "set", {"values": {"n": "{{ item }}"}}, foreach="{{ input.sums }}")
    editor.open(placed(chain(node("start", "manual"), values, loop, "pass", "end")))
    # Only then the canvas takes clicks.
    editor.box(editor.node("end"))


def test_a_note_is_written_safely_and_a_group_folds_by_mouse_and_keyboard(editor, axe):
    page = editor.page
    five(editor)

    # A note, by the menu of the canvas.
    page.mouse.click(*editor.spot(0.4, 0.8), button="right")
    menu(page, "Add a note")
    page.keyboard.insert_text(
        "# Why\n<img src=x onerror=alert(1)>\n[go](javascript:alert(1)) and [see](https://a.example)"
    )
    editor.press("Escape")
    note = editor.node("note:note")
    expect(note).to_be_focused()
    expect(note.get_by_text("<img src=x onerror=alert(1)>")).to_be_visible()
    expect(note.locator("img")).to_have_count(0)
    expect(note.locator("a")).to_have_count(1)
    editor.panel.get_by_role("radio", name="Green").click()
    editor.panel.get_by_role("textbox", name="Width").fill("400")

    # A group of two nodes, named and folded by keyboard.
    editor.click("loop")
    editor.click("pass", modifiers=["Control"])
    editor.press("g")
    # Its keys are for the name from the first one on: "d" would disable the nodes, "n" add a note.
    page.keyboard.type("and prepared")
    expect(editor.panel.get_by_role("textbox", name="Group name")).to_have_value("and prepared")
    editor.selected("group:group")
    editor.press("Enter")
    editor.press("F2")
    page.keyboard.insert_text("Prepare")
    editor.press("Enter")
    editor.press("f")
    expect(editor.node("loop")).to_have_count(0)
    folded = editor.node("group:group")
    expect(folded).to_have_attribute("aria-label", "Group Prepare, 2 nodes, folded")
    expect(editor.edges).to_have_count(3)
    # Arrow keys walk through the card.
    editor.press("ArrowRight")
    editor.selected("end")
    editor.press("ArrowLeft")
    editor.selected("group:group")

    # A run shows the outcome on the card, and the number of items in the loop.
    editor.run()
    editor.ended()
    expect(folded.locator("[data-outcome=success]")).to_have_count(1)
    # The pointer would show the tooltip of the run button.
    page.mouse.move(*editor.spot(0.5, 0.9))
    expect(page.get_by_role("tooltip")).to_have_count(0)
    axe(page)
    folded.get_by_role("button", name="Unfold Prepare").click()
    expect(editor.node("loop").get_by_text("2 items", exact=True)).to_be_visible()

    editor.saved()
    stored = editor.definition
    assert not any(one.get("disabled") for one in stored["nodes"]) and len(stored["notes"]) == 1
    assert stored["notes"][0]["color"] == "green" and stored["notes"][0]["width"] == 400
    assert stored["groups"] == [{"id": "group", "name": "Prepare", "nodes": ["loop", "pass"]}]


def test_the_menu_and_keys_rename_disable_pin_and_tidy(editor):
    page = editor.page
    five(editor)
    editor.run()
    editor.ended()
    editor.node("orders").click(button="right", position={"x": 70, "y": 12})
    menu(page, "Pin output")
    expect(editor.node("orders").get_by_role("img", name="Output pinned")).to_be_visible()

    editor.press("Shift+F10")
    menu(page, "Disable")
    expect(editor.node("orders").locator("[data-disabled]")).to_have_count(1)
    expect(editor.node("orders")).to_be_focused()
    editor.press("d")
    expect(editor.node("orders").locator("[data-disabled]")).to_have_count(0)

    # The id of a new node follows its name; that of a published node stays.
    editor.press("F2")
    page.keyboard.insert_text("All orders")
    editor.press("Enter")
    editor.click("end")
    editor.press("/")
    editor.pick("no operation")
    editor.press("F2")
    page.keyboard.insert_text("Tell them")
    editor.press("Enter")
    editor.selected("tell_them")
    editor.becomes(nodes=["start", "orders", "loop", "pass", "end", "tell_them"])

    # An edge's menu inserts a node between its ends.
    before = editor.box(editor.node("pass"))
    page.mouse.click(before["x"] + before["width"] + 20, before["y"] + before["height"] / 2, button="right")
    menu(page, "Disconnect")
    editor.press("t")
    editor.becomes(wires=["start orders", "orders loop", "loop pass", "end tell_them"])
