"""Change counters of the database, shared by all processes, and caches that they invalidate.

The counters are in a small file that each process maps into its memory, so reading one costs no system call. A counter
is odd during a write and even otherwise, as in a sequence lock ("seqlock", as in the Linux kernel). So a process killed
between its commit and the last step leaves an odd number, and nothing is cached until the next writer makes it even.
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
ALL, SETTINGS = 0, 1  # index of the counter of all commits, and of commits that change more than runs
CHECKPOINTED = 2  # index of the value of ALL at the start of the last checkpoint
MAX_CACHED = 1_000

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Changes:
    """The counters in one file, opened at the first use. Writers must hold the write lock of the database."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._counters: memoryview | None = None

    def count(self, which: int) -> int:
        """Return the counter at this index. If it is odd, or 0 without a file, query results must not be cached."""
        try:
            counters = self._counters or self._mapped()
        except OSError:
            return 0
        return int(counters[which])

    def begin(self, *which: int) -> None:
        """Make these counters odd: a write is in progress. Raises: OSError if the file cannot be opened."""
        counters = self._counters or self._mapped()
        for place in which:
            # A new file starts at the present time, so the numbers of a deleted file do not repeat. An odd number means
            # that a process died during a write.
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
        with suppress(OSError):  # Then the next checkpoint is early.
            counters = self._counters or self._mapped()
            counters[CHECKPOINTED] = counters[ALL]

    def _mapped(self) -> memoryview:
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            # This adds zeros and keeps existing bytes. Without it, a write to a missing block on a full disk would kill
            # the process.
            os.posix_fallocate(file, 0, SIZE)
            self._counters = memoryview(mmap.mmap(file, SIZE)).cast("Q")
        finally:
            os.close(file)
        return self._counters


class QueryCache(Generic[Key, Value]):
    """Cache of query results, valid until any process writes anything except a run. Thread-safe.

    It has at most MAX_CACHED entries, then it is cleared. None is not cached, since anyone can query unknown keys.
    """

    def __init__(self, count: Callable[[], int]) -> None:
        """Use `count()`, the counter that grows with every write of the cached data."""
        self._count = count
        self._lock = threading.Lock()
        self._found: dict[Key, tuple[int, Value]] = {}

    def get(self, key: Key, query: Callable[[], Value | None]) -> Value | None:
        """Return the cached result of the query, or run the query and cache its result unless that is None."""
        count = self._count()
        found = self._found.get(key)
        if found is not None and found[0] == count:
            return found[1]
        # The counter was read first, so a write during the query invalidates the result.
        value = query()
        self.store(key, count, value)
        return value

    def find(self, key: Key, count: int) -> Value | None:
        """Return the result cached at this value of the counter, or None."""
        found = self._found.get(key)
        return found[1] if found is not None and found[0] == count else None

    def store(self, key: Key, count: int, value: Value | None) -> None:
        """Cache a result read after the counter had this value, unless the value shows a write in progress."""
        if value is not None and count and not count & 1:
            with self._lock:
                if len(self._found) >= MAX_CACHED:
                    self._found.clear()
                self._found[key] = count, value

    def drop(self, key: Key) -> None:
        """Remove the key from the cache, so that the next `get` runs the query."""
        with self._lock:
            self._found.pop(key, None)
