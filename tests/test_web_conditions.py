"""Conditions written by the browser app's form have, in the real evaluator, the result that the form says.

The app's own tests write forms with their expressions, also those of switch nodes, and read each of them back: see
condition.test.ts. Without a run of these tests, there are none to evaluate.
"""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from properties import examples

from expressions import ExpressionError, compile_text
from expressions.values import WorkBudget
from nodes.core.logic import Switch, is_true

FILE = Path(__file__).parent.parent / "build/conditions.json"
MISSING = object()  # stands for the value of a missing name
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)

texts = st.sampled_from(["", "a", "A", "Ab", "ab", "b", "abab", "false", "q\"uo'te", "}} {{ or", "line\nbreak", "é😀"])
numbers = st.sampled_from([0, 1, -1, -2, 2, 2.5, 3, 100, 101])
scopes = st.fixed_dictionaries(
    {
        "input": st.fixed_dictionaries(
            {
                "text": texts,
                "a key": texts,
                "null": st.none(),
                "n": numbers,
                "yes": st.just(True),
                "no": st.just(False),
                "at": st.sampled_from(["2026-01-01", "2026-02-28T12:00:01Z", "2026-07-01T00:00:00+02:00"]),
                "at_text": st.sampled_from(["2025-12-31", "no date"]),
                "tags": st.lists(texts, max_size=3),
                "numbers": st.lists(numbers, max_size=3),
                "empty": st.just([]),
                "object": st.dictionaries(st.sampled_from(["inner", "a"]), texts, max_size=2),
            }
        ),
        "vars": st.fixed_dictionaries({"word": texts, "n": numbers}),
        "now": st.just(NOW),
    }
)


@pytest.fixture(scope="module")
def cases():
    """The forms with their expressions: `{conditions, switches}`."""
    if not FILE.exists():
        pytest.skip("the tests of the browser app make the expressions: run make check-web")
    return json.loads(FILE.read_text(encoding="utf-8"))


class Wrong(Exception):
    """The condition fails: a missing value, or types that cannot be compared."""


def read(scope, text):
    """Return the value of a field or of a value's expression, by the evaluator; MISSING if a name is missing."""
    try:
        value = compile_text(f"{{{{ ({text})|default('(missing)') }}}}").run(scope, WorkBudget())
    except ExpressionError:
        raise Wrong from None
    return MISSING if value == "(missing)" else value


def instant(value):
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str):
        raise Wrong
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        raise Wrong from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def kind(value):
    return "number" if isinstance(value, bool | int | float) else type(value)


def ordered(left, right):
    if kind(left) != kind(right) or kind(left) not in ("number", str, datetime):
        raise Wrong
    return left, right


def within(item, container):
    if isinstance(container, str):
        if not isinstance(item, str):
            raise Wrong
        return item in container
    if isinstance(container, dict):
        return isinstance(item, str) and item in container
    if isinstance(container, list):
        return item in container
    raise Wrong


def text(value):
    if not isinstance(value, str):
        raise Wrong
    return value


def lower(value):
    """As the filter does: of any value, as text."""
    return read({"value": value}, "value|lower")


def size(value):
    if not isinstance(value, str | list | dict):
        raise Wrong
    return len(value)


def days(value):
    return NOW - timedelta(days=value)


OPERATORS = {
    "null": lambda f: f is None,
    "not_null": lambda f: f is not None,
    "eq": lambda f, v: f == v,
    "ne": lambda f, v: f != v,
    "gt": lambda f, v: (lambda a, b: a > b)(*ordered(f, v)),
    "ge": lambda f, v: (lambda a, b: a >= b)(*ordered(f, v)),
    "lt": lambda f, v: (lambda a, b: a < b)(*ordered(f, v)),
    "le": lambda f, v: (lambda a, b: a <= b)(*ordered(f, v)),
    "contains": lambda f, v: within(v, f),
    "not_contains": lambda f, v: not within(v, f),
    "eq_i": lambda f, v: lower(f) == lower(v),
    "contains_i": lambda f, v: lower(v) in lower(f),
    "starts": lambda f, v: text(f).startswith(text(v)),
    "not_starts": lambda f, v: not text(f).startswith(text(v)),
    "ends": lambda f, v: text(f).endswith(text(v)),
    "not_ends": lambda f, v: not text(f).endswith(text(v)),
    "one_of": lambda f, v: f in v,
    "not_one_of": lambda f, v: f not in v,
    "true": lambda f: f == True,  # noqa: E712
    "false": lambda f: f == False,  # noqa: E712
    "before": lambda f, v: instant(f) < instant(v),
    "after": lambda f, v: instant(f) > instant(v),
    "older": lambda f, v: instant(f) < days(v),
    "newer": lambda f, v: instant(f) > days(v),
    "len_eq": lambda f, v: size(f) == v,
    "len_gt": lambda f, v: size(f) > v,
    "len_lt": lambda f, v: size(f) < v,
    "truthy": lambda f: bool(f),
    "falsy": lambda f: not f,
}
# Operators that accept a missing field.
LENIENT = {
    "exists": lambda f: f is not MISSING,
    "missing": lambda f: f is MISSING,
    "has_value": lambda f: f is not MISSING and f is not None,
    "no_value": lambda f: f is MISSING or f is None,
    "empty": lambda f: f is MISSING or not f or size(f) == 0,
    "not_empty": lambda f: not (f is MISSING or not f) and size(f) > 0,
}


def meets(scope, form):
    """Return True if the scope meets the form, by its plain meaning. Raises: Wrong if a rule fails."""
    if "rules" in form:
        results = (meets(scope, rule) for rule in form["rules"])
        return all(results) if form["all"] else any(results)
    field = read(scope, form["field"])
    if form["op"] in LENIENT:
        return LENIENT[form["op"]](field)
    if field is MISSING:
        raise Wrong
    given = form.get("value")
    if given is None:
        return OPERATORS[form["op"]](field)
    value = given["literal"] if "literal" in given else read(scope, given["expression"])
    if value is MISSING:
        raise Wrong
    return OPERATORS[form["op"]](field, value)


def outcome(scope, form):
    try:
        return bool(meets(scope, form))
    except Wrong:
        return "error"


def evaluated(scope, expression):
    try:
        return bool(compile_text(expression).evaluate(scope))
    except ExpressionError:
        return "error"


@pytest.mark.parametrize("part", range(8))
@settings(max_examples=examples(50))
@given(scopes)
def test_an_expression_of_the_form_has_the_result_that_the_form_says(cases, part, scope):
    for case in cases["conditions"][part::8]:
        assert evaluated(scope, case["expression"]) == outcome(scope, case["form"]), case


def branch_of(scope, rules):
    """Return the case of the first rule that is met."""
    for rule in rules:
        met = outcome(scope, rule["condition"])
        if met:
            return met if met == "error" else rule["name"]
    return "default"


def routed(scope, rules, expression):
    """Return the branch at which a switch node continues."""
    try:
        value = compile_text(expression).evaluate(scope)
    except ExpressionError:
        return "error"
    config = {"value": value, "cases": [rule["name"] for rule in rules if rule["name"] != "default"]}
    return Switch().run(config, None, None).name


@settings(max_examples=examples(50))
@given(scopes)
def test_a_switch_continues_at_the_case_of_the_first_rule_that_is_met(cases, scope):
    for case in cases["switches"]:
        assert routed(scope, case["rules"], case["expression"]) == branch_of(scope, case["rules"]), case


def test_the_cases_have_every_operator(cases):
    used = set()

    def collect(form):
        for rule in form.get("rules", ()):
            collect(rule)
        used.add(form.get("op"))

    for case in cases["conditions"]:
        collect(case["form"])
    assert used - {None} == OPERATORS.keys() | LENIENT.keys()


@pytest.mark.slow
def test_a_comparison_decides_the_branch_as_its_boolean_does(cases):
    """The if node takes the text "false" for false; only a value by itself gives text."""
    for case in cases["conditions"]:
        rules = case["form"]["rules"]
        if any(rule.get("op") == "truthy" or "rules" in rule for rule in rules):
            continue
        scope = {"input": {"text": "false", "n": 1}, "vars": {}, "now": NOW}
        try:
            value = compile_text(case["expression"]).evaluate(scope)
        except ExpressionError:
            continue
        assert isinstance(value, bool) and is_true(value) == value
