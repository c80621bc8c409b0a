"""Many agents at once do not block other work."""

import dataclasses
import queue
import threading
import time

import pytest
from llm_server import forever, say, stall

import database
from models import AgentRun, Run

CODE = {"nodes": [{"id": "code", "type": "code", "config": {"source": "1 + 1"}}], "edges": []}


@pytest.fixture
def config(config):
    """Four threads for runs, three of them for agents, and one place for a long wait of a request."""
    return dataclasses.replace(config, run_threads=4, threads=2)


@pytest.fixture
def go_on():
    """Event that lets the model answer."""
    event = threading.Event()
    yield event
    event.set()


def statuses():
    return sorted(row.status for row in Run.select().where(Run.workflow_id == "agent:helper"))


@pytest.mark.slow
def test_agents_leave_threads_for_other_runs(add_agent, ask, llm, owner, make_flow, server, go_on):
    add_agent()
    llm.then(forever(stall(go_on, then=say("At last."))))
    answers = [ask(expect=202, wait=0) for _ in range(7)]
    llm.wait_for_requests(3)
    flow = make_flow(CODE)
    began = time.monotonic()
    for _ in range(3):
        run = owner.post(f"/api/workflows/{flow['id']}/run?wait=20", {}).json
        assert (run["status"], run["output"]) == ("success", 2)
    assert time.monotonic() - began < 10 and len(llm.requests) == 3
    assert statuses() == ["pending"] * 4 + ["running"] * 3
    go_on.set()
    for answer in answers:
        server.dispatcher.waiting.wait(server.dispatcher.ticket_of(Run.get_by_id(answer["run_id"])), 20)
    assert statuses() == ["success"] * 7 and len(llm.requests) == 7


def test_due_schedules_run_too(add_agent, ask, llm, owner, make_flow, server, go_on):
    add_agent()
    llm.then(forever(stall(go_on, then=say("At last."))))
    for _ in range(7):
        ask(expect=202, wait=0)
    llm.wait_for_requests(3)
    nodes = [{"id": "wait", "type": "wait", "config": {"seconds": 0.1}}, *CODE["nodes"]]
    flow = make_flow({"nodes": nodes, "edges": [["wait", "code"]]})
    run = owner.post(f"/api/workflows/{flow['id']}/run?wait=0", {}).json
    end = time.monotonic() + 30
    while (found := Run.get_by_id(run["id"])).finished_at is None and time.monotonic() < end:
        time.sleep(0.05)
    assert found.status == "success"


def test_a_queued_agent_can_be_cancelled(add_agent, ask, llm, owner, server, go_on):
    add_agent()
    llm.then(forever(stall(go_on, then=say("At last."))))
    answers = [ask(expect=202, wait=0) for _ in range(4)]
    llm.wait_for_requests(3)
    (waiting,) = [row for row in AgentRun.select() if Run.get_by_id(row.run_id).status == "pending"]
    assert owner.post(f"/api/agent/runs/{waiting.id}/cancel").status_code == 200
    go_on.set()
    for answer in answers:
        server.dispatcher.waiting.wait(server.dispatcher.ticket_of(Run.get_by_id(answer["run_id"])), 20)
    assert statuses() == ["failed"] + ["success"] * 3 and len(llm.requests) == 3


def test_long_waits_leave_request_threads_for_others(add_agent, llm, go_on, token_client, monkeypatch):
    """Only one of three requests may wait for a minute; a viewer's request may not either."""
    monkeypatch.setattr("dispatch.waiting.SHORT_WAIT", 0.2)
    add_agent()
    llm.then(forever(stall(go_on, then=say("At last."))))
    answers = queue.SimpleQueue()

    def give(client):
        try:
            answers.put(client.post("/api/agent/run", {"agent_id": "helper", "task": "x", "wait": 60}))
        finally:
            database.disconnect_thread()

    threads = [threading.Thread(target=give, args=(token_client("operator"),)) for _ in range(3)]
    for thread in threads:
        thread.start()
    early = [answers.get(timeout=20) for _ in range(2)]
    assert [(answer.status_code, answer.json["status"]) for answer in early] == [(202, "running")] * 2
    began = time.monotonic()
    looked = token_client("viewer").get(f"/api/agent/runs/{early[0].json['id']}?wait=60")
    assert looked.json["status"] == "running" and time.monotonic() - began < 10
    assert answers.empty()
    go_on.set()
    assert answers.get(timeout=20).json["text"] == "At last."
    for thread in threads:
        thread.join(60)
