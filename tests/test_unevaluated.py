"""Every setting of a node evaluates or refuses `{{ … }}`, or has a reason to accept braces."""

import pytest
from each import for_each
from world import flow, node

from definition import check, get_schema
from nodes import REGISTRY
from nodes.fields import is_literal

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


def test_only_these_settings_have_braces_with_another_meaning_and_a_reason():
    declared = {pair: field_of(*pair).metadata["braces"] for pair in SETTINGS if field_of(*pair).metadata.get("braces")}
    assert set(declared) == BRACES and all(len(why) > 20 for why in declared.values())


@pytest.mark.parametrize(
    ("type_", "config", "path"),
    [
        ("switch", {"value": 1, "cases": ["open", "{{ vars.closed }}"]}, "cases[1]"),
        ("sort", {"by": "{{ vars.field }}"}, "by"),
        ("csv", {"operation": "write", "columns": ["id", "{{ vars.name }}"]}, "columns[1]"),
        ("agent", {"agent_id": "{{ input.agent }}", "task": "x"}, "agent_id"),
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
