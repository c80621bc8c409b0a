"""A run that fails leaves one entry in the log, written with its end; one that succeeds leaves none."""

import time

import pytest
from test_acceptance import accepting, refusing
from test_calls import call, called, children
from test_dispatch import add_flow, at_gate, finished, left_behind, let_go, on_record, submit, taken_from
from world import chain, flow, node, run_of

from dispatch import MAX_DEATHS
from models import LogEntry, Run


def entries(run=None):
    """`(level, node_id, message)` of each entry, oldest first; of one run, if one is given."""
    rows = LogEntry.select().order_by(LogEntry.id)
    return [(row.level, row.node_id, row.message) for row in rows if run is None or row.run_id == run.id]


def linger(config, input, ctx):
    """Work until the time is over."""
    while time.monotonic() < ctx.deadline:
        pass


@pytest.mark.parametrize("before", ["noop", "act"])
def test_a_node_that_fails_for_good_is_told(inline, before):
    """Of a run that is written as a whole at its end, and of one that has something on record before."""
    run = submit(inline, chain(node("a", before), node("b", "fail", {"value": "no luck"})))
    assert entries() == [("error", "b", "The run failed: no luck")]
    entry = LogEntry.get()
    assert (entry.run_id, entry.workspace_id, entry.data) == (run.id, "ws_1", None)


def test_a_quick_run_that_fails_is_one_commit(inline, monkeypatch):
    groups = []
    commit = inline.recorder._commit
    monkeypatch.setattr(inline.recorder, "_commit", lambda group: (groups.append(group), commit(group)))
    submit(inline, chain("a", node("b", "fail")))
    assert len(groups) == 1 and len(entries()) == 1


def test_a_run_that_succeeds_leaves_no_entry_even_if_a_node_fails_on_the_way(inline):
    assert submit(inline, chain(node("a", "fail", on_error="continue"), "b")).status == "success"
    assert entries() == []


def test_a_timeout_is_told(inline, types):
    types.offer("linger", linger)
    run = submit(inline, chain(node("a", "linger"), "b", timeout=0.05))
    assert run.status == "failed" and "timeout" in run.error_text
    assert entries() == [("error", run.error_node_id, f"The run failed: {run.error_text}")]


def test_a_run_that_is_given_up_since_processes_died_is_told(inline):
    id_ = left_behind(inline, flow(node("a", "act")), steps=1, deaths=MAX_DEATHS - 1)
    inline.sweep()
    assert entries() == [("error", None, f"The run failed: {run_of(id_).error_text}")]
    assert "3 processes died" in run_of(id_).error_text


def test_a_run_whose_flow_was_deleted_is_told(inline):
    made = add_flow(flow("a"))
    id_ = on_record(made)
    made.delete_instance()
    Run.update(workflow_version=9).where(Run.id == id_).execute()
    inline.sweep()
    assert entries() == [("error", None, "The run failed: the flow was deleted before the run could start")]


def test_a_flow_that_is_called_and_fails_has_its_entry_and_so_has_the_caller(inline):
    run = submit(inline, chain(call(called(node("b", "fail", {"value": "no luck"})))))
    (child,) = children(run)
    assert entries(child) == [("error", "b", "The run failed: no luck")]
    assert entries(run) == [("error", "c", f"The run failed: {run_of(run.id).error_text}")]


def test_a_run_that_was_cancelled_says_so_once_and_as_no_error(dispatcher, gate):
    run = submit(dispatcher, chain(node("g", "gate"), node("b", "fail")))
    dispatcher.cancel(at_gate(dispatcher, run, gate), "ann")
    gate.opened.set()
    let_go(dispatcher, run)
    assert entries() == [("info", None, "The run was stopped: cancelled by ann")]


def test_a_process_that_lost_the_run_tells_nothing_of_how_it_ends_there(start, gate, types):
    slow = iter([gate])
    types.offer("slow", lambda config, input, ctx: next(slow, lambda *args: input)(config, input, ctx), pure=False)
    one, other = start(run_threads=1), start(inline=True)
    run = submit(one, chain(node("a", "slow"), node("b", "fail", {"value": "no luck"})))
    at_gate(one, run, gate)
    taken_from(one, run.id)
    other.sweep()
    gate.opened.set()
    let_go(one, run)
    assert entries() == [("error", "b", "The run failed: no luck")]


def test_an_end_that_the_disk_refuses_is_told_when_it_is_written_and_once(start, gate):
    dispatcher = start(run_threads=1)
    run = submit(dispatcher, chain(node("g", "gate"), node("b", "fail", {"value": "no luck"})))
    at_gate(dispatcher, run, gate)
    refusing(dispatcher, "NEW.run_id IS NOT NULL", table="log_entries")
    gate.opened.set()
    let_go(dispatcher, run)
    dispatcher.sweep()
    assert run_of(run.id).status == "running" and entries() == []
    accepting(dispatcher)
    dispatcher.sweep()
    dispatcher.sweep()
    assert finished(dispatcher, run_of(run.id)).status == "failed"
    ((level, _, message),) = entries()
    assert level == "error" and message.startswith("The run failed: could not be recorded")
