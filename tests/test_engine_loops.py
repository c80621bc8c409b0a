"""Loops, parallel branches, and large values in the engine."""

import threading
import tracemalloc
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_engine_properties import settled_of
from world import PATIENCE, Types, chain, flow, node, run, run_at_once, value, workers

from definition import plan
from engine import Open, Settled, find_needs
from errors import NodeError
from nodes.base import Suspend
from server_log import read_ids


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


# Parallel branches in the engine: which nodes are executed at the same time, in what order, and how a run ends


class Crowd:
    """The node type `work`: counts how many are executed at the same time, and waits for `meet` if that is set."""

    def __init__(self):
        self.lock = threading.Lock()
        self.now = self.most = 0
        self.meet = None
        self.threads = set()

    def __call__(self, config, input, ctx):
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
            self.threads.add(threading.current_thread())
        try:
            if self.meet is not None:
                self.meet.wait(PATIENCE)
            return config.get("value", ctx.node_id)
        finally:
            with self.lock:
                self.now -= 1


@pytest.fixture
def crowd(types):
    crowd = Crowd()
    types.offer("work", crowd, pure=False)
    return crowd


def wide(count, type_="work", **more):
    """Return a flow with that many nodes after one, and one after all of them."""
    names = [f"n{number}" for number in range(count)]
    edges = [wire for name in names for wire in (["start", name], [name, "end"])]
    return flow("start", *(node(name, type_, **more) for name in names), "end", edges=edges)


def seen_by(done, *ids):
    """Return the places of the last steps of these nodes in the order of their end."""
    order = [step.node_id for step in done.steps if step.status != "running"]
    return [order.index(id_) for id_ in ids]


# How many


def test_nodes_with_effects_are_executed_at_the_same_time(crowd):
    crowd.meet = threading.Barrier(2)
    done = run_at_once(wide(2), 2)
    assert done.output == {"n0": "n0", "n1": "n1"} and len(crowd.threads) == 2


def test_nodes_without_effects_are_too(types, crowd):
    crowd.meet = threading.Barrier(3)
    types.offer("look", crowd)
    assert run_at_once(wide(3, "look"), 3).status == "success"


@pytest.mark.parametrize("count", [2, 3, 5])
def test_never_more_than_permitted_are_executed(crowd, count):
    crowd.meet = threading.Barrier(count)
    done = run_at_once(wide(3 * count), count)
    assert done.status == "success" and crowd.most == count
    assert sorted(step.seq for step in done.steps if step.status != "running") == [*range(3 * count + 2)]


@pytest.mark.parametrize("job", [{"parallel": 1, "workers": workers}, {"parallel": 4}])
def test_by_default_and_without_threads_they_are_not(crowd, job):
    made = {**wide(5), "settings": {"parallel": job.pop("parallel")}}
    done = run(made, **job)
    assert crowd.most == 1 and crowd.threads == {threading.current_thread()}
    assert [step.node_id for step in done.steps if step.status == "success"] == list(done.of)


def test_a_line_of_nodes_needs_no_thread(crowd):
    made = flow(node("a", "work"), "b", node("c", "work"), node("d", "work"), edges=["a b", "b c", "c d"])
    assert run_at_once(made, 4).status == "success" and crowd.threads == {threading.current_thread()}


def test_quick_nodes_go_on_while_another_is_executed(types, crowd):
    crowd.meet = threading.Barrier(2)
    types.offer("pass", lambda config, input, ctx: input, quick=True)
    made = flow(
        "start", node("slow", "work"), node("a", "pass"), node("b", "pass"), node("also", "work"),
        edges=["start slow", "start a", "a b", "b also"],
    )  # fmt: skip
    assert run_at_once(made, 2).status == "success"


# In what order


def test_a_join_waits_for_all_of_its_branches(types, crowd):
    late = threading.Event()
    types.offer("late", lambda config, input, ctx: late.wait(PATIENCE) and 7, pure=False)
    types.offer("last", lambda config, input, ctx: late.set() or 8, pure=False)
    made = flow(
        "start", node("a", "late"), node("b", "work"), node("c", "last"), node("join", "act"), "end",
        edges=["start a", "start b", "b c", "a join", "c join", "join end"],
    )  # fmt: skip
    done = run_at_once(made, 2)
    assert done.output == {"a": 7, "c": 8}
    a, c, join = seen_by(done, "a", "c", "join")
    assert max(a, c) < join


def test_a_diamond_gives_the_outputs_of_the_serial_run(types):
    double = {"value": "{{ input * 2 }}"}
    made = flow(
        node("a", "act", {"value": 3}), node("b", "act", double), node("c", "act", double), node("d", "act"),
        node("e", "act", {"value": "{{ input.b + input.c + steps.a }}"}),
        edges=["a b", "a c", "b e", "c e", "a d"],
    )  # fmt: skip
    assert run_at_once(made, 4).output == run(made).output == {"d": 3, "e": 15}


def test_a_node_waits_for_the_steps_that_its_expressions_read(types, crowd):
    late = threading.Event()
    types.offer("late", lambda config, input, ctx: late.wait(PATIENCE) and 5, pure=False)
    types.offer("first", lambda config, input, ctx: late.set(), pure=False)
    made = flow(
        node("slow", "late"), node("b", "first"), node("reads", "work", {"value": "{{ steps.slow + 1 }}"}),
        edges=["b reads"],
    )  # fmt: skip
    assert run_at_once(made, 3).output == {"slow": 5, "reads": 6}


def test_an_expression_of_all_steps_sees_those_before_it_and_no_other(types):
    later, may_end = threading.Event(), threading.Event()
    types.offer("late", lambda config, input, ctx: later.wait(PATIENCE) and 1, pure=False)
    types.offer("later", lambda config, input, ctx: later.set() or 2, pure=False)
    made = flow(
        "start", node("slow", "late"), node("all", "act", {"value": "{{ steps | list | sort }}"}), node("z", "later"),
        edges=["start slow", "start all", "start z"],
    )  # fmt: skip
    done = run_at_once(made, 3)
    assert value(done.of["all"]) == ["slow", "start"] and not may_end.is_set()


def test_a_node_needs_its_sources_the_steps_it_reads_and_a_response_before_its_own():
    made = flow(
        "a", node("b", "set", {"values": {"x": "{{ steps.a }}"}}),
        node("c", "set", {"values": {"x": "{{ steps }}"}}), node("d", "respond"), node("e", "respond"),
        node("f", "respond", disabled=True), node("g", "set", {"values": {"x": "{{ steps | length }}"}}),
        edges=["b e"],
    )  # fmt: skip
    assert find_needs(plan(made)) == [set(), {0}, {0, 1}, set(), {1, 3}, set(), {2, 3, 4, 5}]


def test_the_first_response_of_the_plan_is_given(types, crowd):
    late = threading.Event()
    types.offer("late", lambda config, input, ctx: late.wait(PATIENCE) and 1, pure=False)
    types.offer("early", lambda config, input, ctx: late.set(), pure=False)
    made = flow(
        "start", node("slow", "late"), node("one", "respond", {"body": 1}), node("fast", "early"),
        node("two", "respond", {"body": 2}), edges=["start slow", "slow one", "start fast", "fast two"],
    )  # fmt: skip
    done = run_at_once(made, 2)
    assert done.response["body"] == 1
    one, two = seen_by(done, "one", "two")
    assert one < two


# Failures and ends


def test_after_a_failure_no_node_begins_and_those_executed_are_awaited(types, crowd):
    failed = threading.Event()

    def bad(config, input, ctx):
        raise NodeError("no", permanent=True)

    def slow(config, input, ctx):
        assert failed.wait(PATIENCE)
        return "done"

    types.offer("bad", bad, pure=False)
    types.offer("slow", slow, pure=False)
    made = flow(
        "start", node("one", "slow"), node("two", "bad"), node("next", "act"), node("after", "act"),
        edges=["start one", "start two", "one after", "start next"],
    )  # fmt: skip
    steps = []

    def on_step(step):
        steps.append(step)
        if step.status == "failed":
            failed.set()

    done = run_at_once(made, 2, on_step=on_step)
    assert (done.status, done.error_text, done.error_node_id) == ("failed", "no", "two")
    ends = {step.node_id: (step.status, step.final) for step in steps if step.status != "running"}
    assert ends == {"start": ("success", False), "one": ("success", False), "two": ("failed", True)}


def test_of_several_failures_the_first_ends_the_run_and_is_final(types):
    first = threading.Event()
    both = threading.Barrier(2)

    def bad(config, input, ctx):
        both.wait(PATIENCE)
        if config["value"] == "second":
            assert first.wait(PATIENCE)
        raise NodeError(config["value"], permanent=True)

    types.offer("bad", bad, pure=False)
    made = flow("start", node("a", "bad", {"value": "second"}), node("b", "bad", {"value": "first"}),
                edges=["start a", "start b"])  # fmt: skip
    steps = []

    def on_step(step):
        steps.append(step)
        if step.status == "failed":
            first.set()

    done = run_at_once(made, 2, on_step=on_step)
    assert (done.error_text, done.error_node_id) == ("first", "b")
    assert [(step.node_id, step.final) for step in steps if step.status == "failed"] == [("b", True), ("a", False)]


def test_a_cancelled_run_begins_no_node_and_records_those_executed(types):
    stopped = []

    def cancel(config, input, ctx):
        stopped.append("stopped by a person")
        return 1

    types.offer("cancel", cancel, pure=False)
    done = run_at_once(flow("start", node("a", "cancel"), node("b", "act"), edges=["start a", "a b"]), 2,
                   stop=lambda: stopped[0] if stopped else None)  # fmt: skip
    assert (done.status, done.error_text, done.error_kind) == ("failed", "stopped by a person", "cancelled")
    assert done.of["a"].status == "success" and "b" not in done.of


def test_an_error_of_the_record_is_raised_after_all_have_ended(types, crowd):
    class Taken(BaseException):
        pass

    crowd.meet = threading.Barrier(2)
    begun = []

    def on_step(step):
        if step.status == "success" and step.node_id in ("n0", "n1"):
            begun.append(step)
            if step.node_id == "n1":
                raise Taken

    with pytest.raises(Taken):
        run_at_once(wide(2), 2, on_step=on_step)
    assert len(begun) == 2 and crowd.now == 0


def test_the_bound_on_steps_holds(crowd):
    done = run_at_once(wide(6), 3, max_steps=4)
    assert done.status == "failed" and done.error_kind == "limit" and len({step.seq for step in done.steps}) == 4


def test_the_timeout_of_the_run_ends_it(types):
    types.offer("take", lambda config, input, ctx: threading.Event().wait(0.05), pure=False)
    made = flow("start", node("a", "take"), node("b", "take"), node("c", "act"), edges=["start a", "start b", "a c"],
                timeout=0.02)  # fmt: skip
    done = run_at_once(made, 2)
    assert done.status == "failed" and done.error_kind == "timeout" and "c" not in done.of


def test_failures_with_other_rules_go_on(types):
    made = flow(
        "start", node("a", "fail", on_error="continue"), node("b", "fail", on_error="branch"), node("c", "act"),
        node("d", "act", retry={"attempts": 2, "delay": 0}), edges=["start a", "start b", "b c error", "start d"],
    )  # fmt: skip
    done = run_at_once(made, 3)
    assert done.output == {"a": {"error": "no"}, "c": {"error": "no"}, "d": None}


# Waits


def test_a_branch_waits_while_another_is_executed(types, crowd):
    types.offer("ask", lambda config, input, ctx: Suspend(None, "an answer"), suspends=True, answers=("yes",),
                resume=lambda self, config, input, answer: answer.value)  # fmt: skip
    made = flow(
        "start", node("q", "ask"), node("after", "act"), node("a", "work"), node("b", "work"),
        node("all", "act", {"value": "{{ steps | length }}"}),
        edges=["start q", "q after", "start a", "a b", "b all"],
    )  # fmt: skip
    done = run_at_once(made, 3)
    assert done.status == "waiting" and done.waits == {"q": "an answer"}
    assert {id_: step.status for id_, step in done.of.items()} == {
        "start": "success", "q": "waiting", "a": "success", "b": "success",
    }  # fmt: skip
    settled, first_seq = settled_of([step for step in done.steps if step.status != "waiting"])
    waiting = {"q": Open(done.of["q"].seq, 1, 5, "an answer")}
    again = run_at_once(made, 3, settled=settled, waiting=waiting, first_seq=first_seq)
    assert again.status == "waiting" and not again.steps


def test_retries_rounds_and_pauses_are_those_of_each_node(types):
    tries = Counter()

    def flaky(config, input, ctx):
        tries[ctx.node_id] += 1
        if tries[ctx.node_id] < 3:
            raise NodeError("again")
        return tries[ctx.node_id]

    types.offer("flaky", flaky, pure=False)
    repeat = {"until": "{{ output == 5 }}", "every": 1}
    retry = {"attempts": 3, "delay": 0}
    pauses = []
    done = run_at_once(
        flow("start", node("a", "flaky", retry=retry), node("b", "flaky", retry=retry, repeat=repeat),
             edges=["start a", "start b"]), 2, sleep=pauses.append,
    )  # fmt: skip
    assert done.output == {"a": 3, "b": 5}
    assert pauses.count(1) == 2


def test_disabled_pinned_and_skipped_nodes_are_settled_as_always(types):
    made = flow(
        "start", node("off", "act", disabled=True), node("if", "if", {"condition": "{{ true }}"}), "yes", "no",
        node("on", "act"), edges=["start off", "off on", "start if", "if yes true", "if no false"],
    )  # fmt: skip
    serial, done = run(made, 4), run_at_once(made, 4, 4)
    assert done.output == serial.output == {"yes": 4, "on": 4}
    assert {id_: step.status for id_, step in done.of.items()} == {id_: s.status for id_, s in serial.of.items()}


def test_each_node_has_its_own_ids_in_the_log(types):
    both, seen = threading.Barrier(2), {}

    def look(config, input, ctx):
        both.wait(PATIENCE)
        seen[ctx.node_id] = read_ids()["node_id"]
        both.wait(PATIENCE)

    types.offer("look", look, pure=False)
    run_at_once(wide(2, "look"), 2)
    assert seen == {"n0": "n0", "n1": "n1"}


def test_a_loop_of_several_at_once_may_be_one_of_the_nodes(types, crowd):
    crowd.meet = threading.Barrier(4)
    loop = {"foreach": "{{ [1, 2, 3] }}", "concurrency": 3}
    made = flow("start", node("each", "work", {"value": "{{ item }}"}, **loop), node("b", "work"),
                edges=["start each", "start b"])  # fmt: skip
    assert run_at_once(made, 2).output == {"each": [1, 2, 3], "b": "b"}


# Values that repeat one large value: small in memory, huge as JSON. They are refused before they are written


LARGE = {"text": "x" * 100_000}
MAX_VALUE = 1_000_000


@pytest.fixture
def little_memory():
    """Assert that peak memory stays below 20 times the largest allowed value."""
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * MAX_VALUE


def test_a_config_that_repeats_a_large_value_is_refused(little_memory):
    values = {f"v{at}": "{{ input }}" for at in range(1_000)}
    ran = run(flow(node("a", "give", {"value": values})), LARGE, max_value_bytes=MAX_VALUE)
    assert ran.status == "failed" and "config.value exceeds the limit of" in ran.error_text


def test_a_config_of_many_small_values_is_allowed():
    values = {f"v{at}": "{{ input }}" for at in range(1_000)}
    assert run(flow(node("a", "give", {"value": values})), "small").output == dict.fromkeys(values, "small")


def test_a_foreach_that_returns_a_large_value_for_each_item_is_refused(little_memory):
    made = flow(
        node("a", "give", {"value": {"item": "{{ item }}", "all": "{{ trigger.large }}"}}, foreach="{{ input.items }}")
    )
    ran = run(made, {"large": LARGE, "items": list(range(1_000))}, max_value_bytes=MAX_VALUE)
    assert ran.status == "failed" and "the outputs of 10 items have" in ran.error_text


def test_a_join_of_many_large_values_is_refused(little_memory):
    many = [f"n{at}" for at in range(300)]
    made = flow("root", *many, "last", edges=[*(f"root {id_}" for id_ in many), *(f"{id_} last" for id_ in many)])
    ran = run(made, LARGE, max_value_bytes=MAX_VALUE)
    assert ran.status == "failed" and "what 300 nodes give together exceeds the limit of" in ran.error_text


def test_many_leaves_with_a_large_value_are_refused(little_memory):
    many = [f"n{at}" for at in range(300)]
    ran = run(flow("root", *many, edges=[f"root {id_}" for id_ in many]), LARGE, max_value_bytes=MAX_VALUE)
    assert ran.status == "failed" and "what 300 nodes give together exceeds the limit of" in ran.error_text
