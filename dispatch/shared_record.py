"""The record of a run whose nodes are executed in several threads at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeAlias

import engine
from database.queries.units import Item
from models import Run

from .group_commit import Done
from .run_record import RunRecord


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
