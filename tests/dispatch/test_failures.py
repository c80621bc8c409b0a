"""A failed run leaves one log entry, written with its end. A successful run leaves none."""

import time

import pytest
from engines import accept_inserts, refuse_inserts
from test_calls import call, called, children
from test_dispatch import (
    add_flow,
    add_run,
    add_run_of_dead_process,
    at_gate,
    finished,
    submit,
    take_from,
    wait_until_idle,
)
from world import chain, flow, node, run_of

from dispatch import MAX_DEATHS
from models import LogEntry, Run


def entries(run=None):
    """Return `(level, node_id, message)` of each entry of the run, or of all runs, oldest first."""
    rows = LogEntry.select().order_by(LogEntry.id)
    return [(row.level, row.node_id, row.message) for row in rows if run is None or row.run_id == run.id]


def linger(config, input, ctx):
    """Work until the deadline."""
    while time.monotonic() < ctx.deadline:
        pass


@pytest.mark.parametrize("before", ["noop", "act"])
def test_the_final_failure_of_a_node_is_logged(inline, before):
    """For a run written as a whole at its end, and for a run with steps recorded earlier."""
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


def test_a_successful_run_with_a_failed_node_leaves_no_entry(inline):
    assert submit(inline, chain(node("a", "fail", on_error="continue"), "b")).status == "success"
    assert entries() == []


def test_a_timeout_is_logged(inline, types):
    types.offer("linger", linger)
    run = submit(inline, chain(node("a", "linger"), "b", timeout=0.05))
    assert run.status == "failed" and "timeout" in run.error_text
    assert entries() == [("error", run.error_node_id, f"The run failed: {run.error_text}")]


def test_a_run_abandoned_after_three_deaths_is_logged(inline):
    id_ = add_run_of_dead_process(inline, flow(node("a", "act")), steps=1, deaths=MAX_DEATHS - 1)
    inline.sweep()
    assert entries() == [("error", None, f"The run failed: {run_of(id_).error_text}")]
    assert "3 processes died" in run_of(id_).error_text


def test_a_run_whose_flow_was_deleted_is_logged(inline):
    made = add_flow(flow("a"))
    id_ = add_run(made)
    made.delete_instance()
    Run.update(workflow_version=9).where(Run.id == id_).execute()
    inline.sweep()
    assert entries() == [("error", None, "The run failed: the flow was deleted before the run could start")]


def test_a_failed_called_run_and_its_caller_have_an_entry_each(inline):
    run = submit(inline, chain(call(called(node("b", "fail", {"value": "no luck"})))))
    (child,) = children(run)
    assert entries(child) == [("error", "b", "The run failed: no luck")]
    assert entries(run) == [("error", "c", f"The run failed: {run_of(run.id).error_text}")]


def test_a_cancellation_is_logged_once_and_not_as_an_error(dispatcher, gate):
    run = submit(dispatcher, chain(node("g", "gate"), node("b", "fail")))
    dispatcher.cancel(at_gate(dispatcher, run, gate), "ann")
    gate.opened.set()
    wait_until_idle(dispatcher, run)
    assert entries() == [("info", None, "The run was stopped: cancelled by ann")]


def test_a_process_that_lost_the_run_logs_nothing_about_its_end(start, gate, types):
    slow = iter([gate])
    types.offer("slow", lambda config, input, ctx: next(slow, lambda *args: input)(config, input, ctx), pure=False)
    one, other = start(run_threads=1), start(inline=True)
    run = submit(one, chain(node("a", "slow"), node("b", "fail", {"value": "no luck"})))
    at_gate(one, run, gate)
    take_from(one, run.id)
    other.sweep()
    gate.opened.set()
    wait_until_idle(one, run)
    assert entries() == [("error", "b", "The run failed: no luck")]


def test_an_end_refused_by_the_disk_is_logged_once_when_it_is_written(start, gate):
    dispatcher = start(run_threads=1)
    run = submit(dispatcher, chain(node("g", "gate"), node("b", "fail", {"value": "no luck"})))
    at_gate(dispatcher, run, gate)
    refuse_inserts("log_entries", "NEW.run_id IS NOT NULL")
    gate.opened.set()
    wait_until_idle(dispatcher, run)
    dispatcher.sweep()
    assert run_of(run.id).status == "running" and entries() == []
    accept_inserts()
    dispatcher.sweep()
    dispatcher.sweep()
    assert finished(dispatcher, run_of(run.id)).status == "failed"
    ((level, _, message),) = entries()
    assert level == "error" and message.startswith("The run failed: could not be recorded")
