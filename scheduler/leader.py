"""Which process fires, and when it looks. Every process tries to be the leader; one is, and the others watch."""

from __future__ import annotations

import logging
from collections.abc import Callable

from models import Lease, Poll, Schedule, monotonic_ms, new_id, now_ms
from scheduler.cron import cron
from scheduler.firing import UNREADABLE, MayStart, fire_due

log = logging.getLogger("headrace.scheduler")
RIGHT = "leader"
LEASE_MS = 5_000
JUMP_MS = 5_000


class Leader:
    """One process's part in it. `tick` every half second, `stop` at the end.

    `on_fired` is given the ids of new runs, which are on the disk by then. `may_start`: see `fire_due`.
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
        """Fire what is due, if this process leads."""
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
        """Whether this process leads, as far as it knows without asking."""
        return self._leads and self.wall() < self._until

    def stop(self) -> None:
        """Let another process lead at once."""
        self._leads, self._until = False, 0
        try:
            Lease.drop(RIGHT, self.owner)
        except Exception as error:
            # Nothing else of the process's end may wait for that.
            log.warning("the right to fire could not be given up, so it lapses within %d ms: %s", LEASE_MS, error)

    def _lead(self, now: int) -> bool:
        """Whether this process leads; asks the database when half of the time is over, or never was true."""
        if self._leads and LEASE_MS // 2 < self._until - now <= LEASE_MS:
            return True
        leads = Lease.lead(RIGHT, self.owner, LEASE_MS, self.wall)
        self._until = now + LEASE_MS if leads else 0
        return leads

    def _clock_was_set(self, now: int) -> bool:
        """Whether the clock on the wall has jumped since the last tick."""
        shift, before = now - self.monotonic(), self._shift
        self._shift = shift
        return before is not None and abs(shift - before) > JUMP_MS


def realign(wall: Callable[[], int]) -> None:
    """Let no schedule wait for a moment that was computed while the clock was ahead.

    What has fired already does not fire again for it: its row in `schedule_fires` is there.
    """
    moved = Schedule.pull_intervals(wall)
    now = wall()
    for expression, timezone in Schedule.rhythms():
        try:
            first = cron(expression, timezone).after(now)
        except UNREADABLE as error:
            log.warning("the schedules with %r in %s do not fire: %s", expression, timezone, error)
            continue
        moved += Schedule.pull_cron(expression, timezone, first, now)
    if moved:
        log.warning("the clock was set: %d schedules were due too far ahead and have been computed anew", moved)
