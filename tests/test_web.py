"""The browser app and the server agree: names, conditions, links to the documentation, and the build."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from properties import examples
from world import ROOT

from expressions import ExpressionError, compile_text, compile_value, escape, has_expression, quote
from expressions.library import FILTERS, FUNCTIONS, METHODS, TESTS
from expressions.values import WorkBudget
from nodes import catalogue
from nodes.base import REGISTRY
from nodes.core.logic import Switch, is_true
from nodes.data.python_sandbox import Sandbox

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


# The names that the browser app offers while one writes an expression are those that there are


LANGUAGE = Path(__file__).parent.parent / "web/src/forms/expression/language.json"


def test_the_app_offers_every_name_of_the_language_and_no_other():
    language = json.loads(LANGUAGE.read_text())
    for table, known in (("filters", FILTERS), ("functions", FUNCTIONS), ("tests", TESTS)):
        assert [entry["name"] for entry in language[table]] == sorted(known), table
    offered = {kind: [entry["name"] for entry in entries] for kind, entries in language["methods"].items()}
    assert offered == {kind: sorted(methods) for kind, methods in METHODS.items()}


DOCUMENTED = LANGUAGE.with_name("documented.json")


def entries(part):
    """Return the entries of the language by name, or by type and name."""
    return {name: {**entry} for name, entry in part.items() if "does" in entry} or {
        f"{kind}.{name}": entry for kind, named in part.items() for name, entry in named.items()
    }


def test_every_name_is_documented_with_an_example_that_has_this_result():
    documented = json.loads(DOCUMENTED.read_text())
    methods = [f"{kind}.{name}" for kind, named in METHODS.items() for name in named]
    for table, names in (("filters", FILTERS), ("functions", FUNCTIONS), ("tests", TESTS), ("methods", methods)):
        found = entries(documented[table])
        assert sorted(found) == sorted(names), table
        for name, entry in found.items():
            assert name.rpartition(".")[2] in entry["example"]
            assert compile_text(f"{{{{ {entry['example']} }}}}").evaluate({}) == entry["result"], name


def test_python_is_completed_with_names_that_the_sandbox_has():
    names = json.loads((LANGUAGE.parent.parent / "code/builtins.json").read_text())
    sandbox = Sandbox(1)
    try:
        assert sandbox.run(f"{', '.join(names)}\n1", {}, 10, 64, print) == 1
    finally:
        sandbox.close()
    scope = REGISTRY["code"].Config().fields["source"].metadata["x-scope"]
    assert set(scope) == set(REGISTRY["code"].names)


# The browsers that docs/app.md names are those that the app is built for


PAGE = (ROOT / "docs" / "app.md").read_text(encoding="utf-8")
CONFIG = (ROOT / "web" / "vite.config.ts").read_text(encoding="utf-8")


def test_the_page_names_the_browsers_of_the_build():
    (target,) = re.findall(r"^    target: \[(.+)\],$", CONFIG, re.MULTILINE)
    built = dict(re.findall(r'"([a-z]+)([\d.]+)"', target))
    assert built["chrome"] == built["edge"]
    told = "Chrome and Edge from {chrome}, Firefox from {firefox} and Safari from {safari} on".format_map(built)
    assert told in PAGE


# The app links the documentation: each link leads to a page that is there, at a heading that it has


SOURCES = Path(__file__).parent.parent / "web" / "src"
TEXT = "\n".join(path.read_text(encoding="utf-8") for path in sorted(SOURCES.rglob("*.tsx")))
GUIDES = re.findall(r'^  (\w+): "([a-z#-]+)",$', TEXT.partition("const GUIDES")[2].partition("};")[0], re.MULTILINE)
LINKED = sorted({*re.findall(r'(?:\bdocs|<DocsLink page)="([^"]+)"', TEXT), *(page for _, page in GUIDES)})
NEEDED = {"expressions", "credentials", "agents", "definition", "webhooks", "triggers", "runs", "files"}


def page_of(entry):
    """Return the page that describes a node type, with its anchor."""
    of_connector = entry["operations"] is not None
    return f"connectors/{entry['service']['type']}" if of_connector else f"nodes#{entry['type']}"


def test_what_has_a_page_links_it():
    assert {page.partition("#")[0] for page in LINKED} >= NEEDED
    assert 'href="/docs"' in TEXT and "`connectors/${type.service.type}` : `nodes#${type.type}`" in TEXT


def test_a_link_of_the_app_leads_to_a_heading_that_is_there(client):
    links = [page.partition("#") for page in [*LINKED, *map(page_of, catalogue())]]
    answers = {name: client.get(f"/docs/{name}") for name, _, _ in links}
    assert {name: answer.status_code for name, answer in answers.items() if answer.status_code != 200} == {}
    assert [(name, anchor) for name, _, anchor in links if anchor and f'id="{anchor}"' not in answers[name].text] == []


def test_every_guide_is_to_a_node_that_there_is():
    assert {type_ for type_, _ in GUIDES} <= {entry["type"] for entry in catalogue()} and GUIDES


# Literals: escaped text stays text, alone and beside expressions


TEXTS = st.text(st.sampled_from("{}%#-\"'\\ \r\n\0é\x85\u2028ab🙂"), max_size=30)


def value_of(source):
    template = compile_value(source)
    return source if template is None else template.evaluate({"x": "<x>"})


@pytest.mark.parametrize("text", ["", "plain", "a}} b %} c #}", "{ { }", '{"a": 1}'])
def test_text_without_special_characters_stays_unchanged(text):
    assert escape(text) == text


def test_text_with_an_expression_is_escaped():
    assert escape('Hi {{ name }}, "{%"') == r'{{ "Hi {{ name }}, \"{%\"" }}'


@given(TEXTS, TEXTS, st.integers(0, 3_200))
@settings(max_examples=examples(500), deadline=None)
def test_any_text_evaluates_to_itself_alone_and_beside_expressions(before, after, padding):
    before += "-" * padding
    assert value_of(escape(before) + escape(after)) == before + after
    assert value_of(escape(before) + "{{ x }}" + escape(after)) == f"{before}<x>{after}"


@pytest.mark.parametrize("text", ["{{" * 100_000, "{% x %}" * 20_000, "\0{{" * 60_000], ids=["braces", "tags", "nul"])
def test_a_long_text_full_of_braces_stays_within_the_limits(text):
    assert has_expression(escape(text)) and value_of(escape(text)) == text


@given(TEXTS)
def test_a_quoted_text_is_a_literal_of_the_language(text):
    assert value_of(f"{{{{ {quote(text)} }}}}") == text
