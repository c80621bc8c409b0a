"""The state of a trigger and its age: after changes of flows, of the clock and of the source."""

import orjson
import pytest
from engines import accept_inserts, refuse_inserts
from moments import DAY, HOUR, MINUTE, SECOND, Clock, logged
from sources import Process, active, change, definition, entries, fired, keys, polling, row
from world import at_once, flow, node

import engine
from database import execute, write
from database.base import now_ms
from database.queries import debounces, workflows
from dispatch.debounce import wake
from dispatch.publishing import find_triggers
from models import Debounce, Lease, Poll, PollEntry, Run
from packs.polls import queries as polls
from packs.polls.poller import RUNS_AT_ONCE
from packs.polls.queries import CLAIM_MS, KEPT_ENTRIES, KEPT_MS, MAX_ENTRIES, find_outdated

pytestmark = pytest.mark.usefixtures("path")


# A flow changes


def test_a_flow_changed_during_a_poll_is_polled_again(source, process):
    made = active()
    process.look()
    source.shown = ["a"]

    def edit(ctx):
        source.during = lambda ctx: None
        change(made, definition(settings={"vars": {"a": 1}}))

    source.during = edit
    process.look()
    assert fired() == [] and row(made).state == '{"polls":1}'
    process.clock.pass_by(SECOND)
    process.tick()
    (run,) = Run.select()
    assert run.workflow_version == 2 and len(source.asked) == 3


@pytest.mark.parametrize("status", ["draft", "archived"])
def test_a_flow_deactivated_during_a_poll_starts_nothing(source, process, status):
    made = active()
    process.look()
    source.shown = ["a"]
    source.during = lambda ctx: change(made, status=status)
    process.look()
    process.look(HOUR)
    assert fired() == [] and len(source.asked) == 2


def test_entries_of_an_inactive_time_start_runs_when_the_flow_is_active_again(source, process):
    made = active()
    process.look()
    change(made, status="draft")
    source.shown = ["a"]
    process.look(KEPT_MS - HOUR)
    assert fired() == [] and row(made).next_at is None
    change(made, status="active")
    process.look()
    assert fired() == ["a"]


def test_a_flow_inactive_for_a_month_starts_without_state(source, process):
    made = active()
    source.shown = ["a"]
    process.look()
    change(made, status="draft")
    Poll.update(idle_since=now_ms() - KEPT_MS - SECOND).execute()
    change(made, status="active")
    assert entries(made) == {}
    source.shown = ["a", "b"]
    process.look()
    source.shown = ["a", "b", "c"]
    process.look()
    assert fired() == ["c"]


def test_an_inactive_flow_is_not_polled(source, process):
    made = active()
    process.look()
    execute("UPDATE workflows SET status = 'draft'")
    process.look()
    assert len(source.asked) == 1 and row(made).next_at is None and row(made).idle_since == process.clock.now


def test_another_source_starts_without_state(source, process):
    made = active()
    source.shown = ["a"]
    process.look()
    change(made, definition(url="there"))
    source.shown = ["b"]
    process.look()
    assert [state for _, state in source.asked] == [None, None]
    assert fired() == [] and entries(made) == {polls.digest("b"): True}
    source.shown = ["b", "a"]
    process.look()
    assert fired() == ["a"]


def test_a_change_of_source_undone_before_a_poll_changes_nothing(source, process):
    made = active()
    source.shown = ["a"]
    process.look()
    change(made, definition(url="wrong"))
    source.problem = "there is no such place"
    process.look()
    change(made, definition())
    source.problem, source.shown = None, ["a", "b"]
    process.look()
    assert fired() == ["b"] and source.asked[-1][1] == {"polls": 1}


def test_variables_are_part_of_a_source_that_reads_them(source, process):
    made = active(definition(url="{{ vars.a }}", settings={"vars": {"a": 1}}))
    other = active(definition(settings={"vars": {"a": 1}}))
    sources = (row(made).source, row(other).source)
    change(made, definition(url="{{ vars.a }}", settings={"vars": {"a": 2}}))
    change(other, definition(settings={"vars": {"a": 2}}))
    assert row(made).source != sources[0] and row(other).source == sources[1]


def test_every_and_backlog_are_no_part_of_the_source(source, process):
    made = active(definition(every=60))
    process.look()
    before = row(made)
    change(made, definition(every=30, backlog=True))
    assert row(made).source == before.source
    assert (row(made).every, row(made).next_at) == (30, min(before.next_at, row(made).moved_at + 30 * SECOND))


def test_a_type_without_a_source_uses_all_of_its_config(source):
    plan = engine.plan(definition(url="there", every=5))
    node = plan.nodes[0].node
    named = find_triggers(plan)[0].config["source"]
    del type(node).source
    try:
        assert find_triggers(plan)[0].config["source"] == named
    finally:
        type(node).source = ("url",)


def test_another_edit_does_not_shift_the_next_poll(source, process):
    made = active(definition(every=600))
    process.look()
    before = row(made).next_at
    change(made, definition(every=600, settings={"vars": {"a": 1}}))
    assert row(made).next_at == before


def test_a_changed_flow_has_its_failed_trigger_polled_at_once(source, process):
    made = active()
    source.problem = "no"
    process.look()
    change(made, definition(settings={"vars": {"a": 1}}))
    assert (row(made).next_at, row(made).failures) == (row(made).moved_at, 0)


def test_a_removed_and_restored_node_continues(source, process):
    made = active()
    source.shown = ["a"]
    process.look()
    change(made, flow("end"))
    change(made, definition())
    source.shown = ["a", "b"]
    process.look()
    assert fired() == ["b"]


def test_a_disabled_trigger_is_not_polled(source, process):
    changed = definition()
    changed["nodes"][0]["disabled"] = True
    active(changed)
    process.look()
    assert source.asked == []


def test_a_deleted_flow_leaves_no_polls(source, process):
    made = active()
    source.shown = ["a"]
    process.look()
    other = active()
    process.look()
    workflows.remove(made)
    assert [poll.workflow_id for poll in Poll.select()] == [other.id]
    assert {entry.workflow_id for entry in PollEntry.select()} == {other.id}


def test_the_state_of_a_trigger_not_polled_for_a_month_is_deleted(source, process):
    made, other = active(), active()
    source.shown = ["a"]
    process.look()
    change(made, status="draft")
    idle_since = row(made).idle_since
    assert polls.prune(idle_since + KEPT_MS) == 0
    assert polls.prune(idle_since + KEPT_MS + 1) == 1
    assert entries(made) == {} and entries(other)


# The clock


def test_after_the_clock_is_set_back_triggers_are_polled_at_once(source, process):
    made = active(definition(every=3600))
    process.look()
    process.clock.jump(-5 * HOUR)
    process.clock.pass_by(500)
    process.tick()
    assert len(source.asked) == 2 and row(made).next_at == process.clock.now + HOUR


def test_after_the_clock_is_set_forward_triggers_are_polled_and_no_run_starts_again(source, process):
    source.shown = ["a"]
    active(definition(every=3600))
    process.look()
    process.clock.jump(60 * DAY)
    process.clock.pass_by(500)
    process.tick()
    process.clock.jump(-60 * DAY)
    process.look()
    assert len(source.asked) == 3 and fired() == []


def test_set_back_while_it_is_polled_the_poll_still_counts(source, process):
    made = active()
    process.look()
    source.shown = ["a"]

    def set_back(ctx):
        process.clock.jump(-5 * HOUR)
        process.clock.pass_by(500)
        process.leader.tick()
        assert row(made).next_at == process.clock.now + CLAIM_MS

    source.during = set_back
    process.look()
    assert fired() == ["a"] and row(made).next_at == process.clock.now + MINUTE


def test_whoever_takes_over_finds_what_was_computed_while_the_clock_was_ahead(source, tmp_path):
    active(definition(every=3600))
    ahead, right = Clock(now_ms() + 9 * DAY), Clock(now_ms())
    with polling(tmp_path, ahead) as first:
        first.look()
    Lease.delete().execute()
    with polling(tmp_path, right) as second:
        second.tick()
    assert len(source.asked) == 2


# Deletion of entries


def test_entries_shown_by_the_source_are_never_deleted(source, process):
    made = active()
    source.shown = keys(1, 50)
    process.look()
    for _ in range(3):
        process.look(90 * DAY)
    assert fired() == [] and set(entries(made).values()) == {True}


def test_the_age_of_a_missing_entry_counts_from_the_first_poll_without_it(source, process):
    made = active()
    source.shown = ["a", "b"]
    process.look()
    process.clock.pass_by(90 * DAY)
    source.shown = ["b"]
    process.look()
    (gone,) = PollEntry.select().where(PollEntry.gone_at.is_null(False))
    assert (gone.entry, gone.gone_at) == (polls.digest("a"), process.clock.now)
    source.shown = ["b", "a"]
    process.look()
    assert entries(made) == {polls.digest("a"): True, polls.digest("b"): True}


def test_entries_of_a_partial_source_keep_the_time_when_they_were_seen(source, process):
    source.whole = False
    source.shown = ["a"]
    made = active()
    process.look()
    source.shown = ["b"]
    process.look(DAY)
    gone = dict(PollEntry.select(PollEntry.entry, PollEntry.gone_at).tuples())
    assert gone == {
        polls.digest("a"): process.clock.now - DAY,
        polls.digest("b"): process.clock.now,
    }
    assert fired(made) == ["b"]


def test_the_newest_thousand_are_kept_and_others_for_a_month(source, process):
    made = active()
    source.shown = keys(1, KEPT_ENTRIES + 10)
    process.look()
    source.shown = keys(5_000, 5_000)
    process.look()
    process.look(KEPT_MS)
    assert len(entries(made)) == KEPT_ENTRIES + 11
    process.look(SECOND)
    assert len(entries(made)) == KEPT_ENTRIES + 1


def test_the_number_of_entries_is_limited():
    shown = {bytes([0, *number.to_bytes(2, "big")]): None for number in range(100)}
    gone = {bytes([1, *number.to_bytes(2, "big")]): number for number in range(MAX_ENTRIES)}
    old = find_outdated(shown | gone, 0)
    assert len(old) == 100 and {gone[entry] for entry in old} == set(range(100))


@pytest.mark.slow
def test_a_source_with_the_maximum_of_entries_is_polled_fast(source, process):
    made = active()
    source.shown = keys(1, 10_000)
    process.look()
    source.shown = keys(2, 10_001)
    process.look()
    assert fired() == ["entry 10001"] and len(entries(made)) == 10_000


# Polling triggers with a debounce: entries within a window start one run, and each is taken once


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
