"""Checkpoints: a thread copies the write-ahead log into the database file, so that no commit waits for it.

Each process has such a thread. After CHECKPOINT_COMMITS commits of all processes, the next commit wakes the thread of
its process. SQLite allows one checkpoint at a time; if a process dies during one, the next commit of another process
wakes that one's thread. Without such a thread, commits make checkpoints once the log has FALLBACK_PAGES pages.
"""

from __future__ import annotations

import logging
import threading

import database
from database import LockTimeout, lock_wait

log = logging.getLogger("headrace.checkpoints")

RESTART_PAGES = 4_000  # of the log, 16 MB; beyond this, writers wait for a moment while the log is restarted
WAIT_SECONDS = 1.0  # for the write lock


class Checkpoints:
    """The checkpoint thread of a process. Start it after the fork."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._due = threading.Event()
        self._has_ended = False

    def start(self) -> None:
        """Start the thread."""
        self._has_ended = False
        database.on_checkpoint_due(self._due.set)
        work = database.closing_connection(self._work)
        self._thread = threading.Thread(target=work, name="checkpoints", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread after its current step."""
        if self._thread is not None:
            self._has_ended = True
            self._due.set()
            self._thread.join()
            self._thread = None

    def _work(self) -> None:
        lock_wait.limit(WAIT_SECONDS)
        while self._due.wait() and not self._has_ended:
            self._due.clear()
            try:
                if database.is_checkpoint_due():
                    step()
            except LockTimeout:
                pass  # The commits of others make the next checkpoint due.
            except Exception as error:
                log.warning("no checkpoint could be made, so the write-ahead log grows for now: %s", error)


def step() -> None:
    """Make a checkpoint. If the log is still longer than RESTART_PAGES, restart it unless a reader uses it.

    Raises: LockTimeout if the write lock is not free within the time that this thread may wait.
    """
    if database.checkpoint() > RESTART_PAGES:
        database.checkpoint()  # of pages written meanwhile, so that writers wait only briefly
        database.restart_log()
