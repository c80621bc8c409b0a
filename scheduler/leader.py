"""Leader election: one process fires schedules and polls triggers, under a lease; all others stand by."""

from __future__ import annotations

import logging
from collections.abc import Callable

from models import Lease, Poll, Schedule, monotonic_ms, new_id, now_ms
from scheduler.cron import get_cron
from scheduler.firing import UNREADABLE, MayStart, fire_due

log = logging.getLogger("headrace.scheduler")
LEASE_NAME = "leader"
LEASE_MS = 5_000
JUMP_MS = 5_000


class Leader:
    """One process's part in the election. Call `tick` every half second, and `stop` at the end.

    `on_fired` receives the ids of new runs after their commit. `may_start`: see `fire_due`.
    """

    def __init__(
        self,
        on_fired: Callable[[list[str]], object],
        may_start: MayStart | None = None,
        wall: Callable[[], int] = now_ms,
        monotonic: Callable[[], int] = monotonic_ms,
    ) -> None:
        self.on_fired, self.may_start = on_fired, may_start
        self.wall, self.monotonic = wall, monotonic
        self.owner = new_id("lead")
        self._until = 0
        self._leads = False
        self._shift: int | None = None

    def tick(self) -> None:
        """Fire due schedules, if this process leads."""
        now = self.wall()
        jumped = self._clock_was_set(now)
        led, self._leads = self._leads, self._lead(now)
        if not self._leads:
            return
        if jumped or not led:
            realign(self.wall)
            Poll.take_over(self.owner, self.wall())
        runs = fire_due(now, self.may_start)
        if runs:
            self.on_fired(runs)

    def leads(self) -> bool:
        """Return True if this process leads, judging by its last renewal of the lease."""
        return self._leads and self.wall() < self._until

    def stop(self) -> None:
        """Release the lease, so that another process can lead at once."""
        self._leads, self._until = False, 0
        try:
            Lease.drop(LEASE_NAME, self.owner)
        except Exception as error:
            # A failure must not prevent the rest of the shutdown.
            log.warning("Could not release the scheduler's lease; it expires within %d ms: %s", LEASE_MS, error)

    def _lead(self, now: int) -> bool:
        """Return True if this process leads. Asks the database only without a lease, or half-way through it."""
        if self._leads and LEASE_MS // 2 < self._until - now <= LEASE_MS:
            return True
        leads = Lease.lead(LEASE_NAME, self.owner, LEASE_MS, self.wall)
        self._until = now + LEASE_MS if leads else 0
        return leads

    def _clock_was_set(self, now: int) -> bool:
        """Return True if the wall clock has jumped since the last tick."""
        shift, before = now - self.monotonic(), self._shift
        self._shift = shift
        return before is not None and abs(shift - before) > JUMP_MS


def realign(wall: Callable[[], int]) -> None:
    """Recompute schedules whose next time was computed while the clock was ahead.

    Instants that fired before do not fire again: they have a row in `schedule_fires`.
    """
    moved = Schedule.pull_intervals(wall)
    now = wall()
    for expression, timezone in Schedule.rhythms():
        try:
            first = get_cron(expression, timezone).after(now)
        except UNREADABLE as error:
            log.warning("Schedules with the cron expression %r in %s cannot fire: %s", expression, timezone, error)
            continue
        moved += Schedule.pull_cron(expression, timezone, first, now)
    if moved:
        log.warning("The clock was changed: recomputed %d schedules that were due too far ahead", moved)
