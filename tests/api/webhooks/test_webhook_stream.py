"""Webhooks that answer with server-sent events: one for each response of the run, and its end."""

import http.client
import itertools
import json
import time
from contextlib import ExitStack, closing
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from servers import serving, until
from test_webhooks import STOP, definition

from api.webhooks import event_stream as stream
from api.webhooks.event_stream import make_event
from database.queries.webhooks import WebhookTarget
from dispatch.waiting import WaitingThreads
from errors import Unavailable
from models import Run

NUMBERS = itertools.count(10)
PATH = "/api/webhooks/orders"
WAIT = {"id": "wait", "type": "wait", "config": {"seconds": 0.6}}


def said(id_, body):
    return {"id": id_, "type": "respond", "config": {"body": body}}


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """No stream of a test stays open for minutes."""
    monkeypatch.setattr(stream, "MAX_SECONDS", 20)


@pytest.fixture
def hook(make_flow):
    """`hook(*nodes, **config)` makes an active flow of them that streams."""
    return lambda *nodes, **config: make_flow(definition(*nodes, respond="stream", **config), status="active")


def parse(text):
    """Return the events of a stream as (name, id, data)."""
    found = []
    for block in text.split("\n\n"):
        lines = [line.partition(": ") for line in block.splitlines() if not line.startswith(":")]
        if lines:
            data = "\n".join(value for name, _, value in lines if name == "data")
            one = {name: value for name, _, value in lines}
            found.append((one.get("event", "message"), one.get("id"), data))
    return found


def test_each_response_is_an_event_and_the_last_one_has_the_status(client, hook):
    hook(said("one", {"step": 1}), said("two", "first line\nsecond: line\n"), said("three", [3]))
    answer = client.post(PATH, {})
    run = Run.select().get()
    assert answer.status_code == 200 and answer.mimetype == "text/event-stream"
    assert answer.headers["X-Accel-Buffering"] == "no" and answer.headers["Cache-Control"] == "no-store"
    (first, *events, last) = parse(answer.text)
    assert first == ("run", None, json.dumps({"run_id": run.id}, separators=(",", ":")))
    assert [(name, data) for name, _, data in events] == [
        ("message", '{"step":1}'), ("message", "first line\nsecond: line\n"), ("message", "[3]"),
    ]  # fmt: skip
    assert [int(id_) for _, id_, _ in events] == sorted({int(id_) for _, id_, _ in events})
    assert (last[0], json.loads(last[2])) == ("end", {"run_id": run.id, "status": "success"})


def test_a_run_that_pauses_goes_on_in_the_same_stream(client, hook):
    hook(said("one", 1), WAIT, said("two", 2))
    assert [data for name, _, data in parse(client.post(PATH, {}).text) if name == "message"] == ["1", "2"]


def test_a_failed_run_says_so_without_its_reason(client, hook):
    hook(said("one", 1), STOP)
    answer = client.post(PATH, {})
    *_, (name, _, data) = parse(answer.text)
    assert (name, json.loads(data)["status"]) == ("end", "failed") and "inside story" not in answer.text


def test_a_refused_call_streams_nothing(client, hook):
    hook(said("one", 1), max_body_bytes=5, allow_ips=["203.0.113.1"])
    assert client.post(PATH, {}).status_code == 403
    assert client.post(PATH, {"a": "long"}, environ_base={"REMOTE_ADDR": "203.0.113.1"}).status_code == 413


def test_test_calls_stream_too(owner, client, make_flow):
    flow = make_flow(definition(said("one", 1), respond="stream"))
    assert owner.post(f"/api/workflows/{flow['id']}/test-call", {}).status_code == 201
    answer = client.post(f"/api/webhooks-test/{flow['id']}/orders", {})
    assert [data for name, _, data in parse(answer.text) if name == "message"] == ["1"]


def begin(streams, number, workspace="ws", network=""):
    """Reserve a place for a call of the webhook of this number from a network of its own, unless one is given."""
    hook = WebhookTarget("hook", SimpleNamespace(id=f"wf_{number}", workspace_id=workspace), None, None, None, None)
    return streams.begin(hook, network or f"203.0.113.{next(NUMBERS)}", SimpleNamespace(environ={}))


def begin_all(streams, *args):
    """Reserve places until there are too many. Return the streams."""
    open_ = []
    with pytest.raises(Unavailable, match="Too many"):
        while True:
            open_.append(begin(streams, *args))
    return open_


def test_the_number_of_streams_is_limited_and_no_run_starts_beyond_it(app, client, hook):
    hook(said("one", 1))
    streams, open_ = app.extensions["headrace"].streams, []
    with pytest.raises(Unavailable, match="Too many"):
        while True:
            open_.append(begin(streams, len(open_), f"ws_{len(open_)}"))
    answer = client.post(PATH, {})
    assert answer.status_code == 503 and answer.headers["Retry-After"] == "5" and Run.select().count() == 0
    for one in open_:
        one.close()
        one.close()
    assert len(open_) == streams.places == max(1, app.extensions["headrace"].config.threads // 4)
    for _ in range(len(open_) + 1):
        assert client.post(PATH, {}).status_code == 200


@pytest.mark.parametrize(("threads", "of_one", "of_workspace"), [(1, 1, 1), (8, 1, 1), (16, 2, 3), (64, 8, 12)])
def test_no_webhook_caller_or_workspace_takes_all_places(threads, of_one, of_workspace):
    config = SimpleNamespace(threads=threads)
    streams = stream.Streams(SimpleNamespace(config=config, waiting=WaitingThreads(SimpleNamespace(config=config))))
    open_ = begin_all(streams, 1)
    assert len(open_) == of_one
    open_ += begin_all(streams, 2)
    assert len(open_) == min(of_workspace, 2 * of_one)
    if streams.places > 1:
        open_ += [begin(streams, 3, "another")]
    for one in open_:
        one.close()
    callers = begin_all(streams, 4, "ws", "203.0.113.9")
    assert len(callers) == of_one
    for one in callers:
        one.close()
    assert not streams._open, "nothing is kept of closed streams"


def test_a_run_that_takes_too_long_leaves_the_stream(client, hook, monkeypatch):
    monkeypatch.setattr(stream, "MAX_SECONDS", 0.3)
    hook(said("one", 1), {"id": "wait", "type": "wait", "config": {"seconds": 600}})
    *_, (name, _, data) = parse(client.post(PATH, {}).text)
    assert (name, json.loads(data)["status"]) == ("end", "pending")


def test_a_comment_breaks_the_silence(client, hook, monkeypatch):
    monkeypatch.setattr(stream, "HEARTBEAT_SECONDS", 0)
    hook(WAIT, said("one", 1))
    assert "\n:\n\n" in client.post(PATH, {}).text


def test_a_line_break_in_text_cannot_begin_another_field():
    assert make_event("a\r\nid: 9\rb") == b"data: a\ndata: id: 9\ndata: b\n\n"


def test_events_come_at_once_and_the_run_outlives_its_caller(tmp_path):
    nodes = [said("one", 1), {"id": "wait", "type": "wait", "config": {"seconds": 2}}, said("two", 2)]
    with serving(tmp_path, HEADRACE_THREADS=4) as server:
        flow = {"name": "Slow", "status": "active", "definition": definition(*nodes, respond="stream")}
        assert server.call("POST", "/api/flows", flow)
        caller = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=20)
        caller.request("POST", PATH, body=b"{}", headers={"Content-Type": "application/json"})
        answer = caller.getresponse()
        head = b""
        while b"data: 1\n\n" not in head:
            head += answer.read1(1000)
        run_id = json.loads(parse(head.decode())[0][2])["run_id"]
        assert server.call("GET", f"/api/runs/{run_id}")["finished_at"] is None
        caller.close()
        until(lambda: server.call("GET", f"/api/runs/{run_id}")["status"] == "success", "the run ends")
        steps = server.call("GET", f"/api/runs/{run_id}/steps")["items"]
        assert [step["node_id"] for step in steps if step["status"] == "success"][-1] == "two"


LONG = [said("one", 1), {"id": "wait", "type": "wait", "config": {"seconds": 300}}, said("two", 2)]


def connect(server, path, address):
    """Call a webhook from this loopback address. Return the open connection, and the status."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20, source_address=(address, 0))
    connection.request("POST", f"/api/webhooks/{path}", body=b"{}", headers={"Content-Type": "application/json"})
    return connection, connection.getresponse().status


def add_hooks(server):
    """Add streaming webhooks `a` and `b`, and `c` in a workspace of its own."""
    session = server.session()
    other = server.call("POST", "/api/workspaces", {"name": "Other"}, headers=session)["id"]
    for path in "abc":
        body = {"name": path, "status": "active", "definition": definition(*LONG, path=path, respond="stream")}
        there = {**session, "X-Workspace-Id": other} if path == "c" else {}
        server.call("POST", "/api/flows", body, headers=there)


@pytest.mark.slow
def test_strangers_at_one_stream_leave_places_to_others_and_free_theirs_as_they_go(tmp_path):
    with serving(tmp_path, HEADRACE_THREADS=16) as server, ExitStack() as stack:
        add_hooks(server)

        def call(path, address):
            connection, status = connect(server, path, address)
            stack.enter_context(closing(connection))
            return connection, status

        crowd = [call("a", "127.0.0.1") for _ in range(12)]
        assert [status for _, status in crowd].count(200) == 2, "of one address"
        assert [call("a", f"127.0.0.{number}")[1] for number in range(2, 6)] == [503] * 4, "of one webhook"
        assert call("c", "127.0.0.1")[1] == 503, "of one address, at any webhook"
        assert [call("b", f"127.0.0.{number}")[1] for number in range(2, 5)] == [200, 503, 503], "of one workspace"
        assert call("c", "127.0.0.6")[1] == 200, "another workspace"
        for connection, _ in crowd:
            connection.close()
        gone = time.monotonic()
        until(lambda: call("a", "127.0.0.1")[1] == 200, "a place is free", seconds=5)
        assert time.monotonic() - gone < 2


@pytest.mark.slow
def test_a_caller_that_leaves_data_behind_frees_its_place_too(tmp_path):
    with serving(tmp_path, HEADRACE_THREADS=4) as server:
        add_hooks(server)
        connection, status = connect(server, "a", "127.0.0.1")
        assert status == 200
        connection.sock.sendall(b"GET / HTTP/1.1\r\n")
        connection.close()

        def is_free():
            again, status = connect(server, "c", "127.0.0.1")
            again.close()
            return status == 200

        until(is_free, "the place is free", seconds=2)
