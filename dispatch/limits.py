"""Concurrency limits of a process.

`Places` limit long work in request threads, per process and per user, so that no user occupies the threads of others,
even by waiting. A request over the limit of its user is refused at once (429), because a waiting request holds a thread
too. A request over the limit of the process waits up to a second and is then refused (503).

`SlowLane` limits slow runs, each of which may hold a thread for minutes, so that other runs always have threads.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from errors import TooMany, Unavailable

T = TypeVar("T")


class Places:
    """At most `most` places in this process, `of_one` per user. Callers wait up to `patience` seconds for one."""

    def __init__(self, what: str, most: int, of_one: int, patience: float = 1.0) -> None:
        self.what, self.most, self.of_one, self.patience = what, most, of_one, patience
        self._free = threading.BoundedSemaphore(most)
        self._lock = threading.Lock()
        self._in_hand: Counter[str] = Counter()

    @contextmanager
    def taken(self, who: str) -> Iterator[None]:
        """Hold a place for a user. Raises: TooMany if the user has `of_one`, Unavailable if none is free in time."""
        self._enter(who)
        try:
            if not self._free.acquire(timeout=self.patience):
                raise Unavailable(f"The server has too many {self.what} in hand; try again", retry_after=1)
            try:
                yield
            finally:
                self._free.release()
        finally:
            self._leave(who)

    def _enter(self, who: str) -> None:
        with self._lock:
            if self._in_hand[who] >= self.of_one:
                raise TooMany(f"The server has {self.of_one} {self.what} of yours in hand; try again", retry_after=1)
            self._in_hand[who] += 1

    def _leave(self, who: str) -> None:
        with self._lock:
            self._in_hand[who] -= 1
            if not self._in_hand[who]:
                del self._in_hand[who]


class SlowLane(Generic[T]):
    """Lets at most `most` slow runs work at the same time; others wait in a queue."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._at_work: set[T] = set()
        self._waiting: deque[T] = deque()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Return the number of waiting runs."""
        return len(self._waiting)

    @property
    def is_full(self) -> bool:
        """Return True if the next run would have to wait."""
        return len(self._at_work) >= self.most

    def enter(self, run: T) -> bool:
        """Return True if the run may start now; if not, it waits in the queue."""
        with self._lock:
            if self.is_full:
                self._waiting.append(run)
                return False
            self._at_work.add(run)
            return True

    def leave(self, run: T) -> T | None:
        """Remove an ended run. Return the waiting run that may start now, or None."""
        with self._lock:
            self._at_work.discard(run)
            if self.is_full or not self._waiting:
                return None
            following = self._waiting.popleft()
            self._at_work.add(following)
            return following


CHECKS = Places("definitions to check", 4, 2)
# Only for definitions over 100,000 characters, which take seconds; smaller ones are checked in about one second.
# A refused save could lose changes, so saves wait longer.
SAVES = Places("large definitions to save", 4, 2, 10.0)
# A large document takes seconds.
IMPORTS = Places("documents to import", 2, 1)
PREVIEWS = Places("expressions to try out", 4, 2)
