"""Daily counts of runs by flow, updated as runs end, so that metrics never count a million rows (see metrics.py)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from peewee import CompositeKey, FloatField, IntegerField, TextField

from .base import DAY_MS, Base, Write, insert_all

COLUMNS = ("workspace_id", "workflow_id", "day", "total", "success", "failed", "duration_ms")
ADD = (
    " ON CONFLICT (workspace_id, day, workflow_id) DO UPDATE SET total = run_days.total + excluded.total, "
    "success = run_days.success + excluded.success, failed = run_days.failed + excluded.failed, "
    "duration_ms = run_days.duration_ms + excluded.duration_ms"
)


class RunDay(Base):
    """The runs of a flow that ended on one day (days since 1970, UTC)."""

    workspace_id = TextField()
    workflow_id = TextField()
    day = IntegerField()
    total = IntegerField()
    success = IntegerField()
    failed = IntegerField()
    duration_ms = FloatField()

    class Meta:
        primary_key = CompositeKey("workspace_id", "day", "workflow_id")

    @classmethod
    def count(
        cls, run: Any, at_ms: int, status: str, duration_ms: float, where: str = "1 = 1", params: tuple[Any, ...] = ()
    ) -> Write:
        """Return the write that counts a run ending at `at_ms` with `status`, if its row satisfies `where`."""
        sql = (
            f"INSERT INTO run_days ({', '.join(COLUMNS)}) "
            f"SELECT ?, ?, ?, 1, ?, ?, ? WHERE EXISTS (SELECT 1 FROM runs WHERE id = ? AND {where}){ADD}"
        )
        counts = (int(status == "success"), int(status == "failed"), duration_ms)
        return Write(sql, (run.workspace_id, run.workflow_id, at_ms // DAY_MS, *counts, run.id, *params))

    @classmethod
    def count_all(cls, runs: Sequence[Any]) -> list[Write]:
        """Return writes that count ended runs of the same transaction, one for each flow and day."""
        sums: dict[tuple[str, str, int], list[float]] = {}
        for run in runs:
            row = run.__data__
            key = row["workspace_id"], row["workflow_id"], row["finished_at"] // DAY_MS
            counts = sums.setdefault(key, [0, 0, 0, 0.0])
            counts[0] += 1
            counts[1 if row["status"] == "success" else 2] += 1
            counts[3] += row["duration_ms"]
        inserted = insert_all("run_days", COLUMNS, [(*key, *counts) for key, counts in sums.items()])
        return [Write(sql + ADD, params) for sql, params in inserted]
