"""Checkpoints: a thread brings what is in the write-ahead log into the database's file, so that no commit waits for it.

Each process has such a thread, which is woken by a commit of its own process after CHECKPOINT_COMMITS commits of any.
SQLite lets one checkpoint be made at a time, so if a process dies over one, the next commit of another one wakes that.
Without such a thread, commits make checkpoints themselves once the log has FALLBACK_PAGES pages.
"""

from __future__ import annotations

import logging
import threading

import database
from database import HeldUp, patience

log = logging.getLogger("headrace.checkpoints")

RESTART_PAGES = 4_000  # of the log, 16 MB, past which writers wait for a moment so that it begins anew
WAIT_SECONDS = 1.0  # for the lock of writers


class Checkpoints:
    """The thread of a process. Start it after the fork."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._due = threading.Event()
        self._has_ended = False

    def start(self) -> None:
        """Start the thread."""
        self._has_ended = False
        database.when_checkpoint_is_due(self._due.set)
        self._thread = threading.Thread(target=self._work, name="checkpoints", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread, after the step that it is at."""
        if self._thread is not None:
            self._has_ended = True
            self._due.set()
            self._thread.join()
            self._thread = None

    def _work(self) -> None:
        patience.limit(WAIT_SECONDS)
        try:
            while True:
                self._due.wait()
                self._due.clear()
                if self._has_ended:
                    return
                if database.is_checkpoint_due():
                    self._try_step()
        finally:
            database.disconnect_thread()

    def _try_step(self) -> None:
        try:
            step()
        except HeldUp:
            pass  # What is written meanwhile makes the next checkpoint due.
        except Exception as error:
            log.warning("no checkpoint could be made, so the write-ahead log grows for now: %s", error)


def step() -> None:
    """Make a checkpoint. If the log is long all the same, have it begin anew, unless somebody reads from it.

    Raises: HeldUp if others write for longer than this thread may wait.
    """
    if database.checkpoint().pages > RESTART_PAGES:
        database.checkpoint()  # of what was written meanwhile, so that writers wait for little
        database.restart_log()
