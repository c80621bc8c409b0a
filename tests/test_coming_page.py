"""What docs/coming-from-n8n.md says of our side is so: the names, the expressions, and the flow, at work."""

import json
import re
from pathlib import Path

import pytest
from stage import stage  # noqa: F401  (a fixture)
from world import flow, node

from config import Config
from dispatch import make_services
from engine import Job, plan, run
from nodes import REGISTRY
from nodes.credentials.keyring import DecryptedCredential, Keyring
from packs.agents.definition import KEYS, KINDS

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "coming-from-n8n.md").read_text(encoding="utf-8")
EXPRESSIONS = [
    written.replace("\\|", "|")
    for row in re.findall(r"^\| `\{\{ \$.*?\| (`\{\{ .*) \|$", PAGE, re.MULTILINE)
    for written in re.findall(r"`(\{\{.*?\}\})`", row)
]
INPUT = {"total": 3, "a": True, "b": False, "name": "Ada", "list": [1, 2]}


def named_in(beginning, end):
    """What the tables between these two name on our side."""
    table = PAGE.split(beginning)[1].split(end)[0]
    rows = re.findall(r"^\|.*\| (.*) \|$", table, re.MULTILINE)
    return {word for row in rows for word in re.findall(r"`([a-z_]+)`", row)}


@pytest.mark.parametrize("written", EXPRESSIONS)
def test_each_expression_of_ours_works(written):
    steps = (
        node("get", "set", {"values": {"body": 1}, "keep_input": True}),
        node("it", "set", {"values": {"x": written}}),
    )
    done = run(plan(flow(*steps, edges=["get it"])), Job("run_1", INPUT, scope={"vars": {"shop": "tea"}}))
    assert done.status == "success", done.error_text


def test_the_expressions_are_found():
    assert len(EXPRESSIONS) == 10


def test_each_node_type_that_it_names_is_one():
    named = named_in("## Names", "An AI Agent")
    assert len(named) > 40 and [name for name in named - {"foreach"} if REGISTRY.get(name) is None] == []


def test_each_setting_and_tool_of_agents_that_it_names_is_one():
    named = named_in("An AI Agent", "## A first flow")
    settings = set(REGISTRY["agent"].Config().fields) | set(REGISTRY["llm"].Config().fields)
    assert len(named) > 10 and named <= set(REGISTRY) | set(KINDS) | set(KEYS) | settings | {"summarizer"}


def test_the_flow_gets_filters_writes_and_mails(httpserver, stage):  # noqa: F811
    orders = [
        {"id": 1, "status": "open", "customer": {"name": "Ada"}, "total": 5},
        {"id": 2, "status": "closed", "customer": {"name": "Bob"}, "total": 7},
    ]
    httpserver.expect_request("/orders").respond_with_json(orders)
    (block,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    definition = json.loads(block.replace("https://api.example.com/orders", httpserver.url_for("/orders")))
    server = {"host": "127.0.0.1", "port": stage.mailbox.port, "security": "none", "sender": "me@example.com"}
    office = DecryptedCredential("office", "smtp", server, ("127.0.0.1",))
    services = make_services(Config(egress_allow=("127.0.0.1", "localhost")))
    done = run(plan(definition), Job("run_1", services=services, keyring=Keyring({"office": office}.get)))
    services.close()
    assert done.status == "success", done.error_text
    (mail,) = stage.sent()["mail"]
    assert mail["to"] == "jane@example.com" and mail["subject"].startswith("1 open orders on ")
    assert mail["attachments"]["orders.csv"].split() == ["id,customer.name,total", "1,Ada,5"]
