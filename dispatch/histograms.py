"""Histograms and counters of this process, in memory until they are added to the database (metrics_publisher.py).

Counting takes half a microsecond, so that requests and commits can be counted. `prometheus_client` only formats them.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterable, Sequence

from database.queries.server_metrics import Count

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
REQUEST_SECONDS = (0.005, 0.025, 0.1, 0.5, 2.5)  # few, since each route has them
SIZES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0)
INFINITY, SUM = "+Inf", "sum"
COUNT = "count"  # the part of a counter


def format_bound(bound: float) -> str:
    """Return the upper bound of a bucket as text, such as `0.25`."""
    return f"{bound:g}"


class Histogram:
    """Counts values by buckets, and by labels if it has any. Thread-safe."""

    def __init__(self, name: str, bounds: Sequence[float]) -> None:
        self.name, self.bounds = name, bounds
        self.parts = [*map(format_bound, bounds), INFINITY, SUM]
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, ...], list[float]] = {}

    def observe(self, value: float, *labels: str) -> None:
        """Count a value."""
        place = bisect_left(self.bounds, value)
        with self._lock:
            counts = self._counts.get(labels)
            if counts is None:
                counts = self._counts[labels] = [0.0] * len(self.parts)
            counts[place] += 1
            counts[-1] += value

    def take(self) -> list[Count]:
        """Return the counts since the last call, and begin anew."""
        with self._lock:
            taken, self._counts = self._counts, {}
        return [
            Count(self.name, labels, part, value)
            for labels, counts in taken.items()
            for part, value in zip(self.parts, counts, strict=True)
            if value
        ]

    def give_back(self, taken: Iterable[Count]) -> None:
        """Add counts that were taken and could not be written."""
        with self._lock:
            for _, labels, part, value in taken:
                counts = self._counts.setdefault(labels, [0.0] * len(self.parts))
                counts[self.parts.index(part)] += value


class Counter:
    """Counts events by one label. Thread-safe."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}

    def add(self, label: str, number: int = 1) -> None:
        """Count events."""
        with self._lock:
            self._counts[label] = self._counts.get(label, 0) + number

    def take(self) -> list[Count]:
        """Return the counts since the last call, and begin anew."""
        with self._lock:
            taken, self._counts = self._counts, {}
        return [Count(self.name, (label,), COUNT, number) for label, number in taken.items()]

    def give_back(self, taken: Iterable[Count]) -> None:
        """Add counts that were taken and could not be written."""
        for _, labels, _, number in taken:
            self.add(labels[0], int(number))
