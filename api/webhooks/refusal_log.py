"""Callers of webhooks who did not prove who they are: after some, an address waits, and the flow's log tells of it.

It is kept in memory, so that a call that proves it costs a look at the clock. Each process counts for itself.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

MAX_REFUSALS = 10  # of one address at one webhook within a window; then it waits for the end of that
WINDOW = 60.0  # seconds
MAX_KEPT = 10_000  # pairs of webhook and address; past it, the oldest are forgotten
MAX_LINES = 20  # in the logs of one webhook within a window

Pair = tuple[str, str]


@dataclass(slots=True)
class _Count:
    since: float
    count: int = 0


class Refusals:
    """The refusals of a process. Thread-safe. `clock` is in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: OrderedDict[Pair, _Count] = OrderedDict()
        self._until = -math.inf  # when the windows of all refusals are over

    def __bool__(self) -> bool:
        """Return True if somebody was refused so lately that it may count."""
        return self._clock() < self._until

    def wait(self, hook: str, address: str) -> float:
        """For how many seconds the address may not call the webhook; 0 if it may."""
        found = self._counts.get((hook, address))
        if found is None or found.count < MAX_REFUSALS:
            return 0
        return max(0.0, found.since + WINDOW - self._clock())

    def note(self, hook: str, address: str, is_shared: bool = False) -> bool:
        """Count a refusal; return True if the log is to tell of it: the first of a window, unless there are many.

        An address that `is_shared` never has to wait.
        """
        with self._lock:
            if self._add((hook, f"shared {address}" if is_shared else address)) > 1:
                return False
            return self._add((hook, "")) <= MAX_LINES

    def _add(self, pair: Pair) -> int:
        """Count one for the pair; how many there are in its window."""
        now = self._clock()
        found = self._counts.get(pair)
        if found is None or now >= found.since + WINDOW:
            self._counts.pop(pair, None)
            found = self._counts[pair] = _Count(now)
            while len(self._counts) > MAX_KEPT:
                self._counts.popitem(last=False)
        found.count += 1
        self._until = now + WINDOW
        return found.count
