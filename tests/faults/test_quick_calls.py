"""Webhooks that a worker's loop answers itself, byte by byte: in order, once, for all kinds of clients."""

import json
import select
import socket
import threading
import time
from collections import namedtuple
from contextlib import ExitStack, contextmanager

import pytest
from record import ask
from servers import PATIENCE, Server, until

from net.http_worker import FREE_SECONDS, READ_SIZE

pytestmark = pytest.mark.slow

STEPS = ["hook", "a", "b", "c", "end"]
LARGE = 60_000  # bytes of a response, nearly the maximum of a row
GUNICORN = ("-m", "gunicorn", "--config", "gunicorn.conf.py")
GONE = select.POLLHUP | select.POLLERR
Answer = namedtuple("Answer", "status headers body")


def quick(path, **values):
    """Return a flow of five quick nodes behind a webhook that answers `{"n": number}` and these values."""
    nodes = [{"id": "hook", "type": "webhook", "config": {"path": path, "respond": "last"}}]
    nodes += [{"id": id_, "type": "noop"} for id_ in ("a", "b", "c")]
    nodes += [{"id": "end", "type": "set", "config": {"values": {"n": "{{ trigger.body.n }}", **values}}}]
    return {"nodes": nodes, "edges": [list(pair) for pair in zip(STEPS, STEPS[1:], strict=False)]}


def slow(path):
    """Return a flow that is not quick, with the same response."""
    code = {"id": "c", "type": "code", "config": {"source": "return {'n': input['body']['n']}"}}
    hook = {"id": "hook", "type": "webhook", "config": {"path": path, "respond": "last"}}
    return {"nodes": [hook, code], "edges": [["hook", "c"]]}


def serve(folder, **settings):
    """A real server with one worker and these flows."""
    # The heartbeat may be late on a busy machine.
    server = Server(folder, **{"WEB_CONCURRENCY": 1, "HEADRACE_LEASE_SECONDS": 60, **settings})
    try:
        server.start().log_in()
        for definition in (quick("quick"), quick("large", text="x" * LARGE), slow("slow")):
            server.add_flow(definition)
    except BaseException:
        server.close()
        raise
    return server


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = serve(tmp_path_factory.mktemp("loop"))
    yield server
    server.close()


@contextmanager
def connected(server):
    """Return a client's socket, and a file to read from it."""
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE) as client,
        client.makefile("rb") as file,
    ):
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield client, file


@pytest.fixture
def connect(server, tell):
    """`connect()` returns a client's socket, and a file to read from it."""
    tell("server", lambda: "".join(list(server.lines)[-30:]))
    with ExitStack() as stack:
        yield lambda: stack.enter_context(connected(server))


@pytest.fixture
def recorded(server):
    """`recorded()` returns the numbers of the runs since the start of the test, in order."""
    known = {run.id for run in ask(server.database, "SELECT id FROM runs")}

    def find():
        runs = ask(server.database, "SELECT id, input FROM runs ORDER BY id")
        return [json.loads(run.input)["body"]["n"] for run in runs if run.id not in known]

    return find


def call(number, path="quick", version=b"1.1", *headers):
    """Return the bytes of a call."""
    return request(f"/api/webhooks/{path}", {"n": number}, version, *headers)


def request(path, body, version=b"1.1", *headers):
    """Return the bytes of a request with this JSON."""
    body = json.dumps(body).encode()
    lines = [
        b"POST %s HTTP/%s" % (path.encode(), version), b"Host: localhost", *headers,
        b"Content-Type: application/json", b"Content-Length: %d" % len(body),
    ]  # fmt: skip
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def read(file):
    """Return the next response; None at the end."""
    line = file.readline()
    if not line:
        return None
    headers = {}
    while (header := file.readline().strip()) != b"":
        name, _, value = header.partition(b":")
        headers[name.decode().lower()] = value.strip().decode()
    body = file.read(int(headers.get("content-length", 0)))
    return Answer(int(line.split()[1]), headers, json.loads(body) if body else None)


def numbers(file, count):
    """Return the numbers in so many responses of quick flows."""
    return [read(file).body["n"] for _ in range(count)]


# One connection


def test_calls_are_answered_in_the_loop_while_all_threads_are_busy(tmp_path):
    server = serve(tmp_path, HEADRACE_THREADS=1)
    try:
        waiting = [
            {"id": "hook", "type": "webhook", "config": {"path": "waiting", "respond": "last"}},
            {"id": "w", "type": "wait", "config": {"seconds": 20}},
        ]
        server.add_flow({"nodes": waiting, "edges": [["hook", "w"]]})
        with connected(server) as (first, _), connected(server) as (other, file):
            first.sendall(call(1, "waiting"))
            until(lambda: ask(server.database, "SELECT * FROM runs WHERE waiting IS NOT NULL"), "it waits")
            other.sendall(call(2))
            assert numbers(file, 1) == [2]
            first.settimeout(0.01)
            with pytest.raises(TimeoutError):
                first.recv(1)
    finally:
        server.close()


def test_pipelined_calls_are_answered_in_order(connect, recorded):
    client, file = connect()
    client.sendall(b"".join(map(call, range(100))))
    assert numbers(file, 100) == recorded() == list(range(100))


def test_more_pipelined_calls_than_one_read_are_answered_in_order(connect, recorded):
    """Some of them are split at the end of one read."""
    client, file = connect()
    count = 3 * READ_SIZE // len(call(0))
    sender = threading.Thread(target=client.sendall, args=(b"".join(map(call, range(count))),), daemon=True)
    sender.start()
    assert numbers(file, count) == list(range(count))
    sender.join(PATIENCE)
    assert recorded() == list(range(count))


def test_calls_of_the_loop_and_of_threads_keep_their_order_in_a_connection(connect, recorded):
    client, file = connect()
    health = b"GET /api/health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    broken = call(0).replace(b'{"n": 0}', b'{"n": 0]')
    nobody = call(0, "nobody")
    client.sendall(b"".join(call(n) + health + call(n + 1, "slow") + broken + nobody for n in range(0, 20, 2)))
    for number in range(0, 20, 2):
        found = [read(file) for _ in range(5)]
        assert [answer.status for answer in found] == [200, 200, 200, 400, 404]
        assert (found[0].body["n"], found[2].body["n"]) == (number, number + 1)
    assert recorded() == list(range(20))


def test_a_call_may_come_byte_by_byte(connect):
    client, file = connect()
    for number in range(3):
        for byte in call(number):
            client.sendall(bytes([byte]))
            time.sleep(0.0005)
        assert numbers(file, 1) == [number]


def test_many_connections_have_their_own_answers(connect, recorded):
    """All calls of one turn of the loop are one commit, and their responses must not be mixed up."""
    clients = [connect() for _ in range(100)]
    for turn in range(5):
        for number, (client, _) in enumerate(clients):
            client.sendall(call(1_000 * turn + number))
        assert [numbers(file, 1)[0] for _, file in clients] == [1_000 * turn + number for number in range(100)]
    assert sorted(recorded()) == sorted(1_000 * turn + number for turn in range(5) for number in range(100))


@pytest.mark.parametrize(
    ("version", "headers", "closes"),
    [
        (b"1.1", [], False),
        (b"1.1", [b"Connection: close"], True),
        (b"1.0", [], True),
        (b"1.0", [b"Connection: keep-alive"], False),
    ],
    ids=range(4),
)
def test_the_connection_is_kept_or_closed_as_the_client_asks(connect, version, headers, closes):
    client, file = connect()
    client.sendall(call(7, "quick", version, *headers))
    answer = read(file)
    assert (answer.status, answer.body["n"], answer.headers["connection"]) == (
        200,
        7,
        "close" if closes else "keep-alive",
    )
    if closes:
        assert read(file) is None
    else:
        client.sendall(call(8))
        assert numbers(file, 1) == [8]


ANSWERS = [
    {"body": {"n": "{{ trigger.body.n }}"}},
    {"body": "text", "headers": {"X-A": "é中", "X-B": " b ", "X-C": ""}},
    {"body": "<p>", "headers": {"Content-Type": "text/html", "Content-Security-Policy": "default-src 'self'"}},
    {"base64": "AAEC/w==", "headers": {"Content-Type": "image/png"}, "name": "a.png"},
    {"body": ""},
    *({"status": status, "body": {"n": 1}} for status in (201, 204, 205, 299, 304, 404, 500, 599)),
]


@pytest.mark.parametrize("number", range(len(ANSWERS)))
def test_a_response_of_the_loop_equals_that_of_the_view_except_for_the_order_of_headers(server, connect, number):
    """A call with an Idempotency-Key is left to the view."""
    made = quick(f"answer{number}")
    made["nodes"][0]["config"]["respond"] = "node"
    made["nodes"][4] = {"id": "end", "type": "respond", "config": ANSWERS[number]}
    server.add_flow(made)
    for version in (b"1.1", b"1.0"):
        seen = []
        for key in ((), (b"Idempotency-Key: %s" % version,)):
            client, file = connect()
            client.sendall(call(7, f"answer{number}", version, b"Connection: close", *key))
            head, _, body = file.read().partition(b"\r\n\r\n")
            status, *headers = head.split(b"\r\n")
            assert len(headers) > 7 and status.startswith(b"HTTP/%s " % version)
            seen.append((status, sorted(line for line in headers if not line.startswith(b"Date: ")), body))
        assert seen[0] == seen[1]


def test_a_client_that_expects_100_continue_gets_it(connect, recorded):
    client, file = connect()
    head, _, body = call(7, "quick", b"1.1", b"Expect: 100-continue").partition(b"\r\n\r\n")
    client.sendall(head + b"\r\n\r\n")
    assert read(file).status == 100
    client.sendall(body + call(8))
    assert numbers(file, 2) == [7, 8] and recorded() == [7, 8]


def test_a_client_that_closes_its_side_gets_its_responses(connect, recorded):
    client, file = connect()
    client.sendall(call(1) + call(2))
    client.shutdown(socket.SHUT_WR)
    assert numbers(file, 2) == recorded() == [1, 2]
    assert read(file) is None


# Clients that disconnect or do not read


def test_the_run_of_a_client_that_does_not_wait_is_recorded(server, connect, recorded):
    for number in range(100):
        with connected(server) as (client, _):
            client.sendall(call(number))
    until(lambda: len(recorded()) == 100, "all are recorded")
    client, file = connect()
    client.sendall(call(100))
    assert numbers(file, 1) == [100] and sorted(recorded()) == list(range(101))
    assert not any("Traceback" in line for line in list(server.lines))


def test_a_disconnected_client_does_not_affect_others(server, connect, recorded):
    workers = server.workers()
    whole = call(0, "large")
    for number in range(100):
        with connected(server) as (client, _):
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.sendall((whole * 3)[: number * 3 * len(whole) // 99])
    client, file = connect()
    client.sendall(call(1))
    assert numbers(file, 1) == [1] and server.workers() == workers
    assert not any("Traceback" in line for line in list(server.lines))


def test_a_client_that_does_not_read_is_disconnected_and_its_further_calls_are_not_made(server, connect, recorded):
    client, _ = connect()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    began = time.monotonic()
    client.sendall(call(0, "large") * 400)
    poll = select.poll()
    poll.register(client, GONE)
    while not poll.poll(100):
        assert time.monotonic() < began + 4 * FREE_SECONDS, "it is still connected"
        # Meanwhile others are answered.
        with connected(server) as (other, file):
            other.sendall(call(1))
            assert numbers(file, 1) == [1]
    assert time.monotonic() > began + FREE_SECONDS - 1
    assert 0 < recorded().count(0) < 400


# The worker


def test_calls_are_in_the_access_log_and_count_for_the_workers_limit(tmp_path):
    server = serve(tmp_path, command=(*GUNICORN, "--access-logfile", "-", "--max-requests", "60"))
    try:
        before = server.workers()
        for number in range(100):
            status, body = server.request("POST", "/api/webhooks/quick", {"n": number})
            assert (status, body["n"]) == (200, number)
        until(lambda: server.workers() and server.workers() != before, "the worker is replaced")
        server.said('"POST /api/webhooks/quick HTTP/1.1" 200', times=100)
        runs = ask(server.database, "SELECT input FROM runs ORDER BY id")
        assert [json.loads(run.input)["body"]["n"] for run in runs] == list(range(100))
        assert not any("Traceback" in line for line in list(server.lines))
    finally:
        server.close()


class Caller:
    """Calls repeatedly over one connection until it ends. `told` are the ids of the runs in the responses."""

    def __init__(self, server, number):
        self.server, self.number, self.told, self.refused, self.error = server, number, [], 0, None
        self.thread = threading.Thread(target=self._work, daemon=True)
        self.thread.start()

    def _work(self):
        try:
            with connected(self.server) as (client, file):
                while self._call(client, file):
                    continue
        except ConnectionError:
            return
        except Exception as error:
            self.error = error

    def _call(self, client, file):
        client.sendall(call([self.number, len(self.told)], "known"))
        answer = read(file)
        if answer is None:
            return False
        if answer.status == 503:
            self.refused += 1
        else:
            assert (answer.status, answer.body["n"]) == (200, [self.number, len(self.told)])
            self.told.append(answer.body["id"])
        return answer.headers["connection"] != "close"


@pytest.mark.parametrize("workers", [1, 2])
def test_a_stopped_server_has_recorded_and_answered_all_accepted_calls(tmp_path, workers):
    server = serve(tmp_path, WEB_CONCURRENCY=workers, HEADRACE_GRACE=1)
    try:
        server.add_flow(quick("known", id="{{ run.id }}"))
        callers = [Caller(server, number) for number in range(16)]
        until(lambda: all(len(caller.told) > 20 for caller in callers), "they are answered")
        began = time.monotonic()
        server.terminate()
        assert server.ended() == 0 and time.monotonic() - began < 15
        for caller in callers:
            caller.thread.join(PATIENCE)
            assert not caller.thread.is_alive() and caller.error is None
        told = [id_ for caller in callers for id_ in caller.told]
        runs = ask(server.database, "SELECT * FROM runs ORDER BY id")
        assert sorted(told) == [run.id for run in runs]
        assert {(run.status, run.lease_owner, run.nodes_done) for run in runs} == {("success", None, 5)}
        steps = ask(server.database, "SELECT run_id, node_id FROM all_steps ORDER BY run_id, seq")
        assert [step.node_id for step in steps] == STEPS * len(runs)
        (days,) = ask(server.database, "SELECT SUM(total) AS total, SUM(success) AS success FROM run_days")
        assert days.total == days.success == len(runs)
        assert not any("Traceback" in line for line in list(server.lines))
    finally:
        server.close()
