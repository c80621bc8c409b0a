"""The trigger `poll` as the scheduler polls it: runs for new entries, and expressions that read the cursor."""

import json

import orjson
import pytest
from sources import active, polling, row
from werkzeug import Response
from world import flow, node

from models import Run

pytestmark = pytest.mark.usefixtures("path")


@pytest.fixture
def orders(httpserver):
    """The orders of a shop: a list that the test changes; `orders.asked` are the requests' queries."""

    class Orders(list):
        asked = []

    found = Orders([{"id": 1, "at": 10}, {"id": 2, "at": 20}])
    found.url = httpserver.url_for("/orders")

    def answer(request):
        found.asked.append(request.args.get("after"))
        after = int(request.args.get("after") or 0)
        return Response(json.dumps([order for order in found if order["at"] > after]), content_type="application/json")

    httpserver.expect_request("/orders").respond_with_handler(answer)
    Orders.asked = []
    return found


def new_orders(orders, **config):
    config = {"url": orders.url, "query": {"after": "{{ since or 0 }}"}, "cursor": "at", **config}
    return active(flow(node("new", "poll", config), node("end"), edges=["new end"]))


@pytest.mark.parametrize("backlog", [False, True])
def test_new_entries_start_one_run_each_and_since_is_the_last_cursor(orders, tmp_path, backlog):
    with polling(tmp_path, egress_allow=("localhost",), runs=True) as process:
        made = new_orders(orders, backlog=backlog)
        process.look()
        assert row(made).last_error is None
        orders += [{"id": 4, "at": 40}, {"id": 3, "at": 30}]
        process.look()
        process.look()
    assert orders.asked == ["0", "20", "40"]
    runs = Run.select().order_by(Run.id)
    assert [orjson.loads(run.input)["id"] for run in runs] == ([1, 2] if backlog else []) + [3, 4]
    # A run does not evaluate the expressions of the poll, which have no `since` there.
    assert {run.status for run in runs} == {"success"}


def test_a_failed_poll_is_shown_and_keeps_the_cursor(orders, tmp_path, httpserver):
    with polling(tmp_path, egress_allow=("localhost",)) as process:
        made = new_orders(orders)
        process.look()
        orders[:] = [{"at": 50}]
        process.look()
        assert "key: there is nothing at id in entry 1" in row(made).last_error
        assert orjson.loads(row(made).state)["since"] == 20
