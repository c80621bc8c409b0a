"""A run that the loop executes leaves the same record as any other, row for row, except for ids and times."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from properties import examples
from test_engine_properties import flows
from test_quick_runs import Loop
from world import PATIENCE, add_flow, chain, flow, node
from written import without_ids, written

from database import execute
from dispatch import Start
from nodes.base import REGISTRY

pytestmark = pytest.mark.usefixtures("unhurried")

QUICK = sorted(type_ for type_, made in REGISTRY.items() if made.quick)
EXAMPLES = [(type_, number) for type_ in QUICK for number in range(len(REGISTRY[type_].examples))]


@pytest.fixture
def both(start):
    """`both(definition, input, trigger)` runs the flow as usual and in the loop, compares both, returns the rows."""
    dispatcher = start()
    loop = Loop(dispatcher)

    def run(definition, input=None, trigger=None):
        made = add_flow(definition, name="Orders")
        with written() as usual:
            ticket = dispatcher.submit(Start(made, input, "webhook", trigger), here=True)
            run, said = dispatcher.waiting.response(ticket, PATIENCE)
            dispatcher.recorder.commit([])
        with written() as quick:
            assert loop.start(made, input, trigger)
            loop.quick.end_turn()
            (end,) = loop.ends(1)
        assert end.error is None and quick.ids == [end.run.id] and usual.ids == [run.id]
        assert quick.rows == usual.rows
        assert without_ids(repr(end.outcome.response)) == without_ids(repr(said))
        assert (None if end.output is None else end.output.decode()) == output_of(end.run.id)
        return quick.rows

    return run


def output_of(run_id):
    return execute("SELECT output FROM runs WHERE id = ?", (run_id,)).fetchone()[0]


@pytest.mark.parametrize(("type_", "number"), EXAMPLES)
def test_the_examples_of_every_quick_node_have_the_same_record(both, type_, number):
    example = REGISTRY[type_].examples[number]
    rows = both(flow(node("it", type_, example["config"])), example.get("input"))
    assert rows["runs"][0]["status"] == ("failed" if "error" in example else "success")


def sets(id_, **values):
    return node(id_, "set", {"values": values})


def condition(id_, text="{{ trigger.n > 1 }}", **more):
    return node(id_, "if", {"condition": text}, **more)


BROKEN = "{{ trigger.nothing.of.it }}"
FORK = ["c yes true", "c no false"]
INPUT = {"n": 2, "list": [1, "two", None, {"deep": [True]}], "text": "Zoë & <b>\u2028\U0001f600"}
CASES = {
    "a chain": chain("a", "b", "c"),
    "values": chain("a", sets("b", n="{{ trigger.n + 1 }}", text="{{ trigger.text|upper }}"), "c"),
    "earlier steps": chain(sets("a", n=1), sets("b", n=2), sets("c", sum="{{ steps.a.n + steps.b.n }}")),
    "values of the run itself": sets("a", id="{{ run.id }}", by="{{ run.triggered_by }}", of="{{ workflow.name }}"),
    "variables": flow(sets("a", v="{{ vars.v }}"), vars={"v": [1, "x"]}),
    "a name": chain(node("a", name="Größe 📦"), node("b", name="b", notes="n")),
    "input kept": node("a", "set", {"values": {"m": 1}, "keep_input": True}),
    "a condition": flow(condition("c"), "yes", "no", edges=FORK),
    "a false condition": flow(condition("c", "{{ trigger.n > 5 }}"), "yes", "no", edges=FORK),
    "a node after a skipped one": flow(condition("c"), "yes", "no", "after", edges=[*FORK, "no after"]),
    "a join of branches": flow(condition("c"), "yes", "no", "end", edges=[*FORK, "yes end", "no end"]),
    "a switch": flow(
        node("s", "switch", {"value": "{{ trigger.n }}", "cases": [1, 2]}), "one", "two", "else",
        edges=["s one 1", "s two 2", "s else default"],
    ),
    "a join of two": flow("a", sets("b", x=1), sets("c", x=2), "end", edges=["a b", "a c", "b end", "c end"]),
    "merge": flow("a", sets("b", x=1), node("m", "merge", {"mode": "list"}), edges=["a b", "a m", "b m"]),
    "two leaves": flow("a", sets("b", x=1), "c", edges=["a b", "a c"]),
    "no executed leaf": flow(condition("c", "{{ false }}"), "yes", edges=["c yes true"]),
    "a filter": node("f", "filter", {"items": "{{ trigger.list }}", "keep": "{{ item }}"}),
    "disabled": chain("a", sets("b", x=1) | {"disabled": True}, "c"),
    "disabled first": chain(node("a", disabled=True), "b"),
    "disabled last": chain(sets("a", x=1), node("b", disabled=True)),
    "a disabled condition": flow(condition("c", disabled=True), "yes", edges=["c yes true"]),
    "all disabled": chain(node("a", disabled=True), node("b", disabled=True)),
    "a disabled node that is not quick": chain("a", node("b", "code", {"source": "return 1"}, disabled=True), "c"),
    "for each": sets("a", n="{{ item }}", i="{{ index }}") | {"foreach": "{{ trigger.list }}"},
    "for each of an empty list": chain(node("a", foreach="{{ [] }}"), "b"),
    "for each of a number": chain(node("a", foreach="{{ trigger.n }}"), "b"),
    "for each of a number, continued": chain(node("a", foreach="{{ trigger.n }}", on_error="continue"), "b"),
    "an item that fails": chain(sets("a", x="{{ 1 / item }}") | {"foreach": "{{ [1, 0, 2] }}"}, "b"),
    "an item that fails, continued": chain(
        sets("a", x="{{ 1 / item }}") | {"foreach": "{{ [1, 0, 2] }}", "on_error": "continue"}, "b"
    ),
    "an item that fails, by its branch": flow(
        sets("a", x="{{ 1 / item }}") | {"foreach": "{{ [1, 0] }}", "on_error": "branch"}, "b", edges=["a b error"]
    ),
    "a stop": chain("a", node("s", "stop", {"message": "Order {{ trigger.n }}: 💥"}), "b"),
    "a stop, continued": chain("a", node("s", "stop", {"message": "m"}, on_error="continue"), "b"),
    "a stop, by its branch": flow(
        node("s", "stop", {"message": "m"}, on_error="branch"), "b", "c", edges=["s b", "s c error"]
    ),
    "a broken expression": chain("a", sets("b", x=BROKEN), "c"),
    "a broken expression, continued": chain("a", sets("b", x=BROKEN) | {"on_error": "continue"}, "c"),
    "a long failure": node("s", "stop", {"message": "{{ 'é' * 1999 }}"}),
    "a log": chain(node("l", "log", {"level": "error", "message": "{{ trigger.n }}", "data": "{{ trigger }}"}), "b"),
    "logs of a run that fails": chain(
        *(node(id_, "log", {"message": f"{id_} {{{{ run.id }}}}"}) for id_ in "ab"), node("s", "stop", {"message": "m"})
    ),
    "a log for each": node("l", "log", {"message": "{{ item }}"}, foreach="{{ trigger.list }}"),
    "an answer": chain("a", node("r", "respond", {"status": 201, "headers": {"X-A": "b"}, "body": "{{ trigger }}"})),
    "an answer and more": chain(node("r", "respond", {"body": "text"}), sets("b", x=1)),
    "an answer, and a failure": chain(node("r", "respond", {"body": 1}), node("s", "stop", {"message": "m"})),
    "two answers": chain(node("r", "respond", {"body": 1}), node("q", "respond", {"body": 2})),
    "an answer for each": node("r", "respond", {"body": "{{ item }}"}, foreach="{{ [1, 2] }}"),
    "an answer that fails": chain("a", node("r", "respond", {"body": BROKEN}, on_error="continue"), "b"),
    "bytes": node("r", "respond", {"base64": "AAEC", "headers": {"Content-Type": "image/png"}}),
    "a violated schema": node("v", "validate", {"schema": {"type": "array"}}),
    "a node's timeout": chain("a", sets("b", x=1) | {"timeout": 60}, timeout=60),
    "nodes without an incoming edge": flow("a", "b", sets("c", x=1)),
}  # fmt: skip


@pytest.mark.parametrize("input", [INPUT, None], ids=["input", "none"])
@pytest.mark.parametrize("name", CASES)
def test_a_flow_has_the_same_record(both, name, input):
    definition = CASES[name]
    rows = both(definition if "nodes" in definition else flow(definition), input)
    assert len(rows["runs"]) == 1 and rows["counted"] and rows["steps"]


def test_only_nodes_after_the_fired_trigger_are_executed(both):
    hooks = [node(id_, "webhook", {"path": id_}) for id_ in ("p", "q")]
    made = flow(*hooks, sets("a", via="p"), sets("b", via="q"), edges=["p a", "q b"])
    rows = both(made, {"body": 1}, "q")
    assert [step["status"] for step in rows["steps"]] == ["skipped", "success", "skipped", "success"]


KINDS = st.one_of(
    st.just({"type": "noop"}),
    st.integers(0, 9).map(lambda number: {"type": "set", "config": {"values": {"x": number, "given": "{{ input }}"}}}),
    st.just({"type": "set", "config": {"values": {"x": "{{ input.x + 1 }}"}}}),
    st.just({"type": "set", "config": {"values": {"x": "{{ item / 1 }}"}}, "foreach": [1, 2]}),
    st.just({"type": "set", "config": {"values": {"x": "{{ item / 1 }}"}}, "foreach": [1, "two"]}),
    st.just({"type": "stop", "config": {"message": "{{ input }}"}}),
    st.just({"type": "log", "config": {"message": "m", "data": "{{ input }}"}}),
    st.just({"type": "respond", "config": {"body": "{{ input }}"}}),
    st.just({"type": "merge", "config": {"mode": "list"}}),
    st.booleans().map(lambda holds: {"type": "if", "config": {"condition": holds}}),
    st.sampled_from(["x", "y", "z"]).map(
        lambda word: {"type": "switch", "config": {"value": word, "cases": ["x", "y"]}}
    ),
)


@settings(max_examples=examples(100), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(flows(kinds=KINDS, attempts=1), st.sampled_from([None, {"x": 1}, [1]]))
def test_any_flow_of_quick_nodes_has_the_same_record(both, made, input):
    both(made[0], input, made[1])
