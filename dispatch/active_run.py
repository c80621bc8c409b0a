"""Active runs: requests to start a run, runs that this process has queued or executes, and tickets to wait for them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import engine
from database.base import Write
from engine import Plan
from models import Run
from nodes.credentials.keyring import Keyring

from .group_commit import Done
from .resources import Flow, StartOptions
from .run_record import RunRecord

# Makes a write that is committed together with a change of the run, or not at all, such as its audit log entry.
Note: TypeAlias = Callable[[Run], Write]
StepSeen: TypeAlias = Callable[[Run, engine.StepRecord], None]


class HandedBack(BaseException):
    """The process ends and releases this run. A BaseException, so that no handler of node errors catches it."""


class Active:
    """A run that this process has queued or executes. `ended` is set when it no longer does."""

    def __init__(self, record: RunRecord, plan: Plan) -> None:
        self.record, self.plan = record, plan
        self.taken_at = time.monotonic()
        self.is_suspect = record.run.deaths > 1
        self.ended = threading.Event()
        # A `respond` node has run, and that is durable; or the run has ended.
        self.answered = threading.Event() if plan.responding else self.ended
        self.stop_reason: str | None = None
        self.is_put_off = False  # it could not be read at the moment
        self.is_released = False  # the process ends: results of its nodes from now on do not count
        self.response: Any = None
        self.heard: Callable[[], object] | None = None  # called after each response, and at the end
        self.place: Any = None  # in a trace, as `Tracing.find_place` returned it
        self.keyring = Keyring()
        self.inputs: list[str] = []  # ids of child runs whose input is in a file

    @property
    def run(self) -> Run:
        """Return the run's row as this process knows it."""
        return self.record.run

    def respond(self, response: Any, flushed: Done) -> None:
        """Give the response to waiting callers once these writes are on the disk. The last of them is the step.

        If the step was not written, the run was cancelled or claimed by another process.
        """

        def tell(done: Done) -> None:
            if done.exception() or done.result()[-1:] == [0]:
                return
            if engine.is_response(response) and self.response is None:
                self.response = response
                self.answered.set()
            if self.heard is not None:
                self.heard()

        flushed.add_done_callback(tell)

    def end(self) -> None:
        """Wake all waiting callers: the run is no longer active in this process."""
        self.ended.set()
        self.answered.set()
        if self.heard is not None:
            self.heard()


class Start(NamedTuple):
    """A request to start a run.

    `trigger_node` is the trigger that fired (None: the run begins at all triggers), `key` the idempotency key.
    `options` change the flow for this run. The write of `note` is committed together with the run. `is_awaited`: a
    caller waits for its end, so the process that accepts it executes it. `run_id` is that of the new run, if the caller
    made it, as for files that are in place before the run. `request_hash` is that of the only request that `key` stands
    for.
    """

    flow: Flow
    input: Any
    triggered_by: str
    trigger_node: str | None = None
    key: str | None = None
    options: StartOptions | None = None
    note: Note | None = None
    is_awaited: bool = True
    run_id: str | None = None
    request_hash: str | None = None


class Ticket(NamedTuple):
    """A submitted run. `is_new` is False if the idempotency key had started it before; `active`: it runs here."""

    run: Run
    is_new: bool
    active: Active | None = None

    def durable(self) -> None:
        """Wait until the run is on the disk. Raises: Unavailable if that failed."""
        if self.active is not None:
            self.active.record.durable()
