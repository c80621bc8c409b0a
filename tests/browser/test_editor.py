"""Editing flows: with the mouse, with only the keyboard, in forms and in the JSON beside the canvas."""

import json
import re

import pytest
from editing import Editor
from playwright.sync_api import expect
from servers import until
from world import chain, flow, node


def placed(definition, apart=280):
    """Return the definition with its nodes placed in a row."""
    nodes = [item | {"position": {"x": apart * at, "y": 0}} for at, item in enumerate(definition["nodes"])]
    return definition | {"nodes": nodes}


def three():
    """Return a flow of three nodes in a row; only the first two are connected."""
    return placed(flow(node("start", "manual"), "one", "two", edges=["start one"]))


# Adding


def test_enter_adds_the_found_node_after_the_selected_one(editor):
    editor.open(three()).click("one")
    editor.page.get_by_role("button", name="Add node", exact=True).click()
    editor.pick("crypto")
    editor.becomes(nodes=["start", "one", "two", "crypto"], wires=["start one", "one crypto"])
    editor.selected("crypto")


def test_a_search_knows_synonyms_and_gives_a_hint_without_results(editor):
    editor.open(flow(node("start", "manual")))
    editor.page.get_by_role("button", name="Add node", exact=True).click()
    search = editor.palette.get_by_role("combobox", name="Search nodes")
    search.fill("delay")
    expect(editor.palette.get_by_role("option")).to_contain_text(["Wait"])
    search.fill("no such thing")
    expect(editor.palette.get_by_role("option")).to_have_count(0)
    said = editor.palette.get_by_role("status")
    expect(said).to_contain_text("No node matches “no such thing”")
    # The hint appears right below the search field.
    assert said.bounding_box()["y"] - search.bounding_box()["y"] < 80


def test_a_node_is_dragged_from_the_list_to_its_position(editor):
    editor.open(three())
    editor.page.get_by_role("button", name="Show node list").click()
    listed = editor.page.get_by_role("region", name="Node list")
    listed.get_by_role("combobox", name="Search nodes").fill("crypto")
    spot = editor.spot(0.5, 0.8)
    box = editor.canvas.bounding_box()
    at = {"x": spot[0] - box["x"], "y": spot[1] - box["y"]}
    listed.get_by_role("option", selected=True).drag_to(editor.canvas, target_position=at)
    found = editor.box(editor.node("crypto"))
    assert abs(found["x"] + found["width"] / 2 - spot[0]) < 40 and abs(found["y"] + found["height"] / 2 - spot[1]) < 40
    editor.becomes(nodes=["start", "one", "two", "crypto"], wires=["start one"])


def test_the_plus_button_of_an_edge_inserts_a_node(editor):
    editor.open(three())
    plus = editor.page.locator("[role=button][aria-label='Insert a node between Manual start and No operation']")
    plus.hover(force=True)
    plus.click()
    editor.pick("crypto")
    editor.becomes(wires=["start crypto", "crypto one"])


def test_an_edge_dropped_on_the_canvas_offers_possible_successors(editor):
    editor.open(three())
    editor.drag(editor.handle("two"), editor.spot(0.8, 0.8))
    expect(editor.palette.get_by_role("option", name=re.compile("Webhook"))).to_have_count(0)  # a trigger
    editor.pick("crypto")
    editor.becomes(wires=["start one", "two crypto"])


# Connecting


def test_dragging_from_handle_to_handle_connects_two_nodes(editor):
    editor.open(three())
    editor.drag(editor.handle("one"), editor.into("two"))
    editor.becomes(wires=["start one", "one two"])


@pytest.mark.parametrize(
    ("start", "end", "reason"),
    [("two", "one", "This would create a cycle"), ("start", "one", "These nodes are already connected")],
)
def test_an_invalid_connection_is_refused_with_a_reason(editor, start, end, reason):
    editor.open(placed(chain(node("start", "manual"), "one", "two")))
    editor.drag(editor.handle(start), editor.into(end), drop=False)
    expect(editor.canvas.get_by_text(reason)).to_be_visible()
    editor.page.mouse.up()
    expect(editor.canvas.get_by_text(reason)).to_have_count(0)
    expect(editor.edges).to_have_count(2)
    assert editor.wires() == ["one two", "start one"]


def test_a_trigger_has_no_input_handle(editor):
    editor.open(placed(flow("one", node("start", "manual"))))
    expect(editor.handle("start")).to_have_count(1)
    expect(editor.into("start")).to_have_count(0)


def test_branches_are_labelled_and_can_be_connected(editor):
    check = node("check", "if", {"condition": "{{ input.total > 10 }}"})
    editor.open(placed(flow(node("start", "manual"), check, "big", edges=["start check"]), 300))
    for branch in ("true", "false"):
        expect(editor.node("check").get_by_text(branch, exact=True)).to_be_visible()
    editor.drag(editor.handle("check", "true"), editor.into("big"))
    editor.becomes(wires=["start check", "check big true"])


def test_branches_from_the_settings_appear_while_typing(editor):
    editor.open(
        placed(flow(node("start", "manual"), node("fork", "switch", {"value": "{{ input }}"}), edges=["start fork"]))
    )
    editor.click("fork")
    shown = editor.node("fork")
    expect(shown.get_by_text("default", exact=True)).to_be_visible()
    editor.tab("JSON")
    text = editor.panel.get_by_role("textbox", name="Settings as JSON")
    text.click()
    editor.press("Control+A")
    editor.page.keyboard.insert_text(json.dumps({"value": "{{ input }}", "cases": ["gold"]}))
    expect(shown.get_by_text("gold", exact=True)).to_be_visible()


# Undo and redo, copy and paste


def test_undo_reverts_a_change_and_redo_repeats_it(editor):
    editor.open(three()).click("two")
    editor.press("Delete")
    editor.becomes(nodes=["start", "one"])
    editor.press("Control+z")
    editor.becomes(nodes=["start", "one", "two"])
    editor.press("Control+Shift+z")
    editor.becomes(nodes=["start", "one"])
    editor.page.get_by_role("button", name="Undo").click()
    editor.becomes(nodes=["start", "one", "two"])
    editor.page.get_by_role("button", name="Redo").click()
    editor.becomes(nodes=["start", "one"])


def test_nodes_are_copied_to_another_flow_with_edges_and_settings(editor):
    editor.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    source = placed(chain(node("start", "manual"), node("keep", "set", {"values": {"a": 1}}), "last"))
    editor.open(source).click("keep")
    editor.click("last", modifiers=["Shift"])
    editor.selected("keep", "last")
    editor.press("Control+c")
    expect(editor.page.get_by_text("2 nodes copied")).to_be_visible()
    editor.open(placed(flow(node("start", "manual"), "last", edges=["start last"])))
    editor.page.mouse.click(*editor.spot(0.4, 0.85))
    editor.press("Control+v")
    editor.becomes(nodes=["start", "last", "keep", "last_2"], wires=["start last", "keep last_2"])
    assert next(item for item in editor.definition["nodes"] if item["id"] == "keep")["config"] == {"values": {"a": 1}}


def test_cut_removes_nodes_and_paste_restores_them(editor):
    editor.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    editor.open(three()).click("two")
    editor.press("Control+x")
    editor.becomes(nodes=["start", "one"])
    editor.press("Control+v")
    editor.becomes(nodes=["start", "one", "two"])


def test_nodes_selected_by_a_box_are_deleted_together(editor):
    editor.open(three())
    first, last = editor.box(editor.node("one")), editor.box(editor.node("two"))
    editor.page.keyboard.down("Shift")
    editor.drag((first["x"] - 20, first["y"] - 40), (last["x"] + last["width"] + 20, last["y"] + last["height"] + 40))
    editor.page.keyboard.up("Shift")
    editor.selected("one", "two")
    expect(editor.panel.get_by_text("2 nodes", exact=True)).to_be_visible()
    editor.press("Delete")
    editor.becomes(nodes=["start"], wires=[])


def test_a_selection_box_selects_no_text_so_copying_copies_the_nodes(editor):
    editor.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    editor.open(three())
    # After this click, dragging with Shift would select text in the browser.
    editor.panel.get_by_text("Settings").click()
    first, last = editor.node("one").bounding_box(), editor.node("two").bounding_box()
    editor.page.keyboard.down("Shift")
    editor.drag((first["x"] - 20, first["y"] - 40), (last["x"] + last["width"] + 20, last["y"] + last["height"] + 40))
    editor.page.keyboard.up("Shift")
    editor.selected("one", "two")
    assert editor.page.evaluate("String(getSelection())") == ""
    editor.press("Control+c")
    expect(editor.page.get_by_text("2 nodes copied")).to_be_visible()


# Keyboard only


def test_a_flow_is_built_with_only_the_keyboard(editor):
    editor.open(placed(flow(node("start", "manual"))))
    editor.canvas.focus()
    editor.press("ArrowRight")
    expect(editor.node("start")).to_be_focused()
    editor.press("/")
    editor.pick("log")
    editor.becomes(wires=["start log"])
    # The setting that the new node needs.
    expect(editor.field("Message")).to_be_focused()
    editor.page.keyboard.insert_text("Hello")
    # Also in an editor of expressions this key only runs the flow.
    editor.press("Control+Enter")
    first = editor.ended()
    expect(editor.field("Message")).to_have_text("Hello")
    editor.press("Control+Enter")
    until(lambda: editor.page.wait_for_timeout(50) or editor.ended()["id"] != first["id"], "it has run again")
    until(
        lambda: editor.page.wait_for_timeout(50) or editor.definition["nodes"][1]["config"] == {"message": "Hello"},
        "it is saved",
    )
    editor.press("Escape")
    expect(editor.node("log")).to_be_focused()
    editor.press("Enter")
    expect(editor.field("Level")).to_be_focused()
    editor.press("Tab")
    expect(editor.field("Message")).to_be_focused()
    editor.press("Escape")
    editor.press("ArrowLeft")
    expect(editor.node("start")).to_be_focused()
    editor.press("ArrowRight")
    expect(editor.node("log")).to_be_focused()
    editor.press("Delete")
    editor.becomes(nodes=["start"])
    editor.press("Control+z")
    editor.becomes(nodes=["start", "log"], wires=["start log"])


def test_nodes_are_connected_with_only_the_keyboard(editor):
    editor.open(three()).canvas.focus()
    editor.press("ArrowRight")
    editor.press("ArrowRight")
    editor.selected("one")
    chooser = editor.panel.get_by_label("Connect to…").and_(editor.page.locator("input"))
    chooser.focus()
    offered = editor.page.get_by_role("option", name="No operation (two)", exact=True)
    expect(offered).to_be_visible()
    editor.press("ArrowDown")
    expect(offered).to_have_attribute("data-combobox-selected", "true")
    editor.press("Enter")
    editor.becomes(wires=["start one", "one two"])


def test_the_focus_is_never_lost(editor):
    page = editor.open(three()).page
    editor.canvas.focus()
    editor.press("ArrowRight")
    expect(editor.node("start")).to_be_focused()
    editor.press("Enter")
    editor.panel.get_by_role("tab", name="Notes").focus()
    editor.press("Enter")
    editor.panel.get_by_role("textbox", name="Notes").focus()
    editor.press("Escape")
    expect(editor.node("start")).to_be_focused()
    page.get_by_role("button", name="Hide panel").press("Enter")
    expect(page.get_by_role("button", name="Show panel")).to_be_focused()
    editor.press("Enter")
    page.get_by_role("button", name="steps.start: change id").press("Enter")
    page.get_by_role("textbox", name="Node id").fill("begin")
    editor.press("Enter")
    expect(page.get_by_role("button", name="steps.begin: change id")).to_be_focused()
    page.get_by_role("button", name="Delete node").press("Enter")
    expect(editor.node("begin")).to_have_count(0)
    expect(editor.canvas).to_be_focused()
    page.get_by_role("button", name="Run", exact=True).press("Enter")
    editor.ended()
    expect(page.get_by_role("button", name="Run", exact=True)).to_be_focused()


def test_the_number_of_parallel_branches_is_set_and_kept_within_its_limits(editor):
    def kept(settings):
        # The page's events are processed only during Playwright's own wait.
        holds = lambda: editor.page.wait_for_timeout(50) or editor.definition.get("settings") == settings  # noqa: E731
        until(holds, f"the settings are {settings}")

    editor.open(three())
    field = editor.panel.get_by_role("textbox", name="Parallel branches")
    expect(field).to_have_value("")
    field.fill("4")
    field.press("Tab")
    kept({"parallel": 4})
    editor.page.reload()
    expect(field).to_have_value("4")
    for typed, value in (("99", "16"), ("0", "1")):
        field.fill(typed)
        field.press("Tab")
        expect(field).to_have_value(value)
        kept({"parallel": int(value)})
    field.fill("")
    field.press("Tab")
    kept(None)


# Around the canvas


def test_tidy_up_leaves_no_overlapping_nodes(editor):
    heap = flow(node("start", "manual"), "a", "b", "c", edges=["start a", "start b", "a c", "b c"])
    editor.open(heap | {"nodes": [item | {"position": {"x": 0, "y": 0}} for item in heap["nodes"]]})
    editor.page.get_by_role("button", name="Tidy up").click()
    until(lambda: editor.page.wait_for_timeout(50) or len(spots(editor)) == 4, "each node has its place")
    at = {item["id"]: item["position"] for item in editor.definition["nodes"]}
    assert at["start"]["x"] < at["a"]["x"] < at["c"]["x"] and at["a"]["x"] == at["b"]["x"]
    assert abs(at["a"]["y"] - at["b"]["y"]) >= 64


def test_a_flow_without_positions_is_laid_out_when_it_is_opened_and_when_it_is_pasted(editor):
    bare = flow(node("start", "manual"), "a", "b", edges=["start a", "start b"])
    editor.open(bare)
    start, a, b = (editor.node(name).bounding_box() for name in ("start", "a", "b"))
    assert start["x"] < a["x"] and a["x"] == pytest.approx(b["x"], abs=1)
    assert abs(a["y"] - b["y"]) >= a["height"]
    pasted = json.dumps(bare).replace('"start"', '"begin"')
    paste = "text => { const data = new DataTransfer(); data.setData('text/plain', text);"
    paste += " document.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data, bubbles: true})) }"
    editor.page.evaluate(paste, pasted)
    editor.saved()
    at = {item["id"]: item["position"] for item in editor.definition["nodes"]}
    assert at["begin"]["x"] < at["a_2"]["x"] == at["b_2"]["x"] and at["a_2"]["y"] != at["b_2"]["y"]


def spots(editor):
    return {tuple(item["position"].values()) for item in editor.definition["nodes"]}


def test_the_json_and_the_canvas_stay_in_sync(editor):
    editor.open(three()).click("two")
    editor.page.get_by_role("button", name="JSON", exact=True).click()
    expect(editor.node("two")).to_be_in_viewport(ratio=0.9)
    text = editor.page.get_by_role("textbox", name="Flow as JSON")
    expect(text).to_contain_text('"two"')
    editor.click("two")
    editor.selected("two")
    editor.press("Delete")
    expect(text).not_to_contain_text('"two"')
    text.click()
    editor.press("Control+A")
    editor.page.keyboard.insert_text(json.dumps(placed(chain(node("begin", "manual"), "after"))))
    expect(editor.node("after")).to_be_visible()
    editor.becomes(nodes=["begin", "after"], wires=["begin after"])
    text.click()
    editor.press("Control+A")
    editor.page.keyboard.insert_text('{"nodes": [')
    expect(editor.page.get_by_text("The canvas shows the last valid state")).to_be_visible()
    assert sorted(editor.ids()) == ["after", "begin"]


def test_a_click_on_a_problem_focuses_its_field(editor):
    broken = [node("start", "manual"), node("fetch", "http", {"method": "GET"}), "last"]
    editor.open(placed(chain(*broken)))
    editor.page.get_by_role("button", name=re.compile("problem")).click()
    listed = editor.page.get_by_role("region", name="Problems")
    listed.get_by_role("button").filter(has_text="url").first.click()
    editor.selected("fetch")
    expect(editor.field("URL")).to_be_focused()


def test_an_error_in_an_expression_is_reported_once(editor):
    choice, make = node("choice", "if", {"condition": "{{ input }}"}), node("make", "set", {"values": {"a": "{{ 1 }}"}})
    editor.open(placed(flow(node("start", "manual"), choice, make, edges=[["start", "choice"], ["start", "make"]])))
    editor.run()
    editor.ended()
    editor.click("choice")
    editor.panel.get_by_text("Expression", exact=True).click()
    editor.type_in("Condition", "{{ input.body.}}")
    told = editor.panel.get_by_text('Incomplete: choose a field after "input.body."', exact=True)
    expect(told).to_have_count(1)
    expect(editor.page.get_by_role("button", name="1 problem")).to_be_visible()
    # The preview is loaded, and does not repeat the error.
    expect(editor.panel.locator("[role=status][aria-busy=false]")).to_be_attached()
    expect(told).to_have_count(1)
    expect(editor.panel.get_by_text("Plain text is always true")).to_have_count(0)
    # In a row of a table it is below the row, not below the table.
    editor.click("make")
    editor.write(editor.field("Values: a"), "{{ input. }}")
    told = editor.panel.get_by_text('Incomplete: choose a field after "input."', exact=True)
    expect(told).to_have_count(1)
    expect(editor.field("Values: a")).to_have_attribute("aria-invalid", "true")
    expect(editor.panel.locator("[role=status][aria-busy=false]")).to_be_attached()
    expect(told).to_have_count(1)


def test_an_example_in_an_empty_field_does_not_look_like_a_wrong_value(editor):
    editor.open(placed(flow(node("clock", "schedule")))).click("clock")
    cron = editor.field("Cron expression")
    expect(cron).to_have_attribute("aria-invalid", "true")
    expect(cron).to_have_attribute("placeholder", re.compile("^For example "))
    example, wrong = cron.evaluate("(it) => [getComputedStyle(it, '::placeholder').color, getComputedStyle(it).color]")
    assert example != wrong


# Return the labels of the buttons that the tooltip covers.
COVERED = """(tip) => {
    const box = tip.getBoundingClientRect();
    const isCovered = ({ left, right, top, bottom }) =>
        left < box.right && right > box.left && top < box.bottom && bottom > box.top;
    return [...document.querySelectorAll("button, input")]
        .filter((one) => isCovered(one.getBoundingClientRect()))
        .map((one) => one.ariaLabel ?? one.textContent);
}"""


def test_tooltips_of_the_panel_cover_no_button(editor):
    editor.open(placed(chain(node("start", "manual"), node("keep", "set", {"values": {"a": "{{ 1 }}"}})))).click("keep")
    tip = editor.page.get_by_role("tooltip")
    head = ("Dock below the canvas", "Widen panel", "Hide panel")
    for name in (*head, "Duplicate", "Delete node", "steps.keep: change id", "Run this node"):
        editor.panel.get_by_role("button", name=name).hover()
        expect(tip).to_have_count(1)
        assert tip.evaluate(COVERED) == [], name
        editor.page.mouse.move(*editor.spot(0.1, 0.6))
        expect(tip).to_have_count(0)


def test_data_is_inserted_into_an_expression_in_a_table_row(editor):
    editor.open(placed(chain(node("start", "manual"), node("keep", "set", {"values": {"a": "{{ 1 }}"}})))).click("keep")
    editor.field("Values: a").click()
    button = editor.panel.get_by_role("button", name="Insert data")
    assert button.locator(".mantine-Button-label").evaluate("it => it.scrollWidth <= it.clientWidth")
    button.click()
    editor.press("Control+a")
    editor.panel.get_by_role("button", name="now").click()
    expect(editor.field("Values: a")).to_contain_text("now")
    expect(editor.field("Values: a")).to_be_focused()


# Return true if the center of an element is visible: nothing covers it or cuts it off.
ON_TOP = """(thing) => {
    const { x, y, width, height } = thing.getBoundingClientRect();
    return thing.contains(document.elementFromPoint(x + width / 2, y + height / 2));
}"""


def test_the_completion_list_is_visible_in_safari(editor):
    # In Safari the list is inside of the field instead of above the page, and must not be cut off.
    editor.page.add_init_script("Object.defineProperty(navigator, 'vendor', { value: 'Apple Computer, Inc.' })")
    editor.open(placed(chain(node("start", "manual"), node("keep", "set", {"values": {"a": "{{ 1 }}"}})))).click("keep")
    editor.field("Values: a").click()
    editor.press("Control+a")
    editor.page.keyboard.type("{{ inp", delay=50)
    offered = editor.panel.get_by_role("option", name="input")
    expect(offered).to_be_visible()
    expect(editor.panel.locator(".cm-tooltip-autocomplete")).to_have_css("position", "absolute")
    assert offered.evaluate(ON_TOP)
    editor.press("Enter")
    expect(editor.field("Values: a")).to_have_text("{{ input}}")


def test_notes_are_saved_and_shown_at_their_node(editor):
    editor.open(three()).click("one")
    editor.tab("Notes")
    editor.panel.get_by_role("textbox", name="Notes").fill("Asked for by the sales team")
    expect(editor.node("one").get_by_label("Note: Asked for by the sales team")).to_be_visible()
    editor.saved()
    editor.page.reload()
    expect(editor.node("one").get_by_label("Note: Asked for by the sales team")).to_be_visible()


# Saving


def test_changes_are_saved_automatically_as_a_draft_and_become_one_version(editor):
    before = editor.open(three()).stored["version"]
    for name in ("The second", "The last"):
        editor.click("two")
        editor.panel.get_by_role("textbox", name="Node name").fill(name)
        editor.saved()
        expect(editor.page.get_by_role("button", name="Save version")).to_be_visible()
    assert editor.draft["definition_json"] and editor.stored["version"] == before
    editor.page.reload()
    expect(editor.node("two")).to_contain_text("The last")
    editor.press("Control+s")
    expect(editor.page.get_by_text(f"Saved as version {before + 1}")).to_be_visible()
    expect(editor.page.get_by_role("button", name="Save version")).to_have_count(0)
    assert (editor.stored["version"], editor.published["nodes"][2]["name"]) == (before + 1, "The last")


def test_unsaved_changes_survive_a_reload(editor, watch):
    editor.open(three())
    watch.allow("failed", "PUT", editor.flow)
    allow_saves = editor.refuse_saves()
    editor.click("two")
    editor.panel.get_by_role("textbox", name="Node name").fill("Not saved yet")
    expect(editor.page.get_by_text("Not saved; retrying")).to_be_visible()
    editor.page.reload()
    expect(editor.node("two")).to_contain_text("Not saved yet")
    assert "name" not in editor.definition["nodes"][2]
    allow_saves()
    editor.saved()
    assert editor.definition["nodes"][2]["name"] == "Not saved yet"


def test_changes_of_an_active_flow_apply_only_after_publishing(editor):
    editor.open(editor.add(three(), status="active")).click("two")
    editor.panel.get_by_role("textbox", name="Node name").fill("Later")
    expect(editor.page.get_by_text("Draft saved")).to_be_visible()
    editor.page.reload()
    expect(editor.node("two")).to_contain_text("Later")
    assert "name" not in editor.published["nodes"][2]
    editor.page.get_by_role("button", name="Publish", exact=True).click()
    expect(editor.page.get_by_text("Draft saved")).to_be_hidden()
    assert editor.published["nodes"][2]["name"] == "Later"


def test_each_tab_keeps_its_changes_and_a_closed_tab_offers_them_to_the_next(editor, watch):
    flow = editor.add(three(), status="active")
    watch.allow("failed", "PUT", flow)
    editor.refuse_saves()
    other = Editor(editor.page.context.new_page(), editor.server).open(flow)
    editor.open(flow)
    for tab, id_ in ((editor, "one"), (other, "two")):
        tab.click(id_)
        tab.panel.get_by_role("textbox", name="Node name").fill("Typed here")
    for tab, mine, theirs in ((editor, "one", "two"), (other, "two", "one")):
        tab.page.reload()
        expect(tab.node(mine)).to_contain_text("Typed here")
        expect(tab.node(theirs)).not_to_contain_text("Typed here")
    other.page.close()
    editor.page.reload()
    kept = editor.page.get_by_role("status").filter(has_text="has unsaved changes")
    expect(kept).to_contain_text("it has 2 nodes changed")
    kept.get_by_role("button", name="Use here").click()
    expect(editor.node("two")).to_contain_text("Typed here")
    expect(kept).to_have_count(0)
    editor.press("Control+z")
    expect(editor.node("one")).to_contain_text("Typed here")


def test_changes_of_a_deleted_flow_can_be_saved_as_a_new_flow(editor, watch):
    flow = editor.add(three(), status="active")
    editor.open(flow).click("one")
    watch.allow("failed", "PUT", flow)
    editor.refuse_saves()
    editor.panel.get_by_role("textbox", name="Node name").fill("Typed before")
    editor.server.call("DELETE", f"/api/workflows/{flow}", status=(204,))
    watch.allow(404, flow)
    editor.page.reload()
    expect(editor.page.get_by_text("Flow not found")).to_be_visible()
    editor.page.get_by_role("button", name="Save as new flow").click()
    expect(editor.node("one")).to_contain_text("Typed before")


def test_the_editor_is_accessible_with_every_panel(editor, axe):
    check = node("check", "if", {"condition": "{{ input.total > 10 }}"})
    editor.open(placed(chain(node("start", "manual"), check, node("fetch", "http")))).click("check")
    expect(editor.panel.get_by_role("combobox", name="Condition, condition 1: field")).to_be_visible()
    axe(editor.page)
    for tab in ("Options", "Notes", "JSON"):
        editor.tab(tab)
        axe(editor.page, within="aside")
    editor.canvas.focus()
    editor.press("?")
    expect(editor.page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    axe(editor.page)


def test_the_menu_of_the_flow_duplicates_archives_and_deletes_it(editor, watch):
    page = editor.page
    editor.open(placed(chain("start", "a")))
    # The editor polls the flow every few seconds, and may do so once more after it was deleted. Then it leaves it.
    watch.allow(404, f"{editor.server.url}/api/workflows/{editor.flow}")

    def choose(item):
        page.get_by_role("button", name="Flow actions").click()
        page.get_by_role("menuitem", name=item).click()

    choose("Duplicate")
    expect(page.get_by_role("link", name="Flow (copy)")).to_be_visible()
    choose("Archive")
    page.get_by_role("dialog", name="Archive").get_by_role("button", name="Archive").click()
    expect(page.get_by_text("Archived", exact=True).first).to_be_visible()
    assert editor.stored["status"] == "archived"
    choose("Delete")
    page.get_by_role("dialog", name="Delete").get_by_role("button", name="Delete").click()
    expect(page).to_have_url(f"{editor.server.url}/flows")
