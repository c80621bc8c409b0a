"""Limits of a process: on work at the same time, and on the time of a quick run.

`RequestLimit` limits long work in request threads, per process and per user, so that no user occupies the threads of
others, even by waiting. A request over the limit of its user is refused at once (429), because a waiting request holds
a thread too. A request over the limit of the process waits up to a second and is then refused (503).

`SlowLane` limits slow runs, each of which may hold a thread for minutes, so that other runs always have threads.

`TimeLimit` limits the time of a quick run, which holds the loop and with it all requests.

The concurrency limit of a flow is applied by the database: see `claim` in `database/queries/claims.py`.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from errors import TooMany, Unavailable

T = TypeVar("T")


def limit_reached(limit: int) -> str:
    """Return the reason why a flow with the overlap policy "skip" starts no run, as a predicate of the flow."""
    return f'has reached its maximum of concurrent runs ({limit}), and its overlap policy is "skip"'


class RequestLimit:
    """At most `total` requests `purpose` in this process, `per_user` of a user; they wait up to `timeout` seconds."""

    def __init__(self, purpose: str, total: int, per_user: int, timeout: float = 1.0) -> None:
        self.purpose, self.per_user, self.timeout = purpose, per_user, timeout
        self._free = threading.BoundedSemaphore(total)
        self._lock = threading.Lock()
        self._in_use: Counter[str] = Counter()

    @contextmanager
    def taken(self, user: str) -> Iterator[None]:
        """Hold a place for a user. Raises: TooMany if the user has `per_user`, Unavailable if none is free in time."""
        with self._lock:
            if self._in_use[user] >= self.per_user:
                count = f"{self.per_user} of your requests {self.purpose}"
                raise TooMany(f"The server is still working on {count}; try again when one has ended", retry_after=1)
            self._in_use[user] += 1
        try:
            if not self._free.acquire(timeout=self.timeout):
                raise Unavailable(f"The server has too many requests {self.purpose}; try again", retry_after=1)
            try:
                yield
            finally:
                self._free.release()
        finally:
            with self._lock:
                self._in_use -= Counter([user])  # a count of 0 is removed


class SlowLane(Generic[T]):
    """Lets at most `max_active` slow runs work at the same time; others wait in a queue."""

    def __init__(self, max_active: int) -> None:
        self.max_active = max_active
        self._active: set[T] = set()
        self._waiting: deque[T] = deque()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Return the number of waiting runs."""
        return len(self._waiting)

    @property
    def is_full(self) -> bool:
        """Return True if the next run would have to wait."""
        return len(self._active) >= self.max_active

    def enter(self, run: T) -> bool:
        """Return True if the run may start now; if not, it waits in the queue."""
        with self._lock:
            if self.is_full:
                self._waiting.append(run)
                return False
            self._active.add(run)
            return True

    def leave(self, run: T) -> T | None:
        """Remove an ended run. Return the waiting run that may start now, or None."""
        with self._lock:
            self._active.discard(run)
            if self.is_full or not self._waiting:
                return None
            following = self._waiting.popleft()
            self._active.add(following)
            return following


class TimeLimit:
    """Ends work in one thread after `seconds` by the clock, and then as much again of processor time: the machine may
    be busy. Reading the processor time costs more than a node, so the clock is read first.
    """

    def __init__(self, seconds: float, began: float, is_suspect: bool, refuse: Callable[[], object]) -> None:
        """Begin at `began` (`time.perf_counter`); `refuse`, which raises, ends the work.

        `is_suspect`: earlier work of this kind may have been slow, so also measure processor time from now on.
        """
        self.seconds, self.ends, self.refuse = seconds, began + seconds, refuse
        self.used = time.thread_time() if is_suspect else None

    def check(self) -> None:
        """Call `refuse` if the work takes too long."""
        if time.perf_counter() < self.ends:
            return
        used = time.thread_time()
        if self.used is None:
            self.used = used
        elif used - self.used > self.seconds:
            self.refuse()

    def is_over(self) -> bool:
        """Return True if the ended work took too long; by the clock alone if its processor time was not measured."""
        if time.perf_counter() < self.ends:
            return False
        return self.used is None or time.thread_time() - self.used > self.seconds


CHECKS = RequestLimit("to check definitions", 4, 2)
# Only for definitions over 100,000 characters, which take seconds; smaller ones are checked in about one second.
# A refused save could lose changes, so saves wait longer.
SAVES = RequestLimit("to save large definitions", 4, 2, 10.0)
PREVIEWS = RequestLimit("to preview expressions", 4, 2)
# Each reads for up to two seconds, in Python.
SEARCHES = RequestLimit("to search in run data", 2, 1, 5.0)
