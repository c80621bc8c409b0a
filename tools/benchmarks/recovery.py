"""The time until runs of killed processes resume, and a check that each of them ends exactly once.

    python tools/benchmarks/recovery.py [--runs 200] [--rounds 1] [--workers 2] [--threads 16] [--lease 15]
                                  [--scenarios server,worker] [--json]

A server is filled with runs that are in progress in three ways: `node`, in an http node, whose request an HTTP server
in this process holds back, one a thread; `thread`, behind those, on the disk and without a thread; `wait`, suspended at
a wait node, whose time comes just after the kill. Then SIGKILL goes to all processes, and the server is started again
on the same data (`server`), or to one of its workers (`worker`), and the others go on. Seconds count from that start,
or from that kill. A run was taken up when its next request came in here; it has ended when its row says so. Runs in a
node are taken up when the lease of the process that died has run out, which is up to `--lease` after the kill.

At the end every run must have succeeded, with no other one on record, and the requests are counted by their
Idempotency-Key: one that was on record as answered must not come again, and one in doubt once for each claim.
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import signal
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

# As a script, this folder is first in the path, and its files would hide modules of the same name.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from config import Config
from tools.benchmarks import common
from tools.benchmarks.load import Api

WAYS = ("node", "thread", "wait")
WAITING_SHARE = 3  # one run in three waits for a time
SPARE_SECONDS = 5.0  # beyond the lease, until all have ended
LEAD_SECONDS, LEAD_A_RUN = 3.0, 0.025  # for the server to take its runs, until the time for which some of them wait
KILL_BEFORE = 0.5  # seconds from the kill to the time for which the runs wait
FIRST_SECONDS, HEALTH_SECONDS = 2.0, 1.0
PATIENCE = 60.0  # beyond the lease
POLL_SECONDS = 0.05
RUNS = "SELECT id, status, waiting, claims, finished_at FROM runs"


class Effects:
    """An HTTP server that records the time of each request by `Idempotency-Key`.

    It holds back what is posted to /held until `opened`, and answers everything else at once.
    """

    def __init__(self) -> None:
        self.opened = threading.Event()
        self._seen: list[tuple[str, float]] = []
        self._lock = threading.Lock()
        self._server = _Listener(("127.0.0.1", 0), type("Handler", (_Handler,), {"effects": self}))
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> Effects:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.opened.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def note(self, key: str) -> None:
        with self._lock:
            self._seen.append((key, time.time()))

    def seen(self) -> list[tuple[str, float]]:
        """Return the key and time of each request so far, in seconds since 1970."""
        with self._lock:
            return list(self._seen)


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    effects: Effects

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # the client was killed
            super().handle()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.effects.note(self.headers["Idempotency-Key"])
        if self.path == "/held":
            self.effects.opened.wait(PATIENCE)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


def post(id_: str, url: str) -> dict[str, Any]:
    """Return a node with a countable effect."""
    return {"id": id_, "type": "http", "config": {"method": "POST", "url": url, "body": {"n": "{{ trigger.n }}"}}}


def held_flow(effects: Effects) -> dict[str, Any]:
    """Return a flow with a delayed response."""
    nodes = [{"id": "start", "type": "manual"}, post("held", f"{effects.url}/held"), {"id": "end", "type": "noop"}]
    return {"nodes": nodes, "edges": [["start", "held"], ["held", "end"]]}


def waiting_flow(effects: Effects) -> dict[str, Any]:
    """Return a flow with a request before its wait and one after it."""
    pause = {"id": "pause", "type": "wait", "config": {"until": "{{ trigger.until }}"}}
    nodes = [{"id": "start", "type": "manual"}, post("before", effects.url), pause, post("after", effects.url)]
    return {"nodes": nodes, "edges": [["start", "before"], ["before", "pause"], ["pause", "after"]]}


class Seen(NamedTuple):
    """A recorded run. `finished_at` is in milliseconds since 1970."""

    id: str
    status: str
    waiting: str | None
    claims: int
    finished_at: int | None

    @property
    def way(self) -> str:
        """Return the way in which it is in progress, one of three."""
        if self.status == "running":
            return "node"
        return "thread" if self.waiting is None else "wait"


def on_record(database: Path) -> dict[str, Seen]:
    """Return all runs. Closes the file: a server that starts after a crash must find it unchanged."""
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return {row[0]: Seen(*row) for row in connection.execute(RUNS)}


def until(holds: Callable[[], bool], what: str) -> None:
    """Return when the condition holds, by polling. End the benchmark if it takes too long."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what}: not within {PATIENCE:.0f} s")
        time.sleep(POLL_SECONDS)


class Trial:
    """One server that is filled with runs and then killed."""

    def __init__(self, options: argparse.Namespace, folder: Path, effects: Effects) -> None:
        self.options, self.folder, self.effects = options, folder, effects
        self.database = Config(data_dir=folder).database_path
        self.accepted: list[str] = []
        self.before: Mapping[str, Seen] = {}
        self.due = 0.0

    @contextlib.contextmanager
    def serving(self) -> Iterator[common.Server]:
        settings = {
            "HEADRACE_EGRESS_ALLOW": "127.0.0.1",
            "HEADRACE_LEASE_SECONDS": self.options.lease,
            "HEADRACE_RUN_THREADS": self.options.threads,
        }
        with common.headrace(self.folder, self.options.workers, settings) as server:
            yield server

    def fill(self, server: common.Server) -> None:
        """Have all runs in progress, and note how; it is just before the time for which some of them wait then."""
        api, options = Api(server.port), self.options
        waiting = options.runs // WAITING_SHARE
        self.due = time.time() + LEAD_SECONDS + options.runs * LEAD_A_RUN
        moment = datetime.fromtimestamp(self.due, UTC).isoformat()
        self._start(api, waiting_flow(self.effects), [{"n": number, "until": moment} for number in range(waiting)])
        until(lambda: self._ways()["wait"] == waiting, "the runs wait")
        self._start(api, held_flow(self.effects), [{"n": number} for number in range(waiting, options.runs)])
        busy = min(options.runs - waiting, options.workers * options.threads)
        until(lambda: self._ways()["node"] == busy and self._held() == busy, "the threads have a run each")
        if time.time() > self.due - KILL_BEFORE:
            raise SystemExit("the server took its runs too slowly: those that wait would go on before it is killed")
        time.sleep(self.due - KILL_BEFORE - time.time())
        self.before = on_record(self.database)

    def _start(self, api: Api, definition: dict[str, Any], inputs: Sequence[dict[str, Any]]) -> None:
        flow = api.call("POST", "/api/flows", {"name": "Benchmark", "status": "active", "definition": definition})
        for value in inputs:
            run = api.call("POST", f"/api/workflows/{flow['id']}/run?wait=0", {"input": value})
            self.accepted.append(run["id"])

    def _ways(self) -> Counter[str]:
        return Counter(run.way for run in on_record(self.database).values())

    def _held(self) -> int:
        return sum(":held:" in key for key, _ in self.effects.seen())

    def kill_the_server(self) -> dict[str, Any]:
        """Kill all processes, start again, and watch the runs resume."""
        with self.serving() as server:
            self.fill(server)
            killed = time.time()
            os.killpg(server.process.pid, signal.SIGKILL)
            server.process.wait()
            until(lambda: not common.processes(server.process.pid), "the processes end")
            self.effects.opened.set()
            time.sleep(max(0.0, self.due - time.time()))
        began = time.time()
        with self.serving() as server:
            self.settle()
        return {"down_s": began - killed, "health_s": server.seconds, **self.outcome(began)}

    def kill_a_worker(self) -> dict[str, Any]:
        """Kill one worker, and watch its runs resume in the others."""
        with self.serving() as server:
            self.fill(server)
            master = server.process.pid
            worker = next(pid for pid in common.processes(master) if pid != master)
            began = time.time()
            os.kill(worker, signal.SIGKILL)
            self.effects.opened.set()
            health = common.seconds_until_200(server.process, server.port, "/api/health", time.perf_counter())
            self.settle()
        return {"down_s": 0.0, "health_s": health, **self.outcome(began)}

    def settle(self) -> None:
        """Return when no run is in progress any more, or after a timeout that means that some are lost."""
        deadline = time.monotonic() + self.options.lease + PATIENCE
        while any(run.finished_at is None for run in on_record(self.database).values()):
            if time.monotonic() > deadline:
                return
            time.sleep(POLL_SECONDS)

    def outcome(self, began: float) -> dict[str, Any]:
        """Return the outcome of the runs, with seconds from `began`."""
        after, seen = on_record(self.database), self.effects.seen()
        taken = {key.partition(":")[0]: came - began for key, came in reversed(seen) if came >= began}
        ended = {run.id: run.finished_at / 1000 - began for run in after.values() if run.finished_at}
        ways = {way: [id_ for id_ in self.accepted if self.before[id_].way == way and id_ in taken] for way in WAYS}
        times = Counter(key for key, _ in seen)
        return {
            "first_s": min(taken.values(), default=math.inf),
            "ended_s": max(ended.values(), default=math.inf),
            "lost": sum(self._is_lost(after.get(id_), times) for id_ in self.accepted),
            "doubled": len(after.keys() - set(self.accepted)) + self._doubled(after, times),
            "in_doubt": sum(times.values()) - len(times),
            "ways": {
                way: {
                    "runs": len(ids),
                    "first_s": min((taken[id_] for id_ in ids), default=math.inf),
                    "ended_s": max((ended.get(id_, math.inf) for id_ in ids), default=math.inf),
                }
                for way, ids in ways.items()
            },
        }

    def _is_lost(self, run: Seen | None, times: Mapping[str, int]) -> bool:
        """Return True if the run has not succeeded, or a request of it is missing."""
        return run is None or run.status != "success" or not all(times[key] for key in self._keys(run.id))

    def _doubled(self, after: Mapping[str, Seen], times: Mapping[str, int]) -> int:
        """Return the number of repeated requests. A request in doubt may be repeated when its run is claimed."""
        most = {}
        for id_ in self.accepted:
            run = after.get(id_)
            claims = 1 if run is None or self.before[id_].way == "wait" else run.claims
            most |= dict.fromkeys(self._keys(id_), claims)
        return sum(max(0, count - most.get(key, 0)) for key, count in times.items())

    def _keys(self, id_: str) -> list[str]:
        """Return the Idempotency-Keys of a run."""
        waits = self.before[id_].way == "wait"
        return [f"{id_}:{node}:0" for node in (("before", "after") if waits else ("held",))]


SCENARIOS = {"server": Trial.kill_the_server, "worker": Trial.kill_a_worker}


def trial(scenario: str, options: argparse.Namespace) -> dict[str, Any]:
    """Execute one round of a scenario, on a new data folder."""
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder, Effects() as effects:
        return SCENARIOS[scenario](Trial(options, Path(folder), effects))


def summary(scenario: str, rounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the summary of a scenario over all rounds: medians, the slowest end, and the number of errors."""

    def median(values: Iterable[float]) -> float:
        return round(statistics.median(values), 3)

    ways = [
        {
            "way": way,
            "runs": round(statistics.median(found["ways"][way]["runs"] for found in rounds)),
            "first_s": median(found["ways"][way]["first_s"] for found in rounds),
            "ended_s": median(found["ways"][way]["ended_s"] for found in rounds),
        }
        for way in WAYS
    ]
    return {
        "scenario": scenario,
        **{key: median(found[key] for found in rounds) for key in ("down_s", "health_s", "first_s", "ended_s")},
        "slowest_s": round(max(found["ended_s"] for found in rounds), 3),
        **{key: sum(found[key] for found in rounds) for key in ("lost", "doubled", "in_doubt")},
        "ways": [way for way in ways if way["runs"]],
    }


def goals(results: Sequence[dict[str, Any]], lease: float) -> dict[str, Any]:
    """Return the targets of the measured scenarios."""
    found = {
        "runs_lost": common.target(sum(result["lost"] for result in results), 0),
        "doubled": common.target(sum(result["doubled"] for result in results), 0),
    }
    for result in results:
        name = result["scenario"]
        found[f"{name}_health_s"] = common.target(result["health_s"], HEALTH_SECONDS)
        found[f"{name}_first_s"] = common.target(result["first_s"], FIRST_SECONDS)
        found[f"{name}_slowest_s"] = common.target(result["slowest_s"], lease + SPARE_SECONDS)
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Measure how runs go on after a crash.")
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=16, help="of each worker, for runs")
    parser.add_argument("--lease", type=int, default=15, help="seconds after which a silent process counts as dead")
    parser.add_argument("--scenarios", default=",".join(SCENARIOS), help="what is killed")
    parser.add_argument("--json", action="store_true", help="print only the JSON document")
    options = parser.parse_args(arguments)
    busy = common.load_average()
    results = [
        summary(scenario, [trial(scenario, options) for _ in range(options.rounds)])
        for scenario in options.scenarios.split(",")
    ]
    document = {
        "benchmark": "recovery",
        "machine": common.machine(),
        "load_average_before": busy,
        **{name: getattr(options, name) for name in ("runs", "rounds", "workers", "threads", "lease")},
        "results": results,
        "targets": goals(results, options.lease),
    }
    head = ("killed", "down, s", "first 200, s", "first run, s", "last run ended, s", "in the slowest round, s")
    head = (*head, "lost", "doubled", "in doubt")
    rows = [[value for key, value in result.items() if key != "ways"] for result in results]
    ways = [(result["scenario"], *way.values()) for result in results for way in result["ways"]]
    tables = [
        common.table(head, rows),
        common.table(("killed", "what it was in", "runs", "first taken up, s", "last ended, s"), ways),
        f"Load average of the machine before: {busy:g}.",
        common.target_table(document["targets"]),
    ]
    common.report(document, tables, options.json)


if __name__ == "__main__":
    main()
