"""Parallel branches in the engine: which nodes are executed at the same time, in what order, and how a run ends."""

import threading
from collections import Counter

import pytest
from test_engine_properties import settled_of
from world import PATIENCE, Types, flow, node, run, run_at_once, value, workers

from definition import plan
from engine import Open, find_needs
from errors import NodeError
from nodes.base import Suspend
from server_log import read_ids


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


@pytest.fixture(autouse=True)
def types():
    with Types() as types:
        yield types


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
