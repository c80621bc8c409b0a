"""Headrace beside Node-RED, a bare Flask echo and, if wanted, another commit of Headrace: one run, the same load.

    python tools/benchmarks/peers.py [--seconds 3] [--rounds 5] [--concurrency 1,32] [--workers 2]
                               [--client auto|wrk|python] [--against PATH] [--install]
                               [--starts 3] [--settle 4] [--load-seconds 10] [--flat MINUTES] [--pace 200] [--json]

`webhook` calls a flow of five nodes that answers by its respond node; `run` starts such a flow by the API with a token
and waits. `before: webhook` and `before: run` do the same with the checkout of `--against`, under this Python. `echo`
posts the same body to echo.py under Headrace's gunicorn settings, `node-red` to an equivalent flow of
Node-RED. All servers run at once, and one at a time is loaded: in every round each target at each number of
connections, each round beginning with another target. Each ratio is to the echo of the same round. After each load
Headrace's database must hold exactly the runs that were answered, each successful and with five successful steps.

Then each server is started alone, `starts` times in turns: how long that takes, and its memory when idle and while its
webhook is loaded at 32 connections. `--flat` loads Headrace's webhook for minutes at a pace, requests a second, and
reads its memory every 30 seconds. `--rounds 0` and `--starts 0` leave those parts out.

tools/benchmarks/peers.md describes how to repeat the measurements, and the limits of the peers.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import signal
import statistics
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

# As a script, this folder is first in the path, and its files would hide modules of the same name.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tools.benchmarks import common, node_red
from tools.benchmarks.footprint import CONNECTIONS, all_alone, flat
from tools.benchmarks.load import Measure, load_processes, measure, measure_with_wrk
from tools.benchmarks.subjects import Peer, Subject, peers
from tools.benchmarks.webhook import summary

# The titles of the tables of all rounds, and the keys of their figures.
FIGURES = {
    "requests/s": "rate",
    "ratio to the echo": "ratio_to_echo",
    "p50, ms": "p50_ms",
    "p99, ms": "p99_ms",
    "server CPU, ms a request": "cpu_ms",
    "echo's CPU / its CPU": "cpu_ratio",
}
# MiB and seconds of Headrace alone, and MiB of growth: the medians of the middle and the last third of a steady load.
ALONE_BOUNDS = {"start_empty_s": 0.8, "start_again_s": 0.8, "idle_pss_mib": 105.0, "load_pss_mib": 120.0, "wrong": 0}
FLAT_BOUNDS = {"pss_growth_mib": 2.0, "rss_growth_mib": 2.0, "max_pss_mib": 120.0}
FLAT_BOUNDS |= {"errors": 0, "lost": 0, "extra": 0, "incomplete": 0}
COUNTS = ("errors", "turned_away", "lost", "extra", "incomplete")


def measure_all(
    measured: Measure, found: Sequence[Peer], concurrencies: Sequence[int], options: argparse.Namespace
) -> list[dict[str, Any]]:
    """Return the medians of each target at each concurrency, with all rounds."""
    rounds: dict[int, list[dict[str, dict[str, Any]]]] = {concurrency: [] for concurrency in concurrencies}
    with contextlib.ExitStack() as stack:
        subjects = start_all(stack, found)
        for subject in subjects if options.warm_up else ():
            subject.load(measured, CONNECTIONS, options.warm_up, unanswered(CONNECTIONS, options))
        for number in range(options.rounds):
            first = number % len(subjects)
            order = [*subjects[first:], *subjects[:first]]
            for concurrency in concurrencies:
                more = unanswered(concurrency, options)
                seen = {one.target.name: one.load(measured, concurrency, options.seconds, more) for one in order}
                rounds[concurrency].append(seen)
                tell(number, concurrency, seen)
    names = [subject.target.name for subject in subjects]
    return [with_rounds(name, concurrency, rounds[concurrency]) for concurrency in concurrencies for name in names]


def start_all(stack: contextlib.ExitStack, found: Sequence[Peer]) -> list[Subject]:
    """Start every server until the stack is closed, and check its requests once."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="headrace-bench-")))
    subjects = []
    for number, peer in enumerate(found):
        server = stack.enter_context(peer.serve(folder / str(number)))
        subjects += peer.subjects(server, folder / str(number))
    return subjects


def unanswered(concurrency: int, options: argparse.Namespace) -> int:
    """Return the number of runs that may lack an answer: at its end wrk drops open requests."""
    return concurrency if options.client == "wrk" else 0


def tell(number: int, concurrency: int, found: dict[str, dict[str, Any]]) -> None:
    """Print the result of a round on stderr, as progress."""
    rates = ", ".join(f"{name} {seen['rate']:,.0f}" for name, seen in found.items())
    print(f"round {number + 1} at {concurrency} connections, requests/s: {rates}", file=sys.stderr, flush=True)


def with_rounds(name: str, concurrency: int, rounds: Sequence[dict[str, dict[str, Any]]]) -> dict[str, Any]:
    """Return the summary of a target at a concurrency, and under `rounds` the figures of each round."""
    single = []
    for found in rounds:
        cpu_ratio = round(found["echo"]["cpu_ms"] / max(found[name]["cpu_ms"], 1e-9), 3)
        single.append(summary(name, concurrency, [found]) | {"cpu_ratio": cpu_ratio})
    cpu_ratio = round(statistics.median(found["cpu_ratio"] for found in single), 3)
    return summary(name, concurrency, rounds) | {"cpu_ratio": cpu_ratio, "rounds": single}


def ratio(results: Sequence[dict[str, Any]], key: str, name: str, other: str, concurrency: int) -> float | None:
    """Return the median over the rounds of one target's figure divided by another's, if both were measured."""
    found = {result["target"]: result["rounds"] for result in results if result["concurrency"] == concurrency}
    if name not in found or other not in found:
        return None
    pairs = zip(found[name], found[other], strict=True)
    return round(statistics.median(one[key] / max(two[key], 1e-9) for one, two in pairs), 3)


def goals(document: dict[str, Any]) -> dict[str, Any]:
    """Return the targets that apply to the measurements."""
    results, found = document["results"], {}
    ours = [result for result in results if result["target"] in ("webhook", "run")]
    if ours:
        found = {key: common.target(sum(result[key] for result in ours), 0) for key in COUNTS}
    wanted = {
        "webhook_32_to_echo": (ratio(results, "rate", "webhook", "echo", 32), 0.55, True),
        "webhook_32_to_node_red": (ratio(results, "rate", "webhook", "node-red", 32), 1.0, True),
        "webhook_32_p99_to_echo": (ratio(results, "p99_ms", "webhook", "echo", 32), 1.5, False),
        "webhook_1_to_echo": (ratio(results, "rate", "webhook", "echo", 1), 0.45, True),
        "run_32_to_echo": (ratio(results, "rate", "run", "echo", 32), 0.35, True),
    }
    found |= {name: common.target(value, *bound) for name, (value, *bound) in wanted.items() if value is not None}
    for result in ours:
        if (result["target"], result["concurrency"]) == ("webhook", 32):
            found["webhook_32_p99_ms"] = common.target(result["p99_ms"], 40.0)
    for one in document["alone"]:
        if one["peer"] == "headrace":
            found |= {f"alone_{key}": common.target(one[key], bound) for key, bound in ALONE_BOUNDS.items()}
    if document["flat"]:
        found |= {f"flat_{key}": common.target(document["flat"][key], bound) for key, bound in FLAT_BOUNDS.items()}
    return found


def tables_of(document: dict[str, Any]) -> list[str]:
    """Return Markdown: the medians, every round of every figure, and missing measurements."""
    results, alone, steady = document["results"], document["alone"], document["flat"]
    tables = ["\n".join(f"- {name}: {version}" for name, version in document["versions"].items())]
    tables += [f"Not measured: {name}. {why}" for name, why in document["skipped"].items()]
    if results:
        tables += round_tables(document, results)
    if alone:
        keys = [key for key in alone[0] if key != "times"]
        tables.append(common.table(keys, [[one[key] for key in keys] for one in alone]))
        head = ("every time", *keys[1:])
        tables.append(common.table(head, [[time[key] for key in keys] for one in alone for time in one["times"]]))
    if steady:
        keys = [key for key in steady if key != "samples"]
        tables.append(common.table(("steady load", ""), [(key, steady[key]) for key in keys]))
        tables.append(common.table(list(steady["samples"][0]), [list(one.values()) for one in steady["samples"]]))
    return [*tables, common.target_table(document["targets"])]


def round_tables(document: dict[str, Any], results: Sequence[dict[str, Any]]) -> list[str]:
    """Return the medians, then a table of each figure with every round."""
    head = ("target", "connections", *FIGURES, "answers", *COUNTS)
    keys = ("target", "concurrency", *FIGURES.values(), "answers", *COUNTS)
    tables = [
        f"Medians of {document['rounds']} rounds of {document['seconds']:g} s; the client is {document['client']}. "
        f"Load average of the machine before: {document['load_average_before']:g}.",
        common.table(head, [[result[key] for key in keys] for result in results]),
    ]
    for title, key in FIGURES.items():
        head = (title, "connections", *(f"round {number + 1}" for number in range(document["rounds"])), "median")
        rows = [
            (result["target"], result["concurrency"], *(found[key] for found in result["rounds"]), result[key])
            for result in results
        ]
        tables.append(common.table(head, rows))
    return tables


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure Headrace beside its peers.")
    parser.add_argument("--seconds", type=float, default=3.0, help="of load for each target, concurrency and round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--warm-up", type=float, default=2.0, help="seconds of load for each target before the rounds")
    parser.add_argument("--concurrency", default="1,32", help="numbers of connections")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--client", choices=("auto", "wrk", "python"), default="auto", help="auto: wrk where it is")
    parser.add_argument("--against", type=Path, help="a checkout of another commit of Headrace")
    parser.add_argument("--node-red", type=Path, default=node_red.FOLDER, help="the folder in which it is installed")
    parser.add_argument("--with-n8n", type=Path, metavar="FOLDER", help="measure the n8n that is installed there, too")
    parser.add_argument("--install", action="store_true", help="install by npm what of these is missing")
    parser.add_argument("--starts", type=int, default=3, help="how often each server is started alone")
    parser.add_argument("--settle", type=float, default=4.0, help="seconds before its idle memory is read")
    parser.add_argument("--load-seconds", type=float, default=10.0, help="of load for each server that runs alone")
    parser.add_argument("--flat", type=float, default=0.0, metavar="MINUTES", help="of steady load, to see memory grow")
    parser.add_argument("--pace", type=float, default=200.0, help="requests a second of that load, at most")
    parser.add_argument("--json", action="store_true", help="print only the JSON document")
    options = parser.parse_args(arguments)
    if options.against and not (options.against / "workflow_server.py").exists():
        parser.error(f"{options.against} is not a checkout of Headrace: git worktree add {options.against} COMMIT")
    options.against = options.against and options.against.resolve()
    if options.client == "auto":
        options.client = "wrk" if shutil.which("wrk") else "python"
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    options, skipped = parsed(arguments), {}
    concurrencies, busy = [int(number) for number in options.concurrency.split(",")], common.load_average()
    with contextlib.ExitStack() as stack:
        # Processes that only wait would share pages with the servers, whose memory would then seem smaller.
        pool = stack.enter_context(load_processes()) if options.client == "python" or options.flat else None
        measured = measure_with_wrk if options.client == "wrk" else partial(measure, pool)
        # On SIGTERM, the benchmark stops its servers too.
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
        found = peers(options, skipped)
        results = measure_all(measured, found, concurrencies, options) if options.rounds else []
        left = unanswered(CONNECTIONS, options)
        alone = all_alone(found, measured, left, options)
        steady = None
        if options.flat:
            ours = next(peer for peer in found if peer.name == "headrace")
            steady = flat(ours, partial(measure, pool, pace=options.pace), options.flat)
    document = {
        "benchmark": "peers",
        "machine": common.machine(),
        "load_average_before": busy,
        "client": options.client,
        "workers": options.workers,
        "seconds": options.seconds,
        "rounds": options.rounds,
        "versions": {peer.name: peer.version for peer in found},
        "skipped": skipped,
        "results": results,
        "alone": alone,
        "flat": steady,
    }
    document["targets"] = goals(document)
    common.report(document, tables_of(document), options.json)


if __name__ == "__main__":
    main()
