"""The lease of a process: while it lasts, other processes leave the runs of this one alone.

`Dispatcher.sweep` (dispatcher.py) makes the runs of dead processes pending again.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable

from database import disconnect_thread, synchronize_clock
from database.base import new_id
from database.queries import claims, leases
from models import Run
from nodes.base import REGISTRY

from .run_record import RunTaken

log = logging.getLogger("headrace.dispatch")
BEATS_IN_A_LEASE = 3
END_SECONDS = 1.0  # in which the thread that renews the lease ends


class ProcessLease:
    """The lease of one process (`owner`), which covers all its runs. `seconds` is how long it lasts without a beat."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.owner, self.seconds, self.clock = "", seconds, clock
        self._alive_until = 0.0
        self._trusts_at = 0.0  # when it may take the silence of others for death
        self._heart: threading.Thread | None = None
        self._heart_stops = threading.Event()

    def take(self) -> None:
        """Take a new name, and begin the lease if the database can be written; else the next beat does."""
        self.owner = new_id("proc")
        try:
            self.beat()
        except Exception:
            # A process that fails at its start has gunicorn end the whole server. This one can still answer reads.
            log.exception("the database cannot be written; no runs are taken until it can")

    def beat(self) -> None:
        """Renew the lease. Raises: the errors of the database."""
        now, until = self.clock(), self._alive_until
        # What keeps this process from it, a full disk perhaps, keeps the others from it too: for a lease after that,
        # their silence does not mean that they are dead.
        trusts_at, self._trusts_at = self._trusts_at, math.inf
        leases.beat(self.owner, int(self.seconds * 1000), REGISTRY.list_types())
        synchronize_clock()
        # If the database was away, the lease of another process may have run out before it could be renewed.
        took = self.clock() - now
        has_lapsed = trusts_at == math.inf or 0 < until <= now or took > self.seconds / BEATS_IN_A_LEASE
        self._trusts_at = now + took + self.seconds if has_lapsed else trusts_at
        self._alive_until = now + self.seconds

    def is_alive(self) -> bool:
        """Return True if the lease is valid. Otherwise other processes would take over the runs of this one."""
        return self.clock() < self._alive_until

    def trusts_silence(self) -> bool:
        """Return True if a process whose lease has run out may be taken for dead."""
        return self.is_alive() and self.clock() >= self._trusts_at

    def check(self, run: Run) -> None:
        """Renew the lease if it has expired, before the run executes a node with effects.

        Raises: RunTaken if others have taken the run meanwhile; what the database raises if the lease cannot be
            renewed, so that others may take the run at any moment.
        """
        if self.is_alive():
            return
        self.beat()
        if not claims.is_still_claimed(run):
            raise RunTaken

    def keep(self) -> None:
        """Renew the lease in a thread of its own, which nothing delays, until `stop`."""
        self._heart_stops.clear()
        self._heart = threading.Thread(target=self._keep_beating, name="heartbeat", daemon=True)
        self._heart.start()

    def _keep_beating(self) -> None:
        try:
            while not self._heart_stops.wait(self.seconds / BEATS_IN_A_LEASE):
                try:
                    self.beat()
                except Exception as error:
                    log.error("the lease of this process cannot be renewed at the moment: %s", error)
        finally:
            disconnect_thread()

    def stop(self) -> None:
        """End the thread that renews the lease."""
        self._heart_stops.set()
        if self._heart is not None:
            self._heart.join(END_SECONDS)
            self._heart = None

    def end(self) -> None:
        """Release the lease, so that other processes take over the remaining runs at once."""
        leases.end(self.owner)
