"""Worker threads: they execute nodes of a run, or items of a loop, at the same time. A process has at most MAX_THREADS.

Each closes its connection to the database at its end.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from database import disconnect_thread

MAX_THREADS = 128


class RunWorkers:
    """Threads for the work of one run. If `places` has none left, the thread that submits work does it itself."""

    def __init__(self, places: threading.Semaphore) -> None:
        self._places = places
        self._threads: set[threading.Thread] = set()

    def submit(self, work: Callable[[], Any], /) -> Future[Any]:
        """Do the work in a new thread, or in this one."""
        done: Future[Any] = Future()
        if self._places.acquire(blocking=False):
            thread = threading.Thread(target=self._do_and_leave, args=(work, done), name="worker", daemon=True)
            self._threads.add(thread)
            try:
                thread.start()
                return done
            except RuntimeError:  # the system allows no more threads
                self._threads.discard(thread)
                self._places.release()
        _do(work, done)
        return done

    def _do_and_leave(self, work: Callable[[], Any], done: Future[Any]) -> None:
        try:
            _do(work, done)
        finally:
            disconnect_thread()
            self._threads.discard(threading.current_thread())
            self._places.release()

    def finish(self) -> None:
        """Wait for all threads."""
        for thread in tuple(self._threads):
            thread.join()


_places = threading.BoundedSemaphore(MAX_THREADS)


@contextmanager
def make_workers(count: int) -> Iterator[RunWorkers]:
    """Give threads for `count` pieces of work at the same time, and wait for them at the end."""
    workers = RunWorkers(_places)
    try:
        yield workers
    finally:
        workers.finish()


def _do(work: Callable[[], Any], done: Future[Any]) -> None:
    try:
        done.set_result(work())
    except BaseException as error:
        done.set_exception(error)
