"""Each example in docs/expressions.md has the shown value, and each documented name exists in a run."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from world import run

from expressions import compile_text

PAGE = (Path(__file__).parent.parent / "docs" / "expressions.md").read_text(encoding="utf-8")
SCOPE = {
    "input": {
        "id": 7,
        "price": 2,
        "count": 3,
        "total": 6,
        "items": [1, 2],
        "orders": [{"paid": True, "total": 5}, {"paid": False, "total": 3}],
        "created_at": "2026-01-01T00:00:00Z",
        "name": "Ada",
    },
    "steps": {"who": {"mail": "ada@example.org"}},
    "secrets": {"weather": "w-1", "stripe": "s-1", "till": {"password": "p-1"}, "a name": "n-1"},
    "now": datetime(2026, 2, 3, tzinfo=UTC),
    "a": 1.4,
    "b": 1.4,
    "x": 2,
}
# The value of each example, by the text between the braces, in the order of the page.
EXAMPLES = {
    "input.id": 7,
    "input.price * input.count": 6,
    "input.items": [1, 2],
    '"{{"': "{{",
    "secrets.weather": "w-1",
    "(secrets.stripe ~ ':')|b64encode": "cy0xOg==",
    '(now + timedelta(days=7)).strftime("%d.%m.%Y")': "10.02.2026",
    "(now - datetime(input.created_at)).days > 30": True,
    'input.orders|selectattr("paid", "eq", true)|sum(attribute="total")': 5,
    "input.total": 6,
    "steps.who.mail": "ada@example.org",
}
# Expressions in the prose, without braces.
PROSE = {
    "secrets.till.password": "p-1",
    'secrets["a name"]': "n-1",
    "input.name": "Ada",
    'input["name"]': "Ada",
    "input.items[0]": 1,
    'input.a.b.c|default("x")': "x",
    '"%.2f" % x': "2.00",
    "(a + b)|round": 3.0,
}


def value_of(expression):
    return compile_text(f"{{{{ {expression} }}}}").evaluate(SCOPE)


def test_every_example_of_the_page_is_tested():
    shown = re.findall(r'\{\{ ((?:"\{\{"|[^{}…])+) \}\}', PAGE)
    assert set(shown) == set(EXAMPLES)


@pytest.mark.parametrize("expression", EXAMPLES)
def test_an_example_evaluates_to_the_value_shown(expression):
    assert value_of(expression) == EXAMPLES[expression]


@pytest.mark.parametrize("expression", PROSE)
def test_names_in_the_prose_exist_and_work(expression):
    assert (
        f"`{expression}`" in PAGE
        or f"`{expression}`".replace("input.items", "") in PAGE
        or f"`{{{{ {expression}" in PAGE
    )
    assert value_of(expression) == PROSE[expression]


def test_text_around_an_expression_results_in_text():
    assert compile_text("https://api.example.com/orders/{{ input.id }}").evaluate(SCOPE).endswith("/orders/7")


def test_each_documented_name_exists_in_a_run():
    table = PAGE.partition("## Names")[2].partition("###")[0]
    names = {name for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for name in re.findall(r"`(\w+)", row)}
    assert names == {"input", "steps", "trigger", "run", "workflow", "vars", "secrets", "item", "index", "now"}
    read = {name: f"{{{{ {name}|default('missing') }}}}" for name in names - {"item", "index", "secrets", "now"}}
    items = {
        "id": "each",
        "type": "set",
        "foreach": [5],
        "config": {"values": {"item": "{{ item }}", "index": "{{ index }}"}},
    }
    definition = {
        "nodes": [{"id": "start", "type": "manual"}, {"id": "all", "type": "set", "config": {"values": read}}, items],
        "edges": [["start", "all"], ["start", "each"]],
        "settings": {"vars": {"rate": 2}},
    }
    output = run(definition, {"n": 1}).output
    assert output["each"] == [{"item": 5, "index": 0}]
    assert output["all"]["vars"] == {"rate": 2} and output["all"]["steps"]["start"] == {"n": 1}
    assert "missing" not in output["all"].values()
