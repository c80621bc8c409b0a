"""A run is never lost, never stuck, never executed twice: accept, claim, execute, record, recover."""

import sqlite3
import threading
from contextlib import closing

import orjson
import pytest
from servers import until
from world import (
    PATIENCE,
    Background,
    Gate,
    add_flow,
    at_once,
    chain,
    flow,
    node,
    process,
    raced,
    run_of,
    start_python,
    steps_of,
)
from world import run as run_engine

import database
from database.tables.base import boot_id, monotonic_ms
from dispatch import MAX_DEATHS
from dispatch.payloads import Kept, Payloads
from dispatch.recorder import RunRecord
from dispatch.resume_state import History
from errors import BadInput, Conflict, DefinitionError, NodeError, Unavailable
from models import IdempotencyKey, Lease, LogEntry, Run, RunDay, Step, Workflow, WorkspaceStore, Write, new_id, now_ms
from nodes.base import REGISTRY

DAY_MS = 86_400_000


def submit(dispatcher, definition, input=None, **more):
    """Submit a run of a new flow."""
    return dispatcher.submit(add_flow(definition), input, "manual", **more).run


def finished(dispatcher, run):
    """The run once it has ended."""
    ended = dispatcher.wait(dispatcher.ticket_of(run), PATIENCE)
    assert ended.finished_at is not None, "it never ended"
    return ended


def at_gate(dispatcher, run, gate):
    """The run's row once the run is at the gate."""
    assert gate.reached.wait(PATIENCE)
    dispatcher.wait(dispatcher.ticket_of(run), 0)
    return run_of(run.id)


def let_go(dispatcher, run):
    """Return when the process has the run in hand no more, however that came."""
    while dispatcher.active_count():
        dispatcher.wait(dispatcher.ticket_of(run), 0.01)


def output(dispatcher, run):
    return dispatcher.value(run.id, "output", Kept(run.output, run.output_bytes))


def on_record(made, **values):
    """A run of this flow whose row is there, and which nobody has in hand."""
    run = Run.accept(made, triggered_by="manual", **values)
    with database.write():
        database.execute(*run.insertion())
    return run.id


def taken_from(dispatcher, id_):
    """Take the run from the process as a sweep does while that is asleep; nobody has claimed it yet."""
    Lease.beat(dispatcher.owner, -1)
    with database.write():
        assert database.execute(*Run.take_from_the_dead(id_)).rowcount == 1


def left_behind(dispatcher, definition, input=None, steps=0, deaths=0):
    """A run as a process leaves it that died when so many steps were on record."""
    id_ = new_id("run")
    kept = dispatcher.payloads.keep(id_, "input", orjson.dumps(input))
    values = {"status": "running", "lease_owner": "proc_gone", "claims": 1, "deaths": deaths, "started_at": now_ms()}
    on_record(add_flow(definition), id=id_, input=kept.text, input_bytes=kept.size, **values)
    record_steps(dispatcher, id_, run_engine(definition, input).steps[:steps])
    return id_


def record_steps(dispatcher, id_, steps):
    """Put steps on record as the process that executes the run does."""
    record = RunRecord(dispatcher.recorder.submit, dispatcher.payloads, run_of(id_))
    for step in steps:
        record.step(step)
    record.finish([])


def statuses(run_id):
    return [(step.node_id, step.status) for step in steps_of(run_id)]


# Accepting and executing


def test_a_run_is_executed_and_all_of_it_is_on_record(dispatcher):
    run = submit(dispatcher, chain(node("a", "give", {"value": "{{ input.x }}"}), node("b", "act")), {"x": [1]})
    ended = finished(dispatcher, run)
    assert (ended.status, output(dispatcher, ended), ended.error_text) == ("success", [1], None)
    row = run_of(run.id)
    assert (row.status, row.output, row.input, row.lease_owner, row.claims) == ("success", "[1]", '{"x":[1]}', None, 1)
    assert row.started_at <= row.finished_at and row.duration_ms > 0
    assert statuses(run.id) == [("a", "success"), ("b", "success")]
    assert RunDay.get().total == 1


def test_a_run_that_fails_says_where_and_why(dispatcher):
    ended = finished(dispatcher, submit(dispatcher, chain("a", node("b", "fail", {"value": "no luck"}))))
    assert (ended.status, ended.error_text, ended.error_node_id, ended.output) == ("failed", "no luck", "b", None)
    assert (RunDay.get().failed, RunDay.get().success) == (1, 0)


def test_a_run_is_on_the_disk_when_wait_returns(path, dispatcher, gate):
    run = dispatcher.wait(dispatcher.ticket_of(submit(dispatcher, flow(node("a", "gate")))), 0)
    assert run.status == "running"
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT status FROM runs WHERE id = ?", (run.id,)).fetchall() == [("running",)]


def test_wait_gives_the_run_as_it_stands_when_the_time_is_over(dispatcher, gate):
    run = submit(dispatcher, flow(node("a", "gate")))
    assert dispatcher.wait(dispatcher.ticket_of(run), 0.01).finished_at is None
    gate.opened.set()
    assert finished(dispatcher, run).status == "success"


def test_wait_sees_the_end_of_a_run_that_another_process_executes(start):
    one, other = start(run_threads=1), start(run_threads=1)
    run = submit(other, flow("a"), 5)
    assert output(one, finished(one, run)) == 5


def test_inline_a_run_has_ended_when_it_is_submitted(inline):
    run = submit(inline, flow("a"), 3)
    assert (run.status, run_of(run.id).output) == ("success", "3")


def test_on_step_sees_every_step(inline):
    seen = []
    inline.on_step = lambda run, step: seen.append((run.id, step.node_id, step.status))
    run = submit(inline, chain("a", node("b", "act")))
    assert seen == [(run.id, "a", "success"), (run.id, "b", "running"), (run.id, "b", "success")]


def test_the_trigger_that_fired_is_the_root(inline):
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


def test_agents_keep_as_many_memories_as_the_setting_says(tmp_path, types):
    write = {"operation": "write", "agent_id": "a", "content": "x"}
    nodes = [node(name, "memory", {**write, "key": name}) for name in "abc"]
    search = node("d", "memory", {"operation": "search", "agent_id": "a"})
    with process(tmp_path, inline=True, memory_entries=2) as inline:
        run = submit(inline, chain(*nodes, search))
        assert [entry["key"] for entry in output(inline, run)] == ["c", "b"]


def test_expressions_see_the_run_and_the_flow(inline):
    made = flow(node("a", "give", {"value": "{{ [run.id, run.triggered_by, workflow.name, workflow.version] }}"}))
    run = submit(inline, made)
    assert output(inline, run) == [run.id, "manual", "Flow", 1]


def test_idempotency_keys_of_nodes_begin_with_the_run(inline, types):
    run = submit(inline, flow(node("a", "act")))
    assert types.effects == [f"{run.id}:a:0"]


def test_an_archived_flow_is_not_run(dispatcher):
    with pytest.raises(Conflict, match="archived"):
        dispatcher.submit(add_flow(flow("a"), status="archived"), None, "manual")
    assert Run.select().count() == 0


def test_a_flow_that_is_not_valid_is_not_run(dispatcher):
    with pytest.raises(DefinitionError):
        submit(dispatcher, flow(node("a", "no_such")))
    assert Run.select().count() == 0


@pytest.mark.parametrize("odd", ["x" * 100, object(), "\ud800"])
def test_an_input_that_cannot_be_kept_is_refused(start, odd):
    with pytest.raises(BadInput, match="input"):
        submit(start(max_value_bytes=50), flow("a"), odd)
    assert Run.select().count() == 0


def test_a_changed_flow_is_run_as_it_is_now(inline):
    made = add_flow(flow(node("a", "give", {"value": 1})))
    first = inline.submit(made, None, "manual").run
    made.change(None, triggers=[], definition_json=orjson.dumps(flow(node("a", "give", {"value": 2}))).decode())
    second = inline.submit(made, None, "manual").run
    assert (first.output, second.output, second.workflow_version) == ("1", "2", 2)


def test_an_output_of_the_run_that_is_too_large_fails_it(start):
    inline = start(inline=True, max_value_bytes=100)
    big = {"value": "x" * 80}
    run = submit(inline, flow(node("a", "give", big), node("b", "give", big)))
    assert run.status == "failed" and "at most 100" in run.error_text


# Large values


def test_large_values_go_to_files_and_come_back(start, tmp_path):
    dispatcher = start(inline_value_bytes=10)
    value = {"x": "long enough for a file"}
    run = finished(dispatcher, submit(dispatcher, chain("a", node("b", "give", {"value": "{{ input }}"})), value))
    names = sorted(file.name for file in (tmp_path / "values" / run.id).iterdir())
    assert names == ["input.json", "output.json", "step_0.json"]
    assert (run.output, run.input) == (None, None)
    assert output(dispatcher, run) == value
    assert dispatcher.value(run.id, "input", Kept(run.input, run.input_bytes)) == value
    first = steps_of(run.id)[0]
    assert dispatcher.value(run.id, "step_0", Kept(first.output, first.output_bytes)) == value


# Idempotency keys


def test_the_same_key_gives_the_first_run_and_starts_none(inline, types):
    made = add_flow(flow(node("a", "act")))
    first = inline.submit(made, 1, "manual", key="k")
    second = inline.submit(made, 2, "manual", key="k")
    assert (first.is_new, second.is_new) == (True, False)
    assert second.run.id == first.run.id and len(types.effects) == 1 and Run.select().count() == 1


def test_another_key_or_another_flow_is_another_run(inline, types):
    one, other = add_flow(flow(node("a", "act"))), add_flow(flow(node("a", "act")))
    tickets = [inline.submit(made, None, "manual", key=key) for made, key in ((one, "k"), (one, "l"), (other, "k"))]
    assert all(ticket.is_new for ticket in tickets) and len(types.effects) == 3


def test_a_key_stands_for_a_day(inline):
    made = add_flow(flow("a"))
    first = inline.submit(made, None, "manual", key="k")
    IdempotencyKey.update(created_at=now_ms() - DAY_MS - 1000).execute()
    second = inline.submit(made, None, "manual", key="k")
    assert second.is_new and second.run.id != first.run.id
    assert inline.submit(made, None, "manual", key="k").run.id == second.run.id


def test_the_same_key_at_the_same_time_starts_one_run(start, types):
    dispatcher = start(run_threads=8)
    made = add_flow(flow(node("a", "act")))
    for key in ("one", "two", "three"):
        tickets = at_once(8, lambda number, key=key: dispatcher.submit(made, number, "manual", key=key))
        assert sum(ticket.is_new for ticket in tickets) == 1
        assert len({ticket.run.id for ticket in tickets}) == 1
        finished(dispatcher, tickets[0].run)
    assert len(types.effects) == Run.select().count() == 3
    assert dispatcher.active_count() == 0


def test_a_run_that_lost_the_race_for_its_key_leaves_no_file(start, tmp_path):
    dispatcher = start(run_threads=8, inline_value_bytes=10)
    made = add_flow(flow("a"))
    tickets = at_once(8, lambda number: dispatcher.submit(made, "long enough for a file", "manual", key="k"))
    finished(dispatcher, tickets[0].run)
    assert [folder.name for folder in (tmp_path / "values").iterdir()] == [tickets[0].run.id]


# More runs than threads


def test_a_run_waits_where_all_threads_are_busy_and_is_executed_then(start, gate):
    dispatcher = start(run_threads=1)
    first = submit(dispatcher, flow(node("a", "gate")))
    assert gate.reached.wait(PATIENCE)
    second = dispatcher.wait(dispatcher.ticket_of(submit(dispatcher, flow("a"), 2)), 0)
    assert (second.status, second.started_at, second.lease_owner) == ("pending", None, None)
    gate.opened.set()
    assert [finished(dispatcher, run).status for run in (first, second)] == ["success", "success"]
    assert run_of(second.id).claims == 1


def test_too_many_runs_are_refused_with_a_time_to_come_again(start, gate):
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


def test_a_sweep_leaves_alone_what_this_process_has_in_hand(start, gate, types):
    dispatcher = start(run_threads=1)
    made = chain(node("a", "gate"), node("b", "act"))
    runs = [submit(dispatcher, made) for _ in range(3)]
    dispatcher.wait(dispatcher.ticket_of(runs[-1]), 0)
    for _ in range(3):
        dispatcher.sweep()
    gate.opened.set()
    assert [finished(dispatcher, run).status for run in runs] == ["success"] * 3
    assert len(types.effects) == 3


def test_a_sweep_takes_up_no_more_than_there_are_free_threads(start, gate):
    dispatcher = start(run_threads=2)
    submit(dispatcher, flow(node("a", "gate")))
    made = add_flow(flow(node("a", "gate")))
    ids = [on_record(made) for _ in range(3)]
    dispatcher.sweep()
    assert dispatcher.active_count() == 2
    gate.opened.set()
    assert finished(dispatcher, run_of(ids[0])).status == "success"


def test_pending_runs_are_taken_up_oldest_first(inline, types):
    made = add_flow(flow(node("a", "act")))
    ids = [on_record(made) for _ in range(2)]
    inline.sweep()
    assert types.effects == [f"{id_}:a:0" for id_ in ids]


def test_what_one_sweep_cannot_take_up_is_begun_as_soon_as_a_thread_is_free(dispatcher, types):
    made = add_flow(flow(node("a", "act")))
    ids = [on_record(made) for _ in range(9)]
    dispatcher.sweep()
    assert [finished(dispatcher, run_of(id_)).status for id_ in ids] == ["success"] * 9
    assert sorted(types.effects) == [f"{id_}:a:0" for id_ in ids]


def test_a_run_that_something_else_executes_is_not_taken_up(inline, types):
    made = add_flow(flow(node("a", "act")))
    Run.record(made, status="pending", triggered_by="manual")
    Run.record(made, status="running", triggered_by="manual")
    on_record(made, waiting="approval")
    inline.sweep()
    assert types.effects == []


# Cancelling


def test_a_pending_run_that_is_cancelled_is_never_executed(start, gate, types):
    dispatcher = start(run_threads=1)
    first = submit(dispatcher, flow(node("a", "gate")))
    second = submit(dispatcher, flow(node("a", "act")))
    dispatcher.wait(dispatcher.ticket_of(second), 0)
    dispatcher.cancel(run_of(second.id), "ann")
    gate.opened.set()
    finished(dispatcher, first)
    ended = finished(dispatcher, run_of(second.id))
    assert (ended.status, ended.error_text, ended.cancelled) == ("failed", "cancelled by ann", True)
    dispatcher.sweep()
    assert types.effects == [] and run_of(second.id).deaths == 0


def test_a_running_run_that_is_cancelled_stops_before_its_next_node(dispatcher, gate, types):
    run = submit(dispatcher, chain(node("a", "gate"), node("b", "act", on_error="continue")))
    dispatcher.cancel(at_gate(dispatcher, run, gate), "ann")
    assert run_of(run.id).status == "failed"
    gate.opened.set()
    ended = finished(dispatcher, run)
    assert (ended.status, ended.error_text, ended.cancelled) == ("failed", "cancelled by ann", True)
    assert types.effects == []
    day = RunDay.get()
    assert (day.total, day.success, day.failed) == (1, 0, 1)


def test_a_cancelled_run_keeps_its_end_when_its_last_node_succeeds(dispatcher, gate):
    run = submit(dispatcher, flow(node("a", "gate")))
    dispatcher.cancel(at_gate(dispatcher, run, gate), "ann")
    gate.opened.set()
    finished(dispatcher, run)
    assert (run_of(run.id).status, run_of(run.id).cancelled, RunDay.get().total) == ("failed", True, 1)


ANSWER = {"status": 200, "headers": {}, "body": "done"}


@pytest.mark.parametrize("then", [[], ["n"], [node("z", "act")]])
@pytest.mark.parametrize("remove", [False, True])
def test_what_a_cancelled_run_says_after_that_is_no_answer(dispatcher, gate, types, then, remove):
    """Neither to who waits for it nor to who asks later, with the same key."""
    types.offer("reply", gate, responds=True)
    run = submit(dispatcher, chain(node("a", "reply"), *then), ANSWER)
    waiting = dispatcher.ticket_of(run)
    dispatcher.cancel(at_gate(dispatcher, run, gate), "ann")
    if remove:
        run_of(run.id).remove()
    gate.opened.set()
    assert waiting.active.ended.wait(PATIENCE)
    for ticket in (waiting, dispatcher.ticket_of(run)) if not remove else (waiting,):
        ended, said = dispatcher.response(ticket, 0)
        assert (ended.status, ended.output, said) == ("failed", None, None)
    assert steps_of(run.id) == [] == types.effects


def test_what_a_run_has_said_before_it_was_cancelled_is_its_answer(dispatcher, gate, types):
    types.offer("reply", lambda config, input, ctx: input, responds=True)
    run = submit(dispatcher, chain(node("a", "reply"), node("g", "gate"), node("z", "act")), ANSWER)
    waiting = dispatcher.ticket_of(run)
    assert dispatcher.response(waiting, PATIENCE)[1] == ANSWER
    dispatcher.cancel(at_gate(dispatcher, run, gate), "ann")
    gate.opened.set()
    assert waiting.active.ended.wait(PATIENCE)
    assert [dispatcher.response(ticket, 0)[1] for ticket in (waiting, dispatcher.ticket_of(run))] == [ANSWER, ANSWER]


def test_a_run_that_has_ended_is_not_cancelled(inline):
    run = submit(inline, flow("a"), 1)
    with pytest.raises(Conflict):
        inline.cancel(run_of(run.id), "ann")
    row = run_of(run.id)
    assert (row.status, row.output, row.cancelled, RunDay.get().total) == ("success", "1", False, 1)


def test_a_run_is_cancelled_through_another_process(start, gate, types):
    one, other = start(run_threads=1), start(run_threads=1)
    run = submit(one, chain(node("a", "gate"), node("b", "act")))
    other.cancel(at_gate(one, run, gate), "ann")
    one.sweep()
    gate.opened.set()
    assert finished(one, run).error_text == "cancelled by ann"
    assert types.effects == [] and RunDay.get().total == 1


def test_a_cancellation_cuts_a_pause_short(dispatcher):
    failed = threading.Event()
    dispatcher.on_step = lambda run, step: failed.set()
    run = submit(dispatcher, flow(node("a", "fail", retry={"attempts": 2, "delay": 3600})))
    assert failed.wait(PATIENCE)
    dispatcher.cancel(dispatcher.wait(dispatcher.ticket_of(run), 0), "ann")
    assert finished(dispatcher, run).error_text == "cancelled by ann"


# What a dead process left

EVERYTHING = flow(
    node("a", "give", {"value": [1, 2]}),
    node("b", "act", foreach="{{ input }}"),
    node("c", "act", {"value": "{{ steps.b | length }}"}),
    node("if", "if", {"condition": True}),
    node("no", "act"),
    node("off", "act", disabled=True),
    node("try", "fail", on_error="continue"),
    node("end", "act", {"value": "{{ [input, steps.c] }}"}),
    edges=["a b", "b c", "c if", "if no false", "if off true", "off try", "try end", "no end", "off end"],
)


def test_a_run_left_by_a_dead_process_is_resumed_from_any_of_its_steps(inline, types):
    whole = run_engine(EVERYTHING)
    everything = [key.split(":", 1)[1] for key in types.effects]
    for cut in range(len(whole.steps) + 1):
        id_ = left_behind(inline, EVERYTHING, steps=cut)
        done = {f"{step.node_id}:{step.item_index or 0}" for step in whole.steps[:cut] if step.status == "success"}
        types.effects.clear()
        inline.sweep()
        run = run_of(id_)
        assert (run.status, output(inline, run), run.claims) == ("success", whole.output, 2)
        assert types.effects == [f"{id_}:{key}" for key in everything if key not in done]


def test_a_step_in_doubt_is_closed_and_done_again_with_the_same_key(inline, types):
    made = chain("a", node("b", "act"))
    id_ = left_behind(inline, made, steps=2)
    types.effects.clear()
    inline.sweep()
    assert types.effects == [f"{id_}:b:0"]
    assert statuses(id_) == [("a", "success"), ("b", "failed"), ("b", "success")]
    assert "interrupted" in steps_of(id_)[1].error_text


def test_a_step_in_doubt_fails_the_run_where_on_interrupt_says_so(inline, types):
    id_ = left_behind(inline, flow(node("a", "act", on_interrupt="fail")), steps=1)
    types.effects.clear()
    inline.sweep()
    assert (run_of(id_).status, types.effects) == ("failed", [])


def test_a_step_that_has_failed_for_good_is_not_done_again(types, inline):
    def burn(config, input, ctx):
        types.effects.append(ctx.idempotency_key)
        raise RuntimeError("burnt")

    types.offer("burn", burn, pure=False)
    id_ = left_behind(inline, flow(node("a", "burn")), steps=2)
    types.effects.clear()
    inline.sweep()
    assert (run_of(id_).status, types.effects) == ("failed", [])


@pytest.mark.parametrize("steps", [1, 3])
def test_a_step_that_was_interrupted_once_may_be_interrupted_again(inline, types, steps):
    """First a dies while it runs; the process that resumes it dies while a runs again, or while b does."""
    id_ = left_behind(inline, chain(node("a", "act"), node("b", "act")), 5, steps=1)
    database.execute(*Step.close_the_running(id_, 1))
    first = len(steps_of(id_))
    again = [
        step._replace(seq=step.seq + first) for step in run_engine(chain(node("a", "act"), node("b", "act")), 5).steps
    ]
    record_steps(inline, id_, again[:steps])
    Run.update(claims=2).where(Run.id == id_).execute()
    types.effects.clear()
    inline.sweep()
    assert (run_of(id_).status, run_of(id_).output) == ("success", "5")
    assert types.effects == [f"{id_}:{name}:0" for name in ("ab" if steps == 1 else "b")]


@pytest.mark.parametrize("more", [{"retry": {"attempts": 3, "delay": 0}}, {"foreach": [1], "retry": {"attempts": 3}}])
def test_a_step_that_has_failed_for_good_before_its_last_attempt_is_not_done_again(types, inline, more):
    def burn(config, input, ctx):
        types.effects.append(ctx.idempotency_key)
        raise NodeError("burnt", permanent=True)

    types.offer("burn", burn, pure=False)
    id_ = left_behind(inline, flow(node("a", "burn", **more)), steps=3)
    types.effects.clear()
    inline.sweep()
    assert (run_of(id_).status, types.effects) == ("failed", [])


def test_a_resumed_run_has_its_input_and_its_large_values(start, tmp_path):
    inline = start(inline=True, inline_value_bytes=10)
    made = chain(
        node("a", "give", {"value": "{{ input }}"}),
        node("b", "act"),
        node("c", "give", {"value": "{{ [steps.b, trigger] }}"}),
    )
    value = "long enough for a file"
    for cut in range(5):
        id_ = left_behind(inline, made, value, steps=cut)
        inline.sweep()
        assert output(inline, run_of(id_)) == [value, value]


def test_a_disabled_node_that_handed_on_a_large_value_hands_it_on_after_a_crash(start):
    inline = start(inline=True, inline_value_bytes=10)
    value = "long enough for a file"
    id_ = left_behind(inline, chain(node("a", disabled=True), "b"), value, steps=1)
    inline.sweep()
    assert output(inline, run_of(id_)) == value


def test_an_error_too_large_for_its_row_is_handed_on_after_a_crash(start, types):
    inline = start(inline=True, inline_value_bytes=10)
    made = chain(
        node("a", "fail", {"value": "long enough for a file"}, on_error="continue"), node("b"), node("c", "act")
    )
    id_ = left_behind(inline, made, steps=2)
    inline.sweep()
    run = run_of(id_)
    assert (run.status, output(inline, run)) == ("success", {"error": "long enough for a file"})
    assert [step.node_id for step in steps_of(id_)] == ["a", "b", "c"]


def test_a_run_of_a_process_that_lives_is_left_alone(inline, types):
    id_ = left_behind(inline, flow(node("a", "act")))
    Lease.beat("proc_gone", 60_000)
    inline.sweep()
    assert types.effects == ["run_1:a:0"] and run_of(id_).status == "running"
    Lease.beat("proc_gone", -1)
    inline.sweep()
    assert run_of(id_).status == "success"


def test_runs_are_swept_even_when_no_process_has_a_lease(inline):
    id_ = left_behind(inline, flow("a"))
    Lease.delete().execute()
    inline.sweep()
    assert run_of(id_).status == "success"


def test_a_run_that_killed_its_process_three_times_is_given_up(inline, types):
    id_ = left_behind(inline, flow(node("a", "act")), steps=1, deaths=MAX_DEATHS - 1)
    types.effects.clear()
    inline.sweep()
    run = run_of(id_)
    assert (run.status, types.effects, statuses(id_)) == ("failed", [], [("a", "failed")])
    assert "3 processes died" in run.error_text and RunDay.get().failed == 1


def test_a_run_that_killed_two_processes_has_one_more_chance(inline):
    id_ = left_behind(inline, flow("a"), deaths=MAX_DEATHS - 2)
    inline.sweep()
    assert run_of(id_).status == "success"


def test_of_the_runs_at_which_two_processes_died_a_process_executes_one_at_a_time(start, gate, types):
    """Else the one that is to blame has the others given up with it."""
    dispatcher = start(run_threads=4)
    suspects = [on_record(add_flow(flow(node("a", "gate"))), deaths=MAX_DEATHS - 1) for _ in range(3)]
    other = on_record(add_flow(flow("a")), claims=1)
    dispatcher.sweep()
    assert finished(dispatcher, run_of(other)).status == "success"
    assert gate.reached.wait(PATIENCE)
    assert sorted(run_of(id_).claims for id_ in suspects) == [0, 0, 1]
    gate.opened.set()
    assert [finished(dispatcher, run_of(id_)).status for id_ in suspects] == ["success"] * 3


def test_two_threads_that_look_at_the_same_time_begin_one_of_those_runs(start, gate, monkeypatch):
    dispatcher = start(run_threads=4)
    suspects = [on_record(add_flow(flow(node("a", "gate"))), deaths=MAX_DEATHS - 1) for _ in range(2)]
    has_suspect, others = dispatcher._has_suspect, []

    def meanwhile():
        found = has_suspect()
        if not others:
            others.append(Background(dispatcher._take, suspects[1]))
            others[0].thread.join(0.2)
        return found

    monkeypatch.setattr(dispatcher, "_has_suspect", meanwhile)
    dispatcher._take(suspects[0])
    others[0].result()
    assert dispatcher.active_count() == 1
    gate.opened.set()


def test_a_run_that_is_cancelled_before_it_is_resumed_leaves_no_step_running(inline, types):
    id_ = left_behind(inline, flow(node("a", "act")), steps=1)
    types.effects.clear()
    with database.write():
        database.execute(*Run.take_from_the_dead(id_))
    inline.cancel(run_of(id_), "ann")
    inline.sweep()
    (step,) = steps_of(id_)
    assert (step.status, step.error_text) == ("failed", "the run was cancelled while this step ran")
    assert step.finished_at is not None and types.effects == []


def test_a_node_that_ends_after_the_run_was_cancelled_has_its_result_on_record(dispatcher, gate, types):
    types.offer("linger", gate, pure=False)
    run = submit(dispatcher, chain(node("a", "linger"), node("b", "act")), 5)
    dispatcher.cancel(at_gate(dispatcher, run, gate), "ann")
    assert [step.status for step in steps_of(run.id)] == ["failed"]
    gate.opened.set()
    let_go(dispatcher, run)
    (step,) = steps_of(run.id)
    assert (step.status, step.output, step.error_text, types.effects) == ("success", "5", None, [])


def large(gate, types):
    """A flow of which the node in hand will give a value that is too large for its row."""
    types.offer("linger", lambda config, input, ctx: [gate(config, input, ctx)] * 50, pure=False)
    return chain(node("a", "linger"), node("b", "act"))


def test_a_node_that_ends_after_the_run_was_cancelled_has_its_file_as_long_as_its_row(start, gate, types, tmp_path):
    one = start(run_threads=2, inline_value_bytes=100)
    made = large(gate, types)
    runs = [submit(one, made, 5) for _ in range(2)]
    for run in runs:
        while not steps_of(run.id):
            one.wait(one.ticket_of(run), 0.01)
        one.cancel(run_of(run.id), "ann")
    run_of(runs[0].id).remove()
    gate.opened.set()
    let_go(one, runs[1])
    (step,) = Step.select()
    assert (step.run_id, step.status) == (runs[1].id, "success")
    assert one.value(runs[1].id, "step_0", Kept(step.output, step.output_bytes)) == [5] * 50
    assert [folder.name for folder in (tmp_path / "values").iterdir()] == [runs[1].id]


def test_a_run_that_is_repeated_as_its_last_node_ends_has_the_file_of_that(start, gate, types, monkeypatch):
    one = start(run_threads=2, inline_value_bytes=100)
    run = submit(one, large(gate, types), 5)
    while not steps_of(run.id):
        one.wait(one.ticket_of(run), 0.01)
    one.cancel(run_of(run.id), "ann")
    share = Payloads.share

    def meanwhile(*given):
        monkeypatch.undo()
        share(*given)
        gate.opened.set()
        let_go(one, run)

    monkeypatch.setattr(Payloads, "share", meanwhile)
    again = finished(one, one.retry(run_of(run.id), "failed", None).run)
    assert (again.status, output(one, again), types.effects) == ("success", [5] * 50, [f"{again.id}:b:0"])


def test_a_run_whose_flow_was_deleted_fails_and_says_so(inline):
    id_ = left_behind(inline, flow("a"))
    Workflow.get().remove()
    inline.sweep()
    assert run_of(id_).status == "failed" and "deleted" in run_of(id_).error_text
    inline.sweep()
    assert RunDay.get().total == 1


def test_a_run_goes_on_with_the_version_that_it_began_with(inline):
    id_ = left_behind(inline, flow(node("a", "give", {"value": "old"})))
    changed = orjson.dumps(flow(node("a", "give", {"value": "new"}))).decode()
    Workflow.get().change(None, triggers=[], definition_json=changed)
    inline.sweep()
    assert run_of(id_).output == '"old"'


def test_a_run_whose_definition_is_not_valid_any_more_fails_and_says_so(inline, types):
    types.offer("short_lived", lambda config, input, ctx: 1)
    id_ = left_behind(inline, flow(node("a", "short_lived")))
    types.__exit__()
    inline.sweep()
    assert run_of(id_).status == "failed" and "short_lived" in run_of(id_).error_text


def test_a_run_that_was_taken_from_us_is_not_gone_on_with(dispatcher, gate, types):
    run = submit(dispatcher, chain(node("a", "gate"), node("b", "act")))
    at_gate(dispatcher, run, gate)
    Lease.beat("proc_other", 60_000)
    Run.update(lease_owner="proc_other", claims=2).where(Run.id == run.id).execute()
    dispatcher.sweep()
    gate.opened.set()
    let_go(dispatcher, run)
    row = run_of(run.id)
    assert (row.status, row.lease_owner, row.finished_at, types.effects) == ("running", "proc_other", None, [])


def test_a_run_that_is_just_being_accepted_is_not_thought_to_be_taken(dispatcher, monkeypatch):
    submit_writes = dispatcher.recorder.submit

    def after_a_sweep(*given, **more):
        monkeypatch.undo()
        dispatcher.sweep()
        return submit_writes(*given, **more)

    monkeypatch.setattr(dispatcher.recorder, "submit", after_a_sweep)
    assert finished(dispatcher, submit(dispatcher, flow("a"))).error_text is None


def test_a_sweep_does_not_mind_that_a_run_begins_meanwhile(inline):
    class Beginning:
        """A run in hand; just when it is looked at, another one is taken in hand."""

        @property
        def run(self):
            inline._active["run_another"] = self
            return Run(status="pending")

    inline._active["run_one"] = Beginning()
    inline.sweep()
    assert set(inline._active) == {"run_one", "run_another"}
    inline._active.clear()


def test_a_process_that_was_asleep_starts_no_node_of_a_run_that_was_taken_from_it(start, gate, types):
    one = start(run_threads=1)
    run = submit(one, chain(node("a", "gate"), node("b", "act")))
    at_gate(one, run, gate)
    Run.update(lease_owner="proc_other", claims=2).where(Run.id == run.id).execute()
    gate.opened.set()
    let_go(one, run)
    assert types.effects == []


def test_a_process_that_was_asleep_changes_nothing_in_the_record_of_who_took_its_run(path, start, gate, types):
    slow = iter([gate])
    types.offer("slow", lambda config, input, ctx: next(slow, lambda *args: input)(config, input, ctx), pure=False)
    one, other = start(run_threads=1), start(inline=True)
    run = submit(one, chain(node("a", "slow"), "b", node("c", "act")), 5)
    at_gate(one, run, gate)
    Lease.beat(one.owner, -1)
    other.sweep()
    record = [(step.seq, step.node_id, step.status) for step in steps_of(run.id)][1:]
    assert record == [(1, "a", "success"), (2, "b", "success"), (3, "c", "success")]
    gate.opened.set()
    let_go(one, run)
    assert [(step.seq, step.node_id, step.status) for step in steps_of(run.id)][1:] == record
    assert (run_of(run.id).output, types.effects) == ("5", [f"{run.id}:c:0"])


def test_a_process_that_was_asleep_closes_no_step_in_doubt_of_a_run_that_is_to_be_claimed_anew(
    start, types, monkeypatch
):
    """Closed, it would be in doubt no more, and be done again though it must not."""
    one, other = start(inline=True), start(inline=True)
    made = flow(node("a", "act", on_interrupt="fail"))
    id_ = left_behind(one, made, steps=1)
    types.effects.clear()
    of = History.of

    def asleep(run, load):
        history = of(run, load)
        monkeypatch.undo()
        taken_from(one, run.id)
        return history

    monkeypatch.setattr(History, "of", asleep)
    one.sweep()
    assert run_of(id_).status == "pending"
    other.sweep()
    assert (run_of(id_).error_node_id, types.effects) == ("a", []) and "interrupted" in run_of(id_).error_text


def test_a_process_that_was_asleep_changes_no_large_value_of_who_took_its_run(start, gate, types):
    slow = iter([gate])
    types.offer("slow", lambda config, input, ctx: next(slow, lambda *args: input)(config, input, ctx), pure=False)
    one, other = start(run_threads=1, inline_value_bytes=10), start(inline=True, inline_value_bytes=10)
    made = chain(node("a", "slow"), node("b", "give", {"value": "another value, as large"}), node("c", "act"))
    run = submit(one, made, "a value for a file")
    at_gate(one, run, gate)
    Lease.beat(one.owner, -1)
    other.sweep()

    def values():
        kept = [(f"step_{step.seq}", Kept(step.output, step.output_bytes)) for step in steps_of(run.id)]
        return [other.value(run.id, *item) for item in kept]

    before = values()
    gate.opened.set()
    let_go(one, run)
    assert values() == before == [None, "a value for a file", "another value, as large", None]


def test_a_run_that_waited_here_while_another_process_began_it_goes_on_from_its_completed_steps(start, gate, types):
    dispatcher = start(run_threads=1)
    made = chain(node("a", "act"), node("b", "act"))
    first = submit(dispatcher, flow(node("a", "gate")))
    at_gate(dispatcher, first, gate)
    second = dispatcher.wait(dispatcher.ticket_of(submit(dispatcher, made, 5)), 0)
    dispatcher.recorder.commit(Run.claim(second.id, "proc_other"))
    record_steps(dispatcher, second.id, run_engine(made, 5).steps[:2])
    dispatcher.recorder.commit([Run.release(second.id, "proc_other")])
    types.effects.clear()
    gate.opened.set()
    assert finished(dispatcher, second).output == "5"
    assert types.effects == [f"{second.id}:b:0"]


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
            return other.execute("SELECT lease_owner FROM runs WHERE id = ?", (id_,)).fetchone()[0] == inline.owner

    taken = "UPDATE runs SET lease_owner = 'proc_other', claims = 2, deaths = 1 WHERE id = ?"
    meddle(path, is_claimed, [alive("proc_other"), (taken, (id_,))])
    inline.sweep()
    row = run_of(id_)
    assert (row.status, row.lease_owner, row.claims, types.effects) == ("running", "proc_other", 2, [])
    assert inline.active_count() == 0


def test_a_run_that_was_claimed_and_then_forgotten_is_handed_back_and_goes_on(inline, types):
    """As where the row cannot be read just after the claim."""
    id_ = on_record(add_flow(flow(node("a", "act"))))
    inline.recorder.commit(Run.claim(id_, inline.owner))
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
from models import Workflow
from world import Types, process
folder = pathlib.Path(sys.argv[1])
database.connect(folder / "headrace.sqlite3", "normal")
with Types() as types, process(folder, inline=True) as dispatcher:
    types.offer("die", lambda config, input, ctx: os._exit(9), pure=False)
    dispatcher.submit(Workflow.get(), 1, "manual")
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
    assert Lease.find(dispatcher.owner) is not None
    dispatcher.stop()
    assert Lease.find(dispatcher.owner) is None


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
    assert dispatcher._hand_back.wait(PATIENCE)
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
    waiting = Background(dispatcher.wait, dispatcher.ticket_of(run), 2 * PATIENCE)
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
    dispatcher.cancel(dispatcher.wait(dispatcher.ticket_of(run), 0), "ann")
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
        dispatcher.wait(dispatcher.ticket_of(run), PATIENCE)
    assert caught.value.retry_after == 5
    make_room(dispatcher)
    assert Run.find(run.id) is None
    assert finished(dispatcher, submit(dispatcher, flow("a"), "x" * 50_000)).status == "success"


def test_a_run_that_has_ended_but_was_never_accepted_is_not_told_to_anybody(start):
    inline = start(inline=True)
    fill(inline)
    ticket = inline.submit(add_flow(flow("a")), "x" * 50_000, "manual")
    for found in (ticket, inline.ticket_of(ticket.run)):
        with pytest.raises(Unavailable):
            inline.wait(found, 0)


def test_a_process_that_cannot_say_that_it_lives_takes_no_runs(dispatcher):
    id_ = on_record(add_flow(flow("a")))
    dispatcher._alive_until = 0.0
    dispatcher.sweep()
    with pytest.raises(Unavailable, match="cannot be written"):
        submit(dispatcher, flow("a"))
    assert not dispatcher.is_open() and run_of(id_).status == "pending"
    dispatcher.beat()
    dispatcher.sweep()
    assert finished(dispatcher, run_of(id_)).status == "success"


def test_a_process_that_keeps_itself_alive_is_so_beyond_its_lease_and_not_beyond_its_end(start):
    dispatcher = start(lease=1)
    dispatcher.keep_alive()
    first = Lease.find(dispatcher.owner).until
    until(lambda: Lease.find(dispatcher.owner).until > first + 1_000, "the lease is renewed past its first end")
    assert dispatcher.is_open() and finished(dispatcher, submit(dispatcher, flow("a"))).status == "success"
    dispatcher.stop()
    assert Lease.find(dispatcher.owner) is None
    assert not [thread for thread in threading.enumerate() if thread.name == "heartbeat"]


def test_a_process_that_cannot_hand_its_runs_back_does_not_stay_alive_for_that(start, monkeypatch):
    dispatcher = start(lease=1)
    dispatcher.keep_alive()
    monkeypatch.setattr(dispatcher, "_let_go", lambda: 1 / 0)
    dispatcher.stop()
    assert not [thread for thread in threading.enumerate() if thread.name == "heartbeat"]


def test_a_lease_that_could_not_be_renewed_once_is_renewed_later(start, monkeypatch):
    dispatcher = start(lease=1)
    beat, failures = dispatcher.beat, iter([OSError("No space left on device")])

    def failing():
        for error in failures:
            raise error
        beat()

    monkeypatch.setattr(dispatcher, "beat", failing)
    first = Lease.find(dispatcher.owner).until
    dispatcher.keep_alive()
    until(lambda: Lease.find(dispatcher.owner).until > first, "the lease is renewed after a failure")


def test_a_run_with_a_key_that_cannot_be_accepted_leaves_the_key_free(start):
    dispatcher = start()
    made = add_flow(flow("a"))
    fill(dispatcher)
    with pytest.raises(Unavailable):
        dispatcher.submit(made, "x" * 50_000, "manual", key="k")
    assert dispatcher.active_count() == 0
    make_room(dispatcher)
    assert dispatcher.submit(made, 1, "manual", key="k").is_new


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
    plan_of_version, looks = dispatcher.plan_of_version, iter([dispatcher.pick_up])

    def meanwhile(made):
        if (look := next(looks, None)) is not None:
            look()
            assert gate.reached.wait(PATIENCE)
        return plan_of_version(made)

    monkeypatch.setattr(dispatcher, "plan_of_version", meanwhile)
    ticket = dispatcher.retry(run, "start", None)
    ticket.active.ended.wait(0.2)
    dispatcher.sweep()
    assert (run_of(ticket.run.id).status, dispatcher.active_count()) == ("running", 1)
    gate.opened.set()
    assert finished(dispatcher, ticket.run).status == "success"
    assert run_of(ticket.run.id).claims == 1 and types.effects == [f"{ticket.run.id}:a:0"]
