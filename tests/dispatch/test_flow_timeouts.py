"""The timeout of a flow ends a run whatever it waits for, and `for_at_most` the rounds of a `repeat`."""

import pytest
from test_calls import called, nothing_waits
from test_dispatch import submit
from test_loops import wait_for
from world import chain, flow, node, run_of, steps_of

from database import execute, write
from database.base import now_ms
from database.queries import waits

TIMEOUT = 0.2
RATE = {"calls": 1, "per": 3600, "key": "k"}


def ask(**more):
    return node("a", "approval", {"message": "Go?", "timeout": 86_400}, **more)


WAITS = {
    "a time": lambda: chain(node("a", "wait", {"seconds": 3600})),
    "people": lambda: chain(ask()),
    "a callback": lambda: chain(node("a", "callback", {"timeout": 86_400})),
    "a flow": lambda: chain(node("a", "subflow", {"workflow_id": called(node("b", "wait", {"seconds": 3600})).id})),
    "a round": lambda: chain(node("a", "act", repeat={"until": "{{ false }}", "every": 3600})),
    "many rounds": lambda: chain(node("a", "act", repeat={"until": "{{ false }}", "every": 0.05, "at_most": 1000})),
    "an attempt": lambda: chain(node("a", "broken", retry={"attempts": 9, "delay": 3600})),
    "its turn": lambda: chain(node("first", "act", rate=RATE), node("a", "act", rate=RATE)),
    "a turn of an item": lambda: chain(node("a", "act", foreach=[1, 2], rate=RATE)),
    "items": lambda: chain(ask(foreach=[1, 2, 3])),
    "items one by one": lambda: chain(ask(foreach=[1, 2, 3], concurrency=1)),
    "flows one by one": lambda: chain(
        node(
            "a", "subflow", {"workflow_id": called(node("b", "wait", {"seconds": 3600})).id}, foreach=[1, 2, 3],
            concurrency=1,
        )
    ),
    "a delay between items": lambda: chain(node("a", "act", foreach=[1, 2], delay=3600)),
    "two nodes": lambda: flow("start", ask(), node("b", "wait", {"seconds": 3600}), edges=["start a", "start b"]),
}  # fmt: skip


@pytest.fixture
def one(start, types):
    def broken(config, input, ctx):
        raise RuntimeError("no")

    types.offer("broken", broken, pure=False)
    return start(inline=True)


@pytest.mark.parametrize("waits_for", WAITS)
def test_a_run_ends_at_the_timeout_of_its_flow(one, waits_for):
    made = WAITS[waits_for]()
    made["settings"] = {"timeout": TIMEOUT}
    began = now_ms()
    run = submit(one, made, [1])
    row = wait_for(one, run)
    assert (row.status, row.error_kind) == ("failed", "timeout"), row.error_text
    assert row.error_node_id in ("a", "b") and f"timeout of {TIMEOUT:g} s" in row.error_text
    assert TIMEOUT * 1000 <= row.finished_at - began < 10_000
    assert not [step for step in steps_of(run.id) if step.status in ("running", "waiting")]
    assert not waits.of(run.id)


def test_a_long_wait_within_the_timeout_is_not_shortened(one):
    run = submit(one, {**chain(node("a", "wait", {"seconds": 0.2}), "end"), "settings": {"timeout": 3600}})
    assert wait_for(one, run).status == "success" and nothing_waits()


def test_without_a_timeout_of_the_flow_waits_do_not_count(one):
    run = submit(one, chain(ask()))
    (wait,) = waits.of(run.id).values()
    assert wait.wake_at > now_ms() + 86_000_000


def test_the_timeout_of_an_approval_before_that_of_the_flow_is_its_branch(one):
    made = flow(node("a", "approval", {"message": "Go?", "timeout": 1}), node("late", "act"), edges=["a late timeout"])
    run = submit(one, {**made, "settings": {"timeout": 3600}})
    with write():
        execute("UPDATE waits SET wake_at = ? WHERE run_id = ?", (now_ms(), run.id))
    assert wait_for(one, run).status == "success"


def test_a_link_is_closed_at_the_timeout_of_the_flow(one):
    run = submit(one, {**chain(ask()), "settings": {"timeout": 3600}})
    ends_at = run_of(run.id).started_at + 3_600_000
    assert waits.of(run.id)["a"].wake_at == ends_at
    assert waits.explain_closed(run.id, "a", ends_at) == "The time to answer is over"


def test_a_run_whose_machine_has_a_slow_clock_takes_no_branch_at_the_timeout(one):
    """It was woken at its end by another machine."""
    made = flow(ask(), node("late", "act"), edges=["a late timeout"])
    run = submit(one, {**made, "settings": {"timeout": 3600}})
    waits.wake(run_of(run.id).started_at + 3_600_000)
    row = wait_for(one, run)
    assert (row.status, row.error_kind, row.error_node_id) == ("failed", "timeout", "a")


# for_at_most


def test_rounds_end_after_their_time_over_all_pauses(one, types, monkeypatch):
    monkeypatch.setattr("execution.SHORT_PAUSE", 0.0)
    repeat = {"until": "{{ false }}", "every": 0.2, "for_at_most": 0.5}
    run = submit(one, chain(node("a", "act", repeat=repeat)))
    row = wait_for(one, run)
    assert (row.status, row.error_kind, row.error_node_id) == ("failed", "limit", "a")
    began = [int(key.rpartition(":")[2]) for key in types.effects]  # the rounds, by their idempotency keys
    assert 1 <= len(began) <= 3
    said = "1 round" if len(began) == 1 else f"{len(began)} rounds"
    assert row.error_text == f"repeat: its condition was not met after {said} (for_at_most 0.5 s)"


def test_a_round_that_is_woken_too_late_does_not_begin(one, types):
    repeat = {"until": "{{ false }}", "every": 60, "for_at_most": 100}
    run = submit(one, chain(node("a", "act", repeat=repeat)))
    with write():
        execute("UPDATE steps SET started_at = started_at - 101000 WHERE run_id = ?", (run.id,))
        execute("UPDATE waits SET wake_at = ? WHERE run_id = ?", (now_ms(), run.id))
    row = wait_for(one, run)
    assert row.error_text == "repeat: its condition was not met after 1 round (for_at_most 100 s)"
    assert len(types.effects) == 1


def test_the_time_of_rounds_counts_from_the_first_one_after_a_restart(one):
    repeat = {"until": "{{ false }}", "every": 60, "for_at_most": 100}
    run = submit(one, chain(node("a", "act", repeat=repeat)))
    assert run_of(run.id).waiting == "round 2 of at most 100"
    with write():
        execute("UPDATE steps SET started_at = started_at - 61000 WHERE run_id = ?", (run.id,))
        execute("UPDATE waits SET wake_at = ? WHERE run_id = ?", (now_ms(), run.id))
    row = wait_for(one, run)
    assert row.error_text == "repeat: its condition was not met after 2 rounds (for_at_most 100 s)"


def test_no_attempt_begins_after_the_time_of_the_rounds(one):
    repeat = {"until": "{{ false }}", "for_at_most": 5}
    row = run_of(submit(one, chain(node("a", "broken", repeat=repeat, retry={"attempts": 9, "delay": 60}))).id)
    assert row.status == "failed" and "RuntimeError" in row.error_text


def test_the_time_of_rounds_ends_a_node_that_is_executed(one, types):
    def slow(config, input, ctx):
        while True:
            ctx.pause(ctx.seconds_left(10))

    types.offer("slow", slow, pure=False)
    repeat = {"until": "{{ false }}", "for_at_most": 0.3}
    row = run_of(submit(one, chain(node("a", "slow", repeat=repeat))).id)
    assert row.error_text == "repeat: its condition was not met after 1 round (for_at_most 0.3 s)"
    assert row.error_kind == "limit"


def test_a_loop_measures_the_time_of_each_item(one):
    repeat = {"until": "{{ item == 1 }}", "every": 60, "for_at_most": 5}
    made = chain(node("a", "act", foreach=[1, 2, 1], repeat=repeat, on_error="continue"))
    run = submit(one, made)
    row = run_of(run.id)
    assert row.status == "success"
    assert "for_at_most 5 s" in row.output and row.output.count("error") == 1
