"""Queues of pending runs: they bring ids of runs to the threads that execute them.

A queue may lose, repeat and reorder ids: the database decides which process executes a run. `LocalQueue` has threads of
this process. `CeleryQueue` (packs/celery/queue.py) brings ids from a message broker to workers on several machines.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Container, Sequence
from typing import Literal, NamedTuple, Protocol, TypeAlias

from database import disconnect_thread
from database.queries import claims

from .histograms import Counter
from .process_limits import SlowLane

log = logging.getLogger("headrace.dispatch")
Lane: TypeAlias = Literal["runs", "slow"]
LANES: tuple[Lane, ...] = ("runs", "slow")
Execute: TypeAlias = Callable[[str], None]  # executes the run with this id in the calling thread, if it still waits


class QueueState(NamedTuple):
    """The state of a queue. `depth` is the number of ids in it, as far as this process knows.

    `is_down`: ids are lost at the moment. `deaf_for`: seconds in which this process found pending runs itself while the
    queue brought none.
    """

    depth: int
    is_down: bool = False
    deaf_for: float = 0.0


class Queue(Protocol):
    """Brings ids of pending runs to the threads that execute them."""

    is_local: bool  # in this process, so it also accepts runs whose rows are not written yet

    def start(self, execute: Execute) -> None:
        """Begin to pass ids to `execute`. Call it after the fork."""

    def offer(self, run_id: str, lane: Lane) -> bool:
        """Add a run, without blocking or raising. Return False if the run waits for a place in its lane."""

    def note_missed(self) -> None:
        """Note that this process has found a pending run that the queue has not brought."""

    def state(self) -> QueueState:
        """Return the state for metrics."""

    def close(self) -> None:
        """Stop passing ids."""

    def stop(self, deadline: float) -> None:
        """Wait for the end of the threads, at most until this time of `time.monotonic`."""


class Broker(Queue, Protocol):
    """A queue between processes. Offers are counted by their result: `sent`, `failed`, or `dropped` without a try."""

    offer_counts: Counter


class LocalQueue:
    """Threads of this process, which execute runs in the order of their offers.

    There are at most `size` threads. Each is started when no other is idle, so an idle server has few. At most
    `max_slow` runs of the lane `slow` are executed at a time; the others wait.
    """

    is_local = True

    def __init__(self, threads: int, max_slow: int) -> None:
        self.size, self.max_slow = threads, max_slow
        self._offered: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._slow: SlowLane[str] = SlowLane(max_slow)
        self.threads: list[threading.Thread] = []
        self._execute: Execute | None = None
        self._lock = threading.Lock()
        self._may_grow = False
        self._idle = 0  # threads that take an id, or wait for one
        self._untaken = 0  # ids that no thread has taken yet

    def start(self, execute: Execute) -> None:
        """Start the first thread."""
        self._execute = execute
        with self._lock:
            self._may_grow = self.size > 0
            if self._may_grow:
                self._add_thread()

    def _add_thread(self) -> None:
        thread = threading.Thread(target=self._work, name=f"run-{len(self.threads)}", daemon=True)
        thread.start()
        self.threads.append(thread)
        self._idle += 1

    def _work(self) -> None:
        assert self._execute is not None
        try:
            while (run_id := self._offered.get()) is not None:
                with self._lock:
                    self._idle -= 1
                    self._untaken -= 1
                self._execute(run_id)
                with self._lock:
                    self._idle += 1
        finally:
            disconnect_thread()

    def _put(self, run_id: str) -> None:
        """Give the id to an idle thread, else to a new one."""
        with self._lock:
            self._untaken += 1
            if self._may_grow and self._untaken > self._idle and len(self.threads) < self.size:
                try:
                    self._add_thread()
                except RuntimeError as error:  # the system allows no more threads: the run waits for an existing one
                    log.warning("no thread could be started for a run: %s", error)
        self._offered.put(run_id)

    def offer(self, run_id: str, lane: Lane) -> bool:
        """Have a thread execute the run. Return False if it waits for a place in its lane."""
        if lane == "slow" and not self._slow.enter(run_id):
            return False
        self._put(run_id)
        return True

    def leave(self, run_id: str) -> None:
        """Give the place of an ended slow run to the next one."""
        if (following := self._slow.leave(run_id)) is not None:
            self._put(following)

    def take(self, seconds: float) -> str:
        """Return the next id, for a caller that executes it instead of a thread. Raises: queue.Empty after a time."""
        run_id = self._offered.get(timeout=seconds) or ""
        with self._lock:
            self._untaken -= 1
        return run_id

    @property
    def is_empty(self) -> bool:
        """Return True if no run waits for a thread."""
        return self._offered.empty()

    @property
    def waiting(self) -> int:
        """Return the number of slow runs that wait for a place in their lane."""
        return len(self._slow)

    @property
    def is_slow_lane_full(self) -> bool:
        """Return True if the next slow run would have to wait."""
        return self._slow.is_full

    def note_missed(self) -> None:
        """Do nothing: the queue is in this process, so it loses no run."""

    def state(self) -> QueueState:
        """Return the number of runs that wait for a thread or a place."""
        return QueueState(self._offered.qsize() + len(self._slow))

    def close(self) -> None:
        """Have each thread end after the runs that were offered before."""
        with self._lock:
            self._may_grow = False
            for _ in self.threads:
                self._offered.put(None)

    def stop(self, deadline: float) -> None:
        """Wait for the end of the threads."""
        for thread in self.threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        with self._lock:
            self.threads.clear()
            self._idle = 0


# Offers of pending runs to the workers, through the message broker.
#
# An offer is only a hint and may be lost: the leader offers runs again that no process has claimed. The number of
# offers is limited, because a long backlog must not flood the broker.

REPEAT_SECONDS = 60.0  # between two offers of a run by one process
DELAY_SECONDS = 10.0  # until the leader offers a pending run again
MAX_NEW = 100  # runs offered after an event
MAX_REPEATED = 1_000  # oldest pending runs that the leader offers again


class OfferTimes:
    """The times at which runs are offered: `delay` seconds after a run was first seen, then every REPEAT_SECONDS."""

    def __init__(self, delay: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.delay, self.clock = delay, clock
        self._next: dict[str, float] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Return the number of runs whose times are remembered."""
        return len(self._next)

    def find_due(self, run_ids: Sequence[str]) -> list[str]:
        """Return the ids of the runs that are due for an offer. Forget all runs that are not in `run_ids`."""
        with self._lock:
            now = self.clock()
            self._next = {run_id: self._next.get(run_id, now + self.delay) for run_id in run_ids}
            due = [run_id for run_id, at in self._next.items() if at <= now]
            self._next.update((run_id, now + REPEAT_SECONDS) for run_id in due)
        return due


class Offers:
    """Offers runs to a broker. `find_lane(run_id)` returns the lane of a run; None if it cannot be read."""

    def __init__(
        self, broker: Queue, find_lane: Callable[[str], Lane | None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.broker, self.find_lane = broker, find_lane
        self._new = OfferTimes(0.0, clock)
        self._repeated = OfferTimes(DELAY_SECONDS, clock)

    def offer(self, run_id: str, lane: Lane) -> None:
        """Offer a run that has just been accepted and committed."""
        self.broker.offer(run_id, lane)

    def offer_new(self, but: Container[str]) -> None:
        """Offer the oldest pending runs, except `but`, that this process has not offered lately."""
        self._offer_all(self._new.find_due([id_ for id_ in claims.find_claimable(MAX_NEW) if id_ not in but]))

    def repeat(self) -> None:
        """Offer again the runs that have been pending for DELAY_SECONDS. Only one process of the server calls this."""
        due = self._repeated.find_due(claims.find_claimable(MAX_REPEATED))
        if due:
            log.info("%d runs wait for a worker; they are offered to the broker again", len(due))
        self._offer_all(due)

    def _offer_all(self, run_ids: Sequence[str]) -> None:
        for run_id in run_ids:
            if (lane := self.find_lane(run_id)) is not None:
                self.broker.offer(run_id, lane)
