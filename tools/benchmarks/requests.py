"""Requests to the real server over loopback, at several concurrencies, compared with a bare Flask JSON echo.

    python tools/benchmarks/requests.py [--seconds 3] [--rounds 3] [--concurrency 1,8,32] [--workers 2] [--json]

`run` posts to /api/workflows/:id/run and gets the finished run of five nodes (webhook, set, if, set, respond), every
step of which is on the disk by then; `health` and `list` get /api/health and /api/runs?limit=50; `echo` posts the same
body to echo.py under the same gunicorn settings. All are measured one after the other in each round, server
and load on the same machine; the figures are the medians of the rounds, and so are the ratios to the echo of the same
round. Every answer is checked, and at the end the server must know of exactly the runs that it answered.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# As a script, this folder is first in the path, and its files would hide modules of the same name.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from config import Config
from tools.benchmarks import common
from tools.benchmarks.accounts import Recorded
from tools.benchmarks.load import Api, Target, echo_server, load_processes, measure, request

TARGET_PEAK_MIB = 300.0
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


def recorded_run(api: Api, server: common.Server, database: Path) -> Recorded:
    """Return a request that starts a run of a new flow and waits for its end."""
    made = {"name": "Benchmark", "status": "active", "definition": FLOW}
    flow = api.call("POST", "/api/flows", made)["id"]
    text = request("POST", f"/api/workflows/{flow}/run", api.headers, {"input": INPUT})
    target = Target("run", server.port, server.process.pid, text, b'"status":"success"')
    return Recorded(target, database, flow, "manual")


def targets_of(api: Api, server: common.Server, database: Path, echo: common.Server) -> list[Target]:
    """Return the targets, the echo first."""
    run = recorded_run(api, server, database)
    run.check()
    runs = request("GET", "/api/runs?limit=50", api.headers)
    return [
        Target("echo", echo.port, echo.process.pid, request("POST", "/", {}, {"input": INPUT}), b'"customer"'),
        run.target,
        Target("health", server.port, server.process.pid, request("GET", "/api/health", {}), b'"ok":true'),
        Target("list", server.port, server.process.pid, runs, b'"items":['),
    ]


def measure_all(
    pool: Any, targets: Sequence[Target], concurrencies: Sequence[int], options: argparse.Namespace
) -> list[dict[str, Any]]:
    """Return every target at every concurrency: the medians of the rounds."""
    results = []
    for concurrency in concurrencies:
        rounds = [
            {target.name: measure(pool, target, concurrency, options.seconds) for target in targets}
            for _ in range(options.rounds)
        ]
        results += [summary(target.name, concurrency, rounds) for target in targets]
    return results


def summary(name: str, concurrency: int, rounds: Sequence[dict[str, dict[str, Any]]]) -> dict[str, Any]:
    """Return the summary of one target at one concurrency over all rounds."""
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
        "errors": sum(found["errors"] + found["turned_away"] for found in own),
    }


def goals(results: Sequence[dict[str, Any]], lost: int, peak_mib: float) -> dict[str, Any]:
    """Return the targets that apply to the measurements. The targets of speed are in webhook.py."""
    return {
        "errors": common.target(sum(result["errors"] for result in results), 0),
        "runs_lost": common.target(lost, 0),
        "peak_rss_mib": common.target(peak_mib, TARGET_PEAK_MIB),
    }


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
        pool = stack.enter_context(load_processes())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="headrace-bench-")))
        echo = stack.enter_context(echo_server(options.workers, folder / "echo"))
        server = stack.enter_context(common.headrace(folder / "data", options.workers))
        api, database = Api(server.port), Config(data_dir=folder / "data").database_path
        targets = targets_of(api, server, database, echo)
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
