"""What the real server answers over loopback, at several concurrencies, beside a bare Flask JSON echo.

    python benchmarks/requests.py [--seconds 3] [--rounds 3] [--concurrency 1,8,32] [--workers 2] [--json]

`run` posts to /api/workflows/:id/run and gets the finished run of five nodes (webhook, set, if, set, respond), every
step of which is on the disk by then; `health` and `list` get /api/health and /api/runs?limit=50; `echo` posts the same
body to benchmarks/echo.py under the same gunicorn settings. All are measured one after the other in each round, server
and load on the same machine; the figures are the medians of the rounds, and so are the ratios to the echo of the same
round. Every answer is checked, and at the end the server must know of exactly the runs that it answered.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import re
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

# Run as a script, this folder comes first, and its files would hide modules of the same name.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import common

TARGET_AT = 32
TARGET_RATE, TARGET_P99_MS, TARGET_RATIO, TARGET_PEAK_MIB = 1_000.0, 60.0, 0.3, 300.0
LOAD_PROCESSES = 2
LENGTH = re.compile(rb"content-length: *(\d+)", re.I)
CLOSES = re.compile(rb"connection: *close", re.I)
INPUT = {"customer": "Ada", "items": [{"price": 30, "count": 2}, {"price": 45, "count": 1}]}
FLOW = {
    "nodes": [
        {"id": "hook", "type": "webhook", "config": {"path": "orders", "auth": "none"}},
        {"id": "sums", "type": "set", "config": {"values": {"total": "{{ input.items[0].price * 2 + 45 }}"}}},
        {"id": "large", "type": "if", "config": {"condition": "{{ input.total > 100 }}"}},
        {"id": "reply", "type": "set", "config": {"values": {"text": "{{ trigger.customer }}: {{ input.total }}"}}},
        {"id": "answer", "type": "respond", "config": {"body": "{{ input }}"}},
    ],
    "edges": [
        {"from": "hook", "to": "sums"},
        {"from": "sums", "to": "large"},
        {"from": "large", "to": "reply", "branch": "true"},
        {"from": "reply", "to": "answer"},
    ],
}


class Target(NamedTuple):
    """A request to repeat, and what its answer must contain. Plain values: it goes to other processes."""

    name: str
    port: int
    session: int
    request: bytes
    contains: bytes


class Load(NamedTuple):
    """What one process saw: seconds of each good answer, and how many were not good."""

    times: list[float]
    errors: int


class Answer(NamedTuple):
    """What a server answered; `head` is the text of its status line and headers."""

    status: int
    head: bytes
    body: bytes


class Client:
    """A connection that is kept open. As little work as can be, since the server needs the same cores."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.connection: socket.socket | None = None

    def exchange(self, request: bytes) -> Answer:
        """Send the request and wait for the whole answer."""
        if self.connection is None:
            self.connection = socket.create_connection(("127.0.0.1", self.port), timeout=30)
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection.sendall(request)
        head = self._received(b"")
        while b"\r\n\r\n" not in head:
            head = self._received(head)
        head, _, body = head.partition(b"\r\n\r\n")
        found = LENGTH.search(head)
        length = int(found[1]) if found else 0
        while len(body) < length:
            body = self._received(body)
        if CLOSES.search(head):
            self.close()
        return Answer(int(head[9:12]), head, body)

    def _received(self, so_far: bytes) -> bytes:
        assert self.connection is not None
        more = self.connection.recv(262_144)
        if not more:
            raise ConnectionError("the server closed the connection")
        return so_far + more

    def close(self) -> None:
        """End the connection; the next exchange opens another."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None


def request(method: str, path: str, headers: dict[str, str], body: Any = None) -> bytes:
    """The text of an HTTP/1.1 request."""
    content = b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {text}" for name, text in headers.items())]
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def load(target: Target, connections: int, seconds: float) -> Load:
    """Repeat the request over this many connections at once, from as many threads."""
    loads = [Load([], 0)] * connections
    end = time.perf_counter() + seconds

    def work(number: int) -> None:
        loads[number] = repeat(target, end)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Load([taken for part in loads for taken in part.times], sum(part.errors for part in loads))


def repeat(target: Target, end: float) -> Load:
    """Repeat the request over one connection until `end`."""
    client, times, errors = Client(target.port), [], 0
    while (began := time.perf_counter()) < end:
        try:
            answer = client.exchange(target.request)
            if answer.status == 200 and target.contains in answer.body:
                times.append(time.perf_counter() - began)
            else:
                errors += 1
        except OSError:
            client.close()
            errors += 1
    client.close()
    return Load(times, errors)


def measure(pool: Any, target: Target, concurrency: int, seconds: float) -> dict[str, Any]:
    """Load the target with this many connections, from separate processes.

    Requests a second, times in ms, and `cpu_ms`, the server's processor time an answer, which other work on the
    machine disturbs least.
    """
    shares = [
        concurrency // LOAD_PROCESSES + (number < concurrency % LOAD_PROCESSES) for number in range(LOAD_PROCESSES)
    ]
    before = common.cpu_seconds(target.session)
    loads = pool.starmap(load, [(target, share, seconds) for share in shares if share], chunksize=1)
    used = common.cpu_seconds(target.session) - before
    times = sorted(taken * 1000 for part in loads for taken in part.times)
    return {
        "answers": len(times),
        "errors": sum(part.errors for part in loads),
        "rate": len(times) / seconds,
        "p50_ms": quantile(times, 0.50),
        "p99_ms": quantile(times, 0.99),
        "cpu_ms": used / max(len(times), 1) * 1000,
    }


def quantile(ordered: Sequence[float], share: float) -> float:
    """The nearest-rank quantile; infinity of nothing."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("inf")


class Api:
    """What the benchmark asks of the server once: as the owner, by an API token."""

    def __init__(self, port: int) -> None:
        self.client = Client(port)
        credentials = {"email": "bench@localhost", "password": common.PASSWORD}
        session = re.search(
            rb"set-cookie: *([^;]+)", self.answer("POST", "/api/auth/login", {}, credentials).head, re.I
        )
        assert session is not None
        cookie = {"Cookie": session[1].decode()}
        made = json.loads(self.answer("POST", "/api/tokens", cookie, {"name": "bench", "role": "owner"}).body)
        self.headers = {"Authorization": f"Bearer {made['token']}"}

    def answer(self, method: str, path: str, headers: dict[str, str], body: Any = None) -> Answer:
        """The answer. Ends the benchmark where the server refuses."""
        answer = self.client.exchange(request(method, path, headers, body))
        # By the next call, minutes later, the server would have closed an idle connection.
        self.client.close()
        if answer.status not in (200, 201):
            raise SystemExit(f"{method} {path} was answered with {answer.status}: {answer.body[:500]!r}")
        return answer

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON of an answer."""
        return json.loads(self.answer(method, path, self.headers, body).body)

    def check(self, flow: str) -> None:
        """One run must execute and record five steps."""
        run = self.call("POST", f"/api/workflows/{flow}/run", {"input": INPUT})
        steps = self.call("GET", f"/api/runs/{run['id']}/steps")["items"]
        if [step["status"] for step in steps] != ["success"] * len(FLOW["nodes"]):
            raise SystemExit(f"the flow did not run: {run}")


@contextlib.contextmanager
def echo_server(workers: int, folder: Path) -> Iterator[common.Server]:
    """benchmarks/echo.py under Headrace's gunicorn.conf.py."""
    port = common.free_port()
    environment = common.headrace_environment(folder, port, workers)
    command = [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "benchmarks.echo:app"]
    with common.serve(command, environment, port, "/") as server:
        yield server


def targets_of(api: Api, server: common.Server, echo: common.Server) -> list[Target]:
    """What is measured, the echo first."""
    made = {"name": "Benchmark", "status": "active", "definition": FLOW}
    flow = api.call("POST", "/api/flows", made)["id"]
    api.check(flow)
    run = request("POST", f"/api/workflows/{flow}/run", api.headers, {"input": INPUT})
    runs = request("GET", "/api/runs?limit=50", api.headers)
    return [
        Target("echo", echo.port, echo.process.pid, request("POST", "/", {}, {"input": INPUT}), b'"customer"'),
        Target("run", server.port, server.process.pid, run, b'"status":"success"'),
        Target("health", server.port, server.process.pid, request("GET", "/api/health", {}), b'"ok":true'),
        Target("list", server.port, server.process.pid, runs, b'"items":['),
    ]


def measure_all(
    pool: Any, targets: Sequence[Target], concurrencies: Sequence[int], options: argparse.Namespace
) -> list[dict[str, Any]]:
    """Every target at every concurrency: the medians of the rounds."""
    results = []
    for concurrency in concurrencies:
        rounds = [
            {target.name: measure(pool, target, concurrency, options.seconds) for target in targets}
            for _ in range(options.rounds)
        ]
        results += [summary(target.name, concurrency, rounds) for target in targets]
    return results


def summary(name: str, concurrency: int, rounds: Sequence[dict[str, dict[str, Any]]]) -> dict[str, Any]:
    """One target at one concurrency over all rounds."""
    own = [found[name] for found in rounds]
    ratios = [found[name]["rate"] / max(found["echo"]["rate"], 1e-9) for found in rounds]
    return {
        "target": name,
        "concurrency": concurrency,
        "rate": round(statistics.median(found["rate"] for found in own), 1),
        "p50_ms": round(statistics.median(found["p50_ms"] for found in own), 2),
        "p99_ms": round(statistics.median(found["p99_ms"] for found in own), 2),
        "cpu_ms": round(statistics.median(found["cpu_ms"] for found in own), 3),
        "ratio_to_echo": round(statistics.median(ratios), 3),
        "answers": sum(found["answers"] for found in own),
        "errors": sum(found["errors"] for found in own),
    }


def goals(results: Sequence[dict[str, Any]], lost: int, peak_mib: float) -> dict[str, Any]:
    """The targets that hold for what was measured; those of the run endpoint hold at TARGET_AT connections."""
    found = {
        "errors": common.target(sum(result["errors"] for result in results), 0),
        "runs_lost": common.target(lost, 0),
        "peak_rss_mib": common.target(peak_mib, TARGET_PEAK_MIB),
    }
    for result in results:
        if (result["target"], result["concurrency"]) == ("run", TARGET_AT):
            found["runs_per_second"] = common.target(result["rate"], TARGET_RATE, at_least=True)
            found["run_p99_ms"] = common.target(result["p99_ms"], TARGET_P99_MS)
            found["run_ratio_to_echo"] = common.target(result["ratio_to_echo"], TARGET_RATIO, at_least=True)
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Measure requests to the server.")
    parser.add_argument("--seconds", type=float, default=3.0, help="of load for each target, concurrency and round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--concurrency", default="1,8,32", help="numbers of connections")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", action="store_true", help="print only the JSON document")
    options = parser.parse_args(arguments)
    concurrencies = [int(number) for number in options.concurrency.split(",")]
    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(multiprocessing.get_context("fork").Pool(LOAD_PROCESSES))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="headrace-bench-")))
        echo = stack.enter_context(echo_server(options.workers, folder / "echo"))
        server = stack.enter_context(common.headrace(folder / "data", options.workers))
        api = Api(server.port)
        targets = targets_of(api, server, echo)
        results = measure_all(pool, targets, concurrencies, options)
        answered = 1 + sum(result["answers"] for result in results if result["target"] == "run")
        known = api.call("GET", "/api/metrics")["success_runs"]
        memory = common.memory(server.process.pid)
    document = {
        "benchmark": "requests",
        "machine": common.machine(),
        "workers": options.workers,
        "seconds": options.seconds,
        "rounds": options.rounds,
        "results": results,
        "memory": memory,
        "targets": goals(results, answered - known, memory["peak_rss_mib"]),
    }
    head = (
        "target",
        "connections",
        "requests/s",
        "p50, ms",
        "p99, ms",
        "server CPU, ms",
        "ratio to the echo",
        "answers",
        "errors",
    )
    tables = [
        common.table(head, [list(result.values()) for result in results]),
        common.table(("memory after the load", ""), list(memory.items())),
        common.target_table(document["targets"]),
    ]
    common.report(document, tables, options.json)


if __name__ == "__main__":
    main()
