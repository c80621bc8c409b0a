"""What both engines share: the write lock and the waits for it, the clocks of a server, and the counts of changes."""

from __future__ import annotations

import fcntl
import logging
import mmap
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from peewee import OperationalError

from errors import DatabaseLost

# The write lock, which all processes of a server share, and the time that a thread may wait for it.

# isort: split

STALL_SECONDS = 2.0  # longer waits for other processes are not normal
LOOK_SECONDS = 0.25


class LockTimeout(OperationalError):
    """Other threads or processes held the lock for longer than this thread may wait. Nothing was written."""

    def __init__(self) -> None:
        super().__init__("The database was locked by another process for too long. Nothing was written; try again")


class Deadlock(LockTimeout):
    """The database ended this transaction because of a deadlock."""


class ConnectionLost(OperationalError, DatabaseLost):
    """The connection to the database was lost, or not available in time. The transaction was not committed."""


class OutcomeUnknown(OperationalError, DatabaseLost):
    """The connection was lost during a commit, and the database does not answer whether it has succeeded."""

    def __init__(self) -> None:
        super().__init__("The database was lost during a commit, so the change may or may not be stored")


def is_write_blocked() -> bool:
    """Return True if other processes have kept this one from writing for longer than they should."""
    return lock.blocked_for() > STALL_SECONDS


class LockWait:
    """The time that threads of requests wait for the write lock. All other threads wait without a limit.

    Only some of them wait for long, so that the others can answer requests without writes: see `wait`.
    """

    def __init__(self) -> None:
        self._own = threading.local()
        self._turns = threading.BoundedSemaphore(1)

    def limit_threads(self, most: int) -> None:
        """Allow `most` threads to wait for long."""
        self._turns = threading.BoundedSemaphore(most)

    def limit(self, seconds: float | None) -> None:
        """Limit the waits of this thread to `seconds` from now on; None removes the limit."""
        self._own.seconds = seconds

    @property
    def seconds(self) -> float | None:
        """Return the limit of this thread, or None."""
        return getattr(self._own, "seconds", None)

    def wait(
        self, attempt: Callable[[float | None], bool], is_stuck: Callable[[], bool] = lambda: is_write_blocked()
    ) -> bool:
        """Return True if `attempt(seconds)` is true within the time that this thread may wait; None means any time.

        If enough threads wait for long already, wait only until `is_stuck()`: by default, until other processes have
        blocked this one for STALL_SECONDS.
        """
        most, turns = self.seconds, self._turns
        if most is None:
            return attempt(None)
        if turns.acquire(blocking=False):
            try:
                return attempt(most)
            finally:
                turns.release()
        ends = time.monotonic() + most
        while (left := ends - time.monotonic()) > 0 and not is_stuck():
            if attempt(min(left, LOOK_SECONDS)):
                return True
        return attempt(0.0)


lock_wait = LockWait()


class TransactionLimit:
    """A limit on concurrent transactions of this process, so that they leave connections to PostgreSQL for other uses.

    Threads wait for a place without a connection, and get places in the order of their calls. With a semaphore, a
    thread that writes again and again would get the place that it has just returned.
    """

    def __init__(self, number: int) -> None:
        self._lock = threading.Lock()
        self._free = number
        self._queue: deque[threading.Event] = deque()
        self._moved_at = time.monotonic()

    def is_stuck(self) -> bool:
        """Return True if no place was returned for STALL_SECONDS, because all transactions wait for a lock."""
        return time.monotonic() - self._moved_at > STALL_SECONDS

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Hold a place during the block. Raises: LockTimeout if none becomes free in the time of this thread."""
        if not self._take(0.0) and not lock_wait.wait(self._take, self.is_stuck):
            raise LockTimeout
        try:
            yield
        finally:
            with self._lock:
                self._moved_at = time.monotonic()
                if self._queue:
                    self._queue.popleft().set()
                else:
                    self._free += 1

    def _take(self, seconds: float | None) -> bool:
        with self._lock:
            if self._free and not self._queue:
                self._free -= 1
                self._moved_at = time.monotonic()
                return True
            if seconds == 0:
                return False
            called = threading.Event()
            self._queue.append(called)
        if called.wait(seconds):
            return True
        with self._lock:
            if not called.is_set():
                self._queue.remove(called)
            return called.is_set()


class _Waiter:
    """A helper thread that waits for the file lock, so that the thread that needs the lock can stop waiting."""

    def __init__(self, lock: WriteLock, fd: int) -> None:
        self.acquired = threading.Event()
        self._lock = lock
        self._fd = os.dup(fd)  # the same lock, even if the other descriptor is closed
        threading.Thread(target=self._wait, name="write-lock", daemon=True).start()

    def _wait(self) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX)
        finally:
            self.acquired.set()
            self._lock.release_unwanted(self, self._fd)
            os.close(self._fd)


class ThreadLock:
    """A reentrant lock between the threads of this process."""

    def __init__(self) -> None:
        self._mutex = threading.RLock()
        self._depth = 0
        self._since: float | None = None  # when this process began to wait for others, or None

    def close(self) -> None:
        """Close the file of the lock, if it has one, until its next use."""

    def blocked_for(self) -> float:
        """Return the seconds for which this process has been waiting for others; 0 if it does not wait."""
        since = self._since
        return 0.0 if since is None else time.monotonic() - since

    def __enter__(self) -> None:
        if not self._mutex.acquire(blocking=False) and not lock_wait.wait(
            lambda seconds: self._mutex.acquire(timeout=-1 if seconds is None else seconds)
        ):
            raise LockTimeout
        self._depth += 1
        if self._depth > 1:
            return
        try:
            self._lock_processes()
        except BaseException:
            self._depth -= 1
            self._mutex.release()
            raise

    def __exit__(self, *error: object) -> None:
        self._depth -= 1
        try:
            if not self._depth:
                self._unlock_processes()
        finally:
            self._mutex.release()

    def _lock_processes(self) -> None:
        """Lock the other processes out, if this lock is between processes. Raises: LockTimeout."""

    def _unlock_processes(self) -> None:
        """Let other processes have the lock."""


class WriteLock(ThreadLock):
    """A lock between threads (mutex) and between processes of one machine (flock).

    Each process opens the file at its first use: a forked descriptor would share its lock.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path
        self._fd = -1
        self._queued: _Waiter | None = None  # still waits, after its thread gave up

    def close(self) -> None:
        """Close the file until the next use, unless a thread holds the lock or waits for it."""
        if self._mutex.acquire(blocking=False):
            if self._fd >= 0 and not self._depth and self._queued is None:
                os.close(self._fd)
                self._fd = -1
            self._mutex.release()

    def release_unwanted(self, queued: _Waiter, fd: int) -> None:
        """Release the lock for other processes if no thread here wants it any more."""
        with self._mutex:
            if self._queued is queued:
                self._queued = self._since = None
                fcntl.flock(fd, fcntl.LOCK_UN)

    def _lock_processes(self) -> None:
        if self._fd < 0:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if self._queued is None:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                self._since = time.monotonic()
        if not lock_wait.wait(self._wait_for_processes):
            raise LockTimeout
        self._queued = self._since = None

    def _wait_for_processes(self, seconds: float | None) -> bool:
        """Wait for the other processes. Return True if this process has the lock."""
        if self._queued is None and seconds is None:
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            return True
        if self._queued is None:
            self._queued = _Waiter(self, self._fd)
        return self._queued.acquired.wait(seconds)

    def _unlock_processes(self) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_UN)


# The lock of the database that `connect` named last. A thread that still writes to an earlier one keeps that lock.
lock: ThreadLock = WriteLock(os.devnull)


def use(new: ThreadLock) -> None:
    """Close the present lock, and use this one from now on."""
    global lock
    lock.close()
    lock = new


# Values that both engines return: the size of the database, and the function that executes statements.

Execute: TypeAlias = Callable[[str, tuple[Any, ...]], int]  # one statement; the number of rows that it changed


class Space(NamedTuple):
    """The size of the database on the disk in bytes: in all, and the part that is free for new rows."""

    total: int
    free: int

    @property
    def used(self) -> int:
        return self.total - self.free


# The clocks of a server: the time of day, and the clock that judges leases.
#
# With SQLite, both are the machine's. With PostgreSQL, both are the database's: clocks of several machines differ.

log = logging.getLogger("headrace.database")

NS = 1_000_000  # in a millisecond
MAX_ROUND_TRIP_NS = 1_000 * NS  # a measurement that took longer is too inexact to replace an earlier one
TOLD_MS = 2_000  # difference between two clocks from which it is logged

# By how much the database's time of day is ahead of this machine's monotonic clock; None: the machine's is used.
_ahead_ns: int | None = None
_has_told = False


class LeaseClock(NamedTuple):
    """A clock that judges leases, in milliseconds.

    `sql` is the time as SQL, with one parameter: `now()` for the present, more for later. `identity()` names the clock;
    times of other clocks cannot be compared with it.
    """

    identity: Callable[[], str]
    sql: str
    now: Callable[[], int]


def now_ns() -> int:
    """Return nanoseconds since 1970, UTC."""
    return time.time_ns() if _ahead_ns is None else time.monotonic_ns() + _ahead_ns


def get_clock() -> Callable[[], int]:
    """Return `now_ns`, or where the machine's time is used, the function behind it: a run asks for it often."""
    return time.time_ns if _ahead_ns is None else now_ns


def now_ms() -> int:
    """Return milliseconds since 1970, UTC."""
    return (time.time_ns() if _ahead_ns is None else time.monotonic_ns() + _ahead_ns) // NS


def monotonic_ms() -> int:
    """Return milliseconds of the monotonic clock, the same for all processes of the machine."""
    return time.monotonic_ns() // NS


@cache
def boot_id() -> str:
    """Return the id of this boot, since `monotonic_ms` restarts with each boot; empty if unknown."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def follow(ask: Callable[[], int] | None) -> None:
    """Have `now_ms` return the time that `ask` returns, in milliseconds, and go on by the monotonic clock.

    With None, `now_ms` returns the machine's own time.
    """
    global _ahead_ns, _has_told
    if ask is None:
        _ahead_ns, _has_told = None, False
        return
    before = time.monotonic_ns()
    now = ask()
    after = time.monotonic_ns()
    if _ahead_ns is None or after - before < MAX_ROUND_TRIP_NS:
        _ahead_ns = now * NS - (before + after) // 2
    ahead, told = time.time_ns() // NS - now, _has_told
    _has_told = abs(ahead) > TOLD_MS
    if _has_told and not told:
        side = "ahead of" if ahead > 0 else "behind"
        log.warning("this machine's clock is %.1f s %s the database's, which is used", abs(ahead) / 1000, side)


# Change counters of the database, shared by all processes, and caches that they invalidate.
#
# The counters are in a small file that each process maps into its memory, so reading one costs no system call. A
# counter is odd during a write and even otherwise, as in a sequence lock ("seqlock", as in the Linux kernel). So a
# process killed between its commit and the last step leaves an odd number, and nothing is cached until the next
# writer makes it even.

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
