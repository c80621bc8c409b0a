"""Places of parser processes: a workspace leaves one of them to the others, and waiting workspaces take turns."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager


class NoPlace(Exception):
    """No place became free in time."""


class ParserSlots:
    """At most `count` places at once, of which one workspace never holds the last, so that the others find one free."""

    def __init__(self, count: int) -> None:
        self._free, self._share = count, count - 1
        self._lock = threading.Lock()
        self._held: Counter[str | None] = Counter()
        # Those who wait, by workspace. The workspace that got a place last is at the end.
        self._waiting: dict[str | None, deque[threading.Event]] = {}

    @contextmanager
    def take(self, workspace_id: str | None, seconds: float) -> Iterator[None]:
        """Hold a place of this workspace. Raises: NoPlace if there is none within `seconds`."""
        turn = threading.Event()
        with self._lock:
            self._waiting.setdefault(workspace_id, deque()).append(turn)
            self._grant()
        try:
            if not turn.wait(seconds) and self._leave(workspace_id, turn):
                raise NoPlace
            yield
        finally:
            with self._lock:
                if turn.is_set():
                    self._free += 1
                    self._held[workspace_id] -= 1
                    self._grant()

    def _leave(self, workspace_id: str | None, turn: threading.Event) -> bool:
        """Stop waiting. Return False if the place was granted meanwhile."""
        with self._lock:
            if turn.is_set():
                return False
            queue = self._waiting[workspace_id]
            queue.remove(turn)
            if not queue:
                del self._waiting[workspace_id]
            return True

    def _grant(self) -> None:
        """Grant free places to waiting workspaces. Call with the lock."""
        for workspace_id in [*self._waiting] if self._free else ():
            if self._free and self._held[workspace_id] < self._share:
                queue = self._waiting.pop(workspace_id)
                queue.popleft().set()
                self._free -= 1
                self._held[workspace_id] += 1
                if queue:
                    self._waiting[workspace_id] = queue
        self._held = +self._held  # without workspaces that hold none
