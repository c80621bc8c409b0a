"""Daily counts of runs by flow, updated as runs end, so that metrics never count a million rows (see metrics.py)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from peewee import CompositeKey, FloatField, IntegerField, TextField

from .base import Base, Write, insert_all

COLUMNS = ("workspace_id", "workflow_id", "day", "total", "success", "failed", "duration_ms")
ADD = (
    " ON CONFLICT (workspace_id, day, workflow_id) DO UPDATE SET total = run_days.total + excluded.total, "
    "success = run_days.success + excluded.success, failed = run_days.failed + excluded.failed, "
    "duration_ms = run_days.duration_ms + excluded.duration_ms"
)


class EndedRun(NamedTuple):
    """A run to be counted: its flow, the day on which it ended, its success and its duration in milliseconds."""

    workspace_id: str
    workflow_id: str
    day: int
    success: bool
    duration_ms: float


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
    def add_all(cls, ended: Iterable[EndedRun]) -> list[Write]:
        """Return writes that count ended runs, one row for each flow and day, always in the same order of rows.

        Two transactions that count the same flows thus never wait for each other in a circle.
        """
        sums: dict[tuple[str, str, int], list[float]] = {}
        for workspace_id, workflow_id, day, success, duration_ms in ended:
            counts = sums.setdefault((workspace_id, workflow_id, day), [0, 0, 0, 0.0])
            counts[0] += 1
            counts[1 if success else 2] += 1
            counts[3] += duration_ms
        inserted = insert_all("run_days", COLUMNS, [(*key, *counts) for key, counts in sorted(sums.items())])
        return [Write(sql + ADD, params) for sql, params in inserted]
