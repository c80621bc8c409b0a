"""Many schedules due in the same second, on the real server.

    python tools/benchmarks/schedules.py [--schedules 1000] [--workers 2] [--lead 6] [--patience 180] [--json]

Active flows of two nodes, a schedule of an hour and a `set`, are written before the start, all with the same instant,
`lead` seconds ahead. From that instant on, the database file is read until every schedule has fired and until every run
has ended. Fired means that the fire and its run are committed, with fsync, and can be seen by another process.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# As a script, this folder is first in the path, and its files would hide modules of the same name.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import database
from config import Config
from database.base import now_ms
from database.queries import schedules, workflows
from definition import plan
from dispatch.publishing import find_triggers
from models import Workflow
from tools.benchmarks import common

TARGET_SECONDS = 2.0
HOUR = 3_600
POLL_SECONDS = 0.01
FLOW = {
    "nodes": [
        {"id": "hourly", "type": "schedule", "config": {"every": HOUR}},
        {"id": "note", "type": "set", "config": {"values": {"at": "{{ input.scheduled_for }}"}}},
    ],
    "edges": [{"from": "hourly", "to": "note"}],
}
FIRED = "SELECT COUNT(*) FROM schedule_fires"
ENDED = "SELECT COUNT(*) FROM runs WHERE status IN ('success', 'failed')"
TWICE = "SELECT COUNT(*) - COUNT(DISTINCT workflow_id) FROM runs WHERE triggered_by = 'schedule'"
MISSED = "SELECT COUNT(*) FROM workflows WHERE id NOT IN (SELECT workflow_id FROM runs WHERE triggered_by = 'schedule')"
FAILED = "SELECT COUNT(*) FROM runs WHERE status <> 'success'"


def write_flows(path: Path, count: int) -> None:
    """Create a database with this many active flows."""
    database.connect(path)
    database.migrate()
    with database.write():
        for number in range(count):
            text = json.dumps(FLOW)
            workflows.draft(
                workspace_id="ws_bench", name=f"Flow {number}", status="active", triggers=(), definition_json=text
            )
    database.disconnect()


def write_schedules(path: Path, instant: int) -> None:
    """Make all of them due at this instant, in milliseconds."""
    database.connect(path)
    made = plan(FLOW)
    wanted = [(trigger.node_id, trigger.config) for trigger in find_triggers(made)]
    with database.write():
        for flow in Workflow.select():
            schedules.sync(flow, wanted, instant - HOUR * 1000)
    database.disconnect()


def seconds_until(connection: sqlite3.Connection, sql: str, count: int, instant: int, patience: float) -> float | None:
    """Return the seconds from the instant until the query returns `count`; None after a timeout."""
    while (passed := now_ms() - instant) < patience * 1000:
        if connection.execute(sql).fetchone()[0] >= count:
            return (now_ms() - instant) / 1000
        time.sleep(POLL_SECONDS if passed < 5_000 else 10 * POLL_SECONDS)
    return None


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return the seconds until all have fired and until all runs have ended, and the errors."""
    with tempfile.TemporaryDirectory(prefix="headrace-bench-") as folder:
        path = Config(data_dir=Path(folder)).database_path
        write_flows(path, options.schedules)
        with common.headrace(Path(folder), options.workers):
            instant = (now_ms() // 1000 + options.lead) * 1000
            write_schedules(path, instant)
            with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
                time.sleep(max(0.0, (instant - now_ms()) / 1000))
                early = connection.execute(FIRED).fetchone()[0]
                fired = seconds_until(connection, FIRED, options.schedules, instant, options.patience)
                ended = seconds_until(connection, ENDED, options.schedules, instant, options.patience)
                counts = {
                    name: connection.execute(sql).fetchone()[0]
                    for name, sql in (("twice", TWICE), ("missed", MISSED), ("not_success", FAILED))
                }
    if fired is None:
        raise SystemExit(f"not all schedules have fired within {options.patience} s: {counts}")
    return {"fired_s": round(fired, 3), "ended_s": ended and round(ended, 3), "early": early, **counts}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Measure many schedules that are due at once.")
    parser.add_argument("--schedules", type=int, default=1_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--lead", type=int, default=6, help="seconds from the start to the instant")
    parser.add_argument("--patience", type=float, default=180.0, help="seconds after which it is given up")
    parser.add_argument("--json", action="store_true", help="print only the JSON document")
    options = parser.parse_args(arguments)
    result = measure(options)
    document = {
        "benchmark": "schedules",
        "machine": common.machine(),
        "schedules": options.schedules,
        "workers": options.workers,
        "result": result,
        "targets": {
            "fired_s": common.target(result["fired_s"], TARGET_SECONDS),
            "twice": common.target(result["twice"], 0),
            "missed": common.target(result["missed"], 0),
            "early": common.target(result["early"], 0),
        },
    }
    rows = [
        ("until the last schedule has fired, s", result["fired_s"]),
        ("until the last run has ended, s", "not in time" if result["ended_s"] is None else result["ended_s"]),
        ("runs that did not succeed", result["not_success"]),
    ]
    tables = [
        common.table((f"{options.schedules:,} schedules of the same instant", ""), rows),
        common.target_table(document["targets"]),
    ]
    common.report(document, tables, options.json)


if __name__ == "__main__":
    main()
