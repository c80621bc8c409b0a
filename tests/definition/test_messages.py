"""Messages about invalid config: their path and wording."""

import pytest
from world import flow, node

from definition import check, plan
from engine import Job, run


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
        "there is no such setting; did you mean 'headers'?"
    )


def test_an_unknown_setting_unlike_any_other_lists_all():
    found = complaints("filter", keep="{{ item }}", where=3)
    assert found["nodes[0].config.where"] == "there is no such setting; filter has: items, keep"


def test_an_unknown_node_type_suggests_a_similar_one():
    (issue,) = check(flow(node("it", "webhok")))[1]
    assert issue.message == "there is no node type 'webhok'; did you mean 'webhook'?"


@pytest.mark.parametrize(
    ("type_", "offers"),
    [
        ("Pushover", "'notify'"),
        ("smtp", "'email'"),
        ("delay", "'wait'"),
        ("postgresql", "'sql'"),
    ],
)
def test_another_tools_name_of_a_node_type_suggests_ours(type_, offers):
    (issue,) = check(flow(node("it", type_)))[1]
    assert issue.message.startswith(f"there is no node type {type_!r}; use ") and offers in issue.message


def test_an_expression_in_a_literal_setting_is_named_as_the_reason():
    assert complaints("limit", count="{{ input.n }}")["nodes[0].config.count"] == (
        "expressions ({{ … }}) are not evaluated here"
    )


@pytest.mark.parametrize(
    ("type_", "config", "key", "instead"),
    [
        (
            "sql",
            {"statement": "select '{{ input.n }}'"},
            "statement",
            "write :name there, and give its value in params",
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
        "nodes[0].config.condition": "the dot must be followed by a name or a number (line 1, column 15)"
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
