"""Flows that run flows: `subflow` nodes and error workflows."""

import orjson
import pytest
from crashes import crash_everywhere
from dispatching import (
    add_run_of_dead_process,
    at_gate,
    call,
    called,
    children,
    finished,
    nothing_waits,
    output,
    statuses,
    submit,
    take_from,
    wait_until_idle,
)
from engines import fill_disk, make_room, runs_with_values, statements_of_thread
from world import PATIENCE, add_flow, chain, flow, node, raced, run_of, steps_of

from database.queries import runs as run_queries
from database.queries import workflows
from dispatch import Start
from dispatch.run_record import RunRecord
from errors import NodeError, Unavailable
from models import LogEntry, Run, Wait, Workflow


def error_of(run_id):
    return run_of(run_id).error_text


# Calling


def test_a_called_flow_returns_its_output_to_the_caller(inline, types):
    made = called(node("b", "act", {"value": "{{ [input, trigger] }}"}))
    run = submit(inline, chain(node("a", "give", {"value": 7}), call(made), node("end", "act")), 1)
    row = run_of(run.id)
    assert (row.status, output(inline, row)) == ("success", [7, 7])
    (child,) = children(run)
    assert (child.status, child.depth, child.parent_node_id, child.trigger_node) == ("success", 1, "c", "called")
    assert (child.input, child.workflow_id, child.triggered_by) == ("7", made.id, "manual")
    assert statuses(run.id) == [("a", "success"), ("c", "success"), ("end", "success")]
    assert types.effects == [f"{child.id}:b:0", f"{run.id}:end:0"] and nothing_waits()


def test_a_call_passes_the_configured_input(inline):
    run = submit(inline, chain(call(called("b"), input="{{ [input, 2] }}")), 1)
    assert output(inline, run_of(run.id)) == [1, 2]


def test_a_waiting_caller_names_the_run_that_it_waits_for(start, gate):
    one = start(run_threads=1)
    run = submit(one, chain(call(called(node("g", "gate")))))
    assert gate.reached.wait(PATIENCE)
    (child,) = children(run)
    assert run_of(run.id).waiting == f"the run {child.id}"
    gate.opened.set()
    assert finished(one, run).status == "success"


def test_a_wait_for_a_run_continues_if_its_child_ends_at_that_moment(start, gate, monkeypatch):
    one = start(run_threads=1)
    run = submit(one, chain(call(called(node("g", "gate")))))
    assert gate.reached.wait(PATIENCE)
    (child,) = children(run)
    unfinished = run_queries.children

    def after_its_end(of):
        monkeypatch.undo()
        gate.opened.set()
        assert finished(one, child).status == "success"
        return unfinished(of)

    monkeypatch.setattr(run_queries, "children", after_its_end)
    assert finished(one, run).status == "success"


def test_a_wait_for_a_run_includes_the_runs_that_it_calls(dispatcher):
    """A called flow ends without a person's answer, so the wait does not return a pending run."""
    run = submit(dispatcher, chain(call(called(call(called("b"))))), 3)
    ended = dispatcher.waiting.wait(dispatcher.ticket_of(run), PATIENCE)
    assert (ended.status, output(dispatcher, ended)) == ("success", 3)


def test_a_wait_for_a_run_ends_when_a_called_run_sleeps(dispatcher):
    run = submit(dispatcher, chain(call(called(node("w", "wait", {"seconds": 10_000})))), 3)
    assert dispatcher.waiting.wait(dispatcher.ticket_of(run), PATIENCE).status == "pending"


def test_a_call_without_wait_continues_at_once(inline):
    run = submit(inline, chain(call(called(node("b", "fail")), wait=False), "end"))
    (child,) = children(run)
    assert output(inline, run_of(run.id)) == {"run_id": child.id}
    assert (child.status, child.parent_node_id) == ("failed", None)
    assert statuses(run.id) == [("c", "success"), ("end", "success")]


@pytest.mark.parametrize("value", [None, [], "x" * 100])
def test_every_output_of_a_called_flow_reaches_the_caller(start, value):
    inline = start(inline=True, inline_value_bytes=10)
    run = submit(inline, chain(node("a", "give", {"value": value}), call(called("b")), "end"))
    assert run_of(run.id).status == "success" and output(inline, run_of(run.id)) == value


def test_flows_call_each_other_in_two_dispatchers(start):
    one, other = start(run_threads=2), start(run_threads=2)
    made = called(node("x", "act"), call(called(node("y", "act", {"value": "{{ input + 1 }}"}))))
    parent = add_flow(flow(call(made, "p"), call(made, "q"), node("end", "act"), edges=["p end", "q end"]))
    runs = [(one, other)[number % 2].submit(Start(parent, number, "manual")).run for number in range(10)]
    for number, run in enumerate(runs):
        assert output(one, finished((one, other)[number % 2], run)) == {"p": number + 1, "q": number + 1}
    assert Run.select().count() == 50 and nothing_waits()


@pytest.mark.slow
def test_flows_call_each_other_in_two_processes(tmp_path, types):
    made = called(node("x", "act"), call(called(node("y", "act"))))
    parent = add_flow(flow(call(made, "p"), call(made, "q"), node("end", "act"), edges=["p end", "q end"]))
    source = """
import pathlib, sys
import database
from chosen_engine import connect
from dispatch import Start
from models import Run, Workflow
from world import Types, process
folder = pathlib.Path(sys.argv[1])
connect(folder)
with Types() as types, process(folder, run_threads=2) as dispatcher:
    print("ready", flush=True)
    sys.stdin.readline()
    flow = Workflow.get_by_id(sys.argv[2])
    for ticket in [dispatcher.submit(Start(flow, number, "manual")) for number in range(10)]:
        dispatcher.waiting.wait(ticket, 0)
    while Run.select().where(Run.status.in_(["pending", "running"])).exists():
        dispatcher.sweep()
    print(*types.effects)
database.disconnect()
"""
    effects = raced(2, source, tmp_path, parent.id)
    assert len(effects) == len(set(effects)) == 20 + 40 + 40
    assert {(run.status, run.depth) for run in Run.select()} == {("success", depth) for depth in range(3)}
    assert Run.select().count() == 100 and nothing_waits()


# Failures


def test_a_called_flow_that_fails_fails_the_node(inline):
    run = submit(inline, chain(call(called(node("b", "fail", {"value": "no luck"})))))
    (child,) = children(run)
    assert error_of(run.id) == f"the run {child.id} failed: no luck"
    assert run_of(run.id).error_node_id == "c" and nothing_waits()


def test_a_called_run_that_is_cancelled_fails_the_node(start, gate):
    one = start(run_threads=1)
    run = submit(one, chain(call(called(node("g", "gate")))))
    assert gate.reached.wait(PATIENCE)
    one.cancel(children(run)[0], "ann")
    gate.opened.set()
    ended = finished(one, run)
    assert "cancelled by ann" in ended.error_text and not ended.cancelled


def test_a_called_run_that_is_deleted_before_its_output_was_read_fails_the_node(inline):
    made = called(node("w", "ask"))
    run = submit(inline, chain(call(made)))
    (child,) = children(run)
    inline.is_stopping = True  # so that the parent is not claimed yet
    inline.cancel(child, "ann")
    run_queries.remove(run_of(child.id))
    inline.is_stopping = False
    inline.sweep()
    assert error_of(run.id) == f"the run {child.id} failed: its run was deleted"


def test_on_error_and_retry_apply_to_called_flows(inline, types):
    outcomes = iter(["no", "again", None])

    def sometimes(config, input, ctx):
        if (problem := next(outcomes)) is not None:
            raise NodeError(problem)
        return 5

    types.offer("sometimes", sometimes)
    run = submit(inline, chain(call(called(node("b", "sometimes")), retry={"attempts": 3, "delay": 0})))
    assert output(inline, run_of(run.id)) == 5
    assert [(step.seq, step.status, step.attempt) for step in steps_of(run.id)] == [
        (0, "failed", 1),
        (1, "failed", 2),
        (2, "success", 3),
    ]
    assert [child.status for child in children(run)] == ["failed", "failed", "success"]
    bad = called(node("b", "fail", {"value": "bad"}))
    made = flow(call(bad, "p", on_error="continue"), call(bad, "q", on_error="branch"), "x", edges=["q x error"])
    run = submit(inline, made)
    assert all("bad" in found["error"] for found in output(inline, run_of(run.id)).values())
    assert set(output(inline, run_of(run.id))) == {"p", "x"}


def test_a_node_with_a_timeout_starts_one_run_only(inline, types):
    """A start that exceeds the timeout still counts as a start."""
    run = submit(inline, chain(call(called("b"), timeout=0.001, retry={"attempts": 3, "delay": 0})), 1)
    assert run_of(run.id).status == "success" and len(children(run)) == 1


def test_a_flow_that_cannot_be_called_fails_at_once_with_a_clear_error(inline):
    archived = called("b", status="archived", name="Old")
    foreign, broken = called("b", workspace="ws_2"), add_flow(flow(node("x", "no_such")), name="Broken")
    for made, text in (
        (archived, "'Old' is archived"),
        (foreign, f"no flow '{foreign.id}'"),
        ("wf_none", "no flow 'wf_none'"),
        (broken, "'Broken' cannot run: .*no_such"),
    ):
        for wait in (True, False):
            run = submit(inline, chain(call(made, wait=wait, retry={"attempts": 3, "delay": 0})))
            assert run_of(run.id).status == "failed" and len(steps_of(run.id)) == 1
            with pytest.raises(AssertionError, match=text):
                raise AssertionError(error_of(run.id))
    assert Run.select().where(Run.depth > 0).count() == 0


def test_an_input_that_violates_the_schema_of_the_called_flow_is_refused_with_its_path(inline):
    schema = {"type": "object", "properties": {"n": {"type": "array", "items": {"type": "integer"}}}}
    made = add_flow(chain(node("called", "called", {"input_schema": schema}), "b"))
    run = submit(inline, chain(call(made)), {"n": [1, "x"]})
    assert 'n[1]: "x" is not of type "integer"' in error_of(run.id)
    assert children(run)[0].error_node_id == "called"
    assert run_of(submit(inline, chain(call(made)), {"n": [1]}).id).status == "success"


def test_a_flow_that_calls_itself_ends_with_a_clear_error(inline):
    made = add_flow(chain("a"))
    workflows.change(made, None, triggers=(), definition_json=orjson.dumps(chain(call(made))).decode())
    run = inline.submit(Start(made, 1, "manual")).run
    assert "more than 10 levels deep" in error_of(run.id)
    assert [row.depth for row in Run.select().order_by(Run.id)] == list(range(11))
    assert nothing_waits()


def test_calls_may_be_ten_levels_deep(inline):
    made = called("b")
    for _ in range(9):
        made = called(call(made))
    run = submit(inline, chain(call(made)), 4)
    assert output(inline, run_of(run.id)) == 4 and Run.select().count() == 11


# Cancelling


def test_a_cancelled_run_cancels_all_runs_that_it_waits_for(inline, types):
    deepest = called(node("w", "ask"), node("x", "act"))
    run = submit(inline, chain(call(called(call(deepest), node("y", "act"))), node("z", "act")))
    loose = submit(inline, chain(call(deepest, "d", wait=False), call(deepest)))
    inline.cancel(run_of(run.id), "ann")
    inline.cancel(run_of(loose.id), "ann")
    rows = list(Run.select().order_by(Run.id))
    waiting = [row for row in rows if row.finished_at is None]
    assert [(row.parent_run_id, row.parent_node_id) for row in waiting] == [(loose.id, None)]
    assert all(row.cancelled and row.error_text == "cancelled by ann" for row in rows if row.finished_at is not None)
    inline.sweep()
    assert types.effects == [] and Wait.select().count() == 1


def test_a_cancellation_of_a_run_and_its_children_is_one_transaction(inline):
    """So a crash cancels all of them or none."""
    run = submit(inline, chain(call(called(call(called(node("w", "ask")))))))
    with statements_of_thread() as said:
        inline.cancel(run_of(run.id), "ann")
    assert Run.select().where(Run.cancelled == 1).count() == 3 and sum(sql.startswith("COMMIT") for sql in said) == 1


@pytest.mark.parametrize("flushed", [False, True])
@pytest.mark.parametrize("wait", [False, True])
def test_a_run_cancelled_before_its_child_is_recorded_starts_no_child(start, gate, tmp_path, wait, flushed):
    one = start(run_threads=1, inline_value_bytes=10)
    made = called(node("w", "ask"))
    then = node("g", "gate")
    nodes = [call(made, wait=wait), then] if not flushed else [then, call(made, wait=wait), node("x", "act")]
    run = submit(one, flow(*nodes), "long enough for a file")
    one.cancel(at_gate(one, run, gate), "ann")
    gate.opened.set()
    wait_until_idle(one, run)
    assert Run.select().count() == 1 and nothing_waits()
    assert "c" not in {step.node_id for step in steps_of(run.id)}
    assert runs_with_values(tmp_path) == [run.id]


def test_a_run_cancelled_before_its_child_is_recorded_can_be_retried_from_there(start, gate, types):
    """Steps that had the output of the unrecorded step are not recorded either."""
    one = start(run_threads=1)
    nodes = [node("a", "act"), call(called("b"), wait=False), "n", node("g", "gate"), "m", node("z", "act")]
    run = submit(one, chain(*nodes), 7)
    one.cancel(at_gate(one, run, gate), "ann")
    gate.opened.set()
    wait_until_idle(one, run)
    assert statuses(run.id) == [("a", "success")]
    again = finished(one, one.retry(run_of(run.id), "failed", None).run)
    (child,) = children(again)
    assert (again.status, output(one, again)) == ("success", {"run_id": child.id})
    assert types.effects == [f"{run.id}:a:0", f"{again.id}:z:0"]


@pytest.mark.parametrize("wait", [False, True])
def test_a_process_suspended_during_a_start_leaves_it_to_the_next_claim(start, types, wait, monkeypatch):
    """The run is pending and unclaimed by then, so neither the started run nor its step is recorded."""
    one, other = start(inline=True), start(inline=True)
    add = RunRecord.add

    def asleep(record, item):
        monkeypatch.undo()
        take_from(one, record.run.id)
        add(record, item)

    monkeypatch.setattr(RunRecord, "add", asleep)
    run = submit(one, chain(node("a", "act"), call(called("b"), wait=wait), node("z", "act")))
    other.sweep()
    assert run_of(run.id).status == "success"
    (child,) = children(run)
    assert child.status == "success" and types.effects == [f"{run.id}:a:0", f"{run.id}:z:0"]


def test_a_run_that_fails_does_not_end_the_run_that_it_waits_for(inline):
    run = submit(inline, flow(call(called(node("w", "ask"))), node("b", "fail")))
    (child,) = children(run)
    assert run_of(run.id).status == "failed"
    inline.answer(child, "w", "yes", 1, None)
    assert run_of(child.id).status == "success" and nothing_waits()


# Crashes


@pytest.mark.slow
def test_a_crash_at_any_moment_starts_each_flow_once(tmp_path, types):
    def story(dispatcher):
        made = called(node("x", "act"), call(called(node("y", "act"), "z")), name="Middle")
        parent = flow(
            node("a", "act"),
            call(made, "p"),
            node("b", "act"),
            call(made, "q", wait=False),
            call(called(node("f", "fail"), name="Bad"), "r", retry={"attempts": 2, "delay": 0}, on_error="continue"),
            node("end", "act"),
            edges=["a p", "p b", "b q", "q end", "r end"],
        )
        dispatcher.submit(Start(add_flow(parent, name="Parent"), "long enough for a file", "manual"))

    moments = crash_everywhere(tmp_path, types, [story], inline_value_bytes=10)
    assert len(moments) > 20
    assert sorted(run.workflow_name for run in Run.select()) == ["Bad"] * 2 + ["Child"] * 2 + ["Middle"] * 2 + [
        "Parent"
    ]
    assert {run.status for run in Run.select()} == {"success", "failed"}


# A disk that refuses writes


def test_a_run_whose_first_write_fails_leaves_no_file_of_its_children(start, tmp_path):
    one = start(run_threads=1, inline_value_bytes=10)
    made = called(node("w", "ask"))
    fill_disk(one.recorder, 0)
    big = node("big", "give", {"value": [1] * 4_000})
    run = submit(
        one, chain(call(made, wait=False), *[{**big, "id": f"b{n}"} for n in range(50)], node("w", "ask")), "x" * 50
    )
    with pytest.raises(Unavailable):
        one.waiting.wait(one.ticket_of(run), PATIENCE)
    wait_until_idle(one, run)
    make_room(one.recorder)
    assert Run.select().count() == 0
    assert runs_with_values(tmp_path) == []


# Error workflows


@pytest.fixture
def teller():
    """An error workflow that has an effect."""
    return add_flow(chain(node("told", "error"), node("tell", "act")), name="Teller")


def error_runs(by=None):
    runs = Run.select().where(Run.workflow_name == "Teller").order_by(Run.id)
    return list(runs if by is None else runs.where(Run.parent_run_id == by))


def test_a_failed_run_starts_its_error_workflow(inline, teller, types):
    made = add_flow(chain("a", node("b", "fail", {"value": "no luck"}), error_workflow_id=teller.id), name="Bad")
    run = inline.submit(Start(made, 1, "schedule")).run
    assert run_of(run.id).status == "failed"
    (telling,) = error_runs()
    assert (telling.status, telling.trigger_node, telling.depth, telling.parent_run_id) == (
        "success",
        "told",
        1,
        run.id,
    )
    assert output(inline, telling) == {
        "workflow": {"id": made.id, "name": "Bad", "version": 1},
        "run": {"id": run.id, "triggered_by": "schedule"},
        "node_id": "b",
        "error_text": "no luck",
        "error_kind": "remote",
    }
    assert types.effects == [f"{telling.id}:tell:0"]


def test_threads_start_the_error_workflow_without_a_sweep(dispatcher, teller, gate):
    run = submit(dispatcher, chain(node("g", "gate"), node("b", "fail"), error_workflow_id=teller.id))
    gate.opened.set()
    finished(dispatcher, run)
    wait_until_idle(dispatcher, run)
    (telling,) = error_runs()
    assert finished(dispatcher, telling).status == "success"


def test_a_run_that_succeeds_or_is_cancelled_starts_no_error_workflow(start, teller, gate):
    one = start(run_threads=1)
    finished(one, submit(one, chain("a", error_workflow_id=teller.id)))
    run = submit(one, chain(node("g", "gate"), "b", error_workflow_id=teller.id))
    one.cancel(at_gate(one, run, gate), "ann")
    gate.opened.set()
    wait_until_idle(one, run)
    waiting = submit(one, chain(node("w", "ask"), error_workflow_id=teller.id))
    wait_until_idle(one, waiting)
    one.cancel(run_of(waiting.id), "ann")
    one.sweep()
    assert error_runs() == []


@pytest.mark.parametrize("target", ["teller", "wf_none"])
def test_a_cancelled_run_that_then_fails_starts_no_error_workflow(start, teller, gate, tmp_path, target):
    one = start(run_threads=1, inline_value_bytes=10)
    target = teller.id if target == "teller" else target
    run = submit(one, chain(node("g", "gate"), node("b", "fail"), error_workflow_id=target))
    at_gate(one, run, gate)
    run_queries.cancel(run_of(run.id), "by another process")
    gate.opened.set()
    wait_until_idle(one, run)
    assert run_of(run.id).cancelled and Run.select().count() == 1
    assert [entry.message for entry in LogEntry.select()] == ["The run was stopped: by another process"]
    assert runs_with_values(tmp_path) == []


def test_a_failed_error_workflow_starts_no_error_workflow(inline):
    made = add_flow(chain("a"))
    body = chain(node("told", "error"), node("b", "fail"), error_workflow_id=made.id)
    body["nodes"].append(node("m", "manual"))
    body["edges"].append(["m", "b"])
    workflows.change(made, None, triggers=(), definition_json=orjson.dumps(body).decode())
    run = inline.submit(Start(made, 1, "manual", trigger_node="m")).run
    assert [(row.depth, row.trigger_node, row.status) for row in Run.select().order_by(Run.id)] == [
        (0, "m", "failed"),
        (1, "told", "failed"),
    ]
    assert run_of(run.id).status == "failed"


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"status": "draft"}, "no active flow"),
        ({"status": "archived"}, "no active flow"),
        ({"workspace": "ws_2"}, "no active flow"),
        ({"definition": chain("a")}, "no trigger of the type error"),
        ({"definition": chain(node("told", "error", disabled=True))}, "no trigger of the type error"),
        ({"definition": chain(node("a", "no_such"))}, "no_such"),
        (None, "no active flow 'wf_none'"),
    ],
)
def test_an_error_workflow_that_cannot_be_started_is_logged(inline, values, text):
    target = "wf_none"
    if values is not None:
        values = {"definition": chain(node("told", "error")), **values}
        target = add_flow(values.pop("definition"), **values).id
    run = submit(inline, chain(node("b", "fail"), error_workflow_id=target))
    entry, failure = LogEntry.select().order_by(LogEntry.id)
    assert failure.message == "The run failed: no"
    assert (entry.run_id, entry.level, entry.workspace_id) == (run.id, "error", "ws_1")
    assert "the error workflow was not started" in entry.message and text in entry.message
    assert run_of(run.id).status == "failed" and Run.select().count() == 1


def test_a_run_that_failed_in_an_earlier_process_starts_its_error_workflow(inline, teller):
    id_ = add_run_of_dead_process(inline, chain(node("b", "fail"), error_workflow_id=teller.id), steps=1)
    inline.sweep()
    assert run_of(id_).status == "failed" and len(error_runs(id_)) == 1


def test_an_abandoned_run_starts_its_error_workflow(inline, teller):
    id_ = add_run_of_dead_process(inline, chain("b", error_workflow_id=teller.id), deaths=2)
    inline.sweep()
    assert "3 processes died" in error_of(id_) and len(error_runs(id_)) == 1
    assert error_runs(id_)[0].input.count("3 processes died") == 1


def test_a_run_whose_definition_is_no_longer_valid_starts_its_error_workflow(inline, teller, types):
    types.offer("short_lived", lambda config, input, ctx: 1)
    id_ = add_run_of_dead_process(inline, chain(node("a", "short_lived"), error_workflow_id=teller.id))
    from nodes.base import REGISTRY

    del REGISTRY["short_lived"]
    inline.sweep()
    assert "short_lived" in error_of(id_) and len(error_runs(id_)) == 1


def test_a_run_that_fails_while_a_node_waits_starts_its_error_workflow_once(inline, teller):
    run = submit(inline, flow(node("w", "ask"), node("v", "ask"), error_workflow_id=teller.id))
    inline.answer(run, "w", "no", None, None)
    inline.sweep()
    assert len(error_runs()) == 1 and nothing_waits()


def test_a_failed_called_run_and_its_caller_both_start_an_error_workflow(inline, teller):
    made = called(node("b", "fail"), name="Child")
    definition = chain(node("called", "called"), node("b", "fail"), error_workflow_id=teller.id)
    workflows.change(made, None, triggers=(), definition_json=orjson.dumps(definition).decode())
    run = submit(inline, chain(call(Workflow.get_by_id(made.id)), error_workflow_id=teller.id))
    (child,) = [row for row in children(run) if row.workflow_name == "Child"]
    assert len(error_runs(run.id)) == len(error_runs(child.id)) == 1
    assert run_of(run.id).status == "failed" and children(run_of(run.id))


def test_a_crash_at_any_moment_starts_the_error_workflow_once(tmp_path, types, teller):
    made = chain(node("x", "act"), node("b", "fail"), error_workflow_id=teller.id)
    moments = crash_everywhere(tmp_path, types, [lambda one: one.submit(Start(add_flow(made), 1, "manual"))])
    assert len(moments) > 4 and len(error_runs()) == 1
