"""What docs/triggers.md shows is what there is."""

import json
import re
from pathlib import Path

import pytest
from sources import active, polling, row
from werkzeug import Response
from world import fresh_database

import engine
from definition.triggers import find_triggers
from models import Run
from nodes import plugins
from nodes.base import REGISTRY

PAGE = (Path(__file__).parent.parent / "docs" / "triggers.md").read_text(encoding="utf-8")


def test_the_nodes_that_it_shows_can_be_polled():
    shown = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
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
        named = set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE))))
        assert set(example["output"]) <= named, type_


@pytest.fixture
def page_nodes(tmp_path):
    """The file of the page, in a folder of own nodes that is loaded."""
    (source,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
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
