"""A run is never lost, never stuck, never executed twice: accept, claim, execute, record, recover."""

import threading

import orjson
import pytest
from chosen_engine import ON_POSTGRES
from engines import other_connection, runs_with_values
from world import (
    PATIENCE,
    add_flow,
    at_once,
    chain,
    flow,
    node,
    process,
    run_of,
    steps_of,
)
from world import run as run_engine

import database
from database.base import new_id, now_ms
from database.queries import leases, workflows
from database.queries import runs as run_queries
from database.queries.store import WorkspaceStore
from dispatch import Start
from dispatch.payloads import Kept
from dispatch.run_record import RunRecord
from errors import BadInput, Conflict, DefinitionError, Unavailable
from models import IdempotencyKey, LogEntry, Run, RunDay

DAY_MS = 86_400_000


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
        assert database.execute(*run_queries.requeue_abandoned(id_)).rowcount == 1


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


# Accepting and executing


def test_an_executed_run_is_recorded_completely(dispatcher):
    run = submit(dispatcher, chain(node("a", "give", {"value": "{{ input.x }}"}), node("b", "act")), {"x": [1]})
    ended = finished(dispatcher, run)
    assert (ended.status, output(dispatcher, ended), ended.error_text) == ("success", [1], None)
    row = run_of(run.id)
    assert (row.status, row.output, row.input, row.lease_owner, row.claims) == ("success", "[1]", '{"x":[1]}', None, 1)
    assert row.started_at <= row.finished_at and row.duration_ms > 0
    assert statuses(run.id) == [("a", "success"), ("b", "success")]
    assert RunDay.get().total == 1


def test_a_failed_run_names_its_node_and_error(dispatcher):
    ended = finished(dispatcher, submit(dispatcher, chain("a", node("b", "fail", {"value": "no luck"}))))
    assert (ended.status, ended.error_text, ended.error_node_id, ended.output) == ("failed", "no luck", "b", None)
    assert (RunDay.get().failed, RunDay.get().success) == (1, 0)


def test_a_run_is_on_the_disk_when_wait_returns(path, dispatcher, gate):
    run = dispatcher.waiting.wait(dispatcher.ticket_of(submit(dispatcher, flow(node("a", "gate")))), 0)
    assert run.status == "running"
    with other_connection(path) as other:
        assert other.execute("SELECT status FROM runs WHERE id = ?", (run.id,)).fetchall() == [("running",)]


def test_wait_returns_the_unfinished_run_at_its_timeout(dispatcher, gate):
    run = submit(dispatcher, flow(node("a", "gate")))
    assert dispatcher.waiting.wait(dispatcher.ticket_of(run), 0.01).finished_at is None
    gate.opened.set()
    assert finished(dispatcher, run).status == "success"


def test_wait_sees_the_end_of_a_run_that_another_process_executes(start):
    one, other = start(run_threads=1), start(run_threads=1)
    run = submit(other, flow("a"), 5)
    assert output(one, finished(one, run)) == 5


def test_an_inline_dispatcher_has_ended_the_run_when_submit_returns(inline):
    run = submit(inline, flow("a"), 3)
    assert (run.status, run_of(run.id).output) == ("success", "3")


def test_on_step_sees_every_step(inline):
    seen = []
    inline.executor.on_step = lambda run, step: seen.append((run.id, step.node_id, step.status))
    run = submit(inline, chain("a", node("b", "act")))
    assert seen == [(run.id, "a", "success"), (run.id, "b", "running"), (run.id, "b", "success")]


def test_a_run_starts_at_the_trigger_that_fired(inline):
    made = flow(node("m", "manual"), node("hook", "webhook", {"path": "x"}))
    run = submit(inline, made, 1, trigger_node="hook")
    assert statuses(run.id) == [("m", "skipped"), ("hook", "success")]


def test_nodes_write_to_the_log_and_to_the_store_of_the_workspace(inline):
    made = chain(
        node("a", "log", {"message": "hello"}),
        node("b", "store", {"operation": "set", "key": "k", "value": "{{ input }}"}),
    )
    run = submit(inline, made, 7)
    assert [(entry.run_id, entry.node_id, entry.message) for entry in LogEntry.select()] == [(run.id, "a", "hello")]
    assert WorkspaceStore("ws_1").get("k") == 7


def test_the_setting_limits_the_memories_of_an_agent(tmp_path, types):
    write = {"operation": "write", "agent_id": "a", "content": "x"}
    nodes = [node(name, "memory", {**write, "key": name}) for name in "abc"]
    search = node("d", "memory", {"operation": "search", "agent_id": "a"})
    with process(tmp_path, inline=True, memory_entries=2) as inline:
        run = submit(inline, chain(*nodes, search))
        assert [entry["key"] for entry in output(inline, run)] == ["c", "b"]


def test_expressions_can_read_the_run_and_the_flow(inline):
    made = flow(node("a", "give", {"value": "{{ [run.id, run.triggered_by, workflow.name, workflow.version] }}"}))
    run = submit(inline, made)
    assert output(inline, run) == [run.id, "manual", "Flow", 1]


def test_idempotency_keys_of_nodes_begin_with_the_run(inline, types):
    run = submit(inline, flow(node("a", "act")))
    assert types.effects == [f"{run.id}:a:0"]


def test_an_archived_flow_is_not_run(dispatcher):
    with pytest.raises(Conflict, match="archived"):
        dispatcher.submit(Start(add_flow(flow("a"), status="archived"), None, "manual"))
    assert Run.select().count() == 0


def test_an_invalid_flow_is_not_run(dispatcher):
    with pytest.raises(DefinitionError):
        submit(dispatcher, flow(node("a", "no_such")))
    assert Run.select().count() == 0


@pytest.mark.parametrize("odd", ["x" * 100, object(), "\ud800"])
def test_an_input_that_cannot_be_stored_is_refused(start, odd):
    with pytest.raises(BadInput, match="input"):
        submit(start(max_value_bytes=50), flow("a"), odd)
    assert Run.select().count() == 0


def test_a_changed_flow_runs_its_new_version(inline):
    made = add_flow(flow(node("a", "give", {"value": 1})))
    first = inline.submit(Start(made, None, "manual")).run
    workflows.change(
        made, None, triggers=[], definition_json=orjson.dumps(flow(node("a", "give", {"value": 2}))).decode()
    )
    second = inline.submit(Start(made, None, "manual")).run
    assert (first.output, second.output, second.workflow_version) == ("1", "2", 2)


def test_a_run_whose_output_is_too_large_fails(start):
    inline = start(inline=True, max_value_bytes=100)
    big = {"value": "x" * 80}
    run = submit(inline, flow(node("a", "give", big), node("b", "give", big)))
    assert run.status == "failed" and "the limit is 100" in run.error_text


# Large values


def test_large_values_are_stored_outside_of_rows_and_read_back(start, tmp_path):
    dispatcher = start(inline_value_bytes=10)
    value = {"x": "long enough for a file"}
    run = finished(dispatcher, submit(dispatcher, chain("a", node("b", "give", {"value": "{{ input }}"})), value))
    assert runs_with_values(tmp_path) == [run.id]
    if not ON_POSTGRES:
        names = sorted(file.name for file in (tmp_path / "values" / run.id).iterdir())
        assert names == ["input.json", "output.json", "step_0.json"]
    assert (run.output, run.input) == (None, None)
    assert output(dispatcher, run) == value
    assert dispatcher.resources.value(run.id, "input", Kept(run.input, run.input_bytes)) == value
    first = steps_of(run.id)[0]
    assert dispatcher.resources.value(run.id, "step_0", Kept(first.output, first.output_bytes)) == value


# Idempotency keys


def test_the_same_key_returns_the_first_run_and_starts_no_other(inline, types):
    made = add_flow(flow(node("a", "act")))
    first = inline.submit(Start(made, 1, "manual", key="k"))
    second = inline.submit(Start(made, 2, "manual", key="k"))
    assert (first.is_new, second.is_new) == (True, False)
    assert second.run.id == first.run.id and len(types.effects) == 1 and Run.select().count() == 1


def test_another_key_or_flow_starts_another_run(inline, types):
    one, other = add_flow(flow(node("a", "act"))), add_flow(flow(node("a", "act")))
    tickets = [
        inline.submit(Start(made, None, "manual", key=key)) for made, key in ((one, "k"), (one, "l"), (other, "k"))
    ]
    assert all(ticket.is_new for ticket in tickets) and len(types.effects) == 3


def test_a_key_is_valid_for_a_day(inline):
    made = add_flow(flow("a"))
    first = inline.submit(Start(made, None, "manual", key="k"))
    IdempotencyKey.update(created_at=now_ms() - DAY_MS - 1000).execute()
    second = inline.submit(Start(made, None, "manual", key="k"))
    assert second.is_new and second.run.id != first.run.id
    assert inline.submit(Start(made, None, "manual", key="k")).run.id == second.run.id


def test_the_same_key_at_the_same_time_starts_one_run(start, types):
    dispatcher = start(run_threads=8)
    made = add_flow(flow(node("a", "act")))
    for key in ("one", "two", "three"):
        tickets = at_once(8, lambda number, key=key: dispatcher.submit(Start(made, number, "manual", key=key)))
        assert sum(ticket.is_new for ticket in tickets) == 1
        assert len({ticket.run.id for ticket in tickets}) == 1
        finished(dispatcher, tickets[0].run)
    assert len(types.effects) == Run.select().count() == 3
    assert dispatcher.active_count() == 0


def test_a_run_that_lost_the_race_for_its_key_leaves_no_file(start, tmp_path):
    dispatcher = start(run_threads=8, inline_value_bytes=10)
    made = add_flow(flow("a"))
    tickets = at_once(8, lambda number: dispatcher.submit(Start(made, "long enough for a file", "manual", key="k")))
    finished(dispatcher, tickets[0].run)
    assert runs_with_values(tmp_path) == [tickets[0].run.id]


# More runs than threads


def test_a_run_waits_for_a_free_thread(start, gate):
    dispatcher = start(run_threads=1)
    first = submit(dispatcher, flow(node("a", "gate")))
    assert gate.reached.wait(PATIENCE)
    second = dispatcher.waiting.wait(dispatcher.ticket_of(submit(dispatcher, flow("a"), 2)), 0)
    assert (second.status, second.started_at, second.lease_owner) == ("pending", None, None)
    gate.opened.set()
    assert [finished(dispatcher, run).status for run in (first, second)] == ["success", "success"]
    assert run_of(second.id).claims == 1


def test_too_many_runs_are_refused_with_a_retry_after(start, gate):
    dispatcher = start(run_threads=1, max_pending=2)
    runs = [submit(dispatcher, flow(node("a", "gate"))) for _ in range(2)]
    assert not dispatcher.is_open()
    with pytest.raises(Unavailable) as caught:
        submit(dispatcher, flow("a"))
    assert (caught.value.status, caught.value.retry_after) == (503, 1)
    gate.opened.set()
    for run in runs:
        finished(dispatcher, run)
    assert finished(dispatcher, submit(dispatcher, flow("a"))).status == "success"
    assert Run.select().count() == 3


def test_a_sweep_does_not_touch_active_runs_of_this_process(start, gate, types):
    dispatcher = start(run_threads=1)
    made = chain(node("a", "gate"), node("b", "act"))
    runs = [submit(dispatcher, made) for _ in range(3)]
    dispatcher.waiting.wait(dispatcher.ticket_of(runs[-1]), 0)
    for _ in range(3):
        dispatcher.sweep()
    gate.opened.set()
    assert [finished(dispatcher, run).status for run in runs] == ["success"] * 3
    assert len(types.effects) == 3


def test_a_sweep_claims_no_more_runs_than_there_are_free_threads(start, gate):
    dispatcher = start(run_threads=2)
    submit(dispatcher, flow(node("a", "gate")))
    made = add_flow(flow(node("a", "gate")))
    ids = [add_run(made) for _ in range(3)]
    dispatcher.sweep()
    assert dispatcher.active_count() == 2
    gate.opened.set()
    assert finished(dispatcher, run_of(ids[0])).status == "success"


def test_pending_runs_are_claimed_oldest_first(inline, types):
    made = add_flow(flow(node("a", "act")))
    ids = [add_run(made) for _ in range(2)]
    inline.sweep()
    assert types.effects == [f"{id_}:a:0" for id_ in ids]


def test_a_run_that_a_sweep_cannot_start_starts_when_a_thread_is_free(dispatcher, types):
    made = add_flow(flow(node("a", "act")))
    ids = [add_run(made) for _ in range(9)]
    dispatcher.sweep()
    assert [finished(dispatcher, run_of(id_)).status for id_ in ids] == ["success"] * 9
    assert sorted(types.effects) == [f"{id_}:a:0" for id_ in ids]


def test_a_run_executed_elsewhere_is_not_claimed(inline, types):
    made = add_flow(flow(node("a", "act")))
    run_queries.record(made, status="pending", triggered_by="manual")
    run_queries.record(made, status="running", triggered_by="manual")
    add_run(made, waiting="approval")
    inline.sweep()
    assert types.effects == []


# Cancelling


def test_a_cancelled_pending_run_is_never_executed(start, gate, types):
    dispatcher = start(run_threads=1)
    first = submit(dispatcher, flow(node("a", "gate")))
    second = submit(dispatcher, flow(node("a", "act")))
    dispatcher.waiting.wait(dispatcher.ticket_of(second), 0)
    dispatcher.cancel(run_of(second.id), "ann")
    gate.opened.set()
    finished(dispatcher, first)
    ended = finished(dispatcher, run_of(second.id))
    assert (ended.status, ended.error_text, ended.cancelled) == ("failed", "cancelled by ann", True)
    dispatcher.sweep()
    assert types.effects == [] and run_of(second.id).deaths == 0


def test_a_cancelled_running_run_stops_before_its_next_node(dispatcher, gate, types):
    run = submit(dispatcher, chain(node("a", "gate"), node("b", "act", on_error="continue")))
    dispatcher.cancel(at_gate(dispatcher, run, gate), "ann")
    assert run_of(run.id).status == "failed"
    gate.opened.set()
    ended = finished(dispatcher, run)
    assert (ended.status, ended.error_text, ended.cancelled) == ("failed", "cancelled by ann", True)
    assert types.effects == []
    day = RunDay.get()
    assert (day.total, day.success, day.failed) == (1, 0, 1)


def test_a_cancelled_run_stays_cancelled_when_its_last_node_succeeds(dispatcher, gate):
    run = submit(dispatcher, flow(node("a", "gate")))
    dispatcher.cancel(at_gate(dispatcher, run, gate), "ann")
    gate.opened.set()
    finished(dispatcher, run)
    assert (run_of(run.id).status, run_of(run.id).cancelled, RunDay.get().total) == ("failed", True, 1)


ANSWER = {"status": 200, "headers": {}, "body": "done"}


@pytest.mark.parametrize("then", [[], ["n"], [node("z", "act")]])
@pytest.mark.parametrize("remove", [False, True])
def test_a_response_after_the_cancellation_does_not_count(dispatcher, gate, types, then, remove):
    """Neither for a waiting caller nor for a later caller with the same key."""
    types.offer("reply", gate, responds=True)
    run = submit(dispatcher, chain(node("a", "reply"), *then), ANSWER)
    waiting = dispatcher.ticket_of(run)
    dispatcher.cancel(at_gate(dispatcher, run, gate), "ann")
    if remove:
        run_queries.remove(run_of(run.id))
    gate.opened.set()
    assert waiting.active.ended.wait(PATIENCE)
    for ticket in (waiting, dispatcher.ticket_of(run)) if not remove else (waiting,):
        ended, said = dispatcher.waiting.response(ticket, 0)
        assert (ended.status, ended.output, said) == ("failed", None, None)
    assert steps_of(run.id) == [] == types.effects


def test_a_response_before_the_cancellation_counts(dispatcher, gate, types):
    types.offer("reply", lambda config, input, ctx: input, responds=True)
    run = submit(dispatcher, chain(node("a", "reply"), node("g", "gate"), node("z", "act")), ANSWER)
    waiting = dispatcher.ticket_of(run)
    assert dispatcher.waiting.response(waiting, PATIENCE)[1] == ANSWER
    dispatcher.cancel(at_gate(dispatcher, run, gate), "ann")
    gate.opened.set()
    assert waiting.active.ended.wait(PATIENCE)
    assert [dispatcher.waiting.response(ticket, 0)[1] for ticket in (waiting, dispatcher.ticket_of(run))] == [
        ANSWER,
        ANSWER,
    ]


def test_an_ended_run_cannot_be_cancelled(inline):
    run = submit(inline, flow("a"), 1)
    with pytest.raises(Conflict):
        inline.cancel(run_of(run.id), "ann")
    row = run_of(run.id)
    assert (row.status, row.output, row.cancelled, RunDay.get().total) == ("success", "1", False, 1)


def test_a_run_can_be_cancelled_through_another_process(start, gate, types):
    one, other = start(run_threads=1), start(run_threads=1)
    run = submit(one, chain(node("a", "gate"), node("b", "act")))
    other.cancel(at_gate(one, run, gate), "ann")
    one.sweep()
    gate.opened.set()
    assert finished(one, run).error_text == "cancelled by ann"
    assert types.effects == [] and RunDay.get().total == 1


def test_a_cancellation_interrupts_the_delay_before_a_retry(dispatcher):
    failed = threading.Event()
    dispatcher.executor.on_step = lambda run, step: failed.set()
    run = submit(dispatcher, flow(node("a", "fail", retry={"attempts": 2, "delay": 3600})))
    assert failed.wait(PATIENCE)
    dispatcher.cancel(dispatcher.waiting.wait(dispatcher.ticket_of(run), 0), "ann")
    assert finished(dispatcher, run).error_text == "cancelled by ann"


def test_a_node_knows_the_workspace_of_its_run(dispatcher, types):
    types.offer("tell", lambda config, input, ctx: ctx.workspace_id)
    run = finished(dispatcher, submit(dispatcher, chain(node("a", "tell"))))
    assert output(dispatcher, run) == run.workspace_id == "ws_1"
