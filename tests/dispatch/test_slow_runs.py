"""Runs that may occupy a thread for minutes (`slow` nodes), and unreadable runs: other runs still get a thread."""

import pytest
from dispatching import finished
from servers import until
from world import PATIENCE, Gate, add_flow, chain, node, run_of

from database import execute
from database.queries import claims, leases
from database.queries import runs as run_queries
from dispatch import Start
from dispatch.dispatcher import SET_ASIDE_PER_SWEEP
from models import Run, WorkflowVersion

THREADS, AT_WORK = 4, 3


class SlowGate(Gate):
    """A gate that records the input of each run that reaches it."""

    def __init__(self):
        super().__init__()
        self.came = []

    def __call__(self, config, input, ctx):
        self.came.append(input)
        return super().__call__(config, input, ctx)


@pytest.fixture
def slow(types, gate, start):
    """The node type `slow`, which blocks until the test opens the gate."""
    made = SlowGate()
    types.offer("slow", made, slow=True)
    yield made
    made.opened.set()


@pytest.fixture
def dispatcher(start, slow):
    return start(run_threads=THREADS)


@pytest.fixture
def runs(dispatcher, slow):
    """Six slow runs, three of which are executed; the input of each is its number."""
    made = add_flow(chain(node("a", "slow")))
    tickets = [dispatcher.submit(Start(made, number, "manual")) for number in range(6)]
    for ticket in tickets:
        ticket.durable()
    until(lambda: len(slow.came) == AT_WORK)
    return [ticket.run for ticket in tickets]


def pending(definition, count=1):
    """Record runs that no process executes."""
    made = add_flow(definition)
    runs = [run_queries.accept(made, triggered_by="manual") for _ in range(count)]
    for run in runs:
        execute(*run_queries.insertion(run))
    return runs


def test_other_runs_get_a_thread_while_slow_runs_wait(dispatcher, slow, runs):
    other = dispatcher.submit(Start(add_flow(chain(node("a", "act"))), 1, "manual"))
    assert dispatcher.waiting.wait(other, PATIENCE).status == "success"
    assert sorted(slow.came) == [0, 1, 2] and {run_of(run.id).finished_at for run in runs} == {None}


def test_waiting_slow_runs_start_in_order_and_all_end(dispatcher, slow, runs):
    slow.opened.set()
    assert {finished(dispatcher, run).status for run in runs} == {"success"}
    assert sorted(slow.came[:AT_WORK]) == [0, 1, 2] and sorted(slow.came) == [0, 1, 2, 3, 4, 5]
    until(lambda: dispatcher.active_count() == 0)
    assert dispatcher.queue.waiting == 0 and not dispatcher.queue.is_slow_lane_full


def test_a_slow_run_cancelled_while_it_waits_never_starts(dispatcher, slow, runs):
    dispatcher.cancel(run_of(runs[4].id), "me")
    slow.opened.set()
    assert [finished(dispatcher, run).status for run in runs] == ["success"] * 4 + ["failed", "success"]
    assert sorted(slow.came) == [0, 1, 2, 3, 5]


def test_pending_slow_runs_delay_no_others(dispatcher, slow):
    """Even if many of them are older, one sweep is enough."""
    pending(chain(node("a", "slow")), 40)
    (other,) = pending(chain(node("a", "act")))
    dispatcher.sweep()
    assert finished(dispatcher, other).status == "success"


def test_waiting_slow_runs_of_a_stopped_process_are_executed_by_another(start, slow, runs, dispatcher):
    dispatcher.stop()
    assert {(row.status, row.lease_owner, row.deaths) for row in Run.select()} == {("pending", None, 0)}
    slow.opened.set()
    other = start(run_threads=THREADS)
    other.sweep()
    assert {finished(other, run).status for run in runs} == {"success"}


def test_a_waiting_slow_run_is_executed_after_another_process_releases_it(dispatcher, slow, runs, monkeypatch):
    """Another process may execute it before this one has claimed it; that must not stop it later."""
    leases.beat("proc_other", 60_000)
    (late,) = pending(chain(node("a", "slow")))
    claimable = claims.find_claimable

    def taken_meanwhile(limit):
        found = claimable(limit)
        dispatcher.recorder.commit(claims.claim(late.id, "proc_other"))
        return found

    monkeypatch.setattr(claims, "find_claimable", taken_meanwhile)
    dispatcher.pick_up()
    monkeypatch.undo()
    dispatcher.sweep()
    dispatcher.recorder.commit([claims.release(late.id, "proc_other")])
    slow.opened.set()
    ended = finished(dispatcher, late)
    assert (ended.status, ended.error_text) == ("success", None)


# Runs that cannot be read


def unreadable(count):
    """Return pending runs of a version whose text is damaged, and a function that repairs it."""
    runs = pending(chain(node("a", "act")), count)
    versions = WorkflowVersion.update(definition_json="{").where(WorkflowVersion.workflow_id == runs[0].workflow_id)
    whole = WorkflowVersion.get(workflow_id=runs[0].workflow_id).definition_json
    assert versions.execute() == 1
    return runs, lambda: WorkflowVersion.update(definition_json=whole).execute()


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{"inline": True}, {"run_threads": THREADS}])
def test_unreadable_runs_delay_no_others_even_if_many_are_older(start, settings):
    dispatcher = start(**settings)
    runs, _ = unreadable(1_500 if "inline" in settings else 60)
    others = pending(chain(node("a", "act")), 5)
    dispatcher.sweep()
    assert [finished(dispatcher, run).status for run in others] == ["success"] * 5
    assert {run_of(run.id).status for run in runs} == {"pending"} and dispatcher.is_open()


def test_unreadable_runs_are_tried_again_until_all_can_be_read(start):
    dispatcher = start(inline=True)
    runs, mend = unreadable(2 * SET_ASIDE_PER_SWEEP)
    dispatcher.sweep()
    mend()
    dispatcher.sweep()
    assert [run_of(run.id).status for run in runs].count("success") == SET_ASIDE_PER_SWEEP
    dispatcher.sweep()
    assert {run_of(run.id).status for run in runs} == {"success"}


def test_unreadable_runs_that_are_cancelled_or_deleted_are_forgotten(start):
    dispatcher = start(inline=True)
    runs, _ = unreadable(3)
    dispatcher.sweep()
    dispatcher.cancel(run_of(runs[0].id), "me")
    Run.delete().where(Run.id == runs[1].id).execute()
    dispatcher.sweep()
    assert list(dispatcher._set_aside) == [runs[2].id]


def test_cancelled_unreadable_runs_do_not_delay_newer_runs(start):
    dispatcher = start(inline=True)
    runs, _ = unreadable(3 * SET_ASIDE_PER_SWEEP)
    dispatcher.sweep()
    for run in runs:
        dispatcher.cancel(run_of(run.id), "me")
    (other,) = pending(chain(node("a", "act")), 1)
    dispatcher.pick_up()
    assert run_of(other.id).status == "success"
