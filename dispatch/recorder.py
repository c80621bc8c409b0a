"""The one writer thread of a process: commits many runs' writes as one transaction, and tells each when it is durable.

It does not decide what is written. While one commit syncs to the disk, the next ones gather; so the busier the server,
the fewer syncs a run costs.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, Future
from functools import lru_cache
from typing import Any, NamedTuple, Protocol, TypeAlias

import orjson
from peewee import IntegrityError

from database import HeldUp, disconnect_thread, execute_all, patience, write_runs
from dispatch.payloads import Payloads
from errors import Conflict, NodeError, Unavailable
from models import LogEntry, Needed, Run, RunDay, Step, Wait, Write

log = logging.getLogger("headrace.recorder")
LARGEST_GROUP = 512
FULL_BUFFER = 256
OLD_SECONDS = 1.0
MAX_LOG_ENTRIES = 10_000
MAX_LOG_TEXT = 10_000
MAX_LOG_DATA = 64 * 1024
MAX_LOG_BUFFER = 2**20


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
# Hands the writes over, which fail if those before them have.
Submit: TypeAlias = Callable[[Sequence[Write], Done | None], Done]
# Hands over the writes that this makes, provided that nothing of the run has been; None where something was.
Whole: TypeAlias = Callable[[Callable[[], Sequence[Write]]], Done | None]


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


class RunTaken(BaseException):
    """The run is no longer this process's: it was cancelled, or given to another that thought this one dead.

    No handler of a node's errors may take it for one.
    """


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


@lru_cache(4096)
def _json_names(inputs: tuple[str, ...]) -> str:
    return orjson.dumps(inputs).decode()


class RunRecord:
    """What one run has to write. Steps wait in a buffer, because a pure one can be done again at no cost:

    - before an impure node starts, everything so far and its `running` step are durable;
    - its result is handed to the writer at once, and so is a step that waits if somebody was told of it;
    - pure steps go with the next of these, or when the buffer is full or a second old.
    """

    def __init__(
        self,
        submit: Submit,
        payloads: Payloads,
        run: Run,
        whole: Whole | None = None,
        check_lease: Callable[[], None] = lambda: None,
    ) -> None:
        """`check_lease()` is called before something with effects starts, and raises if it must not."""
        self.submit, self.payloads, self.run = submit, payloads, run
        self._id = str(run.id)  # to ask Peewee for it each time takes longer
        self.check_lease = check_lease
        self._whole = whole
        self.entries = 0
        self.done = 0  # nodes that are settled
        self._told = 0
        self._buffer: list[Write] = []
        self._is_tied = False  # something in it has to go with the next step
        self._is_fenced = False  # pure steps count only while the run goes on
        self._refusal: str | None = None  # what to say where the next step may not start what it does
        self._logged = 0  # characters of log entries in it
        self._steps: list[tuple[tuple[Any, ...], bool]] = []  # those that have ended, as values; which are fenced
        self._pending: list[Done] = []
        self._last: Done | None = None
        self._flushed_at = time.monotonic()

    def step(self, step: Any, answers: bool = False) -> None:
        """Note an `engine.Step`; a `running` one is durable when this returns, RunTaken where it may not run.

        One that `answers` whoever waits counts only while the run goes on. NodeError where what the step starts cannot
        be; then it is not on record, and its number is free.
        """
        self._is_fenced |= answers
        text, size = None, None
        if step.output is not None:
            text, size = self.payloads.keep(self._id, f"step_{step.seq}", step.output, self.run.claims)
        # An item too large for the row is left out: it is a part of an earlier step's output.
        item = step.item.decode() if step.item and len(step.item) <= self.payloads.inline_bytes else None
        values = (
            self._id, step.seq, step.node_id, step.node_type, step.node_name, step.status, step.attempt,
            step.item_index, _json_names(step.inputs) if step.inputs else None, item, text, size,
            step.same_as, step.branch, step.error_text, step.started_at, step.finished_at, step.duration_ms,
            step.final,
        )  # fmt: skip
        if step.status != "running":
            done = self.done
            self._ended(step, values, answers)
            if self._refusal is not None:
                self._see_it_started(done)
            return
        begun = self.flush(Step.begin_one(values, self.run.claims)).result()[-1]
        self._settle(wait=True)
        if not begun:
            raise RunTaken
        self.check_lease()

    def _ended(self, step: Any, values: tuple[Any, ...], answers: bool) -> None:
        run, wait = self.run, step.wait
        if wait is None:
            self._steps.append((values, self._is_fenced and step.pure))
        else:
            self._buffer.append(Step.begin_one(values, run.claims))
            self._buffer.append(Wait.begin(run.id, run.claims, step.node_id, step.seq, wait))
        if (
            wait is None
            and step.item_index is None
            and (step.status != "failed" or step.final or step.output is not None)
        ):
            self.done += 1
        # With one that answers comes what is to be told, or the end.
        if not step.pure or (wait is not None and wait.told) or (self._is_due() and not answers):
            self.flush()

    def _see_it_started(self, done: int) -> None:
        """Raise what keeps the last step from being on record; `done` is how many were settled before it."""
        refusal, self._refusal = self._refusal, None
        self.flush()
        try:
            self._settle(wait=True)
        except Undone:
            self._pending = []  # all before it is on record
            self.done = self._told = done
            if not self.run.goes_on():
                raise RunTaken from None
            raise NodeError(str(refusal)) from None

    def add(self, item: Write) -> None:
        """Note a write that belongs to the step which is recorded next: both are durable, or neither."""
        self._buffer.append(item)
        self._is_tied = True

    def start(self, run: Run, limit: int = 0, refusal: str = "") -> None:
        """Note a run that the step which is recorded next starts, while this one goes on: it has both, or neither.

        With a `limit`, where so many runs of its flow are under way by then, neither is written, and `step` raises a
        NodeError that says `refusal`.
        """
        if limit:
            self.flush()  # what is not to be lost with them
            self._refusal = refusal
            self.add(Needed(*self.run.while_it_runs(run.insertion_unless_busy(limit))))
        else:
            self.add(self.run.while_it_runs(run.insertion()))
        self._is_fenced = True

    def log(self, node_id: str | None, level: str, message: str, data: Any) -> None:
        """Note a log entry; past MAX_LOG_ENTRIES of a run one last entry says that the rest was dropped."""
        self.entries += 1
        if self.entries > MAX_LOG_ENTRIES:
            return
        if self.entries == MAX_LOG_ENTRIES:
            level, message, data = "warning", f"more than {MAX_LOG_ENTRIES} log entries; the rest is dropped", None
        text = None if data is None else orjson.dumps(data, default=str).decode()
        if text is not None and len(text) > MAX_LOG_DATA:
            text = orjson.dumps({"dropped": f"{len(text)} characters of JSON"}).decode()
        message = message[:MAX_LOG_TEXT].encode("utf-8", "replace").decode()
        entry = LogEntry.entry(self.run.workspace_id, self.run.id, node_id, level, message, text)
        self._buffer.append(entry)
        self._logged += len(message) + len(text or "")
        if self._logged > MAX_LOG_BUFFER and not self._is_tied:
            # One node can log hundreds of megabytes before its step ends.
            self.flush().result()

    def flush(self, *more: Write) -> Future[list[int]]:
        """Hand the buffer and these writes to the writer, all or nothing; the future says when they are durable.

        Raises what an earlier flush of this run has met, and waits for it where the writer cannot keep up.
        """
        self._settle(wait=self._is_full())
        if self.done != self._told:
            self._buffer.append(self.run.tell_progress(self.done))
            self._told = self.done
        claims = self.run.claims
        steps = [
            # Of a run that was cancelled just now nothing must be there that it has not started or answered in time,
            # nor what hands that on.
            Step.begin_one(values, claims) if fenced else Step.save_one(values, claims, with_more=self._is_tied)
            for values, fenced in self._steps
        ]
        writes = [*self._buffer, *steps, *more]
        self._buffer, self._steps = [], []
        self._is_tied, self._logged = False, 0
        self._flushed_at = time.monotonic()
        # A disk that is nearly full may take a small end, and not the large step before it.
        flushed = self._last = self.submit(writes, self._last)
        self._pending.append(flushed)
        return flushed

    def finish(self, writes: Sequence[Write], whole: bool = False) -> list[int]:
        """Write what is left and the run's end; the row counts of `writes`. Everything is durable when this returns.

        Where nothing of the run is written yet, and it may be written as a `whole`, its row is written once, as it has
        come to be, and the conditions of `writes` are not asked for: nobody can have changed what was not there.
        """
        written = self._whole(self._all) if whole and self._whole is not None else None
        if written is not None:
            written.result()
            return [1]
        self._told = self.done  # the last of the writes tells it
        counts = self.flush(*writes).result()
        self._settle(wait=True)
        return counts[-len(writes) :]

    def whole(self) -> WholeRun:
        """The run that has ended, of which nothing is written yet."""
        steps = [values for values, _ in self._steps]
        return WholeRun(self.run, steps, [*self._buffer, *self.run.failure_entries()])

    def _all(self) -> list[Write]:
        return insertions([self.whole()])

    def _settle(self, wait: bool) -> None:
        for flushed in self._pending:
            if wait or flushed.done():
                flushed.result()
        self._pending = [flushed for flushed in self._pending if not flushed.done()]

    def _is_due(self) -> bool:
        return self._is_full() or time.monotonic() - self._flushed_at > OLD_SECONDS

    def _is_full(self) -> bool:
        return len(self._buffer) + len(self._steps) >= FULL_BUFFER


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
