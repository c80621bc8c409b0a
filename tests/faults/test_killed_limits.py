"""The concurrency limit of a flow holds when processes are killed, and every run ends."""

import json
import threading
from collections import Counter

import pytest
from effects import Effects, http_node
from record import ask, settled

pytestmark = [pytest.mark.slow, pytest.mark.soak, pytest.mark.postgres]

LIMIT = 2
RUNS = 40  # started between two kills
SLOWEST = (
    0.06  # maximum seconds of a response: shorter than any lease, so that no response to a dead process is still open
)


class Gathering(Effects):
    """Effects that count concurrent runs; `most` is the largest number."""

    def __init__(self, random):
        super().__init__(random)
        self._open = Counter()
        self._lock = threading.Lock()
        self.most = 0
        self._length = threading.Event()  # never set

    def note(self, key):
        """Count a request as open until shortly before its response, because the run continues then."""
        times, _ = super().note(key)
        run = key.partition(":")[0]
        with self._lock:
            self._open[run] += 1
            self.most = max(self.most, sum(number > 0 for number in self._open.values()))
            length = self.random.uniform(0, SLOWEST)
        self._length.wait(length)
        with self._lock:
            self._open[run] -= 1
        return times, 0


@pytest.fixture
def effects(seeded):
    made = Gathering(seeded)
    yield made
    made.close()


def limited(url):
    """Return a flow of two requests, with a concurrency limit of LIMIT."""
    nodes = [http_node("one", url, {"n": "{{ trigger.n }}"}), http_node("two", url, {"n": "{{ trigger.n }}"})]
    nodes.insert(0, {"id": "start", "type": "manual"})
    settings = {"max_concurrent_runs": LIMIT, "overlap": "queue"}
    return {"nodes": nodes, "edges": [["start", "one"], ["one", "two"]], "settings": settings}


def test_the_concurrency_limit_holds_when_processes_are_killed(serve, start_load, effects, seeded, rounds):
    servers = [serve(), serve(WEB_CONCURRENCY=1)]
    path = servers[0].database
    load = start_load(servers[0].add_flow(limited(effects.url)), *servers)

    def at_random():
        effects.wait_for(effects.count() + seeded.randint(1, RUNS), load.is_over)

    for number in rounds(1):
        load.start(RUNS)
        at_random()
        servers[0].kill_worker(seeded.choice(servers[0].workers()))
        at_random()
        killed = servers[number % 2]
        killed.kill()
        load.join()
        settled(path)
        killed.start()
    assert effects.most == LIMIT
    runs = ask(path, "SELECT * FROM runs")
    numbers = Counter(json.loads(run.input)["n"] for run in runs)
    assert {run.status for run in runs} == {"success"} and set(numbers.values()) == {1}
    assert set(range(1, load.last + 1)) - set(numbers) <= load.lost | load.refused
    seen = effects.seen()
    assert set(seen) == {f"{run.id}:{node}:0" for run in runs for node in ("one", "two")}
    assert all(seen[f"{run.id}:{node}:0"] <= 1 + run.deaths for run in runs for node in ("one", "two"))
