"""Runs that this process has queued or executes, and those who wait for them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import engine
from engine import Plan
from models import Run, Write
from nodes.credentials.keyring import Keyring

from .recorder import Done
from .resources import Flow
from .run_options import Options
from .run_record import RunRecord

# Makes a write that is to be done together with what is done to the run, or not at all: who did it, say.
Note: TypeAlias = Callable[[Run], Write]
StepSeen: TypeAlias = Callable[[Run, engine.Step], None]


class HandedBack(BaseException):
    """The process ends, and this run is given back unfinished. No handler of a node's errors may take it for one."""


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
        self.let_go = False  # the process ends without it: whatever its node still comes to does not count
        self.response: Any = None
        self.keyring = Keyring()
        self.inputs: list[str] = []  # the runs that it starts whose input lies in a file

    @property
    def run(self) -> Run:
        """The run's row, as far as this process knows it."""
        return self.record.run

    def respond(self, response: Any, flushed: Done) -> None:
        """Give the response to those who wait for it, once these writes are on the disk; the last is of the step.

        If that was not written, the run had been cancelled, or was no longer ours.
        """

        def tell(done: Done) -> None:
            if done.exception() or done.result()[-1:] == [0]:
                return
            if engine.is_response(response) and self.response is None:
                self.response = response
                self.answered.set()

        flushed.add_done_callback(tell)

    def end(self) -> None:
        """Let go of it, and wake those who wait."""
        self.ended.set()
        self.answered.set()


class Start(NamedTuple):
    """A request to start a run.

    `trigger_node` is the trigger that fired (None: the run begins at all triggers), `key` the idempotency key.
    `options` change the flow for this run. The write of `note` is committed together with the run.
    """

    flow: Flow
    input: Any
    triggered_by: str
    trigger_node: str | None = None
    key: str | None = None
    options: Options | None = None
    note: Note | None = None


class Ticket(NamedTuple):
    """A run that was submitted, whether it is new rather than the first of the same key, and where it is in hand."""

    run: Run
    is_new: bool
    active: Active | None = None

    def durable(self) -> None:
        """Wait until the run is on the disk. Raises: Unavailable if that failed."""
        if self.active is not None:
            self.active.record.durable()
