"""Reading requests to the real app with a million runs in its table, and the cost of that history for a new run.

    python tools/benchmarks/history.py [--runs 1000000] [--steps 100000] [--flows 50] [--repeat 200]
                                       [--data FOLDER] [--json]

The database is a real one, migrated and then filled with a year of runs: 5 workspaces and 50 flows, one of which has a
third of all runs, and 170 flows with hardly any; most succeed, a few are pending or running; the newest `--steps` runs
have their 5 steps, and one in ten has log entries. It is made in a temporary folder, or in `--data`, where it
is kept and used again.

Each query is a GET with an API token, passed to the app in this process, one at a time: its time is that of the
WSGI app with routing, token, query and JSON, without a network. The app's threads do not run, so that nothing claims
the pending runs. `writes` are the statements by which runs are accepted and finished, committed in groups as the
recorder does it, on top of that history.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

# As a script, this folder is first in the path, and its files would hide modules of the same name.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from werkzeug.test import create_environ

import database
import workflow_server
from config import Config
from database import execute
from database.base import DAY_MS, now_ms, ulid
from database.queries import runs as run_queries
from database.queries import schedules, sessions, workflows, workspaces
from database.queries.metrics import settle_days
from database.queries.runs import Unit, execute_units
from fields import iso
from models import User, Workflow, Workspace
from tools.benchmarks import common

TARGET_MS = 15.0
RUNS, TARGET_RUNS_MS = "runs: no filter", 0.5
DAYS, WORKSPACES, FLOWS, STEPS = 365, 5, 50, 5
QUIET = 170  # flows of the first workspace with some ten runs in a million each
PENDING, RUNNING = 40, 10
CHUNK = 20_000
ASKED = 100
GROUPS, GROUP = 100, 32
TRIGGERS = ("webhook", "schedule", "manual")
NODES = [{"id": "n0", "type": "webhook"}, *({"id": f"n{at}", "type": "noop"} for at in range(1, 40))]
DEFINITION = json.dumps({"nodes": NODES, "edges": []})
COLUMNS = {
    "runs": "id, workspace_id, workflow_id, workflow_name, workflow_version, status, triggered_by, input, output, "
    "error_text, cancelled, recorded, created_at, started_at, finished_at, duration_ms, claims",
    "steps": "run_id, seq, node_id, node_type, node_name, status, attempt, inputs, output, started_at, finished_at, "
    "duration_ms, final",
    "log_entries": "id, workspace_id, run_id, node_id, level, message, data, created_at",
    "run_days": "workspace_id, workflow_id, day, total, success, failed, duration_ms",
}
Row = tuple[Any, ...]


# The history


class History:
    """A year of runs. The same seed makes the same runs, except for their times."""

    def __init__(self, flows: Sequence[Workflow], runs: int, with_steps: int) -> None:
        self.flows, self.runs, self.with_steps = flows, runs, with_steps
        self.chance = random.Random(1)
        self.first_ms = now_ms() - DAYS * DAY_MS
        # The first flow has a third of the runs; the others have ever fewer.
        rest = [1 / (1 + at / 10) for at in range(1, len(flows) - QUIET)]
        self.weights = [sum(rest) / 2, *rest, *[sum(rest) / 66_000] * QUIET]
        # Three runs that no other is like: of the first flow, failed, started by hand.
        self.odd = {runs * quarter // 4 for quarter in (1, 2, 3)}
        self.ended: dict[tuple[str, str, int], list[float]] = {}

    def chunks(self) -> Iterator[dict[str, list[Row]]]:
        """The rows of CHUNK runs at a time, by their tables; the counts of days come last."""
        for first in range(0, self.runs, CHUNK):
            numbers = range(first, min(first + CHUNK, self.runs))
            picked = self.chance.choices(range(len(self.flows)), self.weights, k=len(numbers))
            runs = [self._run(number, flow) for number, flow in zip(numbers, picked, strict=True)]
            newest = runs[max(0, self.runs - self.with_steps - first) :]
            steps = [step for run in newest if run[14] is not None for step in steps_of(run)]
            log = [entry for number, run in zip(numbers, runs, strict=True) for entry in self._log(number, run)]
            yield {"runs": runs, "steps": steps, "log_entries": log}
        yield {"run_days": [(*key, *counts) for key, counts in self.ended.items()]}

    def _run(self, number: int, picked: int) -> Row:
        at = self.first_ms + number * DAYS * DAY_MS // self.runs
        if number in self.odd:
            picked, status, trigger = 0, "failed", "manual"
        else:
            status, trigger = self._status(number, picked), self._trigger(picked)
        flow, ended = self.flows[picked], status in ("success", "failed")
        duration = round(self.chance.expovariate(1 / 40), 3) if ended else None
        started, finished = (None if status == "pending" else at), (at + int(duration) if ended else None)
        if ended:
            self._count(flow, finished // DAY_MS, status, duration)
        # A few outputs are long: SQLite keeps those on pages of their own.
        output = json.dumps({"total": number, "text": "x" * (12_000 if number % 200 == 0 else 60)})
        return (
            f"run_{self._ulid(at)}", flow.workspace_id, flow.id, flow.name, 1, status, trigger,
            '{"customer":"Ada","number":7}', output if status == "success" else None,
            "call: the server answered 502" if status == "failed" else None, False, not ended,
            at, started, finished, duration, int(ended),
        )  # fmt: skip

    def _ulid(self, at_ms: int) -> str:
        return ulid((at_ms << 80) | self.chance.getrandbits(80))

    def _status(self, number: int, picked: int) -> str:
        left = self.runs - number
        if left <= PENDING + RUNNING:
            return "pending" if left <= PENDING else "running"
        return "failed" if picked and self.chance.random() < 0.05 else "success"

    def _trigger(self, picked: int) -> str:
        """The first flow is a webhook's alone; the others are started by hand now and then."""
        by_hand = picked and self.chance.random() < 0.1
        return "manual" if by_hand else TRIGGERS[picked % len(TRIGGERS)]

    def _count(self, flow: Workflow, day: int, status: str, duration: float) -> None:
        counts = self.ended.setdefault((flow.workspace_id, flow.id, day), [0, 0, 0, 0.0])
        for at, more in enumerate((1, status == "success", status == "failed", duration)):
            counts[at] += more

    def _log(self, number: int, run: Row) -> Iterator[Row]:
        """An error of each run that failed; two entries of every tenth run. None is of level debug."""
        if run[5] == "failed":
            levels: tuple[str, ...] = ("error",)
        else:
            levels = ("info", "warning" if number % 100 == 0 else "info") if number % 10 == 0 else ()
        for level in levels:
            yield f"log_{self._ulid(run[12])}", run[1], run[0], "call", level, f"{level} of {number}", None, run[12]


def steps_of(run: Row) -> list[Row]:
    """Return the steps of a run of a chain of small nodes."""
    at, output = run[12], '{"customer":"Ada","number":7,"total":105}'
    return [
        (
            run[0], seq, f"n{seq}", "set", f"Node {seq}", "success", 1, f'["n{seq - 1}"]' if seq else None, output,
            at, at + 1, 0.25, False,
        )
        for seq in range(STEPS)
    ]  # fmt: skip


def fill(runs: int, with_steps: int, busy: int) -> None:
    """Fill the migrated database, in which there is one user with one workspace."""
    places = [Workspace.get(), *(workspaces.found(f"Other {number}", User.get()) for number in range(1, WORKSPACES))]
    # Of ten flows six are the first workspace's, and each other workspace has one.
    flows = [
        workflows.draft(
            workspace_id=places[max(0, at % 10 - 5) if at < busy else 0].id,
            name=f"Flow {at}",
            status="active",
            triggers=(),
            definition_json=DEFINITION,
        )
        for at in range(busy + QUIET)
    ]
    with database.write():
        for flow in flows[busy:]:
            wanted = [(f"n{at}", {"every": 3600.0 + at, "timezone": "UTC", "catch_up": "last"}) for at in range(6)]
            schedules.sync(flow, wanted)
    execute("PRAGMA synchronous = off")
    execute("PRAGMA cache_size = -400000")
    for chunk in History(flows, runs, with_steps).chunks():
        with database.write():
            for table, rows in chunk.items():
                marks = ", ".join("?" * len(COLUMNS[table].split(",")))
                sql = f"INSERT INTO {table} ({COLUMNS[table]}) VALUES ({marks})"
                database.db.connection().executemany(sql, rows)
    settle_days(now_ms())
    execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    database.disconnect()  # and with the connection go its settings


def contents(path: Path) -> dict[str, Any]:
    """Return the number of rows of each table, and the size of the file."""
    tables = ("workspaces", "workflows", "runs", "steps", "log_entries", "run_days")
    counts = {table: execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0] for table in tables}
    return counts | {"mib": round(path.stat().st_size / 2**20, 1)}


# The questions


class Question(NamedTuple):
    """Paths requested in turn, and the number of items in each answer, if known."""

    name: str
    paths: Sequence[str]
    items: int | None = None
    unchanged: bool = False  # requested again with the ETag of the first response


def run_lists(flows: Sequence[str]) -> list[Question]:
    """Return lists of runs with all kinds of filters."""
    large = f"workflow_id={flows[0]}"
    since, until = (iso(now_ms() - days * DAY_MS) for days in (200, 199))
    asked: list[tuple[str, str, int | None]] = [
        ("no filter", "limit=50", None),
        ("status=failed", "status=failed", None),
        ("status=success", "status=success", None),
        ("status=pending", "status=pending", None),
        ("workflow_id", large, None),
        ("workflow_id, a small flow", f"workflow_id={flows[-1 - QUIET]}", None),
        ("triggered_by", "triggered_by=manual", None),
        ("since", f"since={since}", None),
        ("since, until", f"since={since}&until={until}", None),
        ("status, since, until", f"status=failed&since={since}&until={until}", None),
        ("workflow_id, status", f"{large}&status=success", None),
        ("workflow_id, status: 3 match", f"{large}&status=failed", 3),
        ("workflow_id, triggered_by: 3 match", f"{large}&triggered_by=manual", 3),
        ("workflow_id, triggered_by: none matches", f"{large}&triggered_by=schedule", 0),
        ("workflow_id, status=pending", f"{large}&status=pending", None),
        ("status, triggered_by", "status=failed&triggered_by=manual", None),
        ("workflow_id, status, triggered_by: none matches", f"{large}&status=failed&triggered_by=webhook", 0),
        ("brief", "brief=true&limit=50", None),
        ("two statuses", "status=failed,pending", None),
        ("cancelled", "cancelled=true", 0),
        ("not cancelled", "cancelled=false", None),
        ("waiting for people", "waiting=true", None),
        ("search, the beginning of an id", "search=run_01", None),
        ("search, letters of a flow's name", "search=flow", None),
        ("search, no run that was looked at", "search=nowhere", 0),
        ("search among what failed, none looked at", "search=nowhere&status=failed", 0),
        ("a flow that is not there", "workflow_id=wf_00000000000000000000000000&status=success", 0),
    ]
    return [Question(f"runs: {name}", [f"/api/runs?{query}"], items) for name, query, items in asked]


def flow_lists() -> list[Question]:
    """Return the list of flows as the app requests it."""
    asked = {
        "brief": "",
        "brief, by name": "sort=name",
        "brief, by last change": "sort=updated",
        "brief, by last run": "sort=last_run",
        "brief, failing": "failing=true",
        "brief, with a webhook": "trigger=webhook",
    }
    return [Question(f"flows: {name}", [f"/api/flows?limit=200&brief=true&{query}"]) for name, query in asked.items()]


def deep_pages(runs: Sequence[str], flow: str) -> list[Question]:
    """Return pages from all parts of the history."""
    cursors = [base64.urlsafe_b64encode(runs[len(runs) * share // 100].encode()).decode() for share in range(10, 95)]
    asked = {
        "no filter": "limit=50",
        "status": "status=failed",
        "workflow_id, status": f"workflow_id={flow}&status=success",
    }
    return [
        Question(f"runs: deep pages, {name}", [f"/api/runs?{query}&cursor={cursor.rstrip('=')}" for cursor in cursors])
        for name, query in asked.items()
    ]


def questions(workspace: Workspace) -> list[Question]:
    """Return the requests, for the workspace with most of the runs."""

    def ids(column: str, table: str, order: str) -> list[str]:
        sql = f"SELECT {column} FROM {table} WHERE workspace_id = ? ORDER BY id {order}"
        return [row[0] for row in execute(sql, (workspace.id,)).fetchall()]

    runs, flows = ids("id", "runs", "DESC"), ids("id", "workflows", "ASC")
    logged = ids("run_id", "log_entries", "DESC")[:ASKED]
    sql = f"SELECT run_id FROM steps WHERE seq = 0 ORDER BY run_id DESC LIMIT {ASKED * WORKSPACES}"
    mine = set(runs)
    ended = [id_ for (id_,) in execute(sql).fetchall() if id_ in mine][:ASKED]
    return [
        *run_lists(flows),
        *deep_pages(runs, flows[0]),
        Question("run", [f"/api/runs/{id_}" for id_ in ended]),
        Question("steps of a run", [f"/api/runs/{id_}/steps" for id_ in ended], STEPS),
        Question("the dashboard's latest runs", ["/api/dashboard/runs/latest"], 8),
        Question("runs: no filter, unchanged", ["/api/runs?limit=50"], None, True),
        Question("flows: brief, unchanged", ["/api/flows?limit=200&brief=true"], None, True),
        Question("what is due next, of 1,020 schedules", ["/api/schedules"], 50),
        Question("metrics of 2 days, with hours", ["/api/metrics?days=2"]),
        Question("metrics of 30 days", ["/api/metrics?days=30"]),
        Question("metrics of 365 days", ["/api/metrics?days=365"]),
        Question("metrics for Prometheus", ["/metrics"]),
        Question("log: no filter", ["/api/logs"]),
        Question("log: level=error", ["/api/logs?level=error"]),
        Question("log: level=debug, none matches", ["/api/logs?level=debug"], 0),
        Question("log: two levels", ["/api/logs?level=warning,error"]),
        Question("log: search, no entry that was looked at", ["/api/logs?search=nowhere"], 0),
        Question("log: workflow_id", [f"/api/logs?workflow_id={flows[0]}"]),
        Question("log: workflow_id, hardly any", [f"/api/logs?workflow_id={flows[-1]}"]),
        Question("log: run_id", [f"/api/logs?run_id={id_}" for id_ in logged]),
        Question("log of a run", [f"/api/logs/{id_}" for id_ in logged]),
        Question("flows", ["/api/flows?limit=200"], min(200, len(flows))),
        *flow_lists(),
        Question("health, to compare with", ["/api/health"]),
    ]


class Asker:
    """A client of the app: the owner of one workspace, with an API token."""

    def __init__(self, app: Any, workspace: Workspace) -> None:
        self.app = app
        _, token = sessions.issue_token(user_id=User.get().id, workspace_id=workspace.id, role="viewer", name="bench")
        self.headers = {"Authorization": f"Bearer {token}"}
        self.tag: str | None = None  # of the answer before

    def ask(self, path: str, has: str | None = None) -> tuple[float, bytes]:
        """Milliseconds inside the app, and the body of its answer, which must be a 200; a 304 if it has this tag."""
        environ = create_environ(path, headers=self.headers if has is None else {**self.headers, "If-None-Match": has})
        status = ""

        def start_response(line: str, headers: Any, error: Any = None) -> None:
            nonlocal status
            status = line
            self.tag = dict(headers).get("ETag")

        began = time.perf_counter()
        answer = self.app(environ, start_response)
        body = b"".join(answer)
        answer.close()
        taken = (time.perf_counter() - began) * 1000
        if not status.startswith("200" if has is None else "304"):
            raise SystemExit(f"{path} answered {status}: {body[:500]!r}")
        return taken, body

    def total(self) -> int:
        """How many runs the metrics of the workspace count."""
        found: int = json.loads(self.ask("/api/metrics")[1])["total_runs"]
        return found

    def measure(self, question: Question, repeat: int) -> dict[str, Any]:
        """Its times in ms: the first, and the median and p99 of the rest; the bytes of an answer."""
        first, body = self.ask(question.paths[0])
        items = len(json.loads(body)["items"]) if b'"items":' in body else None
        if question.items not in (None, items):
            raise SystemExit(f"{question.name}: {items} items and not {question.items}")
        has = self.tag if question.unchanged else None
        times = sorted(self.ask(question.paths[at % len(question.paths)], has)[0] for at in range(repeat))
        return {
            "question": question.name,
            "median_ms": round(statistics.median(times), 2),
            "p99_ms": round(times[min(len(times) - 1, int(0.99 * len(times)))], 2),
            "first_ms": round(first, 2),
            "items": items,
            "bytes": len(body),
        }


# The cost of a new run


def accepted_and_ended(flow: Workflow) -> Unit:
    """The writes of a new run that ended at once."""
    run = run_queries.accept(
        flow, triggered_by="webhook", status="running", lease_owner="bench", claims=1, started_at=now_ms()
    )
    return [
        run_queries.insertion(run),
        *run_queries.finish(run, "bench", "success", output='{"total":105}', duration_ms=1.5),
    ]


def measure_writes(workspace: Workspace) -> dict[str, Any]:
    """Accept and finish runs of all flows of the workspace: microseconds a run, and pages that the log file grew by.

    `commit_us` is the share of a run in its group's commit, which syncs to the disk.
    """
    flows = list(Workflow.select().where(Workflow.workspace_id == workspace.id))
    chance = random.Random(2)
    execute("PRAGMA wal_autocheckpoint = 0").fetchall()
    execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    statements, commits = [], []
    for _ in range(GROUPS):
        began = time.perf_counter()
        with database.write():
            execute_units(accepted_and_ended(flow) for flow in chance.choices(flows, k=GROUP))
            written = time.perf_counter()
        statements.append((written - began) / GROUP * 1e6)
        commits.append((time.perf_counter() - written) / GROUP * 1e6)
    pages = execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1]
    return {
        "runs": GROUPS * GROUP,
        "group": GROUP,
        "statements_us": round(statistics.median(statements), 1),
        "commit_us": round(statistics.median(commits), 1),
        "pages": round(pages / (GROUPS * GROUP), 2),
    }


# All of it


def targets(results: Sequence[dict[str, Any]], contained: dict[str, Any], total: int) -> dict[str, Any]:
    """The slowest question, how many miss the target, and whether the metrics know of every run."""
    slowest = max(results, key=lambda result: result["median_ms"])
    late = [result["question"] for result in results if result["median_ms"] > TARGET_MS]
    (runs,) = (result["median_ms"] for result in results if result["question"] == RUNS)
    return {
        f"{RUNS}, ms": common.target(runs, TARGET_RUNS_MS),
        f"slowest, ms ({slowest['question']})": common.target(slowest["median_ms"], TARGET_MS),
        "questions_over_target": common.target(len(late), 0),
        "runs_not_counted": common.target(contained["runs"] - total, 0),
    }


def prepared(folder: Path, options: argparse.Namespace) -> tuple[Any, Path, float]:
    """The app over the filled database, the database's path, and how long it took to fill it, 0 for one found full."""
    config = Config(data_dir=folder, admin_email="bench@localhost", admin_password=common.PASSWORD)
    app = workflow_server.create_app(config)
    began = time.perf_counter()
    if execute("SELECT 1 FROM runs LIMIT 1").fetchone() is not None:
        return app, config.database_path, 0.0
    fill(options.runs, options.steps, options.flows)
    return app, config.database_path, round(time.perf_counter() - began, 3)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Measure what people read, over a long history.")
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--steps", type=int, default=100_000, help="of how many of the newest runs")
    parser.add_argument("--flows", type=int, default=FLOWS, help="how many flows run again and again")
    parser.add_argument("--repeat", type=int, default=200, help="how often each question is asked")
    parser.add_argument("--data", type=Path, help="folder in which the database stays")
    parser.add_argument("--json", action="store_true", help="print only the JSON document")
    options = parser.parse_args(arguments)
    with contextlib.ExitStack() as stack:
        folder = options.data or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="headrace-bench-")))
        app, path, seconds = prepared(folder, options)
        stack.callback(database.disconnect)
        contained = contents(path)
        main_workspace = Workspace.select().order_by(Workspace.id).get()
        asker = Asker(app, main_workspace)
        results = [asker.measure(question, options.repeat) for question in questions(main_workspace)]
        counted = sum(Asker(app, place).total() for place in Workspace.select())
        writes = measure_writes(main_workspace)
    document = {
        "benchmark": "history",
        "machine": common.machine(),
        "contents": contained,
        "fill_seconds": seconds,
        "repeat": options.repeat,
        "results": results,
        "writes": writes,
        "targets": targets(results, contained, counted),
    }
    head = ("question", "median, ms", "p99, ms", "first, ms", "items", "bytes")
    tables = [
        common.table(("contents", ""), list(contained.items())),
        common.table(head, [list(result.values()) for result in results]),
        common.table(("writes", ""), list(writes.items())),
        common.target_table(document["targets"]),
    ]
    common.report(document, tables, options.json)


if __name__ == "__main__":
    main()
