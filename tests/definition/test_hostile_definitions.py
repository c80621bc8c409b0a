"""Hostile definitions, and the limits on large ones."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from properties import examples
from test_definition import complaint
from world import Types, flow, node

import nodes  # noqa: F401  (fills the registry)
from definition import check, graph, plan
from errors import DefinitionError


@pytest.fixture(autouse=True)
def types():
    with Types() as types:
        yield types


# Hostile definitions

LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["a", "{{ 1", "{{ x }}"])
)
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4)
)
IDS = st.sampled_from(["a", "b", "c"]) | JSON
TYPES = (
    st.sampled_from(["noop", "if", "switch", "webhook", "schedule", "respond", "http", "validate", "set", "code"])
    | JSON
)
CONFIGS = st.dictionaries(
    st.sampled_from(
        ["value", "cases", "condition", "path", "methods", "cron", "every", "timezone", "schema", "headers", "query"]
    ),
    JSON,
    max_size=4,
)
NODES = st.fixed_dictionaries(
    {"id": IDS, "type": TYPES},
    optional={
        "config": CONFIGS | JSON,
        "name": JSON,
        "foreach": JSON,
        "retry": JSON | st.dictionaries(st.sampled_from(["attempts", "delay", "backoff"]), LEAVES),
        "timeout": JSON,
        "on_error": JSON | st.just("branch"),
        "on_interrupt": JSON,
        "disabled": JSON,
    },
)
EDGES = (
    st.lists(IDS, min_size=2, max_size=3)
    | st.fixed_dictionaries({"from": IDS, "to": IDS}, optional={"branch": IDS})
    | JSON
)
SETTINGS = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ["timezone", "timeout", "max_concurrent_runs", "overlap", "error_workflow_id", "vars", "description"], JSON
    ),
)
DEFINITIONS = st.fixed_dictionaries(
    {"nodes": st.lists(NODES | JSON, max_size=5) | JSON},
    optional={"edges": st.lists(EDGES, max_size=5) | JSON, "settings": SETTINGS | JSON, "more": JSON},
)


@settings(max_examples=examples(200), deadline=None)
@given(JSON | DEFINITIONS)
def test_any_json_raises_only_a_definition_error(made):
    for judge in (plan, graph):
        try:
            judge(made)
        except DefinitionError as error:
            assert error.details and all(issue.message for issue in error.details)


def nested(depth, wrap):
    made = 1
    for _ in range(depth):
        made = wrap(made)
    return made


@pytest.mark.parametrize("wrap", [lambda inner: [inner], lambda inner: {"a": inner}])
@pytest.mark.parametrize("where", ["config", "foreach", "retry", "name", "nodes", "edges", "vars"])
def test_values_nested_a_thousand_deep_raise_only_a_definition_error(wrap, where):
    deep = nested(1_000, wrap)
    made = {
        "config": flow(node("a", "give", {"value": deep}), node("b", "set", {"values": {"x": deep}})),
        "vars": flow("a", vars={"x": deep}),
        "nodes": {"nodes": deep},
        "edges": {**flow("a"), "edges": deep},
    }.get(where) or flow(node("a", **{where: deep}))
    check(made)


# Limits


@pytest.mark.parametrize(
    "made",
    [
        {"nodes": [{"id": "a", "type": "noop", **{f"k{at}": 1 for at in range(1_500)}}]},
        {"nodes": [node("a", "http", {f"k{at}": 1 for at in range(1_500)})]},
        {"nodes": [{"id": f"n{at}", "type": "nothing"} for at in range(1_500)]},
        {"nodes": [1] * 1_500},
        {"nodes": [], "edges": [1] * 1_500},
        {"nodes": [{"id": "a", "type": "noop"}], "edges": [["a", "a", f"b{at}"] for at in range(1_500)]},
    ],
    ids=["keys", "settings", "types", "nodes", "edges", "branches"],
)
def test_at_most_a_thousand_issues_are_reported(made):
    found = check(made)[1]
    assert len(found) <= 1_001
    if len(found) > 1_000:
        assert "there are more issues" in str(found[-1])


def test_an_unknown_branch_is_reported_with_only_the_first_known_ones():
    cases = [f"case{at}" for at in range(50)]
    made = flow(node("s", "switch", {"value": 1, "cases": cases}), node("a", "noop"), edges=[["s", "a", "no"]])
    text = complaint(made).message
    assert "'case0', " in text and "'case9', …" in text and "case10" not in text


def test_all_expressions_of_a_definition_share_a_limit(monkeypatch):
    monkeypatch.setattr("definition.builder.MAX_PARTS", 20)
    made = [node(f"n{at}", "set", {"values": {"a": "{{ input.a + 1 }}"}}) for at in range(5)]
    assert "more than 20 parts" in complaint({"nodes": made}).message
    assert check({"nodes": made[:3]})[1] == []
    broken = [node("a", "set", {"values": {"a": "{{ a." + "b" * 100}}), *made[:1]]
    assert [issue.path for issue in check({"nodes": broken})[1]] == ["nodes[0].config.values", "nodes"]


def validating(patterns):
    """Return a flow with a node for each pattern that validates its input."""
    return {
        "nodes": [node(f"n{at}", "validate", {"schema": {"pattern": one}}) for at, one in enumerate(patterns)],
        "edges": [],
    }


def test_all_schemas_of_a_flow_share_a_limit(monkeypatch):
    monkeypatch.setattr("definition.builder.MAX_SCHEMA_WEIGHT", 50_000)
    assert check(validating(["^[a-z]+$"] * 40))[1] == []
    _, issues = check(validating([r"(\pL{1,3}){1,3}", "^[a-z]+$"]))
    assert ["too large to check" in issue.message for issue in issues] == [True]


def test_schemas_checked_in_another_process_are_limited(monkeypatch):
    monkeypatch.setattr("definition.builder.MAX_SCHEMA_WEIGHT", 1)
    elsewhere = {"properties": {"a": {"$id": "https://example.com/a", "type": "string"}}}
    made = {"nodes": [node(id_, "validate", {"schema": elsewhere}) for id_ in "abc"], "edges": []}
    assert len(check(made)[1]) == 1
