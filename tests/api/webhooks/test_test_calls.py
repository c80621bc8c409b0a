"""Test calls of webhooks: a listener of the editor, and the test address that it opens for one call."""

import json

import pytest

from database import execute, write
from database.queries import webhooks
from models import AuditEntry, Run, WebhookListener

pytestmark = pytest.mark.usefixtures("shared_server")

SUM = {"id": "sum", "type": "set", "config": {"values": {"sum": "{{ input.body.a + input.body.b }}"}}}


def definition(*nodes, **config):
    """Return a webhook followed by these nodes."""
    hook = {"id": "hook", "type": "webhook", "config": {"path": "orders", "respond": "last", **config}}
    ids = ["hook", *(node["id"] for node in nodes)]
    return {"nodes": [hook, *nodes], "edges": [list(pair) for pair in zip(ids, ids[1:], strict=False)]}


@pytest.fixture
def saved(make_flow):
    return make_flow(definition())


def listen(client, flow, status=201, **body):
    answer = client.post(f"/api/workflows/{flow['id']}/test-call", body)
    assert answer.status_code == status, answer.text
    return answer.json


def shown(client, flow, status=200):
    answer = client.get(f"/api/workflows/{flow['id']}/test-call")
    assert answer.status_code == status, answer.text
    return answer.json


def call(client, flow, body=None, path="orders", **options):
    method = options.pop("method", "POST")
    return client.open(f"/api/webhooks-test/{flow['id']}/{path}", method=method, json=body or {}, **options)


def test_a_call_runs_the_unsaved_definition_of_an_inactive_flow_and_is_answered(owner, client, saved):
    begun = listen(owner, saved, definition=definition(SUM))
    assert (begun["state"], begun["run_id"]) == ("listening", None)
    assert begun["addresses"] == [{"method": "POST", "path": f"/api/webhooks-test/{saved['id']}/orders"}]
    answer = client.post(begun["addresses"][0]["path"] + "?x=1", {"a": 2, "b": 3})
    assert (answer.status_code, answer.json) == (200, {"sum": 5})
    after = shown(owner, saved)
    run = owner.get(f"/api/runs/{after['run_id']}").json
    assert (after["state"], after["id"]) == ("called", begun["id"])
    assert (run["status"], run["triggered_by"], run["draft"], run["workflow_id"]) == (
        "success", "manual", True, saved["id"],
    )  # fmt: skip
    assert (run["input"]["body"], run["input"]["query"], run["input"]["path"]) == (
        {"a": 2, "b": 3},
        {"x": "1"},
        "orders",
    )
    assert client.post("/api/webhooks/orders", {}).status_code == 404


def test_a_listener_takes_one_call(owner, client, saved):
    assert call(client, saved).status_code == 404
    listen(owner, saved)
    assert call(client, saved).status_code == 200
    again = call(client, saved)
    assert again.status_code == 404 and "Nobody is listening" in again.json["error"]
    assert Run.select().count() == 1


def test_only_one_of_two_calls_claims_the_listener(owner, client, saved):
    listen(owner, saved)
    row = WebhookListener.find(saved["id"])
    assert (
        webhooks.claim_listener(row)
        and not webhooks.claim_listener(row)
        and not webhooks.claim_listener(WebhookListener.find(saved["id"]))
    )
    assert call(client, saved).status_code == 404


def test_a_listener_ends_at_its_deadline(owner, client, saved):
    listen(owner, saved, seconds=1)
    with write():
        execute("UPDATE webhook_listeners SET until = 1 WHERE workflow_id = ?", (saved["id"],))
    assert shown(owner, saved)["state"] == "expired" and call(client, saved).status_code == 404
    assert not webhooks.claim_listener(WebhookListener.find(saved["id"])) and Run.select().count() == 0
    listen(owner, saved)
    assert call(client, saved).status_code == 200


def test_a_listener_is_stopped(owner, client, saved):
    listen(owner, saved)
    assert owner.delete(f"/api/workflows/{saved['id']}/test-call").status_code == 204
    assert call(client, saved).status_code == 404
    assert "Nobody is listening" in shown(owner, saved, 404)["error"]
    assert owner.delete(f"/api/workflows/{saved['id']}/test-call").status_code == 204


def test_calls_of_the_active_flow_are_never_taken(owner, client, make_flow):
    flow = make_flow(definition(), status="active")
    listen(owner, flow, definition=definition({"id": "end", "type": "stop", "config": {"message": "test"}}))
    assert client.post("/api/webhooks/orders", {}).status_code == 200
    assert shown(owner, flow)["state"] == "listening"
    assert call(client, flow).status_code == 500
    assert [run.triggered_by for run in Run.select().order_by(Run.id)] == ["webhook", "manual"]


def test_only_the_webhook_that_is_called_starts_the_run(owner, client, make_flow):
    nodes = [{"id": id_, "type": "webhook", "config": {"path": id_, "respond": "last"}} for id_ in ("a", "b")]
    nodes += [{"id": f"after_{id_}", "type": "set", "config": {"values": {"via": id_}}} for id_ in ("a", "b")]
    flow = make_flow({"nodes": nodes, "edges": [["a", "after_a"], ["b", "after_b"]]})
    assert [one["path"][-2:] for one in listen(owner, flow)["addresses"]] == ["/a", "/b"]
    assert call(client, flow, path="b").json == {"via": "b"}


def test_other_paths_and_methods_are_refused_and_leave_the_listener_open(owner, client, saved, make_flow):
    listen(owner, saved)
    assert call(client, saved, path="nothing").status_code == 404
    refused = call(client, saved, method="PUT")
    assert refused.status_code == 405 and refused.headers["Allow"] == "POST"
    assert call(client, make_flow(definition())).status_code == 404
    assert call(client, {"id": "wf_nothing"}).status_code == 404
    assert call(client, saved).status_code == 200


def test_callers_authenticate_as_the_node_says(owner, client, make_flow):
    bearer = {"name": "till", "type": "http_bearer", "data": {"token": "t-4711"}}
    assert owner.post("/api/credentials", bearer).status_code == 201
    flow = make_flow(definition())
    listen(owner, flow, definition=definition(auth="header", credential="till"))
    refused = call(client, flow)
    assert (refused.status_code, refused.json) == (401, {"error": "You may not call this webhook"})
    assert call(client, flow, headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert shown(owner, flow)["state"] == "listening" and Run.select().count() == 0
    answer = call(client, flow, headers={"Authorization": "Bearer t-4711"})
    assert answer.status_code == 200 and "t-4711" not in answer.text
    listen(owner, flow, definition=definition(auth="header", credential="gone"))
    assert call(client, flow, headers={"Authorization": "Bearer t-4711"}).status_code == 503
    assert shown(owner, flow)["state"] == "listening"


def test_pinned_outputs_are_used(owner, client, saved):
    draft = definition({"id": "ask", "type": "http", "config": {"url": "http://127.0.0.1:9/"}}, SUM)
    draft["nodes"][2]["config"]["values"] = {"sum": "{{ input.n }}"}
    listen(owner, saved, definition=draft, pinned={"ask": {"output": {"n": 7}}})
    assert call(client, saved).json == {"sum": 7}


def test_another_member_waits_until_the_listener_ends(owner, member, saved, client):
    editor = member("editor")
    listen(editor, saved)
    assert "Another member" in listen(owner, saved, 409)["error"]
    first = listen(editor, saved)
    assert call(client, saved).status_code == 200
    assert listen(owner, saved)["id"] != first["id"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"seconds": 0}, "seconds"),
        ({"seconds": 901}, "seconds"),
        ({"seconds": "10"}, "seconds"),
        ({"more": 1}, "more"),
        ({"definition": {"nodes": [], "edges": []}}, "at least one node"),
        ({"definition": definition(path="")}, "path"),
        (
            {"definition": {"nodes": [{"id": "a", "type": "manual"}], "edges": []}},
            "no webhook or form that could be called",
        ),
        ({"pinned": {"hook": {"output": 1}}, "definition": definition(SUM)}, "no webhook or form that could be called"),
        ({"pinned": {"nothing": {"output": 1}}}, "nothing"),
    ],
)
def test_a_wrong_request_to_listen_is_400(owner, saved, body, words):
    assert words in json.dumps(listen(owner, saved, 400, **body))
    assert WebhookListener.select().count() == 0


def test_listening_needs_the_role_editor_and_is_audited(owner, member, saved):
    operator = member("operator")
    listen(operator, saved, 403)
    shown(operator, saved, 403)
    assert operator.delete(f"/api/workflows/{saved['id']}/test-call").status_code == 403
    listen(owner, saved, definition=definition(SUM))
    entry = AuditEntry.get(action="flow.listened")
    assert (entry.target_id, json.loads(entry.changes)) == (saved["id"], {"draft": True})


def test_an_archived_flow_is_not_tested(owner, client, saved):
    listen(owner, saved)
    owner.put(f"/api/workflows/{saved['id']}", {"status": "archived"})
    assert call(client, saved).status_code == 404
    assert "archived" in listen(owner, saved, 409)["error"]


def test_a_call_that_starts_no_run_leaves_the_listener_open(owner, client, saved, server, monkeypatch):
    listen(owner, saved)
    monkeypatch.setattr(server.dispatcher, "is_paused", True)
    assert call(client, saved).status_code == 503
    assert shown(owner, saved)["state"] == "listening"
    monkeypatch.undo()
    assert call(client, saved).status_code == 200
