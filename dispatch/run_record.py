"""The record of one run, from its acceptance to its end: which writes go to the disk together, and when.

A run passes through accept → execute → record → commit: the dispatcher makes the record of a run that it accepts or
claims, the executor gives it each step, the record gathers writes, and the recorder commits them.

claim    makes a process the one that executes the run; the row counts the `claims`
fence    the condition of a write: the run still has this claim, or is still running
pure     of a step: without effects outside the run, so it can be repeated at no cost
tied     of a write: committed together with the next step, or not at all
durable  committed to the disk
whole    of a run: written only after its end, as one unit

| state of the step; of the run in the database: | running | ended or cancelled | pending again | claimed again |
|---|---|---|---|---|
| running, waiting (`steps.begin_one`, in `database/queries/steps.py`) | written | dropped | dropped | dropped |
| ended (`steps.save_one`) | written | written | written | dropped |
| ended, with tied writes | written | written | dropped | dropped |
| ended and pure, after an answer or a start of another run | written | dropped | dropped | dropped |
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import Any, TypeAlias

import orjson

import engine
from database.base import Needed, Write, now_ms
from database.queries import claims, logs, runs, waits
from database.queries import steps as step_queries
from database.queries.locks import FlowLock
from database.queries.runs import Item, Undone, Unit
from errors import Conflict, NodeError, Unavailable
from models import Run

from .payloads import Payloads
from .recorder import Done, Recorder, WholeRun, insertions

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
    - its result is submitted to the recorder at once, and so is a waiting step for which a notification was sent;
    - pure steps are submitted with the next of these, or when the buffer is full or a second old.

    The row of a new run is written with the first of its writes, or earlier if a caller needs it (`durable`); so a
    short run, whose caller waits for its end, costs one commit.
    """

    def __init__(
        self,
        recorder: Recorder,
        payloads: Payloads,
        run: Run,
        new: Callable[[], Unit] | None = None,
        noted: Sequence[Write] = (),
    ) -> None:
        """`new` makes the writes of a new run, its row first; `noted` are committed with that row."""
        self.recorder, self.payloads, self.run = recorder, payloads, run
        self._id = str(run.id)  # faster than asking Peewee for it each time
        self.is_new = new is not None  # just made by this process, so none of its steps is done
        self.is_claimed = False
        self._new, self._noted = new, noted
        self._accepted: Done | None = None
        self.last: Done | None = None  # the last submitted unit, unless the run is written whole
        self._lock = threading.Lock()  # other threads make the run durable, and end it, while it is executed
        self.entries = 0
        self.done = 0  # settled nodes
        self.loops: dict[str, int] = {}  # nodes whose items wait, and how many runs they may have open
        self._written_progress = 0
        self._buffer: list[Item] = []
        self._is_tied = False  # the buffer has writes that are tied to the next step
        self._is_fenced = False  # pure steps count only while the run is running
        self._refusal: str | None = None  # the error if the next step may not start its run
        self._logged = 0  # characters of log entries in the buffer
        self._steps: list[tuple[tuple[Any, ...], bool]] = []  # ended steps as values, and whether they are fenced
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

    def adopt_claim(self, claimed: Run) -> None:
        """Note that this process has claimed the run, whose row is `claimed`."""
        self.run, self.is_claimed, self.is_new = claimed, True, False

    def accept(self) -> Done | None:
        """Submit the row of a new run, unless that was done before. Return the unit with it; None if it is not new."""
        if self._new:
            self.submit(())
        return self._accepted

    def durable(self) -> list[int]:
        """Wait until the run's row is on the disk, and return the row counts of the writes committed with it.

        Raises: Unavailable if that failed, Conflict if the idempotency key exists.
        """
        accepted = self.accept()
        try:
            return [] if accepted is None else accepted.result()
        except Conflict:
            raise
        except Exception as error:
            log.error("run %s could not be accepted: %s", self.run.id, error, extra={"run_id": self.run.id})
            raise Unavailable(f"The run could not be recorded: {error}", retry_after=5) from error

    def is_durable(self) -> bool:
        """Return True if the row is on the disk, as far as is known without waiting."""
        return not self._new and (self._accepted is None or (self._accepted.done() and not self._accepted.exception()))

    def refuse(self, error: BaseException) -> bool:
        """Return True if the row of this run could not be written; then it never will be."""
        with self._lock:
            if self._new:
                self._new, self._accepted = None, Done()
                self._accepted.set_exception(error)
        return self._accepted is not None and self._accepted.exception() is not None

    def submit(self, writes: Unit) -> Done:
        """Submit writes to the recorder, after the row of the run and the writes submitted before.

        They fail if those fail: a disk that is nearly full may accept a small end, but not the large step before it.
        """
        with self._lock:
            new = [*self._new(), *self._noted] if self._new else ()
            flushed = self.last = self.recorder.submit([*new, *writes], self.last, revocable=bool(new))
            if new:
                # In this order: a reader without the lock must always see one of them.
                self._accepted, self._new = flushed, None
        return flushed

    # Steps

    def step(self, step: engine.StepRecord, answers: bool = False) -> None:
        """Record a step. A `running` step is durable when this returns.

        A step that `answers` a waiting caller counts only while the run is running.

        Raises: RunTaken if the step may not run, NodeError if the run that it starts was refused; then the step is not
            recorded, and its number is free.
        """
        if step.status == "running":
            self.confirm_running(self.submit_running(step))
            return
        text, size = None, None
        if step.output is not None:
            text, size = self.payloads.keep(self._id, f"step_{step.seq}", step.output, self.run.claims, is_patient=True)
        self.end_step(step, text, size, answers)

    def answer(self, step: engine.StepRecord) -> Done:
        """Record a step that answers a waiting caller. It is the last write of the returned unit."""
        self.step(step, answers=True)
        return self.flush()

    def submit_running(self, step: engine.StepRecord) -> Done:
        """Submit a `running` step. The node must not begin before `confirm_running`."""
        item = None if step.item is None else self._item(step.item)
        return self.flush(step_queries.begin_one(row_of(step, self._id, item, None, None), self.run.claims))

    def confirm_running(self, submitted: Done) -> None:
        """Wait until a `running` step is durable. Raises: RunTaken if it may not run."""
        is_begun = submitted.result()[-1]
        self._settle(wait=False)  # units are committed in order: those before this one are done
        if not is_begun:
            raise RunTaken

    def _item(self, item: bytes) -> str | None:
        """Return an item for the row. One that is too large is left out: it is a part of an earlier step's output."""
        return item.decode() if len(item) <= self.payloads.inline_bytes else None

    def end_step(self, step: engine.StepRecord, text: str | None, size: int | None, answers: bool) -> None:
        """Record a step that does not run any more. `text` and `size` are its output as the payloads keep it."""
        if answers:
            self._is_fenced = True
        item = None if step.item is None else self._item(step.item)
        values = row_of(step, self._id, item, text, size)
        wait, status, done = step.wait, step.status, self.done
        if wait is not None:
            place = step.node_id if step.item_index is None else f"{step.node_id}:{step.item_index}"
            begun = waits.begin(self.run.id, self.run.claims, place, step.seq, wait)
            self._buffer += (step_queries.begin_one(values, self.run.claims), begun)
            if wait.kind == "loop":
                self.loops[step.node_id] = wait.places
        else:
            self._steps.append((values, self._is_fenced and step.pure))
            is_settled = status != "repeated" and (status != "failed" or step.final or step.output is not None)
            if is_settled and step.item_index is None:
                self.done += 1
        # A step that answers is flushed by the caller, or with the end of the run.
        is_due = self._is_full() or time.monotonic() - self._flushed_at > OLD_SECONDS
        if not step.pure or (wait is not None and wait.told) or (is_due and not answers):
            self.flush()
        if self._refusal is not None:
            self._confirm_start(done)

    def _confirm_start(self, done: int) -> None:
        """Raise the error if the last step could not be recorded; `done` is the number of nodes settled before it."""
        refusal, self._refusal = self._refusal, None
        self.flush()
        try:
            self._settle(wait=True)
        except Undone:
            self._pending = []  # all earlier writes are recorded
            self.done = self._written_progress = done
            if not claims.is_still_claimed(self.run):
                raise RunTaken from None
            raise NodeError(str(refusal)) from None

    def add(self, item: Item) -> None:
        """Add a write that is tied to the next step: both are committed, or neither."""
        self._buffer.append(item)
        self._is_tied = True

    def start(self, run: Run, limit: int = 0, refusal: str = "") -> None:
        """Add a run that the next step starts: both are committed if this run is still running, or neither.

        If `limit` is not 0 and its flow has that many active runs at the commit, neither is written, and `step` raises
        NodeError with the text `refusal`.
        """
        if limit:
            self.flush()  # earlier writes: a refused start rolls back its unit
            self._refusal = refusal
            self.add(Needed(*runs.while_it_runs(self.run, runs.insertion_unless_busy(run, limit))))
            self.add(FlowLock(run.workflow_id, alone=True))
        else:
            self.add(runs.while_it_runs(self.run, runs.insertion(run)))
        self._is_fenced = True

    def log(self, node_id: str | None, level: str, message: str, data: Any) -> None:
        """Add a log entry. After MAX_LOG_ENTRIES of a run, one last entry says that the rest is dropped."""
        self.entries += 1
        if self.entries > MAX_LOG_ENTRIES:
            return
        if self.entries == MAX_LOG_ENTRIES:
            level, message, data = "warning", f"more than {MAX_LOG_ENTRIES} log entries; the rest is dropped", None
        text = log_data(data)
        message = message[:MAX_LOG_TEXT].encode("utf-8", "replace").decode()
        entry = logs.entry(self.run.workspace_id, self.run.id, node_id, level, message, text)
        self._buffer.append(entry)
        self._logged += len(message) + len(text or "")
        if self._logged > MAX_LOG_BUFFER and not self._is_tied:
            # One node can log hundreds of megabytes before its step ends.
            self.flush().result()

    def flush(self, *more: Item) -> Done:
        """Submit the buffer and these writes as one unit. The future ends when they are durable.

        If the buffer is full, wait for earlier units, since the writer cannot keep up. Raises: the error of an earlier
        unit of this run.
        """
        self._settle(wait=self._is_full())
        if self.done != self._written_progress:
            self._buffer.append(runs.write_progress(self.run, self.done))
            self._written_progress = self.done
        claims = self.run.claims
        steps = [
            # Fenced steps follow an answer to a caller, or the start of another run: both are void if the run was
            # cancelled before, so these steps are not written then.
            step_queries.begin_one(values, claims)
            if fenced
            else step_queries.save_one(values, claims, with_more=self._is_tied)
            for values, fenced in self._steps
        ]
        writes = [*self._buffer, *steps, *more]
        self._buffer, self._steps = [], []
        self._is_tied, self._logged = False, 0
        self._flushed_at = time.monotonic()
        flushed = self.submit(writes)
        self._pending.append(flushed)
        return flushed

    def finish(self, writes: Unit, whole: bool = False) -> list[int]:
        """Write the rest and the run's end, and return the row counts of `writes`. All is durable when this returns.

        If nothing of the run is written yet, and it may be written `whole`, its row is written once, in its final
        state, without the conditions of `writes`: no other process can have changed a row that does not exist.
        """
        written: Done | None = None
        if whole:
            with self._lock:
                if self._new:
                    written = self.recorder.submit([*insertions([self.whole()]), *self._noted], revocable=True)
                    self._accepted, self._new = written, None
        if written is not None:
            written.result()
            return [1]
        self._written_progress = self.done  # the write that ends the run has it
        counts = self.flush(*writes).result()
        self._settle(wait=True)
        return counts[-len(writes) :]

    def whole(self) -> WholeRun:
        """Return the ended run, of which nothing is written yet."""
        steps = [values for values, _ in self._steps]
        return WholeRun(self.run, steps, [*self._buffer, *runs.failure_entries(self.run)])

    def _settle(self, wait: bool) -> None:
        for flushed in self._pending:
            if wait or flushed.done():
                flushed.result()
        self._pending = [flushed for flushed in self._pending if not flushed.done()]

    def _is_full(self) -> bool:
        return len(self._buffer) + len(self._steps) >= FULL_BUFFER


@lru_cache(4096)
def _json_names(names: tuple[str, ...]) -> str:
    return orjson.dumps(names).decode()


def row_of(
    step: engine.StepRecord, run_id: str, item: str | None, output: str | None, output_bytes: int | None
) -> tuple[Any, ...]:
    """Return the values of the step's row, in the order of `database.queries.steps.STEP_COLUMNS`.

    `item` and `output` are the JSON texts as the row holds them; an output of `output_bytes` lies in a file.
    """
    return (
        run_id, step.seq, step.node_id, step.node_type, step.node_name, step.status, step.attempt,
        step.item_index, _json_names(step.inputs) if step.inputs else None, item, output, output_bytes,
        step.same_as, step.branch, step.error_text, step.started_at, step.finished_at, step.duration_ms,
        step.final, step.error_kind,
    )  # fmt: skip


# The record of a run whose nodes are executed in several threads at the same time.


class _OfThread(threading.local):
    """The writes of one thread that are tied to its next step, as calls that add them."""

    def __init__(self) -> None:
        self.tied: list[Callable[[], None]] = []


class SharedRecord:
    """A `RunRecord` that one thread uses at a time. All of them may wait for the disk at the same time, so that the
    `running` steps of several nodes cost one commit.

    Writes that are tied to a step wait for that of the same thread: each node is executed by one.
    """

    def __init__(self, record: RunRecord) -> None:
        self._record = record
        self._lock = threading.Lock()
        self._own = _OfThread()

    @property
    def run(self) -> Run:
        """Return the run's row as this process knows it."""
        return self._record.run

    def step(self, step: engine.StepRecord, answers: bool = False) -> None:
        """Do as `RunRecord.step`."""
        record = self._record
        if step.status == "running":
            with self._turn():
                submitted = record.submit_running(step)
            submitted.result()
            with self._lock:
                record.confirm_running(submitted)
            return
        text, size = None, None
        if step.output is not None:  # it may take long to keep
            claims = record.run.claims
            text, size = record.payloads.keep(
                str(self.run.id), f"step_{step.seq}", step.output, claims, is_patient=True
            )
        with self._turn():
            record.end_step(step, text, size, answers)

    def answer(self, step: engine.StepRecord) -> Done:
        """Do as `RunRecord.answer`."""
        with self._turn():
            return self._record.answer(step)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Have the record for this thread alone, with the writes that are tied to its next step."""
        with self._lock:
            tied, self._own.tied = self._own.tied, []
            for add in tied:
                add()
            yield

    def add(self, item: Item) -> None:
        """Do as `RunRecord.add` before this thread's next step."""
        self._own.tied.append(partial(self._record.add, item))

    def start(self, run: Run, limit: int = 0, refusal: str = "") -> None:
        """Do as `RunRecord.start` before this thread's next step."""
        self._own.tied.append(partial(self._record.start, run, limit, refusal))

    def flush(self, *more: Item) -> Done:
        """Do as `RunRecord.flush`."""
        with self._turn():
            return self._record.flush(*more)

    def log(self, node_id: str | None, level: str, message: str, data: Any) -> None:
        """Do as `RunRecord.log`."""
        with self._lock:
            self._record.log(node_id, level, message, data)


AnyRecord: TypeAlias = RunRecord | SharedRecord
