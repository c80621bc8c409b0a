"""What is said to people whose config is wrong: where it is, and in their words."""

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
        ("csv", {"operation": "format", "columns": "name"}, "columns", "must be a list"),
        ("html", {"html": "x", "selectors": {"t": "h1["}}, "selectors.t", "is not a CSS selector: h1["),
        ("group", {"by": "a", "aggregate": {"t": "sum"}}, "aggregate.t", "must be an object"),
        ("group", {"by": "a", "aggregate": {"t": {"op": "sum"}}}, "aggregate.t.field", "is required for sum"),
        ("http", {"url": "https://x", "headers": {"a b": "1"}}, "headers.a b", "is not the name of an HTTP header"),
    ],
)
def test_what_is_wrong_is_said_in_plain_words(type_, config, path, message):
    assert complaints(type_, **config) == {f"nodes[0].config.{path}": message}


def test_a_setting_that_there_is_not_is_answered_with_the_one_that_was_meant():
    assert complaints("http", url="https://x", header={})["nodes[0].config.header"] == (
        "there is no such setting; did you mean 'headers'?"
    )


def test_a_setting_that_is_like_none_is_answered_with_those_that_there_are():
    found = complaints("filter", keep="{{ item }}", where=3)
    assert found["nodes[0].config.where"] == "there is no such setting; filter has items, keep"


def test_a_node_type_that_there_is_not_is_answered_with_the_one_that_was_meant():
    (issue,) = check(flow(node("it", "webhok")))[1]
    assert issue.message == "there is no node type 'webhok'; did you mean 'webhook'?"


@pytest.mark.parametrize(
    ("type_", "offers"),
    [
        ("slack", "'notify'"),
        ("Discord", "'notify'"),
        ("gmail", "'email'"),
        ("delay", "'wait'"),
        ("postgresql", "'sql'"),
    ],
)
def test_a_node_type_as_it_is_called_elsewhere_is_answered_with_ours(type_, offers):
    (issue,) = check(flow(node("it", type_)))[1]
    assert issue.message.startswith(f"there is no node type {type_!r}; for that there is ") and offers in issue.message


def test_an_expression_in_a_setting_that_takes_none_is_named_as_the_reason():
    assert complaints("limit", count="{{ input.n }}")["nodes[0].config.count"] == (
        "is taken as written, so {{ … }} is not evaluated here"
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
        ("subflow", {"workflow_id": "{{ vars.x }}"}, "workflow_id", "tell the workflows apart with a switch node"),
    ],
)
def test_an_expression_that_would_be_sent_as_it_is_written_is_refused(type_, config, key, instead):
    found = complaints(type_, **config)[f"nodes[0].config.{key}"]
    assert found == f"is taken as written, so {{{{ … }}}} is not evaluated here; {instead}"


def test_two_braces_that_are_no_expression_are_let_through():
    assert complaints("sql", credential="db", statement="select '{{1,2},{3,4}}'::int[]") == {}


def test_a_format_of_dates_without_a_directive_is_refused():
    found = complaints("date", operation="format", format="YYYY-MM-DD")
    assert "it looks like %Y-%m-%d %H:%M" in found["nodes[0].config.format"]


@pytest.mark.parametrize(
    ("type_", "config", "message"),
    [
        ("log", {"message": "{{ input.n }}"}, "config.message: must not be null; {{ input.n }} is null"),
        ("wait", {"seconds": "{{ input.t }}"}, "config.seconds: must be a number; {{ input.t }} is text"),
        ("http", {"url": "https://x", "headers": {"X": "{{ input.n }}"}}, "config.headers.X: must not be null"),
        ("http", {"url": "https://x", "query": "{{ [1] }}"}, "config.query: must be an object; {{ [1] }} is a list"),
    ],
)
def test_what_an_expression_gave_is_said_where_the_node_does_not_take_it(type_, config, message):
    assert failure(type_, {"n": None, "t": "soon"}, **config) == message


def test_the_value_itself_is_not_repeated():
    assert "hunter2" not in failure("wait", {"password": "hunter2"}, seconds="{{ input.password }}")


@pytest.mark.parametrize(("type_", "key"), [("if", "condition"), ("filter", "keep")])
@pytest.mark.parametrize("written", ["input.total > 100", "item.paid", "yes"])
def test_a_condition_without_braces_is_refused_for_it_would_always_hold(type_, key, written):
    assert complaints(type_, **{key: written}) == {
        f"nodes[0].config.{key}": f"is mere text, which always holds; write it as {{{{ {written} }}}}"
    }


def test_a_mistake_in_an_expression_is_told_once():
    assert complaints("if", condition="{{ input.body.}}") == {
        "nodes[0].config.condition": "a name or a number must follow the dot (line 1, column 15)"
    }


@pytest.mark.parametrize("written", [True, "true", "false", "", None, 0, "{{ input.text }}"])
def test_other_conditions_are_as_good_as_they_were(written):
    assert complaints("if", condition=written) == {}


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("{{ input.t = 3 }}", "expected token '}}', got '='; to compare, write =="),
        ("{{ input.t === 3 }}", "unexpected '='; to compare, write =="),
        ("{{ input.t", "unexpected end of the text, expected '}}'"),
        ("{{ $json.total }}", "unexpected char '$'; names have no $; write input.total for $json.total, now for $now"),
        ("{{ a && b }}", "unexpected char '&'; write and"),
        ("{{ a || b }}", "expected token 'name', got '|'; write or"),
        ("{{ !a }}", "unexpected char '!'; write not, or != to compare"),
        ("{{ a ? b : c }}", "unexpected char '?'; write a if b else c, or a|default(b)"),
        ("{{ 'open }}", 'unexpected char "\'"; the quote is not closed'),
        ("{{ a and }}", "unexpected '}}'"),
        ("{{ }}", "expected an expression, got '}}'"),
    ],
)
def test_a_slip_in_an_expression_is_answered_with_what_to_write(written, message):
    (found,) = complaints("log", message=written).values()
    assert found.startswith(f"{message} (line 1, column ")


def test_null_may_be_written_as_json_has_it():
    done = run(plan(flow(node("it", "set", {"values": {"a": "{{ input.n == null }}"}}))), Job("run_1", {"n": None}))
    assert done.output == {"a": True}
