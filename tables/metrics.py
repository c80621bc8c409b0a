"""Counts of runs by flow and day, kept as runs end, so that metrics never count a million rows."""

from __future__ import annotations

from typing import Any

from peewee import CompositeKey, FloatField, IntegerField, TextField

from database import execute, space
from tables.base import DAY_MS, Base, Write, now_ms
from tables.polls import Poll
from tables.schedules import Schedule

SAMPLE = 1_000


class RunDay(Base):
    """What ended on one day (days since 1970, UTC) of one flow."""

    workspace_id = TextField()
    workflow_id = TextField()
    day = IntegerField()
    total = IntegerField()
    success = IntegerField()
    failed = IntegerField()
    duration_ms = FloatField()

    class Meta:
        table_name = "run_days"
        primary_key = CompositeKey("workspace_id", "day", "workflow_id")

    @classmethod
    def count(
        cls, run: Any, at_ms: int, status: str, duration_ms: float, where: str = "1 = 1", params: tuple[Any, ...] = ()
    ) -> Write:
        """Count a run that ends at `at_ms` as `status`, provided that its row is as `where` says."""
        sql = (
            "INSERT INTO run_days (workspace_id, workflow_id, day, total, success, failed, duration_ms) "
            f"SELECT ?, ?, ?, 1, ?, ?, ? WHERE EXISTS (SELECT 1 FROM runs WHERE id = ? AND {where}) "
            "ON CONFLICT (workspace_id, day, workflow_id) DO UPDATE SET total = run_days.total + 1, "
            "success = run_days.success + excluded.success, failed = run_days.failed + excluded.failed, "
            "duration_ms = run_days.duration_ms + excluded.duration_ms"
        )
        counts = (int(status == "success"), int(status == "failed"), duration_ms)
        return Write(sql, (run.workspace_id, run.workflow_id, at_ms // DAY_MS, *counts, run.id, *params))


def metrics(workspace_id: str, days: int) -> dict[str, Any]:
    """The workspace's figures: totals ever; a daily series and counts by flow of the last `days`; durations.

    `p50_duration_ms` and `p95_duration_ms` are of the newest 1,000 ended runs within those days.
    """
    today = now_ms() // DAY_MS
    first = today - days + 1
    unfinished = _unfinished(workspace_id)
    by_day = _by_day(workspace_id)
    total, success, failed = (sum(counts[at] for counts in by_day.values()) for at in range(3))
    durations = _durations(workspace_id, first * DAY_MS)
    return {
        "total_runs": total + sum(unfinished.values()),
        "success_runs": success,
        "failed_runs": failed,
        "running_runs": unfinished["running"],
        "pending_runs": unfinished["pending"],
        "failure_rate": round(failed / total, 4) if total else 0.0,
        "last_run_at": _last_run_at(workspace_id),
        "overdue_schedules": Schedule.overdue(now_ms(), workspace_id),
        "failing_polls": Poll.failing(workspace_id),
        "database_bytes": space().total,
        "p50_duration_ms": _quantile(durations, 0.50),
        "p95_duration_ms": _quantile(durations, 0.95),
        "daily": [_day(day, by_day.get(day, (0, 0, 0))) for day in range(first, today + 1)],
        "flows": _by_flow(workspace_id, first),
    }


def totals() -> dict[str, int]:
    """Runs of all workspaces by status, ever."""
    success, failed = execute("SELECT SUM(success), SUM(failed) FROM run_days").fetchone()
    sql = "SELECT COUNT(*) FROM runs WHERE status = '{}'"
    pending, running = (execute(sql.format(status)).fetchone()[0] for status in ("pending", "running"))
    return {"pending": pending, "running": running, "success": success or 0, "failed": failed or 0}


def _unfinished(workspace_id: str) -> dict[str, int]:
    sql = "SELECT COUNT(*) FROM runs WHERE status = '{}' AND workspace_id = ?"
    return {status: execute(sql.format(status), (workspace_id,)).fetchone()[0] for status in ("pending", "running")}


def _last_run_at(workspace_id: str) -> int | None:
    sql = "SELECT COALESCE(started_at, created_at) FROM runs WHERE workspace_id = ? ORDER BY id DESC LIMIT 1"
    row = execute(sql, (workspace_id,)).fetchone()
    return None if row is None else row[0]


def _durations(workspace_id: str, since_ms: int) -> list[float]:
    sql = (
        "SELECT duration_ms, finished_at FROM runs WHERE workspace_id = ? AND duration_ms IS NOT NULL "
        f"ORDER BY id DESC LIMIT {SAMPLE}"
    )
    rows = execute(sql, (workspace_id,)).fetchall()
    return sorted(duration for duration, finished in rows if (finished or 0) >= since_ms)


def _quantile(ordered: list[float], share: float) -> float | None:
    """The nearest-rank quantile."""
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3) if ordered else None


def _by_day(workspace_id: str) -> dict[int, tuple[int, int, int]]:
    """Total, success and failed of every day that has any."""
    sql = "SELECT day, SUM(total), SUM(success), SUM(failed) FROM run_days WHERE workspace_id = ? GROUP BY day"
    return {day: (total, success, failed) for day, total, success, failed in execute(sql, (workspace_id,)).fetchall()}


def _day(day: int, counts: tuple[int, int, int]) -> dict[str, int]:
    return dict(zip(("day", "total", "success", "failed"), (day, *counts), strict=True))


def _by_flow(workspace_id: str, first: int) -> list[dict[str, Any]]:
    sql = (
        "SELECT workflow_id, SUM(total), SUM(success), SUM(failed), SUM(duration_ms) / SUM(total) FROM run_days "
        "WHERE workspace_id = ? AND day >= ? GROUP BY workflow_id ORDER BY 2 DESC LIMIT 100"
    )
    names = ("workflow_id", "total", "success", "failed", "mean_duration_ms")
    return [dict(zip(names, row, strict=True)) for row in execute(sql, (workspace_id, first)).fetchall()]
