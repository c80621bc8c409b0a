"""Daily counts of runs by flow, updated as runs end, so that metrics never count a million rows (see metrics.py)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from peewee import CompositeKey, FloatField, IntegerField, TextField

from .base import Base, Write, insert_all

ADD = (
    " ON CONFLICT (workspace_id, day, workflow_id) DO UPDATE SET total = run_days.total + excluded.total, "
    "success = run_days.success + excluded.success, failed = run_days.failed + excluded.failed, "
    "duration_ms = run_days.duration_ms + excluded.duration_ms"
)


class EndedRun(NamedTuple):
    """A run to be counted, as a row of one: its flow, the day on which it ended, its duration in milliseconds."""

    workspace_id: str
    workflow_id: str
    day: int
    total: int  # 1
    success: int  # 1 or 0
    failed: int  # 0 or 1
    duration_ms: float


COLUMNS = EndedRun._fields


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
    def add_all(cls, ended: Sequence[EndedRun]) -> list[Write]:
        """Return writes that count ended runs, one row for each flow and day, always in the same order of rows.

        Two transactions that count the same flows thus never wait for each other in a circle.
        """
        return insert_all("run_days", COLUMNS, ended if len(ended) == 1 else _sums(ended), ADD)


def _sums(ended: Sequence[EndedRun]) -> list[tuple[Any, ...]]:
    sums: dict[tuple[str, str, int], list[float]] = {}
    for workspace_id, workflow_id, day, total, success, failed, duration_ms in ended:
        counts = sums.setdefault((workspace_id, workflow_id, day), [0, 0, 0, 0.0])
        counts[0] += total
        counts[1] += success
        counts[2] += failed
        counts[3] += duration_ms
    return [(*key, *counts) for key, counts in sorted(sums.items())]
