"""Calls of a webhook that collects them."""

import pytest

from database.queries import debounces
from models import Debounce, Run

pytestmark = pytest.mark.usefixtures("shared_server")


def test_a_collected_call_is_answered_with_the_run_that_has_it(client, make_flow):
    hook = {"id": "hook", "type": "webhook", "config": {"path": "orders"}, "debounce": {"seconds": 3600, "keep": "all"}}
    make_flow({"nodes": [hook], "edges": []}, None, status="active", name="Orders")
    answers = [client.post("/api/webhooks/orders", {"n": n}) for n in range(3)]
    assert {answer.status_code for answer in answers} == {202}
    (id_,) = {answer.json["run_id"] for answer in answers}
    (run,) = Run.select()
    assert (run.id, run.status, run.waiting) == (id_, "pending", debounces.COLLECTING)
    assert Debounce.get().run_id == id_
