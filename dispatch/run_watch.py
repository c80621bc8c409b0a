"""Watch of runs that other processes execute: one thread asks the database for all threads that wait for one."""

from __future__ import annotations

import logging
import threading
import time

from database import disconnect_thread
from database.queries import runs
from database.queries.runs import RunState
from models import Run

log = logging.getLogger("headrace.dispatch")
POLL_SECONDS = 0.05


class RunWatch:
    """Wakes threads of this process when the run for which each waits has changed its state."""

    def __init__(self) -> None:
        # For each waiting thread, its event, and the id and state of the run as the thread knows it.
        self._waiting: dict[threading.Event, tuple[str, RunState]] = {}
        self._lock = threading.Lock()
        self._is_watched = False

    def wait(self, run: Run, seconds: float) -> None:
        """Wait until the run has another state than this row, or for these seconds."""
        changed = threading.Event()
        with self._lock:
            self._waiting[changed] = (str(run.id), (run.status, run.waiting))
            if not self._is_watched:
                self._is_watched = True
                threading.Thread(target=self._watch, name="run-watch", daemon=True).start()
        try:
            changed.wait(seconds)
        finally:
            with self._lock:
                del self._waiting[changed]

    def _watch(self) -> None:
        """Watch the runs until no thread waits."""
        try:
            while waiting := self._get_waiting():
                self._look(waiting)
                time.sleep(POLL_SECONDS)
        finally:
            disconnect_thread()

    def _get_waiting(self) -> dict[threading.Event, tuple[str, RunState]]:
        with self._lock:
            self._is_watched = bool(self._waiting)
            return dict(self._waiting)

    def _look(self, waiting: dict[threading.Event, tuple[str, RunState]]) -> None:
        try:
            present = runs.read_states({run_id for run_id, _ in waiting.values()})
        except Exception as error:
            log.warning("runs that callers wait for cannot be read: %s", error)
            present = {}  # each thread reads its run itself, and reports the error to its caller
        for changed, (run_id, known) in waiting.items():
            if present.get(run_id) != known:
                changed.set()
