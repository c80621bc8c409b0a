"""The canvas: long flows, runs, clicks and pasting."""

import base64

from playwright.sync_api import expect
from test_editor import placed, three
from world import chain, node

LINE = 100
# Count the pixels in the middle row of an image that differ from its corner.
MARKED = """async (data) => {
  const image = new Image();
  image.src = data;
  await image.decode();
  const canvas = new OffscreenCanvas(image.width, image.height).getContext("2d");
  canvas.drawImage(image, 0, 0);
  const { data: parts } = canvas.getImageData(0, 0, image.width, image.height);
  const pixels = [];
  for (let at = 0; at < parts.length; at += 4) pixels.push(parts.slice(at, at + 3).join());
  const row = pixels.slice((image.height / 2 | 0) * image.width).slice(0, image.width);
  return row.filter((pixel) => pixel !== pixels[3 * image.width + 3]).length;
}"""

# The size of the smallest text on the canvas, in pixels of the screen.
SMALLEST_TEXT = """() => {
  const view = document.querySelector(".react-flow__viewport");
  const zoom = new DOMMatrix(getComputedStyle(view).transform).a;
  const texts = [...view.querySelectorAll("*")].filter((one) =>
    [...one.childNodes].some((part) => part.nodeType === Node.TEXT_NODE && part.data.trim()));
  return Math.min(...texts.map((one) => parseFloat(getComputedStyle(one).fontSize) * zoom));
}"""

# The lowest point of a path on the screen.
LOWEST = """(path) => {
  const box = path.getBoundingClientRect();
  return box.y + box.height;
}"""


def line(editor):
    """Open a flow of 100 nodes in a line."""
    rest = [node(f"n{at}", "set", {"values": {"n": at}}) for at in range(LINE - 1)]
    return editor.open(placed(chain(node("start", "manual"), *rest)))


def select_box(editor, first, last):
    """Drag a selection box around these nodes."""
    first, last = editor.box(editor.node(first)), editor.box(editor.node(last))
    editor.page.keyboard.down("Shift")
    editor.drag((first["x"] - 20, first["y"] - 40), (last["x"] + last["width"] + 20, last["y"] + last["height"] + 40))
    editor.page.keyboard.up("Shift")


def is_within(inner, outer):
    return (
        outer["x"] <= inner["x"]
        and outer["y"] <= inner["y"]
        and inner["x"] + inner["width"] <= outer["x"] + outer["width"]
        and inner["y"] + inner["height"] <= outer["y"] + outer["height"]
    )


def test_zoom_to_fit_shows_all_of_a_hundred_nodes(editor):
    line(editor)
    editor.page.get_by_role("button", name="Zoom to fit").click()
    last = editor.node(f"n{LINE - 2}")
    expect(last).to_be_attached()
    for end in (editor.node("start"), last):
        assert is_within(editor.box(end), editor.canvas.bounding_box())


def test_a_flow_opens_readable_and_stays_in_place_when_a_node_is_added(editor):
    rest = [node(f"n{at}", "set", {"values": {"n": at}}, name=f"Step {at}") for at in range(10)]
    made = placed(chain(node("start", "manual"), node("check", "if", {"condition": "{{ true }}"}), *rest))
    made["edges"][1:2] = [["check", "n0", "true"], ["check", "n4", "false"]]
    made["edges"].remove(["n3", "n4"])
    editor.open(made).run()
    editor.ended()
    for width, height in ((1440, 900), (1024, 768)):
        editor.page.set_viewport_size({"width": width, "height": height})
        editor.page.reload()
        expect(editor.panel).to_be_visible()
        editor.box(editor.node("start"))
        assert editor.page.evaluate(SMALLEST_TEXT) >= 10
    # The edge to n4 passes the four nodes between, and behind none of them.
    passing = editor.page.locator('.react-flow__edge[data-id="check false n4"] .react-flow__edge-path')
    assert passing.evaluate(LOWEST) > editor.box(editor.node("n0"))["y"] + editor.box(editor.node("n0"))["height"]
    editor.click("check")
    editor.node("n3").get_by_role("button", name="Add a node after Step 3").dispatch_event("click")
    editor.pick("crypto")
    editor.selected("crypto")
    canvas, new = editor.canvas.bounding_box(), editor.box(editor.node("crypto"))
    assert is_within(new, canvas)
    # Moved no further than necessary: the new node is at the edge.
    assert new["x"] + new["width"] > canvas["x"] + canvas["width"] - 100
    assert editor.page.evaluate(SMALLEST_TEXT) >= 10


def test_the_minimap_shows_the_nodes_of_a_long_flow(editor, new_context):
    line(editor)
    picture = base64.b64encode(editor.page.locator(".react-flow__minimap").screenshot()).decode()
    blank = new_context().new_page()
    assert blank.evaluate(MARKED, f"data:image/png;base64,{picture}") > 100


def test_a_click_inside_a_selection_box_selects_the_clicked_node(editor):
    editor.open(three())
    select_box(editor, "one", "two")
    editor.selected("one", "two")
    box = editor.box(editor.node("one"))
    editor.page.mouse.click(box["x"] + 70, box["y"] + 12)
    editor.selected("one")
    select_box(editor, "one", "two")
    editor.selected("one", "two")
    # A click between the two nodes selects nothing.
    editor.page.mouse.click(box["x"] + box["width"] + 20, box["y"] - 20)
    editor.selected()


def test_a_click_on_one_of_several_selected_nodes_selects_it_alone(editor):
    editor.open(three())
    editor.click("one")
    editor.click("two", modifiers=["Control"])
    editor.selected("one", "two")
    editor.click("two")
    editor.selected("two")


def test_pasted_nodes_are_visible_even_if_the_original_is_not(editor):
    editor.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    editor.open(three()).click("two")
    editor.press("Control+c")
    expect(editor.page.get_by_text("Node copied")).to_be_visible()
    editor.page.mouse.move(*editor.spot(0.5, 0.6))
    editor.page.mouse.wheel(3_000, 0)
    expect(editor.node("two")).not_to_be_in_viewport()
    # The pointer is outside of the canvas, so it does not decide the position.
    editor.panel.hover()
    for copy in ("two_2", "two_3"):
        editor.press("Control+v")
        editor.selected(copy)
        assert is_within(editor.box(editor.node(copy)), editor.canvas.bounding_box())
    assert editor.box(editor.node("two_2")) != editor.box(editor.node("two_3"))


def test_a_run_up_to_a_node_marks_only_edges_before_it(editor):
    editor.open(placed(chain(node("start", "manual"), node("one", "set", {"values": {"a": 1}}), "two")))
    editor.click("one")
    editor.run_by("Run up to")
    editor.ended()
    editor.ran("one", "success")
    expect(editor.page.locator(".react-flow__edge.live")).to_have_count(1)
    editor.run()
    editor.ran("two", "success")
    expect(editor.page.locator(".react-flow__edge.live")).to_have_count(2)


def test_a_run_up_to_a_node_ignores_incomplete_nodes_after_it(editor):
    incomplete = node("after", "http", {"url": ""})
    editor.open(placed(chain(node("start", "manual"), node("one", "set", {"values": {"a": 1}}), incomplete)))
    editor.click("one")
    editor.run_by("Run up to")
    assert editor.ended()["output"] == {"a": 1}
