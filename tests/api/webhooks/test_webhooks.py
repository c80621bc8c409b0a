"""Calls of webhooks: routing and responses."""

import json
import threading
from dataclasses import replace
from io import BytesIO

import orjson
import pytest
from world import at_once

from api.files import stream
from database import execute, write
from models import Run, Step, Webhook

pytestmark = pytest.mark.usefixtures("shared_server", "way")

ADD = {"id": "sum", "type": "set", "config": {"values": {"sum": "{{ input.body.a + input.body.b }}"}}}
STOP = {"id": "stop", "type": "stop", "config": {"message": "the inside story"}}


def definition(*nodes, path="orders", **config):
    """Return a webhook trigger followed by the nodes, one after the other."""
    hook = {"id": "hook", "type": "webhook", "config": {"path": path, **config}}
    ids = ["hook", *(node["id"] for node in nodes)]
    return {"nodes": [hook, *nodes], "edges": [list(pair) for pair in zip(ids, ids[1:], strict=False)]}


def respond(**config):
    return {"id": "answer", "type": "respond", "config": config}


@pytest.fixture
def hook(make_flow):
    """`hook(*nodes, **config)` makes an active flow of them behind /api/webhooks/orders."""

    def make(*nodes, who=None, name="Orders", **config):
        return make_flow(definition(*nodes, **config), who, status="active", name=name)

    return make


def only_run():
    """Return the only run."""
    (row,) = Run.select()
    return row


# Which flow


def test_a_call_starts_a_run_of_the_flow_with_the_request_as_its_input(client, hook):
    flow = hook(respond="last")
    answer = client.post("/api/webhooks/orders?a=1&b=2&b=3", {"x": "é"}, headers={"X-Shop": "Zoë"})
    assert answer.status_code == 200 and answer.mimetype == "application/json"
    got = answer.json
    assert got["headers"].pop("x-shop") == "Zoë" and got["headers"]["content-type"] == "application/json"
    assert {**got, "headers": 0} == {
        "method": "POST", "path": "orders", "query": {"a": "1", "b": ["2", "3"]}, "headers": 0, "body": {"x": "é"},
    }  # fmt: skip
    run = only_run()
    assert (run.workflow_id, run.triggered_by, run.trigger_node) == (flow["id"], "webhook", "hook")
    assert orjson.loads(run.input) == answer.json


@pytest.mark.parametrize("path", ["orders", "orders/", "/orders", "//orders//"])
def test_slashes_around_the_path_do_not_matter(client, hook, path):
    hook()
    assert client.post(f"/api/webhooks/{path}").status_code == 202


def test_a_path_may_have_several_parts(client, hook):
    hook(path="shop/orders/new")
    assert client.post("/api/webhooks/shop/orders/new").status_code == 202
    assert client.post("/api/webhooks/shop/orders").status_code == 404


@pytest.mark.parametrize("path", ["", "/", "nothing", "orders/x", "ORDERS", "a%00b", "%ff", "x" * 5000, "a'b", "a%0Ab"])
def test_an_unknown_path_is_404(client, hook, path):
    hook()
    answer = client.post(f"/api/webhooks/{path}", {})
    assert answer.status_code == 404 and set(answer.json) == {"error"}


def test_another_method_is_405_with_the_allowed_methods(client, hook):
    hook(methods=["POST", "PUT"])
    for method in ("GET", "DELETE", "PATCH", "HEAD"):
        answer = client.open("/api/webhooks/orders", method=method)
        assert answer.status_code == 405 and set(answer.headers["Allow"].split(", ")) == {"POST", "PUT"}
    assert client.put("/api/webhooks/orders").status_code == 202


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_each_method_can_be_taken(client, hook, method):
    hook(methods=[method], respond="last")
    assert client.open("/api/webhooks/orders", method=method).json["method"] == method


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
def test_a_preflight_request_is_not_a_call(client, hook, method):
    hook(methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
    client.open("/api/webhooks/orders", method=method)
    assert Run.select().count() == 0


def test_a_call_needs_no_session_and_may_be_sent_by_another_site(client, hook):
    hook()
    headers = {"Origin": "https://shop.example", "Sec-Fetch-Site": "cross-site", "Cookie": "headrace_session=x"}
    assert client.post("/api/webhooks/orders", {}, headers=headers).status_code == 202


def test_only_the_webhook_that_was_called_starts_the_run(client, make_flow):
    nodes = [{"id": id_, "type": "webhook", "config": {"path": id_, "respond": "last"}} for id_ in ("a", "b")]
    nodes += [{"id": f"after_{id_}", "type": "set", "config": {"values": {"via": id_}}} for id_ in ("a", "b")]
    make_flow({"nodes": nodes, "edges": [["a", "after_a"], ["b", "after_b"]]}, status="active")
    assert client.post("/api/webhooks/b").json == {"via": "b"}


# Changes of the flow


def test_changes_of_the_flow_are_changes_of_its_address_at_once(client, owner, hook):
    flow = f"/api/workflows/{hook(respond='last')['id']}"
    owner.put(flow, {"definition": definition(ADD, path="sums", respond="last")})
    assert client.post("/api/webhooks/orders", {}).status_code == 404
    assert client.post("/api/webhooks/sums", {"a": 1, "b": 2}).json == {"sum": 3}
    owner.put(flow, {"status": "archived"})
    assert client.post("/api/webhooks/sums", {}).status_code == 404
    owner.put(flow, {"status": "active"})
    owner.put(flow, {"name": "Renamed"})
    assert client.post("/api/webhooks/sums", {"a": 1, "b": 2}).json == {"sum": 3}
    owner.post(f"{flow}/restore", {"version": 1})
    assert client.post("/api/webhooks/sums", {}).status_code == 404
    assert client.post("/api/webhooks/orders", {}).status_code == 200
    owner.delete(flow)
    assert client.post("/api/webhooks/orders", {}).status_code == 404


def test_a_draft_has_no_address(client, make_flow):
    make_flow(definition())
    assert client.post("/api/webhooks/orders").status_code == 404


def test_a_template_that_is_used_has_no_address_until_it_is_active(client, owner):
    flow = owner.post("/api/templates/order-intake/use", {}).json
    assert Webhook.select().count() == 0
    answer = owner.put(f"/api/workflows/{flow['id']}", {"status": "active"})
    assert answer.status_code == 200 and Webhook.select().count() >= 1


# Addresses that are taken


def test_a_taken_address_is_409_and_nothing_is_changed(client, owner, hook, count_rows):
    hook(name="First")
    second = hook(name="Second", path="free")
    before = count_rows()
    answer = owner.post("/api/flows", {"name": "Third", "status": "active", "definition": definition()})
    assert answer.status_code == 409 and "POST orders" in answer.json["error"] and "'First'" in answer.json["error"]
    answer = owner.put(f"/api/workflows/{second['id']}", {"name": "New", "definition": definition()})
    assert answer.status_code == 409
    assert count_rows() == before
    assert owner.get(f"/api/workflows/{second['id']}").json == second
    assert client.post("/api/webhooks/free").status_code == 202


def test_the_address_of_another_workspace_is_taken_too_and_its_flow_is_not_named(other, hook):
    hook(name="Secret plans")
    answer = other.post("/api/flows", {"name": "Mine", "status": "active", "definition": definition()})
    assert answer.status_code == 409 and "Secret" not in answer.text


def test_activating_and_restoring_check_the_address_too(owner, hook, make_flow):
    made = make_flow(definition(path="free"), status="active")
    owner.put(f"/api/workflows/{made['id']}", {"definition": definition(path="other")})
    hook(path="free", name="First")
    assert owner.post(f"/api/workflows/{made['id']}/restore", {"version": 1}).status_code == 409
    draft = make_flow(definition(path="free"))
    assert owner.put(f"/api/workflows/{draft['id']}", {"status": "active"}).status_code == 409


def test_two_nodes_with_the_same_address_are_400_and_both_are_named(owner):
    nodes = [{"id": id_, "type": "webhook", "config": {"path": "x"}} for id_ in ("first", "second")]
    answer = owner.post("/api/flows", {"name": "A", "status": "active", "definition": {"nodes": nodes}})
    assert answer.status_code == 400 and "first" in answer.text and "second" in answer.text
    assert answer.json["details"][0]["node_id"] == "second"


# Answers


def test_an_immediate_answer_has_the_id_of_a_run_that_is_on_record(client, hook, gate):
    hook({"id": "wait", "type": "gate"})
    answer = client.post("/api/webhooks/orders", {})
    assert answer.status_code == 202 and set(answer.json) == {"run_id"}
    assert Run.find(answer.json["run_id"]).status in ("running", "pending")


@pytest.mark.parametrize("value", [{"a": [1, "é", None]}, [], "text", 0, False, None, "x" * 100_000])
def test_the_last_output_is_the_answer_as_json(client, hook, value):
    hook({"id": "give", "type": "jmespath", "config": {"query": "body.value"}}, respond="last")
    answer = client.post("/api/webhooks/orders", {"value": value})
    assert answer.status_code == 200 and answer.mimetype == "application/json" and answer.json == value


@pytest.mark.parametrize("mode", ["last", "node"])
def test_a_failed_run_is_500_without_its_error(client, hook, mode):
    hook(STOP, respond=mode)
    answer = client.post("/api/webhooks/orders", {})
    assert answer.status_code == 500
    assert answer.json == {"error": "The run failed", "run_id": only_run().id}
    assert only_run().error_text == "the inside story"


@pytest.mark.parametrize("mode", ["last", "node"])
def test_a_run_that_takes_longer_than_the_wait_is_202(client, hook, gate, server, monkeypatch, mode):
    hook({"id": "wait", "type": "gate"}, respond=mode)
    monkeypatch.setattr(server.dispatcher, "config", replace(server.config, webhook_wait=0))
    answer = client.post("/api/webhooks/orders", {})
    assert answer.status_code == 202 and answer.json == {"run_id": only_run().id}


def test_a_respond_node_sets_status_headers_and_body(client, hook):
    hook(
        ADD,
        respond(status=201, headers={"X-Shop": "Zoë", "Location": "/x"}, body={"n": "{{ input.sum }}"}),
        respond="node",
    )  # noqa: E501
    answer = client.post("/api/webhooks/orders", {"a": 1, "b": 2})
    assert (answer.status_code, answer.json, answer.mimetype) == (201, {"n": 3}, "application/json")
    assert answer.headers["Location"] == "/x"
    assert answer.headers["X-Shop"].encode("latin-1").decode() == "Zoë"


@pytest.mark.parametrize(
    ("says", "content_type", "data"),
    [
        ({"body": "plain é"}, "text/plain; charset=utf-8", "plain é".encode()),
        ({"body": ""}, "text/plain; charset=utf-8", b""),
        ({"body": "<p>", "headers": {"content-type": "text/html"}}, "text/html", b"<p>"),
        ({"body": "a,b", "headers": {"Content-Type": "text/csv; charset=utf-8"}}, "text/csv; charset=utf-8", b"a,b"),
        ({"body": {"a": 1}}, "application/json", b'{"a":1}'),
        ({"body": [1], "headers": {"Content-Type": "application/x+json"}}, "application/x+json", b"[1]"),
        ({"body": None}, "application/json", b"null"),
        ({"body": "{{ 1 + 1 }}"}, "application/json", b"2"),
    ],
)
def test_a_body_is_text_or_json(client, hook, says, content_type, data):
    hook(respond(**says), respond="node")
    answer = client.post("/api/webhooks/orders")
    assert (answer.status_code, answer.headers["Content-Type"], answer.data) == (200, content_type, data)
    assert len(answer.headers.getlist("Content-Type")) == 1


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_a_body_has_none(client, hook, status):
    hook(respond(status=status, body={"a": 1}), respond="node")
    answer = client.post("/api/webhooks/orders")
    assert (answer.status_code, answer.data) == (status, b"")


FORBIDDEN = {
    "Set-Cookie": "headrace_session=x", "Content-Length": "1", "Transfer-Encoding": "chunked", "Connection": "close",
    "Server": "x", "Clear-Site-Data": '"*"', "X-Accel-Redirect": "/etc/passwd", "Strict-Transport-Security": "x",
    "X-Frame-Options": "ALLOWALL", "X-Content-Type-Options": "x",
}  # fmt: skip


def test_a_flow_cannot_answer_in_the_servers_name(client, hook):
    hook(respond(headers={**FORBIDDEN, "X-Fine": "1"}, body="<script>", status=200), respond="node")
    headers = client.post("/api/webhooks/orders").headers
    for name, value in FORBIDDEN.items():
        assert value not in headers.getlist(name), name
    assert headers["X-Fine"] == "1"
    assert headers["X-Content-Type-Options"] == "nosniff" and headers["X-Frame-Options"] == "DENY"


def test_a_page_that_a_flow_answers_is_in_a_sandbox_and_others_are_not(client, owner, hook):
    hook(respond(headers={"Content-Type": "text/html"}, body="<script>alert(1)</script>"), respond="node")
    policies = client.post("/api/webhooks/orders").headers.getlist("Content-Security-Policy")
    assert policies[0] == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    assert policies[1].endswith("; form-action 'self'; sandbox allow-forms")
    assert "sandbox" not in owner.get("/api/flows").headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    "own", ["sandbox allow-scripts allow-same-origin", "sandbox allow-scripts, x", "form-action *;"]
)
def test_a_flows_own_policy_loosens_nothing_of_ours(client, hook, own):
    headers = {"Content-Type": "text/html", "Content-Security-Policy": own, "content-security-policy": own}
    hook(respond(headers=headers, body="<script>alert(1)</script>"), respond="node")
    policies = client.post("/api/webhooks/orders").headers.getlist("Content-Security-Policy")
    # In one policy the first of two directives of the same name counts; of several policies, each does.
    assert policies == [own, "frame-ancestors 'none'; base-uri 'none'; form-action 'self'; sandbox allow-forms"]


@pytest.mark.parametrize(
    ("dest", "site", "status"),
    [
        ("script", "same-origin", 403),
        ("serviceworker", "same-origin", 403),
        ("style", "same-origin", 403),
        ("script", "cross-site", 200),
        ("empty", "same-origin", 200),
        ("document", "same-origin", 200),
        ("image", "same-origin", 200),
    ],
)
def test_the_response_of_a_flow_cannot_be_embedded_in_our_pages(client, hook, dest, site, status, count_rows):
    """Their policy allows scripts of this server; browsers send the purpose of a request."""
    hook(respond(headers={"Content-Type": "text/javascript"}, body="alert(1)"), respond="node", methods=["GET"])
    before = count_rows()["runs"]
    headers = {"Sec-Fetch-Dest": dest, "Sec-Fetch-Site": site}
    assert client.get("/api/webhooks/orders", headers=headers).status_code == status
    assert count_rows()["runs"] - before == (status == 200)


def test_the_first_respond_node_that_ran_is_the_one(client, make_flow):
    check = {"id": "check", "type": "if", "config": {"condition": "{{ input.body.big }}"}}
    flow = definition(check, path="sizes", respond="node")
    for branch, text in (("true", "big"), ("false", "small")):
        flow["nodes"].append({"id": text, "type": "respond", "config": {"body": text}})
        flow["nodes"].append({"id": f"{text}_later", "type": "respond", "config": {"body": "too late"}})
        flow["edges"] += [["check", text, branch], [text, f"{text}_later"]]
    make_flow(flow, status="active")
    assert client.post("/api/webhooks/sizes", {"big": True}).text == "big"
    assert client.post("/api/webhooks/sizes", {"big": False}).text == "small"


def test_the_response_of_a_respond_node_is_sent_even_if_the_run_fails_later(client, hook):
    hook(respond(status=202, body="taken"), STOP, respond="node")
    answer = client.post("/api/webhooks/orders")
    assert (answer.status_code, answer.text, only_run().status) == (202, "taken", "failed")


def test_a_run_without_a_respond_node_answers_its_id(client, hook):
    hook(ADD, respond="node")
    answer = client.post("/api/webhooks/orders", {"a": 1, "b": 2})
    assert (answer.status_code, answer.json) == (200, {"run_id": only_run().id})


@pytest.mark.parametrize("change", [{"disabled": True}, {"foreach": [1, 2]}])
def test_disabled_and_looping_respond_nodes_are_ignored(client, hook, change):
    hook({**respond(body="x"), **change}, respond="node")
    assert client.post("/api/webhooks/orders").json == {"run_id": only_run().id}


def test_a_respond_node_that_failed_is_passed_over(client, hook):
    hook({**respond(body="{{ input.body.nothing }}"), "on_error": "continue"}, respond="node")
    answer = client.post("/api/webhooks/orders", {})
    assert (answer.status_code, answer.json) == (200, {"run_id": only_run().id})


def test_a_large_response_is_complete(client, hook):
    hook(respond(body="{{ input.body.text }}"), respond="node")
    text = "é" * 200_000
    assert client.post("/api/webhooks/orders", {"text": text}).text == text


# Trouble


def test_a_full_server_is_503_with_retry_after_and_starts_nothing(client, hook, server, monkeypatch):
    hook()
    monkeypatch.setattr(server.dispatcher, "is_open", lambda: False)
    answer = client.post("/api/webhooks/orders")
    assert answer.status_code == 503 and answer.headers["Retry-After"] and Run.select().count() == 0


def test_an_invalid_definition_is_503_without_its_errors(client, hook, caplog):
    hook(ADD)
    for table in ("workflows", "workflow_versions"):
        with write():
            execute(f"UPDATE {table} SET definition_json = replace(definition_json, '\"set\"', '\"gone_type\"')")
    answer = client.post("/api/webhooks/orders", {})
    assert answer.status_code == 503 and "gone_type" not in answer.text and "gone_type" in caplog.text


def test_a_body_over_the_bound_is_413_however_it_is_sent(app, client, hook, monkeypatch):
    hook()
    monkeypatch.setitem(app.config, "MAX_CONTENT_LENGTH", 1000)
    assert client.post("/api/webhooks/orders", data=b"x" * 1000).status_code == 202
    assert client.post("/api/webhooks/orders", data=b"x" * 1001).status_code == 413
    chunked = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
    for size, status in ((1000, 202), (1001, 413)):
        answer = client.post("/api/webhooks/orders", input_stream=BytesIO(b"x" * size), environ_overrides=chunked)
        assert answer.status_code == status
    whole = {"wsgi.input_terminated": True}
    for size, status in ((1000, 202), (1001, 413)):
        assert client.post("/api/webhooks/orders", data=b"x" * size, environ_overrides=whole).status_code == status
    assert Run.select().count() == 3


def test_a_body_that_breaks_off_is_400_and_starts_no_run(client, hook):
    class Broken(BytesIO):
        def read(self, size=-1):
            raise ConnectionResetError

    hook()
    whole = {"wsgi.input_terminated": True, "CONTENT_LENGTH": "9"}
    answer = client.post("/api/webhooks/orders", input_stream=Broken(), environ_overrides=whole)
    assert answer.status_code == 400 and Run.select().count() == 0


def test_a_plan_is_made_once_and_the_definition_read_no_more(client, hook, monkeypatch):
    hook(respond="last")
    assert client.post("/api/webhooks/orders").status_code == 200
    monkeypatch.setattr(
        "database.queries.webhooks.Fired.definition_json", property(lambda self: pytest.fail("was read"))
    )
    assert client.post("/api/webhooks/orders").status_code == 200


def test_many_callers_at_once_each_get_their_own_answer(app, hook):
    hook(ADD, respond(body="{{ input.sum }}"), respond="node")

    def call(number):
        return app.test_client().post("/api/webhooks/orders", {"a": number, "b": 1000}).json

    assert at_once(24, call) == [1000 + number for number in range(24)]
    assert threading.active_count() < 100


# Files and bytes


def answered(client, hook, **config):
    """Return the response of a flow whose respond node has this config."""
    hook({"id": "answer", "type": "respond", "config": config}, respond="node")
    return client.post("/api/webhooks/orders", {"png": "iVBORw0KGgo=", "path": "a/may.csv"})


@pytest.fixture
def files(server, owner):
    return server.dispatcher.resources.files_of(owner.workspace.id)


def test_a_file_of_the_workspace_is_sent_as_it_is_with_its_type_and_name(client, hook, files):
    content = bytes(range(256)) * 1_000
    files.write("a/Größe.pdf", content)
    answer = answered(client, hook, file="a/Größe.pdf", status=201)
    assert (answer.status_code, answer.mimetype, answer.data) == (201, "application/pdf", content)
    assert answer.headers["Content-Length"] == str(len(content))
    assert answer.headers["Content-Disposition"] == "inline; filename*=UTF-8''Gr%C3%B6%C3%9Fe.pdf"
    assert answer.headers.getlist("Content-Security-Policy")[1].endswith("sandbox allow-forms")
    step = Step.get(Step.node_type == "respond")
    assert json.loads(step.output)["file"] == {
        "path": "a/Größe.pdf", "name": "Größe.pdf", "size": len(content), "content_type": "application/pdf",
    }  # fmt: skip


def test_a_file_is_named_by_an_expression_and_saved_under_another_name(client, hook, files):
    files.write("a/may.csv", b"a,b")
    answer = answered(client, hook, file="{{ input.body.path }}", name="May „2026“.txt")
    assert answer.headers["Content-Disposition"].startswith("attachment; filename*=UTF-8''May%20")
    assert answer.headers["Content-Type"].startswith("text/plain") and answer.data == b"a,b"


def test_headers_of_the_flow_replace_the_type_and_name_of_the_file(client, hook, files):
    files.write("a", b"<p>")
    given = {"content-type": "text/html", "Content-Disposition": "inline", "Set-Cookie": "a=b"}
    answer = answered(client, hook, file={"path": "a"}, headers=given)
    assert answer.headers.getlist("Content-Type") == ["text/html"]
    assert answer.headers.getlist("Content-Disposition") == ["inline"] and "Set-Cookie" not in answer.headers


def test_bytes_are_sent_as_bytes(client, hook):
    answer = answered(client, hook, base64="{{ input.body.png }}", headers={"Content-Type": "image/png"})
    assert (answer.status_code, answer.mimetype, answer.data) == (200, "image/png", b"\x89PNG\r\n\x1a\n")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"file": "nothing.txt"}, "the file does not exist"),
        ({"file": "../../secret.key"}, "leads out of the workspace's files"),
        ({"base64": "{{ input.body.path }}"}, "must be base64"),
        ({"base64": "{{ input.body.png }}", "file": "{{ input.body.path }}"}, "cannot be combined"),
    ],
)
def test_a_response_that_cannot_be_sent_fails_the_run_with_a_reason(client, owner, hook, given, words):
    answer = answered(client, hook, **given)
    assert answer.status_code == 500 and answer.json["error"] == "The run failed"
    assert words in owner.get(f"/api/runs/{answer.json['run_id']}").json["error_text"]


def test_a_file_that_is_gone_when_it_is_to_be_sent_is_a_500(client, hook, files, monkeypatch):
    files.write("a", b"x")
    monkeypatch.setattr(
        "api.webhooks.stream", lambda files, path, *more: (files.delete(path), stream(files, path, *more))[1]
    )
    answer = answered(client, hook, file="a")
    assert answer.status_code == 500 and "file" in answer.json["error"] and answer.json["run_id"]


def test_a_body_that_names_a_file_is_a_body(client, hook, files):
    files.write("secret", b"hunter2")
    answer = answered(client, hook, body={"file": {"path": "secret", "content_type": "text/plain"}})
    assert "hunter2" not in answer.text and answer.json["file"]["path"] == "secret"


def test_a_node_that_has_two_bodies_is_not_valid(owner, make_flow):
    nodes = [{"id": "answer", "type": "respond", "config": {"body": "x", "file": "y"}}]
    checked = owner.post("/api/workflows/validate", {"definition": {"nodes": nodes}}).json
    assert [(issue["path"], checked["ok"]) for issue in checked["issues"]] == [("nodes[0].config.file", False)]
