"""Waiting for a run: for its end, or for the response of its `respond` node."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import engine
from database import disconnect_thread, is_write_blocked
from database.base import now_ms
from database.queries import runs, steps, waits
from database.queries.concurrent_runs import QUEUED
from database.queries.runs import RunState
from errors import Unavailable
from models import Run
from nodes.base import REGISTRY

from .acceptance import Ticket
from .payloads import Kept
from .resources import Resources

# Watch of runs that other processes execute: one thread asks the database for all threads that wait for one.

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
            while True:
                with self._lock:
                    waiting = dict(self._waiting)
                    self._is_watched = bool(waiting)
                if not waiting:
                    return
                try:
                    present = runs.read_states({run_id for run_id, _ in waiting.values()})
                except Exception as error:
                    log.warning("runs that callers wait for cannot be read: %s", error)
                    present = {}  # each thread reads its run itself, and reports the error to its caller
                for changed, (run_id, known) in waiting.items():
                    if present.get(run_id) != known:
                        changed.set()
                time.sleep(POLL_SECONDS)
        finally:
            disconnect_thread()


WAIT_SECONDS = 0.5  # between two checks whether the process ends
SHORT_WAIT = 1.0  # seconds that a request thread may always wait

T = TypeVar("T")


class WaitingThreads:
    """Waits of the threads of this process for runs. No wait lasts past `ends_at`, on `time.monotonic`."""

    def __init__(self, resources: Resources) -> None:
        self.resources = resources
        self.ends_at = math.inf
        self.watch = RunWatch()
        # The numbers of request threads that may wait for long: for any run, and for agents.
        threads = resources.config.threads
        self._long = threading.BoundedSemaphore(max(1, threads * 3 // 4))
        self._long_for_agents = threading.BoundedSemaphore(max(1, threads // 2))

    def wait(self, ticket: Ticket, seconds: float) -> Run:
        """Wait until the run has ended, pauses for longer, or the time is over. Return the run, which is durable."""
        deadline = time.monotonic() + seconds
        active = ticket.active
        if active is not None:
            if is_write_blocked():
                active.record.durable()  # a limited number of threads may wait while the database is locked
            self._await(active.ended, deadline)
            active.record.durable()
            if active.run.finished_at is not None and active.ended.is_set():
                return active.run
        while True:
            present, left = Run.find(ticket.run.id), self._left(deadline)
            if present is None:
                if left <= 0:
                    raise Unavailable("The run could not be recorded", retry_after=5)
            elif _is_over(present) or left <= 0 or _is_suspended_longer_than(present, left):
                return present
            if present is None or present.waiting is not None:
                time.sleep(min(POLL_SECONDS, left))  # how long it still waits depends on the runs that it waits for
            else:
                self.watch.wait(present, min(left, WAIT_SECONDS))

    def wait_with_limit(self, ticket: Ticket, seconds: float) -> Run:
        """Wait, for a request: if 3/4 of the request threads wait for long, others wait at most SHORT_WAIT."""
        return self._wait_with_limit(lambda left: self.wait(ticket, left), _is_over, seconds)

    def wait_for_agent(self, ticket: Ticket, seconds: float) -> Run:
        """Wait for an agent, which may take long: at most half of the request threads wait for agents."""
        if not self._long_for_agents.acquire(blocking=False):
            return self.wait(ticket, min(seconds, SHORT_WAIT))
        try:
            return self.wait_with_limit(ticket, seconds)
        finally:
            self._long_for_agents.release()

    def take_long_place(self) -> bool:
        """Take the place of a request thread that waits for long. Return False if 3/4 of them do."""
        return self._long.acquire(blocking=False)

    def leave_long_place(self) -> None:
        """Return the place."""
        self._long.release()

    def response(self, ticket: Ticket, seconds: float) -> tuple[Run, Any]:
        """Wait for the first `respond` node. Return the run, and the durable output of that node or None."""

        def has_answered(found: tuple[Run, Any]) -> bool:
            return found[1] is not None or _is_over(found[0])

        return self._wait_with_limit(lambda left: self._response(ticket, left), has_answered, seconds)

    def _response(self, ticket: Ticket, seconds: float) -> tuple[Run, Any]:
        deadline = time.monotonic() + seconds
        active = ticket.active
        if active is not None and self._await(active.answered, deadline) and active.response is not None:
            active.record.durable()
            return active.run, active.response
        run = self.wait(ticket, max(0.0, deadline - time.monotonic()))
        for step in steps.successes(run.id, [type_ for type_, node in REGISTRY.items() if node.responds]):
            response = self.resources.value(run.id, f"step_{step.seq}", Kept(step.output, step.output_bytes))
            if engine.is_response(response):
                return run, response
        return run, None

    def _wait_with_limit(self, wait: Callable[[float], T], is_over: Callable[[T], bool], seconds: float) -> T:
        deadline = time.monotonic() + seconds
        found = wait(min(seconds, SHORT_WAIT))
        if seconds <= SHORT_WAIT or is_over(found) or not self._long.acquire(blocking=False):
            return found
        try:
            return wait(max(0.0, deadline - time.monotonic()))
        finally:
            self._long.release()

    def _left(self, deadline: float) -> float:
        """Return the seconds until a wait must end."""
        return min(deadline, self.ends_at) - time.monotonic()

    def _await(self, event: threading.Event, deadline: float) -> bool:
        """Wait for the event until the deadline. Return True if it is set."""
        while (left := self._left(deadline)) > 0 and not event.wait(min(left, WAIT_SECONDS)):
            continue
        return event.is_set()


def _is_over(run: Run) -> bool:
    """Return True if the run has ended, or another system executed it."""
    return run.finished_at is not None or run.recorded


def _is_suspended_longer_than(run: Run, seconds: float) -> bool:
    """Return True if the run pauses for an event that will not occur within these seconds by itself."""
    if run.status != "pending" or run.waiting is None or run.waiting == QUEUED:
        return False
    wake_at = waits.find_next_wake(run.id)
    if wake_at is not None and wake_at <= now_ms() + seconds * 1000:
        return False
    if not all(_is_suspended_longer_than(child, seconds) for child in runs.children(run)):
        return False
    # The child may have ended since the row was read: then there is none left, and the run has resumed.
    present = Run.find(run.id)
    return present is not None and (present.status, present.waiting) == (run.status, run.waiting)
