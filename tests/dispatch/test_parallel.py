"""Runs whose branches are executed at the same time: their record, the runs that they start, crashes, and threads."""

import threading
import time

import pytest
from crashes import crash_everywhere, first_run, inline_process
from dispatching import (
    add_run,
    ask,
    call,
    called,
    children,
    finished,
    nothing_waits,
    output,
    record_steps,
    statuses,
    submit,
)
from world import PATIENCE, add_flow, flow, node, run_at_once, run_of, steps_of

from database import disconnect_thread
from database.base import now_ms
from dispatch import Start, executor
from dispatch.executor import RunWorkers
from dispatch.recorder import Recorder
from errors import NodeError
from models import LogEntry, Step


def side_by_side(*nodes, parallel=4, end="end", **settings):
    """Return a flow with these nodes after one, and an `act` after all of them."""
    ids = [made["id"] for made in nodes]
    edges = [wire for id_ in ids for wire in (["start", id_], [id_, end])]
    return flow("start", *nodes, node(end, "act"), edges=edges, parallel=parallel, **settings)


class Held(Recorder):
    """A recorder that makes its first commit when `count` units wait for it; `waiting` is their number."""

    def __init__(self, count):
        super().__init__()
        self.count, self.waiting = count, 0

    def _commit(self, group):
        end = time.monotonic() + PATIENCE
        while self.waiting < self.count and time.monotonic() < end:
            self._ends.wait(0.01)
            self.waiting = len(group) + self._queue.qsize()
        super()._commit(group)


@pytest.mark.parametrize(
    "nodes",
    [
        [node(id_, "act") for id_ in "abcd"],
        [node("each", "act", foreach="{{ [1, 2, 3, 4] }}", concurrency=4)],
    ],
    ids=["nodes", "items"],
)
def test_several_wait_for_the_same_commit(tmp_path, types, nodes):
    recorder = Held(4)
    with inline_process(tmp_path, recorder) as dispatcher:
        run = submit(dispatcher, side_by_side(*nodes))
        assert run_of(run.id).status == "success"
    assert recorder.waiting == 4, "the running steps of all four wait for the disk at the same time"


def test_a_node_with_effects_begins_after_its_running_step_is_on_the_disk(inline, types):
    both, seen = threading.Barrier(2), []

    def look(config, input, ctx):
        both.wait(PATIENCE)
        seen.append(Step.select().where(Step.node_id == ctx.node_id, Step.status == "running").count())
        disconnect_thread()

    types.offer("look", look, pure=False)
    run = submit(inline, side_by_side(node("a", "look"), node("b", "look"), parallel=2))
    assert run_of(run.id).status == "success" and seen == [1, 1]


def test_a_parallel_run_is_recorded_completely(dispatcher, types):
    def speak(config, input, ctx):
        for number in range(50):
            ctx.log("info", f"{ctx.node_id} {number}")
        return "x" * 40_000

    types.offer("speak", speak, pure=False)
    names = [f"n{number}" for number in range(6)]
    made = side_by_side(*(node(name, "speak") for name in names), node("q", "give", {"value": 1}), parallel=3)
    ended = finished(dispatcher, submit(dispatcher, made))
    assert ended.status == "success" and ended.nodes_done == 9
    assert output(dispatcher, ended) == {**dict.fromkeys(names, "x" * 40_000), "q": 1}
    assert {(step.node_id, step.status) for step in steps_of(ended.id)} == {
        (id_, "success") for id_ in ("start", "end", "q", *names)
    }
    assert [step.seq for step in steps_of(ended.id)] == list(range(9))
    said = [entry.message for entry in LogEntry.select().where(LogEntry.run_id == ended.id)]
    assert sorted(said) == sorted(f"{name} {number}" for name in names for number in range(50))


def test_a_response_is_given_while_another_branch_is_executed(dispatcher, types, gate):
    types.offer("reply", lambda config, input, ctx: {"status": 200, "headers": {}, "body": input}, responds=True)
    made = side_by_side(node("slow", "gate"), node("reply", "reply"), parallel=2)
    ticket = dispatcher.submit(Start(add_flow(made), 7, "webhook"))
    assert dispatcher.waiting.response(ticket, PATIENCE)[1]["body"] == 7
    assert run_of(ticket.run.id).finished_at is None
    gate.opened.set()
    assert finished(dispatcher, ticket.run).status == "success"


def test_a_failure_ends_the_run_after_the_others(dispatcher, types, gate):
    made = side_by_side(node("slow", "gate"), node("bad", "fail", retry={"attempts": 2, "delay": 0}), parallel=2)
    run = submit(dispatcher, made)
    for _ in range(PATIENCE * 20):
        if ("bad", "failed") in statuses(run.id):
            break
        gate.reached.wait(0.05)
    gate.opened.set()
    ended = finished(dispatcher, run)
    assert (ended.status, ended.error_node_id, ended.nodes_done) == ("failed", "bad", 3)
    rows = [(step.node_id, step.status, bool(step.final)) for step in steps_of(run.id)]
    assert sorted(rows) == [
        ("bad", "failed", False), ("bad", "failed", True), ("slow", "success", False), ("start", "success", False),
    ]  # fmt: skip


def test_a_cancelled_run_awaits_its_branches(dispatcher, types):
    both, cancelled = threading.Barrier(3), threading.Event()

    def work(config, input, ctx):
        both.wait(PATIENCE)
        assert cancelled.wait(PATIENCE)
        return ctx.node_id

    types.offer("work", work, pure=False)
    run = submit(dispatcher, side_by_side(node("a", "work"), node("b", "work"), parallel=2))
    both.wait(PATIENCE)
    active = dispatcher.ticket_of(run).active
    dispatcher.cancel(run_of(run.id), "ann")
    cancelled.set()
    assert active.ended.wait(PATIENCE)
    assert sorted(statuses(run.id)) == [("a", "success"), ("b", "success"), ("start", "success")]


# Runs that branches start


def test_branches_call_other_flows_while_others_act(inline, types):
    made = called(node("b", "act", {"value": "{{ input * 2 }}"}))
    calls = [call(made, f"c{number}", input=number) for number in range(4)]
    run = submit(inline, side_by_side(*calls, *(node(f"a{number}", "act") for number in range(4)), parallel=8))
    row = run_of(run.id)
    assert row.status == "success"
    assert output(inline, row) == {f"c{n}": 2 * n for n in range(4)} | dict.fromkeys([f"a{n}" for n in range(4)])
    assert sorted(child.parent_node_id for child in children(run)) == ["c0", "c1", "c2", "c3"]
    assert nothing_waits()


def test_a_call_over_the_limit_fails_its_node_and_no_other(inline, types):
    limits = {"max_concurrent_runs": 1, "overlap": "skip"}
    made = add_flow(flow(node("called", "called"), node("b", "act"), edges=["called b"], **limits))
    add_run(made, status="running", lease_owner="proc_x", claims=1, started_at=now_ms())
    nodes = [node(f"a{number}", "act") for number in range(3)]
    run = submit(inline, side_by_side(call(made, "c", on_error="continue"), *nodes, parallel=4))
    found = output(inline, run_of(run.id))
    assert "has reached its maximum" in found["c"]["error"] and set(found) == {"c", "a0", "a1", "a2"}
    assert not children(run)


# Crashes


def test_a_crash_at_any_moment_does_not_change_the_result(tmp_path, types):
    child = called(node("b", "act"))
    made = side_by_side(
        node("a", "act"), node("b", "act"), ask("q"), call(child, "c", input=5),
        node("each", "act", foreach="{{ [1, 2, 3] }}", concurrency=2), parallel=3,
    )  # fmt: skip
    first = add_flow(made)
    crash_everywhere(
        tmp_path, types,
        [
            lambda dispatcher: dispatcher.submit(Start(first, 1, "manual", key="k")),
            lambda dispatcher: dispatcher.answer(first_run(), "q", "yes", 7, None),
        ],
    )  # fmt: skip


def interrupted(dispatcher, made, keep):
    """Record a run as a process leaves it that died at a moment, and continue it. `keep` says which steps it wrote."""
    id_ = add_run(add_flow(made), status="running", lease_owner="proc_gone", claims=1, started_at=now_ms(), input="1")
    steps = run_at_once(made, 3, 1).steps
    record_steps(dispatcher, id_, [step for step in steps if keep(step)])
    with_rows = {(step.node_id, step.status) for step in steps_of(id_)}
    dispatcher.sweep()
    return run_of(id_), with_rows


def test_all_interrupted_nodes_follow_their_rule(inline, types):
    made = side_by_side(node("a", "act"), node("b", "act"), node("c", "act"))
    run, rows = interrupted(inline, made, lambda step: step.status == "running" and step.node_id in "ab")
    assert rows == {("a", "running"), ("b", "running")}
    assert run.status == "success"
    assert sorted(key.split(":")[1] for key in types.effects[4:]) == ["a", "b", "c", "end"]
    assert [step.attempt for step in steps_of(run.id) if step.node_id in "ab"] == [1, 1, 2, 2]


def test_an_interrupted_node_that_must_not_be_repeated_ends_the_run(inline, types):
    made = side_by_side(node("a", "act"), node("b", "act", on_interrupt="fail"))
    run, _ = interrupted(inline, made, lambda step: step.status == "running" and step.node_id in "ab")
    assert (run.status, run.error_node_id, run.error_kind) == ("failed", "b", "interrupted")
    assert {step.status for step in steps_of(run.id)} == {"failed"}


def test_a_failure_before_the_crash_is_the_end_of_the_run(inline, types):
    def bad(config, input, ctx):
        raise NodeError("no", permanent=True)

    types.offer("bad", bad, pure=False)
    made = side_by_side(node("a", "act", on_interrupt="fail"), node("b", "bad"))
    run, _ = interrupted(inline, made, lambda step: (step.node_id, step.status) in {("a", "running"), ("b", "failed")})
    assert (run.status, run.error_node_id, run.error_text) == ("failed", "b", "no")


# Threads


def test_work_beyond_the_threads_of_the_process_is_done_by_the_one_who_asks():
    places, may_end = threading.Semaphore(1), threading.Event()
    used = RunWorkers(places)
    first = used.submit(lambda: may_end.wait(PATIENCE) and threading.current_thread())
    assert used.submit(threading.current_thread).result() is threading.current_thread()
    assert isinstance(used.submit(lambda: 1 / 0).exception(), ZeroDivisionError)
    may_end.set()
    assert first.result(PATIENCE) is not threading.current_thread()
    used.finish()
    assert places.acquire(blocking=False) and not used._threads


def test_a_run_needs_no_threads_to_end(inline, types, monkeypatch):
    monkeypatch.setattr(executor, "_places", threading.Semaphore(0))
    nodes = [node("a", "act"), node("b", "act"), node("each", "act", foreach="{{ [1, 2] }}", concurrency=2)]
    run = submit(inline, side_by_side(*nodes))
    assert run_of(run.id).status == "success" and len(types.effects) == 5
