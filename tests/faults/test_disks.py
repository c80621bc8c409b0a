"""Disks that refuse every write for a while: the server reports it, keeps answering, and recovers by itself."""

import json
import re
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from disks import Full, Limited, ReadOnly
from effects import http_node
from llm_server import LlmServer, call, say
from record import ask, settled
from servers import until
from test_quick_calls import quick

pytestmark = [
    pytest.mark.slow,
    pytest.mark.sqlite_only("the disk of the SQLite file is filled; a PostgreSQL server has its own"),
]

AT_WORK = 6  # runs in progress when the disk begins to fail
ASKED = 40  # concurrent requests: every thread of every worker gets some
REASON = re.compile("could not be recorded($|: .*(disk is full|disk I/O error|readonly))|cannot be written")
SET = {"nodes": [{"id": "a", "type": "set", "config": {"values": {"n": "{{ input }}"}}}], "edges": []}


@pytest.fixture(params=[Full, Limited, ReadOnly])
def disk(request, tmp_path):
    made = request.param(tmp_path)
    yield made
    made.close()


@pytest.fixture
def server(disk, serve):
    """A server with all workers started; a worker that starts on a failing disk has its own test."""
    # The minimum of free space would refuse runs before the disk fails.
    made = serve(data_dir=disk.data_dir, HEADRACE_MIN_FREE_BYTES="0")
    beating = "SELECT * FROM leases WHERE name LIKE 'proc%'"
    until(lambda: len(ask(made.database, beating)) == len(made.workers()) == 2, "the workers begin")
    return made


@pytest.fixture
def flow(server):
    """A flow of one pure node that has run once."""
    made = server.add_flow(SET)
    assert server.run(made, wait=10)["status"] == "success"
    return made


def at_once(work):
    """Return the result of the work for each number, done in parallel."""
    with ThreadPoolExecutor(ASKED) as pool:
        return list(pool.map(work, range(1, ASKED + 1)))


def statuses(work):
    return {status for status, _ in at_once(work)}


def start(server, flow, number, wait=10):
    """Start a run with this number, every other one with a key. Return the status and the response."""
    headers = {"Idempotency-Key": f"key-{number}"} if number % 2 else {}
    return server.request("POST", f"/api/workflows/{flow}/run?wait={wait}", {"input": number}, headers)


def add_flow(server, number):
    return server.request("POST", "/api/flows", {"name": f"Flow {number}", "definition": SET})


def reads(server, *paths):
    """Return True if every thread can read all of these."""
    return all(statuses(lambda _, path=path: server.request("GET", path)) == {200} for path in paths)


def check_told(told, database):
    """Check that accepted runs exist, and that refused requests got the reason and have no run."""
    runs = {run.id: run for run in ask(database, "SELECT * FROM runs")}
    inputs = [run.input for run in runs.values()]
    assert 503 in [status for status, _ in told]
    for number, (status, body) in enumerate(told, start=1):
        if status == 503:
            assert REASON.search(body["error"]) and inputs.count(str(number)) == 0, (number, body)
        else:
            assert status in (200, 202) and inputs.count(str(number)) == 1 and body["id"] in runs, (status, body)


def test_a_failing_disk_stops_nothing_permanently(disk, server, flow, effects):
    nodes = [http_node("a", effects.held), {"id": "b", "type": "noop"}]
    holding = server.add_flow({"nodes": nodes, "edges": [["a", "b"]]})
    at_work = [server.run(holding)["id"] for _ in range(AT_WORK)]
    effects.wait_for(AT_WORK)
    workers = server.workers()

    disk.refuse(server)
    effects.opened.set()
    told = at_once(lambda number: start(server, flow, number, wait=number % 4 // 2))
    assert reads(server, "/api/health", "/api/runs", f"/api/runs/{at_work[0]}/steps", "/api/metrics", "/api/flows")
    assert statuses(lambda number: add_flow(server, number)) <= {201, 503}

    disk.relent(server)
    until(lambda: start(server, flow, 1000)[0] == 200, "runs are accepted again")
    settled(server.database)
    check_told(told, server.database)
    for run in ask(server.database, "SELECT * FROM runs WHERE workflow_id = ?", holding):
        assert run.status == "success" or "could not be recorded" in run.error_text, (run.status, run.error_text)
    assert effects.count() == AT_WORK
    # A thread that opened the database meanwhile may still have it read-only.
    until(lambda: statuses(lambda number: add_flow(server, number)) == {201}, "flows are added again")
    # A worker that could not renew its lease does so with its next heartbeat.
    until(lambda: statuses(lambda number: start(server, flow, 2000 + number)) == {200}, "every worker takes runs again")
    assert server.workers() == workers


def fire(server, number):
    """Call the webhook of a quick flow, which the loop answers. Return the status, and Retry-After if it is refused."""
    answer, _ = server._exchange("POST", "/api/webhooks/quick", {"n": number}, {})
    return answer.status, answer.getheader("Retry-After")


def test_quick_calls_are_refused_while_the_disk_fails(disk, server):
    server.add_flow(quick("quick"))
    assert set(at_once(lambda number: fire(server, number))) == {(200, None)}
    workers = server.workers()
    disk.refuse(server)
    told = at_once(lambda number: fire(server, 100 + number))
    assert (503, "5") in told and reads(server, "/api/health", "/api/runs")
    disk.relent(server)
    until(
        lambda: {status for status, _ in at_once(lambda number: fire(server, 1000))} == {200}, "calls are taken again"
    )
    runs = ask(server.database, "SELECT * FROM runs")
    numbers = [json.loads(run.input)["body"]["n"] for run in runs]
    assert [numbers.count(number) for number in range(1, 1 + ASKED)] == [1] * ASKED
    assert [numbers.count(100 + number) for number in range(1, 1 + ASKED)] == [int(status == 200) for status, _ in told]
    assert {run.status for run in runs} == {"success"} and server.workers() == workers
    assert len(ask(server.database, "SELECT * FROM all_steps")) == 5 * len(runs)


@pytest.mark.parametrize("disk", [Full], indirect=True)
def test_a_disk_full_for_longer_than_a_lease_causes_no_second_execution(disk, server, effects):
    nodes = [http_node("a", effects.held), {"id": "b", "type": "noop"}]
    holding = server.add_flow({"nodes": nodes, "edges": [["a", "b"]]})
    for _ in range(AT_WORK):
        server.run(holding)
    effects.wait_for(AT_WORK)
    disk.refuse(server)
    effects.opened.set()
    alive = "SELECT * FROM leases WHERE name LIKE 'proc%' AND until > ?"
    until(lambda: not ask(server.database, alive, time.monotonic_ns() // 1_000_000), "all leases run out")
    disk.relent(server)
    settled(server.database)
    assert effects.count() == AT_WORK


@pytest.mark.parametrize("disk", [Full], indirect=True)
def test_a_nearly_full_disk_accepts_no_new_run_and_runs_in_progress_end(disk, serve, effects):
    server = serve(data_dir=disk.data_dir, HEADRACE_MIN_FREE_BYTES="2M")
    nodes = [http_node("a", effects.held), {"id": "b", "type": "noop"}]
    id_ = server.run(server.add_flow({"nodes": nodes, "edges": [["a", "b"]]}))["id"]
    flow = server.add_flow(SET)
    effects.wait_for(1)
    disk.leave(2**20)
    # Each worker checks the disk once a second.
    until(lambda: statuses(lambda _: server.request("GET", "/api/ready")) == {503}, "no worker is ready")
    told = at_once(lambda number: start(server, flow, number))
    assert {status for status, _ in told} == {503}
    assert all("HEADRACE_MIN_FREE_BYTES" in body["error"] for _, body in told)
    effects.opened.set()
    settled(server.database)
    (run,) = ask(server.database, "SELECT * FROM runs")
    assert (run.id, run.status) == (id_, "success")
    disk.relent(server)
    until(lambda: start(server, flow, 1)[0] == 200, "runs are accepted again")


@pytest.mark.parametrize("disk", [Limited], indirect=True)
def test_a_worker_started_on_a_failing_disk_works_once_the_disk_recovers(disk, server, flow):
    disk.refuse(server)
    for number, pid in enumerate(server.workers(), start=1):
        server.kill_worker(pid)
        # One at a time: SQLite must write before the first of all connections can read.
        server.said("no runs are taken until", times=number)
    until(lambda: reads(server, "/api/health", "/api/runs"), "the new workers answer")
    told = at_once(lambda number: start(server, flow, number))
    assert {status for status, _ in told} == {503}
    check_told(told, server.database)
    disk.relent(server)
    until(lambda: statuses(lambda number: start(server, flow, 1000 + number)) == {200}, "runs are accepted again")


@pytest.mark.parametrize("disk", [Limited], indirect=True)
def test_a_server_stopped_while_the_disk_fails_loses_no_run(disk, server, flow, effects):
    id_ = server.run(server.add_flow({"nodes": [http_node("a", effects.held)], "edges": []}))["id"]
    effects.wait_for(1)
    disk.refuse(server)
    server.terminate()
    assert server.ended() == 0
    server.start()
    settled(server.database)
    (run,) = ask(server.database, "SELECT * FROM runs WHERE id = ?", id_)
    assert (run.status, run.claims, effects.count()) == ("success", 2, 2)


@pytest.mark.parametrize("disk", [Limited], indirect=True)
def test_an_agent_that_cannot_be_recorded_takes_no_further_step(disk, serve, effects):
    arguments = {"method": "POST", "url": effects.held, "body": "1"}
    with LlmServer([call("http_request", arguments), say("never")]) as llm:
        server = serve(data_dir=disk.data_dir, OPENAI_BASE_URL=llm.openai_url, HEADRACE_LLM_MODEL="openai:gpt-4o-mini")
        tool = {"type": "http", "methods": ["POST"]}
        server.call("POST", "/api/agents", {"id": "a", "name": "A", "instructions": "x", "tools": [tool]})
        id_ = server.call("POST", "/api/agent/run", {"agent_id": "a", "task": "x", "wait": 0})["id"]
        effects.wait_for(1)
        disk.refuse(server)
        effects.opened.set()
        server.said("could not be recorded")
        disk.relent(server)
        settled(server.database)
        answer = server.call("GET", f"/api/agent/runs/{id_}")
        assert answer["status"] == "failed" and "could not be recorded" in answer["error_text"]
        # Its effect is unknown.
        assert effects.count() == 1 and len(llm.requests) == 1
        assert [step["status"] for step in answer["steps"]] == ["success", "success", "failed"]
