"""Debounced webhooks: calls within a window start one run, and none is lost."""

import pytest
from dispatching import output
from world import add_flow, at_once, chain, node, run_of

from database import write
from database.base import now_ms
from database.queries import debounces
from definition import check, plan
from dispatch import Start
from dispatch.debounce import collect, wake
from errors import BadInput, Conflict
from models import Debounce, Run


def hook(debounce, **config):
    return node("hook", "webhook", {"path": "changed", **config}, debounce=debounce)


def flow_of(seconds=10, **debounce):
    """Return a flow with a debounced webhook."""
    return add_flow(chain(hook({"seconds": seconds, **debounce}), node("end", "act")))


def call(dispatcher, flow, input, key=None):
    """Take a call of the webhook. Return the id of its run."""
    made = dispatcher.resources.plan_of(flow)
    start = Start(flow, input, "webhook", "hook", key)
    return collect(dispatcher.resources, start, made, made.by_id["hook"].debounce).run.id


def pass_time(dispatcher, seconds):
    """Start what is due after these seconds."""
    wake(dispatcher.resources, now_ms() + int(seconds * 1000))
    dispatcher.pick_up()


@pytest.mark.parametrize(("keep", "expected"), [("last", 3), ("first", 1), ("all", [1, 2, 3])])
def test_calls_within_the_window_start_one_run(inline, keep, expected):
    flow = flow_of(keep=keep)
    (id_,) = {call(inline, flow, n) for n in (1, 2, 3)}
    inline.wake()
    assert (run_of(id_).status, run_of(id_).waiting) == ("pending", debounces.COLLECTING)
    pass_time(inline, 11)
    assert output(inline, run_of(id_)) == expected and Debounce.select().count() == 0


def test_a_call_after_the_window_starts_another_run(inline):
    flow = flow_of()
    first = call(inline, flow, 1)
    pass_time(inline, 11)
    second = call(inline, flow, 2)
    assert first != second and run_of(first).status == "success" and run_of(second).status == "pending"


def test_calls_with_different_keys_start_different_runs(inline):
    flow = flow_of(key="{{ input.id }}")
    ids = [call(inline, flow, {"id": id_, "n": n}) for n, id_ in enumerate([1, 2, 1, "1"])]
    assert ids[0] == ids[2] and len(set(ids)) == 3
    pass_time(inline, 11)
    assert output(inline, run_of(ids[0])) == {"id": 1, "n": 2}


def test_a_key_that_cannot_be_computed_is_refused_and_leaves_nothing(inline):
    flow = flow_of(key="{{ input.id }}")
    with pytest.raises(BadInput, match="debounce.key"):
        call(inline, flow, {})
    assert Run.select().count() == Debounce.select().count() == 0


def test_calls_that_do_not_stop_start_a_run_nevertheless(inline):
    flow = flow_of(seconds=1)
    id_ = call(inline, flow, 1)
    before = now_ms() - 9_900
    Debounce.update(first_at=before, due_at=now_ms() + 500).execute()
    assert call(inline, flow, 2) == id_
    assert Debounce.get().due_at == before + 10_000


def test_large_inputs_are_collected_too(start):
    one = start(inline=True, inline_value_bytes=10)
    for keep, expected in (("last", "y" * 50), ("all", ["x" * 50, "y" * 50])):
        flow = flow_of(keep=keep)
        id_ = call(one, flow, "x" * 50)
        assert call(one, flow, "y" * 50) == id_
        pass_time(one, 11)
        assert output(one, run_of(id_)) == expected


def test_a_large_call_that_is_not_committed_is_not_in_the_list(start):
    one = start(inline=True, inline_value_bytes=10)
    flow = flow_of(keep="all")
    id_ = call(one, flow, "x" * 50)
    with pytest.raises(ZeroDivisionError), write():
        call(one, flow, "y" * 50)
        raise ZeroDivisionError
    pass_time(one, 11)
    assert output(one, run_of(id_)) == ["x" * 50] and run_of(id_).input is None


def test_a_list_of_calls_that_is_full_begins_another_run(start):
    one = start(inline=True, max_value_bytes=100)
    flow = flow_of(keep="all")
    ids = [call(one, flow, "x" * 40) for _ in range(3)]
    assert ids[0] == ids[1] != ids[2]
    pass_time(one, 11)
    assert output(one, run_of(ids[0])) == ["x" * 40] * 2 and output(one, run_of(ids[2])) == ["x" * 40]


def test_a_repeated_call_with_its_idempotency_key_is_not_counted_twice(inline):
    flow = flow_of(keep="all")
    assert call(inline, flow, 1, "k") == call(inline, flow, 1, "k")
    id_ = call(inline, flow, 2, "other")
    pass_time(inline, 11)
    assert output(inline, run_of(id_)) == [1, 2]
    assert call(inline, flow, 2, "other") == id_


def test_a_cancelled_run_takes_no_more_calls(inline):
    flow = flow_of()
    first = call(inline, flow, 1)
    inline.cancel(run_of(first), "Ada")
    assert call(inline, flow, 2) != first


def test_an_archived_flow_takes_no_call(inline):
    flow = flow_of()
    flow.status = "archived"
    with pytest.raises(Conflict):
        call(inline, flow, 1)


def test_calls_at_the_same_time_are_all_in_the_list(start):
    one = start(run_threads=1)
    flow = flow_of(keep="all")
    ids = at_once(8, lambda number: call(one, flow, number))
    (id_,) = set(ids)
    assert sorted(one.resources.input_of(run_of(id_))) == list(range(8))


def test_another_process_starts_the_run_if_the_first_one_dies_in_the_window(start):
    flow = flow_of()
    one = start(inline=True)
    id_ = call(one, flow, 7)
    other = start(inline=True)  # the first one does nothing from here on
    pass_time(other, 11)
    assert output(other, run_of(id_)) == 7


@pytest.mark.parametrize(
    ("debounce", "path"),
    [
        ({}, "debounce.seconds"),
        ({"seconds": 0}, "debounce.seconds"),
        ({"seconds": 1, "keep": "some"}, "debounce.keep"),
        ({"seconds": 1, "key": "id"}, "debounce.key"),
        ({"seconds": 1, "key": 7}, "debounce.key"),
        ({"seconds": 1, "wait": 7}, "debounce.wait"),
        (5, "debounce"),
    ],
)
def test_the_settings_are_checked(debounce, path):
    assert f"nodes[0].{path}" in {issue.path for issue in check(chain(hook(debounce)))[1]}


def test_a_webhook_that_collects_must_respond_immediately():
    assert plan(chain(hook({"seconds": 1}))).by_id["hook"].debounce.keep == "last"
    assert [issue.path for issue in check(chain(hook({"seconds": 1}, respond="last")))[1]] == ["nodes[0].debounce"]


@pytest.mark.parametrize(
    ("type_", "config"),
    [
        pytest.param("poll", {"url": "https://example.com/orders"}, marks=pytest.mark.pack("polls")),
        pytest.param(
            "github_trigger", {"path": "github", "credential": "secret"}, marks=pytest.mark.pack("connectors")
        ),
        pytest.param(
            "airtable_poll",
            {"operation": "list_records", "credential": "a", "base": "appXYZ", "table": "Orders"},
            marks=pytest.mark.pack("connectors"),
        ),
    ],
)
def test_triggers_that_find_or_get_events_can_collect_them(type_, config):
    made = plan(chain(node("new", type_, config, debounce={"seconds": 1})))
    assert made.by_id["new"].debounce.seconds == 1


@pytest.mark.parametrize(
    ("type_", "config", "told"),
    [
        ("manual", {}, "cannot be used on 'manual'; only triggers of calls, messages and polled entries can collect"),
        ("schedule", {"every": 60}, "cannot be used on 'schedule'; set a longer interval"),
    ],
)
def test_other_nodes_cannot_collect(type_, config, told):
    (issue,) = check(chain(node("a", type_, config, debounce={"seconds": 1})))[1]
    assert (issue.path, issue.message) == ("nodes[0].debounce", told)


def test_the_key_has_only_what_there_is_before_a_run():
    (issue,) = check(chain(hook({"seconds": 1, "key": "{{ [input.id, run.id] }}"})))[1]
    assert issue.path == "nodes[0].debounce.key" and issue.message.startswith("run is not available here")


def test_a_call_before_the_run_of_a_passed_window_is_started_does_not_replace_it(inline):
    flow = flow_of()
    first = call(inline, flow, 1)
    with write():
        Debounce.update(due_at=now_ms() - 1).execute()
    second = call(inline, flow, 2)
    pass_time(inline, 11)
    assert second != first and [output(inline, run_of(id_)) for id_ in (first, second)] == [1, 2]
