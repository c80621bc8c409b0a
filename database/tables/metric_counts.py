"""Counts of all processes for the metrics of the server. Each process adds the increments since its last write.

So every process reports the same counts, and they do not decrease when a process ends.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import orjson
from peewee import CompositeKey, FloatField, TextField

from database import execute, execute_all

from .base import Base, insert_all

ADD = " ON CONFLICT (metric, labels, part) DO UPDATE SET value = metric_counts.value + excluded.value"


class Count(NamedTuple):
    """An addition to a count. `part` is the upper bound of a bucket, or `sum`."""

    metric: str
    labels: tuple[str, ...]
    part: str
    value: float


class MetricCount(Base):
    """One count of a metric with certain values of its labels, which are a JSON list."""

    metric = TextField()
    labels = TextField()
    part = TextField()
    value = FloatField()

    class Meta:
        primary_key = CompositeKey("metric", "labels", "part")

    @classmethod
    def add_all(cls, counts: Iterable[Count]) -> None:
        """Add to the counts. Call inside a transaction."""
        rows = [(metric, orjson.dumps(labels).decode(), part, value) for metric, labels, part, value in counts]
        # Always in the same order of rows, which prevents deadlocks.
        execute_all(insert_all("metric_counts", Count._fields, sorted(rows), ADD))

    @classmethod
    def list_all(cls) -> list[Count]:
        """Return the counts of all metrics."""
        rows = execute("SELECT metric, labels, part, value FROM metric_counts ORDER BY metric, labels").fetchall()
        return [Count(metric, tuple(orjson.loads(labels)), part, value) for metric, labels, part, value in rows]
