"""How a process ends, several at once, and a disk that refuses."""

import sqlite3
import threading
from contextlib import closing

import pytest
from servers import until
from test_dispatch import at_gate, finished, let_go, on_record, statuses, submit
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
from database.tables.base import boot_id, monotonic_ms
from dispatch import MAX_DEATHS, Start
from errors import NodeError, Unavailable
from models import Lease, Run, RunDay, Write
from nodes.base import REGISTRY

# Several processes


def alive(owner):
    """The statement by which another process says that it is alive."""
    values = (owner, monotonic_ms() + 60_000, boot_id())
    return "INSERT INTO leases (name, until, owner) VALUES (?, ?, ?)", values


def meddle(path, when, statements):
    """Let another process do this once, just before our connection runs a statement for which `when` holds."""
    left = list(statements)

    def trace(sql):
        if left and when(sql):
            with closing(sqlite3.connect(path)) as other:
                while left:
                    other.execute(*left.pop(0))
                other.commit()

    database.db.connection().set_trace_callback(trace)


def test_a_pending_run_that_another_process_claims_at_the_same_time_is_left_to_it(path, inline, types):
    id_ = on_record(add_flow(flow(node("a", "act"))))
    claim = "UPDATE runs SET status = 'running', lease_owner = 'proc_other', claims = 1 WHERE id = ?"
    meddle(
        path,
        lambda sql: id_ in sql,
        [alive("proc_other"), (claim, (id_,))],
    )
    inline.sweep()
    assert (run_of(id_).lease_owner, types.effects) == ("proc_other", [])


def test_a_process_that_slept_between_its_claim_and_the_next_look_lets_go_of_the_run(path, inline, types):
    """Another has taken and claimed it meanwhile: the number of claims in the row is not the sleeper's."""
    id_ = on_record(add_flow(flow(node("a", "act"))))

    def is_claimed(sql):
        with closing(sqlite3.connect(path)) as other:
            return (
                other.execute("SELECT lease_owner FROM runs WHERE id = ?", (id_,)).fetchone()[0] == inline.lease.owner
            )

    taken = "UPDATE runs SET lease_owner = 'proc_other', claims = 2, deaths = 1 WHERE id = ?"
    meddle(path, is_claimed, [alive("proc_other"), (taken, (id_,))])
    inline.sweep()
    row = run_of(id_)
    assert (row.status, row.lease_owner, row.claims, types.effects) == ("running", "proc_other", 2, [])
    assert inline.active_count() == 0


def test_a_run_that_was_claimed_and_then_forgotten_is_handed_back_and_goes_on(inline, types):
    """As where the row cannot be read just after the claim."""
    id_ = on_record(add_flow(flow(node("a", "act"))))
    inline.recorder.commit(Run.claim(id_, inline.lease.owner))
    inline.sweep()
    row = run_of(id_)
    assert (row.status, row.deaths, types.effects) == ("success", 0, [f"{id_}:a:0"])


def test_a_run_of_a_process_that_starts_during_a_sweep_is_left_alone(path, inline):
    id_ = on_record(add_flow(flow("a")), waiting="nothing")
    born = [
        alive("proc_new"),
        (
            "UPDATE runs SET status = 'running', lease_owner = 'proc_new', waiting = NULL, claims = 1 WHERE id = ?",
            (id_,),
        ),
    ]
    meddle(path, lambda sql: 'FROM "runs"' in sql, born)
    inline.sweep()
    assert (run_of(id_).status, run_of(id_).lease_owner) == ("running", "proc_new")


@pytest.mark.slow
def test_a_run_survives_a_process_that_is_killed(tmp_path, inline, types):
    types.offer("die", lambda config, input, ctx: input, pure=False)
    made = add_flow(chain(node("a", "act"), node("b", "give", {"value": 2}), node("c", "die"), node("d", "act")))
    source = """
import os, pathlib, sys
import database
from dispatch import Start
from models import Workflow
from world import Types, process
folder = pathlib.Path(sys.argv[1])
database.connect(folder / "headrace.sqlite3", "normal")
with Types() as types, process(folder, inline=True) as dispatcher:
    types.offer("die", lambda config, input, ctx: os._exit(9), pure=False)
    dispatcher.submit(Start(Workflow.get(), 1, "manual"))
"""
    killed = start_python(source, tmp_path)
    killed.communicate(timeout=60)
    assert killed.returncode == 9
    run = Run.get(workflow_id=made.id)
    assert (run.status, run.claims) == ("running", 1)
    inline.sweep()  # which sees that the process is gone, though its lease has not run out
    assert (run_of(run.id).status, run_of(run.id).output) == ("success", "2")
    assert types.effects == [f"{run.id}:d:0"]
    assert statuses(run.id) == [("a", "success"), ("b", "success"), ("c", "failed"), ("c", "success"), ("d", "success")]


@pytest.mark.slow
def test_two_processes_do_not_execute_the_same_run(tmp_path, types):
    made = add_flow(flow(node("a", "act"), node("b", "act")))
    ids = {on_record(made) for _ in range(30)}
    source = """
import pathlib, sys
import database
from models import Run
from world import Types, process
folder = pathlib.Path(sys.argv[1])
database.connect(folder / "headrace.sqlite3", "normal")
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


def test_a_process_that_starts_and_stops_says_so(start):
    dispatcher = start()
    assert Lease.find(dispatcher.lease.owner) is not None
    dispatcher.stop()
    assert Lease.find(dispatcher.lease.owner) is None


def test_a_process_that_stops_takes_no_more_runs(start):
    dispatcher = start()
    dispatcher.stop()
    assert not dispatcher.is_open()
    with pytest.raises(Unavailable):
        submit(dispatcher, flow("a"))


def test_a_run_that_ends_within_the_grace_time_is_let_finish(start, gate):
    dispatcher = start(grace=PATIENCE)
    run = submit(dispatcher, chain(node("a", "gate"), "b"), 4)
    assert gate.reached.wait(PATIENCE)
    stopping = Background(dispatcher.stop)
    gate.opened.set()
    stopping.result()
    assert (run_of(run.id).status, run_of(run.id).output) == ("success", "4")


def stop_at_the_gate(dispatcher, gate):
    """Stop the process while a run is at the gate, which then opens."""
    assert gate.reached.wait(PATIENCE)
    stopping = Background(dispatcher.stop)
    assert dispatcher.executor._hand_back.wait(PATIENCE)
    gate.opened.set()
    stopping.result()


def test_a_run_that_does_not_end_in_time_is_handed_back(start, gate, types):
    dispatcher = start(run_threads=1)
    run = submit(dispatcher, chain(node("a", "act"), node("b", "gate"), node("c", "act")))
    stop_at_the_gate(dispatcher, gate)
    row = run_of(run.id)
    assert (row.status, row.lease_owner, row.finished_at) == ("pending", None, None)
    assert types.effects == [f"{run.id}:a:0"]
    assert RunDay.select().count() == 0


def test_nobody_is_kept_waiting_for_a_run_beyond_the_grace_time(start, gate):
    dispatcher = start()
    run = submit(dispatcher, flow(node("a", "gate")))
    waiting = Background(dispatcher.waiting.wait, dispatcher.ticket_of(run), 2 * PATIENCE)
    assert gate.reached.wait(PATIENCE)
    dispatcher.close()
    assert waiting.result().status == "running"


def test_a_run_whose_node_outlasts_the_process_is_handed_back_all_the_same(start, gate, types):
    types.offer("linger", gate, pure=False)
    dispatcher = start(run_threads=1)
    run = submit(dispatcher, chain(node("a", "act"), node("b", "linger"), node("c", "act")), 5)
    assert gate.reached.wait(PATIENCE)
    dispatcher.stop()
    row = run_of(run.id)
    assert (row.status, row.lease_owner, row.deaths) == ("pending", None, 0)
    record = statuses(run.id)
    gate.opened.set()
    let_go(dispatcher, run)
    assert statuses(run.id) == record == [("a", "success"), ("b", "running")]
    start(inline=True).sweep()
    assert (run_of(run.id).status, run_of(run.id).output) == ("success", "5")
    assert types.effects == [f"{run.id}:a:0", f"{run.id}:c:0"]


@pytest.mark.parametrize("pure", [True, False])
def test_a_run_whose_node_pauses_is_handed_back_at_once_and_goes_on(start, types, pure):
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
    let_go(dispatcher, run)
    assert ("a", "running") not in statuses(run.id) and types.effects == []


def test_a_run_that_was_handed_back_goes_on_from_its_completed_steps(start, gate, types):
    dispatcher = start(run_threads=1)
    run = submit(dispatcher, chain(node("a", "act"), node("b", "gate"), node("c", "act")), 5)
    stop_at_the_gate(dispatcher, gate)
    other = start(inline=True)
    other.sweep()
    assert (run_of(run.id).status, run_of(run.id).output) == ("success", "5")
    assert types.effects == [f"{run.id}:a:0", f"{run.id}:c:0"]


def test_being_handed_back_does_not_make_a_run_poisonous(tmp_path, types):
    gates = [node(f"b{number}", "gate") for number in range(MAX_DEATHS + 1)]
    id_ = on_record(add_flow(chain(node("a", "act"), *gates, "end")))
    for _ in gates:
        gate = Gate()
        REGISTRY.pop("gate", None)
        types.offer("gate", gate)
        with process(tmp_path, run_threads=1) as dispatcher:
            dispatcher.sweep()
            stop_at_the_gate(dispatcher, gate)
    assert run_of(id_).status == "pending"


def test_runs_that_were_waiting_when_the_process_ended_are_executed_by_another(start, gate, types):
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


# A disk that refuses


def fill(dispatcher, pages=2):
    """Let the database grow by this many pages and no more."""
    present = database.execute("PRAGMA page_count").fetchone()[0]
    dispatcher.recorder.commit([Write(f"PRAGMA max_page_count = {present + pages}", ())])


def make_room(dispatcher):
    dispatcher.recorder.commit([Write("PRAGMA max_page_count = 1000000", ())])


def test_a_run_that_cannot_be_accepted_is_not_told_to_anybody(start):
    dispatcher = start()
    fill(dispatcher)
    run = submit(dispatcher, flow("a"), "x" * 50_000)
    with pytest.raises(Unavailable) as caught:
        dispatcher.waiting.wait(dispatcher.ticket_of(run), PATIENCE)
    assert caught.value.retry_after == 5
    make_room(dispatcher)
    assert Run.find(run.id) is None
    assert finished(dispatcher, submit(dispatcher, flow("a"), "x" * 50_000)).status == "success"


def test_a_run_that_has_ended_but_was_never_accepted_is_not_told_to_anybody(start):
    inline = start(inline=True)
    fill(inline)
    ticket = inline.submit(Start(add_flow(flow("a")), "x" * 50_000, "manual"))
    for found in (ticket, inline.ticket_of(ticket.run)):
        with pytest.raises(Unavailable):
            inline.waiting.wait(found, 0)


def test_a_process_that_cannot_say_that_it_lives_takes_no_runs(dispatcher):
    id_ = on_record(add_flow(flow("a")))
    dispatcher.lease._alive_until = 0.0
    dispatcher.sweep()
    with pytest.raises(Unavailable, match="cannot be written"):
        submit(dispatcher, flow("a"))
    assert not dispatcher.is_open() and run_of(id_).status == "pending"
    dispatcher.lease.beat()
    dispatcher.sweep()
    assert finished(dispatcher, run_of(id_)).status == "success"


def test_a_process_that_keeps_itself_alive_is_so_beyond_its_lease_and_not_beyond_its_end(start):
    dispatcher = start(lease=1)
    dispatcher.lease.keep()
    first = Lease.find(dispatcher.lease.owner).until
    until(lambda: Lease.find(dispatcher.lease.owner).until > first + 1_000, "the lease is renewed past its first end")
    assert dispatcher.is_open() and finished(dispatcher, submit(dispatcher, flow("a"))).status == "success"
    dispatcher.stop()
    assert Lease.find(dispatcher.lease.owner) is None
    assert not [thread for thread in threading.enumerate() if thread.name == "heartbeat"]


def test_a_process_that_cannot_hand_its_runs_back_does_not_stay_alive_for_that(start, monkeypatch):
    dispatcher = start(lease=1)
    dispatcher.lease.keep()
    monkeypatch.setattr(dispatcher, "_release_active", lambda: 1 / 0)
    dispatcher.stop()
    assert not [thread for thread in threading.enumerate() if thread.name == "heartbeat"]


def test_a_lease_that_could_not_be_renewed_once_is_renewed_later(start, monkeypatch):
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


def test_a_run_with_a_key_that_cannot_be_accepted_leaves_the_key_free(start):
    dispatcher = start()
    made = add_flow(flow("a"))
    fill(dispatcher)
    with pytest.raises(Unavailable):
        dispatcher.submit(Start(made, "x" * 50_000, "manual", key="k"))
    assert dispatcher.active_count() == 0
    make_room(dispatcher)
    assert dispatcher.submit(Start(made, 1, "manual", key="k")).is_new


def test_a_run_whose_end_cannot_be_recorded_fails_as_soon_as_it_can(start, gate, types):
    types.offer("linger", gate, pure=False)
    dispatcher = start()
    made = chain(node("a", "linger"), node("b", "give", {"value": "x" * 50_000}))
    run = submit(dispatcher, made)
    at_gate(dispatcher, run, gate)
    fill(dispatcher)
    gate.opened.set()
    let_go(dispatcher, run)
    assert run_of(run.id).status == "running"
    make_room(dispatcher)
    dispatcher.sweep()
    row = run_of(run.id)
    assert row.status == "failed" and "could not be recorded" in row.error_text
    assert "running" not in [step.status for step in steps_of(run.id)] and RunDay.get().total == 1


def test_a_repetition_that_a_look_takes_up_at_once_is_in_hand_once(start, types, gate, monkeypatch):
    """It is on record before it is in hand: in between, another thread may look around, and begin with it."""
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
