"""Races of runs on PostgreSQL: claims, steps, ends, waits, limits and deletions.

Each is run without its locks, to show that they are needed, and with them.
"""

from functools import partial

import peewee
import pytest
from races import outcomes, value
from seeding import accept, do, running
from world import add_flow, flow

from database import write
from database.base import DAY_MS, IN_LIST, Write, now_ms
from database.queries import claims, concurrent_runs, retention, runs, steps, waits
from database.queries import metrics as metric_sums
from database.queries.concurrent_runs import QUEUED
from database.queries.locks import FlowLock, lock_runs
from database.queries.metrics import settle_days
from database.queries.runs import EndedRun
from database.queries.steps import STEP_COLUMNS
from models import Run, Step, Workspace
from nodes.base import Suspend

pytestmark = pytest.mark.slow

COUNT = (
    "INSERT INTO run_days (workspace_id, workflow_id, day, total, success, failed, duration_ms) "
    "SELECT ?, ?, 1, 1, 1, 0, 0.0 WHERE EXISTS (SELECT 1 FROM runs WHERE id = ? AND status = 'running') "
    "ON CONFLICT (workspace_id, day, workflow_id) DO UPDATE SET total = run_days.total + 1"
)


@pytest.fixture
def made(race):
    """A flow."""
    return add_flow(flow("a"))


def step(run, seq, status="running"):
    row = dict.fromkeys(STEP_COLUMNS) | {
        "run_id": run.id, "seq": seq, "node_id": "pay", "node_type": "act", "node_name": "Pay", "status": status,
        "attempt": 1, "started_at": 1, "final": False,
    }  # fmt: skip
    return list(row.values())


def row(run):
    return Run.get_by_id(run.id)


def ask(run, node="ask", wake_at=None):
    """Have the run wait at a node, which is its step 1."""
    waiting = Suspend(wake_at, "an approval")
    do([steps.begin_one(step(run, 1, "waiting"), run.claims), waits.begin(run.id, run.claims, node, 1, waiting)])


def answer(run, name):
    """Answer the run, as the dispatcher does. Return True if it was open."""
    with write():
        lock_runs((run.id,))
        if waits.explain_closed(run.id, "ask", 0) is not None:
            return False
        waits.settle(run.id, "ask", name, "1", None, None)
        return True


# Claims and steps


def test_a_node_begins_only_while_its_claim_is_valid(race, made):
    """A process writes that a node with effects begins, while another takes the run over and claims it."""
    run = running(made)

    def take_over():
        do([claims.requeue_abandoned(run.id)])
        assert do(claims.claim(run.id, "other")) == [1]
        known = len(list(Step.each("run_id = ?", (run.id,))))
        return known, do([steps.begin_one(step(run, 1 + known), 2)])[0]

    begun, (known, also_begun) = race.run(lambda: do([steps.begin_one(step(run, 1), 1)])[0], take_over)
    assert (begun, known, also_begun) == ((1, 1, 1) if race.cured else (1, 0, 1))


def test_a_node_does_not_begin_after_its_run_was_taken(race, made):
    run = running(made)
    taken, begun = race.run(
        lambda: do([claims.requeue_abandoned(run.id)])[0], lambda: do([steps.begin_one(step(run, 1), 1)])[0]
    )
    assert (taken, begun) == (1, 0 if race.cured else 1)


def test_a_run_is_claimed_once(race, made):
    """The row itself is the lock: the second one waits for it and then sees the claim."""
    run = accept(made)
    counts = race.run(lambda: do(claims.claim(run.id, "one"))[0], lambda: do(claims.claim(run.id, "other"))[0])
    assert counts == [1, 0] and race.waited and row(run).claims == 1


def test_a_step_is_not_left_behind_by_a_deleted_run(race, made):
    run = running(made)
    do(runs.finish(run, "me", "success"))
    saved, was_there = race.run(lambda: do([steps.save_one(step(run, 1, "success"), 1)])[0], partial(runs.remove, run))
    assert (saved, was_there) == (1, True)
    assert value("SELECT COUNT(*) FROM steps") == (0 if race.cured else 1)


def test_two_processes_that_delete_old_runs_note_what_is_left(race, made, monkeypatch):
    """Each has time for one row of a step of its run."""
    monkeypatch.setattr(retention, "ROWS_AT_ONCE", 1)
    ids = [running(made).id for _ in range(2)]
    for id_ in ids:
        do(runs.finish(Run.find(id_), "me", "success"))
        do([*steps.insertions([step(Run.find(id_), 1, "success"), step(Run.find(id_), 2, "success")])])

    def remove(id_):
        time = iter([True])
        return retention.remove_runs([id_], lambda: next(time, False)).more

    found = outcomes(race.run(*(lambda id_=id_: remove(id_) for id_ in ids)))
    assert found == [True, True if race.cured else peewee.IntegrityError]
    while retention.remove_runs(ids, lambda: True).more:
        continue
    assert value("SELECT COUNT(*) FROM steps") == 0


# Ends


def test_a_run_that_ends_and_is_cancelled_is_counted_once(race, made):
    """The cure is the order: what goes with the end follows the statement that decides."""
    run = running(made)
    same = row(run)

    def end():
        unit = runs.finish(run, "me", "success")
        if race.cured:
            return do(unit)[0]
        flow = (run.workspace_id, run.workflow_id)
        return do([Write(COUNT, (*flow, run.id)), unit[0]])[1]

    def cancel():
        if race.cured:
            return runs.cancel(same, "cancelled")
        values = {"error_text": "cancelled", "cancelled": True}
        unit = runs._end(same, "status IN ('pending', 'running')", (), "failed", waits=False, **values)
        return bool(do([Write(COUNT, (run.workspace_id, run.workflow_id, run.id)), unit[0]])[1])

    assert race.run(end, cancel) == [1, False]
    assert row(run).status == "success" and value("SELECT SUM(total) FROM run_days") == (1 if race.cured else 2)


def test_two_ends_release_two_queued_runs(race, made):
    first, second = running(made), running(made)
    queued = [accept(made, waiting=QUEUED) for _ in range(2)]
    ends = race.run(
        lambda: do(runs.finish(first, "me", "success"))[0], lambda: do(runs.finish(second, "me", "success"))[0]
    )
    released = [row(run).waiting is None for run in queued]
    assert ends == [1, 1] and released == [True, race.cured]


def test_a_count_of_a_past_day_is_not_missing_from_its_sum(race, made):
    with write():
        workspace = Workspace.add(name="W")
    day = now_ms() // DAY_MS - 3
    late = EndedRun(workspace.id, made.id, day, 1, 1, 0, 1.0)
    do([late])
    since = metric_sums.SINCE_LAST_SUM.partition(" WHERE")[0]
    race.run(lambda: settle_days(now_ms()), lambda: do([late]), before=since)
    total = value("SELECT total FROM workspace_days WHERE workspace_id = ?", workspace.id)
    assert value("SELECT total FROM run_days") == 2
    # With its locks, the sum was deleted, and perhaps made anew.
    assert total in (None, 2) if race.cured else total == 1


# Limits


def test_two_claims_keep_to_the_limit(race, made):
    """An older run resumes while a newer one is claimed."""
    older, newer = accept(made, waiting="an approval"), accept(made)

    def resume_and_claim():
        do([Write("UPDATE runs SET waiting = NULL WHERE id = ?", (older.id,))])
        return do(claims.claim(older.id, "other", 1, made.id))[0]

    counts = race.run(lambda: do(claims.claim(newer.id, "one", 1, made.id))[0], resume_and_claim)
    assert counts == ([1, 0] if race.cured else [1, 1])
    assert value("SELECT COUNT(*) FROM runs WHERE status = 'running'") == sum(counts)


def test_two_new_runs_keep_to_the_limit(race, made):
    def start():
        run = runs.accept(made, triggered_by="manual")
        return do([runs.insertion_unless_busy(run, 1), FlowLock(made.id, alone=True)])[0]

    assert race.run(start, start) == ([1, 0] if race.cured else [1, 1])


def test_a_run_that_is_queued_is_released_by_the_end_before_it(race, made):
    """A claim finds the limit reached and queues its run, while the run before it ends."""
    before, run = running(made), accept(made)
    claimed, ended = race.run(
        lambda: do(claims.claim(run.id, "other", 1, made.id))[0], lambda: do(runs.finish(before, "me", "success"))[0]
    )
    assert (claimed, ended) == (0, 1) and row(run).waiting == (None if race.cured else QUEUED)


def test_a_run_that_waits_for_something_else_is_not_released(race, made, monkeypatch):
    """Two processes look for queued runs; by the time that the second one writes, the run was claimed and suspended."""
    run = accept(made, waiting=QUEUED)
    if not race.cured:
        monkeypatch.setattr(concurrent_runs, "UNQUEUE", f"UPDATE runs SET waiting = NULL WHERE id {IN_LIST}")
    race.run(
        lambda: do([Write("UPDATE runs SET waiting = 'an approval' WHERE id = ?", (run.id,))]), concurrent_runs.unqueue
    )
    assert row(run).waiting == ("an approval" if race.cured else None)


# Waits


def test_an_accepted_answer_stays_when_its_time_is_over(race, made, monkeypatch):
    """The timer has found the wait, and a person answers."""
    run = running(made)
    ask(run, wake_at=5)
    do(runs.suspend(run, "me", "an approval", 1, 0))
    if not race.cured:
        monkeypatch.setattr(waits, "EXPIRE", waits.EXPIRE.replace(" AND answered_at IS NULL", ""))
    _, accepted = race.run(lambda: waits.wake(5), lambda: answer(run, "yes"), before="UPDATE waits SET name = 'time'")
    name = value("SELECT name FROM waits")
    assert (accepted, name) == ((False, "time") if race.cured else (True, "time"))


def test_one_of_two_answers_is_accepted(race, made):
    run = running(made)
    ask(run)
    do(runs.suspend(run, "me", "an approval", 1, 0))
    accepted = race.run(lambda: answer(run, "yes"), lambda: answer(run, "no"), before="INSERT INTO waits")
    assert accepted == ([True, False] if race.cured else [True, True])


def test_an_answer_is_not_accepted_by_a_run_that_ends(race, made):
    run = running(made)
    ask(run)
    do(runs.suspend(run, "me", "an approval", 1, 0))
    accepted, ended = race.run(
        lambda: answer(run, "yes"), lambda: runs.cancel(row(run), "cancelled"), before="INSERT INTO waits"
    )
    assert (accepted, ended) == (True, True) and row(run).status == "failed"
    assert value("SELECT COUNT(*) FROM waits") == (0 if race.cured else 1)


@pytest.mark.parametrize("is_answered_first", [False, True], ids=["suspended first", "answered first"])
def test_a_run_that_suspends_sees_its_answer(race, made, is_answered_first):
    run = running(made)
    ask(run)
    both = [lambda: do(runs.suspend(run, "me", "an approval", 1, 0))[0], lambda: answer(run, "yes")]
    race.run(*(both[::-1] if is_answered_first else both))
    assert row(run).status == "pending" and row(run).waiting == (None if race.cured else "an approval")


@pytest.mark.parametrize("is_child_first", [False, True], ids=["parent first", "child first"])
def test_a_run_that_suspends_sees_the_end_of_its_child(race, made, is_child_first):
    parent = running(made)
    ask(parent)
    child = running(made, parent_run_id=parent.id, parent_node_id="ask")
    both = [
        lambda: do(runs.suspend(parent, "me", "a run", 1, 0))[0],
        lambda: do(runs.finish(child, "me", "success"))[0],
    ]
    race.run(*(both[::-1] if is_child_first else both))
    assert row(parent).status == "pending" and row(parent).waiting == (None if race.cured else "a run")


def test_no_child_begins_while_its_parent_is_cancelled(race, made):
    parent = running(made)
    child = runs.accept(made, triggered_by="manual", parent_run_id=parent.id, parent_node_id="ask")

    def cancel():
        runs.lock_family(parent)
        return [runs.cancel(parent, "cancelled"), [runs.cancel(run, "cancelled") for run in runs.children(parent)]]

    same = row(parent)
    cancelled, begun = race.run(cancel, lambda: do([runs.while_it_runs(same, runs.insertion(child))])[0])
    assert cancelled == [True, []] and begun == (0 if race.cured else 1)


# Keys


def test_one_of_two_runs_gets_the_key(race, made):
    """The unique key is the cure."""
    if not race.cured:
        race.drop_key("idempotency_keys")

    def start():
        run = runs.accept(made, triggered_by="manual")
        return do([runs.insertion(run), *runs.take_key(made.id, "k", run.id)])[2]

    first, second = race.run(start, start)
    assert first == 1 and (isinstance(second, Exception) if race.cured else second == 1)
    assert value("SELECT COUNT(*) FROM runs") == (1 if race.cured else 2)
