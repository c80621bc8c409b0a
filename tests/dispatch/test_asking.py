"""A node that asks several questions: each is asked once, and an answer counts only for its own question."""

import time

import pytest
from dispatching import output, submit
from world import Gate, chain, flow, node, run_of, steps_of

from errors import Conflict, NodeError
from models import Wait
from nodes.base import Suspend


class Interview:
    """The node type `interview`: it asks `value` questions and returns the answers, which it stores as an agent does.

    `faults` are raised one after the other when it resumes, before it reads its answer.
    """

    def __init__(self, types):
        self.kept, self.faults, self.gate = {}, [], Gate()
        types.offer("interview", self, pure=False, suspends=True, asks=True, answers=("yes", "no"))

    def __call__(self, config, input, ctx):
        kept = self.kept.setdefault(ctx.idempotency_key, [])
        if (kept or ctx.answer is not None) and self.faults:
            raise self.faults.pop(0)()
        if ctx.answer is not None and ctx.answer.question == f"q{len(kept)}":
            kept.append(ctx.answer.name)
        if len(kept) == config["value"]:
            return list(kept)
        return Suspend(None, f"q{len(kept)}", question=f"q{len(kept)}")


@pytest.fixture
def interview(types):
    made = Interview(types)
    yield made
    made.gate.opened.set()


def asking(id_="a", questions=2, **more):
    return node(id_, "interview", {"value": questions}, **more)


def question(run, node_id="a"):
    return Wait.get(Wait.run_id == run.id, Wait.node_id == node_id).question


def until(holds):
    """Return when this holds. The threads of the dispatcher make it so."""
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def passing():
    return NodeError("it will pass")


def statuses(run):
    return [(step.node_id, step.status, step.attempt) for step in steps_of(run.id)]


def test_each_question_is_asked_and_answered_in_turn(inline, interview):
    run = submit(inline, chain(asking(), "end"))
    assert question(run) == "q0"
    inline.answer(run, "a", "yes", None, None)
    assert question(run) == "q1"
    inline.answer(run, "a", "no", None, None)
    assert output(inline, run_of(run.id)) == ["yes", "no"]
    assert statuses(run) == [("a", "success", 1), ("end", "success", 1)] and Wait.select().count() == 0


def test_an_answer_survives_failed_attempts(inline, interview):
    run = submit(inline, flow(asking(questions=1, retry={"attempts": 3, "delay": 0})))
    interview.faults = [passing, passing]
    inline.answer(run, "a", "yes", None, None)
    assert run_of(run.id).status == "success" and output(inline, run_of(run.id)) == ["yes"]
    assert statuses(run) == [("a", "failed", 1), ("a", "failed", 2), ("a", "success", 3)]


def test_an_answer_survives_the_stop_of_a_process(start, interview):
    first = start()
    run = submit(first, chain(asking(questions=1), "end"))
    first.waiting.wait(first.ticket_of(run), 5)
    interview.faults = [lambda: interview.gate(None, None, None) or AssertionError]
    first.answer(run, "a", "yes", None, None)
    assert interview.gate.reached.wait(60)
    first.stop()
    assert run_of(run.id).status == "pending"
    # A node that resumes is shown as running.
    assert [step.status for step in steps_of(run.id)] == ["running"]
    second = start()
    second.sweep()
    assert second.waiting.wait(second.ticket_of(run), 5).status == "success"
    assert output(second, run_of(run.id)) == ["yes"]
    assert statuses(run) == [("a", "failed", 1), ("a", "success", 2), ("end", "success", 1)]


def test_an_interrupted_node_with_on_interrupt_fail_is_not_resumed_again(start, interview):
    first = start()
    run = submit(first, flow(asking(questions=1, on_interrupt="fail")))
    first.waiting.wait(first.ticket_of(run), 5)
    interview.faults = [lambda: interview.gate(None, None, None) or AssertionError]
    first.answer(run, "a", "yes", None, None)
    assert interview.gate.reached.wait(60)
    first.stop()
    second = start()
    second.sweep()
    assert second.waiting.wait(second.ticket_of(run), 5).error_text.startswith("interrupted")


def test_an_answer_does_not_count_for_the_next_question(inline, interview):
    run = submit(inline, flow(asking(questions=2, retry={"attempts": 2, "delay": 0})))
    inline.answer(run, "a", "yes", None, None)
    interview.faults = [passing]
    assert question(run) == "q1" and run_of(run.id).status == "pending"
    inline.answer(run, "a", "no", None, None)
    assert output(inline, run_of(run.id)) == ["yes", "no"]


@pytest.mark.parametrize("order", [["a", "b", "a", "b"], ["a", "a", "b", "b"], ["b", "a", "a", "b"]])
def test_two_nodes_ask_at_the_same_time(inline, interview, order):
    run = submit(inline, flow(asking("a"), asking("b"), "end", edges=["a end", "b end"]))
    assert run_of(run.id).waiting == "q0; q0"
    for node_id in order:
        assert run_of(run.id).status == "pending"
        inline.answer(run, node_id, "yes", None, None)
    assert output(inline, run_of(run.id)) == {"a": ["yes", "yes"], "b": ["yes", "yes"]}


def test_an_answer_counts_while_other_nodes_still_run(start, interview, gate):
    dispatcher = start()
    run = submit(dispatcher, flow(asking(questions=2), node("b", "gate")))
    assert gate.reached.wait(60)
    dispatcher.recorder.commit([])  # afterwards all earlier writes are on the disk
    dispatcher.answer(run, "a", "yes", None, None, "q0")
    with pytest.raises(Conflict, match="answered already"):
        dispatcher.answer(run, "a", "no", None, None, "q0")
    gate.opened.set()
    ticket = dispatcher.ticket_of(run)
    until(lambda: question(run) == "q1")
    dispatcher.answer(run, "a", "no", None, None, "q1")
    assert dispatcher.waiting.wait(ticket, 5).status == "success"
    assert output(dispatcher, run_of(run.id))["a"] == ["yes", "no"]


def test_an_answer_is_refused_before_a_question_and_while_the_node_resumes(start, interview, gate):
    dispatcher = start()
    run = submit(dispatcher, chain(node("b", "gate"), asking(questions=1)))
    assert gate.reached.wait(60)
    with pytest.raises(Conflict, match="no question"):
        dispatcher.answer(run, "a", "yes", None, None)
    gate.opened.set()
    until(lambda: Wait.select().count() == 1)
    interview.faults = [lambda: interview.gate(None, None, None) or passing()]
    dispatcher.answer(run, "a", "yes", None, None)
    assert interview.gate.reached.wait(60)
    with pytest.raises(Conflict, match="answered already"):
        dispatcher.answer(run, "a", "yes", None, None)
