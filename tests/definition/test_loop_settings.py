"""Settings of loops, repeats and rate limits: accepted values, and the path of each issue."""

import pytest
from world import flow, node

import nodes  # noqa: F401  (fills the registry)
from definition import check


def issues(made):
    return [(issue.path, issue.node_id) for issue in check(made)[1]]


def test_a_node_that_routes_items_does_not_continue_after_errors():
    made = flow(node("a", "if", {"condition": True}, foreach="{{ input }}", on_error="continue"))
    assert issues(made) == [("nodes[0].on_error", "a")]


def test_a_node_that_asks_by_a_form_has_no_loop():
    config = {"message": "?", "fields": [{"name": "a", "kind": "text"}]}
    assert ("nodes[0].foreach", "a") in issues(flow(node("a", "approval", config, foreach=[1])))


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ({"concurrency": 2}, "concurrency"),
        ({"foreach": [1], "concurrency": 0}, "concurrency"),
        ({"foreach": [1], "concurrency": 101}, "concurrency"),
        ({"foreach": [1], "concurrency": 1.5}, "concurrency"),
        ({"delay": 1}, "delay"),
        ({"foreach": [1], "delay": -1}, "delay"),
        ({"repeat": 3}, "repeat"),
        ({"repeat": {}}, "repeat.until"),
        ({"repeat": {"until": "done"}}, "repeat.until"),
        ({"repeat": {"until": "{{ output"}}, "repeat.until"),
        ({"repeat": {"until": "{{ steps.z }}"}}, "repeat.until"),
        ({"repeat": {"until": "{{ output }}", "every": -1}}, "repeat.every"),
        ({"repeat": {"until": "{{ output }}", "at_most": 0}}, "repeat.at_most"),
        ({"repeat": {"until": "{{ output }}", "times": 2}}, "repeat.times"),
        ({"rate": {}}, "rate.calls"),
        ({"rate": {"calls": 0}}, "rate.calls"),
        ({"rate": {"calls": 1, "per": 0}}, "rate.per"),
        ({"rate": {"calls": 1, "key": ""}}, "rate.key"),
        ({"rate": {"calls": 1, "key": 5}}, "rate.key"),
        ({"rate": [1]}, "rate"),
    ],
)
def test_settings_of_loops_repeats_and_rates_are_checked(more, path):
    found = [issue[0] for issue in issues(flow(node("a", **more)))]
    assert f"nodes[0].{path}" in found


@pytest.mark.parametrize("key", ["repeat", "rate"])
def test_a_node_that_waits_with_branches_is_neither_repeated_nor_limited(key):
    more = {"repeat": {"until": "{{ output }}"}, "rate": {"calls": 1}}[key]
    assert issues(flow(node("a", "approval", {"message": "?"}, **{key: more}))) == [(f"nodes[0].{key}", "a")]
