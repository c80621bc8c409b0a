"""Counts of runs by flow and day, kept as runs end, so that metrics never count a million rows (see figures.py)."""

from __future__ import annotations

from typing import Any

from peewee import CompositeKey, FloatField, IntegerField, TextField

from tables.base import DAY_MS, Base, Write


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
