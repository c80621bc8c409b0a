"""Refusal log: callers of webhooks and signed links that were refused, so that each is logged once a minute only.

Kept in memory: each process counts separately. The limits on guesses are in `guesses.py`.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

WINDOW = 60.0  # seconds
MAX_KEPT = 10_000  # pairs of webhook and address; beyond it, the oldest are dropped
MAX_LINES = 20  # in the logs of one webhook within a window


@dataclass(slots=True)
class _Count:
    since: float
    count: int = 0


class RefusalLog:
    """Refusals of one process. Thread-safe. `clock` returns seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: OrderedDict[tuple[str, str], _Count] = OrderedDict()

    def note(self, hook: str, address: str) -> bool:
        """Count a refusal. Return True if it should be logged: the first of a window, up to MAX_LINES."""
        return self.count(hook, address) == 1 and self.count(hook, "") <= MAX_LINES

    def count(self, hook: str, address: str) -> int:
        """Count a refusal of the address. Return its number in the current window."""
        pair = hook, address
        with self._lock:
            now = self._clock()
            found = self._counts.get(pair)
            if found is None or now >= found.since + WINDOW:
                self._counts.pop(pair, None)
                found = self._counts[pair] = _Count(now)
                while len(self._counts) > MAX_KEPT:
                    self._counts.popitem(last=False)
            found.count += 1
            return found.count
