"""Repeated calls of webhooks: the header with the idempotency key, and the request that it stands for."""

import pytest
from test_webhooks import ADD, definition
from world import at_once

from database import execute, write
from models import LogEntry, Run

pytestmark = pytest.mark.usefixtures("shared_server", "way")

NAMED = {"dedupe_header": "Idempotency-Key"}
DEBOUNCED = {"config": {}, "debounce": {"seconds": 60}}


@pytest.fixture
def hook(make_flow):
    """`hook(*nodes, **config)` makes an active flow of them behind /api/webhooks/orders."""
    return lambda *nodes, **config: make_flow(definition(*nodes, **config), status="active")


@pytest.mark.parametrize("mode", ["immediately", "last", "node"])
def test_the_same_key_answers_the_first_run_again(client, hook, mode):
    hook(ADD, respond=mode, **NAMED)
    headers = {"Idempotency-Key": "k-1"}
    first = client.post("/api/webhooks/orders", {"a": 1, "b": 1}, headers=headers)
    again = client.post("/api/webhooks/orders", {"b": 1, "a": 1}, headers=headers)
    assert (again.status_code, again.data) == (first.status_code, first.data)
    assert Run.select().count() == 1
    client.post("/api/webhooks/orders", {"a": 1, "b": 1}, headers={"Idempotency-Key": "k-2"})
    client.post("/api/webhooks/orders", {"a": 1, "b": 1})
    assert Run.select().count() == 3


@pytest.mark.parametrize("more", [{"respond": "immediately"}, {"respond": "last"}, DEBOUNCED], ids=str)
def test_the_same_key_with_another_body_is_422(client, make_flow, more):
    node = {"id": "hook", "type": "webhook", "config": {"path": "orders", **NAMED, **more.get("config", more)}}
    make_flow({"nodes": [{**node, **{k: v for k, v in more.items() if k == "debounce"}}]}, status="active")
    headers = {"Idempotency-Key": "k-1"}
    assert client.post("/api/webhooks/orders", {"a": 1}, headers=headers).status_code in (200, 202)
    answer = client.post("/api/webhooks/orders", {"a": 2}, headers=headers)
    assert answer.status_code == 422 and "another method, path or body" in answer.json["error"]
    assert Run.select().count() == 1


def test_a_key_belongs_to_one_path_and_one_method(client, hook):
    hook(path="orders/:id", methods=["POST", "PUT"], **NAMED)
    headers = {"Idempotency-Key": "k-1"}
    assert client.post("/api/webhooks/orders/1", {}, headers=headers).status_code == 202
    assert client.post("/api/webhooks/orders/2", {}, headers=headers).status_code == 422
    assert client.put("/api/webhooks/orders/1", {}, headers=headers).status_code == 422


def test_a_key_of_before_the_hash_of_its_request_was_kept_answers_the_first_run(client, hook):
    hook(**NAMED)
    headers = {"Idempotency-Key": "k-1"}
    first = client.post("/api/webhooks/orders", {"a": 1}, headers=headers).json
    with write():
        execute("UPDATE idempotency_keys SET request_hash = NULL")
    assert client.post("/api/webhooks/orders", {"a": 2}, headers=headers).json == first


def test_without_authentication_only_the_header_that_the_node_names_has_a_key(client, hook):
    hook(ADD, respond="last")
    headers = {"Idempotency-Key": "order-17"}
    answers = [client.post("/api/webhooks/orders", {"a": n, "b": 1}, headers=headers).json["sum"] for n in (1, 2)]
    assert answers == [2, 3] and Run.select().count() == 2


@pytest.fixture
def with_secret(owner, hook):
    """Add a webhook with authentication, and return the headers with its secret."""

    def make(**config):
        body = {"name": "key", "type": "http_bearer", "data": {"token": "a token of a webhook"}}
        owner.post("/api/credentials", body)
        hook(auth="header", credential="key", **config)
        return {"Authorization": "Bearer a token of a webhook"}

    return make


def test_the_nodes_own_header_marks_a_call_and_with_authentication_the_usual_one_where_it_is_missing(
    client, with_secret
):
    secret = with_secret(dedupe_header="X-GitHub-Delivery")
    for headers in (
        {"X-GitHub-Delivery": "d1", "Idempotency-Key": "1"},
        {"X-GitHub-Delivery": "d1", "Idempotency-Key": "2"},
        {"Idempotency-Key": "3"},
        {"Idempotency-Key": "3"},
    ):
        assert client.post("/api/webhooks/orders", {}, headers=secret | headers).status_code == 202
    assert Run.select().count() == 2


def test_the_same_key_on_another_webhook_of_the_flow_is_another_key(client, make_flow):
    nodes = [{"id": id_, "type": "webhook", "config": {"path": id_, **NAMED}} for id_ in ("a", "b")]
    make_flow({"nodes": nodes}, status="active")
    ids = {client.post(f"/api/webhooks/{path}", headers={"Idempotency-Key": "k"}).json["run_id"] for path in "ab"}
    assert len(ids) == 2


@pytest.mark.parametrize("key", ["", "x" * 201])
def test_a_key_that_cannot_be_is_400(client, hook, key):
    hook(**NAMED)
    answer = client.post("/api/webhooks/orders", {}, headers={"Idempotency-Key": key})
    assert answer.status_code == 400 and "Idempotency-Key" in answer.json["error"] and Run.select().count() == 0


def test_a_key_of_a_day_ago_is_new(client, hook):
    hook(**NAMED)
    first = client.post("/api/webhooks/orders", headers={"Idempotency-Key": "k"}).json["run_id"]
    with write():
        execute("UPDATE idempotency_keys SET created_at = created_at - 86400001")
    assert client.post("/api/webhooks/orders", headers={"Idempotency-Key": "k"}).json["run_id"] != first


@pytest.mark.parametrize("key", ["hook:hook:k", "run:k", "k"])
def test_idempotency_keys_of_runs_and_of_webhook_calls_are_separate(client, owner, hook, key):
    flow = hook(**NAMED)
    run = owner.post(f"/api/workflows/{flow['id']}/run", {"input": {}}, headers={"Idempotency-Key": key}).json
    called = client.post("/api/webhooks/orders", headers={"Idempotency-Key": "k"}).json
    assert called["run_id"] != run["id"]


def test_thirty_calls_with_the_same_key_at_once_are_one_run(app, hook):
    hook(ADD, {"id": "note", "type": "log", "config": {"message": "ran"}}, respond="last", **NAMED)
    headers = {"Idempotency-Key": "once"}

    def call(number):
        answer = app.test_client().post("/api/webhooks/orders", {"a": 1, "b": 2}, headers=headers)
        return answer.status_code, answer.json["sum"]

    assert set(at_once(30, call)) == {(200, 3)}
    assert Run.select().count() == 1 and LogEntry.select().count() == 1
