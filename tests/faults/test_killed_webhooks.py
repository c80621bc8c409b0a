"""Calls of webhooks while servers are killed: every accepted call has one run, and one key never has two."""

import json
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor

import pytest
from effects import http_node
from record import Crashes, ask, left_on_disk, settled
from servers import TRIES, insist

pytestmark = [pytest.mark.slow, pytest.mark.soak, pytest.mark.postgres]

CALLS = 40  # calls of each webhook between two kills
CLIENTS = 6
TAKEN = (200, 202)


def hooked(url, respond):
    """Return a flow with a webhook `/faults/<respond>` and two requests, and a Respond node between them if needed."""
    body = {"n": "{{ trigger.body.n }}"}
    nodes = [
        {
            "id": "hook",
            "type": "webhook",
            "config": {"path": f"faults/{respond}", "respond": respond, "dedupe_header": "Idempotency-Key"},
        },
        http_node("one", url, body),
        {"id": "answer", "type": "respond", "config": {"body": {**body, "run_id": "{{ run.id }}"}}},
        http_node("two", url, body),
        {"id": "end", "type": "set", "config": {"values": {**body, "run_id": "{{ run.id }}"}}},
    ]
    if respond != "node":
        nodes = [node for node in nodes if node["type"] != "respond"]
    names = [node["id"] for node in nodes]
    return {"nodes": nodes, "edges": [list(pair) for pair in zip(names, names[1:], strict=False)]}


class Callers:
    """Each number is one call of one webhook. Every other one has a key, and two clients retry it at the same time.

    `told` are the ids in responses with 2xx, by number. Without a key a call is sent once.
    """

    def __init__(self, *servers):
        self.servers = servers
        self.told = defaultdict(list)
        self.last = 0
        self._pool = ThreadPoolExecutor(CLIENTS)
        self._calls = []

    def call(self, way, count):
        for _ in range(count):
            self.last += 1
            for who in range(1 + self.last % 2):
                self._calls.append(self._pool.submit(self._call, way, self.last, who))

    def is_over(self):
        """Return True if all are answered or lost."""
        return all(call.done() for call in self._calls)

    def join(self):
        """Return when all are answered or lost."""
        for call in self._calls:
            call.result()
        self._calls.clear()

    def close(self):
        self._pool.shutdown(cancel_futures=True)

    def _call(self, way, number, who):
        headers = {"Idempotency-Key": f"key-{number}"} if number % 2 else {}
        path, tries = f"/api/webhooks/faults/{way}", TRIES if number % 2 else 1
        status, answer, _ = insist(
            self.servers, "POST", path, lambda attempt: {"n": number}, TAKEN, headers, number + who, tries
        )
        if status is not None:
            self.told[number].append(answer["run_id"])
            assert way == "immediately" or status == 202 or answer["n"] == number, answer


@pytest.fixture
def callers():
    made = []

    def begin(*servers):
        made.append(Callers(*servers))
        return made[-1]

    yield begin
    for each in made:
        each.close()


def test_calls_are_accepted_once_when_processes_are_killed(tmp_path, serve, effects, seeded, rounds, callers):
    server = serve()
    ways = ("immediately", "node", "last")
    for way in ways:
        server.add_flow(hooked(effects.url, way))
    callers, crashes = callers(server), Crashes(effects)

    def at_random():
        effects.wait_for(effects.count() + seeded.randint(1, CALLS), callers.is_over)

    for _ in rounds(1):
        for part in range(4):
            callers.call(ways[part % 3], CALLS // 4)
            callers.call(ways[(part + 1) % 3], CALLS // 4)
            callers.call(ways[(part + 2) % 3], CALLS // 4)
        at_random()
        server.kill_worker(seeded.choice(server.workers()), lambda: crashes.note(server.database))
        at_random()
        server.kill()
        crashes.note(left_on_disk(server.database, tmp_path))
        server.start()
        callers.join()
        settled(server.database)
    crashes.check([])
    check(server.database, callers, effects)


def check(path, callers, effects):
    runs = ask(path, "SELECT * FROM runs")
    broken = [(run.id, run.status, run.error_text) for run in runs if run.status != "success"]
    assert not broken, f"{len(broken)} runs did not succeed: {broken[:5]}"
    by_number = defaultdict(set)
    for run in runs:
        by_number[json.loads(run.input)["body"]["n"]].add(run.id)
    twice = {number: ids for number, ids in by_number.items() if len(ids) > 1}
    assert not twice, f"called once, on record twice: {twice}"
    wrong = {number: ids for number, ids in callers.told.items() if set(ids) != by_number[number]}
    assert not wrong, f"taken as these, but on record otherwise: {wrong}"
    with_a_key = [number for number in range(1, callers.last + 1) if number % 2]
    assert {number: len(callers.told[number]) for number in with_a_key} == dict.fromkeys(with_a_key, 2)
    assert len(callers.told) > len(with_a_key), "some calls without a key were taken, too"
    keys = Counter(row.run_id for row in ask(path, "SELECT * FROM idempotency_keys"))
    assert keys == {run_id: 1 for number in with_a_key for run_id in by_number[number]}
    seen = effects.seen()
    assert set(seen) == {f"{run.id}:{node}:0" for run in runs for node in ("one", "two")}
