"""Properties of every flow: random graphs, compared with a model of the rules that shares no code with the engine."""

from collections import Counter

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from properties import examples
from world import Types, at_top, flow, run, run_at_once

from engine import Settled
from errors import NodeError

MANY = settings(max_examples=examples(150), deadline=None)


@pytest.fixture(scope="module", autouse=True)
def types():
    def burn(config, input, ctx):
        types.effects.append(ctx.idempotency_key)
        raise NodeError("burnt")

    with Types() as types:
        types.offer("burn", burn, pure=False)
        yield types


# Random flows

KINDS = st.one_of(
    st.just({"type": "noop"}),
    st.integers(0, 9).map(lambda number: {"type": "give", "config": {"value": [number]}}),
    st.just({"type": "give", "config": {"value": "{{ input }}"}}),
    st.just({"type": "act"}),
    st.just({"type": "act", "foreach": [1, "two"]}),
    st.just({"type": "fail"}),
    st.just({"type": "fail", "foreach": [1, "two"]}),
    st.just({"type": "burn"}),
    st.just({"type": "burn", "foreach": [1, "two"]}),
    st.booleans().map(lambda holds: {"type": "if", "config": {"condition": holds}}),
    st.sampled_from(["x", "y", "z"]).map(
        lambda word: {"type": "switch", "config": {"value": word, "cases": ["x", "y"]}}
    ),
)
BRANCHES = {"if": ("true", "false"), "switch": ("x", "y", "default")}


def ways(node):
    """Return the branches from which an edge may leave this node."""
    own = BRANCHES.get(node["type"], (None,))
    return (*own, "error") if node["on_error"] == "branch" else own


@st.composite
def flows(draw, most=7, kinds=KINDS, attempts=2):
    """Draw a valid definition with its nodes in any order, and the trigger that fired, or None."""
    nodes, edges = [], []
    for number in range(draw(st.integers(1, most))):
        trigger = draw(st.integers(0, 5)) == 0
        made = {"type": "manual"} if trigger else dict(draw(kinds))
        made |= {"id": f"n{number}", "on_error": draw(st.sampled_from(["continue", "branch", "fail", "continue"]))}
        made |= {
            "disabled": draw(st.integers(0, 5)) == 0,
            "retry": {"attempts": draw(st.integers(1, attempts)), "delay": 0},
        }
        sources = [] if trigger else draw(st.lists(st.sampled_from(nodes), unique_by=id, max_size=3)) if nodes else []
        for source in sources:
            leaving = draw(st.lists(st.sampled_from(ways(source)), min_size=1, max_size=2, unique=True))
            edges += [[source["id"], made["id"], branch] for branch in leaving]
        nodes.append(made)
    triggers = [made["id"] for made in nodes if made["type"] == "manual"]
    fired = draw(st.sampled_from([None, *triggers]))
    return flow(*draw(st.permutations(nodes)), edges=draw(st.permutations(edges))), fired


# A model of the rules


class Model:
    """The expected result of a run. The state of a node depends only on its predecessors."""

    def __init__(self, definition, input, fired):
        self.nodes = {made["id"]: made for made in definition["nodes"]}
        self.edges = definition["edges"]
        self.input, self.fired = input, fired
        self.known = {}

    def state(self, id_):
        """Return (status, output, branch); the status is success, failed, skipped, passed (disabled) or fatal."""
        if id_ not in self.known:
            self.known[id_] = self.settle(self.nodes[id_])
        return self.known[id_]

    def executed(self, id_):
        return self.state(id_)[0] in ("success", "failed", "passed")

    def live(self, node):
        """Return the predecessors with a live edge to the node."""
        edges = [(source, branch) for source, target, branch in self.edges if target == node["id"]]
        return {source for source, branch in edges if self.executed(source) and self.state(source)[2] == branch}

    def settle(self, node):
        is_root = all(target != node["id"] for _, target, _ in self.edges)
        live = self.live(node)
        if not live and not (is_root and self.fired in (None, node["id"])):
            return "skipped", None, None
        outputs = {source: self.state(source)[1] for source in live}
        given = self.input if not live else next(iter(outputs.values())) if len(outputs) == 1 else outputs
        if node["disabled"]:
            return ("skipped", None, None) if node["type"] in (*BRANCHES, "manual") else ("passed", given, None)
        return self.execute(node, given)

    def execute(self, node, given):
        kind, config, mode = node["type"], node.get("config", {}), node["on_error"]
        if kind in ("fail", "burn"):
            text = "no" if kind == "fail" else "burnt"
            if "foreach" not in node:
                return self.fail(mode, text)
            if mode == "continue":
                return "success", [{"error": text, "index": index} for index in range(2)], None
            return self.fail(mode, f"item 0: {text}")
        if kind == "act" and "foreach" in node:
            return "success", node["foreach"], None
        if kind == "give":
            return "success", given if config["value"] == "{{ input }}" else config["value"], None
        if kind == "if":
            return "success", given, "true" if config["condition"] else "false"
        if kind == "switch":
            return "success", given, config["value"] if config["value"] in config["cases"] else "default"
        return "success", given, None

    def fail(self, mode, text):
        if mode == "fail":
            return "fatal", text, None
        return "failed", {"error": text}, "error" if mode == "branch" else None

    def order(self):
        """Return the node ids in execution order: always the first node of the file whose predecessors are all done."""
        left, order = list(self.nodes), []
        while left:
            free = (n for n in left if all(source in order for source, target, _ in self.edges if target == n))
            order.append(next(free))
            left.remove(order[-1])
        return order

    def end(self):
        """Return (status, output or error, states of the reached nodes)."""
        reached = {}
        for id_ in self.order():
            reached[id_] = self.state(id_)
            if self.state(id_)[0] == "fatal":
                return "failed", self.state(id_)[1], reached
        executed = [id_ for id_ in reached if self.executed(id_)]
        leaves = [id_ for id_ in executed if all(source != id_ for source, _, _ in self.edges)]
        if len(leaves) > 1:
            return "success", {id_: self.state(id_)[1] for id_ in leaves}, reached
        last = (leaves or executed)[-1:]
        return "success", self.state(last[0])[1] if last else None, reached


STATUS = {"passed": "skipped", "fatal": "failed"}


def outputs(steps, before=None):
    """Return the recorded outputs of the nodes; `before` has the outputs of an earlier process."""
    found = dict(before or {})
    for step in filter(at_top, steps):
        if step.same_as is not None:
            found[step.node_id] = found[step.same_as]
        elif step.output is not None:
            found[step.node_id] = orjson.loads(step.output)
    return found


def last_steps(steps):
    """Return the last step of each node, without the steps of items, by node id."""
    return {step.node_id: step for step in steps if at_top(step)}


@MANY
@given(flows(), st.sampled_from([None, 1, {"x": [1]}]))
def test_a_run_ends_as_the_model_predicts(made, input):
    definition, fired = made
    status, result, reached = Model(definition, input, fired).end()
    ran = run(definition, input, trigger_node=fired)
    assert ran.status == status
    assert (ran.output if status == "success" else ran.error_text) == result
    assert {id_: step.status for id_, step in ran.of.items()} == {
        id_: STATUS.get(state[0], state[0]) for id_, state in reached.items()
    }
    assert {id_: step.branch for id_, step in ran.of.items()} == {id_: state[2] for id_, state in reached.items()}
    executed = {id_: state[1] for id_, state in reached.items() if state[0] in ("success", "failed", "passed")}
    assert outputs(ran.steps) == executed


@MANY
@given(flows())
def test_a_node_is_settled_once_and_after_its_predecessors(made):
    definition, fired = made
    ran = run(definition, 1, trigger_node=fired)
    ends = [step for step in ran.steps if at_top(step) and step.status != "running"]
    final = [step for step in ends if step is ran.of[step.node_id]]
    assert max(Counter(step.node_id for step in final).values(), default=1) == 1
    place = {step.node_id: index for index, step in enumerate(final)}
    for source, target, _ in definition["edges"]:
        assert target not in place or place[source] < place[target]


@MANY
@given(flows())
def test_without_retry_no_item_of_a_node_with_effects_is_executed_twice(types, made):
    definition, fired = made
    types.effects.clear()
    once = {**definition, "nodes": [{**node, "retry": None} for node in definition["nodes"]]}
    run(once, 1, trigger_node=fired)
    assert max(Counter(types.effects).values(), default=1) == 1


@MANY
@given(flows(), st.randoms(use_true_random=False))
def test_the_order_of_nodes_and_edges_does_not_change_the_result(made, random):
    definition, fired = made
    shuffled = {key: random.sample(definition[key], len(definition[key])) for key in ("nodes", "edges")}
    one, other = run(definition, 1, trigger_node=fired), run(shuffled, 1, trigger_node=fired)
    assert one.status == other.status
    if one.status == "success":
        assert outputs(one.steps) == outputs(other.steps)
        assert {id_: (step.status, step.branch) for id_, step in one.of.items()} == {
            id_: (step.status, step.branch) for id_, step in other.of.items()
        }
        leaf_ran = {node["id"] for node in definition["nodes"]} - {source for source, _, _ in definition["edges"]}
        if leaf_ran & outputs(one.steps).keys():
            assert one.output == other.output


def settled_of(steps):
    """Return the settled nodes and items of these steps, and the next free step number."""
    rows = {step.seq: step for step in steps}
    made = outputs(rows.values())
    settled = {}
    for step in rows.values():
        if step.status in ("success", "skipped") or (step.status == "failed" and step.output is not None):
            output = made.get(step.node_id) if at_top(step) else orjson.loads(step.output)
            skipped = step.status == "skipped" and step.output is None and step.same_as is None
            settled[step.node_id, step.item_index] = Settled(output, step.branch, skipped)
    return settled, max(rows, default=-1) + 1


@settings(max_examples=examples(100), deadline=None)
@given(flows(most=6))
def test_a_run_continued_from_any_prefix_of_its_steps_ends_the_same(types, made):
    definition, fired = made
    whole = run(definition, {"x": 1}, trigger_node=fired)
    for cut in range(len(whole.steps) + 1):
        kept = whole.steps[:cut]
        settled, first_seq = settled_of(kept)
        types.effects.clear()
        rest = run(definition, {"x": 1}, trigger_node=fired, settled=settled, first_seq=first_seq)
        # `text` may be the recorded output of a step of the first process.
        assert rest.outcome._replace(text=None) == whole.outcome._replace(text=None)
        assert not {f"run_1:{id_}:{index or 0}" for id_, index in settled} & set(types.effects)
        assert outputs(rest.steps, outputs(kept)) == outputs(whole.steps)
        ends = last_steps(kept) | last_steps(rest.steps)
        assert {id_: (step.status, step.branch) for id_, step in ends.items()} == {
            id_: (step.status, step.branch) for id_, step in whole.of.items()
        }


# Several nodes at the same time


@MANY
@given(flows(most=9), st.integers(2, 4))
def test_a_parallel_run_ends_as_the_serial_one(made, count):
    definition, fired = made
    one = run(definition, {"x": 1}, trigger_node=fired)
    other = run_at_once(definition, count, {"x": 1}, trigger_node=fired)
    assert one.status == other.status
    seqs = [step.seq for step in other.steps if step.status != "running"]
    assert len(set(seqs)) == len(seqs)
    if one.status == "failed":
        assert sum(step.final for step in other.steps) == 1
        return
    assert one.output == other.output
    assert outputs(one.steps) == outputs(sorted(other.steps))
    assert steps_of(one) == steps_of(other)


def steps_of(done):
    """Return how often each node and item had each result."""
    return Counter((step.node_id, step.item_index, step.status, step.branch, step.attempt) for step in done.steps)


@settings(max_examples=examples(60), deadline=None)
@given(flows(most=6), st.data())
def test_a_parallel_run_continues_from_any_moment(types, made, data):
    definition, fired = made
    whole = run_at_once(definition, 3, {"x": 1}, trigger_node=fired)
    kept = whole.steps[: data.draw(st.integers(0, len(whole.steps)))]
    settled, first_seq = settled_of(kept)
    types.effects.clear()
    rest = run_at_once(definition, 3, {"x": 1}, trigger_node=fired, settled=settled, first_seq=first_seq)
    assert rest.status == whole.status
    assert not {f"run_1:{id_}:{index or 0}" for id_, index in settled} & set(types.effects)
    if whole.status == "success":
        assert orjson.dumps(rest.output) == orjson.dumps(whole.output)
        ends = last_steps(kept) | last_steps(rest.steps)
        assert {id_: (s.status, s.branch) for id_, s in ends.items()} == {
            id_: (s.status, s.branch) for id_, s in whole.of.items()
        }
