"""Group commit: the recorder, the one writer thread of a process, commits the writes of many runs as one transaction.

`run_record.py` decides which writes it gets. While one commit syncs to the disk, the next writes gather. So the busier
the server, the fewer syncs a run costs.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from typing import Any, NamedTuple, TypeAlias

from peewee import IntegrityError

from database import Deadlock, LockTimeout, OutcomeUnknown, disconnect_thread, lock_wait, write_runs
from database.queries import runs as run_queries
from database.queries import steps as step_queries
from database.queries.runs import Item, Undone, Unit, execute_units
from errors import Conflict, DatabaseLost, Unavailable
from models import Run

from .histograms import SECONDS, SIZES, Histogram

log = logging.getLogger("headrace.recorder")
ATTEMPTS = 4  # to commit a group that another transaction has kept from it
LOST_SECONDS = 60.0  # for which writes wait for a lost database, before they fail
PAUSE_SECONDS = 0.1  # between two attempts to reach it


Done: TypeAlias = Future[list[int]]


class _WriteBatch(NamedTuple):
    """Writes that are done all or not at all. `done` gets the row count of each.

    They fail if the unit `after` which they come has failed.
    """

    writes: Unit
    done: Done | LoopTurn
    after: Done | None = None

    @property
    def size(self) -> int:
        """Return the number of units in it: a turn has one for each run."""
        return len(self.done.runs) if isinstance(self.done, LoopTurn) else 1


class Revocable(Future[list[int]]):
    """A unit that is withdrawn when the thread that waits for it must not wait longer (`database.lock_wait`).

    Then this unit and the units after it have failed as LockTimeout.
    """

    def __init__(self) -> None:
        super().__init__()
        self._held_up = LockTimeout()

    def result(self, timeout: float | None = None) -> list[int]:
        try:
            # Once the writer has begun it, the thread waits for its end.
            if timeout is None and not self.done() and not lock_wait.wait(self._came) and self.cancel():
                raise self._held_up
            return super().result(timeout)
        except CancelledError:
            raise self._held_up from None

    def _came(self, seconds: float | None) -> bool:
        try:
            super().exception(seconds)
        except TimeoutError:
            return False
        return True

    def exception(self, timeout: float | None = None) -> BaseException | None:
        try:
            return super().exception(timeout)
        except CancelledError:
            return self._held_up


class WholeRun(NamedTuple):
    """A run that is written once, after its end: its row, the values of its steps, and further writes."""

    run: Run
    steps: Sequence[tuple[Any, ...]]
    more: Sequence[Item]


def insertions(runs: Sequence[WholeRun]) -> Unit:
    """Return writes that insert all of these runs and count them, in as few statements as possible."""
    rows = [whole.run for whole in runs]
    packed = [step_queries.packed(whole.steps) for whole in runs]
    steps = [values for whole, text in zip(runs, packed, strict=True) if text is None for values in whole.steps]
    more = [item for whole in runs for item in whole.more]
    return [
        *run_queries.insertions(rows, packed),
        *step_queries.insertions(steps),
        *more,
        *[run_queries.counted(run) for run in rows],
    ]


# The writer's thread calls it with None once a run is on the disk, else with the error.
Tell: TypeAlias = Callable[[BaseException | None], None]


class LoopTurn:
    """The whole runs of one turn of an event loop: one unit for the recorder, which reports to each caller.

    A turn can be withdrawn until the writer begins it. If the unit fails, each run is written alone, so that no run
    fails because of another one.
    """

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.runs: list[WholeRun] = []
        self.given_at = 0.0  # when the loop handed it to the recorder, by the loop's clock
        self._tell: list[Tell] = []
        self._lock = threading.Lock()
        self._is_begun = self._is_revoked = self._has_ended = False
        self._parts: list[LoopTurn] = []  # one for each run, once all of them together have failed

    def add(self, run: WholeRun, tell: Tell) -> None:
        """Add a run that has ended."""
        self.runs.append(run)
        self._tell.append(tell)

    def submit(self) -> None:
        """Hand the turn to the recorder. Report errors to the callers of its runs."""
        try:
            self.recorder.submit_turn(self)
        except Exception as error:
            log.exception("a unit of %d runs cannot be made", len(self.runs))
            self.set_exception(error)

    @property
    def is_over(self) -> bool:
        """Return True if every caller has its report."""
        return self._has_ended or (bool(self._parts) and all(part.is_over for part in self._parts))

    def revoke(self, error: BaseException) -> None:
        """Withdraw the runs that the writer has not begun. They have failed with this error."""
        for part in self._parts:
            part.revoke(error)
        with self._lock:
            if self._is_begun or self._is_revoked:
                return
            self._is_revoked = True
        self._end(error)

    # The methods of a future that the writer calls; a future would cost twice as much

    def cancelled(self) -> bool:
        """Return True if the turn was withdrawn."""
        return self._is_revoked

    def running(self) -> bool:
        """Return True if the writer has begun the turn."""
        return self._is_begun

    def set_running_or_notify_cancel(self) -> bool:
        """Begin the turn. Return False if it was withdrawn."""
        with self._lock:
            self._is_begun = not self._is_revoked
            return self._is_begun

    def set_result(self, counts: list[int]) -> None:
        """Report to every caller that the run is on the disk."""
        self._end(None)

    def set_exception(self, error: BaseException) -> None:
        """Report the failure; a turn of several runs tries each of them alone first, unless the database is lost."""
        if len(self.runs) == 1 or isinstance(error, DatabaseLost):
            self._end(error)
            return
        parts = []
        for run, tell in zip(self.runs, self._tell, strict=True):
            parts.append(LoopTurn(self.recorder))
            parts[-1].add(run, tell)
        self._parts = parts
        for part in parts:
            part.submit()

    def _end(self, error: BaseException | None) -> None:
        self._has_ended = True
        for tell in self._tell:
            try:
                tell(error)
            except Exception:
                log.exception("the caller of a run cannot be told its end")


class Recorder:
    """The writer of a process. Call `start` once, after the fork."""

    max_group = 512  # batches in a commit, and the first

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lost_at: float | None = None  # when the database was lost, until the next commit
        self._ends = threading.Event()
        self._queue: queue.SimpleQueue[_WriteBatch | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()  # nothing is queued after the end marker: its future would never end
        self._has_ended = False
        self.commit_seconds = Histogram("headrace_commit_seconds", SECONDS)
        self.group_size = Histogram("headrace_commit_size", SIZES)

    def start(self) -> None:
        """Start the writer thread."""
        self._has_ended = False
        self._ends.clear()
        self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)
        self._thread.start()

    def stop_waiting(self) -> None:
        """Make writes fail at once if the database is lost, because the process ends."""
        self._ends.set()

    def stop(self) -> None:
        """Commit what is queued and end the thread."""
        self.stop_waiting()
        if self._thread is not None:
            with self._lock:
                self._has_ended = True
                self._queue.put(None)
            self._thread.join()
            self._thread = None

    def submit(self, writes: Unit, after: Done | None = None, revocable: bool = False) -> Future[list[int]]:
        """Queue the writes as one unit, which can be withdrawn until it is begun if it is `revocable`.

        The future has their row counts once they are durable, or an error: Conflict for a unique key that exists,
        Undone for a `Needed` write that changed no row, Unavailable if the process ends, else the error of the
        database. If the unit `after` which they come has failed, except with Undone, so have they.
        """
        done: Done = Revocable() if revocable else Future()
        self._put(_WriteBatch(writes, done, after))
        return done

    def submit_turn(self, turn: LoopTurn) -> None:
        """Queue the runs of a turn as one unit. The turn reports the result of each."""
        self._put(_WriteBatch(insertions(turn.runs), turn))

    def _put(self, batch: _WriteBatch) -> None:
        with self._lock:
            if not self._has_ended:
                self._queue.put(batch)
                return
        batch.done.set_exception(Unavailable("The server is shutting down; try again soon", retry_after=5))

    def commit(self, writes: Unit) -> list[int]:
        """Write, wait until it is durable, and return the row counts. Raises: the error of the database."""
        return self.submit(writes).result()

    def _work(self) -> None:
        try:
            while (first := self._queue.get()) is not None:
                group, is_last = [first], False
                with suppress(queue.Empty):  # what is queued already
                    while len(group) <= self.max_group and not is_last:
                        following = self._queue.get_nowait()
                        is_last = following is None
                        group += [] if following is None else [following]
                self._commit(group)
                if is_last:
                    return
        finally:
            disconnect_thread()

    def _commit(self, group: list[_WriteBatch]) -> None:
        """Commit these batches, or fail them."""
        attempts = 0
        while group := [batch for batch in group if batch.after is None or not _has_failed_before(batch)]:
            began = time.perf_counter()
            try:
                with write_runs() as execute:
                    # The wait for other writers may have taken long.
                    group = [
                        batch
                        for batch in group
                        if (batch.after is None or not _has_failed_before(batch)) and _is_wanted(batch)
                    ]
                    counts = execute_units([batch.writes for batch in group], execute)
            except Exception as error:
                attempts += 1
                if self._may_repeat(error, attempts):
                    continue
                self._fail_or_split(group, error)
                return
            self._lost_at = None
            self.commit_seconds.observe(time.perf_counter() - began)
            self.group_size.observe(sum([batch.size for batch in group]))
            for batch, rows in zip(group, counts, strict=True):
                batch.done.set_result(rows)
            return

    def _may_repeat(self, error: Exception, attempts: int) -> bool:
        """Return True if nothing of a group was written, and it is to be committed once more. Waits for that time."""
        if isinstance(error, Deadlock):
            log.info("a group of writes is committed once more: %s", error)
            return attempts < ATTEMPTS
        if not isinstance(error, DatabaseLost) or isinstance(error, OutcomeUnknown):
            return False
        now = self._clock()
        if self._lost_at is None:
            log.warning("the database is lost; writes wait for it: %s", error)
            self._lost_at = now
        if now - self._lost_at >= LOST_SECONDS:
            return False
        return not self._ends.wait(PAUSE_SECONDS)

    def _fail_or_split(self, group: list[_WriteBatch], error: Exception) -> None:
        """Fail a group, or commit each of its batches alone: one of them may be at fault."""
        if isinstance(error, DatabaseLost):
            # With OutcomeUnknown, it may have been written, so none of it may be written again.
            for batch in group:
                _fail(batch, error)
            return
        if len(group) == 1:
            taken = isinstance(error, IntegrityError)
            _fail(group[0], Conflict(f"taken: {error}") if taken else error)
            return
        # A key that exists, for example; the others must not fail with it.
        log.debug("a group of %d writes failed (%s); committing each of them alone", len(group), error)
        for batch in group:
            self._commit([batch])


def _has_failed_before(batch: _WriteBatch) -> bool:
    """Fail the batch and return True if the unit before it has failed. Undone is not a failure of that kind."""
    error = batch.after.exception() if batch.after is not None and batch.after.done() else None
    if error is None or isinstance(error, Undone):
        return False
    _fail(batch, error)
    return True


def _is_wanted(batch: _WriteBatch) -> bool:
    """Return True if the batch was not withdrawn. From then on it cannot be."""
    done = batch.done
    return not done.cancelled() and (done.running() or done.set_running_or_notify_cancel())


def _fail(batch: _WriteBatch, error: BaseException) -> None:
    """Set the error of a batch, unless it was withdrawn."""
    if _is_wanted(batch):
        batch.done.set_exception(error)
