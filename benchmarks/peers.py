"""Headrace beside Node-RED, a bare Flask echo and, if wanted, another commit of Headrace: one run, the same load.

    python benchmarks/peers.py [--seconds 3] [--rounds 5] [--concurrency 1,32] [--workers 2]
                               [--client auto|wrk|python] [--against PATH] [--install] [--json]

`webhook` calls a flow of five nodes that answers by its respond node; `run` starts such a flow by the API with a token
and waits. `before: webhook` and `before: run` do the same with the checkout of `--against`, under this Python. `echo`
posts the same body to benchmarks/echo.py under Headrace's gunicorn settings, `node-red` to an equivalent flow of
Node-RED. All servers run at once, and one at a time is loaded: in every round each target at each number of
connections, each round beginning with another target. Each ratio is to the echo of the same round. After each load
Headrace's database must hold exactly the runs that were answered, each successful and with five successful steps.

benchmarks/peers.md says how to repeat what is claimed, and what the peers do not do.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

# Run as a script, this folder comes first, and its files would hide modules of the same name.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import common, node_red
from benchmarks.accounts import Recorded
from benchmarks.load import Api, Target, echo_server, load_processes, measure, measure_with_wrk, request
from benchmarks.requests import recorded_run
from benchmarks.webhook import INPUT, Hook, Measure, summary
from config import Config

WARM_UP_CONNECTIONS = 32
# The title of a table, the key of a figure, and whether it is a ratio to the echo.
FIGURES = {
    "requests/s": "rate",
    "ratio to the echo": "ratio_to_echo",
    "p50, ms": "p50_ms",
    "p99, ms": "p99_ms",
    "server CPU, ms a request": "cpu_ms",
}
COUNTS = ("errors", "turned_away", "lost", "extra", "incomplete")


class Subject(NamedTuple):
    """What is loaded, and how its answers are accounted for, if they are recorded at all."""

    target: Target
    recorded: Recorded | None = None


def headrace_subjects(server: common.Server, data_dir: Path, prefix: str) -> list[Subject]:
    """The webhook and the run of a Headrace, checked once."""
    api, database = Api(server.port), Config(data_dir=data_dir).database_path
    subjects = []
    for name, recorded in (
        ("webhook", Hook(api, server, database, "node")),
        ("run", recorded_run(api, server, database)),
    ):
        recorded.target = recorded.target._replace(name=prefix + name)
        recorded.check()
        subjects.append(Subject(recorded.target, recorded))
    return subjects


def post(name: str, server: common.Server, path: str, contains: bytes) -> Subject:
    """The same body, posted to a server that records nothing."""
    return Subject(Target(name, server.port, server.process.pid, request("POST", path, {}, INPUT), contains))


def start_all(stack: contextlib.ExitStack, options: argparse.Namespace, skipped: dict[str, str]) -> list[Subject]:
    """Start every server until the stack is closed. What cannot be started is noted in `skipped`."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="headrace-bench-")))
    subjects = []
    for prefix, root in checkouts(options).items():
        name = prefix.removesuffix(": ") or "now"
        echo = stack.enter_context(echo_server(options.workers, folder / f"echo-{name}", root))
        server = stack.enter_context(common.headrace(folder / name, options.workers, root=root))
        subjects.append(post(f"{prefix}echo", echo, "/", b'"customer"'))
        subjects += headrace_subjects(server, folder / name, prefix)
    try:
        script = installed_node_red(options)
    except node_red.NotInstalledError as error:
        skipped["node-red"] = str(error)
    else:
        server = stack.enter_context(node_red.serve(script, folder / "node-red"))
        subjects.append(post("node-red", server, node_red.PATH, b"Ada: 105"))
    return subjects


def checkouts(options: argparse.Namespace) -> dict[str, Path]:
    """The folders of Headrace to be measured, by the prefix of the names of their targets."""
    return {"": common.ROOT} | ({"before: ": options.against} if options.against else {})


def installed_node_red(options: argparse.Namespace) -> Path:
    """Node-RED's script, installed first if that is wanted.

    Raises: NotInstalledError if it is missing.
    """
    with contextlib.suppress(node_red.NotInstalledError):
        return node_red.find(options.node_red)
    if options.install:
        node_red.install(options.node_red, f"node-red@{node_red.VERSION}")
    return node_red.find(options.node_red)


def measured_once(measured: Measure, subject: Subject, concurrency: int, options: argparse.Namespace) -> dict[str, Any]:
    """One load, with what the database has of it."""
    seen = measured(subject.target, concurrency, options.seconds)
    if subject.recorded:
        unanswered = concurrency if options.client == "wrk" else 0
        seen |= subject.recorded.account(seen["answers"], unanswered)._asdict()
    return seen


def measure_all(
    measured: Measure, subjects: Sequence[Subject], concurrencies: Sequence[int], options: argparse.Namespace
) -> list[dict[str, Any]]:
    """The medians of each target at each concurrency, with all their rounds."""
    for subject in subjects:
        if options.warm_up:
            warm = argparse.Namespace(**vars(options) | {"seconds": options.warm_up})
            measured_once(measured, subject, WARM_UP_CONNECTIONS, warm)
    rounds: dict[int, list[dict[str, dict[str, Any]]]] = {concurrency: [] for concurrency in concurrencies}
    for number in range(options.rounds):
        first = number % len(subjects)
        order = [*subjects[first:], *subjects[:first]]
        for concurrency in concurrencies:
            found = {subject.target.name: measured_once(measured, subject, concurrency, options) for subject in order}
            rounds[concurrency].append(found)
            tell(number, concurrency, found)
    names = [subject.target.name for subject in subjects]
    return [with_rounds(name, concurrency, rounds[concurrency]) for concurrency in concurrencies for name in names]


def tell(number: int, concurrency: int, found: dict[str, dict[str, Any]]) -> None:
    """Say on the error output how a round went, for whoever waits for the end."""
    rates = ", ".join(f"{name} {seen['rate']:,.0f}" for name, seen in found.items())
    print(f"round {number + 1} at {concurrency} connections, requests/s: {rates}", file=sys.stderr, flush=True)


def with_rounds(name: str, concurrency: int, rounds: Sequence[dict[str, dict[str, Any]]]) -> dict[str, Any]:
    """The summary of a target at a concurrency, and under `rounds` the figures of each round."""
    single = [summary(name, concurrency, [found]) for found in rounds]
    return summary(name, concurrency, rounds) | {"rounds": single}


def ratio(results: Sequence[dict[str, Any]], key: str, name: str, other: str, concurrency: int) -> float | None:
    """The median over the rounds of one target's figure divided by another's, if both were measured."""
    found = {result["target"]: result["rounds"] for result in results if result["concurrency"] == concurrency}
    if name not in found or other not in found:
        return None
    pairs = zip(found[name], found[other], strict=True)
    return round(statistics.median(one[key] / max(two[key], 1e-9) for one, two in pairs), 3)


def goals(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The targets that hold for what was measured."""
    ours = [result for result in results if result["target"] in ("webhook", "run")]
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
    return found


def versions(options: argparse.Namespace, skipped: dict[str, str]) -> dict[str, str]:
    """What was measured."""
    found = {f"{prefix}headrace": commit(root) for prefix, root in checkouts(options).items()}
    if "node-red" not in skipped:
        found |= {"node-red": node_red.VERSION, "node": node_red.version_of_node()}
    return found


def commit(root: Path) -> str:
    """The commit of a checkout, with a + if files differ from it, and its subject."""
    command = ["git", "-C", str(root), "log", "-1", "--format=%h %s"]
    changed = ["git", "-C", str(root), "status", "--porcelain", "--untracked-files=no"]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        number, _, subject = (
            subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
            .stdout.strip()
            .partition(" ")
        )
        more = subprocess.run(changed, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
        return f"{number}{'+' if more else ''} {subject}"
    return "unknown"


def tables_of(document: dict[str, Any]) -> list[str]:
    """Markdown for people: the medians, every round of every figure, and what was not measured."""
    results, busy = document["results"], document["load_average_before"]
    head = ("target", "connections", *FIGURES, "answers", *COUNTS)
    keys = ("target", "concurrency", *FIGURES.values(), "answers", *COUNTS)
    tables = [
        "\n".join(f"- {name}: {version}" for name, version in document["versions"].items()),
        f"Medians of {document['rounds']} rounds of {document['seconds']:g} s; the client is {document['client']}. "
        f"Load average of the machine before: {busy:g}.",
        common.table(head, [[result[key] for key in keys] for result in results]),
    ]
    for title, key in FIGURES.items():
        head = (title, "connections", *(f"round {number + 1}" for number in range(document["rounds"])), "median")
        rows = [
            (result["target"], result["concurrency"], *(found[key] for found in result["rounds"]), result[key])
            for result in results
        ]
        tables.append(common.table(head, rows))
    tables += [f"Not measured: {name}. {why}" for name, why in document["skipped"].items()]
    return [*tables, common.target_table(document["targets"])]


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
    parser.add_argument("--install", action="store_true", help="install Node-RED there by npm where it is missing")
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
        measured = (
            measure_with_wrk if options.client == "wrk" else partial(measure, stack.enter_context(load_processes()))
        )
        # A benchmark that is told to end stops its servers, too.
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
        subjects = start_all(stack, options, skipped)
        results = measure_all(measured, subjects, concurrencies, options)
    document = {
        "benchmark": "peers",
        "machine": common.machine(),
        "load_average_before": busy,
        "client": options.client,
        "workers": options.workers,
        "seconds": options.seconds,
        "rounds": options.rounds,
        "versions": versions(options, skipped),
        "skipped": skipped,
        "results": results,
        "targets": goals(results),
    }
    common.report(document, tables_of(document), options.json)


if __name__ == "__main__":
    main()
