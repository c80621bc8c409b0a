"""The cost of a recorded run while the database grows: at 10,000, 100,000 and 1,000,000 runs.

    python tools/benchmarks/growth.py [--sizes 10000,100000,1000000] [--groups 1000] [--group 8] [--bytes 0]
                                      [--data FOLDER] [--json]

Runs of a webhook flow of five nodes are written as the recorder writes those of one turn of the loop: `insertions` in
transactions of `--group` runs, by two connections in turn, as two workers do it, so that each finds the pages that it
knows changed by the other. The flow is executed once, and its steps are written for every run, with ids and times of
its own. There are 20 flows in two workspaces; one run in 20 has failed. `--bytes` adds a text of that
length to the outputs of two nodes.

At each size, `--groups` transactions are measured with fsync: the processor time a run of the statements, of the commit
and of the thread that makes checkpoints, and how long a commit takes. Up to there the database is filled in larger
transactions without fsync. The file's bytes a run are those after a checkpoint.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, cast

# As a script, this folder is first in the path, and its files would hide modules of the same name.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import orjson

import database
import engine
from database import execute
from database.base import new_id, now_ms
from database.checkpoints import Checkpoints
from database.queries import runs as run_queries
from database.queries import workflows
from database.queries.runs import execute_units
from dispatch.payloads import Payloads
from dispatch.recorder import Recorder, WholeRun, insertions
from dispatch.run_record import RunRecord
from models import Workflow
from tools.benchmarks import common
from tools.benchmarks.webhook import INPUT, definition

TARGET_RATIO = 1.3
FLOWS, WORKSPACES, WORKERS = 20, 2, 2
NODES = 5
FILLING = 512  # runs in a transaction between the measurements
FAILED = 0.05
INLINE_BYTES = 64 * 1024


class Source:
    """Makes new ended runs."""

    def __init__(self, flows: Sequence[Workflow], text_bytes: int, folder: Path) -> None:
        self._flows = flows
        self._payloads = Payloads(folder, INLINE_BYTES)
        self._chance = random.Random(1)
        text = "".join(self._chance.choices("abcdefghij klmnopqrstuvwxyz", k=text_bytes))
        self._input = {"body": INPUT | ({"text": text} if text else {}), "headers": {}, "query": {}, "method": "POST"}
        self._steps: list[engine.StepRecord] = []
        plan = engine.plan(described(bool(text)))
        outcome = engine.run(plan, engine.Job("run_1", self._input, on_step=self._steps.append))
        if outcome.status != "success" or len(self._steps) < NODES:
            raise SystemExit(f"the flow ended as {outcome}")
        self._output = orjson.dumps(outcome.output).decode()

    def run(self) -> WholeRun:
        """Return one more run that has ended, with its steps."""
        now, failed = now_ms(), self._chance.random() < FAILED
        run = run_queries.accept(
            self._chance.choice(self._flows), id=new_id("run"), triggered_by="webhook", trigger_node="hook",
            input=orjson.dumps(self._input).decode(), claims=1, started_at=now, finished_at=now + 2,
            duration_ms=1.25, status="failed" if failed else "success", output=None if failed else self._output,
            error_text="The node failed" if failed else None, nodes_total=NODES, nodes_done=NODES,
        )  # fmt: skip
        record = RunRecord(cast(Recorder, None), self._payloads, run)  # such a run stores nothing before its end
        for step in self._steps:
            record.step(step._replace(started_at=now, finished_at=now + 1))
        return record.whole()


def described(has_text: bool) -> dict[str, Any]:
    """Return the flow of the webhook benchmark; if `has_text`, its nodes pass the text of the input on."""
    made = definition("benchmark", "node")
    if has_text:
        made["nodes"][1]["config"]["values"]["text"] = "{{ input.body.text }}"
    return made


class Measured(NamedTuple):
    """One transaction: processor seconds of statements and commit, and the duration of the commit."""

    statements: float
    commit: float
    waited: float


def write(runs: Sequence[WholeRun]) -> Measured:
    """Write these runs in one transaction, as the recorder does."""
    with database.write_runs():
        began = time.thread_time()
        execute_units([insertions(runs)])
        written, at = time.thread_time(), time.perf_counter()
    return Measured(written - began, time.thread_time() - written, time.perf_counter() - at)


class Workers:
    """Threads with a connection each that write in turn, and one that makes checkpoints."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._checkpoints = Checkpoints()
        self._checkpoints.start()
        self._threads = [ThreadPoolExecutor(1) for _ in range(WORKERS)]
        self._turns = 0

    def write(self, group: int) -> Measured:
        """Let the next thread write a group of runs."""
        runs = [self._source.run() for _ in range(group)]
        thread = self._threads[self._turns % WORKERS]
        self._turns += 1
        return thread.submit(write, runs).result()

    def tell(self, pragma: str) -> None:
        """Set a pragma of all connections."""
        for thread in self._threads:
            thread.submit(lambda: execute(f"PRAGMA {pragma}").fetchall()).result()

    def checkpoint_seconds(self) -> float:
        """Return the processor time that checkpoints have taken so far."""
        (thread,) = (thread for thread in threading.enumerate() if thread.name == "checkpoints")
        return time.clock_gettime(time.pthread_getcpuclockid(thread.ident or 0))

    def close(self) -> None:
        """End the threads."""
        self._checkpoints.stop()
        for thread in self._threads:
            thread.submit(database.disconnect_thread)
            thread.shutdown()


def fill(workers: Workers, runs: int) -> None:
    """Write so many runs quickly."""
    workers.tell("synchronous = OFF")
    for at in range(0, runs, FILLING):
        workers.write(min(FILLING, runs - at))
    workers.tell("synchronous = FULL")


def percentile(values: Sequence[float], share: float) -> float:
    """Return the quantile of the values at this share."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def measure(workers: Workers, groups: int, group: int) -> dict[str, Any]:
    """Measure so many transactions of so many runs."""
    before = workers.checkpoint_seconds()
    found = [workers.write(group) for _ in range(groups)]
    checkpoints = (workers.checkpoint_seconds() - before) / groups / group * 1e6
    statements = sum(one.statements for one in found) / groups / group * 1e6
    commit = sum(one.commit for one in found) / groups / group * 1e6
    waited = [one.waited * 1e3 for one in found]
    return {
        "statements_us": round(statements, 1),
        "commit_us": round(commit, 1),
        "checkpoints_us": round(checkpoints, 1),
        "run_us": round(statements + commit + checkpoints, 1),
        "commit_p50_ms": round(statistics.median(waited), 2),
        "commit_p99_ms": round(percentile(waited, 0.99), 2),
        "commit_max_ms": round(max(waited), 1),
    }


def grow(workers: Workers, path: Path, sizes: Sequence[int], groups: int, group: int) -> Iterator[dict[str, Any]]:
    """Fill the database to each size and measure there; the measured runs are part of the size."""
    present, before = 0, path.stat().st_size
    for size in sizes:
        fill(workers, max(0, size - present - groups * group))
        found = measure(workers, groups, group)
        present = execute("SELECT COUNT(*) FROM runs").fetchone()[0]
        database.empty_log()
        yield {"runs": present, **found, "bytes_a_run": round((path.stat().st_size - before) / present)}


def targets(results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Compare the largest size with the smallest."""
    ratio = round(results[-1]["run_us"] / results[0]["run_us"], 2)
    return {"run_us, largest size against the smallest": common.target(ratio, TARGET_RATIO)}


def opened(folder: Path, text_bytes: int) -> tuple[Workers, Path]:
    """Create a database with its flows, and the workers that write to it."""
    path = folder / "headrace.sqlite3"
    database.connect(path)
    database.migrate()
    text = orjson.dumps(described(bool(text_bytes))).decode()
    flows = [
        workflows.draft(
            workspace_id=f"ws_{at % WORKSPACES}", name=f"Flow {at}", status="active", triggers=[], definition_json=text
        )
        for at in range(FLOWS)
    ]
    return Workers(Source(flows, text_bytes, folder / "values")), path


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Measure what a recorded run costs while the database grows.")
    parser.add_argument("--sizes", default="10000,100000,1000000", help="runs at which is measured")
    parser.add_argument("--groups", type=int, default=1_000, help="transactions that are measured at each size")
    parser.add_argument("--group", type=int, default=8, help="runs in each of them")
    parser.add_argument("--bytes", type=int, default=0, help="of text in outputs")
    parser.add_argument("--data", type=Path, help="empty folder in which the database stays")
    parser.add_argument("--json", action="store_true", help="print only the JSON document")
    options = parser.parse_args(arguments)
    with contextlib.ExitStack() as stack:
        folder = options.data or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="headrace-bench-")))
        workers, path = opened(folder, options.bytes)
        stack.callback(database.disconnect)
        stack.callback(workers.close)
        sizes = [int(size) for size in options.sizes.split(",")]
        results = list(grow(workers, path, sizes, options.groups, options.group))
    document = {
        "benchmark": "growth",
        "machine": common.machine(),
        "groups": options.groups,
        "group": options.group,
        "text_bytes": options.bytes,
        "results": results,
        "targets": targets(results),
    }
    tables = [
        common.table(list(results[0]), [list(result.values()) for result in results]),
        common.target_table(document["targets"]),
    ]
    common.report(document, tables, options.json)


if __name__ == "__main__":
    main()
