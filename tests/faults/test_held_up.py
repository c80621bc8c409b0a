"""A process is stopped (SIGSTOP) within a write: the others cannot write, and report it."""

import os
import re
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest
from effects import http_node
from record import ask, settled
from servers import states_of, until
from test_quick_calls import call, connected, quick, read
from world import start_python

pytestmark = [
    pytest.mark.slow,
    pytest.mark.sqlite_only("one lock is for all writers; on PostgreSQL, the recorder does not wait for others"),
]

CONNECTIONS = 60
WAIT = 4  # seconds that a request may wait for the write lock
QUICK = 3.0  # for an answer of health, also on a busy machine
REASON = re.compile("locked by another process|cannot take this call|cannot be written")
SET = {"nodes": [{"id": "a", "type": "set", "config": {"values": {"n": "{{ input }}"}}}], "edges": []}
WRITER = """
import pathlib, sys
import database
from chosen_engine import connect
connect(sys.argv[1])
with database.write():
    database.execute("UPDATE workspaces SET name = name")
    print("ready", flush=True)
    sys.stdin.readline()
database.disconnect()
"""


@contextmanager
def stopped_in_a_write(path):
    """Another process that is stopped during a write, and continued afterwards."""
    writer = start_python(WRITER, path)
    try:
        assert writer.stdout.readline() == "ready\n"
        os.kill(writer.pid, signal.SIGSTOP)
        until(lambda: set(states_of(writer.pid)) == {"T"}, "it is stopped")
        yield
        os.kill(writer.pid, signal.SIGCONT)
        _, error = writer.communicate("\n", timeout=20)
        assert writer.returncode == 0, error
    finally:
        writer.kill()
        writer.communicate(timeout=60)


def hook(path, respond, type_="set", **config):
    given = {"path": path, "respond": respond, "methods": ["POST"], "dedupe_header": "Idempotency-Key"}
    nodes = [
        {"id": "h", "type": "webhook", "config": given},
        {"id": "a", "type": type_, "config": config},
    ]
    return {"nodes": nodes, "edges": [["h", "a"]]}


class Health:
    """Requests the server's health repeatedly in a thread; `slowest` is in seconds."""

    def __init__(self, server):
        self.server, self.slowest = server, 0.0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._ask, daemon=True)
        self.thread.start()

    def _ask(self):
        while not self.over.wait(0.05):
            began = time.monotonic()
            assert self.server.call("GET", "/api/health")["ok"]
            self.slowest = max(self.slowest, time.monotonic() - began)

    def end(self):
        self.over.set()
        self.thread.join(20)
        return self


def test_requests_that_need_to_write_are_refused_in_time_without_effects(serve, effects):
    server = serve(HEADRACE_WRITE_WAIT=WAIT, HEADRACE_LEASE_SECONDS=60, HEADRACE_THREADS=8)
    flow, slow = server.add_flow(SET), server.add_flow({"nodes": [http_node("a", effects.held)], "edges": []})
    for mode in ("last", "immediately"):
        server.add_flow(hook(mode, mode, values={"n": 1}))
    at_work = server.run(slow)["id"]
    effects.wait_for(1)
    known = {run.id for run in ask(server.database, "SELECT id FROM runs")}
    asked = [
        lambda n: server._exchange("POST", f"/api/workflows/{flow}/run?wait=1", {"input": n}, {}),
        lambda n: server._exchange("POST", f"/api/workflows/{flow}/run", {"input": n}, {"Idempotency-Key": f"k{n}"}),
        lambda n: server._exchange("POST", f"/api/workflows/{slow}/run?wait=0", {"input": n}, {}),
        lambda n: server._exchange("POST", "/api/webhooks/last", {"n": n}, {}),
        lambda n: server._exchange("POST", "/api/webhooks/immediately", {"n": n}, {"Idempotency-Key": f"k{n}"}),
        lambda n: server._exchange("POST", "/api/flows", {"name": f"Flow {n}", "definition": SET}, {}),
        lambda n: server._exchange("POST", f"/api/runs/{at_work}/cancel", {}, {}),
    ]

    def refused(n):
        began = time.monotonic()
        answer, text = asked[n % len(asked)](n)
        assert answer.status == 503 and REASON.search(text.decode()), (n, answer.status, text)
        assert int(answer.getheader("Retry-After")) > 0
        return time.monotonic() - began

    with stopped_in_a_write(server.database), ThreadPoolExecutor(40) as pool:
        assert max(pool.map(refused, range(42))) < 6 * WAIT
        health = Health(server)
        assert max(pool.map(refused, range(42, 42 + 105))) < 6 * WAIT
        assert server.call("GET", "/api/runs") and server.call("GET", f"/api/runs/{at_work}/steps")
        assert server.request("GET", "/api/ready")[0] == 503
        assert health.end().slowest < QUICK
        effects.opened.set()
    settled(server.database)
    runs = ask(server.database, "SELECT id, status FROM runs")
    assert {run.id for run in runs} == known and {run.status for run in runs} == {"success"}
    assert not ask(server.database, "SELECT * FROM workflows WHERE name LIKE 'Flow %'")
    assert not ask(server.database, "SELECT * FROM idempotency_keys") and effects.count() == 1
    for number in range(8):
        assert server.run(flow, number, wait=10)["status"] == "success"
    until(lambda: server.request("GET", "/api/ready")[0] == 200, "writes go through again")


def test_quick_calls_block_no_request_and_are_refused_together(serve):
    """The worker's only thread is not involved, and answers health requests all the time."""
    server = serve(WEB_CONCURRENCY=1, HEADRACE_THREADS=1, HEADRACE_WRITE_WAIT=WAIT, HEADRACE_LEASE_SECONDS=60)
    server.add_flow(quick("quick"))
    with ExitStack() as stack:
        clients = [stack.enter_context(connected(server)) for _ in range(CONNECTIONS)]
        clients[0][0].sendall(call(0))
        assert read(clients[0][1]).status == 200
        with stopped_in_a_write(server.database):
            began = time.monotonic()
            for number, (client, _) in enumerate(clients):
                client.sendall(call(number))
                assert server.call("GET", "/api/health")["ok"]  # each in its own turn of the loop
            health = Health(server)
            answers = [read(file) for _, file in clients]
            assert time.monotonic() - began < WAIT + QUICK
            assert {answer.status for answer in answers} == {503}
            assert all(int(answer.headers["retry-after"]) > 0 for answer in answers)
            assert health.end().slowest < QUICK
        assert len(ask(server.database, "SELECT * FROM runs")) == 1
        for number, (client, file) in enumerate(clients):
            client.sendall(call(number))
            assert read(file).body == {"n": number}
    assert len(ask(server.database, "SELECT * FROM runs")) == 1 + CONNECTIONS
    assert len(ask(server.database, "SELECT * FROM all_steps")) == 5 * (1 + CONNECTIONS)
