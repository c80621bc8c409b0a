"""Helpers for tests of the dispatcher: add, submit, stop and read runs."""

import time

import orjson
from world import PATIENCE, Background, add_flow, chain, node, run_of, steps_of
from world import run as run_engine

import database
from database.base import new_id, now_ms
from database.queries import claims, leases
from database.queries import runs as run_queries
from dispatch import Start
from dispatch.payloads import Kept
from dispatch.run_record import RunRecord
from models import Run, Step, Wait


def submit(dispatcher, definition, input=None, **more):
    """Submit a run of a new flow."""
    return dispatcher.submit(Start(add_flow(definition), input, "manual", **more)).run


def finished(dispatcher, run):
    """Return the run once it has ended."""
    ended = dispatcher.waiting.wait(dispatcher.ticket_of(run), PATIENCE)
    assert ended.finished_at is not None, "the run did not end in time"
    return ended


def at_gate(dispatcher, run, gate):
    """Return the run's row once the run is at the gate."""
    assert gate.reached.wait(PATIENCE)
    dispatcher.waiting.wait(dispatcher.ticket_of(run), 0)
    return run_of(run.id)


def wait_until_idle(dispatcher, run):
    """Return when no run is active in this process, for whatever reason."""
    while dispatcher.active_count():
        dispatcher.waiting.wait(dispatcher.ticket_of(run), 0.01)


def output(dispatcher, run):
    return dispatcher.resources.value(run.id, "output", Kept(run.output, run.output_bytes))


def add_run(made, **values):
    """Record a run of this flow that no process executes, and return its id."""
    run = run_queries.accept(made, triggered_by="manual", **values)
    with database.write():
        database.execute(*run_queries.insertion(run))
    return run.id


def take_from(dispatcher, id_):
    """Requeue the run as another process's sweep does while its owner is suspended. It is not claimed yet."""
    leases.beat(dispatcher.lease.owner, -1)
    with database.write():
        assert database.execute(*claims.requeue_abandoned(id_)).rowcount == 1


def add_run_of_dead_process(dispatcher, definition, input=None, steps=0, deaths=0):
    """Record a run as a process leaves it that died after so many recorded steps, and return its id."""
    id_ = new_id("run")
    kept = dispatcher.resources.payloads.keep(id_, "input", orjson.dumps(input))
    values = {"status": "running", "lease_owner": "proc_gone", "claims": 1, "deaths": deaths, "started_at": now_ms()}
    add_run(add_flow(definition), id=id_, input=kept.text, input_bytes=kept.size, **values)
    record_steps(dispatcher, id_, run_engine(definition, input).steps[:steps])
    return id_


def record_steps(dispatcher, id_, steps):
    """Record steps as the process that executes the run does."""
    record = RunRecord(dispatcher.recorder, dispatcher.resources.payloads, run_of(id_))
    for step in steps:
        record.step(step)
    record.finish([])


def statuses(run_id):
    return [(step.node_id, step.status) for step in steps_of(run_id)]


def called(*nodes, **more):
    """Add a flow with a `called` trigger that leads to a chain of these nodes."""
    return add_flow(chain(node("called", "called"), *nodes), **{"name": "Child", **more})


def call(made, id_="c", wait=None, input=None, **more):
    """Return a node that runs the flow."""
    config = {"workflow_id": made if isinstance(made, str) else made.id}
    config |= {} if wait is None else {"wait": wait}
    config |= {} if input is None else {"input": input}
    return node(id_, "subflow", config, **more)


def children(run):
    return list(Run.select().where(Run.parent_run_id == run.id).order_by(Run.id))


def nothing_waits():
    return Wait.select().count() == 0 and Step.select().where(Step.status == "waiting").count() == 0


def stop_at_the_gate(dispatcher, gate):
    """Stop the process while a run is at the gate, and open the gate once it releases its runs."""
    assert gate.reached.wait(PATIENCE)
    stopping = Background(dispatcher.stop)
    assert dispatcher.executor._hand_back.wait(PATIENCE)
    gate.opened.set()
    stopping.result()


def wait_for(dispatcher, run):
    """Wake the dispatcher until the run ends. Return the row."""
    end = now_ms() + PATIENCE * 1000
    while run_of(run.id).finished_at is None and now_ms() < end:
        dispatcher.wake()
        time.sleep(0.01)
    return run_of(run.id)


def ask(id_="a", until=None, **more):
    """Return a node that waits for yes or no."""
    return node(id_, "ask", {"value": until}, **more)
