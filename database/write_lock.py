"""The lock of writers, which all processes of a server share, and how long a thread waits for it."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from collections.abc import Callable

from . import peewee_import  # noqa: F401  (Peewee without drivers of other databases)

# isort: split
from peewee import OperationalError

STALL_SECONDS = 2.0  # for which other processes may be waited for as a matter of course
LOOK_SECONDS = 0.25


class HeldUp(OperationalError):
    """Others write for longer than this thread may wait; nothing was done."""

    def __init__(self) -> None:
        super().__init__("nothing can be written at the moment, since another process does not end what it writes")


def is_held_up() -> bool:
    """Return True if other processes have kept this one from writing for longer than they should."""
    return lock.held_up_for() > STALL_SECONDS


class _Patience:
    """How long threads that answer requests wait for their turn to write. All others wait for as long as it takes.

    Only so many wait for long, that others are left to answer what writes nothing: see `wait`.
    """

    def __init__(self) -> None:
        self._own = threading.local()
        self._turns = threading.BoundedSemaphore(1)

    def leave(self, most: int) -> None:
        """Let so many threads wait for long."""
        self._turns = threading.BoundedSemaphore(most)

    def limit(self, seconds: float | None) -> None:
        """Let this thread wait no longer than that from now on, whenever it writes; None for as long as it takes."""
        self._own.seconds = seconds

    def wait(self, come: Callable[[float | None], bool]) -> bool:
        """Whether `come(seconds)` is true within the time that this thread may wait; None stands for any time.

        Where enough wait for long, only as long as no other process has held up this one for STALL_SECONDS.
        """
        most, turns = getattr(self._own, "seconds", None), self._turns
        if most is None:
            return come(None)
        if turns.acquire(blocking=False):
            try:
                return come(most)
            finally:
                turns.release()
        ends = time.monotonic() + most
        while (left := ends - time.monotonic()) > 0 and not is_held_up():
            if come(min(left, LOOK_SECONDS)):
                return True
        return come(0.0)


patience = _Patience()


class _Queued:
    """Waits for the other processes, in a thread of its own, so that who wants the lock need not wait any longer."""

    def __init__(self, lock: WriteLock, fd: int) -> None:
        self.came = threading.Event()
        self._lock = lock
        self._fd = os.dup(fd)  # the same lock, whatever becomes of the other one
        threading.Thread(target=self._wait, name="write-lock", daemon=True).start()

    def _wait(self) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX)
        finally:
            self.came.set()
            self._lock.give_back(self, self._fd)
            os.close(self._fd)


class WriteLock:
    """Exclusive among the threads of this process (mutex) and among processes (flock); its owner may take it again.

    The file is opened at the first use, in each process anew: a forked descriptor would share its lock.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._mutex = threading.RLock()
        self._depth = 0
        self._fd = -1
        self._queued: _Queued | None = None  # still waits for whoever gave up
        self._since: float | None = None  # when this process began to wait for others, if it does

    def close(self) -> None:
        """Close the file until the next use; not while somebody writes, or is to, whose lock it is then."""
        if self._mutex.acquire(blocking=False):
            if self._fd >= 0 and not self._depth and self._queued is None:
                os.close(self._fd)
                self._fd = -1
            self._mutex.release()

    def held_up_for(self) -> float:
        """For how many seconds this process has been waiting for others; 0 where it does not."""
        since = self._since
        return 0.0 if since is None else time.monotonic() - since

    def give_back(self, queued: _Queued, fd: int) -> None:
        """Let other processes write where nobody here has wanted that lock any more."""
        with self._mutex:
            if self._queued is queued:
                self._queued = self._since = None
                fcntl.flock(fd, fcntl.LOCK_UN)

    def __enter__(self) -> None:
        if not self._mutex.acquire(blocking=False) and not patience.wait(self._acquired):
            raise HeldUp
        self._depth += 1
        if self._depth > 1:
            return
        try:
            self._take()
        except BaseException:
            self._depth -= 1
            self._mutex.release()
            raise

    def _acquired(self, seconds: float | None) -> bool:
        return self._mutex.acquire(timeout=-1 if seconds is None else seconds)

    def _take(self) -> None:
        if self._fd < 0:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if self._queued is None:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                self._since = time.monotonic()
        if not patience.wait(self._came):
            raise HeldUp
        self._queued = self._since = None

    def _came(self, seconds: float | None) -> bool:
        """Wait for the other processes; whether it is our turn."""
        if self._queued is None and seconds is None:
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            return True
        if self._queued is None:
            self._queued = _Queued(self, self._fd)
        return self._queued.came.wait(seconds)

    def __exit__(self, *error: object) -> None:
        self._depth -= 1
        try:
            if not self._depth:
                fcntl.flock(self._fd, fcntl.LOCK_UN)
        finally:
            self._mutex.release()


# The lock of the database that `connect` named last. A thread that still writes to an earlier one keeps that lock.
lock = WriteLock(os.devnull)


def use(path: str) -> None:
    """Close the lock, and use the one of this file from now on."""
    global lock
    lock.close()
    lock = WriteLock(path)
