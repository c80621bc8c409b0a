"""The log of a real server: each of its lines is JSON and has the ids, or it is text as before; none has a secret."""

import http.client
import json
import re
import socket

import pytest
from servers import PASSWORD, Server, until

pytestmark = pytest.mark.slow

OWN_NODE = """
from marshmallow import Schema
from nodes.sdk import Node

class Burst(Node):
    \"\"\"Fails with an error that it does not expect.\"\"\"

    type = "acme_burst"
    category = "data"

    class Config(Schema):
        pass

    def run(self, config, input, ctx):
        raise RuntimeError("two\\nlines")
"""
SESAME = "open-sesame"
BROKEN = b"POST /api/broken HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nnot a size\r\n"
HOOK = {"id": "hook", "type": "webhook"}


def webhook(path, type_):
    """Return a flow behind a webhook, with one more node."""
    hook = {**HOOK, "config": {"path": path, "respond": "last"}}
    return {"nodes": [hook, {"id": "last", "type": type_}], "edges": [["hook", "last"]]}


def serve(folder, **settings):
    """Start a server with flows behind the webhooks `quick` and `bursting`."""
    nodes = folder / "nodes"
    nodes.mkdir()
    (nodes / "burst.py").write_text(OWN_NODE, encoding="utf-8")
    server = Server(folder / "data", **{"WEB_CONCURRENCY": 1, "HEADRACE_NODES_DIR": nodes, **settings})
    try:
        server.start().log_in()
        server.flows = [server.add_flow(webhook("quick", "noop")), server.add_flow(webhook("bursting", "acme_burst"))]
    except BaseException:
        server.close()
        raise
    return server


def send(server, method, path, headers=None):
    """Return the status, and the id that the response gives the request."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        body = "{}" if method == "POST" else None
        connection.request(method, path, body, {"Content-Type": "application/json", **(headers or {})})
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.getheader("X-Request-Id")
    finally:
        connection.close()


def stop(server):
    server.terminate()
    assert server.ended() == 0


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    settings = {"HEADRACE_LOG_FORMAT": "json", "HEADRACE_ACCESS_LOG": "1", "HEADRACE_TRUSTED_PROXIES": "1"}
    server = serve(tmp_path_factory.mktemp("log"), **settings)
    yield server
    server.close()


def entries(server):
    return [json.loads(line) for line in list(server.lines)]


def find(server, **fields):
    """Return the first line with these fields, once it is written."""
    return until(
        lambda: next((one for one in entries(server) if fields.items() <= one.items()), None), f"a line with {fields}"
    )


def test_each_line_from_the_start_on_is_a_json_object(server):
    assert find(server, message=f"Headrace is ready: http://127.0.0.1:{server.port}")
    for entry in entries(server):
        assert {"time", "level", "logger", "message", "process"} <= entry.keys()
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", entry["time"])


@pytest.mark.parametrize("path", ["/api/webhooks/quick", "/api/health"])
def test_a_request_is_logged_with_its_id_whoever_answers_it(server, path):
    method = "POST" if "webhooks" in path else "GET"
    status, given = send(server, method, path, {"X-Request-Id": f"trace:{path[-5:]}"})
    assert (status, given) == (200, f"trace:{path[-5:]}")
    line = find(server, request_id=given, logger="gunicorn.access")
    assert (line["method"], line["path"], line["status"], line["level"]) == (method, path, 200, "info")
    assert 0 < line["duration_ms"] < 60_000 and line["bytes"] > 0


@pytest.mark.parametrize("given", ["", "x" * 129, 'a"b', "a b", "ä"])
def test_an_invalid_id_of_a_request_is_replaced(server, given):
    _, made = send(server, "POST", "/api/webhooks/quick", {"X-Request-Id": given})
    assert re.fullmatch("[0-9a-f]{24}", made)


def test_an_error_in_a_node_is_logged_with_the_ids_of_its_run(server):
    send(server, "POST", "/api/webhooks/bursting")
    line = find(server, logger="headrace.engine")
    (made,) = server.call("GET", f"/api/runs?workflow_id={server.flows[1]}")["items"]
    assert (line["run_id"], line["workflow_id"], line["node_id"]) == (made["id"], server.flows[1], "last")
    assert line["workspace_id"] and line["level"] == "error"
    assert line["message"] == f"node last (acme_burst) of run {made['id']} raised"
    assert line["error"].startswith("Traceback") and line["error"].rstrip().endswith("RuntimeError: two\nlines")


def test_a_wrong_path_is_logged_and_no_line_has_a_secret(server):
    assert send(server, "GET", f"/api/nowhere?key={SESAME}")[0] == 404
    assert send(server, "GET", f"/api/runs/run_x/resume?token={SESAME}&node=a")[0] == 403
    assert send(server, "POST", f"/api/webhooks/quick?key={SESAME}", {"Referer": f"http://a/?{SESAME}"})[0] == 200
    assert send(server, "GET", "/api/runs", {"Authorization": f"Bearer {SESAME}"})[0] == 401
    assert find(server, path="/api/nowhere", status=404) and find(server, path="/api/runs", status=401)
    assert (
        find(server, path="/api/runs/run_x/resume", status=403)["request_id"]
        == find(server, logger="headrace.resume")["request_id"]
    )
    text = "".join(list(server.lines))
    assert not any(secret in text for secret in (SESAME, PASSWORD, server.token))


def test_the_end_of_a_server_is_json_too(tmp_path):
    server = serve(tmp_path, HEADRACE_LOG_FORMAT="json", HEADRACE_LOG_LEVEL="warning")
    try:
        assert send(server, "POST", "/api/webhooks/quick", {"X-Request-Id": "untrusted"})[1] != "untrusted"
        send(server, "POST", "/api/webhooks/bursting")
        find(server, logger="headrace.engine")
        stop(server)
        written = entries(server)
        # The address is told whatever the level is.
        assert {one["level"] for one in written if "is ready" not in one["message"]} <= {"warning", "error"}
        assert not [one for one in written if one["logger"] == "gunicorn.access"]
    finally:
        server.close()


@pytest.mark.parametrize("access_log", ["0", "1"])
def test_text_is_as_it_was_and_hides_queries(tmp_path, access_log):
    server = serve(tmp_path, HEADRACE_ACCESS_LOG=access_log)
    try:
        assert send(server, "POST", f"/api/webhooks/quick?key={SESAME}", {"X-Request-Id": "a"}) == (200, None)
        with socket.create_connection(("127.0.0.1", server.port), 60) as client:
            client.sendall(BROKEN)
            assert client.recv(4096).startswith(b"HTTP/1.1 400 Bad Request\r\n")
            client.close()
        server.call("POST", "/api/credentials", {"name": "key", "type": "http_bearer", "data": {"token": SESAME}})
        guarded = webhook("guarded/:id", "noop")
        guarded["nodes"][0]["config"] |= {"auth": "header", "credential": "key"}
        server.add_flow(guarded)
        assert send(server, "POST", "/api/webhooks/guarded/%0d%e2%80%a8FAKE")[0] == 401
        send(server, "POST", "/api/webhooks/bursting")
        until(lambda: any("RuntimeError: two" in line for line in list(server.lines)), "the error is logged")
        stop(server)
        text = "".join(server.lines)
    finally:
        server.close()
    assert f"\n\nHeadrace is ready:  http://127.0.0.1:{server.port}\n" in text
    assert re.search(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO headrace.database: database made$", text, re.M)
    assert re.search(r"^\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}\] \[\d+\] \[INFO\] Starting gunicorn", text, re.M)
    raised = (
        r"ERROR headrace.engine: node last \(acme_burst\) of run run_\w+ raised\nTraceback \(most recent call last\):"
    )
    assert re.search(raised, text)
    assert ('"POST /api/webhooks/quick?... HTTP/1.1" 200' in text) == (access_log == "1")
    assert ('"POST /api/broken HTTP/1.1" 400' in text) == (access_log == "1")
    assert text.count("Traceback") == 1
    assert r"webhook guarded/\r\u2028FAKE: a caller at 127.0.0.1 was refused" in text
    assert SESAME not in text and PASSWORD not in text
