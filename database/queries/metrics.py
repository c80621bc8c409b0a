"""Metrics of a workspace and of the server, from daily counts and the newest runs.

The metrics of a year are read from sums of past days.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from constants import ENDED, TRIGGERS, UNFINISHED
from database import execute, fetch_value, is_postgres, space, write
from database.base import DAY_MS, encode_list, first_id, limit_each, now_ms
from database.queries import schedules
from database.queries.locks import lock_names
from database.queries.workflows import last_runs, names_of

SETTLED_DAYS = 2  # days after which a day has all of its runs: clocks differ, and commits may be late
DAYS_AT_ONCE = 8  # in a transaction; also the number of days with runs between two sums of a flow
COUNTS = "total, success, failed, duration_ms"
ADDED = "SUM(total), SUM(success), SUM(failed), SUM(duration_ms)"
LAST_DAY = "COALESCE((SELECT MAX(day) FROM workspace_days WHERE workspace_id = ?1), -1)"
LAST_SUM = "COALESCE((SELECT MAX(day) FROM flow_sums WHERE workspace_id = ?1), -1)"
# In key order, so that no more than these days are read.
UNSETTLED = f"SELECT 1 FROM run_days WHERE workspace_id = ?1 AND day > {LAST_DAY} AND day <= ?2 LIMIT 1"
SETTLE = (
    f"INSERT INTO workspace_days (workspace_id, day, {COUNTS}) SELECT ?1, day, {ADDED} FROM run_days "
    f"WHERE workspace_id = ?1 AND day > {LAST_DAY} AND day <= ?2 GROUP BY day ORDER BY day LIMIT {DAYS_AT_ONCE}"
)
SINCE_LAST_SUM = f"SELECT COUNT(*) FROM workspace_days WHERE workspace_id = ?1 AND day > {LAST_SUM}"
SUM_UP = (
    f"INSERT INTO flow_sums (workspace_id, day, workflow_id, {COUNTS}) SELECT ?1, {LAST_DAY}, workflow_id, {ADDED} "
    f"FROM (SELECT workflow_id, {COUNTS} FROM flow_sums WHERE workspace_id = ?1 AND day = {LAST_SUM} UNION ALL "
    f"SELECT workflow_id, {COUNTS} FROM run_days WHERE workspace_id = ?1 AND day > {LAST_SUM} AND day <= {LAST_DAY}"
    ") AS found GROUP BY workflow_id"
)


def settle_days(now: int) -> None:
    """Sum up the past days of all workspaces, a few in each transaction."""
    last = now // DAY_MS - SETTLED_DAYS
    for (workspace_id,) in execute("SELECT id FROM workspaces").fetchall():
        while fetch_value(UNSETTLED, (workspace_id, last)) is not None:
            with write():
                lock_names("days", (workspace_id,))
                execute(SETTLE, (workspace_id, last))
                if fetch_value(SINCE_LAST_SUM, (workspace_id,)) >= DAYS_AT_ONCE:
                    execute(SUM_UP, (workspace_id,))


HOUR_MS = 3_600_000
SAMPLE, SAMPLE_OF_FLOW = 1_000, 50
MAX_FLOWS, MEASURED_FLOWS = 100, 10
NEWEST_DURATIONS = (
    "SELECT duration_ms, finished_at FROM runs WHERE workspace_id = ? AND duration_ms IS NOT NULL "
    f"ORDER BY id DESC LIMIT {SAMPLE}"
)
HOURLY_DAYS = 2  # the maximum for an hourly series, whose runs are counted in an index
LAST_RUN_AT = "SELECT COALESCE(started_at, created_at) FROM runs WHERE workspace_id = ? ORDER BY id DESC LIMIT 1"
# Past days are read from their sums, the rest from the counts of each flow.
BY_DAY = (
    f"SELECT day, {COUNTS} FROM workspace_days WHERE workspace_id = ?1 UNION ALL "
    f"SELECT day, {ADDED} FROM run_days WHERE workspace_id = ?1 AND day > {LAST_DAY} GROUP BY day"
)
# Since a day: the total minus the sum before that day.
SUM_BEFORE = "COALESCE((SELECT MAX(day) FROM flow_sums WHERE workspace_id = ?1 AND day < ?2), -1)"
SINCE = (
    f"SELECT workflow_id, {COUNTS} FROM flow_sums WHERE workspace_id = ?1 AND day = {LAST_SUM} UNION ALL "
    f"SELECT workflow_id, {COUNTS} FROM run_days WHERE workspace_id = ?1 AND day > {LAST_SUM} UNION ALL "
    "SELECT workflow_id, -total, -success, -failed, -duration_ms FROM flow_sums "
    f"WHERE workspace_id = ?1 AND day = {SUM_BEFORE} UNION ALL "
    "SELECT workflow_id, -total, -success, -failed, -duration_ms FROM run_days "
    f"WHERE workspace_id = ?1 AND day > {SUM_BEFORE} AND day < ?2"
)


def metrics(workspace_id: str, days: int) -> dict[str, Any]:
    """Return the workspace's metrics: all-time totals; a daily series and counts by flow for `days`; durations.

    `p50_duration_ms` and `p95_duration_ms` are of the newest 1,000 ended runs within those days; for each of the 10
    busiest flows, of its newest 50 ended runs. `hourly` exists for up to HOURLY_DAYS days.
    """
    now = now_ms()
    today = now // DAY_MS
    first = today - days + 1
    count = "SELECT COUNT(*) FROM runs WHERE status = '{}' AND workspace_id = ?"
    unfinished = {status: fetch_value(count.format(status), (workspace_id,)) for status in UNFINISHED}
    # Total, success, failed and the sum of durations of every day with runs.
    by_day = {day: tuple(counts) for day, *counts in execute(BY_DAY, (workspace_id,)).fetchall()}
    total, success, failed = (sum(counts[at] for counts in by_day.values()) for at in range(3))
    newest = execute(NEWEST_DURATIONS, (workspace_id,)).fetchall()
    durations = sorted(duration for duration, finished in newest if (finished or 0) >= first * DAY_MS)
    return {
        "total_runs": total + sum(unfinished.values()),
        "success_runs": success,
        "failed_runs": failed,
        "running_runs": unfinished["running"],
        "pending_runs": unfinished["pending"],
        "failure_rate": round(failed / total, 4) if total else 0.0,
        "last_run_at": fetch_value(LAST_RUN_AT, (workspace_id,)),
        "overdue_schedules": schedules.overdue(now, workspace_id),
        "failing_polls": failing_polls(workspace_id),
        "database_bytes": space().total,
        "p50_duration_ms": _quantile(durations, 0.50),
        "p95_duration_ms": _quantile(durations, 0.95),
        "daily": [
            {
                "day": day,
                "total": runs,
                "success": good,
                "failed": bad,
                "mean_duration_ms": round(duration / runs, 3) if runs else None,
            }
            for day in range(first, today + 1)
            for runs, good, bad, duration in [by_day.get(day, (0, 0, 0, 0.0))]
        ],  # fmt: skip
        "flows": _by_flow(workspace_id, first),
        **({"hourly": _hourly(workspace_id, now // HOUR_MS, days * 24)} if days <= HOURLY_DAYS else {}),
    }


def totals() -> dict[str, int]:
    """Return all-time runs of all workspaces by status."""
    success, failed = execute("SELECT SUM(success), SUM(failed) FROM run_days").fetchone()
    sql = "SELECT COUNT(*) FROM runs WHERE status = '{}'"
    pending, running = (fetch_value(sql.format(status)) for status in UNFINISHED)
    return {"pending": pending, "running": running, "success": success or 0, "failed": failed or 0}


def _quantile(ordered: list[float], share: float) -> float | None:
    """Return the nearest-rank quantile."""
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3) if ordered else None


def _hourly(workspace_id: str, hour: int, hours: int) -> list[dict[str, int]]:
    """Return the runs accepted in each of the hours up to this one (since 1970) that have ended.

    They are counted in the index of ended runs, by the time in their ids: about 12 million a second.
    """
    edges = [first_id("run", at * HOUR_MS) for at in range(hour - hours + 1, hour + 2)]
    counted = (
        f"SELECT COUNT(*) AS n FROM runs WHERE workspace_id = ?1 AND status = '{{}}' AND triggered_by = '{trigger}' "
        "AND id >= h.first AND id < h.after"
        for trigger in TRIGGERS
    )
    arms = " UNION ALL ".join(counted)
    sums = ", ".join(f"(SELECT SUM(n) FROM ({arms.replace('{}', status)}) AS found)" for status in ENDED)
    # Each value of the list is two ids of the same length.
    long = len(edges[0])
    values = "(SELECT value FROM json_each(?2)) AS given"
    pairs = f"SELECT SUBSTR(value, 1, {long}) AS first, SUBSTR(value, {long + 1}) AS after FROM {values}"
    given = encode_list(first + after for first, after in pairwise(edges))
    rows = execute(f"SELECT {sums} FROM ({pairs}) h", (workspace_id, given)).fetchall()
    return [
        {"hour": at * HOUR_MS, "total": success + failed, "success": success, "failed": failed}
        for at, (success, failed) in zip(range(hour - hours + 1, hour + 1), rows, strict=True)
    ]


def _by_flow(workspace_id: str, first: int) -> list[dict[str, Any]]:
    sql = (
        "SELECT workflow_id, SUM(total), SUM(success), SUM(failed), SUM(duration_ms) / SUM(total) "
        f"FROM ({SINCE}) AS found GROUP BY workflow_id HAVING SUM(total) > 0 ORDER BY 2 DESC LIMIT {MAX_FLOWS}"
    )
    names = ("workflow_id", "total", "success", "failed", "mean_duration_ms")
    rows = [dict(zip(names, row, strict=True)) for row in execute(sql, (workspace_id, first)).fetchall()]
    ids = [row["workflow_id"] for row in rows]
    runs, called = last_runs(workspace_id, ids), names_of(ids)
    for place, row in enumerate(rows):
        id_ = row["workflow_id"]
        last = runs.get(id_)
        row["workflow_name"] = called.get(id_) or (None if last is None else last.workflow_name)
        row["last_status"] = None if last is None else last.status
        row["failure_rate"] = round(row["failed"] / row["total"], 4)
        # Reading fifty runs of a flow takes 0.1 ms.
        durations = _durations_of(workspace_id, id_) if place < MEASURED_FLOWS else []
        row["p95_duration_ms"] = _quantile(durations, 0.95)
    return rows


def _durations_of(workspace_id: str, workflow_id: str) -> list[float]:
    """Return the durations of the flow's newest ended runs, sorted."""
    arms = [
        "SELECT id, duration_ms FROM runs WHERE workspace_id = ?1 AND workflow_id = ?2 "
        f"AND status = '{status}' AND triggered_by = '{trigger}'"
        for status in ENDED
        for trigger in TRIGGERS
    ]
    if is_postgres():
        arms = limit_each(arms, str(SAMPLE_OF_FLOW))
    sql = f"{' UNION ALL '.join(arms)} ORDER BY id DESC LIMIT {SAMPLE_OF_FLOW}"
    rows = execute(sql, (workspace_id, workflow_id)).fetchall()
    return sorted(duration for _, duration in rows if duration is not None)


def failing_polls(workspace_id: str | None = None) -> int:
    """Return the number of triggers whose last poll failed, of one workspace or of all."""
    failing = "failures > 0 AND next_at IS NOT NULL AND workspace_id = COALESCE(?, workspace_id)"
    return int(fetch_value(f"SELECT COUNT(*) FROM polls WHERE {failing}", (workspace_id,)))


def overdue_polls(now: int) -> int:
    """Return the number of overdue triggers: no process polls, or all are waiting for slow servers."""
    return int(fetch_value("SELECT COUNT(*) FROM polls WHERE next_at < ?", (now - schedules.GRACE_MS,)))
