"""The nodes that sort, limit, dedupe, group, split and join lists."""

import math
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import ValidationError

from errors import NodeError
from nodes import REGISTRY
from nodes.data.lists import MISSING, Comparison, identity, path, read, replace
from nodes.limits import MAX_ITEMS

numbers = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
scalars = st.none() | st.booleans() | numbers | st.text(max_size=5)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=6,
)


def refused(type_, **config):
    with pytest.raises(ValidationError) as caught:
        REGISTRY[type_].Config().load(config)
    return caught.value.messages


def run_alone(type_, config, input=None):
    """Run a node without a context: the fixture `run` for properties."""
    node = REGISTRY[type_]
    return node.run(node.Config().load(config), input, None)


# Paths


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("a", {"b": [1, {"c": 2}]}),
        ("a.b.1.c", 2),
        ("a.b.0", 1),
        ("", {"a": {"b": [1, {"c": 2}]}, "Inv. no.": 7}),
        ("Inv. no.", 7),
        ("a.b.2", MISSING),
        ("a.b.-1", MISSING),
        ("a.b.x", MISSING),
        ("a.b.0.x", MISSING),
        ("nope.a", MISSING),
        ("a.b.99999999999999999999", MISSING),
    ],
)
def test_a_path_leads_into_objects_and_lists(written, found):
    value = {"a": {"b": [1, {"c": 2}]}, "Inv. no.": 7}
    assert read(value, path(written)) == found


def test_a_path_can_be_replaced_without_touching_the_value():
    value = {"a": {"b": [1, {"c": 2}]}, "x.y": 1}
    assert replace(value, path("a.b.1.c"), 9) == {"a": {"b": [1, {"c": 9}]}, "x.y": 1}
    assert replace(value, path("x.y"), 9) == {"a": {"b": [1, {"c": 2}]}, "x.y": 9}
    assert value == {"a": {"b": [1, {"c": 2}]}, "x.y": 1}


@pytest.mark.parametrize("by", [5, [5], [""], ["a", "a"], ["x" * 501], [f"k{i}" for i in range(51)]])
def test_an_invalid_path_is_refused(by):
    assert "by" in refused("sort", by=by)


# sort


@pytest.mark.parametrize(
    ("config", "sorted_"),
    [
        ({}, [-1, 2, 10.5, "A", "b", "C", False, True, [1], [1, 0], {"a": 1}, None, None]),
        ({"by": "-"}, [{"a": 1}, [1, 0], [1], True, False, "C", "b", "A", 10.5, 2, -1, None, None]),
        ({"case_sensitive": True}, [-1, 2, 10.5, "A", "C", "b", False, True, [1], [1, 0], {"a": 1}, None, None]),
    ],
)
def test_values_of_all_kinds_are_sorted_with_null_last_in_both_directions(run, config, sorted_):
    mixed = [None, {"a": 1}, True, "b", 10.5, [1, 0], "A", -1, False, [1], None, 2, "C"]
    result = run("sort", config, mixed)
    assert [(type(value), value) for value in result] == [(type(value), value) for value in sorted_]


def test_items_are_sorted_by_several_values_and_the_sort_is_stable(run):
    items = [
        {"n": 1, "a": "x"},
        {"n": 2, "a": "y"},
        {"n": 3, "a": "x"},
        {"n": 4},
        {"n": 5, "a": None},
        {"n": 6, "a": "y"},
    ]

    def order(by):
        return [item["n"] for item in run("sort", {"by": by}, items)]

    assert order("a") == [1, 3, 2, 6, 5, 4]
    assert order(["-a"]) == [2, 6, 1, 3, 5, 4]
    assert order("-a, -n") == [6, 2, 3, 1, 5, 4]


def test_digits_count_as_numbers_in_natural_order(run):
    names = ["v10", "v9", "v09b", "v1.10", "v1.9", "x", "10", "9"]
    assert run("sort", {"natural": True}, names) == ["9", "10", "v1.9", "v1.10", "v9", "v09b", "v10", "x"]
    assert run("sort", {}, ["v10", "v9"]) == ["v10", "v9"]


def test_the_error_shows_where_the_list_is(run):
    with pytest.raises(NodeError, match=r'set "items": "\{\{ input.rows \}\}"') as caught:
        run("sort", {}, {"count": 1, "rows": [1]})
    assert caught.value.permanent
    with pytest.raises(NodeError, match="items must be a list, but is text"):
        run("sort", {"items": "x"}, [1])
    with pytest.raises(NodeError, match="items must be a list, but is null"):
        run("limit", {}, None)


def test_too_many_items_are_refused(run):
    with pytest.raises(NodeError, match=f"the limit is {MAX_ITEMS:,}"):
        run("sort", {}, [1] * (MAX_ITEMS + 1))


@given(st.lists(values, max_size=6), st.booleans())
def test_any_values_can_be_sorted_and_the_order_is_total(items, descending):
    result = run_alone("sort", {"by": "-" if descending else []}, items)
    assert sorted(map(repr, result)) == sorted(map(repr, items))
    keys = [Comparison(case_sensitive=False).key(item) for item in result if item is not None]
    assert keys == sorted(keys, reverse=descending)
    assert all(value is None for value in result[len(keys) :])


@given(st.lists(st.dictionaries(st.sampled_from("abc"), values), max_size=6))
def test_the_order_equals_that_of_python_for_comparable_values(items):
    numbered = [{**item, "n": place} for place, item in enumerate(items)]
    assert run_alone("sort", {"by": ["-n"]}, numbered) == numbered[::-1]


@given(values, values)
def test_only_equal_values_have_the_same_identity(one, other):
    key = Comparison().key
    assert (identity([one]) == identity([other])) == (key(one) == key(other))


# limit


@pytest.mark.parametrize(
    ("config", "kept"),
    [
        ({}, [1]),
        ({"count": 2}, [1, 2]),
        ({"count": 2, "offset": 3}, [4, 5]),
        ({"count": 9, "offset": 9}, []),
        ({"count": 0}, []),
        ({"count": 2, "from_end": True}, [4, 5]),
        ({"count": 2, "offset": 1, "from_end": True}, [3, 4]),
        ({"count": 9, "offset": 3, "from_end": True}, [1, 2]),
        ({"count": 1, "offset": 5, "from_end": True}, []),
    ],
)
def test_limit_keeps_the_given_number(run, config, kept):
    assert run("limit", config, [1, 2, 3, 4, 5]) == kept


@pytest.mark.parametrize("count", [-1, 1.5, "2", None])
def test_limit_requires_an_integer(count):
    assert "count" in refused("limit", count=count)


# dedupe


def test_dedupe_keeps_the_first_or_the_last_in_order(run):
    items = [{"k": 1, "n": 1}, {"k": 2, "n": 2}, {"k": 1.0, "n": 3}, {"k": "1", "n": 4}, {"k": True, "n": 5}]
    assert [item["n"] for item in run("dedupe", {"by": "k"}, items)] == [1, 2, 4, 5]
    assert [item["n"] for item in run("dedupe", {"by": "k", "keep": "last"}, items)] == [2, 3, 4, 5]


def test_dedupe_distinguishes_null_from_missing_and_keeps_items_without_values(run):
    items = [{"a": None}, {"n": 1}, {"a": None}, {"n": 2}, {"a": None, "b": 1}, {"b": 1}]
    assert run("dedupe", {"by": ["a", "b"]}, items) == [{"a": None}, {"n": 1}, {"n": 2}, {"a": None, "b": 1}, {"b": 1}]
    assert run("dedupe", {}, [[1, {"a": 1, "b": 2}], [1.0, {"b": 2, "a": 1}]]) == [[1, {"a": 1, "b": 2}]]


@given(st.lists(values, max_size=8), st.sampled_from(["first", "last"]))
def test_dedupe_equals_a_comparison_of_all_pairs(items, keep):
    key = Comparison().key
    reference = []
    for item in items if keep == "first" else items[::-1]:
        if all(key(item) != key(other) for other in reference):
            reference.append(item)
    expected = reference if keep == "first" else reference[::-1]
    assert list(map(repr, run_alone("dedupe", {"keep": keep}, items))) == list(map(repr, expected))


# group


def test_group_returns_a_group_for_each_combination_of_values(run):
    items = [{"a": {"b": 1}, "c": "x"}, {"a": {"b": 1}, "c": "y"}, {"c": "x"}, {"a": {"b": 1}, "c": "x"}]
    assert run("group", {"by": "a.b"}, items) == [
        {"key": 1, "items": [items[0], items[1], items[3]]},
        {"key": None, "items": [items[2]]},
    ]
    assert [group["key"] for group in run("group", {"by": "a.b, c"}, items)] == [
        {"b": 1, "c": "x"},
        {"b": 1, "c": "y"},
        {"b": None, "c": "x"},
    ]


def test_two_paths_with_the_same_last_part_keep_their_full_names(run):
    aggregate = {"n": {"op": "count"}}
    items = [{"ship": {"city": "Rome"}, "bill": {"city": "Oslo"}}]
    result = run("group", {"by": ["ship.city", "bill.city"], "aggregate": aggregate}, items)
    assert result == [{"ship.city": "Rome", "bill.city": "Oslo", "n": 1}]


def aggregated(run, items, op, field="v"):
    (row,) = run("group", {"aggregate": {"x": {"op": op, **({"field": field} if field else {})}}}, items)
    return row["x"]


def test_aggregates_ignore_missing_and_null_values(run):
    items = [{"v": 2}, {"v": None}, {}, {"v": 0.5}, {"v": 2.0}]
    found = {
        op: aggregated(run, items, op)
        for op in ("count", "sum", "avg", "min", "max", "first", "last", "list", "unique")
    }
    numbers = {"count": 3, "sum": 4.5, "avg": 1.5, "min": 0.5, "max": 2, "first": 2, "last": 2}
    assert found == {**numbers, "list": [2, 0.5, 2], "unique": [2, 0.5]}
    assert aggregated(run, items, "count", None) == 5
    assert aggregated(run, ["a", "b"], "last", None) == "b"


def test_aggregates_without_values_are_null_or_empty(run):
    assert [aggregated(run, [], op) for op in ("count", "sum", "avg", "min", "first", "list")] == [
        0,
        0,
        None,
        None,
        None,
        [],
    ]
    assert run("group", {"by": "a", "aggregate": {"n": {"op": "count"}}}, []) == []


def test_sums_are_exact_and_limited_to_64_bits(run):
    assert aggregated(run, [{"v": 0.1}] * 10, "sum") == 1.0
    assert aggregated(run, [{"v": 2**60}] * 3, "sum") == 3 * 2**60
    with pytest.raises(NodeError, match="aggregate.x: the sum has more than 64 bits"):
        aggregated(run, [{"v": 2**63}] * 3, "sum")
    with pytest.raises(NodeError, match="too large"):
        aggregated(run, [{"v": 1.7e308}] * 3, "sum")


def test_the_error_for_a_sum_of_texts_says_what_to_do(run):
    for op in ("sum", "avg"):
        with pytest.raises(NodeError, match="aggregate.x: the values must be numbers, but one is text.*types to true"):
            aggregated(run, [{"v": "12"}], op)


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({}, "by"),
        ({"aggregate": {}}, "aggregate"),
        ({"aggregate": {"x": {"op": "median"}}}, "aggregate"),
        ({"aggregate": {"x": {"op": "sum"}}}, "aggregate"),
        ({"aggregate": {"x": {"op": "count", "of": 1}}}, "aggregate"),
        ({"aggregate": {"x": {}}}, "aggregate"),
        ({"by": "a.x", "aggregate": {"x": {"op": "count"}}}, "aggregate"),
        ({"aggregate": {f"x{i}": {"op": "count"} for i in range(51)}}, "aggregate"),
    ],
)
def test_contradictory_settings_of_a_group_are_refused(config, key):
    assert key in refused("group", **config)


@given(st.lists(st.fixed_dictionaries({"k": st.integers(0, 3), "v": st.integers(-9, 9)}), max_size=12))
def test_groups_equal_those_of_a_plain_loop(items):
    config = {"by": "k", "aggregate": {"n": {"op": "count"}, "sum": {"op": "sum", "field": "v"}}}
    keys = list(dict.fromkeys(item["k"] for item in items))
    of = {key: [item["v"] for item in items if item["k"] == key] for key in keys}
    assert run_alone("group", config, items) == [{"k": key, "n": len(of[key]), "sum": sum(of[key])} for key in keys]


# split


def test_split_cuts_a_list_into_chunks(run):
    assert run("split", {"size": 2}, [1, 2, 3]) == [[1, 2], [3]]
    assert run("split", {"size": 2, "field": "a.b"}, {"a": {"b": [1, 2, 3]}}) == [[1, 2], [3]]
    assert run("split", {"size": 2}, []) == []


def test_split_cuts_a_text_at_its_separator(run):
    assert run("split", {"separator": ","}, "a, b,,c") == ["a", " b", "", "c"]
    assert run("split", {"separator": ",", "trim": True}, "a, b,,c") == ["a", "b", "c"]
    assert run("split", {"separator": "\\n"}, "a\nb") == ["a", "b"]
    assert run("split", {"separator": "\\t", "items": "a\tb"}, None) == ["a", "b"]


def test_split_returns_an_item_for_each_value_of_a_field(run):
    items = [{"id": 1, "t": ["a", "b"]}, {"id": 2, "t": []}, {"id": 3}, {"id": 4, "t": "c"}, {"id": 5, "t": None}]
    assert run("split", {"field": "t"}, items) == ["a", "b", "c"]
    assert run("split", {"field": "t", "keep": True}, items) == [
        {"id": 1, "t": "a"},
        {"id": 1, "t": "b"},
        {"id": 4, "t": "c"},
    ]
    order = {"id": 1, "a": {"lines": [{"sku": 1}, {"sku": 2}], "b": 0}}
    assert run("split", {"field": "a.lines"}, order) == [{"sku": 1}, {"sku": 2}]
    assert run("split", {"field": "a.lines", "keep": True}, order)[1] == {"id": 1, "a": {"lines": {"sku": 2}, "b": 0}}


def test_the_error_of_split_names_the_value_it_cannot_split(run):
    with pytest.raises(NodeError, match="size requires a list, but the value is text"):
        run("split", {"size": 2}, "text")
    with pytest.raises(NodeError, match="separator requires text, but the value is a list"):
        run("split", {"separator": ","}, ["a"])
    with pytest.raises(NodeError, match="field: a.b does not exist"):
        run("split", {"separator": ",", "field": "a.b"}, {"a": 1})


@pytest.mark.parametrize(
    ("config", "key"), [({}, "size"), ({"size": 2, "separator": ","}, "size"), ({"separator": ""}, "separator")]
)
def test_split_requires_exactly_one_way(config, key):
    assert key in refused("split", **config)


@given(st.lists(st.integers(), max_size=20), st.integers(1, 7))
def test_the_chunks_together_are_the_list(items, size):
    chunks = run_alone("split", {"size": size}, items)
    assert sum(chunks, []) == items and len(chunks) == math.ceil(len(items) / size)
    assert all(len(chunk) <= size and chunk for chunk in chunks)


# join

ORDERS = [{"id": 1, "c": 7}, {"id": 2, "c": 8}, {"id": 3, "c": None}, {"id": 4}, {"id": 5, "c": 7}]
CUSTOMERS = [{"c": 7, "id": "x"}, {"c": 9, "id": "y"}, {"c": None, "id": "z"}, {"c": 7.0, "id": "w"}]


@pytest.mark.parametrize(
    ("how", "pairs"),
    [
        ("inner", [(1, "x"), (1, "w"), (5, "x"), (5, "w")]),
        ("left", [(1, "x"), (1, "w"), (2, None), (3, None), (4, None), (5, "x"), (5, "w")]),
        ("full", [(1, "x"), (1, "w"), (2, None), (3, None), (4, None), (5, "x"), (5, "w"), (None, "y"), (None, "z")]),
    ],
)
def test_lists_are_joined_as_a_database_does(run, how, pairs):
    rows = run("join", {"right": CUSTOMERS, "by": "c", "how": how}, ORDERS)
    assert [(row["id"], row["right_id"]) for row in rows] == pairs


def test_anti_returns_objects_without_a_match(run):
    assert run("join", {"left": ORDERS, "right": CUSTOMERS, "by": "c", "how": "anti"}, None) == ORDERS[1:4]


def test_a_shared_value_occurs_once_also_if_one_side_lacks_it(run):
    rows = run("join", {"right": CUSTOMERS, "by": "c", "how": "full"}, ORDERS[:1])
    assert rows[0] == {"id": 1, "c": 7, "right_id": "x"}
    assert [list(row) for row in rows] == [["id", "c", "right_id"]] * 4
    assert (rows[1]["c"], type(rows[1]["c"])) == (7, int)
    assert rows[2] == {"id": None, "c": 9, "right_id": "y"}


def test_keys_of_both_lists_get_the_prefix_until_they_are_unique(run):
    left = [{"k": 1, "a": "l", "r_a": "l", "b": 0}]
    right = [{"key": 1, "a": "r", "k": "other", "r_r_a": "r"}]
    (row,) = run("join", {"left": left, "right": right, "left_by": "k", "right_by": "key", "prefix": "r_"})
    assert row == {"k": 1, "a": "l", "r_a": "l", "b": 0, "key": 1, "r_r_r_a": "r", "r_k": "other", "r_r_a": "r"}


def test_the_right_object_can_be_nested_under_a_name(run):
    config = {"left": ORDERS[:2], "right": CUSTOMERS, "by": "c", "how": "left", "nest": "customer"}
    rows = run("join", config)
    assert rows[0] == {"id": 1, "c": 7, "customer": {"c": 7, "id": "x"}}
    assert rows[2] == {"id": 2, "c": 8, "customer": None}
    with pytest.raises(NodeError, match="nest: the left list already has the key id"):
        run("join", {**config, "nest": "id"})


def test_lists_can_be_joined_by_position(run):
    config = {"left": [{"a": 1}, {"a": 2}], "right": [{"b": 1}], "by_position": True}
    assert run("join", config) == [{"a": 1, "b": 1}]
    assert run("join", {**config, "how": "left"}) == [{"a": 1, "b": 1}, {"a": 2, "b": None}]


def test_numbers_match_texts_only_with_as_text(run):
    config = {"left": [{"id": 7}], "right": [{"id": "7", "x": 1}], "by": "id"}
    assert run("join", config) == []
    assert run("join", {**config, "as_text": True}) == [{"id": 7, "x": 1}]


def test_only_objects_are_joined_by_values(run):
    with pytest.raises(NodeError, match="right: item 1 is text"):
        run("join", {"left": [{"a": 1}], "right": [{"a": 1}, "x"], "by": "a"})
    with pytest.raises(NodeError, match="right must be a list, but is null"):
        run("join", {"left": [], "right": None, "by": "a"})


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({}, "by"),
        ({"by": "a", "by_position": True}, "by"),
        ({"by": "a", "left_by": "b", "right_by": "c"}, "by"),
        ({"left_by": "a"}, "right_by"),
        ({"left_by": ["a", "b"], "right_by": "c"}, "right_by"),
    ],
)
def test_a_join_requires_keys(config, key):
    assert key in refused("join", right=[], **config)


def test_a_join_requires_keys_also_if_the_right_list_is_an_expression():
    with pytest.raises(ValidationError):
        REGISTRY["join"].Config().load({}, partial=("right",))


def test_texts_are_joined_to_one_text(run):
    assert run("join", {}, ["a", 1, None, 2.0, True]) == "a, 1, 2, true"
    assert run("join", {"separator": "\\n", "items": ["a", "b"]}, None) == "a\nb"
    assert run("join", {"field": "n.x", "separator": ""}, [{"n": {"x": "a"}}, {}, {"n": {"x": "b"}}]) == "ab"
    assert run("join", {}, []) == ""
    with pytest.raises(NodeError, match="item 1 is an object"):
        run("join", {}, ["a", {}])


keys = st.none() | st.integers(0, 3) | st.sampled_from(["a", "b"])
rows = st.lists(st.dictionaries(st.sampled_from("kpq"), keys, max_size=3), max_size=6)


@given(rows, rows, st.sampled_from(["inner", "left", "full", "anti"]))
def test_a_join_equals_a_comparison_of_all_pairs(left, right, how):
    left = [{**row, "l": place} for place, row in enumerate(left)]
    right = [{**row, "r": place} for place, row in enumerate(right)]

    def match(one, other):
        return all(one.get(key) is not None and one.get(key) == other.get(key) for key in ("k", "p"))

    pairs = [(one["l"], other["r"]) for one, other in product(left, right) if match(one, other)]
    alone = [row["l"] for row in left if row["l"] not in {pair[0] for pair in pairs}]
    over = [row["r"] for row in right if row["r"] not in {pair[1] for pair in pairs}]
    made = run_alone("join", {"left": left, "right": right, "by": ["k", "p"], "how": how})
    if how == "anti":
        assert [row["l"] for row in made] == alone
        return
    expected = pairs + [(place, None) for place in alone if how != "inner"]
    expected = sorted(expected, key=lambda pair: pair[0]) + [(None, place) for place in over if how == "full"]
    assert [(row.get("l"), row.get("r")) for row in made] == expected
    for row in made:
        if row.get("l") is not None:
            assert {name: row[name] for name in left[row["l"]]} == left[row["l"]]
