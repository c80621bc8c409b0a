"""Servers of two machines on one PostgreSQL database: process trees with their own boot ids, and clocks that differ."""

import time
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from effects import http_node
from postgres import create
from servers import Server, until

pytestmark = pytest.mark.slow

LEASE_MS = 3_000  # of the servers in servers.py
# Starts a server on a machine that was booted at another time, and whose clock is an hour ahead.
ELSEWHERE = """
import time
import database.shared
database.shared.boot_id = lambda: "another-boot"
real, real_ns = time.time, time.time_ns
time.time, time.time_ns = lambda: real() + 3600, lambda: real_ns() + 3600 * 10**9
import workflow_server
workflow_server.main()
"""


@pytest.fixture(scope="module")
def url(postgres_server):
    """The URL of the database of both."""
    create(postgres_server, "two_machines")
    yield postgres_server.url(database="two_machines")
    postgres_server.admin("DROP DATABASE two_machines WITH (FORCE)", database="postgres")


@pytest.fixture(scope="module")
def running(url, tmp_path_factory):
    """Two servers with two workers each. The second has the token of the first."""
    shared = {
        "DATABASE_URL": url,
        "HEADRACE_SECRET_KEY": "the key of both machines",
        "HEADRACE_PUBLIC_URL": "https://flows.example.org",
    }
    folder = tmp_path_factory.mktemp("machines")
    made = [
        Server(folder / "one", **shared),
        Server(folder / "two", ("-c", ELSEWHERE), **shared),
    ]
    try:
        for server in made:
            server.start()
        made[0].log_in()
        made[1].token = made[0].token
        yield made
    finally:
        for server in made:
            server.close()


@pytest.fixture
def machines(running, tell):
    """The two servers, which all tests of the file use."""
    for server in running:
        tell(f"server on {server.port}", lambda server=server: "".join(list(server.lines)[-30:]))
    return running


def ask(url, sql, *params):
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(sql, params).fetchall()


def hooked(*nodes):
    """Return a flow that begins with the webhook `/machines`, which responds with the output."""
    nodes = [{"id": "hook", "type": "webhook", "config": {"path": "machines", "respond": "last"}}, *nodes]
    ids = [node["id"] for node in nodes]
    return {"nodes": nodes, "edges": [list(pair) for pair in zip(ids, ids[1:], strict=False)]}


def test_both_answer_calls_with_one_record(machines, url):
    add = {"id": "add", "type": "set", "config": {"values": {"n": "{{ trigger.body.n + 1 }}"}}}
    flow = machines[0].add_flow(hooked(add))
    for number in range(6):
        answer = machines[number % 2].call("POST", "/api/webhooks/machines", {"n": number})
        assert answer == {"n": number + 1}
    for machine in machines:
        found = machine.call("GET", f"/api/runs?limit=10&workflow_id={flow}")["items"]
        assert [run["status"] for run in found] == ["success"] * 6
        assert [run["id"] for run in found] == sorted((run["id"] for run in found), reverse=True)
        # By the clock of the database, also on the machine whose clock is wrong.
        ages = [datetime.now(UTC) - datetime.fromisoformat(run["created_at"]) for run in found]
        assert all(abs(age.total_seconds()) < 600 for age in ages)
    machines[1].said("this machine's clock is 3600.")
    # A value that is too large for a row.
    echo = machines[0].add_flow({"nodes": [{"id": "start", "type": "manual"}], "edges": []})
    run = machines[0].run(echo, {"text": "x" * 100_000}, wait=20)
    assert machines[1].call("GET", f"/api/runs/{run['id']}/output") == {"text": "x" * 100_000}


def test_times_are_those_of_the_database_on_both(machines):
    """On the second machine, a wait of a second would last an hour, and a question expire at once or never."""
    wait = {"id": "pause", "type": "wait", "config": {"seconds": 1}}
    until_then = {"id": "then", "type": "wait", "config": {"until": "{{ now + timedelta(seconds=1) }}"}}
    ask = {"id": "ask", "type": "approval", "config": {"message": "?", "timeout": 1}}
    now = {"id": "now", "type": "set", "config": {"values": {"now": "{{ now.isoformat() }}"}}}
    edges = [["pause", "then"], ["then", "ask"], ["ask", "now", "timeout"]]
    flow = machines[0].add_flow({"nodes": [wait, until_then, ask, now], "edges": edges})
    for machine in machines:
        began = datetime.now(UTC)
        run = machine.run(flow, wait=60)
        assert run["status"] == "success"
        steps = machine.call("GET", f"/api/runs/{run['id']}/steps")["items"]
        times = [run["output"]["now"], *(step[name] for step in steps for name in ("started_at", "finished_at"))]
        ages = [datetime.fromisoformat(time) - began for time in times]
        assert all(abs(age.total_seconds()) < 600 for age in ages), times


def test_runs_of_a_living_machine_are_its_own_and_those_of_a_dead_one_are_resumed(machines, url, effects):
    first, second = machines
    flow = first.add_flow({"nodes": [http_node("ask", effects.held), http_node("tell", effects.url)],
                           "edges": [["ask", "tell"]]})  # fmt: skip
    run = first.run(flow)["id"]
    effects.wait_for(1)
    (key,) = effects.seen()
    (began,) = ask(url, "SELECT max(until) FROM leases WHERE name LIKE 'proc%%'")[0]
    renewed = "SELECT 1 FROM leases WHERE name LIKE 'proc%%' AND until > %s"
    until(lambda: ask(url, renewed, began + LEASE_MS), "a lease passes")
    assert ask(url, "SELECT status, claims, deaths FROM runs WHERE id = %s", run) == [("running", 1, 0)]
    killed = time.monotonic()
    first.kill()
    until(lambda: second.call("GET", f"/api/runs/{run}")["status"] == "success", "the other machine resumes the run")
    assert ask(url, "SELECT status, claims, deaths FROM runs WHERE id = %s", run) == [("success", 2, 1)]
    # Its process id says nothing on another machine, so the lease has to end. The node in doubt has the same key.
    assert time.monotonic() - killed > LEASE_MS / 1000 * 0.6 and effects.seen()[key] == 2
    assert effects.count() == 3
    effects.opened.set()
    first.start()
    assert first.run(flow, wait=20)["status"] == "success"


def test_the_password_is_not_shown(machines, url):
    password = url.partition("://app:")[2].partition("@")[0]
    for machine in machines:
        for pid in (machine.master, *machine.workers()):
            assert password.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
        for path in ("/api/health", "/api/ready", "/metrics", "/api/metrics"):
            assert password not in str(machine._exchange("GET", path, None, {}))
        assert password not in "".join(machine.lines)
