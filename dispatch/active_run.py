"""A run that this process has in hand, from its acceptance to its end."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple, TypeAlias

import engine
from dispatch.recorder import Recorder
from engine import Plan
from errors import Conflict, Unavailable
from models import Run, Write, now_ms
from nodes.credentials.keyring import Keyring

log = logging.getLogger("headrace.dispatch")
# Makes a write that is to be done together with what is done to the run, or not at all: who did it, say.
Note: TypeAlias = Callable[[Run], Write]


class HandedBack(BaseException):
    """The process ends, and this run is given back unfinished. No handler of a node's errors may take it for one."""


class Active:
    """A run that this process has queued or executes. `ended` is set when it no longer does.

    `new` makes the writes of a new run, its row first. They go to the disk with the first thing that is written for it
    (`flush`), or sooner where somebody has to know that it is there (`durable`): so a short run, whose caller waits for
    its end, costs one commit. `noted` are writes that go with the row, however it is written.
    """

    def __init__(
        self,
        run: Run,
        plan: Plan,
        recorder: Recorder,
        new: Callable[[], list[Write]] | None = None,
        noted: Sequence[Write] = (),
    ) -> None:
        self.run, self.plan, self.recorder = run, plan, recorder
        self.is_new = new is not None  # made by this process just now, so nothing of it is done yet
        self.is_claimed = False
        self.taken_at = time.monotonic()
        self.is_suspect = run.deaths > 1
        self.ended = threading.Event()
        # A `respond` node has run, and that is durable; or the run has ended.
        self.answered = threading.Event() if plan.responding else self.ended
        self.stop_reason: str | None = None
        self.let_go = False  # the process ends without it: whatever its node still comes to does not count
        self.response: Any = None
        self.keyring = Keyring()
        self.inputs: list[str] = []  # the runs that it starts whose input lies in a file
        self._new, self._noted = new, noted
        self._accepted: Future[list[int]] | None = None
        self.last: Future[list[int]] | None = None  # of what was handed over, but for a whole run
        self._lock = threading.Lock()

    def begin(self, owner: str) -> bool:
        """Make a new run whose row is not written yet one that `owner` executes; False where it is written already."""
        with self._lock:
            if self.is_claimed or not self._new:
                return self.is_claimed
            run = self.run
            run.status, run.lease_owner, run.claims, run.started_at = "running", owner, 1, now_ms()
            writes = self._new()  # as the run is now: it may have ended when they are handed over
            self._new = lambda: writes
            self.is_claimed = True
        return True

    def flush(self, writes: Sequence[Write], after: Future[list[int]] | None = None) -> Future[list[int]]:
        """Hand the writes to the recorder, after the row of the run. They fail if what they come `after` has.

        Without that, they come after whatever was handed over last.
        """
        with self._lock:
            new = [*self._new(), *self._noted] if self._new else ()
            flushed = self.last = self.recorder.submit([*new, *writes], after or self.last, revocable=bool(new))
            if new:
                # In this order: who looks without the lock must not find neither of them.
                self._accepted, self._new = flushed, None
        return flushed

    def whole(self, writes: Callable[[], Sequence[Write]]) -> Future[list[int]] | None:
        """Hand over the run as it has ended, with all that is written for it; None where some of it is written."""
        with self._lock:
            if not self._new:
                return None
            flushed = self.recorder.submit([*writes(), *self._noted], revocable=True)
            self._accepted, self._new = flushed, None
        return flushed

    def durable(self) -> list[int]:
        """Return when the run's row is on the disk; the row counts of what was written with it.

        Unavailable where that failed, Conflict for a taken key.
        """
        if self._new:
            self.flush(())
        try:
            return [] if self._accepted is None else self._accepted.result()
        except Conflict:
            raise
        except Exception as error:
            log.error("run %s could not be accepted: %s", self.run.id, error)
            raise Unavailable(f"The run could not be recorded: {error}", retry_after=5) from error

    def is_durable(self) -> bool:
        """Whether the row is on the disk, as far as is known without waiting."""
        return not self._new and (self._accepted is None or (self._accepted.done() and not self._accepted.exception()))

    def refuse(self, error: BaseException) -> bool:
        """Whether there is no row of this run, since the disk did not take it; then there will never be one."""
        with self._lock:
            if self._new:
                self._new, self._accepted = None, Future()
                self._accepted.set_exception(error)
        return self._accepted is not None and self._accepted.exception() is not None

    def respond(self, response: Any, flushed: Future[list[int]]) -> None:
        """Give the response to who waits for it, as soon as these writes are on the disk; the last is of the step.

        Where that was not written, the run had been cancelled, or was no longer ours.
        """

        def tell(done: Future[list[int]]) -> None:
            if done.exception() or done.result()[-1:] == [0]:
                return
            if engine.is_response(response) and self.response is None:
                self.response = response
                self.answered.set()

        flushed.add_done_callback(tell)

    def end(self) -> None:
        """Let go of it, and tell who waits."""
        self.ended.set()
        self.answered.set()


class Ticket(NamedTuple):
    """What `submit` gives: the run, whether it is a new one rather than the first of the same key, and where it is."""

    run: Run
    is_new: bool
    active: Active | None = None
