"""The one writer thread of a process: commits many runs' writes as one transaction, and tells each when it is durable.

It does not decide what is written. While one commit syncs to the disk, the next ones gather; so the busier the server,
the fewer syncs a run costs.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from typing import Any, NamedTuple, Protocol, TypeAlias

from peewee import IntegrityError

from database import HeldUp, disconnect_thread, execute_all, patience, write_runs
from errors import Conflict, Unavailable
from models import Needed, Run, RunDay, Step, Write

log = logging.getLogger("headrace.recorder")
LARGEST_GROUP = 512


class Promise(Protocol):
    """The methods of a batch's future that the writer calls. `Turn` stands in for one."""

    def cancelled(self) -> bool: ...

    def running(self) -> bool: ...

    def set_running_or_notify_cancel(self) -> bool: ...

    def set_result(self, counts: list[int], /) -> None: ...

    def set_exception(self, error: BaseException, /) -> None: ...


class _Batch(NamedTuple):
    """Writes that belong together, all or nothing; `done` gets the row count of each. They fail if `after` has."""

    writes: Sequence[Write]
    done: Promise
    after: Future[list[int]] | None = None


Done: TypeAlias = Future[list[int]]


class Revocable(Future[list[int]]):
    """What is taken back where a thread that waits for it may wait no longer (`database.patience`): then it is HeldUp,
    and so is what comes after it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._held_up = HeldUp()

    def result(self, timeout: float | None = None) -> list[int]:
        try:
            # Once it is being written, it is waited for.
            if timeout is None and not self.done() and not patience.wait(self._came) and self.cancel():
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


class Undone(Exception):
    """A write that was needed has changed no row, so none of its unit is done."""


class WholeRun(NamedTuple):
    """A run that is written once, when it has ended: its row, the values of its steps, and what belongs to it."""

    run: Run
    steps: Sequence[tuple[Any, ...]]
    more: Sequence[Write]


def insertions(runs: Sequence[WholeRun]) -> list[Write]:
    """Writes that make all of these runs and count them, in as few statements as may be."""
    rows = [whole.run for whole in runs]
    packed = [Step.packed(whole.steps) for whole in runs]
    steps = [values for whole, text in zip(runs, packed, strict=True) if text is None for values in whole.steps]
    more = [item for whole in runs for item in whole.more]
    return [*Run.insertions(rows, packed), *Step.insertions(steps), *more, *RunDay.count_all(rows)]


# Called by the writer's thread once a run is on the disk, with None; else with what went wrong.
Tell: TypeAlias = Callable[[BaseException | None], None]


class Turn:
    """Whole runs that one turn of a loop has executed: one unit for the recorder, which tells those who asked for them.

    It can be taken back until the writer begins it. If the unit fails, each run is written for itself, so that none
    fails by another's fault.
    """

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.runs: list[WholeRun] = []
        self.given_at = 0.0  # when it was handed to the recorder, by the clock of whoever did
        self._tell: list[Tell] = []
        self._lock = threading.Lock()
        self._is_begun = self._is_revoked = self._has_ended = False
        self._parts: list[Turn] = []  # one for each run, once all of them together have failed

    def add(self, run: WholeRun, tell: Tell) -> None:
        """Add a run that has ended."""
        self.runs.append(run)
        self._tell.append(tell)

    def submit(self) -> None:
        """Hand it to the recorder. What goes wrong is told to those who asked for the runs."""
        try:
            self.recorder.submit_turn(self)
        except Exception as error:
            log.exception("a unit of %d runs cannot be made", len(self.runs))
            self.set_exception(error)

    @property
    def is_over(self) -> bool:
        """Return True if everybody has been told."""
        return self._has_ended or (bool(self._parts) and all(part.is_over for part in self._parts))

    def revoke(self, error: BaseException) -> None:
        """Take the runs back that the writer has not begun: they have failed of this error."""
        for part in self._parts:
            part.revoke(error)
        with self._lock:
            if self._is_begun or self._is_revoked:
                return
            self._is_revoked = True
        self._end(error)

    # As a promise

    def cancelled(self) -> bool:
        """Return True if it was taken back."""
        return self._is_revoked

    def running(self) -> bool:
        """Return True if the writer has begun it."""
        return self._is_begun

    def set_running_or_notify_cancel(self) -> bool:
        """Begin it. Return False if it was taken back."""
        with self._lock:
            self._is_begun = not self._is_revoked
            return self._is_begun

    def set_result(self, counts: list[int]) -> None:
        """Tell everybody that it is on the disk."""
        self._end(None)

    def set_exception(self, error: BaseException) -> None:
        """Tell that it failed; or, of several runs, try each alone."""
        if len(self.runs) == 1:
            self._end(error)
            return
        parts = []
        for run, tell in zip(self.runs, self._tell, strict=True):
            parts.append(Turn(self.recorder))
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
                log.exception("who asked for a run cannot be told of its end")


class Recorder:
    """Start it once a process, after the fork."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[_Batch | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()  # nothing is queued after the word to stop, where nobody would ever answer it
        self._has_ended = False

    def start(self) -> None:
        """Start the writer thread."""
        self._has_ended = False
        self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Commit what is queued and end the thread."""
        if self._thread is not None:
            with self._lock:
                self._has_ended = True
                self._queue.put(None)
            self._thread.join()
            self._thread = None

    def submit(self, writes: Sequence[Write], after: Done | None = None, revocable: bool = False) -> Future[list[int]]:
        """Queue the writes as one unit, which is `revocable` while they are not begun. The future has their row counts
        once they are durable, or what went wrong:

        Conflict for a unique key that is taken, Undone for a `Needed` one that changes no row, Unavailable once the
        process ends, else what the database raised. If the unit `after` which they come has failed, so have they, but
        for Undone.
        """
        done: Done = Revocable() if revocable else Future()
        self._put(_Batch(writes, done, after))
        return done

    def submit_turn(self, turn: Turn) -> None:
        """Queue the runs of a turn as one unit. The turn tells what has become of each."""
        self._put(_Batch(insertions(turn.runs), turn))

    def _put(self, batch: _Batch) -> None:
        with self._lock:
            if not self._has_ended:
                self._queue.put(batch)
                return
        batch.done.set_exception(Unavailable("The server is ending; nothing is recorded any more", retry_after=5))

    def commit(self, writes: Sequence[Write]) -> list[int]:
        """Write and wait until it is durable; the row counts. Raises what the database raised."""
        return self.submit(writes).result()

    def _work(self) -> None:
        try:
            while (first := self._queue.get()) is not None:
                group = [first, *self._gathered()]
                ending = group[-1] is None
                self._commit([batch for batch in group if batch is not None])
                if ending:
                    return
        finally:
            disconnect_thread()

    def _gathered(self) -> list[_Batch | None]:
        """What else is queued already; ends with None where that is the word to stop."""
        found: list[_Batch | None] = []
        while len(found) < LARGEST_GROUP:
            try:
                found.append(self._queue.get_nowait())
            except queue.Empty:
                break
            if found[-1] is None:
                break
        return found

    def _commit(self, group: list[_Batch]) -> None:
        group = [batch for batch in group if not _has_failed_before(batch)]
        if not group:
            return
        try:
            with write_runs():
                # What others wrote may have taken long.
                group = [batch for batch in group if not _has_failed_before(batch) and _is_wanted(batch)]
                counts = [_done(batch.writes) for batch in group]
        except Exception as error:
            if len(group) == 1:
                taken = isinstance(error, IntegrityError)
                _fail(group[0], Conflict(f"taken: {error}") if taken else error)
                return
            # One of them is at fault (a key that is taken, say), and the others must not suffer for it.
            log.debug("a group of %d writes failed (%s); committing each for itself", len(group), error)
            for batch in group:
                self._commit([batch])
            return
        for batch, rows in zip(group, counts, strict=True):
            batch.done.set_result(rows)


def _done(writes: Sequence[Write]) -> list[int]:
    """The row counts of the writes, which are done; Undone where that is for nothing."""
    counts = execute_all(writes)
    if 0 in counts and any(not count and isinstance(item, Needed) for item, count in zip(writes, counts, strict=True)):
        raise Undone
    return counts


def _has_failed_before(batch: _Batch) -> bool:
    """Whether what it comes after has failed, as then it does itself. What was undone is no failure."""
    error = batch.after.exception() if batch.after is not None and batch.after.done() else None
    if error is None or isinstance(error, Undone):
        return False
    _fail(batch, error)
    return True


def _is_wanted(batch: _Batch) -> bool:
    """Whether nobody has taken it back, which from then on nobody can."""
    done = batch.done
    return not done.cancelled() and (done.running() or done.set_running_or_notify_cancel())


def _fail(batch: _Batch, error: BaseException) -> None:
    """Let it have failed, unless it was taken back."""
    if _is_wanted(batch):
        batch.done.set_exception(error)
