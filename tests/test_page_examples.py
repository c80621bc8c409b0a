"""Examples in docs/http.md, docs/triggers.md and docs/expressions.md are valid, and names in them exist."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sources import active, polling, row
from werkzeug import Response
from world import fresh_database, run

import engine
from constants import HTTP_CREDENTIALS
from dispatch.publishing import find_triggers
from expressions import compile_text
from models import Run
from nodes import catalogue, plugins
from nodes.base import REGISTRY
from nodes.credentials.types import TYPES
from nodes.http.pagination import KEYS

ROOT = Path(__file__).parent.parent
HTTP = (ROOT / "docs" / "http.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```json\n(.*?)```", HTTP, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
def test_each_example_is_a_node_of_a_flow(block):
    (node,) = engine.plan({"nodes": [{"id": "it", **json.loads(block)}]}).nodes
    assert node.type in ("http", "graphql")


def test_every_type_of_body_of_pages_and_of_authentication_has_its_row():
    rows = set(re.findall(r"^\| `(\w+)` \|", HTTP, re.MULTILINE)) - {"type", "body_type"}
    (http,) = [entry for entry in catalogue() if entry["type"] == "http"]
    assert rows == {*http["config_schema"]["properties"]["body_type"]["enum"], *KEYS, *HTTP_CREDENTIALS}


def test_every_setting_that_it_names_is_one():
    schemas = [entry["config_schema"] for entry in catalogue() if entry["type"] in ("http", "graphql")]
    known = {"token_url", *TYPES, *HTTP_CREDENTIALS, *KEYS}
    for schema in schemas:
        for key, field in schema["properties"].items():
            known |= {key, *field.get("properties", ())}
    named = set(re.findall(r"`([a-z]+_[a-z_]+)(?:: \w+)?`", HTTP))
    assert "fail_on_errors" in named and named <= known


# What docs/triggers.md shows is what there is


TRIGGERS = (Path(__file__).parent.parent / "docs" / "triggers.md").read_text(encoding="utf-8")


def test_the_nodes_that_it_shows_can_be_polled():
    shown = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", TRIGGERS, re.DOTALL)]
    wanted = find_triggers(engine.plan({"nodes": [{**node, "id": f"n{at}"} for at, node in enumerate(shown)]}))
    assert [trigger.config["type"] for trigger in wanted] == [
        *(
            "email_trigger",
            "rss_trigger",
            "email_trigger",
            "poll",
            "poll",
            "airtable_poll",
            "mqtt_trigger",
            "postgres_trigger",
        )
    ]
    assert [trigger.config["every"] for trigger in wanted][:6] == [60, 900, 60, 300, 300, 300]


def test_the_keys_that_it_names_are_those_of_the_nodes():
    for type_ in ("rss_trigger", "email_trigger"):
        (example,) = REGISTRY[type_].examples
        named = set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`.*?) \|", TRIGGERS, re.MULTILINE))))
        assert set(example["output"]) <= named, type_


@pytest.fixture
def page_nodes(tmp_path):
    """The file of the page, in a folder of own nodes that is loaded."""
    (source,) = re.findall(r"```python\n(.*?)```", TRIGGERS, re.DOTALL)
    folder = tmp_path / "own-nodes"
    folder.mkdir()
    (tmp_path / source.splitlines()[0].removeprefix("# ")).write_text(source)
    assert plugins.load(folder) == []
    yield
    plugins.load(None)


def test_a_trigger_of_your_own_starts_a_run_for_each_new_entry(page_nodes, tmp_path, httpserver):
    url = httpserver.url_for("/tickets")
    tickets = [{"number": 1}]

    def answer(request):
        after = int(request.args["after"])
        return Response(json.dumps([ticket for ticket in tickets if ticket["number"] > after]))

    httpserver.expect_request("/tickets").respond_with_handler(answer)
    node = {"id": "new", "type": "acme_new_tickets", "config": {"url": url}}
    with fresh_database(tmp_path), polling(tmp_path, egress_allow=("localhost",)) as process:
        made = active({"nodes": [node], "edges": []})
        process.look()
        tickets += [{"number": 2}, {"number": 3}]
        process.look()
        process.look()
        assert row(made).every == 900 and row(made).state == "3" and row(made).last_error is None
        assert [json.loads(run.input) for run in Run.select().order_by(Run.id)] == [{"number": 2}, {"number": 3}]
        httpserver.clear()
        process.look()
        assert row(made).last_error == "the help desk answered 500"


# Each example in docs/expressions.md has the shown value, and each documented name exists in a run


EXPRESSIONS = (Path(__file__).parent.parent / "docs" / "expressions.md").read_text(encoding="utf-8")
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
    shown = re.findall(r'\{\{ ((?:"\{\{"|[^{}…])+) \}\}', EXPRESSIONS)
    assert set(shown) == set(EXAMPLES)


@pytest.mark.parametrize("expression", EXAMPLES)
def test_an_example_evaluates_to_the_value_shown(expression):
    assert value_of(expression) == EXAMPLES[expression]


@pytest.mark.parametrize("expression", PROSE)
def test_names_in_the_prose_exist_and_work(expression):
    assert (
        f"`{expression}`" in EXPRESSIONS
        or f"`{expression}`".replace("input.items", "") in EXPRESSIONS
        or f"`{{{{ {expression}" in EXPRESSIONS
    )
    assert value_of(expression) == PROSE[expression]


def test_text_around_an_expression_results_in_text():
    assert compile_text("https://api.example.com/orders/{{ input.id }}").evaluate(SCOPE).endswith("/orders/7")


def test_each_documented_name_exists_in_a_run():
    table = EXPRESSIONS.partition("## Names")[2].partition("###")[0]
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
