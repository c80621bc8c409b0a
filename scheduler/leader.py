"""Leader election: one process fires schedules and polls triggers, under a lease; all others stand by."""

from __future__ import annotations

import logging
from collections.abc import Callable

from database import synchronize_clock
from database.base import monotonic_ms, new_id, now_ms
from database.queries import leases, schedules
from registry import registry
from scheduler.cron import get_cron
from scheduler.firing import UNREADABLE, MayStart, fire_due

log = logging.getLogger("headrace.scheduler")
LEASE_NAME = "leader"
LEASE_MS = 5_000
JUMP_MS = 5_000


class Leadership:
    """One process's part in the election of a leader, by a lease of `duration_ms` under this name."""

    def __init__(self, name: str, owner: str, duration_ms: int, wall: Callable[[], int]) -> None:
        self.name, self.owner, self.duration_ms, self.wall = name, owner, duration_ms, wall
        self._until = 0

    def is_valid(self) -> bool:
        """Return True if this process leads, judging by its last renewal of the lease."""
        return self.wall() < self._until

    def renew(self) -> bool:
        """Return True if this process leads. Asks the database only without a lease, or half-way through it."""
        now = self.wall()
        if self.duration_ms // 2 < self._until - now <= self.duration_ms:
            return True
        leads = leases.lead(self.name, self.owner, self.duration_ms, self.wall)
        self._until = now + self.duration_ms if leads else 0
        if leads:
            synchronize_clock()
        return leads

    def release(self) -> None:
        """Release the lease, so that another process can lead at once. Failures are only logged: more work follows."""
        self._until = 0
        try:
            leases.drop(self.name, self.owner)
        except Exception as error:
            log.warning(
                "Could not release the lease %r; it expires within %d ms: %s", self.name, self.duration_ms, error
            )


class Leader:
    """One process's part in the election. Call `tick` every half second, and `stop` at the end.

    `on_fired` receives the ids of new runs after their commit. `may_start`: see `fire_due`.

    A process is present, leading or standing by, as long as its ticks succeed, with gaps of a lease at most. Instants
    before that were missed, if no other process has fired them.
    """

    def __init__(
        self,
        on_fired: Callable[[list[str]], object],
        may_start: MayStart = lambda flow: None,
        wall: Callable[[], int] = now_ms,
        monotonic: Callable[[], int] = monotonic_ms,
    ) -> None:
        self.on_fired, self.may_start = on_fired, may_start
        self.wall, self.monotonic = wall, monotonic
        self.owner = new_id("lead")
        self._lease = Leadership(LEASE_NAME, self.owner, LEASE_MS, wall)
        self._led = False  # at the last tick
        self._shift: int | None = None
        self._present_since = self._last_tick = 0

    def tick(self) -> None:
        """Fire due schedules, if this process leads."""
        now = self.wall()
        shift, before = now - self.monotonic(), self._shift  # of the wall clock since the last tick
        self._shift = shift
        jumped = before is not None and abs(shift - before) > JUMP_MS
        if jumped or now - self._last_tick > LEASE_MS:
            self._present_since = now
        led, self._led = self._led, self._lease.renew()
        if self._led:
            if jumped or not led:
                realign(self.wall)
                registry.polls.take_over(self.owner, self.wall())
            runs = fire_due(now, self.may_start, self._present_since)
            if runs:
                self.on_fired(runs)
        self._last_tick = self.wall()

    def leads(self) -> bool:
        """Return True if this process leads, judging by its last renewal of the lease."""
        return self._lease.is_valid()

    def stop(self) -> None:
        """Release the lease, so that another process can lead at once."""
        self._led = False
        self._lease.release()


def realign(wall: Callable[[], int]) -> None:
    """Recompute schedules whose next time was computed while the clock was ahead.

    Instants that fired before do not fire again: they have a row in `schedule_fires`.
    """
    moved = schedules.restart_intervals(wall)
    now = wall()
    for expression, timezone in schedules.list_cron_rules():
        try:
            first = get_cron(expression, timezone).after(now)
        except UNREADABLE as error:
            log.warning("Schedules with the cron expression %r in %s cannot fire: %s", expression, timezone, error)
            continue
        moved += schedules.limit_cron(expression, timezone, first, now)
    if moved:
        log.warning("The clock was changed: recomputed %d schedules that were due too far ahead", moved)
