"""Subplans: the nodes executed to reach a node, and the nodes that a pin makes unnecessary."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_engine_properties import MANY, Model, flows, ways
from world import Types, chain, flow, node, value

import engine
from definition import Pin, plan_part, select_part
from errors import BadInput, DefinitionError, NodeError
from nodes.base import Suspend


@pytest.fixture(scope="module", autouse=True)
def types():
    def burn(config, input, ctx):
        raise NodeError("burnt")

    with Types() as types:
        types.offer("ask", lambda *given: Suspend(None, "an answer"), suspends=True, answers=("yes", "no"))
        types.offer("burn", burn, pure=False)
        yield types


IF_TRUE = node("if", "if", {"condition": True})


def part(definition, until=None, pinned=None):
    pins = {id_: pin if isinstance(pin, Pin) else Pin(pin) for id_, pin in (pinned or {}).items()}
    return select_part(engine.plan(definition), until, pins)


def ran(definition, until=None, pinned=None, input=None, **job):
    """Return the outcome, and (status, output) of each node with a step."""
    steps = {}
    job = engine.Job("run_1", input, on_step=lambda step: steps.update({step.node_id: step}), **job)
    outcome = engine.run(part(definition, until, pinned), job)
    return outcome, {id_: (step.status, value(step)) for id_, step in steps.items()}


def executed(definition, until=None, pinned=None, **job):
    return list(ran(definition, until, pinned, **job)[1])


def test_a_run_until_a_node_executes_only_its_ancestors():
    made = flow("a", "b", "c", "d", "x", edges=["a b", "b c", "c d", "a x"])
    assert executed(made, "c") == ["a", "b", "c"]
    assert executed(made, "x") == ["a", "x"]
    assert executed(made) == ["a", "b", "c", "d", "x"]


def test_its_output_is_that_of_the_node():
    made = flow(node("a", "give", {"value": 1}), node("b", "give", {"value": 2}), "c", edges=["a b", "b c"])
    assert ran(made, "b")[0].output == 2


def test_referenced_steps_run_too_without_becoming_output():
    looking = node("b", "give", {"value": "{{ steps.far.x }}"})
    made = flow("a", node("far", "give", {"value": {"x": 7}}), looking, edges=["a b"])
    outcome, steps = ran(made, "b")
    assert set(steps) == {"a", "far", "b"} and outcome.output == 7


def test_a_node_that_was_not_reached_has_no_output_and_is_skipped():
    made = flow(IF_TRUE, "yes", "no", edges=["if yes true", "if no false"])
    outcome, steps = ran(made, "no", input=5)
    assert (outcome.status, outcome.output) == ("success", None)
    assert {id_: step[0] for id_, step in steps.items()} == {"if": "success", "no": "skipped"}


def test_a_pinned_node_is_not_executed_and_outputs_its_pin(types):
    types.effects.clear()
    outcome, steps = ran(chain("a", node("b", "act"), node("c", "act")), pinned={"b": {"x": 1}})
    assert types.effects == ["run_1:c:0"]
    assert steps == {"b": ("success", {"x": 1}), "c": ("success", None)} and outcome.output == {"x": 1}


def test_ancestors_of_only_a_pinned_node_are_not_executed():
    made = flow("a", "b", "c", "other", edges=["a b", "b c", "a other"])
    assert executed(made, "c", {"b": 1}) == ["b", "c"]
    assert set(executed(made, None, {"b": 1})) == {"a", "b", "c", "other"}


def test_a_pinned_ancestor_keeps_its_step():
    assert executed(chain("a", "b", "c"), None, {"a": 1, "b": 2}) == ["a", "b", "c"]


def test_unrelated_pinned_nodes_have_no_steps():
    assert executed(flow("a", "b", "c", edges=["a b", "a c"]), "b", {"c": 1}) == ["a", "b"]


def test_a_pinned_node_on_a_branch_that_is_not_taken_is_skipped():
    made = flow(IF_TRUE, "yes", "no", "after", edges=["if yes true", "if no false", "no after"])
    _, steps = ran(made, pinned={"no": 1})
    assert (steps["no"][0], steps["after"][0]) == ("skipped", "skipped")


def test_a_run_continues_from_a_pinned_node_without_its_ancestors():
    made = flow(IF_TRUE, "yes", "no", "after", edges=["if yes true", "if no false", "no after"])
    outcome, steps = ran(made, "after", {"no": 1})
    assert list(steps) == ["no", "after"] and outcome.output == 1


def test_a_pinned_branch_decides_where_the_run_goes():
    made = flow(IF_TRUE, "yes", "no", edges=["if yes true", "if no false"])
    _, steps = ran(made, pinned={"if": Pin(4, "false")})
    assert steps == {"if": ("success", 4), "yes": ("skipped", None), "no": ("success", None)}


def test_a_pinned_node_may_leave_by_its_error_branch():
    made = flow(node("a", "fail", on_error="branch"), "ok", "bad", edges=["a ok", "a bad error"])
    _, steps = ran(made, pinned={"a": Pin({"error": "no"}, "error")})
    assert (steps["ok"][0], steps["bad"][0]) == ("skipped", "success")


def test_a_disabled_pinned_node_still_outputs_its_pin():
    outcome, steps = ran(chain("a", node("b", disabled=True), "c"), pinned={"b": 3})
    assert steps["b"] == ("success", 3) and outcome.output == 3


def test_a_pinned_node_that_would_wait_does_not():
    outcome, _ = ran(chain(node("a", "ask"), "b"), pinned={"a": {"answer": "yes"}})
    assert (outcome.status, outcome.output) == ("success", {"answer": "yes"})


def test_null_can_be_pinned():
    assert ran(chain("a", "b"), pinned={"a": None}, input=9)[0].output is None


def test_the_pinned_output_of_a_mapped_node_is_the_whole_list(types):
    types.effects.clear()
    assert ran(chain(node("a", "act", foreach=[1, 2]), "b"), pinned={"a": [5]})[0].output == [5]
    assert not types.effects


def test_a_node_needs_an_answered_step_if_it_reads_it():
    made = chain(node("ask", "ask"), "b", node("c", "give", {"value": "{{ steps.ask }}"}))
    outcome, steps = ran(made, "c", {"b": 1})
    assert outcome.status == "waiting" and steps["ask"][0] == "waiting"
    assert executed(made, "c", {"b": 1, "ask": 2}) == ["ask", "b", "c"]


def test_a_left_out_node_still_has_its_address():
    links = {"links": lambda node_id: {"url": f"https://x/{node_id}"}}
    made = flow(
        node("send", "give", {"value": "{{ steps.ask.url }}"}), node("ask", "ask"), "x", edges=["send ask", "send x"]
    )
    assert ran(made, "send", **links)[0].output == "https://x/ask"
    assert ran(made, None, {"ask": 1}, **links)[1]["send"] == ("success", "https://x/ask")


@pytest.mark.parametrize(
    ("until", "pinned", "problem"),
    [
        ("z", {}, "until: there is no node 'z'"),
        (None, {"z": 1}, "pinned.z: there is no node with this id"),
        (None, {"if": 1}, "pinned.if.branch: must be one of: 'true', 'false'"),
        (None, {"if": Pin(1, "maybe")}, "pinned.if.branch: must be one of: 'true', 'false'"),
        (None, {"a": Pin(1, "true")}, "pinned.a.branch: must be omitted: the node has no branches"),
        (None, {"e": Pin(1, "true")}, "pinned.e.branch: must be one of: 'error'"),
    ],
)
def test_unknown_nodes_and_branches_are_rejected(until, pinned, problem):
    with pytest.raises(BadInput) as caught:
        part(flow(IF_TRUE, "a", node("e", on_error="branch")), until, pinned)
    assert problem in caught.value.message and caught.value.details[0].path == problem.split(":")[0]


def test_a_subplan_is_a_plan():
    found = part(flow("x", "a", "b", "c", edges=["a b", "b c"]), "b")
    assert [(item.position, item.id, item.inputs, item.is_leaf) for item in found.nodes] == [
        (0, "a", (), False),
        (1, "b", ((0, None),), True),
    ]
    assert [item.id for item in found.left_out] == ["x", "c"]


@pytest.mark.slow
def test_a_chain_of_ten_thousand_nodes_has_parts():
    made = flow(*[f"n{at}" for at in range(10_000)], edges=[[f"n{at}", f"n{at + 1}"] for at in range(9_999)])
    assert len(part(made, "n9999").nodes) == 10_000 and len(part(made, "n9999", {"n9998": 1}).nodes) == 2


# Properties of every flow


@st.composite
def cases(draw):
    """Draw a flow, one of its nodes or None, and pins."""
    definition, _ = draw(flows())
    ids = [made["id"] for made in definition["nodes"]]
    until = draw(st.sampled_from([None, *ids]))
    pinned = {}
    for made in definition["nodes"]:
        if draw(st.integers(0, 4)) == 0:
            pinned[made["id"]] = Pin(["pinned", made["id"]], draw(st.sampled_from(ways(made))))
    return definition, until, pinned


class Part(Model):
    """Model of a subplan: its rules, written as simply as possible."""

    def __init__(self, definition, until, pinned):
        super().__init__(definition, {"x": 1}, None)
        self.until, self.pinned = until, pinned
        ends = {id_ for id_ in self.nodes if all(source != id_ for source, _, _ in self.edges)} | pinned.keys()
        self.needed = {until} if until is not None else ends
        for _ in self.nodes:
            self.needed |= {source for source, to, _ in self.edges if to in self.needed and to not in pinned}

    def settle(self, node):
        pin = self.pinned.get(node["id"])
        if pin is None:
            return super().settle(node)
        sources = {source for source, target, _ in self.edges if target == node["id"]}
        if sources and sources <= self.needed and not self.live(node):
            return "skipped", None, None
        return "success", pin.output, pin.branch

    def order(self):
        return [id_ for id_ in super().order() if id_ in self.needed]

    def end(self):
        status, output, reached = super().end()
        if status == "success" and self.until is not None:
            output = self.state(self.until)[1] if self.executed(self.until) else None
        return status, output, reached


@MANY
@given(cases())
def test_a_subplan_follows_the_rules(case):
    definition, until, pinned = case
    status, result, reached = Part(*case).end()
    outcome, steps = ran(definition, until, pinned, input={"x": 1}, sleep=lambda seconds: None)
    assert outcome.status == status
    assert (outcome.output if status == "success" else outcome.error_text) == result
    names = {"passed": "skipped", "fatal": "failed"}
    assert {id_: step[0] for id_, step in steps.items()} == {
        id_: names.get(state[0], state[0]) for id_, state in reached.items()
    }


@MANY
@given(flows())
def test_a_subplan_of_everything_runs_like_the_plan(made):
    definition, fired = made
    plan = engine.plan(definition)
    whole = select_part(plan, None, {})
    assert whole.nodes == plan.nodes and not whole.left_out and whole.until is None


# Parts of incomplete drafts


INCOMPLETE = node("c", "http", {"url": ""})


def ids(plan):
    return [one.id for one in plan.nodes]


def wrong_in(definition, until=None, pinned=None):
    with pytest.raises(DefinitionError) as error:
        plan_part(definition, until, pinned or {})
    return {issue.node_id for issue in error.value.details}


def test_descendants_of_the_node_may_be_incomplete():
    made = plan_part(chain(node("a", "manual"), node("b", "noop"), INCOMPLETE, "d"), "b", {})
    assert ids(made) == ["a", "b"] and [one.id for one in made.left_out] == ["c", "d"]


def test_nodes_beside_the_node_may_be_incomplete():
    draft = {"nodes": [node("a", "manual"), node("b", "noop"), INCOMPLETE], "edges": [["a", "b"], ["a", "c"]]}
    assert ids(plan_part(draft, "b", {})) == ["a", "b"]
    assert wrong_in(draft) == {"c"}


def test_ancestors_of_the_node_may_not_be_incomplete_unless_they_are_pinned():
    draft = chain(node("a", "manual"), INCOMPLETE, "d", node("e", "nothing"))
    assert wrong_in(draft, "d") == {"c"}
    assert ids(plan_part(draft, "d", {"c": Pin(1)})) == ["c", "d"]


def test_a_step_that_the_node_reads_may_not_be_incomplete():
    draft = {"nodes": [INCOMPLETE, node("d", "set", {"values": {"x": "{{ steps.c }}"}})], "edges": []}
    assert wrong_in(draft, "d") == {"c"}


def test_a_valid_draft_is_planned_whole():
    draft = chain(node("a", "manual"), "b")
    assert plan_part(draft, None, {}) == engine.plan(draft)


def test_an_unconnected_part_with_errors_is_left_out_unless_a_trigger_starts_it():
    beside = [INCOMPLETE, node("d", "noop")]
    draft = {"nodes": [node("a", "manual"), node("b", "noop"), *beside], "edges": [["a", "b"], ["c", "d"]]}
    assert ids(plan_part(draft, None, {})) == ["a", "b"]
    assert wrong_in({**draft, "edges": [["a", "b"], ["a", "c"], ["c", "d"]]}) == {"c"}
    second = node("t", "manual")
    assert wrong_in({"nodes": [*draft["nodes"], second], "edges": [*draft["edges"], ["t", "c"]]}) == {"c"}


def test_a_part_that_another_one_reads_is_connected_with_it():
    reader = node("b", "set", {"values": {"x": "{{ steps.c }}"}})
    assert wrong_in({"nodes": [INCOMPLETE, node("a", "manual"), reader], "edges": [["a", "b"]]}) == {"c"}


def test_a_draft_of_nothing_but_errors_is_refused():
    assert wrong_in({"nodes": [INCOMPLETE, node("d", "nothing")], "edges": []}) == {"c", "d"}


def test_edges_count_only_within_the_part():
    draft = {
        "nodes": [node("a", "if", {"condition": "{{ true }}"}), node("b", "noop"), node("c", "noop")],
        "edges": [["a", "b", "true"], ["a", "c", "maybe"]],
    }
    assert ids(plan_part(draft, "b", {})) == ["a", "b"]
    assert wrong_in(draft, "c") == {"a"}


def test_a_disabled_node_may_be_incomplete_since_it_is_not_executed():
    draft = chain(node("a", "manual"), INCOMPLETE | {"disabled": True}, "d")
    assert ids(plan_part(draft, None, {})) == ["a", "c", "d"]
    assert engine.run(plan_part(draft, None, {}), engine.Job("run_1", 5)).output == 5


def test_settings_of_the_flow_must_be_valid():
    assert wrong_in({**chain(node("a", "manual"), "b"), "settings": {"timeout": "long"}}, "a") == {None}
