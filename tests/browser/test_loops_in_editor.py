"""Loops in the editor: their options, and how many items went over each edge of a run."""

import pytest
from playwright.sync_api import expect
from test_editor import placed
from world import flow, node


def sieve():
    check = node("check", "if", {"condition": "{{ item > 2 }}"}, foreach="{{ input }}")
    start = node("start", "set", {"values": {"list": [1, 5, 2, 3, 9]}})
    items = node("items", "jmespath", {"query": "list"})
    end = node("end", "set", {"values": {"n": "{{ item }}"}}, foreach="{{ input }}")
    again = node("again", "set", {"values": {"n": 1}}, repeat={"until": "{{ round == 3 }}", "every": 0})
    last = node("last", "if", {"condition": "{{ input.n > 5 }}"})
    made = flow(start, items, check, "large", "small", end, again, last)
    return made | {
        "edges": [["start", "items"], ["items", "check"], ["check", "large", "true"], ["check", "small", "false"],
                  ["large", "end"], ["small", "again"], ["again", "last"]],
    }  # fmt: skip


def test_a_run_shows_how_many_items_took_each_branch(editor):
    editor.open(placed(sieve())).run()
    editor.ended()
    editor.ran("large", "success")
    editor.ran("small", "success")
    expect(editor.page.get_by_text("3 items").first).to_be_visible()
    expect(editor.page.get_by_text("2 items").first).to_be_visible()
    # On the card and at its outputs, also if nothing follows.
    expect(editor.node("check")).to_contain_text("true 3 / false 2")
    for id_, taken in (("check", ["true 3", "false 2"]), ("last", ["false"])):
        expect(editor.node(id_).locator("[data-taken]")).to_have_text(taken)
    editor.click("check")
    editor.tab("Run data")
    output = editor.panel.get_by_role("region", name="Output", exact=True)
    expect(output.get_by_role("heading")).to_have_text("Output true: 3 items · false: 2 items")


def test_the_options_of_a_node_have_loops_repeats_and_rates(editor):
    editor.open(placed(flow(node("call", "http", {"url": "https://example.com"}, foreach="{{ input }}"))))
    editor.click("call")
    editor.tab("Options")
    editor.panel.get_by_label("Items at once").fill("5")
    editor.panel.get_by_label("Pause (s)").fill("2")
    editor.panel.get_by_label("Condition").fill("{{ output.body.done }}")
    editor.panel.get_by_label("Every (s)").fill("30")
    editor.panel.get_by_label("Max time (s)").fill("600")
    editor.panel.get_by_label("Calls", exact=True).fill("60")
    editor.panel.get_by_label("Shared by").fill("example")
    editor.panel.get_by_label("Shared by").blur()
    editor.saved()
    (call,) = editor.definition["nodes"]
    assert (call["concurrency"], call["delay"]) == (5, 2)
    assert call["repeat"] == {"until": "{{ output.body.done }}", "every": 30, "for_at_most": 600}
    assert call["rate"] == {"calls": 60, "key": "example"}


def test_a_webhook_collects_calls_by_its_options(editor):
    editor.open(placed(flow(node("hook", "webhook", {"path": "changed"}))))
    editor.click("hook")
    editor.tab("Options")
    editor.panel.get_by_label("Seconds without a call").fill("10")
    editor.panel.get_by_label("Separate by").fill("{{ input.body.id }}")
    editor.panel.get_by_label("Separate by").blur()
    editor.saved()
    (hook,) = editor.definition["nodes"]
    assert hook["debounce"] == {"seconds": 10, "key": "{{ input.body.id }}"}


@pytest.mark.parametrize(("type_", "collects"), [("rss_trigger", True), ("airtable_poll", True), ("schedule", False)])
def test_the_options_offer_to_collect_where_it_is_possible(editor, type_, collects):
    editor.open(placed(flow(node("new", type_))))
    editor.click("new")
    editor.tab("Options")
    expect(editor.panel.get_by_label("Timeout (seconds)")).to_be_visible()
    expect(editor.panel.get_by_label("Seconds without a call")).to_have_count(int(collects))
