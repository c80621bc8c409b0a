"""When a schedule fires: cron and fixed intervals, as triggers of APScheduler. Pure: the time is handed in.

An instant is in milliseconds since 1970 UTC. Fields of cron are read by cronsim (https://github.com/cuu508/cronsim),
on a clock without a zone; what a zone's own changes of the clock do is decided here, as Debian's cron has it:

- where minute and hour are given (no `*` at the beginning of either), a time that the clock skips comes right after
  the change, and one that the clock shows twice comes once, at the first;
- any other expression follows the clock as it is: what it skips does not come, what it shows twice comes twice.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from apscheduler.triggers.base import BaseTrigger
from cronsim import CronSim

DAY = 86_400
SECOND = timedelta(seconds=1)


class Rhythm(BaseTrigger):
    """A set of instants, in order."""

    zone: tzinfo = UTC

    @abstractmethod
    def after(self, instant: int) -> int | None:
        """The first instant after this one, or None where there is none any more."""

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """The first time after the previous one, else after now."""
        found = self.after(int((previous_fire_time or now).timestamp() * 1000))
        return None if found is None else datetime.fromtimestamp(found / 1000, self.zone)

    def between(self, after: int, until: int) -> Iterator[int]:
        """The instants later than `after`, up to `until` and with it, oldest first."""
        found = self.after(after)
        while found is not None and found <= until:
            yield found
            found = self.after(found)

    def newest(self, after: int, until: int) -> int | None:
        """The last of the instants between the two, found without going through all of them."""
        found = self.after(after)
        if found is None or found > until:
            return None
        # `after` never falls, so the last moment from which it is not past `until` is just before the one sought.
        low, high = after, until
        while high - low > 1:
            middle = (low + high) // 2
            found = self.after(middle)
            low, high = (low, middle) if found is None or found > until else (middle, high)
        return low + 1


class Every(Rhythm):
    """Every so many seconds after an anchor, which is no instant itself. All are counted from it, so without drift."""

    def __init__(self, seconds: float, anchor: int) -> None:
        self.interval, self.anchor = round(seconds * 1000), anchor

    def after(self, instant: int) -> int | None:
        """The first instant after this one."""
        passed = max(0, (instant - self.anchor) // self.interval)
        return self.anchor + (passed + 1) * self.interval


class Cron(Rhythm):
    """The times of a cron expression of five fields in a time zone."""

    def __init__(self, expression: str, timezone: str) -> None:
        self.zone = ZoneInfo(timezone)
        # cronsim knows zones too, but where the clock moves by half an hour it begins an hour in its middle.
        self._fields = CronSim(expression, datetime(2000, 1, 1))
        minute, hour = expression.split()[:2]
        self._is_fixed = not minute.startswith("*") and not hour.startswith("*")

    def after(self, instant: int) -> int | None:
        """The first instant after this one, None where no date within 50 years matches."""
        second = instant // 1000
        found = self._fixed(second) if self._is_fixed else self._following(second)
        return None if found is None else found * 1000

    def _fixed(self, start: int) -> int | None:
        local = self._match(self._local(start))
        while local is not None:
            found = self._first(local)
            if found > start:
                return found
            local = self._match(local)
        return None

    def _first(self, local: datetime) -> int:
        """When the clock shows this time, for the first time; where it never does, the moment at which it skips it."""
        shown = local.replace(tzinfo=self.zone)
        second = int(shown.timestamp())
        if self._local(second) == local:
            return second
        # Of a skipped time, the second reading (PEP 495) lies before the change and the first one behind it.
        change = self._change(int(shown.replace(fold=1).timestamp()), second)
        return second if change is None else change

    def _following(self, start: int) -> int | None:
        local = self._local(start)
        offset_from = start
        while True:
            match = self._match(local)
            if match is None:
                return None
            found = start + (match - local) // SECOND
            change = self._change(offset_from, found)
            if change is None:
                return found
            # The clock is set before it comes to that; go on from what it shows then.
            start, offset_from, local = change - 1, change, self._local(change) - SECOND

    def _match(self, local: datetime) -> datetime | None:
        """The first matching time after this one, on a clock that nobody sets."""
        fields = copy.copy(self._fields)
        fields.dt = local
        return next(fields, None)

    def _local(self, second: int) -> datetime:
        """What the clock shows."""
        return datetime.fromtimestamp(second, self.zone).replace(tzinfo=None, fold=0)

    def _offset(self, second: int) -> timedelta | None:
        return datetime.fromtimestamp(second, self.zone).utcoffset()

    def _change(self, start: int, end: int) -> int | None:
        """The first second after `start`, up to `end`, at which the clock differs from UTC by something else."""
        offset = self._offset(start)
        while start < end:
            stop = min(start + DAY, end)
            if self._offset(stop) != offset:
                while stop - start > 1:
                    middle = (start + stop) // 2
                    start, stop = (middle, stop) if self._offset(middle) == offset else (start, middle)
                return stop
            start = stop
        return None


@lru_cache(maxsize=4096)
def cron(expression: str, timezone: str) -> Cron:
    """The one rhythm of all schedules with this expression in this zone.

    Raises CronSimError, or for the zone ValueError, OSError or ZoneInfoNotFoundError.
    """
    return Cron(expression, timezone)
