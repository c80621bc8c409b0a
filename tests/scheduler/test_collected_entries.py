"""Polling triggers with a debounce: entries within a window start one run, and each is taken once."""

import orjson
import pytest
from engines import accept_inserts, refuse_inserts
from moments import Clock, logged
from sources import Process, active, entries, keys, polling, row
from world import at_once, flow, node

from database import write
from database.base import now_ms
from database.queries import debounces
from database.queries.polls import CLAIM_MS
from dispatch.debounce import wake
from models import Debounce, Poll, PollEntry, Run
from scheduler.polls import RUNS_AT_ONCE

pytestmark = pytest.mark.usefixtures("path")
WINDOW = 3600


def collecting(keep="all", config=None, settings=None, **debounce):
    """Return a flow whose trigger collects entries."""
    trigger = node("new", "watch", config or {}, debounce={"seconds": WINDOW, "keep": keep, **debounce})
    return flow(trigger, node("end"), edges=["new end"], **(settings or {}))


def begun(process, made):
    """Make the flow active, and its first poll."""
    made = active(made)
    process.look()
    return made


def inputs():
    """Return the inputs of the runs, in their order."""
    return [orjson.loads(run.input) for run in Run.select().order_by(Run.id)]


def listed(*names):
    return [{"key": key} for key in names]


@pytest.mark.parametrize(("keep", "expected"), [("last", "c"), ("first", "a"), ("all", "abc")])
def test_entries_of_several_polls_start_one_run(source, process, keep, expected):
    made = begun(process, collecting(keep))
    for shown in (["a", "b"], ["a", "b"], ["b", "c"]):
        source.shown = shown
        process.look()
    (run,) = Run.select()
    assert (run.status, run.waiting, run.triggered_by) == ("pending", debounces.COLLECTING, "schedule")
    (input,) = inputs()
    assert input == (listed(*expected) if keep == "all" else {"key": expected})
    assert {entry.run_id for entry in PollEntry.select()} == {run.id} and len(entries(made)) == 3
    assert wake(process.dispatcher.resources, now_ms() + 10_000 * WINDOW)
    assert Run.get().waiting is None and Debounce.select().count() == 0


def test_the_run_gets_the_collected_entries(source, tmp_path):
    with polling(tmp_path, runs=True) as process:
        begun(process, collecting())
        source.shown = ["a", "b"]
        process.look()
        wake(process.dispatcher.resources, now_ms() + 10_000 * WINDOW)
        process.dispatcher.pick_up()
    run = Run.get()
    assert run.status == "success" and orjson.loads(run.output) == listed("a", "b")


def test_entries_with_different_keys_start_different_runs(source, process):
    begun(process, collecting(key="{{ input.key[0] }}"))
    source.shown = ["a1", "b1", "a2"]
    process.look()
    source.shown = ["b2"]
    process.look()
    assert inputs() == [listed("a1", "a2"), listed("b1", "b2")]


def test_the_key_sees_variables_and_the_flow(source, process):
    begun(process, collecting(key="{{ [vars.shop, workflow.name, trigger.key] }}", settings={"vars": {"shop": 1}}))
    source.shown = ["a", "b"]
    process.look()
    assert inputs() == [listed("a"), listed("b")]


def test_an_entry_whose_key_cannot_be_computed_is_not_lost(source, process):
    source.value = lambda key: {"key": key, **({} if key.startswith("bad") else {"id": 1})}
    begun(process, collecting(key="{{ input.id }}"))
    source.shown = ["a", "bad1", "bad2", "b"]
    process.look()
    found = [[entry["key"] for entry in input] for input in inputs()]
    assert found == [["a", "b"], ["bad1"], ["bad2"]]
    ((level, message),) = logged()
    assert level == "warning" and "starts a run for 'bad1' alone: debounce.key" in message


def test_a_list_that_is_full_starts_its_run_and_begins_another(source, tmp_path):
    source.value = lambda key: {"key": key, "text": "x" * 25}
    with polling(tmp_path, max_value_bytes=100) as process:
        begun(process, collecting())
        source.shown = ["a", "b", "c"]
        process.look()
    first, second = Run.select().order_by(Run.id)
    assert (first.waiting, second.waiting) == (None, debounces.COLLECTING)
    assert [[entry["key"] for entry in input] for input in inputs()] == [["a", "b"], ["c"]]


def test_an_entry_that_is_too_large_is_logged_and_delays_no_other(source, tmp_path):
    source.value = lambda key: {"key": key, "text": "x" * (200 if key == "large" else 1)}
    with polling(tmp_path, max_value_bytes=100) as process:
        begun(process, collecting())
        source.shown = ["a", "large", "b"]
        process.look()
        process.look()
    assert [[entry["key"] for entry in input] for input in inputs()] == [["a", "b"]]
    assert [level for level, _ in logged()] == ["error"]


def test_many_entries_are_recorded_in_several_transactions(source, process):
    made = begun(process, collecting())
    source.shown = keys(1, 2 * RUNS_AT_ONCE + 1)
    process.look()
    assert inputs() == [listed(*source.shown)] and orjson.loads(row(made).state) == {"polls": 2}


def test_only_a_new_window_needs_room(source, tmp_path):
    with polling(tmp_path, max_pending=4) as process:
        made = begun(process, collecting(key="{{ input.key[0] }}"))
        source.shown = ["a1", "a2", "b1", "a3", "c1", "d1"]
        process.look()
        assert inputs() == [listed("a1", "a2", "a3"), listed("b1")]
        assert orjson.loads(row(made).state) == {"polls": 1}
        process.look()
    assert inputs() == [listed("a1", "a2", "a3"), listed("b1"), listed("c1"), listed("d1")]
    assert orjson.loads(row(made).state) == {"polls": 2}


# Interruptions


@pytest.mark.parametrize("inline", [10, 1_000])
def test_a_failed_transaction_takes_nothing(source, tmp_path, inline):
    with polling(tmp_path, inline_value_bytes=inline) as process:
        made = begun(process, collecting())
        source.shown = ["a"]
        process.look()
        source.shown = ["a", "b", "c"]
        source.during = lambda ctx: refuse_inserts("poll_entries")
        process.look()
        source.during = lambda ctx: None
        accept_inserts()
        assert inputs() == [listed("a")] and len(entries(made)) == 1
        process.look()
    assert inputs() == [listed("a", "b", "c")]


def test_the_entries_of_a_lost_claim_are_taken_once(source, tmp_path):
    clock = Clock(now_ms())
    with polling(tmp_path, clock) as slow, polling(tmp_path, clock) as other:
        made = begun(slow, collecting())
        source.shown = ["a", "b"]

        def be_overtaken(ctx):
            source.during = lambda ctx: None
            clock.pass_by(CLAIM_MS)
            other.tick()
            assert inputs() == [listed("a", "b")], "the other has collected them"

        source.during = be_overtaken
        slow.look()
        assert inputs() == [listed("a", "b")] and orjson.loads(row(made).state) == {"polls": 2}


def test_two_leaders_at_once_take_each_entry_once(source, tmp_path):
    with polling(tmp_path) as first, polling(tmp_path) as second:
        begun(first, collecting())
        processes = [Process(dispatcher, first.clock) for dispatcher in (first.dispatcher, second.dispatcher) * 2]
        for process in processes:
            process.poller.leads = lambda: True
        for last in range(1, 6):
            source.shown = keys(1, 4 * last)
            with write():
                Poll.update(next_at=first.clock.now).execute()
            at_once(4, lambda number: processes[number].poller.tick())
    assert inputs() == [listed(*keys(1, 20))]


def test_two_triggers_at_once_deadlock_never(source, tmp_path):
    """Each flow has windows of its own, but the rows of both are in the same tables."""
    with polling(tmp_path) as process:
        flows = [begun(process, collecting(key="{{ input.key }}")) for _ in range(2)]
        source.shown = keys(1, 40)
        others = [Process(process.dispatcher, process.clock) for _ in flows]
        for each in others:
            each.poller.leads = lambda: True
        with write():
            Poll.update(next_at=process.clock.now).execute()
        at_once(2, lambda number: others[number].poller.tick())
    assert sorted(str(input) for input in inputs()) == sorted(str(listed(key)) for key in keys(1, 40) * len(flows))
