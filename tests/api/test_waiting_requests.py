"""Requests that wait for runs use only some of the request threads."""

import dataclasses
import queue
import threading

import pytest

import database
from dispatch import waiting

HOOK = {"id": "hook", "type": "webhook"}
WAIT = {"id": "wait", "type": "gate"}
LONG = 60


@pytest.fixture
def config(config):
    """Settings that allow one long wait in a process."""
    return dataclasses.replace(config, threads=2, webhook_wait=LONG)


@pytest.fixture
def ask(token_client, gate, make_flow, monkeypatch):
    """`ask(way)` sends a request that waits in this way from a new thread; responses are added to `ask.answers`."""
    monkeypatch.setattr(waiting, "SHORT_WAIT", 0.05)
    nodes, edges = [WAIT, {"id": "answer", "type": "respond", "config": {"body": "at last"}}], [["wait", "answer"]]
    flow = make_flow({"nodes": nodes, "edges": edges})
    for mode in ("last", "node"):
        hook = {**HOOK, "config": {"path": mode, "respond": mode}}
        make_flow({"nodes": [hook, *nodes], "edges": [["hook", "wait"], *edges]}, status="active")
    addresses = {"run": f"/api/workflows/{flow['id']}/run?wait={LONG}"}
    addresses |= {mode: f"/api/webhooks/{mode}" for mode in ("last", "node")}
    threads = []

    def send(client, way):
        try:
            start.answers.put(client.post(addresses[way], {}))
        finally:
            database.disconnect_thread()

    def start(way):
        threads.append(threading.Thread(target=send, args=(token_client("operator"), way)))
        threads[-1].start()

    start.answers = queue.SimpleQueue()
    yield start
    gate.set()
    for thread in threads:
        thread.join(60)


@pytest.mark.parametrize("way", ["run", "last", "node"])
def test_a_request_over_the_limit_gets_the_unfinished_run(ask, gate, way):
    for _ in range(3):
        ask(way)
    early = [ask.answers.get(timeout=LONG / 3) for _ in range(2)]
    assert [answer.status_code for answer in early] == [202, 202]
    assert ask.answers.empty()
    gate.set()
    assert ask.answers.get(timeout=LONG / 3).status_code == 200


def test_all_ways_to_wait_share_the_places_and_give_them_back(ask, gate):
    for way in ("run", "last", "node"):
        ask(way)
    assert [ask.answers.get(timeout=LONG / 3).status_code for _ in range(2)] == [202, 202]
    gate.set()
    ask.answers.get(timeout=LONG / 3)
    gate.clear()
    ask("run")
    ask("run")
    assert ask.answers.get(timeout=LONG / 3).status_code == 202 and ask.answers.empty()
