"""Offers of pending runs to the workers, through the message broker.

An offer is only a hint and may be lost: the leader offers runs again that no process has claimed. The number of offers
is limited, because a long backlog must not flood the broker.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Container, Sequence

from database.queries import runs

from .queues import Lane, Queue

log = logging.getLogger("headrace.dispatch")
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
        self._offer_all(self._new.find_due([id_ for id_ in runs.find_claimable(MAX_NEW) if id_ not in but]))

    def repeat(self) -> None:
        """Offer again the runs that have been pending for DELAY_SECONDS. Only one process of the server calls this."""
        due = self._repeated.find_due(runs.find_claimable(MAX_REPEATED))
        if due:
            log.info("%d runs wait for a worker; they are offered to the broker again", len(due))
        self._offer_all(due)

    def _offer_all(self, run_ids: Sequence[str]) -> None:
        for run_id in run_ids:
            if (lane := self.find_lane(run_id)) is not None:
                self.broker.offer(run_id, lane)
