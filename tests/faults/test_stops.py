"""Servers that are stopped properly while runs are in progress, and workers that sleep longer than their lease."""

import http.client
import os
import signal
import socket
import time
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from effects import http_node
from record import ask, owner_with_expired_lease, settled, steps
from servers import until

pytestmark = [pytest.mark.slow, pytest.mark.postgres]

RUNS = 8
GRACE = 1
LATER = 30  # seconds after the grace period until the server must have stopped
SOON = 5  # seconds until a stopping server refuses connections


def waiting(effects):
    """Return a flow whose second node waits for the test, and whose third reports the continuation."""
    nodes = [http_node("one", effects.url), http_node("held", effects.held), http_node("last", effects.url)]
    return {"nodes": nodes, "edges": [["one", "held"], ["held", "last"]]}


def held(effects, ids, times=1):
    """Return when the second node of each of these runs has sent so many requests."""
    effects.wait_for_keys(*[f"{id_}:held:0" for id_ in ids], times=times)


def states(database):
    return Counter((run.status, run.lease_owner, run.deaths) for run in ask(database, "SELECT * FROM runs"))


def done_once(effects, id_, held_times):
    """Return True if the first and last node sent one request, and the held one so many."""
    seen = effects.seen()
    return [seen[f"{id_}:{name}:0"] for name in ("one", "held", "last")] == [1, held_times, 1]


def test_a_stopping_server_releases_runs_that_outlast_the_grace_period(serve, effects):
    server = serve(HEADRACE_GRACE=GRACE)
    flow = server.add_flow(waiting(effects))
    ids = [server.run(flow, number)["id"] for number in range(RUNS)]
    held(effects, ids)
    began = time.monotonic()
    server.terminate()
    assert server.ended() == 0
    assert time.monotonic() - began < GRACE + LATER
    assert states(server.database) == {("pending", None, 0): RUNS}
    server.start()
    settled(server.database)
    assert states(server.database) == {("success", None, 0): RUNS}
    assert all(done_once(effects, id_, 2) for id_ in ids)


def test_a_client_that_never_ends_does_not_prevent_the_release_of_runs(serve, effects):
    """The worker waits for it until it is killed, which would count as a death of its runs: three of them end a run."""
    server = serve(HEADRACE_GRACE=0)
    flow = server.add_flow(waiting(effects))
    held(effects, [server.run(flow, number)["id"] for number in range(RUNS)])
    with ExitStack() as stack:
        for _ in range(8):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 60))
            client.sendall(b"POST /api/login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{")
        server.terminate()
        until(lambda: states(server.database) == {("pending", None, 0): RUNS}, "the runs are handed back", 20)


def test_a_waiting_request_is_answered_before_the_server_stops(serve, effects):
    server = serve(HEADRACE_GRACE=GRACE)
    flow = server.add_flow(waiting(effects))
    with ThreadPoolExecutor(RUNS) as pool:
        answers = [pool.submit(server.run, flow, number, wait=60) for number in range(RUNS)]
        effects.wait_for(2 * RUNS)
        began = time.monotonic()
        server.terminate()
        given = [answer.result() for answer in answers]
        assert server.ended() == 0
    assert time.monotonic() - began < GRACE + LATER
    assert {run["status"] for run in given} == {"running"}
    assert states(server.database) == {("pending", None, 0): RUNS}
    server.start()
    settled(server.database)
    assert all(done_once(effects, run["id"], 2) for run in given)


def test_a_run_that_ends_within_the_grace_period_is_not_released(serve, effects):
    server = serve(HEADRACE_GRACE=30)
    flow = server.add_flow(waiting(effects))
    ids = [server.run(flow, number)["id"] for number in range(RUNS)]
    held(effects, ids)
    server.terminate()
    server.said("Worker exiting", times=2)
    effects.opened.set()
    assert server.ended() == 0
    assert states(server.database) == {("success", None, 0): RUNS}
    assert all(done_once(effects, id_, 1) for id_ in ids)


HOOK = {"nodes": [{"id": "hook", "type": "webhook", "config": {"path": "called", "respond": "immediately"}}]}
CALL = (
    b"POST /api/webhooks/called HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: 2\r\n\r\n{}"
)


def is_refused(server):
    """Return True if nothing listens on the server's port."""
    try:
        socket.create_connection(("127.0.0.1", server.port), 5).close()
    except ConnectionRefusedError:
        return True
    return False


def ask_kept(connection, method, path):
    """Return the status and the headers of a response on this connection."""
    connection.request(method, path, b"{}" if method == "POST" else None, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    answer.read()
    return answer.status, answer.headers


def test_a_stopping_server_refuses_connections_and_serves_those_that_are_open(serve, effects):
    server = serve(HEADRACE_GRACE=30, WEB_CONCURRENCY=3)
    flow = server.add_flow(waiting(effects))
    server.add_flow(HOOK, "Hook")
    with ExitStack() as stack, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(server._exchange, "POST", f"/api/workflows/{flow}/run?wait=60", {}, {})
        effects.wait_for(2)
        kept = [http.client.HTTPConnection("127.0.0.1", server.port, timeout=30) for _ in range(3)]
        for connection in kept:
            stack.callback(connection.close)
            status, headers = ask_kept(connection, "GET", "/api/health")
            assert (status, headers["Connection"]) == (200, "keep-alive")
        server.terminate()
        until(lambda: is_refused(server), "connections are refused", SOON)
        asked = [("GET", "/api/health", 503), ("GET", "/api/ready", 503), ("POST", "/api/webhooks/called", 202)]
        for connection, (method, path, expected) in zip(kept, asked, strict=True):
            status, headers = ask_kept(connection, method, path)
            assert (path, status, headers["Connection"]) == (path, expected, "close")
        with socket.socket() as other:  # as the next server does
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            other.bind(("127.0.0.1", server.port))
            other.listen()
        effects.opened.set()
        got, _ = answer.result()
        assert (got.status, got.headers["Connection"]) == (200, "close")
    assert server.ended() == 0
    assert states(server.database) == {("success", None, 0): 2}


def test_calls_that_wait_in_the_kernels_queue_are_answered_before_the_listener_is_closed(serve):
    server, calls = serve(HEADRACE_GRACE=10), 200
    server.add_flow(HOOK)
    workers = server.workers()
    for worker in workers:
        server.freeze(worker)
    with ExitStack() as stack:
        clients = [stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 30)) for _ in range(calls)]
        for client in clients:
            client.sendall(CALL)
        server.terminate()
        server.said("Handling signal: term")
        for worker in workers:
            os.kill(worker, signal.SIGTERM)  # as the master does; it is pending until the worker goes on
            server.thaw(worker)
        heads = [client.recv(4096) for client in clients]
    assert Counter(head.split(b"\r\n")[0] for head in heads) == {b"HTTP/1.1 202 ACCEPTED": calls}
    assert all(b"Connection: close" in head for head in heads)
    assert server.ended() == 0
    assert len(ask(server.database, "SELECT id FROM runs")) == calls


def of_both(server, effects):
    """Return the ids of runs that wait in both workers, and the owner of each."""
    flow = server.add_flow(waiting(effects))
    ids = [server.run(flow, number)["id"] for number in range(2)]
    while len(owners := owners_of(server.database)) < 2:
        assert len(ids) < 40, "all requests went to the same worker"
        ids.append(server.run(flow, len(ids))["id"])
    held(effects, ids)
    return ids, owners


def owners_of(database):
    """Return the ids of the claimed runs, by owner."""
    found = defaultdict(list)
    for run in ask(database, "SELECT * FROM runs WHERE lease_owner IS NOT NULL ORDER BY id"):
        found[run.lease_owner].append(run.id)
    return found


def rows(database, ids):
    """Return the recorded runs and steps."""
    marks = ", ".join("?" * len(ids))
    return ask(database, f"SELECT * FROM runs WHERE id IN ({marks}) ORDER BY id", *ids), [
        steps(database, id_) for id_ in ids
    ]


def test_a_worker_that_slept_changes_nothing(serve, effects):
    server = serve()
    ids, owners = of_both(server, effects)
    sleeper = server.workers()[0]
    server.freeze(sleeper)
    taken = owners[owner_with_expired_lease(server.database)]
    settled(server.database, *taken)
    before = rows(server.database, taken)
    server.thaw(sleeper)
    effects.opened.set()
    settled(server.database)
    server.terminate()
    assert server.ended() == 0
    assert rows(server.database, taken) == before
    assert states(server.database) == {("success", None, 1): len(taken), ("success", None, 0): len(ids) - len(taken)}
    assert all(done_once(effects, id_, 2 if id_ in taken else 1) for id_ in ids)
