"""Expressions: their values, their errors and their limits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from each import for_each
from hypothesis import given, settings
from hypothesis import strategies as st
from properties import examples
from world import flow, node

from definition import check, get_schema
from errors import ExpressionError
from expressions import compile_text, compile_value, has_expression
from expressions.library import FILTERS, FUNCTIONS, METHODS, TESTS
from expressions.values import FIELDS
from nodes import REGISTRY
from nodes.fields import is_literal

NOW = datetime(2026, 1, 31, 12, 30, 5, 123456, tzinfo=UTC)
SCOPE: dict[str, Any] = {
    "input": {
        "total": 21,
        "name": "Ada",
        "price": 2.5,
        "none": None,
        "yes": True,
        "tags": ["b", "a", "B"],
        "items": [{"id": 1, "kind": "x", "sub": {"n": 3}}, {"id": 2, "kind": "y"}, {"id": 3, "kind": "x"}],
        "when": "2026-01-01T10:00:00+02:00",
        "nested": {"a": [[1, 2], [3]]},
    },
    "steps": {"fetch": {"status": 200}, "my-node": {"ok": True}},
    "vars": {"zone": "Europe/Paris"},
    "secrets": {"token": "s3cret"},
    "run": {"id": "r1", "started_at": NOW},
    "now": NOW,
}


def value_of(source: str, scope: Mapping[str, Any] = SCOPE) -> Any:
    return compile_text(source).evaluate(scope)


def error_of(source: str, scope: Mapping[str, Any] = SCOPE) -> str:
    with pytest.raises(ExpressionError) as caught:
        value_of(source, scope)
    return str(caught.value)


# -- types and text


@for_each(
    "source, expected",
    [
        ("{{ input.total }}", 21),
        ("{{input.total}}", 21),
        ("{{- input.total -}}", 21),
        ("{{ input.total }}{# a comment #}", 21),
        ("{{ input.price * 2 }}", 5.0),
        ("{{ input.yes }}", True),
        ("{{ input.none }}", None),
        ("{{ input.tags }}", ["b", "a", "B"]),
        ("{{ {'a': 1, 'b': [input.total]} }}", {"a": 1, "b": [21]}),
        ("{{ 1, 2 }}", [1, 2]),
        ("{{ (1, (2, 3)) }}", [1, [2, 3]]),
        ("{{ '{{ input.total }}' }}", "{{ input.total }}"),
        ("{{ now }}", "2026-01-31T12:30:05.123Z"),
        ("{{ [now, {'at': now}] }}", ["2026-01-31T12:30:05.123Z", {"at": "2026-01-31T12:30:05.123Z"}]),
        ("{{ run }}", {"id": "r1", "started_at": "2026-01-31T12:30:05.123Z"}),
        ("{{ timedelta(minutes=1.5) }}", 90.0),
    ],
)
def test_a_string_that_is_one_expression_keeps_the_type(source: str, expected: Any) -> None:
    result = value_of(source)
    assert result == expected
    assert type(result) is type(expected)


@for_each(
    "source, expected",
    [
        ("", ""),
        ("plain", "plain"),
        ("a{{ input.name }}b", "aAdab"),
        (" {{ input.total }}", " 21"),
        ("{{ input.total }}\n", "21\n"),
        ("{{ input.total }}{{ input.total }}", "2121"),
        ("[{{ input.none }}]", "[]"),
        ("{{ input.yes }} {{ not input.yes }}", "true false"),
        ("x={{ input.price }}", "x=2.5"),
        ("x={{ input.tags }}", 'x=["b","a","B"]'),
        ("x={{ {'é': none} }}", 'x={"é":null}'),
        ("at {{ now }}", "at 2026-01-31T12:30:05.123Z"),
        ("{# gone #}a{{ 1 }}", "a1"),
        ("a\r\n{{ 'x\ty' }}\r\n", "a\r\nx\ty\r\n"),
        ("a\r\nb\rc\x1c{{ 1 }}", "a\r\nb\rc\x1c1"),
        ("<{{ '<b>' }}>", "<<b>>"),
        (r"{{ 'a\nb\d' }}", "a\nb\\d"),
        ("a {{- 1 -}} b", "a1b"),
    ],
)
def test_anything_else_is_text(source: str, expected: str) -> None:
    assert value_of(source) == expected


def test_a_result_is_never_evaluated_again() -> None:
    scope = {"input": "{{ secrets.token }}", "secrets": {"token": "s"}}
    assert value_of("{{ input }}", scope) == "{{ secrets.token }}"
    assert value_of("x {{ input }}", scope) == "x {{ secrets.token }}"


def test_values_of_the_scope_are_not_copied() -> None:
    big = [{"n": n} for n in range(200_000)]
    scope = {"input": {"big": big, "none": None}}
    for source in (
        "{{ input.big }}",
        "{{ input.big|default([]) }}",
        "{{ input.none or input.big }}",
        "{{ input.big if input else [] }}",
    ):
        assert value_of(source, scope) is big


def test_values_of_the_scope_are_never_changed() -> None:
    tags = ["b", "a"]
    scope = {"input": tags}
    assert value_of("{{ input|sort }}", scope) == ["a", "b"]
    assert value_of("{{ input + ['c'] }}", scope) == ["b", "a", "c"]
    assert value_of("{{ input|batch(3, 'x') }}", scope) == [["b", "a", "x"]]
    assert tags == ["b", "a"]


# -- members, operators, choices


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{ input.items[0].id }}", 1),
        ("{{ input.items.1.id }}", 2),
        ("{{ input['name'] }}", "Ada"),
        ("{{ input.items[-1]['id'] }}", 3),
        ("{{ input.tags[1:] }}", ["a", "B"]),
        ("{{ input.name[::-1] }}", "adA"),
        ("{{ input.name[0] }}", "A"),
        ("{{ steps.fetch.status }}", 200),
        ("{{ steps['my-node'].ok }}", True),
        ("{{ now.year + now.month + now.day + now.hour + now.minute + now.second }}", 2026 + 1 + 31 + 12 + 30 + 5),
        ("{{ (now - datetime('2026-01-01')).days }}", 30),
        ("{{ input.nested.a[0][1] }}", 2),
    ],
)
def test_a_dot_or_an_index_reads_a_member(source: str, expected: Any) -> None:
    assert value_of(source) == expected


@for_each(
    "source, expected",
    [
        ("{{ 1 + 2 * 3 }}", 7),
        ("{{ 7 / 2 }}", 3.5),
        ("{{ 7 // 2 }}", 3),
        ("{{ 7 % 4 }}", 3),
        ("{{ 2 ** 10 }}", 1024),
        ("{{ 2 ** -1 }}", 0.5),
        ("{{ 2 ** 2000 // 2 ** 1999 }}", 2),
        ("{{ (-1) ** 10 ** 300 }}", 1),
        ("{{ -input.total }}", -21),
        ("{{ +input.total }}", 21),
        ("{{ 'a' + 'b' }}", "ab"),
        ("{{ [1] + [2] }}", [1, 2]),
        ("{{ 'ab' * 2 }}", "abab"),
        ("{{ 2 * [1] }}", [1, 1]),
        ("{{ 'a' * -1 }}", ""),
        ("{{ 'n=' ~ input.total ~ none ~ true }}", "n=21true"),
        ("{{ 1 < 2 < 3 }}", True),
        ("{{ 1 < 2 > 5 }}", False),
        ("{{ 'a' < 'b' }}", True),
        ("{{ 'a' in input.tags }}", True),
        ("{{ 'name' in input }}", True),
        ("{{ 'd' in input.name }}", True),
        ("{{ 9 not in [1, 2] }}", True),
        ("{{ [1, {'a': 2}] == [1, {'a': 2}] }}", True),
        ("{{ input.total != 21 }}", False),
        ("{{ input.total == '21' }}", False),
        ("{{ input.none or 'x' }}", "x"),
        ("{{ input.yes and 'x' }}", "x"),
        ("{{ not input.none }}", True),
        ("{{ 'a' if input.yes else 'b' }}", "a"),
        ("{{ input.missing if false else 'b' }}", "b"),
        ("{{ '%05.1f|%s|%d%%' % (input.price, none, 7) }}", "002.5||7%"),
        ("{{ '%(a)s-%(b)03d' % {'a': 'x', 'b': 7} }}", "x-007"),
        ("{{ now + timedelta(days=1) }}", "2026-02-01T12:30:05.123Z"),
        ("{{ now - timedelta(hours=1) < now }}", True),
        ("{{ now - datetime('2026-01-31T12:30:00Z') }}", 5.123456),
        ("{{ datetime(input.when) }}", "2026-01-01T08:00:00.000Z"),
    ],
)
def test_operators_work_as_in_jinja(source: str, expected: Any) -> None:
    assert value_of(source) == expected


@for_each(
    "source, expected",
    [
        ("{{ input.nope|default('x') }}", "x"),
        ("{{ nope|default('x') }}", "x"),
        ("{{ input.a.b.c|default('x') }}", "x"),
        ("{{ input.none.b|default('x') }}", "x"),
        ("{{ input.items[9].id|d(0) }}", 0),
        ("{{ []|first|default('x') }}", "x"),
        ("{{ input.none|default('x') }}", None),
        ("{{ input.none|default('x', true) }}", "x"),
        ("{{ input.none|default('x', boolean=true) }}", "x"),
        ("{{ input.name|default(input.nope) }}", "Ada"),
        ("{{ input.nope|default }}", ""),
        ("{{ input.a.b is defined }}", False),
        ("{{ input.a.b is undefined }}", True),
        ("{{ input.name is defined }}", True),
        ("{{ input.none is not defined }}", False),
        ("{{ input.none is none }}", True),
    ],
)
def test_default_and_defined_handle_missing_values(source: str, expected: Any) -> None:
    assert value_of(source) == expected


# -- the library

LIBRARY = [
    ("{{ (-3)|abs }}", 3),
    ("{{ input.tags|batch(2) }}", [["b", "a"], ["B"]]),
    ("{{ 'aB c'|capitalize }}", "Ab c"),
    ("{{ 'aB c'.capitalize() ~ 'a b'.title() ~ 'a'.center(3) }}", "Ab cA B a "),
    ("{{ 'A'|lower ~ 'a'|upper }}", "aA"),
    ("{{ '<'|escape }}", "&lt;"),
    ("{{ input.nope|default(1) + input.nope|d(2) }}", 3),
    ("{{ input.nope is undefined and input.name is defined }}", True),
    ("{{ ' a '.lstrip() ~ ' a '.rstrip() ~ 'a,b'.split(',')|last ~ 'a'.upper().replace('A', 'c') }}", "a  abc"),
    ("{{ 'ab'|center(6) }}", "  ab  "),
    ("{{ input.tags|count + input.name|length }}", 6),
    ("{{ {'b': 1, 'a': 2}|dictsort }}", [["a", 2], ["b", 1]]),
    ("{{ {'b': 1, 'a': 2}|dictsort(by='value', reverse=true) }}", [["a", 2], ["b", 1]]),
    ("{{ '<a b=\"c\">'|e }}", "&lt;a b=&quot;c&quot;&gt;"),
    ("{{ input.tags|first }}", "b"),
    ("{{ '1.5'|float }}", 1.5),
    ("{{ 'x'|float(0.0) }}", 0.0),
    ("{{ '%s=%s'|format('a', 1) }}", "a=1"),
    ("{{ '%(k)s'|format(k='v') }}", "v"),
    ("{{ '[1, {\"a\": null}]'|fromjson }}", [1, {"a": None}]),
    ("{{ (input.items|groupby('kind'))[0].grouper }}", "x"),
    ("{{ (input.items|groupby('kind'))[0].list|map(attribute='id') }}", [1, 3]),
    ("{{ 'a\n\nb'|indent(2) }}", "a\n\n  b"),
    ("{{ 'a\nb'|indent('> ', true) }}", "> a\n> b"),
    ("{{ '42'|int }}", 42),
    ("{{ '4.7'|int }}", 4),
    ("{{ 'ff'|int(base=16) }}", 255),
    ("{{ 'x'|int(7) }}", 7),
    ("{{ {'a': 1}|items }}", [["a", 1]]),
    ("{{ [1, none, 'x']|join('-') }}", "1--x"),
    ("{{ input.items|join(',', attribute='id') }}", "1,2,3"),
    ("{{ input.tags|last }}", "B"),
    ("{{ 'abc'|list }}", ["a", "b", "c"]),
    ("{{ input.items|map(attribute='sub.n', default=0) }}", [3, 0, 0]),
    ("{{ input.tags|map('upper')|unique }}", ["B", "A"]),
    ("{{ ['a', 'b']|map('replace', 'a', 'c') }}", ["c", "b"]),
    ("{{ [3, 1, 2]|max }}", 3),
    ("{{ input.items|min(attribute='id') }}", {"id": 1, "kind": "x", "sub": {"n": 3}}),
    ("{{ [0, 1, 2]|select }}", [1, 2]),
    ("{{ [1, 2, 3]|select('odd') }}", [1, 3]),
    ("{{ [1, 2, 3]|reject('gt', 1) }}", [1]),
    ("{{ input.items|selectattr('kind', 'eq', 'x')|map(attribute='id') }}", [1, 3]),
    ("{{ input.items|rejectattr('sub', 'defined')|map(attribute='id') }}", [2, 3]),
    ("{{ 'aXbX'|replace('X', '-') }}", "a-b-"),
    ("{{ 'abc'|reverse }}", "cba"),
    ("{{ [1, 2]|reverse }}", [2, 1]),
    ("{{ 2.345|round(2) }}", 2.35 if round(2.345, 2) == 2.35 else 2.34),
    ("{{ 2.1|round(method='ceil') }}", 3.0),
    ("{{ 2.19|round(1, 'floor') }}", 2.1),
    ("{{ input.tags|sort }}", ["a", "b", "B"]),
    ("{{ input.tags|sort(case_sensitive=true) }}", ["B", "a", "b"]),
    ("{{ input.items|sort(attribute='id', reverse=true)|map(attribute='id') }}", [3, 2, 1]),
    ("{{ 'a,b'|split(',') }}", ["a", "b"]),
    ("{{ 1|string }}", "1"),
    ("{{ '<p>a &amp; <b>b</b></p>'|striptags }}", "a & b"),
    ("{{ [1, 2.5]|sum }}", 3.5),
    ("{{ input.items|sum(attribute='id') }}", 6),
    ("{{ 'ab cd'|title }}", "Ab Cd"),
    ("{{ {'a': [1, now]}|tojson }}", '{"a":[1,"2026-01-31T12:30:05.123Z"]}'),
    ("{{ [1]|tojson(indent=2) }}", "[\n  1\n]"),
    ("{{ (2 ** 70)|tojson }}", str(2**70)),
    ("{{ '  a '|trim }}", "a"),
    ("{{ 'hello big world'|truncate(10) }}", "hello…"),
    ("{{ 'hello'|truncate(3, true, '') }}", "hel"),
    ("{{ [1, 1, [2], [2]]|unique }}", [1, [2]]),
    ("{{ 'a b/c&'|urlencode }}", "a%20b/c%26"),
    ("{{ {'a': 'b c', 'd': 1}|urlencode }}", "a=b+c&d=1"),
    ("{{ 'a b  c'|wordcount }}", 3),
    ("{{ 'é'|b64encode }}", "w6k="),
    ("{{ 'w6k='|b64decode }}", "é"),
    ("{{ ' Ab '.strip().lower() }}", "ab"),
    ("{{ 'a-b-c'.rsplit('-', 1) }}", ["a-b", "c"]),
    ("{{ 'a\nb'.splitlines() }}", ["a", "b"]),
    ("{{ ','.join([1, 2]) }}", "1,2"),
    ("{{ 'abcabc'.find('c') ~ 'abcabc'.rfind('c') ~ 'abc'.count('b') }}", "251"),
    ("{{ '7'.zfill(3) ~ 'a'.ljust(3, '.') ~ 'a'.rjust(2) }}", "007a.. a"),
    ("{{ 'abc'.removeprefix('a').removesuffix('c') }}", "b"),
    ("{{ 'abc'.startswith('a') and 'abc'.endswith('c') }}", True),
    ("{{ '12'.isdigit() and 'a'.isalpha() and 'a1'.isalnum() }}", True),
    ("{{ input.tags.index('a') + input.tags.count('a') }}", 2),
    ("{{ input.nested.keys() + input.nested.values() }}", ["a", [[1, 2], [3]]]),
    ("{{ input.get('nope', 5) }}", 5),
    ("{{ {'items': 1}.items() }}", [["items", 1]]),
    ("{{ now.isoformat() }}", NOW.isoformat()),
    ("{{ now.strftime('%d.%m.%Y') }}", "31.01.2026"),
    ("{{ now.date() }}", "2026-01-31"),
    ("{{ now.weekday() }}", 5),
    ("{{ now.timestamp() }}", NOW.timestamp()),
    ("{{ now.astimezone(vars.zone).hour }}", 13),
    ("{{ timedelta(hours=2).total_seconds() }}", 7200.0),
    ("{{ range(3) + range(5, 1, -2) }}", [0, 1, 2, 5, 3]),
    ("{{ min(3, 1) + max([4, 5]) + len('abc') }}", 9),
    ("{{ int('3') + float('0.5') }}", 3.5),
    ("{{ str(1) }}", "1"),
    ("{{ datetime(0) }}", "1970-01-01T00:00:00.000Z"),
    ("{{ 6 is divisibleby 3 and 2 is even and 3 is odd }}", True),
    ("{{ 1 is number and 1 is integer and 1.0 is float and true is boolean and true is not number }}", True),
    ("{{ 'a' is string and [] is sequence and {} is mapping and 'a' is iterable and none is none }}", True),
    ("{{ true is true and false is false and 1 is not true }}", True),
    ("{{ 1 is eq 1 and 1 is ne 2 and 1 is lt 2 and 1 is le 1 and 2 is gt 1 and 2 is ge 2 }}", True),
    ("{{ 'a' is in ['a'] and 'a' is lower and 'A' is upper and 1 is equalto 1 }}", True),
]


@for_each("source, expected", LIBRARY)
def test_the_library_returns(source: str, expected: Any) -> None:
    assert value_of(source) == expected


def test_every_entry_of_the_library_is_used_in_a_test() -> None:
    sources = " ".join(source for source, _ in LIBRARY)
    methods = {name for table in METHODS.values() for name in table}
    assert [name for name in FILTERS if not re.search(rf"\|{name}\b", sources)] == []
    assert [name for name in FUNCTIONS if f" {name}(" not in sources] == []
    assert [name for name in methods if f".{name}(" not in sources] == []
    assert [name for name in TESTS if not re.search(rf"is (not )?{name}\b", sources)] == []


# -- errors


@for_each(
    "source, message",
    [
        ("{{ input.totl }}", "input has no key 'totl' (available: total, "),
        ("{{ inptu.total }}", "'inptu' is not defined (available: input, "),
        ("{{ steps.nope.x }}", "steps has no key 'nope' (available: fetch, my-node)"),
        ("{{ input.items[7] }}", "input.items has no index 7 (its length is 3)"),
        ("{{ input.none.x }}", "input.none is null and has no 'x'"),
        ("{{ input.name.x }}", "input.name is text and has no 'x'"),
        ("{{ input.name.upper }}", "call the method with parentheses: upper()"),
        ("{{ now.microsecond }}", "now is datetime and has no 'microsecond' (available: year, "),
        ("{{ {}.a }}", "the value has no key 'a' (it is empty)"),
        ("{{ input.total + 'a' }}", "'+' is not supported between number and text"),
        ("{{ input.none * 2 }}", "'*' is not supported between null and number"),
        ("{{ [] < {} }}", "'<' is not supported between list and object"),
        ("{{ -input.name }}", "must be a number, not text"),
        ("{{ input.total.upper() }}", "input.total is number, which has no method 'upper'"),
        ("{{ 1 / 0 }}", "division by zero"),
        ("{{ 'x'|int }}", "filter 'int': the value is not a whole number"),
        ("{{ ['a', 1]|sort }}", "filter 'sort': cannot compare number and text"),
        ("{{ 5|sum }}", "filter 'sum': the value must be a list, not number"),
        ("{{ {1: 2} }}", "an object's key must be text, not number"),
        ("{{ 'a' if false }}", "there is no else"),
        ("{{ 1e308 * 10 }}", "not a finite number"),
        ("{{ (-8) ** 0.5 }}", "not a finite number"),
        ("{{ 'x'|fromjson }}", "filter 'fromjson': "),
        ("{{ now.astimezone('Mars/Base') }}", "there is no time zone"),
        ("{{ now.astimezone('../etc') }}", "there is no time zone"),
        ("{{ datetime('soon') }}", "not an ISO 8601 date and time"),
        ("{{ '%y' % 1 }}", "directive '%y' must be one of"),
        ("{{ '%s' % [] }}", "more directives than values"),
        ("{{ '%s' % [1, 2] }}", "fewer directives than values"),
    ],
)
def test_an_error_describes_the_problem(source: str, message: str) -> None:
    assert message in error_of(source)


@for_each(
    "source, message",
    [
        ("{{ input.body.}}", 'Incomplete: choose a field after "input.body." (line 1, column 15)'),
        ("{{1 +\ninput. }}", 'Incomplete: choose a field after "input." (line 2, column 8)'),
        ("{{ }}", "(line 1, column 4)"),
        ("{{ input", "(line 1, column "),
        ("a\nb {{ 1 + }}", "(line 2, column 10)"),
        ("a\r\nb {{ 1 + }}", "(line 2, column 10)"),
        ("{{ a ! b }}", "unexpected char '!'; use not, or != to compare (line 1, column 6)"),
        ("{{ 'open }}", "unexpected char"),
        ("{% if input.x %}a{% endif %}", "statements ({% … %}) are not supported"),
        ("{% raw %}{{ x }}{% endraw %}", "statements ({% … %}) are not supported"),
        ("{{ x }}{% include 'x' %}", "(line 1, column 8)"),
        ("{{ x|uper }}", "there is no filter 'uper' (available: upper, "),
        ("{{ x is numbr }}", "there is no test 'numbr' (available: number, "),
        ("{{ rnge(3) }}", "there is no function 'rnge' (available: range, "),
        ("{{ x.uper() }}", "there is no method 'uper' (available: upper, "),
        ("{{ range }}", "'range' is a function: call it with parentheses"),
        ("{{ x|replace('a') }}", "invalid call of filter 'replace': missing a required argument: 'new'"),
        ("{{ x.replace('a') }}", "invalid call of replace() of text"),
        ("{{ len() }}", "invalid call of len()"),
        ("{{ len(*x) }}", "* and ** are not supported in a call"),
        ("{{ x|join(**y) }}", "* and ** are not supported in a call"),
        ("{{ x[0]() }}", "only functions and methods can be called"),
        ("{{ '\\ud800' }}", "half a surrogate pair"),
        ("{{ 1e999 }}", "the number is too large"),
        ("{{ " + "9" * 5_000 + " }}", "invalid expression"),
    ],
)
def test_a_compile_error_has_a_reason_and_a_position(source: str, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_text(source)
    assert message in str(caught.value)


def test_an_error_inside_a_value_has_its_place() -> None:
    template = compile_value({"headers": {"X": "{{ input.nope }}"}, "list": [1, "{{ input.total }}"]})
    assert template
    with pytest.raises(ExpressionError, match=r"^headers\.X: input has no key 'nope'"):
        template.evaluate(SCOPE)
    with pytest.raises(ExpressionError, match=r"^a\[1\]\.b: .*line 1"):
        compile_value({"a": [0, {"b": "{{"}]})


# -- escapes


# -- structures


def test_a_value_is_compiled_with_every_string_in_it() -> None:
    value = {"a": "{{ input.total }}", "{{ key }}": "x", "b": ["n {{ input.name }}", 1, {"c": "{{ steps.fetch }}"}]}
    template = compile_value(value)
    assert template
    assert template.evaluate(SCOPE) == {"a": 21, "{{ key }}": "x", "b": ["n Ada", 1, {"c": {"status": 200}}]}
    assert value["a"] == "{{ input.total }}"


def test_a_template_knows_the_names_and_the_steps_that_it_reads() -> None:
    template = compile_value(
        {"a": "{{ steps.one.x }} {{ steps['two-b'] }}", "b": ["{{ steps.get('three') }}", "{{ nope|default(vars.z) }}"]}
    )
    assert template
    assert template.roots == {"steps", "nope", "vars"}
    assert template.steps == {"one", "two-b", "three"}


@pytest.mark.parametrize(
    ("source", "steps"),
    [
        ("{{ steps }}", {"*"}),
        ("{{ steps[input] }}", {"*"}),
        ("{{ steps.items() | list | length + steps.a }}", {"a", "*"}),
        ("{{ steps.a + steps['b'] + steps.get('c') }}", {"a", "b", "c"}),
        ("{{ steps.get(input) }}", {"*"}),
        ("{{ input.steps }}", set()),
    ],
)
def test_a_template_marks_that_it_may_read_any_step(source, steps):
    assert compile_text(source).steps == steps


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("{{ secrets.shop }}", {"shop"}),
        ("{{ secrets['a shop'] ~ secrets.till.password }}", {"a shop", "till"}),
        ("{{ secrets.get('shop') }}", {"shop"}),
        ({"a": ["{{ secrets.one }}", "x"], "b": "{{ [secrets.two]|join }}"}, {"one", "two"}),
        ("{{ secrets[input.name] }}", set()),
        ("{{ secrets }} {{ input.secrets.shop }} {{ secrets.get(1) }}", set()),
    ],
)
def test_a_template_knows_which_secrets_it_names(value, names):
    assert compile_value(value).secrets == names


def test_a_step_read_by_number_is_not_a_named_step():
    assert compile_text("{{ steps.get(1) }} {{ steps.a }}").steps == {"a", "*"}


@pytest.mark.parametrize("value", [None, 1, "text", "50% { x } }}", "{%d}", [], {"{{ x }}": [1, {"a": "b"}]}])
def test_a_value_without_an_expression_is_static(value: Any) -> None:
    assert not has_expression(value)
    assert compile_value(value) is None


def test_a_value_nested_too_deeply_is_rejected() -> None:
    deep: Any = "{{ 1 }}"
    static: Any = "x"
    for _ in range(5_000):
        deep, static = [deep], {"a": static}
    with pytest.raises(ExpressionError, match="nested more than 100 levels deep"):
        compile_value(deep)
    assert compile_value(static) is None


def test_a_string_is_compiled_once() -> None:
    assert compile_text("{{ input.once }}") is compile_text("{{ input.once }}")


def test_a_scope_may_be_any_mapping() -> None:
    class Lazy(dict[str, Any]):
        def __missing__(self, key: str) -> Any:
            if key != "secrets":
                raise KeyError(key)
            return {"token": "t"}

    assert value_of("{{ secrets.token }}", Lazy()) == "t"
    assert "'nope' is not defined" in error_of("{{ nope }}", Lazy())


def test_a_datetime_of_any_zone_is_written_in_utc() -> None:
    zone = timezone(timedelta(hours=2))
    assert value_of("{{ now }}", {"now": datetime(2026, 1, 1, 1, tzinfo=zone)}) == "2025-12-31T23:00:00.000Z"


def test_a_template_can_be_used_by_many_threads() -> None:
    template = compile_text("{{ range(input.n)|sum }}")
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda n: template.evaluate({"input": {"n": n}}), range(200)))
    assert results == [sum(range(n)) for n in range(200)]


# -- random values


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@settings(max_examples=examples(100), deadline=None)
@given(JSON)
def test_a_random_value_without_braces_is_static(value: Any) -> None:
    if "{{" not in repr(value) and "{%" not in repr(value):
        assert compile_value(value) is None


@settings(max_examples=examples(100), deadline=None)
@given(JSON)
def test_a_random_value_comes_through_unchanged(value: Any) -> None:
    assert value_of("{{ input }}", {"input": value}) is value
    assert value_of("{{ [input] }}", {"input": value}) == [value]


# -- the page


def test_the_page_names_every_filter_test_function_method_and_field() -> None:
    page = (Path(__file__).parent.parent / "docs" / "expressions.md").read_text(encoding="utf-8")
    names = [*FILTERS, *TESTS, *FUNCTIONS, *(name for table in (METHODS | FIELDS).values() for name in table)]
    names += [name for table in FIELDS.values() for name in table]
    assert [name for name in names if not re.search(rf"`{name}\b", page)] == []


# Every setting of a node evaluates or refuses `{{ … }}`, or has a reason to accept braces


# Settings whose text has braces with another meaning. The reason is in the setting itself.
BRACES = {("code", "source"), ("sql", "statement"), ("form", "thanks_title"), ("form", "thanks_text")}
SETTINGS = [(type_, name) for type_, it in sorted(REGISTRY.items()) for name in get_schema(it).fields]
TEXT = "{{ input.x }}"
# The same expression in every position of a value.
VALUES = {
    "text": TEXT,
    "beside text": f"a {TEXT}",
    "in a list": [TEXT],
    "in an object": {"a": TEXT},
    "in objects of a list": [{"a": {"b": TEXT}}],
    "in a key": [{TEXT: 1}],
}


def issues_of(type_, name, value):
    """Return the issues of this setting of a node in the validation of a flow."""
    path = f"nodes[0].config.{name}"
    _, found = check(flow(node("it", type_, {name: value})))
    return [issue.message for issue in found if issue.path.startswith(path)]


def field_of(type_, name):
    return get_schema(REGISTRY[type_]).fields[name]


@for_each("type_, name", [pair for pair in SETTINGS if pair not in BRACES])
def test_an_expression_anywhere_in_a_setting_is_evaluated_or_rejected(type_, name):
    for where, value in VALUES.items():
        refused = any("not evaluated" in message for message in issues_of(type_, name, value))
        must_be = is_literal(field_of(type_, name)) or where == "in a key"
        assert refused == must_be, (where, issues_of(type_, name, value))


@for_each("type_, name", [pair for pair in SETTINGS if not is_literal(field_of(*pair))])
def test_a_setting_that_is_not_literal_is_evaluated(type_, name):
    broken = issues_of(type_, name, "{{ 1 + }}")
    assert any("expression" in message or "expected" in message for message in broken), broken


@pytest.mark.pack("forms", "sql")
def test_only_these_settings_have_braces_with_another_meaning_and_a_reason():
    declared = {pair: field_of(*pair).metadata["braces"] for pair in SETTINGS if field_of(*pair).metadata.get("braces")}
    assert set(declared) == BRACES and all(len(why) > 20 for why in declared.values())


@pytest.mark.parametrize(
    ("type_", "config", "path"),
    [
        ("switch", {"value": 1, "cases": ["open", "{{ vars.closed }}"]}, "cases[1]"),
        ("sort", {"by": "{{ vars.field }}"}, "by"),
        pytest.param(
            "csv",
            {"operation": "write", "columns": ["id", "{{ vars.name }}"]},
            "columns[1]",
            marks=pytest.mark.pack("formats"),
        ),
        pytest.param(
            "agent", {"agent_id": "{{ input.agent }}", "task": "x"}, "agent_id", marks=pytest.mark.pack("agents")
        ),
        ("group", {"by": "a", "aggregate": {"n": {"op": "sum", "field": "{{ vars.f }}"}}}, "aggregate.n.field"),
        ("set", {"values": {"a": {"{{ input.key }}": 1}}}, "values.a"),
    ],
)
def test_the_issue_names_the_place_in_the_setting(type_, config, path):
    _, found = check(flow(node("it", type_, config)))
    (message,) = [issue.message for issue in found if issue.path == f"nodes[0].config.{path}"]
    assert "not evaluated" in message


@pytest.mark.parametrize(
    ("type_", "config"),
    [
        ("code", {"source": "x = {{1, 2}}\nf'{{ input.x }}'"}),
        ("sql", {"credential": "db", "statement": "select '{{1,2},{3,4}}'::int[]"}),
        ("split", {"field": "a", "separator": "{{"}),
        ("set", {"values": {"{{name}}": "what another system fills in"}}),
    ],
)
def test_braces_without_an_expression_are_accepted(type_, config):
    _, found = check(flow(node("it", type_, config)))
    assert not [issue for issue in found if "not evaluated" in issue.message], found
