"""Loops in the engine: routed items, several items at once, delays, rounds of a repeat, and rate limits."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from world import Types, chain, flow, node, run, value, workers

from engine import Open, Settled
from errors import NodeError


@pytest.fixture(autouse=True)
def types():
    with Types() as types:
        yield types


def sieve(**more):
    """Return a flow that routes numbers, with a node after each branch."""
    check = node("check", "if", {"condition": "{{ item > 2 }}"}, foreach="{{ input }}", **more)
    return flow(check, "large", "small", edges=["check large true", "check small false"])


# Routing


def test_each_branch_gets_the_list_of_its_items():
    done = run(sieve(), [1, 5, 2, 3])
    assert done.output == {"large": [5, 3], "small": [1, 2]}
    assert value(done.of["check"]) == {"true": [5, 3], "false": [1, 2]} and done.of["check"].branch == ""


def test_a_branch_without_items_is_not_taken():
    done = run(sieve(), [1, 2])
    assert done.output == [1, 2] and done.of["large"].status == "skipped"


def test_no_branch_of_an_empty_list_is_taken():
    done = run(sieve(), [])
    assert {id_: step.status for id_, step in done.of.items()} == {
        "check": "success", "large": "skipped", "small": "skipped",
    }  # fmt: skip
    assert done.output == {"true": [], "false": []}


def test_expressions_see_the_items_of_every_branch():
    check = node("check", "if", {"condition": "{{ item > 2 }}"}, foreach="{{ input }}")
    end = node("end", "give", {"value": "{{ [steps.check.true, steps.check['false'], input] }}"})
    done = run(flow(check, end, edges=["check end true"]), [1, 5])
    assert done.output == [[5], [1], [5]]


def test_branches_that_meet_in_one_node_are_one_list():
    check = node("check", "if", {"condition": "{{ item > 2 }}"}, foreach="{{ input }}")
    both = flow(check, "both", edges=["check both true", "check both false"])
    assert run(both, [1, 5, 2]).output == [5, 1, 2]
    merged = flow(check, "other", node("both", "merge"), edges=["check both true", "check other false", "other both"])
    assert run(merged, [1, 5]).output == {"check": [5], "other": [1]}


def test_a_switch_routes_items_to_its_cases():
    switch = node("sort", "switch", {"value": "{{ item.kind }}", "cases": ["a", "b"]}, foreach="{{ input }}")
    made = flow(switch, "a", "b", "rest", edges=["sort a a", "sort b b", "sort rest default"])
    items = [{"kind": kind, "n": n} for n, kind in enumerate("abca")]
    done = run(made, items)
    assert done.output == {"a": [items[0], items[3]], "b": [items[1]], "rest": [items[2]]}


def test_failed_items_take_the_error_branch():
    check = node("check", "if", {"condition": "{{ item.x }}"}, foreach="{{ input }}", on_error="branch")
    made = flow(check, "yes", "bad", edges=["check yes true", "check bad error"])
    done = run(made, [{"x": 1}, {}, {"x": 1}])
    assert done.output["yes"] == [{"x": 1}, {"x": 1}]
    (failed,) = done.output["bad"]
    assert failed["index"] == 1 and "x" in failed["error"]


@given(st.lists(st.integers(-3, 6)))
def test_every_item_is_routed_once_in_order_and_resumed_alike(numbers):
    done = run(sieve(), numbers)
    large, small = [n for n in numbers if n > 2], [n for n in numbers if n <= 2]
    got = {"large": large, "small": small}
    settled = {("check", None): Settled(value(done.of["check"]), "")}
    again = run(sieve(), numbers, settled=settled, first_seq=9)
    assert again.output == done.output
    assert {id_: step.status for id_, step in again.of.items()} == {
        id_: "success" if got[id_] else "skipped" for id_ in got
    }


# Several at once


def test_so_many_items_run_at_once_and_their_outputs_keep_the_order(types):
    at_once, meet = [], threading.Barrier(3)

    def wait_for_others(config, input, ctx):
        at_once.append(meet.wait(timeout=20))
        return input * 2

    types.offer("meet", wait_for_others, pure=False)
    made = chain(node("a", "meet", foreach="{{ input }}", concurrency=3))
    done = run(made, [1, 2, 3, 4, 5, 6], workers=workers)
    assert done.output == [2, 4, 6, 8, 10, 12] and len(at_once) == 6
    assert len({step.seq for step in done.steps}) == 7


def test_a_loop_of_several_at_once_ends_after_its_first_failure(types):
    begun, may_end = [], threading.Event()

    def work(config, input, ctx):
        begun.append(input)
        if input == 1:
            may_end.set()
            raise NodeError("no", permanent=True)
        assert may_end.wait(20)
        return input

    types.offer("work", work, pure=False)
    done = run(chain(node("a", "work", foreach="{{ input }}", concurrency=2)), list(range(9)), workers=workers)
    assert (done.status, done.error_text) == ("failed", "item 1: no")
    assert sorted(begun)[:2] == [0, 1] and len(begun) <= 3
    ended = {step.item_index: step.status for step in done.steps if step.item_index is not None}
    assert ended[0] == "success" and ended[1] == "failed"


# Delays


def test_items_pause_for_the_delay(types):
    pauses = []
    made = chain(node("a", "act", foreach="{{ input }}", delay=2))
    assert run(made, [1, 2, 3], sleep=pauses.append).status == "success"
    assert len(pauses) == 2 and all(1.9 < pause <= 2 for pause in pauses)


def test_a_long_delay_is_a_wait_on_record():
    made = chain(node("a", "act", {"value": "{{ item }}"}, foreach="{{ input }}", delay=60))
    done = run(made, [1, 2, 3])
    assert done.status == "waiting" and done.waits == {"a": "3 items, 1 at a time"}
    waiting = [step for step in done.steps if step.status == "waiting"]
    assert [(step.item_index, step.wait.kind) for step in waiting] == [(1, "item_pause"), (None, "loop")]


# Repeats


def test_a_node_is_repeated_until_its_condition_is_met(types):
    answers = iter(["new", "busy", "done"])
    types.offer("look", lambda config, input, ctx: {"status": next(answers)}, pure=False)
    pauses = []
    repeat = {"until": "{{ output.status == 'done' }}", "every": 2}
    done = run(chain(node("a", "look", repeat=repeat)), sleep=pauses.append)
    assert done.output == {"status": "done"} and pauses == [2, 2]
    ended = [(step.status, value(step)) for step in done.steps if step.status != "running"]
    assert ended == [
        ("repeated", {"status": "new"}), ("repeated", {"status": "busy"}), ("success", {"status": "done"}),
    ]  # fmt: skip


def test_each_round_of_a_repeat_has_an_idempotency_key_of_its_own(types):
    repeat = {"until": "{{ round == 3 }}", "every": 0}
    made = chain(node("a", "act", {"value": 1}, repeat=repeat))
    run(made)
    run(made, rounds={("a", None): 1})
    rounds = ["run_1:a:0", "run_1:a:0:2", "run_1:a:0:3"]
    assert types.effects == [*rounds, *rounds[1:]]


def test_a_repeat_ends_as_failed_after_its_last_round(types):
    repeat = {"until": "{{ output.x }}", "every": 0, "at_most": 3}
    made = chain(node("a", "give", {"value": {"x": 0}}, repeat=repeat, on_error="continue"))
    assert run(made).output == {"error": "repeat: its condition was not met after 3 rounds (at_most)"}


def test_a_wrong_condition_of_a_repeat_fails_the_node():
    done = run(chain(node("a", "give", {"value": 1}, repeat={"until": "{{ output.x }}"})))
    assert done.status == "failed" and done.error_text.startswith("repeat.until: ")
    assert done.error_kind == "expression"


def test_each_round_has_attempts_of_its_own(types):
    tries = []

    def flaky(config, input, ctx):
        tries.append(1)
        if len(tries) % 2:
            raise NodeError("again")
        return len(tries)

    types.offer("flaky", flaky)
    repeat = {"until": "{{ output == 6 }}", "every": 0}
    done = run(chain(node("a", "flaky", repeat=repeat, retry={"attempts": 2, "delay": 0})))
    assert done.output == 6
    assert [step.attempt for step in done.steps] == [1, 2] * 3


def test_rounds_are_counted_on_after_an_interruption():
    repeat = {"until": "{{ round == 5 }}", "every": 0, "at_most": 9}
    done = run(chain(node("a", "give", {"value": 1}, repeat=repeat)), rounds={("a", None): 3})
    assert [step.status for step in done.steps] == ["repeated", "success"]


def test_a_long_pause_between_rounds_is_a_wait_on_record():
    made = chain(node("a", "act", repeat={"until": "{{ round == 2 }}", "every": 30}))
    done = run(made)
    assert done.status == "waiting" and done.waits == {"a": "round 2 of at most 100"}
    assert done.steps[-1].status == "waiting" and done.steps[-1].wait.kind == "pause"
    open_ = Open(done.steps[-1].seq, 1, 5, answer=object(), is_pause=True)
    after = run(made, waiting={"a": open_}, rounds={("a", None): 1}, first_seq=9)
    assert after.status == "success" and [step.seq for step in after.steps] == [open_.seq] * 2


def test_each_item_is_repeated_on_its_own(types):
    types.offer("count", lambda config, input, ctx: types.effects.append(ctx.index) or types.effects.count(ctx.index))
    repeat = {"until": "{{ output > item }}", "every": 0}
    done = run(chain(node("a", "count", foreach="{{ input }}", repeat=repeat)), [0, 2, 1])
    assert done.output == [1, 3, 2]


# Rates


def test_a_node_waits_for_its_turn():
    asked, pauses = [], []

    def rates(*asks):
        asked.append(asks)
        return {2: 2.0, 3: 0.1}.get(len(asked), 0.0)

    made = chain(node("a", "act", foreach="{{ input }}", rate={"calls": 3, "per": 9, "key": "k"}))
    assert run(made, [1, 2], rates=rates, sleep=pauses.append).status == "success"
    assert asked == [("k", 3, 9, has_waited) for has_waited in (False, False, True, True)] and pauses == [2.0, 0.1]


def test_a_long_wait_for_its_turn_is_on_record_and_asks_again(types):
    made, asked = chain(node("a", "act", rate={"calls": 1})), []

    def rates(seconds):
        return lambda key, calls, per, has_waited: asked.append(has_waited) or seconds

    done = run(made, rates=rates(50.0))
    assert done.waits == {"a": "its turn (rate limit)"} and not types.effects
    step = done.steps[-1]
    open_ = Open(step.seq, 1, 5, step.wait.reason, answer=object(), is_pause=True)
    again = run(made, waiting={"a": open_}, first_seq=9, rates=rates(20.0))
    assert again.waits == done.waits and not types.effects and [step.seq for step in again.steps] == [open_.seq]
    assert run(made, waiting={"a": open_}, first_seq=9, rates=rates(0.0)).status == "success"
    assert len(types.effects) == 1 and asked == [False, True, True]


def test_a_round_after_a_long_pause_keeps_the_rate(types):
    asked = []
    made = chain(node("a", "act", rate={"calls": 1}, repeat={"until": "{{ round > 1 }}", "every": 60}))
    open_ = Open(3, 1, 5, "round 2 of at most 100", answer=object(), is_pause=True)
    done = run(
        made, waiting={"a": open_}, rounds={("a", None): 1}, first_seq=9,
        rates=lambda key, calls, per, has_waited: asked.append(has_waited) or 0.0,
    )  # fmt: skip
    assert done.status == "success" and asked == [False]
