"""Metrics of the whole server that are read from the database: runs by flow, and the queue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import orjson

from database import execute, execute_all, fetch_value
from database.base import DAY_MS, insert_all, now_ms
from database.queries.concurrent_runs import QUEUED
from database.queries.workflows import names_of

ADD_COUNT = " ON CONFLICT (metric, labels, part) DO UPDATE SET value = metric_counts.value + excluded.value"


class Count(NamedTuple):
    """An addition to a count. `part` is the upper bound of a bucket, or `sum`."""

    metric: str
    labels: tuple[str, ...]
    part: str
    value: float


def add_counts(counts: Iterable[Count]) -> None:
    """Add to the counts. Call inside a transaction."""
    rows = [(metric, orjson.dumps(labels).decode(), part, value) for metric, labels, part, value in counts]
    # Always in the same order of rows, which prevents deadlocks.
    execute_all(insert_all("metric_counts", Count._fields, sorted(rows), ADD_COUNT))


def list_counts() -> list[Count]:
    """Return the counts of all metrics."""
    rows = execute("SELECT metric, labels, part, value FROM metric_counts ORDER BY metric, labels").fetchall()
    return [Count(metric, tuple(orjson.loads(labels)), part, value) for metric, labels, part, value in rows]


MAX_FLOWS = 50  # flows with metrics of their own
BUSY_DAYS = 7  # in which the runs of a flow count for its place among them
MAX_GROUPS = 1_000  # versions of flows whose claimable runs are counted by lane
CLAIMABLE = "status = 'pending' AND waiting IS NULL AND recorded = 0"
# States of unfinished runs, each with its condition: a partial index has the rows of each.
STATES = {
    "running": "status = 'running' AND recorded = 0",
    "claimable": CLAIMABLE,
    "limited": f"status = 'pending' AND waiting = '{QUEUED}'",
    "waiting": f"status = 'pending' AND waiting IS NOT NULL AND waiting <> '{QUEUED}'",
}
LAST_SUM = "COALESCE((SELECT MAX(day) FROM flow_sums WHERE workspace_id = w.id), -1)"
# The sums of past days, and the days after them: see metric_sums.py.
ENDED = (
    "SELECT workspace_id, workflow_id, SUM(success), SUM(failed), SUM(duration_ms) FROM ("
    "SELECT f.workspace_id, f.workflow_id, f.success, f.failed, f.duration_ms FROM workspaces AS w "
    f"JOIN flow_sums AS f ON f.workspace_id = w.id AND f.day = {LAST_SUM} UNION ALL "
    "SELECT d.workspace_id, d.workflow_id, d.success, d.failed, d.duration_ms FROM workspaces AS w "
    f"JOIN run_days AS d ON d.workspace_id = w.id AND d.day > {LAST_SUM}"
    ") AS found GROUP BY workspace_id, workflow_id"
)
BUSY = (
    "SELECT d.workflow_id, SUM(d.total) FROM workspaces AS w JOIN run_days AS d ON d.workspace_id = w.id AND d.day > ? "
    "GROUP BY d.workflow_id"
)


class FlowMetrics(NamedTuple):
    """The runs of one flow: all that have ended, the sum of their durations, and unfinished ones by state."""

    workspace_id: str
    workflow_id: str
    name: str
    success: int
    failed: int
    duration_ms: float
    unfinished: Mapping[str, int]


def count_unfinished() -> dict[str, Counter[tuple[str, str]]]:
    """Return the number of unfinished runs by state, and by workspace and flow."""
    found = {}
    for state, condition in STATES.items():
        sql = (
            f"SELECT workspace_id, workflow_id, COUNT(*) FROM runs WHERE {condition} GROUP BY workspace_id, workflow_id"
        )
        found[state] = Counter({(space, flow): count for space, flow, count in execute(sql).fetchall()})
    return found


def measure_flows(unfinished: Mapping[str, Counter[tuple[str, str]]]) -> list[FlowMetrics]:
    """Return the metrics of the busiest flows, MAX_FLOWS of them: with the most unfinished and recently ended runs."""
    ended = {(space, flow): counts for space, flow, *counts in execute(ENDED).fetchall()}
    recent = Counter(dict(execute(BUSY, (now_ms() // DAY_MS - BUSY_DAYS,)).fetchall()))
    busy = {key: recent[key[1]] + sum(counts[key] for counts in unfinished.values()) for key in ended}
    for counts in unfinished.values():
        for key, count in counts.items():
            busy.setdefault(key, count)
    chosen = sorted(sorted(busy), key=lambda key: -busy[key])[:MAX_FLOWS]
    names = names_of([flow for _, flow in chosen])
    found = []
    for space, flow in sorted(chosen):
        success, failed, duration_ms = ended.get((space, flow), (0, 0, 0.0))
        counts_by_state = {state: counts[space, flow] for state, counts in unfinished.items()}
        found.append(FlowMetrics(space, flow, names.get(flow, ""), success, failed, duration_ms, counts_by_state))
    return found


def find_queue_age(now: int) -> float:
    """Return the seconds since the oldest claimable run was accepted that no process has claimed yet; 0 if none is."""
    accepted = fetch_value(f"SELECT MIN(created_at) FROM runs WHERE {CLAIMABLE} AND claims = 0")
    return 0.0 if accepted is None else max(0, now - accepted) / 1000


def count_claimable() -> list[tuple[str, int | None, int]]:
    """Return the number of claimable runs by flow and version."""
    sql = (
        f"SELECT workflow_id, workflow_version, COUNT(*) FROM runs WHERE {CLAIMABLE} "
        f"GROUP BY workflow_id, workflow_version ORDER BY 3 DESC LIMIT {MAX_GROUPS}"
    )
    return list(execute(sql).fetchall())
