"""Nodes that transform data."""

import datetime
import time

import pytest
from marshmallow import ValidationError

from errors import NodeError
from nodes import REGISTRY
from nodes.base import Branch


def refused(type_, **config):
    with pytest.raises(ValidationError) as caught:
        REGISTRY[type_].Config().load(config)
    return caught.value.messages


def test_set_returns_a_new_object(run):
    assert run("set", {"values": {"a": 1}}, {"b": 2}) == {"a": 1}


def test_set_replaces_values_of_the_input(run):
    given = {"a": 0, "b": 2}
    assert run("set", {"values": {"a": 1}, "keep_input": True}, given) == {"a": 1, "b": 2}
    assert given == {"a": 0, "b": 2}


def test_set_keeps_only_an_object(run):
    assert run("set", {"values": {"a": 1}, "keep_input": True}, [2]) == {"a": 1}


def test_set_requires_an_object():
    assert "values" in refused("set", values=[1])
    assert "values" in refused("set")


def test_set_copies_an_object_that_it_is_given():
    given = {"a": {"b": 1}, "c": 2}
    values = REGISTRY["set"].Config().load({"values": given})["values"]
    assert values == given and values is not given


@pytest.mark.parametrize("values", [{}, {"": None}, {"a": {"b": [1]}}])
def test_set_accepts_any_values(run, values):
    assert run("set", {"values": values}) == values


def test_set_requires_text_keys():
    assert "values" in refused("set", values={"a": 1, 2: 3})


# JMESPath


def test_jmespath_queries_the_input(run):
    data = {"orders": [{"id": 1, "total": 5}, {"id": 2, "total": 500}]}
    assert run("jmespath", {"query": "orders[?total > `100`].id"}, data) == [2]


def test_jmespath_queries_other_data(run):
    assert run("jmespath", {"query": "sum(@)", "data": [1, 2]}, "in") == 3
    assert run("jmespath", {"query": "a", "data": None}, {"a": 1}) is None


@pytest.mark.parametrize(
    ("query", "where"),
    [("a.", "its end"), ("a b", "column 3"), ("a[?b", "its end"), ("a[*].{b: c", "its end"), ("a == 'b", "JMESPath")],
)
def test_the_error_of_jmespath_has_a_position(query, where):
    (message,) = refused("jmespath", query=query)["query"]
    assert where in message and "\n" not in message


@pytest.mark.parametrize("query", ["", "x" * 3000, "[" * 2000, "(" * 2000, "!" * 1999 + "a"])
def test_jmespath_refuses_a_query_that_is_too_long_or_too_deep(query):
    assert "query" in refused("jmespath", query=query)


@pytest.mark.parametrize("query", ["nope(@)", "sum('a')", "join(@, 'a')", "length(`1`)"])
def test_jmespath_that_fails_is_permanent(run, query):
    with pytest.raises(NodeError, match="the query failed") as caught:
        run("jmespath", {"query": query}, "in")
    assert caught.value.permanent


@pytest.mark.slow
@pytest.mark.parametrize(
    "query",
    [
        "|".join(["[@,@]"] * 60),
        "|".join(["[@,@][]"] * 60),
        "|".join(["{a: @, b: @}"] * 60),
        "|".join(["join('', [@, @])"] * 60),
        "|".join(["to_string([@])"] * 60),
        "|".join(["[@,@]"] * 60) + "|[@ == @]",
        f"map(&`{list(range(400))}`, @)",
        f"join('{'x' * 1500}', map(&'y', @))",
    ],
)
def test_a_small_jmespath_query_cannot_create_large_data(run, query):
    began = time.thread_time()
    data = "a" if "join('', " in query else ["a"] * 200_000
    with pytest.raises(NodeError, match="too much work|too large"):
        run("jmespath", {"query": query}, data)
    assert time.thread_time() - began < 5


# JSON Schema

ORDER = {
    "type": "object",
    "required": ["id"],
    "properties": {"id": {"type": "integer"}, "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}}},
    "$defs": {"line": {"type": "object", "properties": {"count": {"minimum": 1}}}},
}


def test_validate_passes_valid_data_on(run):
    given = {"id": 1, "lines": [{"count": 2}]}
    result = run("validate", {"schema": ORDER}, given)
    assert result == Branch("valid", given) and result.value is given


def test_validate_returns_issues_with_their_paths(run):
    result = run("validate", {"schema": ORDER, "data": {"id": "x", "lines": [{"count": 2}, {"count": 0}]}}, "in")
    assert result.name == "invalid"
    assert [issue["path"] for issue in result.value] == ["id", "lines[1].count"]
    assert result.value[0]["message"] == '"x" is not of type "integer"'


def test_validate_lists_at_most_fifty_short_issues(run):
    result = run("validate", {"schema": {"items": {"type": "string"}}}, [["x" * 1000]] * 80)
    assert len(result.value) == 50
    assert max(len(issue["message"]) for issue in result.value) <= 300


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "strin"}, "type: "),
        ({"properties": {"a": {"minLength": -1}}}, "properties.a.minLength: "),
        ({"pattern": "("}, "pattern: "),
        ({"pattern": "(?=a)b"}, "pattern: "),
        ({"$ref": "#/$defs/nope"}, ""),
        ({"$ref": "http://127.0.0.1:9/schema.json"}, "not fetched"),
        ({"$ref": "file:///etc/passwd"}, "not fetched"),
        ({"$schema": "http://127.0.0.1:9/draft"}, ""),
    ],
)
def test_validate_refuses_invalid_schemas_and_fetches_none(schema, message):
    (found,) = refused("validate", schema=schema)["schema"]
    assert message in found and len(found) < 500


def test_a_pattern_takes_time_linear_in_its_text(run):
    began = time.monotonic()
    schema = {"pattern": "^(a+)+$", "patternProperties": {"^(b+)+$": True}, "additionalProperties": False}
    assert run("validate", {"schema": schema}, "a" * 50_000 + "!").name == "invalid"
    assert run("validate", {"schema": schema}, {"b" * 50_000 + "!": 1}).name == "invalid"
    assert time.monotonic() - began < 15


def test_a_schema_that_refers_to_itself_ends(run):
    assert run("validate", {"schema": {"allOf": [{"$ref": "#"}]}}, 1).name == "valid"


@pytest.mark.slow
def test_data_whose_validation_would_take_years_is_an_error(run):
    data = "end"
    for _ in range(60):
        data = {"a": data}
    forking = {"anyOf": [{"type": "object", "properties": {"a": {"$ref": "#"}}}] * 2}
    with pytest.raises(NodeError, match="the data cannot be validated by this schema: it takes too much"):
        run("validate", {"schema": forking}, data)


def test_data_that_is_not_json_cannot_be_validated(run):
    with pytest.raises(NodeError, match="cannot be validated"):
        run("validate", {"schema": {"type": "string"}}, datetime.date(2025, 1, 1))
