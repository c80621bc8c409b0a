"""What JSON Schemas find wrong with data, and that none of them, with no data, can hold up a server."""

import resource
import threading
import time
from contextlib import contextmanager

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from marshmallow import ValidationError
from properties import examples

import json_schemas
from errors import NodeError
from json_schemas import check, issues_of
from json_schemas.costs import Costs, costs_of
from nodes import REGISTRY


@contextmanager
def others_go_on(seconds=3.0):
    """Another thread wants to do something all the time, and this process works for no longer than that before it can.

    In seconds of this process's work: other processes may hold up all of its threads.
    """
    done, longest = threading.Event(), [0.0]

    def tick():
        before = time.process_time()
        while not done.wait(0.005):
            now = time.process_time()
            longest[0], before = max(longest[0], now - before), now

    ticking = threading.Thread(target=tick)
    ticking.start()
    try:
        yield
    finally:
        done.set()
        ticking.join(60)
    assert longest[0] < seconds


@contextmanager
def apart(expected):
    """Whether another process is needed for what is done."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt
    yield
    assert (resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt > before) is expected


def refusal(schema, data):
    with pytest.raises(NodeError) as caught:
        issues_of(schema, data)
    return caught.value


def doubled(levels, word="allOf"):
    """Each definition asks the next one twice."""
    twice = {f"d{level}": {word: [{"$ref": f"#/$defs/d{level + 1}"}] * 2} for level in range(levels)}
    return {**twice, f"d{levels}": {"type": "string"}}


def nested(levels, value, key="k"):
    for _ in range(levels):
        value = {key: value}
    return value


# Schemas as people write them


ADDRESS = {
    "type": "object",
    "required": ["city"],
    "properties": {"city": {"type": "string"}, "zip": {"type": "string"}},
}
MONEY = {"type": "object", "properties": {"amount": {"type": "number", "multipleOf": 0.01}, "unit": {"enum": ["EUR"]}}}
SHOP = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": "https://shop.example/order",
    "type": "object",
    "properties": {
        "id": {"type": "string", "format": "uuid", "pattern": "^[0-9a-f-]{36}$"},
        "email": {"type": "string", "pattern": r"^[^@\s]+@[^@\s]+\.[^@\s]+$"},
        "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}},
        **{f"{name}_address": {"$ref": "#/$defs/address"} for name in ("bill", "ship", "home", "work")},
        **{f"{name}_total": {"allOf": [{"$ref": "#/$defs/money"}], "description": name} for name in "abcdefgh"},
    },
    "$defs": {
        "address": ADDRESS,
        "money": MONEY,
        "line": {
            "type": "object",
            "properties": {"price": {"$ref": "#/$defs/money"}, "tax": {"$ref": "#/$defs/money"}},
        },
    },
}
COMMENT = {
    "$ref": "#/$defs/comment",
    "$defs": {
        "comment": {
            "type": "object",
            "required": ["text"],
            "properties": {
                "text": {"type": "string"},
                "author": {"$ref": "#/$defs/person"},
                "children": {"type": "array", "items": {"$ref": "#/$defs/comment"}},
                "parent": {"anyOf": [{"$ref": "#/$defs/comment"}, {"type": "null"}]},
            },
        },
        "person": {"type": "object", "properties": {"name": {"type": "string"}}},
    },
}
SUM = {
    "oneOf": [
        {"type": "number"},
        {
            "type": "object",
            "properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}, "op": {"enum": ["+", "-"]}},
            "required": ["left", "right"],
        },
    ]
}
CAR = {
    "allOf": [{"$ref": "#/$defs/thing"}, {"properties": {"wheels": {"type": "integer"}}}],
    "unevaluatedProperties": False,
    "$defs": {"thing": {"properties": {"name": {"type": "string"}}, "required": ["name"]}},
}
OLD = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "properties": {"a": {"$id": "#/properties/a", "$ref": "#/definitions/~1a%20b"}},
    "definitions": {"/a b": {"items": [{"type": "integer"}], "additionalItems": {"type": "string"}}},
}


def comments(levels):
    children = [comments(levels - 1)] * 2 if levels else []
    return {"text": "yes", "author": {"name": "Ada"}, "children": children, "parent": None}


def sums(levels):
    return {"left": sums(levels - 1), "right": 1, "op": "+"} if levels else 2


@pytest.mark.parametrize(
    ("schema", "right", "wrong", "path"),
    [
        (SHOP, {"email": "a@b.cd", "lines": [{"price": {"amount": 1.25}}] * 20}, {"email": "ab.cd"}, "email"),
        (SHOP, {"home_address": {"city": "Rome"}}, {"lines": [{}, {"tax": {"unit": "$"}}]}, "lines[1].tax.unit"),
        (COMMENT, comments(3), {"text": "a", "children": [{"text": "b", "children": [{}]}]}, "children[0].children[0]"),
        (SUM, sums(8), {"left": 1}, ""),
        (CAR, {"name": "Ami", "wheels": 4}, {"name": "Ami", "doors": 2}, ""),
        (OLD, {"a": [1, "b"]}, {"a": [1, 2]}, "a[1]"),
    ],
)
def test_usual_schemas_with_references_need_no_other_process(schema, right, wrong, path):
    with apart(False):
        check(schema)
        assert issues_of(schema, right) == []
        (issue,) = issues_of(schema, wrong)
    assert issue["path"] == path


def test_a_tree_may_be_as_deep_as_data_can_be():
    chain = {"text": "the end"}
    for _ in range(100):
        chain = {"text": "more", "children": [chain]}
    with apart(False):
        assert issues_of(COMMENT, chain) == []


def test_much_data_that_is_right_needs_no_other_process():
    order = {"lines": [{"price": {"amount": number}} for number in range(1_000)]}
    schema = {**SHOP, "$defs": {**SHOP["$defs"], "money": {"properties": {"amount": {"type": "integer"}}}}}
    del schema["properties"]["email"], schema["properties"]["id"]
    with apart(False):
        assert issues_of(schema, order) == []


def test_variants_that_contain_each_other_may_be_deep():
    """The bound is far beyond what the check really takes, so it is made apart."""
    kinds = [{"properties": {"op": {"const": op}, "of": {"items": {"$ref": "#"}}}, "required": ["op"]} for op in "abc"]
    term = {"op": "a"}
    for _ in range(40):
        term = {"op": "c", "of": [term, {"op": "b"}]}
    with apart(True):
        assert issues_of({"anyOf": kinds}, term) == []
    with apart(False):
        assert len(issues_of({"anyOf": kinds}, {"op": "c", "of": [{"op": "d"}]})) == 1


@pytest.mark.parametrize(
    ("schema", "right", "wrong", "path"),
    [
        (
            {"$dynamicAnchor": "x", "properties": {"a": {"$dynamicRef": "#x"}}, "type": "object"},
            {"a": {}},
            {"a": 1},
            "a",
        ),
        ({"$ref": "#x", "$defs": {"x": {"$anchor": "x", "type": "null"}}}, None, 1, ""),
        ({"properties": {"a": {"$id": "/b", "$ref": "#/c", "c": {"type": "null"}}}}, {"a": None}, {"a": 1}, "a"),
        ({"allOf": [{"$ref": "#"}], "type": "null"}, None, 1, ""),
        ({"properties": {"a": {"pattern": "^.{1,600}$"}}}, {"a": "b"}, {"a": ""}, "a"),
        ({"required": ["a"], "title": "x" * 600_000}, {"a": 1}, {}, ""),
    ],
)
def test_what_has_no_known_bound_is_checked_apart_to_the_same_end(schema, right, wrong, path):
    check(schema)
    with apart(True):
        assert issues_of(schema, right) == []
        (issue,) = issues_of(schema, wrong, lambda text: text.replace("1", "***"))
    assert issue["path"] == path and "1 " not in issue["message"]


# Schemas and data that would take years


@pytest.mark.parametrize("type_, key", [("validate", "schema"), ("called", "input_schema"), ("agent", "output_schema")])
@pytest.mark.parametrize("inside", [{}, {"properties": {"a": {"$ref": "#/$defs/d0"}}}])
@pytest.mark.parametrize("word", ["allOf", "anyOf", "oneOf"])
def test_a_schema_that_doubles_its_ways_is_refused_when_a_flow_is_saved(type_, key, inside, word):
    schema = {**(inside or {"$ref": "#/$defs/d0"}), "type": "object", "$defs": doubled(60, word)}
    began = time.monotonic()
    with others_go_on(), pytest.raises(ValidationError) as caught:
        REGISTRY[type_].Config(partial=True).load({key: schema})
    (message,) = caught.value.messages[key]
    assert message.endswith("by its references, one value would be checked more than 1,000,000 times")
    assert time.monotonic() - began < 10


def test_a_refused_schema_is_an_error_where_a_flow_has_it_already():
    error = refusal({"$ref": "#/$defs/d0", "$defs": doubled(60)}, 1)
    assert error.permanent and "more than 1,000,000 times" in error.message


def test_doubled_ways_that_lead_to_few_checks_are_no_reason_to_refuse():
    schema = {"properties": {"a": {"$ref": "#/$defs/d0"}}, "$defs": doubled(12)}
    check(schema)
    with others_go_on():
        assert {issue["path"] for issue in issues_of(schema, {"a": 1})} == {"a"}
        assert issues_of(schema, {"a": "b"}) == []


FORK = {"anyOf": [{"type": "object", "properties": {"k": {"$ref": "#"}}}] * 2}
LEFT = {"type": "object"}
for _ in range(60):
    LEFT = {"allOf": [LEFT], "unevaluatedProperties": False}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("schema", "data"),
    [
        (FORK, nested(100, "end")),
        (LEFT, {}),
        ({"pattern": "(.{1,100}){1,50}!"}, "é" * 20_000),
        ({"items": {"enum": [{"a": number} for number in range(3_000)]}}, [{"a": 2_999}] * 30_000),
    ],
)
def test_what_would_take_too_long_is_an_error_within_a_second_of_work_while_others_go_on(schema, data):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with others_go_on():
        error = refusal(schema, data)
    # On a machine with very much to do, the time is over before that much work is done; then it may be tried again.
    assert error.message.startswith("the data cannot be checked by this schema: it takes ")
    assert ("too much" in error.message) == error.permanent
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {f"p{number}": {"pattern": f"[\\w\\W]{{{number + 1}}}\\w{{300}}"} for number in range(700)}},
        {"$ref": "#/$defs/d0", "$defs": {f"d{at}": {"$ref": f"#/$defs/d{at + 1}"} for at in range(50_000)}},
    ],
)
def test_a_schema_that_is_too_much_already_is_refused_while_others_go_on(schema):
    with others_go_on(), pytest.raises(ValueError, match="(cannot be used as|is not) a JSON Schema"):
        check(schema)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("schema", "data", "path"),
    [
        ({"items": {"type": "string"}}, [1] * 200_000, "[0]"),
        ({"required": [f"a{number}" for number in range(1_000)]}, {"b": [1] * 200_000}, ""),
        ({"propertyNames": {"maxLength": 1}}, {f"a{number}": 1 for number in range(20_000)}, ""),
    ],
)
def test_of_data_that_is_all_wrong_the_first_issue_is_told_while_others_go_on(schema, data, path):
    with others_go_on():
        (issue,) = issues_of(schema, data)
    assert issue["path"] == path


def test_of_much_data_all_issues_are_told_where_that_is_not_too_much():
    data = [1, *["a"] * 5_000, 2]
    with others_go_on(), apart(True):
        issues = issues_of({"items": {"type": "string"}}, data)
    assert [issue["path"] for issue in issues] == ["[0]", "[5001]"]


def test_what_is_kept_of_schemas_has_a_bound(monkeypatch):
    kept = json_schemas._Kept()
    monkeypatch.setattr(json_schemas, "MOST_KEPT", 50_000)
    names = [b'{"maxLength":%d}' % number for number in range(100)]
    for name in names:
        kept.put(json_schemas._learnt(name))
    there = [name for name in names if kept.get(name)]
    assert there == names[-len(there) :] and 10 < len(there) < 40


# The bound itself


REFERENCES = st.sampled_from([{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/b"}])
LEAVES = st.sampled_from(
    [{"type": "string"}, {"const": 1}, {"required": ["a", "b"]}, {"minItems": 2}, False, {"enum": [1]}]
)


def parts(inner):
    some = st.lists(inner, min_size=1, max_size=3)
    named = st.dictionaries(st.sampled_from("ab"), inner, min_size=1)
    return st.fixed_dictionaries(
        {},
        optional={
            **{word: some for word in ("allOf", "anyOf", "oneOf", "prefixItems")},
            **{word: inner for word in ("not", "if", "then", "else", "items", "contains", "additionalProperties")},
            **{word: named for word in ("properties", "dependentSchemas", "patternProperties")},
        },
    )


SCHEMAS = st.recursive(LEAVES | REFERENCES, parts, max_leaves=8)
DATA = st.recursive(
    st.sampled_from([1, "a", None, {}, []]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner),
    max_leaves=12,
)


def complaints(errors):
    """How many there are, with those that others consist of."""
    return sum(1 + sum(complaints(branch) for branch in getattr(error.kind, "context", None) or ()) for error in errors)


def count(data):
    """How many values there are in it, with itself."""
    return 1 + sum(map(count, data.values() if isinstance(data, dict) else data if isinstance(data, list) else ()))


def bounded(schema, data):
    """How often the schema complains of the data, and how often it may."""
    known = json_schemas._learnt(orjson.dumps(schema, option=orjson.OPT_SORT_KEYS))
    if known.costs is None:
        return 0, 0
    most = known.costs.checks.of(json_schemas._depth(data)) * count(data)
    return complaints(known.validator.iter_errors(data)), most


@settings(max_examples=examples(300), deadline=None)
@given(st.fixed_dictionaries({"a": SCHEMAS, "b": SCHEMAS}), DATA)
def test_no_schema_complains_more_often_than_its_bound_says(definitions, data):
    found, most = bounded({"$ref": "#/$defs/a", "$defs": definitions}, data)
    assert found <= most


@pytest.mark.parametrize(
    ("schema", "data"),
    [
        ({"required": ["a", "b", "c", "d"]}, {}),
        ({"dependentRequired": {"a": ["b", "c", "d", "e"]}}, {"a": 1}),
        ({"allOf": [False] * 9}, 1),
        ({"allOf": [{"$ref": "#/$defs/d0"}] * 3, "$defs": doubled(2)}, 1),
        ({"patternProperties": {name: {"type": "string"} for name in ("a", "^a", "a$", ".", "a|b")}}, {"a": 1}),
        (
            {"properties": {"a": {"properties": {"b": {"$ref": "#/$defs/d0"}}}}, "$defs": doubled(4)},
            nested(1, {"b": 1}, "a"),
        ),
        ({"if": True, "then": {"required": ["a", "b", "c", "d"]}}, {}),
        ({"dependentSchemas": {"a": {"required": ["b", "c", "d", "e"]}}}, {"a": 1}),
        ({"anyOf": [{"anyOf": [{"type": "string"}] * 4}] * 4}, 1),
    ],
)
def test_what_complains_about_as_often_as_it_may_has_its_bound(schema, data):
    found, most = bounded(schema, data)
    assert most / 15 < found <= most


def bound(schema, **given):
    costs = costs_of(schema, 100)
    assert isinstance(costs, Costs)
    return costs.of(**{"values": 10, "size": 100, "depth": 1, **given})


def test_what_only_one_of_many_properties_takes_is_counted_once():
    one, other = {"$ref": "#/$defs/money"}, {"$ref": "#/$defs/address"}
    defs = {"money": MONEY, "address": ADDRESS}
    few = {"properties": {"a": one, "b": other}, "$defs": defs}
    many = {"properties": {**dict.fromkeys("acdefgh", one), **dict.fromkeys("bijkl", other)}, "$defs": defs}
    assert bound(few) == bound(many)
    assert bound({"properties": {"a": {"allOf": [one, other]}}, "$defs": defs}).check > bound(few).check


def test_a_complaint_about_a_key_has_the_whole_object():
    keys, values = {"propertyNames": {"maxLength": 1}}, {"additionalProperties": {"maxLength": 1}}
    many = {"values": 10_000, "size": 100_000}
    assert bound(keys, **many).tell > 100 * bound(values, **many).tell


def test_a_reference_that_leads_back_costs_more_with_each_level_only_where_it_forks():
    assert bound(COMMENT, depth=20).check == bound(COMMENT, depth=10).check
    assert bound(FORK, depth=20).check > 500 * bound(FORK, depth=10).check
    assert bound(FORK, depth=200).check == float("inf")


FORMATS = [
    ("email", "a@example.com", "nobody"),
    ("date", "2026-02-28", "2026-02-30"),
    ("date-time", "2026-01-01T10:00:00Z", "yesterday"),
    ("time", "10:00", "25:00"),
    ("uri", "https://example.com", "a b"),
    ("uuid", "123e4567-e89b-12d3-a456-426614174000", "123"),
    ("ipv4", "192.0.2.1", "300.1.1.1"),
]


@pytest.mark.parametrize(("format_", "good", "bad"), FORMATS)
def test_a_format_is_checked(format_, good, bad):
    schema = {"properties": {"x": {"type": "string", "format": format_}}}
    assert issues_of(schema, {"x": good}) == []
    (issue,) = issues_of(schema, {"x": bad})
    assert issue["path"] == "x"


@pytest.mark.parametrize("format_", ["regex", "idn-hostname", "hostname", "email", "date-time", "time", "uri", "ipv6"])
def test_no_format_takes_long_for_a_long_text(format_):
    for character in ("a", "1", ".", "@", "(", "ä", "-", ":"):
        began = time.process_time()
        issues_of({"format": format_}, character * 20_000)
        assert time.process_time() - began < 0.05
