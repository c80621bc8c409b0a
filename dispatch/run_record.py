"""The record of one run, from its acceptance to its end: which writes go to the disk together, and when.

The way of a run is accept → execute → record → commit: the dispatcher makes the record of a run that it accepts or
takes up, the executor hands it each step, the record gathers writes, and the recorder commits them.

claim    what makes a process the one that executes the run; the row counts the `claims`
fence    the condition of a write: the run is still of this claim, or still goes on
pure     a step without effects outside the run: doing it again costs nothing
tied     a write that goes with the next step: both are on the disk, or neither
durable  committed to the disk
whole    a run of which nothing is written before it has ended; then everything, as one unit

| step, and the run as it is on the disk | goes on | ended or cancelled | taken back, pending | claimed again |
|---|---|---|---|---|
| running, waiting (`Step.begin_one`) | written | dropped | dropped | dropped |
| ended (`Step.save_one`) | written | written | written | dropped |
| ended, with tied writes | written | written | dropped | dropped |
| ended and pure, after an answer or a start of another run | written | dropped | dropped | dropped |
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import orjson

import engine
from errors import Conflict, NodeError, Unavailable
from models import LogEntry, Needed, Run, Step, Wait, Write, now_ms

from .payloads import Payloads
from .recorder import Done, Recorder, Undone, WholeRun, insertions

log = logging.getLogger("headrace.dispatch")
FULL_BUFFER = 256  # writes and steps
OLD_SECONDS = 1.0
MAX_LOG_ENTRIES = 10_000
MAX_LOG_TEXT = 10_000  # characters of a message
MAX_LOG_DATA = 64 * 1024  # characters of JSON
MAX_LOG_BUFFER = 2**20  # characters


class RunTaken(BaseException):
    """The run no longer belongs to this process: it was cancelled, or claimed by a process that saw the lease expire.

    A BaseException, so that no handler of node errors catches it.
    """


def log_data(data: Any) -> str | None:
    """Return the data of a log entry as JSON text; a note of its size if it is longer than MAX_LOG_DATA."""
    text = None if data is None else orjson.dumps(data, default=str).decode()
    if text is not None and len(text) > MAX_LOG_DATA:
        return orjson.dumps({"dropped": f"{len(text)} characters of JSON"}).decode()
    return text


class RunRecord:
    """The writes of one run. Steps wait in a buffer, because a pure one can be done again at no cost:

    - before an impure node starts, everything so far and its `running` step are durable;
    - its result is handed to the recorder at once, and so is a step that waits if somebody was told of it;
    - pure steps go with the next of these, or when the buffer is full or a second old.

    The row of a new run goes to the disk with the first of its writes, or sooner if somebody has to know that it is
    there (`durable`); so a short run, whose caller waits for its end, costs one commit.
    """

    def __init__(
        self,
        recorder: Recorder,
        payloads: Payloads,
        run: Run,
        new: Callable[[], list[Write]] | None = None,
        noted: Sequence[Write] = (),
    ) -> None:
        """`new` makes the writes of a new run, its row first; `noted` go with that row, however it is written."""
        self.recorder, self.payloads, self.run = recorder, payloads, run
        self._id = str(run.id)  # to ask Peewee for it each time takes longer
        self.is_new = new is not None  # made by this process just now, so nothing of it is done yet
        self.is_claimed = False
        self._new, self._noted = new, noted
        self._accepted: Done | None = None
        self.last: Done | None = None  # of what was handed over, but for a whole run
        self._lock = threading.Lock()  # others make the run durable, and end it, while it is executed
        self.entries = 0
        self.done = 0  # nodes that are settled
        self._told = 0
        self._buffer: list[Write] = []
        self._is_tied = False  # something in it has to go with the next step
        self._is_fenced = False  # pure steps count only while the run goes on
        self._refusal: str | None = None  # what to say if the next step may not start what it does
        self._logged = 0  # characters of log entries in it
        self._steps: list[tuple[tuple[Any, ...], bool]] = []  # those that have ended, as values; which are fenced
        self._pending: list[Done] = []
        self._flushed_at = time.monotonic()

    # Accept and claim

    def begin(self, owner: str) -> bool:
        """Claim a new run whose row is not written yet for `owner`. Return False if it is written already."""
        with self._lock:
            if self.is_claimed or not self._new:
                return self.is_claimed
            run = self.run
            run.status, run.lease_owner, run.claims, run.started_at = "running", owner, 1, now_ms()
            writes = self._new()  # as the run is now: it may have ended when they are handed over
            self._new = lambda: writes
            self.is_claimed = True
        return True

    def go_on_as(self, claimed: Run) -> None:
        """Note that this process has claimed the run, whose row is `claimed`."""
        self.run, self.is_claimed, self.is_new = claimed, True, False

    def durable(self) -> list[int]:
        """Wait until the run's row is on the disk, and return the row counts of what was written with it.

        Raises: Unavailable if that failed, Conflict for a key that is taken.
        """
        if self._new:
            self.submit(())
        try:
            return [] if self._accepted is None else self._accepted.result()
        except Conflict:
            raise
        except Exception as error:
            log.error("run %s could not be accepted: %s", self.run.id, error)
            raise Unavailable(f"The run could not be recorded: {error}", retry_after=5) from error

    def is_durable(self) -> bool:
        """Return True if the row is on the disk, as far as is known without waiting."""
        return not self._new and (self._accepted is None or (self._accepted.done() and not self._accepted.exception()))

    def refuse(self, error: BaseException) -> bool:
        """Return True if the disk took no row of this run; then there will never be one."""
        with self._lock:
            if self._new:
                self._new, self._accepted = None, Done()
                self._accepted.set_exception(error)
        return self._accepted is not None and self._accepted.exception() is not None

    def submit(self, writes: Sequence[Write]) -> Done:
        """Hand writes to the recorder, after the row of the run and after what was handed over before.

        They fail if that does: a disk that is nearly full may take a small end, and not the large step before it.
        """
        with self._lock:
            new = [*self._new(), *self._noted] if self._new else ()
            flushed = self.last = self.recorder.submit([*new, *writes], self.last, revocable=bool(new))
            if new:
                # In this order: a reader without the lock must always see one of them.
                self._accepted, self._new = flushed, None
        return flushed

    # Steps

    def step(self, step: engine.Step, answers: bool = False) -> None:
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
        values = step.row(self._id, item, text, size)
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

    def _ended(self, step: engine.Step, values: tuple[Any, ...], answers: bool) -> None:
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
        is_due = self._is_full() or time.monotonic() - self._flushed_at > OLD_SECONDS
        if not step.pure or (wait is not None and wait.told) or (is_due and not answers):
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
        text = log_data(data)
        message = message[:MAX_LOG_TEXT].encode("utf-8", "replace").decode()
        entry = LogEntry.entry(self.run.workspace_id, self.run.id, node_id, level, message, text)
        self._buffer.append(entry)
        self._logged += len(message) + len(text or "")
        if self._logged > MAX_LOG_BUFFER and not self._is_tied:
            # One node can log hundreds of megabytes before its step ends.
            self.flush().result()

    def flush(self, *more: Write) -> Done:
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
        flushed = self.submit(writes)
        self._pending.append(flushed)
        return flushed

    def finish(self, writes: Sequence[Write], whole: bool = False) -> list[int]:
        """Write what is left and the run's end; the row counts of `writes`. Everything is durable when this returns.

        Where nothing of the run is written yet, and it may be written as a `whole`, its row is written once, as it has
        come to be, and the conditions of `writes` are not asked for: nobody can have changed what was not there.
        """
        if whole and (written := self._submit_whole()) is not None:
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

    def _submit_whole(self) -> Done | None:
        """Hand over the run as it has ended, with all that is written for it; None if some of it is written."""
        with self._lock:
            if not self._new:
                return None
            flushed = self.recorder.submit([*insertions([self.whole()]), *self._noted], revocable=True)
            self._accepted, self._new = flushed, None
        return flushed

    def _settle(self, wait: bool) -> None:
        for flushed in self._pending:
            if wait or flushed.done():
                flushed.result()
        self._pending = [flushed for flushed in self._pending if not flushed.done()]

    def _is_full(self) -> bool:
        return len(self._buffer) + len(self._steps) >= FULL_BUFFER
