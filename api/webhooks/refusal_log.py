"""Refusal log: callers of webhooks and signed links that failed to authenticate. After MAX_REFUSALS, an address must
wait.

Kept in memory, so a successful call costs one look at the clock. Each process counts separately.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

MAX_REFUSALS = 10  # of one address at one webhook within a window; then it waits until the window ends
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
        self._until = -math.inf  # when the last window ends

    def __bool__(self) -> bool:
        """Return True if a refusal is recent enough to count."""
        return self._clock() < self._until

    def get_wait(self, hook: str, address: str) -> float:
        """Return the seconds for which the address may not call the webhook; 0 if it may call now."""
        found = self._counts.get((hook, address))
        if found is None or found.count < MAX_REFUSALS:
            return 0
        return max(0.0, found.since + WINDOW - self._clock())

    def note(self, hook: str, address: str, is_shared: bool = False) -> bool:
        """Count a refusal. Return True if it should be logged: the first of a window, up to MAX_LINES.

        An `is_shared` address never has to wait.
        """
        if self.count(hook, f"shared {address}" if is_shared else address) > 1:
            return False
        return self.count(hook, "") <= MAX_LINES

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
            self._until = now + WINDOW
            return found.count
