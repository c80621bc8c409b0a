"""Hostile definitions, and the limits on large ones."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from properties import examples
from test_definition import complaint
from world import Types, flow, node

import nodes  # noqa: F401  (fills the registry)
from definition import check, graph, plan
from engine import Job, run
from errors import DefinitionError
from registry import explain_off


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


# Messages about invalid config: their path and wording


def complaints(type_, **config):
    return {issue.path: issue.message for issue in check(flow(node("it", type_, config)))[1]}


def failure(type_, input=None, **config):
    done = run(plan(flow(node("it", type_, config))), Job("run_1", input))
    assert done.status == "failed"
    return done.error_text


@pytest.mark.parametrize(
    ("type_", "config", "path", "message"),
    [
        ("http", {}, "url", "is required"),
        ("http", {"url": ""}, "url", "must not be empty"),
        ("http", {"url": "x" * 8001}, "url", "must not be empty, and have a length of at most 8000"),
        ("http", {"url": "https://x", "headers": "X: y"}, "headers", "must be an object"),
        ("http", {"url": "https://x", "timeout": "long"}, "timeout", "must be a number"),
        ("http", {"url": "https://x", "timeout": 0}, "timeout", "must be from 0.1 to 300"),
        ("http", {"url": "https://x", "pagination": 3}, "pagination", "must be an object"),
        ("limit", {"count": 1.5}, "count", "must be a whole number"),
        ("set", {"values": {}, "keep_input": "perhaps"}, "keep_input", "must be true or false"),
        ("switch", {"value": 1, "cases": "name"}, "cases", "must be a list"),
        ("group", {"by": "a", "aggregate": {"t": "sum"}}, "aggregate.t", "must be an object"),
        ("group", {"by": "a", "aggregate": {"t": {"op": "sum"}}}, "aggregate.t.field", "is required for sum"),
        ("http", {"url": "https://x", "headers": {"a b": "1"}}, "headers.a b", "is not a valid HTTP header name"),
    ],
)
def test_validation_messages_are_in_plain_language(type_, config, path, message):
    assert complaints(type_, **config) == {f"nodes[0].config.{path}": message}


def test_an_unknown_setting_suggests_a_similar_one():
    assert complaints("http", url="https://x", header={})["nodes[0].config.header"] == (
        "unknown setting; did you mean 'headers'?"
    )


def test_an_unknown_setting_unlike_any_other_lists_all():
    found = complaints("filter", keep="{{ item }}", where=3)
    assert found["nodes[0].config.where"] == "unknown setting; allowed: items, keep"


def test_an_unknown_node_type_suggests_a_similar_one():
    (issue,) = check(flow(node("it", "webhok")))[1]
    assert issue.message == f"unknown node type 'webhok'; did you mean 'webhook'?{explain_off(' Packs')}"


@pytest.mark.parametrize(
    ("type_", "offers"),
    [
        pytest.param("Pushover", "'notify'", marks=pytest.mark.pack("mail")),
        pytest.param("smtp", "'email'", marks=pytest.mark.pack("mail")),
        ("delay", "'wait'"),
        pytest.param("postgresql", "'sql'", marks=pytest.mark.pack("sql")),
    ],
)
def test_another_tools_name_of_a_node_type_suggests_ours(type_, offers):
    (issue,) = check(flow(node("it", type_)))[1]
    assert issue.message.startswith(f"unknown node type {type_!r}; use ") and offers in issue.message


def test_an_expression_in_a_literal_setting_is_named_as_the_reason():
    assert complaints("limit", count="{{ input.n }}")["nodes[0].config.count"] == (
        "expressions ({{ … }}) are not evaluated here"
    )


@pytest.mark.parametrize(
    ("type_", "config", "key", "instead"),
    [
        pytest.param(
            "sql",
            {"statement": "select '{{ input.n }}'"},
            "statement",
            "write :name there, and give its value in params",
            marks=pytest.mark.pack("sql"),
        ),
        (
            "graphql",
            {"query": '{ a(id: "{{input.id}}") }'},
            "query",
            "write $name there, and give its value in variables",
        ),
        ("subflow", {"workflow_id": "{{ vars.x }}"}, "workflow_id", "choose between flows with a switch node"),
    ],
)
def test_an_expression_that_would_be_sent_literally_is_rejected(type_, config, key, instead):
    found = complaints(type_, **config)[f"nodes[0].config.{key}"]
    assert found == f"expressions ({{{{ … }}}}) are not evaluated here; {instead}"


@pytest.mark.pack("sql")
def test_two_braces_without_an_expression_are_accepted():
    assert complaints("sql", credential="db", statement="select '{{1,2},{3,4}}'::int[]") == {}


def test_a_date_format_without_a_directive_is_rejected():
    found = complaints("date", operation="format", format="YYYY-MM-DD")
    assert "such as %Y-%m-%d %H:%M" in found["nodes[0].config.format"]


@pytest.mark.parametrize(
    ("type_", "config", "message"),
    [
        ("log", {"message": "{{ input.n }}"}, "config.message: must not be null; {{ input.n }} is null"),
        ("wait", {"seconds": "{{ input.t }}"}, "config.seconds: must be a number; {{ input.t }} is text"),
        ("http", {"url": "https://x", "headers": {"X": "{{ input.n }}"}}, "config.headers.X: must not be null"),
        ("http", {"url": "https://x", "query": "{{ [1] }}"}, "config.query: must be an object; {{ [1] }} is a list"),
    ],
)
def test_the_type_of_a_rejected_expression_value_is_named(type_, config, message):
    assert failure(type_, {"n": None, "t": "soon"}, **config) == message


def test_the_value_itself_is_not_repeated():
    assert "hunter2" not in failure("wait", {"password": "hunter2"}, seconds="{{ input.password }}")


@pytest.mark.parametrize(("type_", "key"), [("if", "condition"), ("filter", "keep")])
@pytest.mark.parametrize("written", ["input.total > 100", "item.paid", "yes"])
def test_a_condition_without_braces_is_rejected_as_always_true(type_, key, written):
    assert complaints(type_, **{key: written}) == {
        f"nodes[0].config.{key}": f"plain text is always true. Wrap it in {{{{ }}}}: {{{{ {written} }}}}"
    }


def test_a_mistake_in_an_expression_is_reported_once():
    assert complaints("if", condition="{{ input.body.}}") == {
        "nodes[0].config.condition": 'Incomplete: choose a field after "input.body." (line 1, column 15)'
    }


@pytest.mark.parametrize("written", [True, "true", "false", "", None, 0, "{{ input.text }}"])
def test_other_conditions_stay_valid(written):
    assert complaints("if", condition=written) == {}


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("{{ input.t = 3 }}", "expected token '}}', got '='; use == to compare"),
        ("{{ input.t === 3 }}", "unexpected '='; use == to compare"),
        ("{{ input.t", "unexpected end of the text, expected '}}'"),
        ("{{ $json.total }}", "unexpected char '$'; names have no $; write input.total for $json.total, now for $now"),
        ("{{ a && b }}", "unexpected char '&'; use and"),
        ("{{ a || b }}", "expected token 'name', got '|'; use or"),
        ("{{ !a }}", "unexpected char '!'; use not, or != to compare"),
        ("{{ a ? b : c }}", "unexpected char '?'; use a if b else c, or a|default(b)"),
        ("{{ 'open }}", 'unexpected char "\'"; the quote is not closed'),
        ("{{ a and }}", "unexpected '}}'"),
        ("{{ }}", "expected an expression, got '}}'"),
    ],
)
def test_a_common_mistake_in_an_expression_gets_a_hint(written, message):
    (found,) = complaints("log", message=written).values()
    assert found.startswith(f"{message} (line 1, column ")


def test_null_may_be_written_as_in_json():
    done = run(plan(flow(node("it", "set", {"values": {"a": "{{ input.n == null }}"}}))), Job("run_1", {"n": None}))
    assert done.output == {"a": True}
