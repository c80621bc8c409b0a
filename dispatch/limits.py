"""Limits on what a process does at once.

`Places` are for work that takes long in the threads that answer requests: a process has some, and one person gets a
few. So nobody occupies the threads of others, be it by waiting for a place. Beyond the limit of one person the request
is refused at once (429), because a waiting request holds a thread too. Others wait a second (503).

`SlowLane` is for runs that may each hold a thread for minutes: some threads are left to other runs.
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
    """`most` at once in this process, `of_one` of them one person's; for one that is free, they wait for `patience`
    seconds.
    """

    def __init__(self, what: str, most: int, of_one: int, patience: float = 1.0) -> None:
        self.what, self.most, self.of_one, self.patience = what, most, of_one, patience
        self._free = threading.BoundedSemaphore(most)
        self._lock = threading.Lock()
        self._in_hand: Counter[str] = Counter()

    @contextmanager
    def taken(self, who: str) -> Iterator[None]:
        """One place for them. TooMany where they have or wait for enough, Unavailable where others have all."""
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
    """Lets `most` of the slow runs be at work at the same time; the others wait here, in their order."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._at_work: set[T] = set()
        self._waiting: deque[T] = deque()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """How many wait here."""
        return len(self._waiting)

    @property
    def is_full(self) -> bool:
        """Whether the next one would have to wait."""
        return len(self._at_work) >= self.most

    def enter(self, run: T) -> bool:
        """Whether a run may be executed now; if not, it waits here."""
        with self._lock:
            if self.is_full:
                self._waiting.append(run)
                return False
            self._at_work.add(run)
            return True

    def leave(self, run: T) -> T | None:
        """The run that may be executed now that this one is not any more, if that lets one."""
        with self._lock:
            self._at_work.discard(run)
            if self.is_full or not self._waiting:
                return None
            following = self._waiting.popleft()
            self._at_work.add(following)
            return following


CHECKS = Places("definitions to check", 4, 2)
# Only definitions over 100,000 characters take one of these: seconds of work; smaller ones are checked in about one.
# Whoever saves has changed something, and may wait.
SAVES = Places("large definitions to save", 4, 2, 10.0)
# Seconds of work each, for a large document.
IMPORTS = Places("documents to import", 2, 1)
PREVIEWS = Places("expressions to try out", 4, 2)
