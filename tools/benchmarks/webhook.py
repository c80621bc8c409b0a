"""Response times of a webhook: a flow of five nodes, called over loopback at several concurrencies.

    python tools/benchmarks/webhook.py [--seconds 2] [--rounds 3] [--concurrency 1,8,32] [--workers 2]
                                 [--client auto|wrk|python] [--json]

The flow is webhook, set, if, set, respond. `node` returns the response of its respond node, `last` the output of the
run: both after the run and its five steps are on the disk with fsync. `immediately` answers once the run is on the
disk; its steps follow. If too many runs are queued, calls get a 503 for a second, not counted as errors.
`echo` posts the same body to echo.py, a bare Flask app under the same gunicorn settings. All are measured
one after the other in each round, server and load on the same machine; the figures are the medians of the rounds, and
so are the ratios to the echo of the same round and concurrency.

The Python client checks every answer. wrk costs less of the processor and looks at the status alone; the Python client
checks one answer before it. After each load the database must hold exactly the runs that were answered, each of them
successful and with five successful steps. wrk stops with requests in flight: runs of these may be there too.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import statistics
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

# As a script, this folder is first in the path, and its files would hide modules of the same name.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from config import Config
from tools.benchmarks import common
from tools.benchmarks.accounts import Recorded
from tools.benchmarks.load import Api, Measure, Target, echo_server, load_processes, measure, measure_with_wrk, request

TARGET_AT = 32
TARGET_RATE, TARGET_P99_MS, TARGET_RATIO, TARGET_PEAK_MIB = 1_000.0, 60.0, 0.3, 300.0
INPUT = {"customer": "Ada", "items": [{"price": 30, "count": 2}, {"price": 45, "count": 1}]}
# The expected response of the webhook node: the status and a part of the body.
ANSWERS = {"node": (200, b"Ada: 105"), "last": (200, b"Ada: 105"), "immediately": (202, b'"run_id":"run_')}


def definition(path: str, respond: str) -> dict[str, Any]:
    """Return the flow at this path."""
    hook = {"path": path, "auth": "none", "respond": respond}
    total = "{{ input.body['items'][0].price * 2 + input.body['items'][1].price }}"
    return {
        "nodes": [
            {"id": "hook", "type": "webhook", "config": hook},
            {"id": "sums", "type": "set", "config": {"values": {"total": total}}},
            {"id": "large", "type": "if", "config": {"condition": "{{ input.total > 100 }}"}},
            {
                "id": "reply",
                "type": "set",
                "config": {"values": {"text": "{{ trigger.body.customer }}: {{ input.total }}"}},
            },
            {"id": "answer", "type": "respond", "config": {"body": "{{ input }}"}},
        ],
        "edges": [["hook", "sums"], ["sums", "large"], ["large", "reply", "true"], ["reply", "answer"]],
    }


class Hook(Recorded):
    """An active flow and its address."""

    def __init__(self, api: Api, server: common.Server, database: Path, respond: str) -> None:
        path = f"benchmark/{respond}"
        made = {"name": f"Respond: {respond}", "status": "active", "definition": definition(path, respond)}
        flow: str = api.call("POST", "/api/flows", made)["id"]
        status, contains = ANSWERS[respond]
        text = request("POST", f"/api/webhooks/{path}", {}, INPUT)
        target = Target(respond, server.port, server.process.pid, text, contains, status)
        super().__init__(target, database, flow, "webhook")
        self.respond = respond


def measure_all(
    measured: Measure, echo: Target, hooks: Sequence[Hook], concurrencies: Sequence[int], options: argparse.Namespace
) -> list[dict[str, Any]]:
    """Return every target at every concurrency: the medians of the rounds."""
    results = []
    for concurrency in concurrencies:
        rounds = []
        for _ in range(options.rounds):
            found = {"echo": measured(echo, concurrency, options.seconds)}
            for hook in hooks:
                seen = measured(hook.target, concurrency, options.seconds)
                unanswered = concurrency if options.client == "wrk" else 0
                found[hook.respond] = seen | hook.account(seen["answers"], unanswered)._asdict()
            rounds.append(found)
        results += [summary(name, concurrency, rounds) for name in ("echo", *(hook.respond for hook in hooks))]
    return results


def summary(name: str, concurrency: int, rounds: Sequence[dict[str, dict[str, Any]]]) -> dict[str, Any]:
    """Return the summary of one target at one concurrency over all rounds."""
    own = [found[name] for found in rounds]
    ratios = [found[name]["rate"] / max(found["echo"]["rate"], 1e-9) for found in rounds]
    medians = {key: statistics.median(found[key] for found in own) for key in ("rate", "p50_ms", "p99_ms", "cpu_ms")}
    return {
        "target": name,
        "concurrency": concurrency,
        "rate": round(medians["rate"], 1),
        "p50_ms": round(medians["p50_ms"], 2),
        "p99_ms": round(medians["p99_ms"], 2),
        "cpu_ms": round(medians["cpu_ms"], 3),
        "ratio_to_echo": round(statistics.median(ratios), 3),
        "ended_s": round(max(found.get("seconds", 0.0) for found in own), 2),
        "answers": sum(found["answers"] for found in own),
        "errors": sum(found["errors"] for found in own),
        **{key: sum(found.get(key, 0) for found in own) for key in ("turned_away", "lost", "extra", "incomplete")},
    }


def goals(results: Sequence[dict[str, Any]], peak_mib: float) -> dict[str, Any]:
    """Return the targets that apply to the measurements; the targets of `node` are for TARGET_AT connections."""
    wrong = {
        "errors": "errors",
        "runs_lost": "lost",
        "runs_without_an_answer": "extra",
        "runs_not_whole": "incomplete",
    }
    found = {name: common.target(sum(result[key] for result in results), 0) for name, key in wrong.items()}
    waited = [result["turned_away"] for result in results if result["target"] != "immediately"]
    found["calls_turned_away"] = common.target(sum(waited), 0)
    found["peak_rss_mib"] = common.target(peak_mib, TARGET_PEAK_MIB)
    for result in results:
        if (result["target"], result["concurrency"]) == ("node", TARGET_AT):
            found["requests_per_second"] = common.target(result["rate"], TARGET_RATE, at_least=True)
            found["p99_ms"] = common.target(result["p99_ms"], TARGET_P99_MS)
            found["ratio_to_echo"] = common.target(result["ratio_to_echo"], TARGET_RATIO, at_least=True)
    return found


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure webhooks.")
    parser.add_argument("--seconds", type=float, default=2.0, help="of load for each target, concurrency and round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--concurrency", default="1,8,32", help="numbers of connections")
    parser.add_argument("--respond", default=",".join(ANSWERS), help="how the webhooks answer")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--client", choices=("auto", "wrk", "python"), default="auto", help="auto: wrk where it is")
    parser.add_argument("--json", action="store_true", help="print only the JSON document")
    options = parser.parse_args(arguments)
    if options.client == "auto":
        options.client = "wrk" if shutil.which("wrk") else "python"
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    options = parsed(arguments)
    concurrencies, busy = [int(number) for number in options.concurrency.split(",")], common.load_average()
    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(load_processes())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="headrace-bench-")))
        echo = stack.enter_context(echo_server(options.workers, folder / "echo"))
        server = stack.enter_context(common.headrace(folder / "data", options.workers))
        api, database = Api(server.port), Config(data_dir=folder / "data").database_path
        hooks = [Hook(api, server, database, respond) for respond in options.respond.split(",")]
        for hook in hooks:
            hook.check()
        plain = Target("echo", echo.port, echo.process.pid, request("POST", "/", {}, INPUT), b'"customer"')
        measured = measure_with_wrk if options.client == "wrk" else partial(measure, pool)
        results = measure_all(measured, plain, hooks, concurrencies, options)
        memory = common.memory(server.process.pid)
    document = {
        "benchmark": "webhook",
        "machine": common.machine(),
        "load_average_before": busy,
        "client": options.client,
        "workers": options.workers,
        "seconds": options.seconds,
        "rounds": options.rounds,
        "results": results,
        "memory": memory,
        "targets": goals(results, memory["peak_rss_mib"]),
    }
    head = ("target", "connections", "requests/s", "p50, ms", "p99, ms", "server CPU, ms", "ratio to the echo")
    head = (*head, "all ended after, s", "answers", "errors", "turned away", "lost", "extra", "not whole")
    tables = [
        common.table(head, [list(result.values()) for result in results]),
        common.table((f"memory after the load from {options.client}", ""), list(memory.items())),
        f"Load average of the machine before: {busy:g}.",
        common.target_table(document["targets"]),
    ]
    common.report(document, tables, options.json)


if __name__ == "__main__":
    main()
