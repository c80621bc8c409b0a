"""Waiting runs that one process leaves and another one resumes."""

import pytest
from crashes import crash_everywhere, first_run
from test_dispatch import at_gate, output, submit, wait_until_idle
from test_ending import stop_at_the_gate
from test_waiting import ask, given, nothing_waits
from world import (
    add_flow,
    chain,
    flow,
    node,
    process,
    run_of,
    start_python,
)

from database.queries import leases
from dispatch import Start
from models import Run

LONG_AGO = 1  # in ms, a time in the past to wait until: the next `wake` ends the wait


# Restarts and crashes


def test_a_waiting_run_continues_in_another_process(tmp_path, types):
    made = add_flow(chain(node("x", "act"), ask(), node("y", "act"), ask("b"), node("z", "act")))
    with process(tmp_path, inline=True) as dispatcher:
        run = dispatcher.submit(Start(made, 1, "manual")).run
    with process(tmp_path, inline=True) as dispatcher:
        dispatcher.sweep()
        assert run_of(run.id).waiting == "an answer for a"
        dispatcher.answer(run_of(run.id), "a", "yes", 5, "ann")
    with process(tmp_path, inline=True) as dispatcher:
        dispatcher.answer(run_of(run.id), "b", "yes", 6, None)
        assert output(dispatcher, run_of(run.id)) == given(value=6, by=None)
    assert types.effects == [f"{run.id}:{id_}:0" for id_ in "xyz"] and nothing_waits()


def test_waits_do_not_count_as_deaths(inline):
    count = 10
    run = submit(inline, chain(*[ask(f"a{number}") for number in range(count)]))
    for number in range(count):
        inline.answer(run, f"a{number}", "yes", None, None)
    row = run_of(run.id)
    assert (row.status, row.claims, row.deaths) == ("success", count + 1, 0)


def test_a_crash_at_any_moment_does_not_change_the_result(tmp_path, types):
    made = flow(
        node("x", "act"),
        ask("a"),
        node("beside", "act"),
        node("s", "give", {"value": "{{ input.value }}"}),
        node("y", "act"),
        ask("b", retry={"attempts": 2, "delay": 0}),
        ask("c", LONG_AGO, on_error="continue"),
        node("z", "act", {"value": "{{ [steps.s, steps.beside] }}"}),
        edges=["x a", "a s", "s y", "y b", "y c", "b z", "c z"],
    )
    answers = [("a", "yes", [1, "two"]), ("b", "no", None), ("b", "yes", 3)]
    moments = crash_everywhere(
        tmp_path,
        types,
        [
            lambda dispatcher: dispatcher.submit(Start(add_flow(made), 1, "manual")),
            *[lambda dispatcher, answer=answer: dispatcher.answer(first_run(), *answer, "ann") for answer in answers],
            lambda dispatcher: dispatcher.wake(),
        ],
        inline_value_bytes=8,
    )
    assert len(moments) > 15 and first_run().status == "success"


@pytest.mark.slow
def test_a_waiting_run_survives_a_kill_after_its_answer(tmp_path, inline, types):
    made = add_flow(chain(node("a", "act"), ask("w"), node("b", "act"), node("c", "die"), node("d", "act")))
    source = """
import os, pathlib, sys
import database
from chosen_engine import connect
from dispatch import Start
from models import Workflow
from nodes.base import Suspend
from world import Types, process
folder = pathlib.Path(sys.argv[1])
connect(folder)
with Types() as types, process(folder, inline=True) as dispatcher:
    types.offer("die", lambda config, input, ctx: os._exit(9), pure=False)
    types.offer("ask", lambda config, input, ctx: Suspend(None, ""), suspends=True, answers=("yes", "no"),
                resume=lambda self, config, input, answer: answer.value)
    run = dispatcher.submit(Start(Workflow.get(), 1, "manual")).run
    dispatcher.answer(run, "w", "yes", 2, None)
"""
    types.offer("die", lambda config, input, ctx: input, pure=False)
    killed = start_python(source, tmp_path)
    killed.communicate(timeout=60)
    assert killed.returncode == 9
    run = Run.get(workflow_id=made.id)
    assert (run.status, run.claims) == ("running", 2)
    leases.beat(run.lease_owner, -1)
    inline.sweep()
    assert (run_of(run.id).status, run_of(run.id).output, run_of(run.id).deaths) == ("success", "2", 1)
    assert types.effects == [f"{run.id}:d:0"] and nothing_waits()


def test_a_waiting_run_is_abandoned_after_three_deaths(inline, types):
    run = submit(inline, flow(ask("a"), ask("b"), edges=[]))
    for _ in range(3):
        Run.update(status="running", waiting=None, lease_owner="proc_gone").where(Run.id == run.id).execute()
        assert run_of(run.id).status == "running"
        inline.sweep()
    row = run_of(run.id)
    assert (row.status, row.deaths) == ("failed", 3) and "3 processes died" in row.error_text
    assert nothing_waits()


def test_a_run_released_while_a_node_waits_continues(start, gate, types):
    one = start(run_threads=1)
    run = submit(
        one, flow(node("x", "act"), ask(), node("g", "gate"), "k", node("y", "act"), edges=["a y", "g k", "k y"]), 1
    )
    at_gate(one, run, gate)
    stop_at_the_gate(one, gate)
    assert (run_of(run.id).status, run_of(run.id).waiting) == ("pending", None)
    other = start(inline=True)
    other.sweep()
    other.answer(run, "a", "yes", 2, None)
    assert run_of(run.id).status == "success" and nothing_waits()
    assert types.effects == [f"{run.id}:x:0", f"{run.id}:y:0"]


def test_a_suspended_process_does_not_suspend_a_run_that_was_taken_over(start, gate):
    one, other = start(run_threads=1), start(inline=True)
    run = submit(one, flow(node("g", "gate"), ask("a", LONG_AGO)))
    at_gate(one, run, gate)
    Run.update(claims=2).where(Run.id == run.id).execute()
    gate.opened.set()
    wait_until_idle(one, run)
    assert (run_of(run.id).status, run_of(run.id).claims) == ("running", 2) and nothing_waits()
    leases.beat(one.lease.owner, -1)
    other.sweep()
    other.wake()
    assert run_of(run.id).status == "success" and nothing_waits()
