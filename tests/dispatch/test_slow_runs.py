"""Runs that may hold a thread for minutes (`slow` nodes), or that cannot be read: others find a thread all the same."""

import pytest
from test_dispatch import finished
from test_limits import until
from world import PATIENCE, Gate, add_flow, chain, node, run_of

from database import execute
from dispatch import Start
from dispatch.dispatcher import UNREADABLE_PER_SWEEP
from models import Lease, Run, WorkflowVersion

THREADS, AT_WORK = 4, 3


class SlowGate(Gate):
    """A gate that counts who is there."""

    def __init__(self):
        super().__init__()
        self.came = []

    def __call__(self, config, input, ctx):
        self.came.append(input)
        return super().__call__(config, input, ctx)


@pytest.fixture
def slow(types, gate, start):
    """The node type `slow`, which stops where the test opens the gate."""
    made = SlowGate()
    types.offer("slow", made, slow=True)
    yield made
    made.opened.set()


@pytest.fixture
def dispatcher(start, slow):
    return start(run_threads=THREADS)


@pytest.fixture
def runs(dispatcher, slow):
    """Six runs that are slow, of which three are at work; each is given its number."""
    made = add_flow(chain(node("a", "slow")))
    tickets = [dispatcher.submit(Start(made, number, "manual")) for number in range(6)]
    for ticket in tickets:
        ticket.durable()
    until(lambda: len(slow.came) == AT_WORK)
    return [ticket.run for ticket in tickets]


def pending(definition, count=1):
    """Runs on record that nobody has in hand."""
    made = add_flow(definition)
    runs = [Run.accept(made, triggered_by="manual") for _ in range(count)]
    for run in runs:
        execute(*run.insertion())
    return runs


def test_others_find_a_thread_while_slow_ones_wait_for_theirs(dispatcher, slow, runs):
    other = dispatcher.submit(Start(add_flow(chain(node("a", "act"))), 1, "manual"))
    assert dispatcher.waiting.wait(other, PATIENCE).status == "success"
    assert sorted(slow.came) == [0, 1, 2] and {run_of(run.id).finished_at for run in runs} == {None}


def test_those_that_wait_come_in_their_order_and_all_end(dispatcher, slow, runs):
    slow.opened.set()
    assert {finished(dispatcher, run).status for run in runs} == {"success"}
    assert sorted(slow.came[:AT_WORK]) == [0, 1, 2] and sorted(slow.came) == [0, 1, 2, 3, 4, 5]
    until(lambda: not dispatcher._slow._active)
    assert len(dispatcher._slow) == 0


def test_one_that_is_cancelled_while_it_waits_never_starts(dispatcher, slow, runs):
    dispatcher.cancel(run_of(runs[4].id), "me")
    slow.opened.set()
    assert [finished(dispatcher, run).status for run in runs] == ["success"] * 4 + ["failed", "success"]
    assert sorted(slow.came) == [0, 1, 2, 3, 5]


def test_of_those_on_record_slow_ones_hold_up_no_others(dispatcher, slow):
    """However many of them are older: one look is enough."""
    pending(chain(node("a", "slow")), 40)
    (other,) = pending(chain(node("a", "act")))
    dispatcher.sweep()
    assert finished(dispatcher, other).status == "success"


def test_those_that_wait_when_the_process_ends_are_done_by_another(start, slow, runs, dispatcher):
    dispatcher.stop()
    assert {(row.status, row.lease_owner, row.deaths) for row in Run.select()} == {("pending", None, 0)}
    slow.opened.set()
    other = start(run_threads=THREADS)
    other.sweep()
    assert {finished(other, run).status for run in runs} == {"success"}


def test_one_that_another_process_began_while_it_waits_here_is_done_once_that_hands_it_back(
    dispatcher, slow, runs, monkeypatch
):
    """It is not ours yet, so that it is executed elsewhere is no reason to stop it once it is."""
    Lease.beat("proc_other", 60_000)
    (late,) = pending(chain(node("a", "slow")))
    claimable = Run.find_claimable

    def taken_meanwhile(limit):
        found = claimable(limit)
        dispatcher.recorder.commit(Run.claim(late.id, "proc_other"))
        return found

    monkeypatch.setattr(Run, "find_claimable", taken_meanwhile)
    dispatcher.pick_up()
    monkeypatch.undo()
    dispatcher.sweep()
    dispatcher.recorder.commit([Run.release(late.id, "proc_other")])
    slow.opened.set()
    ended = finished(dispatcher, late)
    assert (ended.status, ended.error_text) == ("success", None)


# Runs that cannot be read


def unreadable(count):
    """Pending runs of a version whose text is damaged; and what mends it."""
    runs = pending(chain(node("a", "act")), count)
    versions = WorkflowVersion.update(definition_json="{").where(WorkflowVersion.workflow_id == runs[0].workflow_id)
    whole = WorkflowVersion.get(workflow_id=runs[0].workflow_id).definition_json
    assert versions.execute() == 1
    return runs, lambda: WorkflowVersion.update(definition_json=whole).execute()


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{"inline": True}, {"run_threads": THREADS}])
def test_those_that_cannot_be_read_hold_up_no_others_however_many_are_older(start, settings):
    dispatcher = start(**settings)
    runs, _ = unreadable(1_500 if "inline" in settings else 60)
    others = pending(chain(node("a", "act")), 5)
    dispatcher.sweep()
    assert [finished(dispatcher, run).status for run in others] == ["success"] * 5
    assert {run_of(run.id).status for run in runs} == {"pending"} and dispatcher.is_open()


def test_those_that_cannot_be_read_are_read_again_until_all_can(start):
    dispatcher = start(inline=True)
    runs, mend = unreadable(2 * UNREADABLE_PER_SWEEP)
    dispatcher.sweep()
    mend()
    dispatcher.sweep()
    assert [run_of(run.id).status for run in runs].count("success") == UNREADABLE_PER_SWEEP
    dispatcher.sweep()
    assert {run_of(run.id).status for run in runs} == {"success"}


def test_those_that_are_gone_before_they_could_be_read_are_forgotten(start):
    dispatcher = start(inline=True)
    runs, _ = unreadable(3)
    dispatcher.sweep()
    dispatcher.cancel(run_of(runs[0].id), "me")
    Run.delete().where(Run.id == runs[1].id).execute()
    dispatcher.sweep()
    assert list(dispatcher._unreadable) == [runs[2].id]


def test_those_that_were_cancelled_before_they_could_be_read_hide_none_that_comes_then(start):
    dispatcher = start(inline=True)
    runs, _ = unreadable(3 * UNREADABLE_PER_SWEEP)
    dispatcher.sweep()
    for run in runs:
        dispatcher.cancel(run_of(run.id), "me")
    (other,) = pending(chain(node("a", "act")), 1)
    dispatcher.pick_up()
    assert run_of(other.id).status == "success"
