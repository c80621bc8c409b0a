"""Webhook calls in the server's loop: the served calls, and the same responses as by the view.

What webhooks do in general is in test_webhooks.py and its neighbours, which run both ways. That a run leaves the same
record both ways is in ../dispatch/test_quick_record.py.
"""

import json
from dataclasses import replace

import pytest
from children import end_child
from engines import wait_for_changes
from gunicorn.config import Config as GunicornConfig
from shortcuts import PEER, BehindShortcut, in_the_loop
from test_webhook_auth import WAYS
from test_webhooks import ADD, STOP, definition, respond
from world import start_python
from written import without_ids, written

import workflow_server
from api.run_answer import send_answer
from api.shortcut import MAX_BODY, WEBHOOK_POLICY
from database import execute, write
from dispatch.dispatcher import FreeSpace
from models import Run
from net.http_worker.connection import parse_head

pytestmark = pytest.mark.usefixtures("shared_server")

PATH = "/api/webhooks/orders"
JSON = {"Content-Type": "application/json"}
GOOD = b'{"a": 2, "b": 3}'


@pytest.fixture
def hook(make_flow):
    """`hook(*nodes, **config)` makes an active flow of them behind /api/webhooks/orders."""
    return lambda *nodes, **config: make_flow(definition(*nodes, **config), status="active", name="Orders")


@pytest.fixture
def both(app, behind, client):
    """`both(path, **options)` calls behind the shortcut, then the view alone. It compares all that they answer and
    write, but for ids and times, and gives the answer.
    """

    def call(path=PATH, method="POST", **options):
        seen = []
        for wsgi_app in (behind, behind.wsgi_app):
            app.wsgi_app = wsgi_app
            with written() as found:
                answer = client.open(path, method=method, **options)
                app.extensions["headrace"].recorder.commit([])
            seen.append((answer.status, sorted(answer.headers), without_ids(answer.data.decode("latin-1")), found.rows))
        app.wsgi_app = behind
        assert seen[0] == seen[1]
        return answer

    return call


# What it takes


CALLS = {
    "JSON": {"data": GOOD, "headers": JSON},
    "JSON of a charset": {"data": GOOD, "headers": {"Content-Type": "Application/JSON; charset=utf-8"}},
    "no body": {},
    "no body, and a type all the same": {"headers": {"Content-Type": "text/plain"}},
    "null": {"data": b"null", "headers": JSON},
    "a text": {"data": '"Zoë \\u2028 😀"'.encode(), "headers": JSON},
    "a list": {"data": b"[1, 2.50, 1e308, 123456789012345678901234567890, []]", "headers": JSON},
    "the same key twice": {"data": b'{"a": 1, "a": 2}', "headers": JSON},
    "blanks around it": {"data": b" \r\n" + GOOD + b"\n", "headers": JSON},
    "a query": {"path": f"{PATH}?a=1&b=2&a=3&c&=d&e=%C3%A9+%2B&%ff=%fe&f=1;2"},
    "an empty query": {"path": f"{PATH}?"},
    "slashes": {"path": "/api/webhooks//orders//"},
    "headers of all sorts": {
        "headers": {
            "X-Name": "Zoë".encode().decode("latin-1"), "X-Latin": "Zo\xeb", "X-Empty": "", "X.Odd~": "1",
            "Accept": "a,b", "Cookie": "a=b", "Authorization": "Bearer x", "Proxy-Authorization": "Basic x",
            "X-Forwarded-For": "1.2.3.4", "X-Forwarded-Host": "elsewhere.example", "X-Forwarded-Proto": "https",
            "Origin": "https://shop.example", "Sec-Fetch-Site": "cross-site", "If-None-Match": "*",
            "Accept-Encoding": "gzip",
        }
    },
    "a body as large as may be": {"data": b'"' + b"x" * (MAX_BODY - 2) + b'"', "headers": JSON},
}  # fmt: skip


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("mode", ["immediately", "last", "node"])
def test_the_form_of_most_calls_is_taken(both, behind, hook, name, mode):
    hook(respond=mode)
    assert both(**CALLS[name]).status_code == (202 if mode == "immediately" else 200)
    assert behind.taken == 1


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_each_method_of_the_webhook_is_taken(both, behind, hook, method):
    hook(methods=[method], respond="last")
    assert both(method=method).json["method"] == method and behind.taken == 1


ANSWERS = {
    "at once": ([ADD], {}, 202),
    "at once, though it fails": ([STOP], {}, 202),
    "the output": ([ADD], {"respond": "last"}, 200),
    "an output that is null": ([{"id": "f", "type": "if", "config": {"condition": False}}], {"respond": "last"}, 200),
    "a failure": ([STOP], {"respond": "last"}, 500),
    "a node": ([respond(status=201, headers={"X-A": "b"}, body={"n": "{{ input.body.a }}"})], {"respond": "node"}, 201),
    "a node, and more": ([respond(body="text"), ADD], {"respond": "node"}, 200),
    "a node, and a failure": ([respond(body="text"), STOP], {"respond": "node"}, 200),
    "a failure, and a node": ([STOP, respond(body="text")], {"respond": "node"}, 500),
    "no node": ([ADD], {"respond": "node"}, 200),
    "a page": ([respond(headers={"Content-Type": "text/html"}, body="<p>é</p>")], {"respond": "node"}, 200),
    "bytes": ([respond(headers={"Content-Type": "image/png"}, base64="AAEC/w==")], {"respond": "node"}, 200),
    "nothing": ([respond(status=204)], {"respond": "node"}, 204),
    "an empty text": ([respond(body="")], {"respond": "node"}, 200),
    "not modified": ([respond(status=304, headers={"ETag": '"x"'})], {"respond": "node"}, 304),
    "a status that nobody knows": ([respond(status=299, body=1)], {"respond": "node"}, 299),
    "a policy": (
        [respond(headers={"Content-Security-Policy": "default-src 'self'", "X-Frame-Options": "ALLOW"}, body="x")],
        {"respond": "node"},
        200,
    ),
    "headers of all sorts": (
        [respond(headers={"X-A": "é中", "X-B": " b ", "X-C": "", "Content-Type": ""})], {"respond": "node"}, 200
    ),
    "headers that a flow may not set": (
        [respond(headers={"Set-Cookie": "a=b", "Connection": "close", "Cache-Control": "no-store"}, body="x")],
        {"respond": "node"},
        200,
    ),
    "an answer to an error": (
        [{**STOP, "on_error": "continue"}, respond(status=400, body="{{ input }}")], {"respond": "node"}, 400
    ),
}  # fmt: skip


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize("name", ANSWERS)
def test_each_way_to_answer(both, behind, hook, name):
    nodes, config, status = ANSWERS[name]
    hook(*nodes, **config)
    assert both(data=GOOD, headers=JSON).status_code == status
    assert behind.taken == 1


def test_a_mistake_in_making_an_answer_is_answered(caplog):
    got = []
    send_answer(
        lambda *answer: got.append(answer), WEBHOOK_POLICY, lambda *end: 1 / 0, Run(id="run_1"), None, None, None
    )
    ((status, headers, body),) = got
    assert status == "500 INTERNAL SERVER ERROR" and "ZeroDivisionError" in caplog.text
    assert dict(headers)["Content-Type"] == "application/json" and list(json.loads(body)) == ["error"]


@pytest.fixture
def protected(owner, hook):
    """`protected(way)` makes a flow with this authentication (WAYS) and returns the headers of an authentic call."""

    def make(way, **config):
        auth, type_, data, headers = WAYS[way]
        made = owner.post("/api/credentials", {"name": "key", "type": type_, "data": data})
        assert made.status_code == 201, made.text
        hook(auth=auth, credential="key", respond="last", **config)
        return {**JSON, **headers}

    return make


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize("way", WAYS)
def test_an_authenticated_call_is_served_by_the_shortcut(both, behind, protected, way):
    answer = both(data=b"{}", headers=protected(way))
    assert answer.status_code == 200 and behind.taken == 1 and "hunter2" not in answer.text


@pytest.mark.usefixtures("unhurried")
def test_a_body_as_large_as_the_webhook_allows_is_taken(both, behind, hook):
    hook(max_body_bytes=len(GOOD))
    assert both(data=GOOD, headers=JSON).status_code == 202 and behind.taken == 1
    assert both(data=GOOD + b" ", headers=JSON).status_code == 413 and behind.taken == 1


@pytest.mark.usefixtures("unhurried")
def test_a_header_that_marks_repetitions_is_not_needed(both, behind, hook):
    hook(dedupe_header="X-Delivery")
    assert both().status_code == 202 and behind.taken == 1


# What it leaves to the view: nothing has begun then, and the answer is the view's


PART = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n'
DEEP = b"[" * 101 + b"]" * 101
LEFT = {
    "an Idempotency-Key": ({"headers": {"Idempotency-Key": "k"}}, 202),
    "a long Idempotency-Key without a meaning": ({"headers": {"Idempotency-Key": "k" * 201}}, 202),
    "a browser's request for a page": ({"headers": {"Sec-Fetch-Dest": "document"}}, 202),
    "a browser's request for a script": (
        {"headers": {"Sec-Fetch-Dest": "script", "Sec-Fetch-Site": "same-origin"}}, 403
    ),
    "a form": ({"data": {"a": "1"}}, 202),
    "a multipart form": ({"data": PART, "content_type": "multipart/form-data; boundary=x"}, 202),
    "a text": ({"data": b"text", "content_type": "text/plain"}, 202),
    "bytes": ({"data": b"\0\1", "content_type": "application/octet-stream"}, 202),
    "a body of no type": ({"data": b"text"}, 202),
    "JSON of another type": ({"data": GOOD, "content_type": "application/ld+json"}, 202),
    "a large body": ({"data": b'"' + b"x" * (MAX_BODY - 1) + b'"', "headers": JSON}, 202),
    "broken JSON": ({"data": b"{broken", "headers": JSON}, 400),
    "JSON that is no UTF-8": ({"data": b'"\xff"', "headers": JSON}, 400),
    "half a surrogate pair": ({"data": b'"\\ud800"', "headers": JSON}, 400),
    "JSON that is nested too deeply": ({"data": DEEP, "headers": JSON}, 400),
    "an escaped path": ({"path": "/api/webhooks/%6Frders"}, 202),
    "a path that is nobody's": ({"path": "/api/webhooks/nobody"}, 404),
    "no path": ({"path": "/api/webhooks/"}, 404),
    "another method": ({"method": "GET"}, 405),
    "HEAD": ({"method": "HEAD"}, 405),
    "OPTIONS": ({"method": "OPTIONS"}, 204),
    "a method that nobody has heard of": ({"method": "BREW"}, 405),
    "an upgrade": ({"headers": {"Upgrade": "h2c", "Connection": "Upgrade"}}, 202),
    "Expect": ({"headers": {"Expect": "100-continue"}, "data": GOOD, "content_type": "application/json"}, 202),
}  # fmt: skip


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize("name", LEFT)
def test_a_call_that_is_out_of_the_ordinary_is_left_to_the_view(app, behind, client, hook, name):
    hook()
    options, status = LEFT[name]
    call = {"path": PATH, "method": "POST", **options}
    answer = client.open(**call)
    assert (answer.status_code, behind.taken) == (status, 0)
    assert Run.select().count() == (status == 202)


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize("name", [name for name in LEFT if "Idempotency" not in name])
def test_calls_left_to_the_view_get_the_same_response(both, hook, name):
    hook()
    both(**LEFT[name][0])


CREDENTIAL = {"id": "a", "type": "set", "config": {"values": {"x": "{{ secrets.key.token }}"}}}
NODES = {
    "a dedupe header": ([ADD], {"dedupe_header": "X-Delivery"}, {}, 202),
    "a limit of calls": ([ADD], {"rate_limit": 100}, {}, 202),
    "a limit of runs": ([ADD], {}, {"max_concurrent_runs": 2}, 202),
    "a code node": ([{"id": "c", "type": "code", "config": {"source": "return 1"}}], {"respond": "last"}, {}, 200),
    "a node that waits": ([{"id": "w", "type": "wait", "config": {"seconds": 60}}], {}, {}, 202),
    "a credential": ([CREDENTIAL], {"respond": "last"}, {}, 500),
    "a credential, gone on from": ([{**CREDENTIAL, "on_error": "continue"}], {"respond": "last"}, {}, 200),
    "a file": ([respond(file="a.txt")], {"respond": "node"}, {}, 500),
    "a value that no row takes": (
        [{"id": "a", "type": "set", "config": {"values": {"x": "{{ 'x' * 70000 }}"}}}], {"respond": "last"}, {}, 200
    ),
    "a second attempt": ([{**STOP, "retry": {"attempts": 2, "delay": 0}}], {"respond": "last"}, {}, 500),
    "many nodes": ([{"id": f"n{number}", "type": "noop"} for number in range(50)], {"respond": "last"}, {}, 200),
}  # fmt: skip


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize("name", NODES)
def test_a_flow_that_may_take_long_is_left_to_the_view(behind, client, make_flow, name):
    nodes, config, settings, status = NODES[name]
    make_flow({**definition(*nodes, **config), "settings": settings}, status="active")
    for count in (1, 2, 3):
        answer = client.post(PATH, {"a": 2, "b": 3}, headers={"X-Delivery": str(count)})
        assert (answer.status_code, behind.taken, Run.select().count()) == (status, 0, count)


@pytest.mark.usefixtures("unhurried")
def test_a_flow_whose_failures_start_another_is_left_to_the_view(behind, client, make_flow):
    told = make_flow({"nodes": [{"id": "e", "type": "error"}], "edges": []}, status="active")["id"]
    make_flow({**definition(STOP, respond="last"), "settings": {"error_workflow_id": told}}, status="active")
    assert client.post(PATH).status_code == 500
    assert behind.taken == 0 and {run.workflow_id for run in Run.select()} > {told}


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize("way", WAYS)
def test_a_refused_call_and_all_calls_within_a_minute_are_left_to_the_view(
    behind, client, protected, server, monkeypatch, way
):
    now = [1000.0]
    monkeypatch.setattr(server.guesses, "clock", lambda: now[0])
    headers = protected(way)

    def call(headers):
        return client.post(PATH, data=b"{}", headers=headers).status_code, behind.taken

    assert call(JSON) == (401, 0) and Run.select().count() == 0
    now[0] += 59
    assert call(headers) == (200, 0)
    now[0] += 2
    assert call(headers) == (200, 1)


@pytest.mark.usefixtures("unhurried")
def test_broken_json_is_looked_at_after_the_proof(behind, client, protected):
    assert client.post(PATH, data=b"{broken", headers={**protected("bearer"), "Authorization": "x"}).status_code == 401
    assert behind.taken == 0


@pytest.mark.usefixtures("unhurried")
def test_a_credential_that_cannot_be_used_is_left_to_the_view(behind, client, protected):
    headers = protected("bearer")
    with write():
        execute("DELETE FROM credentials")
    assert client.post(PATH, data=b"{}", headers=headers).status_code == 503
    assert behind.taken == 0 and Run.select().count() == 0


@pytest.mark.parametrize("state", ["paused", "full", "closed", "taken for dead"])
def test_a_server_that_accepts_no_runs_responds_by_the_view(behind, client, hook, server, monkeypatch, state):
    hook()
    dispatcher = server.dispatcher
    if state == "paused":
        dispatcher.is_paused = True
    elif state == "full":
        monkeypatch.setattr(dispatcher, "free_space", FreeSpace([server.config.data_dir], 2**62))
    elif state == "closed":
        dispatcher.close()
    else:
        monkeypatch.setattr(dispatcher.lease, "_alive_until", 0.0)
    answer = client.post(PATH)
    assert answer.status_code == 503 and int(answer.headers["Retry-After"]) > 0
    assert behind.taken == 0 and Run.select().count() == 0


@pytest.mark.usefixtures("unhurried")
def test_an_input_larger_than_a_value_may_be_is_left_to_the_view(behind, client, hook, server, monkeypatch):
    hook()
    for part in (server.dispatcher, server.dispatcher.resources):
        monkeypatch.setattr(part, "config", replace(server.config, max_value_bytes=500))
    answer = client.post(PATH, "x" * 600)
    assert answer.status_code == 400 and "500" in answer.json["error"]
    assert behind.taken == 0 and Run.select().count() == 0


def test_a_run_that_turns_out_to_take_long_is_made_by_the_view_once(behind, client, hook):
    each = {"id": "e", "type": "set", "foreach": "{{ range(input.body.n) }}", "config": {"values": {"n": "{{ item }}"}}}
    hook(each, respond="last")
    for count in (1, 2, 3, 4):
        answer = client.post(PATH, {"n": 5_000})
        assert (answer.status_code, len(answer.json), Run.select().count()) == (200, 5_000, count)
    assert behind.taken == 0
    (day,) = execute("SELECT total, success FROM run_days").fetchall()
    assert day == (4, 4)


# What a WSGI environment cannot show


@pytest.fixture
def take(server):
    """`take(head, body)` gives the shortcut a request as sent by a client and returns True if it serves it."""
    answers = []

    def offer(head, body=b""):
        request = parse_head(GunicornConfig(), head.replace(b"\n", b"\r\n") + b"\r\n\r\n", PEER)
        with in_the_loop(server.shortcut.runs):
            return server.shortcut.take(request, body, lambda *answer: answers.append(answer))

    yield offer
    server.shortcut.end_turn()


@pytest.mark.usefixtures("unhurried")
def test_a_header_that_is_repeated_is_left_to_the_view(take, hook):
    hook()
    assert take(b"POST /api/webhooks/orders HTTP/1.1\nHost: a\nX-A: 1\nX-B: 1")
    assert not take(b"POST /api/webhooks/orders HTTP/1.1\nHost: a\nX-A: 1\nX-A: 2")
    assert not take(b"POST /api/webhooks/orders HTTP/1.1\nHost: a\nX-A: 1\nx-a: 1")
    assert not take(b"POST /api/webhooks/orders HTTP/1.1\nHost: a\nTransfer-Encoding: chunked", b"0\r\n\r\n")
    assert not take(b"POST /API/webhooks/orders HTTP/1.1\nHost: a")
    assert not take(b"OPTIONS * HTTP/1.1\nHost: a")


@pytest.mark.usefixtures("unhurried")
def test_a_request_in_absolute_form_and_one_of_http_1_0_are_taken(take, hook):
    hook()
    assert take(b"POST http://elsewhere/api/webhooks/orders?a=1 HTTP/1.1\nHost: a")
    assert take(b"POST /api/webhooks/orders HTTP/1.0")


# Proxies


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize(
    ("forwarded", "taken"), [(None, 1), ("shop.example", 0), ("localhost, shop.example", 0), ("localhost", 1)]
)
def test_the_host_that_a_trusted_proxy_names_is_that_of_the_input(config, hook, forwarded, taken):
    hook(respond="last")
    proxied = workflow_server.create_app(replace(config, trusted_proxies=1))
    server = proxied.extensions["headrace"]
    server.start()
    wait_for_changes()  # until then, the loop leaves calls to threads
    try:
        proxied.wsgi_app = behind = BehindShortcut(proxied)
        headers = {} if forwarded is None else {"X-Forwarded-Host": forwarded}
        answer = proxied.test_client().post(PATH, json={}, headers=headers)
        named = "localhost" if forwarded is None else forwarded.rpartition(", ")[2]
        assert answer.json["headers"]["host"] == named and behind.taken == taken
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("proxies", "forwarded", "network"),
    [
        (0, "203.0.113.1", "127.0.0.1"),
        (1, "198.51.100.7, 203.0.113.1", "203.0.113.1"),
        (1, "2001:db8::7", "2001:db8::/64"),
        (2, "198.51.100.7, 203.0.113.1,10.0.0.1", "203.0.113.1"),
        (2, "203.0.113.1", "127.0.0.1"),
        (1, "", "127.0.0.1"),
    ],
)
def test_the_loop_and_the_view_know_the_same_callers(config, protected, proxies, forwarded, network):
    headers = {**protected("bearer"), "X-Forwarded-For": forwarded}
    proxied = workflow_server.create_app(replace(config, trusted_proxies=proxies))
    server = proxied.extensions["headrace"]
    server.start()
    wait_for_changes()
    found = []
    server.guesses.note_right = lambda target, network: found.append((target, network))
    try:
        assert proxied.test_client().post(PATH, data=b"{}", headers=headers).status_code == 200
        proxied.wsgi_app = behind = BehindShortcut(proxied)
        assert proxied.test_client().post(PATH, data=b"{}", headers=headers).status_code == 200
        assert behind.taken == 1 and found[0] == found[1] and found[0][1] == network
    finally:
        server.stop()


# Changes by other processes


OTHER_PROCESS = """
import pathlib, sys, workflow_server
from apps import make_config
from shortcuts import BehindShortcut
app = workflow_server.create_app(make_config(pathlib.Path(sys.argv[1])))
server = app.extensions["headrace"]
server.start()
app.wsgi_app = behind = BehindShortcut(app)
client = app.test_client()
print("ready", flush=True)
for line in sys.stdin:
    answer = client.post("/api/webhooks/" + line.strip(), json={"a": 2, "b": 3})
    print(answer.status_code, behind.taken, answer.get_data(as_text=True), flush=True)
server.stop()
"""


@pytest.fixture
def elsewhere(config):
    """`elsewhere(path)` calls a webhook in another process: status, number of calls served by the shortcut, body."""
    process = start_python(OTHER_PROCESS, config.data_dir)

    def call(path):
        process.stdin.write(f"{path}\n")
        process.stdin.flush()
        status, taken, body = process.stdout.readline().strip().split(" ", 2)
        return int(status), int(taken), body

    assert process.stdout.readline() == "ready\n"
    yield call
    process.communicate(timeout=30)
    assert process.returncode == 0
    end_child(process)


@pytest.mark.slow
@pytest.mark.sqlite_only("on PostgreSQL, other processes see a change within POLL_SECONDS")
def test_another_process_sees_every_change_at_once(owner, hook, elsewhere):
    assert elsewhere("orders")[:2] == (404, 0)
    flow = f"/api/workflows/{hook(ADD, respond='last')['id']}"
    assert elsewhere("orders") == (200, 1, '{"sum":5}')
    twice = {**ADD, "config": {"values": {"sum": "{{ input.body.a * 2 }}"}}}
    owner.put(flow, {"definition": definition(twice, respond="last")})
    assert elsewhere("orders") == (200, 2, '{"sum":4}')
    owner.put(flow, {"status": "draft"})
    assert elsewhere("orders")[:2] == (404, 2)


@pytest.mark.slow
@pytest.mark.sqlite_only("on PostgreSQL, other processes see a change within POLL_SECONDS")
def test_a_flow_that_was_switched_off_does_not_answer_once_more(hook, elsewhere):
    """Thousands of changes in this process; the other process sees each at its next call."""
    flow = hook(ADD, respond="last")["id"]
    for _ in range(2_000):
        with write():
            execute("UPDATE workflows SET status = 'draft' WHERE id = ?", (flow,))
        assert elsewhere("orders")[0] == 404
        with write():
            execute("UPDATE workflows SET status = 'active' WHERE id = ?", (flow,))
        status, taken, body = elsewhere("orders")
        assert (status, body) == (200, '{"sum":5}')
    assert taken > 1_800  # now and then Python's collector makes a run a slow one
