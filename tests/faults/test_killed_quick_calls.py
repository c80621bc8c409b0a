"""Quick calls while processes are killed or replaced: every answered call has one complete run."""

import itertools
import json
import threading
from collections import defaultdict

import pytest
from chosen_engine import ON_POSTGRES
from record import ask, left_on_disk, settled
from servers import PATIENCE, until
from test_quick_calls import GUNICORN, STEPS, call, connected, quick, read, request

pytestmark = [pytest.mark.slow, pytest.mark.soak, pytest.mark.postgres]

ITEMS = 2_000  # items that make a run too long for the loop
FLOWS = 8  # with such runs now and then: after two in succession the loop does not try the flow for a while
CALLS = 400  # maximum of answered calls between two kills


class Calls:
    """Clients that call repeatedly, each over its own connection, with a new number each time.

    `told` are the ids of the runs in the responses, by number. A number is `lost` if the connection ended before the
    response, and `refused` if the response was a 503.
    """

    def __init__(self, server, clients, call):
        self.server, self.call = server, call
        self.numbers = itertools.count(1)
        self.told, self.lost, self.refused, self.errors = {}, set(), set(), []
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def end(self):
        """Return when all their calls are answered or lost."""
        self._over.set()
        for thread in self._threads:
            thread.join(PATIENCE)
        assert not any(thread.is_alive() for thread in self._threads) and not self.errors, self.errors[:3]

    def _work(self):
        try:
            while not self._over.is_set():
                assert self.server.answering.wait(PATIENCE)
                self._connect()
        except Exception as error:
            self.errors.append(error)

    def _connect(self):
        number = None
        try:
            with connected(self.server) as (client, file):
                while not self._over.is_set():
                    number = next(self.numbers)
                    client.sendall(self.call(number))
                    if (answer := read(file)) is None:
                        break
                    self._note(number, answer)
                    number = None
        except OSError:
            pass
        if number is not None:
            self.lost.add(number)

    def _note(self, number, answer):
        if answer.status == 503:
            self.refused.add(number)
        else:
            given = answer.body.get("output", answer.body)
            assert (answer.status, given["n"][0]) == (200, number), answer
            self.told[number] = given["id"]


@pytest.fixture
def start_calls():
    made = []

    def begin(*args):
        made.append(Calls(*args))
        return made[-1]

    yield begin
    for calls in made:
        calls.end()


def check_whole(path):
    """Check that every run in the database is complete. Return the ids of all by their number."""
    assert ON_POSTGRES or ask(path, "PRAGMA integrity_check")[0].integrity_check == "ok"
    steps = defaultdict(list)
    for step in ask(path, "SELECT * FROM all_steps ORDER BY run_id, seq"):
        steps[step.run_id].append((step.node_id, step.status))
    runs = ask(path, "SELECT * FROM runs")
    whole = [(node_id, "success") for node_id in STEPS]
    assert {run.id: steps.pop(run.id, []) for run in runs} == {run.id: whole for run in runs} and not steps
    assert {(run.status, run.lease_owner, run.nodes_done) for run in runs} <= {("success", None, len(STEPS))}
    (days,) = ask(path, "SELECT SUM(total) AS total, SUM(success) AS success FROM run_days")
    assert (days.total or 0) == (days.success or 0) == len(runs)
    ids = defaultdict(set)
    for run in runs:
        ids[json.loads(run.input)["body"]["n"][0]].add(run.id)
    return ids


def check(path, calls):
    """Check that each call has exactly the run that its response named."""
    ids = check_whole(path)
    twice = {number: found for number, found in ids.items() if len(found) > 1}
    assert not twice, f"called once, on record twice: {twice}"
    wrong = {number: id_ for number, id_ in calls.told.items() if ids[number] != {id_}}
    assert not wrong, f"answered with these, but on record otherwise: {wrong}"
    made = {number for number, found in ids.items() if found}
    assert made <= calls.told.keys() | calls.lost, "refused, and yet on record"
    assert len(calls.told) > CALLS / 10


@pytest.mark.parametrize("way", ["webhook", pytest.param("run", marks=pytest.mark.nightly)])
def test_processes_are_killed_while_the_loop_answers(tmp_path, serve, seeded, rounds, start_calls, way):
    server = serve(HEADRACE_GRACE=5)
    flow = server.add_flow(quick("known", id="{{ run.id }}"))
    token = b"Authorization: Bearer " + server.token.encode()

    def one(number):
        if way == "webhook":
            return call([number], "known")
        return request(f"/api/workflows/{flow}/run", {"input": {"body": {"n": [number]}}}, b"1.1", token)

    calls = start_calls(server, 32, one)

    def at_random():
        count = len(calls.told) + seeded.randint(1, CALLS)
        until(lambda: len(calls.told) >= count, "calls are answered")

    for _ in rounds(2):
        for _ in range(3):
            at_random()
            server.kill_worker(seeded.choice(server.workers()))
        at_random()
        server.kill()
        check_whole(left_on_disk(server.database, tmp_path))
        server.start()
    at_random()
    calls.end()
    check(server.database, calls)


@pytest.mark.nightly
def test_replaced_workers_leave_no_call_without_a_response(serve, start_calls):
    server = serve(command=(*GUNICORN, "--max-requests", "300"))
    server.add_flow(quick("known", id="{{ run.id }}"))
    workers = set(server.workers())
    calls = start_calls(server, 16, lambda number: call([number], "known"))

    def replaced():
        workers.update(server.workers())
        return len(workers) >= 8

    until(replaced, "the workers are replaced")
    calls.end()
    check(server.database, calls)
    ids = [run.id for run in ask(server.database, "SELECT id FROM runs ORDER BY id")]
    assert ids == sorted(calls.told.values())


def at_times_slow(path):
    """Return the flow of `quick`, with a foreach node over as many items as a call says."""
    made = quick(path, id="{{ run.id }}")
    made["nodes"][2] |= {"type": "set", "config": {"values": {}}, "foreach": "{{ range(trigger.body.n[1]) }}"}
    return made


def test_processes_are_killed_while_quick_runs_become_long(serve, seeded, rounds, start_calls):
    server = serve(HEADRACE_GRACE=5)
    for number in range(FLOWS):
        server.add_flow(at_times_slow(f"flow{number}"))

    def one(number):
        return call([number, 0 if number % 5 else ITEMS], f"flow{seeded.randrange(FLOWS)}")

    calls = start_calls(server, 16, one)
    for _ in rounds(2):
        for _ in range(2):
            count = len(calls.told) + seeded.randint(1, CALLS // 2)
            until(lambda count=count: len(calls.told) >= count, "calls are answered")
            server.kill_worker(seeded.choice(server.workers()))
    calls.end()
    settled(server.database)
    check(server.database, calls)
