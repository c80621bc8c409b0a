"""Counters of what is written to the database, seen by all processes at once, and memories that end when one grows.

The counters lie in a small file that each process maps into its memory, so that a look at one costs no system call. A
counter is odd while somebody writes, and even otherwise, as in a sequence lock ("seqlock", as in the Linux kernel): so
a process that is killed between its commit and its last step leaves an odd number, under which nothing is remembered,
until the next one that writes puts that right.
"""

from __future__ import annotations

import mmap
import os
import threading
import time
from collections.abc import Callable, Hashable
from contextlib import suppress
from typing import Generic, TypeVar

SIZE = 24  # bytes of the file: three numbers of 64 bits
ALL, SETTINGS = 0, 1  # places of the counters of all commits, and of commits that change more than runs
CHECKPOINTED = 2  # place of what ALL was when the last checkpoint began
MOST_REMEMBERED = 1_000

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Changes:
    """The counters in one file, which is opened at the first use. Writers hold the lock of the database."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._counters: memoryview | None = None

    def count(self, which: int) -> int:
        """The counter at this place. It is odd, or 0 without a file, while nothing that is read may be remembered."""
        try:
            counters = self._counters or self._mapped()
        except OSError:
            return 0
        return int(counters[which])

    def begin(self, *which: int) -> None:
        """Make these counters odd: somebody writes. Raises OSError if the file cannot be opened."""
        counters = self._counters or self._mapped()
        for place in which:
            # A new file starts at the time, so that the numbers of one that was deleted do not come again. If it is
            # odd, a process died while it wrote.
            counters[place] = (counters[place] or time.time_ns()) + 1 | 1

    def end(self, *which: int) -> None:
        """Make these counters even again: all is on the disk, or nothing."""
        counters = self._counters or self._mapped()
        for place in which:
            counters[place] += 1

    def commits_since_checkpoint(self) -> int:
        """Return the number of commits since the last checkpoint of any process."""
        return (self.count(ALL) - self.count(CHECKPOINTED)) // 2

    def note_checkpoint(self) -> None:
        """Count commits from now on for the next checkpoint."""
        with suppress(OSError):  # Then the next one comes early.
            counters = self._counters or self._mapped()
            counters[CHECKPOINTED] = counters[ALL]

    def _mapped(self) -> memoryview:
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # New bytes are zeros, and others stay. If a block were missing and the disk full, writing there would end
            # the process.
            os.posix_fallocate(file, 0, SIZE)
            self._counters = memoryview(mmap.mmap(file, SIZE)).cast("Q")
        finally:
            os.close(file)
        return self._counters


class Memory(Generic[Key, Value]):
    """Answers of queries, remembered until anything but a run is written, by whichever process. Thread-safe.

    It holds MOST_REMEMBERED; then it begins anew. None is not remembered, so that questions about nothing fill nothing.
    """

    def __init__(self, count: Callable[[], int]) -> None:
        """`count` gives the counter that grows with what is remembered."""
        self._count = count
        self._lock = threading.Lock()
        self._found: dict[Key, tuple[int, Value]] = {}

    def get(self, key: Key, query: Callable[[], Value | None]) -> Value | None:
        """The answer of the query, which is asked only if it is not remembered. None is not remembered: anybody can ask
        for what is not there.
        """
        count = self._count()
        found = self.recall(key, count)
        if found is not None:
            return found
        # The counter was read first: what changes while the query runs makes it another one.
        value = query()
        self.remember(key, count, value)
        return value

    def recall(self, key: Key, count: int) -> Value | None:
        """The answer that was found at this value of the counter, or None."""
        found = self._found.get(key)
        return found[1] if found is not None and found[0] == count else None

    def remember(self, key: Key, count: int, value: Value | None) -> None:
        """Remember what was found after the counter had this value, unless somebody wrote then."""
        if value is not None and count and not count & 1:
            with self._lock:
                if len(self._found) >= MOST_REMEMBERED:
                    self._found.clear()
                self._found[key] = count, value

    def forget(self, key: Key) -> None:
        """Ask the query again at the next `get` of this key."""
        with self._lock:
            self._found.pop(key, None)
