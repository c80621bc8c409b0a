"""Histograms and counters of this process, in memory until they are added to the database.

Counting takes half a microsecond, so that requests and commits can be counted. `prometheus_client` only formats them.
"""

from __future__ import annotations

import logging
import threading
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Any

from database import write_leases
from database.queries import leases, server_metrics
from database.queries.leases import Load
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


# Publishing: each process adds its counts to the database, where each can read those of all.

log = logging.getLogger("headrace.dispatch")
PUBLISH_SECONDS = 10  # between two writes


class MetricsPublisher:
    """Call `publish` every PUBLISH_SECONDS, and `publish_last` at the end."""

    def __init__(self, dispatcher: Any, counted: Sequence[Histogram | Counter]) -> None:
        self.dispatcher, self.counted = dispatcher, counted

    def publish(self) -> None:
        """Write the counts since the last call, and the load of this process. Raises: errors of the database."""
        dispatcher = self.dispatcher
        lease, config = dispatcher.lease, dispatcher.config
        state = None if dispatcher.broker is None else dispatcher.broker.state()
        of_broker = () if state is None else (state.depth, int(state.is_down), round(state.deaf_for * 1000))
        load = Load(dispatcher.active_count(), config.run_threads, dispatcher.queue.state().depth, *of_broker)
        taken = [(one, one.take()) for one in self.counted]
        try:
            with write_leases():
                server_metrics.add_counts(count for _, counts in taken for count in counts)
                leases.describe(lease.owner, config.role, load)
        except BaseException:
            for one, counts in taken:
                one.give_back(counts)
            raise

    def publish_last(self) -> None:
        """Write the last counts of this process, if the database takes them."""
        try:
            self.publish()
        except Exception as error:
            log.warning("the last metrics of this process could not be written: %s", error)
