"""The trigger of a connector: the scheduler polls one of its lists, and each new entry starts one run."""

import json
from urllib.parse import parse_qsl

import orjson
import pytest
from connector_stub import HOST, aim
from sources import active, polling, row
from werkzeug import Response
from world import flow, fresh_database, node

from definition import check
from models import Run
from packs.connectors import connector_files
from packs.connectors.app_triggers import app_trigger

pytestmark = pytest.mark.usefixtures("path")


@pytest.fixture
def path(tmp_path):
    """A migrated database of its own."""
    with fresh_database(tmp_path) as path:
        yield path


@pytest.fixture
def shop(httpserver, tmp_path):
    """A service with a list of orders; `orders.asked` are the queries of the requests."""

    class Orders(list):
        asked = []

    orders = Orders([{"id": 1, "at": "2026-01-01"}, {"id": 2, "at": "2026-01-02"}])

    def answer(request):
        query = dict(parse_qsl(request.query_string.decode()))
        Orders.asked.append(query)
        found = [order for order in orders if order["at"] > query.get("after", "")]
        return Response(json.dumps({"orders": found[::-1]}), content_type="application/json")

    httpserver.expect_request("/https/api.example.com/orders").respond_with_handler(answer)
    listed = {
        "id": "list_orders", "name": "List orders", "description": "Lists orders.", "path": "/orders",
        "list": True, "result": "orders", "inputs": {"after": {"title": "After"}},
        "poll": {"key": "id", "order": "newest_first", "since": {"input": "after", "value": "at"}},
    }  # fmt: skip
    file = {
        "name": "Shop", "description": "A shop.", "category": "sales", "icon": {"text": "Sh", "color": "#1a5fb4"},
        "base": "https://api.example.com", "operations": [listed],
    }  # fmt: skip
    folder = tmp_path / "connectors"
    folder.mkdir()
    (folder / "shop.json").write_text(json.dumps(aim(file, httpserver.port)))
    assert connector_files.load_own(folder) == []
    yield orders
    connector_files.load_own(None)


def test_new_entries_start_one_run_each_and_the_list_is_asked_for_newer_ones(shop, tmp_path):
    definition = flow(node("new", "shop_poll", {"operation": "list_orders"}), node("end"), edges=["new end"])
    with polling(tmp_path, egress_allow=(HOST,), runs=True) as process:
        made = active(definition)
        process.look()
        assert row(made).last_error is None
        shop += [{"id": 3, "at": "2026-01-03"}, {"id": 4, "at": "2026-01-04"}]
        process.look()
        process.look()
    assert shop.asked == [{}, {"after": "2026-01-02"}, {"after": "2026-01-04"}]
    runs = Run.select().order_by(Run.id)
    assert [orjson.loads(run.input)["id"] for run in runs] == [3, 4]
    assert {run.status for run in runs} == {"success"}


def test_the_catalogue_has_the_triggers_of_connectors_and_of_apps(owner):
    found = {node["type"] for node in owner.get("/api/nodes?category=trigger").json["items"]}
    assert "clickup_poll" in found and found >= app_trigger.types()


def test_only_lists_that_can_be_polled_are_offered():
    def issues(type_, **config):
        node = {"id": "new", "type": type_, "config": {"credential": "mine", **config}}
        _, found = check({"nodes": [node], "edges": []})
        return [(issue.path, issue.message) for issue in found]

    good = {"operation": "list_tasks", "list_id": "1", "every": 60}
    assert issues("clickup_poll", **good) == []
    assert ("nodes[0].config.operation", "must be one of: list_tasks") in issues(
        "clickup_poll", operation="create_task"
    )
    ((path, message),) = issues("clickup_poll", **good, max_items=5)
    assert path.endswith("config.max_items") and "unknown setting" in message
    assert connector_files.find("perplexity_poll") is None and connector_files.find("nothing_poll") is None


def test_a_trigger_names_the_service_that_it_shares_with_its_connector(owner):
    entries = {each["type"]: each["service"] for each in owner.get("/api/nodes").json["items"]}
    assert entries["clickup"] == entries["clickup_poll"] == {"type": "clickup", "name": "ClickUp"}
    assert entries["http"] is None
    assert owner.get("/api/connectors/clickup_poll").json["service"] == entries["clickup"]
