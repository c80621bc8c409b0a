"""The write lock, which all processes of a server share, and the time that a thread may wait for it."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeAlias

from peewee import OperationalError

from errors import DatabaseLost

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
            self._give_back()

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

    def _give_back(self) -> None:
        with self._lock:
            self._moved_at = time.monotonic()
            if self._queue:
                self._queue.popleft().set()
            else:
                self._free += 1


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
        if not self._mutex.acquire(blocking=False) and not lock_wait.wait(self._acquire_mutex):
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

    def _acquire_mutex(self, seconds: float | None) -> bool:
        return self._mutex.acquire(timeout=-1 if seconds is None else seconds)

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
