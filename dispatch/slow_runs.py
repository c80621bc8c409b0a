"""Runs that may each hold a thread for minutes, and the threads that are kept for others."""

from __future__ import annotations

import threading
from collections import deque

from .active_run import Active


class SlowLane:
    """Lets `most` of the slow runs be at work at the same time; the others wait here, in their order."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._at_work: set[Active] = set()
        self._waiting: deque[Active] = deque()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """How many wait here."""
        return len(self._waiting)

    @property
    def is_full(self) -> bool:
        """Whether the next one would have to wait."""
        return len(self._at_work) >= self.most

    def enter(self, active: Active) -> bool:
        """Whether a run may be executed now; if not, it waits here."""
        with self._lock:
            if self.is_full:
                self._waiting.append(active)
                return False
            self._at_work.add(active)
            return True

    def leave(self, active: Active) -> Active | None:
        """The run that may be executed now that this one is not any more, if that lets one."""
        with self._lock:
            self._at_work.discard(active)
            if self.is_full or not self._waiting:
                return None
            following = self._waiting.popleft()
            self._at_work.add(following)
            return following
