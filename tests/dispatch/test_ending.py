"""Several processes, the end of a process, and a disk that refuses writes."""

import threading
from contextlib import contextmanager

import pytest
from dispatching import (
    add_run,
    add_run_of_dead_process,
    at_gate,
    finished,
    statuses,
    stop_at_the_gate,
    submit,
    take_from,
    wait_until_idle,
)
from engines import fill_disk, make_room, other_connection, statements_of_thread
from peewee import OperationalError
from servers import until
from world import (
    PATIENCE,
    Background,
    Gate,
    add_flow,
    chain,
    flow,
    node,
    process,
    raced,
    run_of,
    start_python,
    steps_of,
)

import database
from database import lease_clock
from database.queries import claims, leases
from dispatch import MAX_DEATHS, Start
from errors import NodeError, Unavailable
from models import Lease, Run, RunDay
from nodes.base import REGISTRY

# Several processes


def alive(owner):
    """Return the statement that gives another process a lease."""
    clock = lease_clock()
    values = (owner, clock.now() + 60_000, clock.identity())
    return f"INSERT INTO leases (name, until, owner) VALUES (?, {clock.sql}, ?)", values


@contextmanager
def interleave(path, when, statements):
    """Let another process execute these once, just before this thread executes a statement for which `when` holds."""
    left = list(statements)

    def before(sql):
        if left and when(sql):
            with other_connection(path) as other:
                while left:
                    other.execute(*left.pop(0))

    with statements_of_thread(before):
        yield


def test_a_run_claimed_by_another_process_at_the_same_time_is_left_alone(path, inline, types):
    id_ = add_run(add_flow(flow(node("a", "act"))))
    claim = "UPDATE runs SET status = 'running', lease_owner = 'proc_other', claims = 1 WHERE id = ?"
    with interleave(path, lambda sql: id_ in sql, [alive("proc_other"), (claim, (id_,))]):
        inline.sweep()
    assert (run_of(id_).lease_owner, types.effects) == ("proc_other", [])


def test_a_process_suspended_after_its_claim_does_not_execute_the_run(path, inline, types):
    """Another process has claimed the run meanwhile, so the number of claims in its row has changed."""
    id_ = add_run(add_flow(flow(node("a", "act"))))

    def is_claimed(sql):
        with other_connection(path) as other:
            (owner,) = other.execute("SELECT lease_owner FROM runs WHERE id = ?", (id_,)).fetchone()
            return owner == inline.lease.owner

    taken = "UPDATE runs SET lease_owner = 'proc_other', claims = 2, deaths = 1 WHERE id = ?"
    with interleave(path, is_claimed, [alive("proc_other"), (taken, (id_,))]):
        inline.sweep()
    row = run_of(id_)
    assert (row.status, row.lease_owner, row.claims, types.effects) == ("running", "proc_other", 2, [])
    assert inline.active_count() == 0


def test_a_claimed_run_that_was_never_started_is_released_and_executed(inline, types):
    """For example because the row could not be read just after the claim."""
    id_ = add_run(add_flow(flow(node("a", "act"))))
    inline.recorder.commit(claims.claim(id_, inline.lease.owner))
    inline.sweep()
    row = run_of(id_)
    assert (row.status, row.deaths, types.effects) == ("success", 0, [f"{id_}:a:0"])


def test_a_run_of_a_process_that_starts_during_a_sweep_is_left_alone(path, inline):
    id_ = add_run(add_flow(flow("a")), waiting="nothing")
    born = [
        alive("proc_new"),
        (
            "UPDATE runs SET status = 'running', lease_owner = 'proc_new', waiting = NULL, claims = 1 WHERE id = ?",
            (id_,),
        ),
    ]
    with interleave(path, lambda sql: "lease_owner IS NOT NULL AND NOT EXISTS" in sql, born):
        inline.sweep()
    assert (run_of(id_).status, run_of(id_).lease_owner) == ("running", "proc_new")


@pytest.mark.slow
def test_a_run_survives_the_kill_of_its_process(tmp_path, inline, types):
    types.offer("die", lambda config, input, ctx: input, pure=False)
    made = add_flow(chain(node("a", "act"), node("b", "give", {"value": 2}), node("c", "die"), node("d", "act")))
    source = """
import os, pathlib, sys
import database
from chosen_engine import connect
from dispatch import Start
from models import Workflow
from world import Types, process
folder = pathlib.Path(sys.argv[1])
connect(folder)
with Types() as types, process(folder, inline=True) as dispatcher:
    types.offer("die", lambda config, input, ctx: os._exit(9), pure=False)
    dispatcher.submit(Start(Workflow.get(), 1, "manual"))
"""
    killed = start_python(source, tmp_path)
    killed.communicate(timeout=60)
    assert killed.returncode == 9
    run = Run.get(workflow_id=made.id)
    assert (run.status, run.claims) == ("running", 1)
    inline.sweep()  # it sees that the process is dead, although its lease has not expired
    assert (run_of(run.id).status, run_of(run.id).output) == ("success", "2")
    assert types.effects == [f"{run.id}:d:0"]
    assert statuses(run.id) == [("a", "success"), ("b", "success"), ("c", "failed"), ("c", "success"), ("d", "success")]


@pytest.mark.slow
def test_two_processes_do_not_execute_the_same_run(tmp_path, types):
    made = add_flow(flow(node("a", "act"), node("b", "act")))
    ids = {add_run(made) for _ in range(30)}
    source = """
import pathlib, sys
import database
from chosen_engine import connect
from models import Run
from world import Types, process
folder = pathlib.Path(sys.argv[1])
connect(folder)
with Types() as types, process(folder, inline=True, run_threads=4) as dispatcher:
    print("ready", flush=True)
    sys.stdin.readline()
    while Run.select().where(Run.status.in_(["pending", "running"])).exists():
        dispatcher.sweep()
    print(*types.effects)
database.disconnect()
"""
    effects = raced(2, source, tmp_path)
    assert sorted(effects) == sorted(f"{id_}:{name}:0" for id_ in ids for name in "ab")
    assert {run.status for run in Run.select()} == {"success"} and RunDay.get().total == 30


# The end of a process


def test_a_process_has_a_lease_from_its_start_to_its_stop(start):
    dispatcher = start()
    assert Lease.find(dispatcher.lease.owner) is not None
    dispatcher.stop()
    assert Lease.find(dispatcher.lease.owner) is None


def test_a_stopped_process_refuses_runs(start):
    dispatcher = start()
    dispatcher.stop()
    assert not dispatcher.is_open()
    with pytest.raises(Unavailable):
        submit(dispatcher, flow("a"))


def test_a_run_can_finish_within_the_grace_period(start, gate):
    dispatcher = start(grace=PATIENCE)
    run = submit(dispatcher, chain(node("a", "gate"), "b"), 4)
    assert gate.reached.wait(PATIENCE)
    stopping = Background(dispatcher.stop)
    gate.opened.set()
    stopping.result()
    assert (run_of(run.id).status, run_of(run.id).output) == ("success", "4")


def test_a_run_that_outlasts_the_grace_period_is_released(start, gate, types):
    dispatcher = start(run_threads=1)
    run = submit(dispatcher, chain(node("a", "act"), node("b", "gate"), node("c", "act")))
    stop_at_the_gate(dispatcher, gate)
    row = run_of(run.id)
    assert (row.status, row.lease_owner, row.finished_at) == ("pending", None, None)
    assert types.effects == [f"{run.id}:a:0"]
    assert RunDay.select().count() == 0


def test_a_wait_for_a_run_ends_when_the_process_closes(start, gate):
    dispatcher = start()
    run = submit(dispatcher, flow(node("a", "gate")))
    waiting = Background(dispatcher.waiting.wait, dispatcher.ticket_of(run), 2 * PATIENCE)
    assert gate.reached.wait(PATIENCE)
    dispatcher.close()
    assert waiting.result().status == "running"


def test_a_run_whose_node_outlasts_the_process_is_released(start, gate, types):
    types.offer("linger", gate, pure=False)
    dispatcher = start(run_threads=1)
    run = submit(dispatcher, chain(node("a", "act"), node("b", "linger"), node("c", "act")), 5)
    assert gate.reached.wait(PATIENCE)
    dispatcher.stop()
    row = run_of(run.id)
    assert (row.status, row.lease_owner, row.deaths) == ("pending", None, 0)
    record = statuses(run.id)
    gate.opened.set()
    wait_until_idle(dispatcher, run)
    assert statuses(run.id) == record == [("a", "success"), ("b", "running")]
    start(inline=True).sweep()
    assert (run_of(run.id).status, run_of(run.id).output) == ("success", "5")
    assert types.effects == [f"{run.id}:a:0", f"{run.id}:c:0"]


@pytest.mark.parametrize("pure", [True, False])
def test_a_run_whose_node_pauses_is_released_at_once_and_resumed(start, types, pure):
    pausing, pauses = threading.Event(), [3600, 0]

    def nap(config, input, ctx):
        pausing.set()
        ctx.pause(pauses.pop(0))
        return input

    types.offer("nap", nap, pure=pure)
    dispatcher = start(run_threads=1)
    run = submit(dispatcher, chain(node("a", "act"), node("b", "nap"), node("c", "act")), 5)
    assert pausing.wait(PATIENCE)
    dispatcher.stop()
    assert (run_of(run.id).status, run_of(run.id).lease_owner, run_of(run.id).deaths) == ("pending", None, 0)
    assert ("b", "failed") not in statuses(run.id)
    start(inline=True).sweep()
    assert (run_of(run.id).status, run_of(run.id).output, pauses) == ("success", "5", [])
    assert types.effects == [f"{run.id}:a:0", f"{run.id}:c:0"]


def test_a_cancellation_ends_a_node_that_pauses(dispatcher, types):
    pausing = threading.Event()
    types.offer("nap", lambda config, input, ctx: (pausing.set(), ctx.pause(3600)), pure=False)
    run = submit(dispatcher, chain(node("a", "nap"), node("b", "act")))
    assert pausing.wait(PATIENCE)
    dispatcher.cancel(dispatcher.waiting.wait(dispatcher.ticket_of(run), 0), "ann")
    assert finished(dispatcher, run).error_text == "cancelled by ann"
    wait_until_idle(dispatcher, run)
    assert ("a", "running") not in statuses(run.id) and types.effects == []


def test_a_released_run_continues_from_its_completed_steps(start, gate, types):
    dispatcher = start(run_threads=1)
    run = submit(dispatcher, chain(node("a", "act"), node("b", "gate"), node("c", "act")), 5)
    stop_at_the_gate(dispatcher, gate)
    other = start(inline=True)
    other.sweep()
    assert (run_of(run.id).status, run_of(run.id).output) == ("success", "5")
    assert types.effects == [f"{run.id}:a:0", f"{run.id}:c:0"]


def test_a_release_does_not_count_as_a_death(tmp_path, types):
    gates = [node(f"b{number}", "gate") for number in range(MAX_DEATHS + 1)]
    id_ = add_run(add_flow(chain(node("a", "act"), *gates, "end")))
    for _ in gates:
        gate = Gate()
        REGISTRY.pop("gate", None)
        types.offer("gate", gate)
        with process(tmp_path, run_threads=1) as dispatcher:
            dispatcher.sweep()
            stop_at_the_gate(dispatcher, gate)
    assert run_of(id_).status == "pending"


def test_queued_runs_of_a_stopped_process_are_executed_by_another(start, gate, types):
    dispatcher = start(run_threads=1)
    runs = [
        submit(dispatcher, flow(node("a", "gate"))),
        *[submit(dispatcher, flow(node("a", "act"))) for _ in range(2)],
    ]
    stop_at_the_gate(dispatcher, gate)
    assert len(types.effects) == 0
    other = start(inline=True, run_threads=4)
    other.sweep()
    assert [run_of(run.id).status for run in runs] == ["success"] * 3
    assert sorted(types.effects) == sorted(f"{run.id}:a:0" for run in runs[1:])


# A disk that refuses writes


def test_a_run_that_cannot_be_recorded_is_refused(start):
    dispatcher = start()
    fill_disk(dispatcher.recorder)
    run = submit(dispatcher, flow("a"), "x" * 50_000)
    with pytest.raises(Unavailable) as caught:
        dispatcher.waiting.wait(dispatcher.ticket_of(run), PATIENCE)
    assert caught.value.retry_after == 5
    make_room(dispatcher.recorder)
    assert Run.find(run.id) is None
    assert finished(dispatcher, submit(dispatcher, flow("a"), "x" * 50_000)).status == "success"


def test_a_run_that_ended_but_was_never_recorded_is_refused(start):
    inline = start(inline=True)
    fill_disk(inline.recorder)
    ticket = inline.submit(Start(add_flow(flow("a")), "x" * 50_000, "manual"))
    for found in (ticket, inline.ticket_of(ticket.run)):
        with pytest.raises(Unavailable):
            inline.waiting.wait(found, 0)


def test_a_process_with_an_expired_lease_takes_no_runs(dispatcher):
    id_ = add_run(add_flow(flow("a")))
    dispatcher.lease._alive_until = 0.0
    dispatcher.sweep()
    with pytest.raises(Unavailable, match="cannot be written"):
        submit(dispatcher, flow("a"))
    assert not dispatcher.is_open() and run_of(id_).status == "pending"
    dispatcher.lease.beat()
    dispatcher.sweep()
    assert finished(dispatcher, run_of(id_)).status == "success"


def test_a_lease_is_renewed_until_the_process_stops(start):
    dispatcher = start(lease=1)
    dispatcher.lease.keep()
    first = Lease.find(dispatcher.lease.owner).until
    until(lambda: Lease.find(dispatcher.lease.owner).until > first + 1_000, "the lease is renewed past its first end")
    assert dispatcher.is_open() and finished(dispatcher, submit(dispatcher, flow("a"))).status == "success"
    dispatcher.stop()
    assert Lease.find(dispatcher.lease.owner) is None
    assert not [thread for thread in threading.enumerate() if thread.name == "heartbeat"]


def test_a_process_that_cannot_release_its_runs_still_stops_its_heartbeat(start, monkeypatch):
    dispatcher = start(lease=1)
    dispatcher.lease.keep()
    monkeypatch.setattr(dispatcher, "_release_active", lambda: 1 / 0)
    dispatcher.stop()
    assert not [thread for thread in threading.enumerate() if thread.name == "heartbeat"]


def test_a_lease_is_renewed_after_a_failed_renewal(start, monkeypatch):
    dispatcher = start(lease=1)
    beat, failures = dispatcher.lease.beat, iter([OSError("No space left on device")])

    def failing():
        for error in failures:
            raise error
        beat()

    monkeypatch.setattr(dispatcher.lease, "beat", failing)
    first = Lease.find(dispatcher.lease.owner).until
    dispatcher.lease.keep()
    until(lambda: Lease.find(dispatcher.lease.owner).until > first, "the lease is renewed after a failure")


def test_a_run_that_cannot_be_accepted_leaves_its_key_free(start):
    dispatcher = start()
    made = add_flow(flow("a"))
    fill_disk(dispatcher.recorder)
    with pytest.raises(Unavailable):
        dispatcher.submit(Start(made, "x" * 50_000, "manual", key="k"))
    assert dispatcher.active_count() == 0
    make_room(dispatcher.recorder)
    assert dispatcher.submit(Start(made, 1, "manual", key="k")).is_new


def test_a_run_whose_end_cannot_be_recorded_fails_once_the_disk_recovers(start, gate, types):
    types.offer("linger", gate, pure=False)
    dispatcher = start()
    made = chain(node("a", "linger"), node("b", "give", {"value": "x" * 50_000}))
    run = submit(dispatcher, made)
    at_gate(dispatcher, run, gate)
    fill_disk(dispatcher.recorder)
    gate.opened.set()
    wait_until_idle(dispatcher, run)
    assert run_of(run.id).status == "running"
    make_room(dispatcher.recorder)
    dispatcher.sweep()
    row = run_of(run.id)
    assert row.status == "failed" and "could not be recorded" in row.error_text
    assert "running" not in [step.status for step in steps_of(run.id)] and RunDay.get().total == 1


def test_a_retry_that_another_thread_claims_at_once_is_executed_once(start, types, gate, monkeypatch):
    """The retry is recorded before it is active, so another thread may find and start it in between."""
    results = iter([NodeError("no")])

    def work(config, input, ctx):
        if (error := next(results, None)) is not None:
            raise error
        types.effects.append(ctx.idempotency_key)
        return gate(config, input, ctx)

    types.offer("work", work, pure=False)
    dispatcher = start(run_threads=2)
    run = finished(dispatcher, submit(dispatcher, chain(node("a", "work")), 5))
    plan_of_version, looks = dispatcher.resources.plan_of_run, iter([dispatcher.pick_up])

    def meanwhile(made):
        if (look := next(looks, None)) is not None:
            look()
            assert gate.reached.wait(PATIENCE)
        return plan_of_version(made)

    monkeypatch.setattr(dispatcher.resources, "plan_of_run", meanwhile)
    ticket = dispatcher.retry(run, "start", None)
    ticket.active.ended.wait(0.2)
    dispatcher.sweep()
    assert (run_of(ticket.run.id).status, dispatcher.active_count()) == ("running", 1)
    gate.opened.set()
    assert finished(dispatcher, ticket.run).status == "success"
    assert run_of(ticket.run.id).claims == 1 and types.effects == [f"{ticket.run.id}:a:0"]


# A process that cannot renew its lease starts no node with effects, and takes over no runs


LEASE = 3600


class Clock:
    """A clock in seconds that only the test moves."""

    now = 1_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def mine(tmp_path, clock):
    """A process with the test's clock that executes its runs in the test's thread."""
    with process(tmp_path, inline=True, lease=LEASE) as dispatcher:
        dispatcher.lease.clock = clock
        dispatcher.lease.beat()
        yield dispatcher


@pytest.fixture
def full_disk(monkeypatch):
    """`full_disk(True)` makes every renewal of a lease fail."""

    def refuse(name, for_ms, node_types):
        raise OperationalError("database or disk is full")

    beat = leases.beat
    return lambda is_full: monkeypatch.setattr(leases, "beat", refuse if is_full else beat)


def add_silent_run(dispatcher):
    """Record a run of a process that is not known to be dead, but whose lease has expired, and return its id."""
    id_ = add_run_of_dead_process(dispatcher, flow(node("a", "noop")))
    with database.write():
        database.execute("INSERT INTO leases (name, until, owner) SELECT 'proc_gone', 1, owner FROM leases LIMIT 1")
    return id_


# Nodes with effects


def test_no_node_with_effects_starts_while_the_lease_cannot_be_renewed(mine, clock, types, full_disk):
    def lapse(config, input, ctx):
        clock.now += LEASE + 1
        full_disk(True)
        return input

    types.offer("lapse", lapse)
    run = submit(mine, chain(node("a", "lapse"), node("b", "act")), 1)
    assert types.effects == []
    full_disk(False)
    mine.lease.beat()
    mine.executor.record_unrecorded()
    row = run_of(run.id)
    assert row.status == "failed" and "could not be recorded" in row.error_text and types.effects == []


def test_an_expired_lease_is_renewed_before_a_node_with_effects_starts(mine, clock, types):
    def lapse(config, input, ctx):
        clock.now += LEASE + 1
        return input

    types.offer("lapse", lapse)
    run = submit(mine, chain(node("a", "lapse"), node("b", "act")), 1)
    assert run_of(run.id).status == "success" and len(types.effects) == 1 and mine.is_open()


def test_no_node_with_effects_starts_in_a_run_lost_after_the_lease_expired(mine, clock, types, monkeypatch):
    def lapse(config, input, ctx):
        clock.now += LEASE + 1
        return input

    beat = leases.beat

    def taken_before(name, for_ms, node_types):
        # The step of the node with effects is recorded already, and another process sweeps before the renewal.
        monkeypatch.setattr(leases, "beat", beat)
        take_from(mine, run_id[0])
        beat(name, for_ms, node_types)

    run_id = []
    types.offer("lapse", lapse)
    types.offer("note", lambda config, input, ctx: run_id.append(ctx.idempotency_key.partition(":")[0]))
    monkeypatch.setattr(leases, "beat", taken_before)
    submit(mine, chain(node("n", "note"), node("a", "lapse"), node("b", "act")), 1)
    assert types.effects == [] and run_of(run_id[0]).deaths == 1


# Taking over runs


def test_after_its_lease_expired_a_process_waits_a_lease_before_it_takes_over_runs(mine, clock):
    id_ = add_silent_run(mine)
    clock.now += LEASE + 1
    mine.sweep()
    assert run_of(id_).status == "running", "its own lease has expired"
    mine.lease.beat()
    clock.now += LEASE - 1
    mine.lease.beat()
    mine.sweep()
    assert run_of(id_).status == "running", "the others have not had the time to renew their leases"
    clock.now += 1
    mine.sweep()
    assert run_of(id_).status == "success"


def test_after_a_failed_renewal_a_process_waits_a_lease_before_it_takes_over_runs(mine, clock, full_disk):
    id_ = add_silent_run(mine)
    full_disk(True)
    with pytest.raises(OperationalError):
        mine.lease.beat()
    full_disk(False)
    mine.sweep()
    assert run_of(id_).status == "running"
    mine.lease.beat()
    mine.sweep()
    assert run_of(id_).status == "running"
    clock.now += LEASE - 1
    mine.lease.beat()
    clock.now += 1
    mine.sweep()
    assert run_of(id_).status == "success"


def test_after_a_slow_renewal_a_process_waits_a_lease_before_it_takes_over_runs(mine, clock, monkeypatch):
    """The database was away, for a shorter time than the lease: the leases of others may have run out meanwhile."""
    beat, id_ = leases.beat, add_silent_run(mine)

    def come_late(name, for_ms, node_types):
        clock.now += LEASE / 2
        beat(name, for_ms, node_types)

    monkeypatch.setattr(leases, "beat", come_late)
    mine.lease.beat()
    monkeypatch.setattr(leases, "beat", beat)
    mine.sweep()
    assert run_of(id_).status == "running"
    clock.now += LEASE / 2 - 1
    mine.lease.beat()
    clock.now += LEASE / 2 + 1
    mine.sweep()
    assert run_of(id_).status == "success"


def test_runs_of_a_process_known_to_be_dead_are_taken_over_at_once(mine, clock):
    id_ = add_run_of_dead_process(mine, flow(node("a", "noop")))
    clock.now += LEASE + 1
    mine.lease.beat()
    mine.sweep()
    assert run_of(id_).status == "success"
