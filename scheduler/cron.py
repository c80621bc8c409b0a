"""Fire times of cron and interval schedules. Pure: the time is passed in.

Instants are in milliseconds since 1970 UTC. cronsim (https://github.com/cuu508/cronsim) parses cron fields and matches
them on a clock without a time zone; changes of a zone's clock (DST) are handled here, as in Debian's cron:

- if minute and hour are given (neither starts with `*`), a time skipped by the clock fires right after the change, and
  a time shown twice fires once, at the first;
- any other expression follows the clock: a skipped time does not fire, a time shown twice fires twice.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from cronsim import CronSim

from constants import DAY

SECOND = timedelta(seconds=1)


class FireTimes(ABC):
    """A set of instants, in order."""

    @abstractmethod
    def after(self, instant: int) -> int | None:
        """Return the first instant after this one, or None if there is none."""

    def between(self, after: int, until: int) -> Iterator[int]:
        """Yield the instants after `after`, up to and including `until`, oldest first."""
        found = self.after(after)
        while found is not None and found <= until:
            yield found
            found = self.after(found)

    def newest(self, after: int, until: int) -> int | None:
        """Return the last instant between the two by bisection, without iterating over all of them."""
        found = self.after(after)
        if found is None or found > until:
            return None
        # `after` is monotonic: search the last moment whose next instant is not past `until`.
        low, high = after, until
        while high - low > 1:
            middle = (low + high) // 2
            found = self.after(middle)
            low, high = (low, middle) if found is None or found > until else (middle, high)
        return low + 1


class Interval(FireTimes):
    """A fixed interval in seconds from an anchor, which is not an instant. Computed from it, so without drift."""

    def __init__(self, seconds: float, anchor: int) -> None:
        self.interval, self.anchor = round(seconds * 1000), anchor

    def after(self, instant: int) -> int | None:
        """Return the first instant after this one."""
        passed = max(0, (instant - self.anchor) // self.interval)
        return self.anchor + (passed + 1) * self.interval


class Cron(FireTimes):
    """A cron expression of five fields in a time zone."""

    def __init__(self, expression: str, timezone: str) -> None:
        self.zone = ZoneInfo(timezone)
        # cronsim supports zones, too, but handles DST changes of half an hour wrongly.
        self._fields = CronSim(expression, datetime(2000, 1, 1))
        minute, hour = expression.split()[:2]
        self._is_fixed = not minute.startswith("*") and not hour.startswith("*")

    def after(self, instant: int) -> int | None:
        """Return the first instant after this one, or None if no date within 50 years matches."""
        second = instant // 1000
        found = self._fixed(second) if self._is_fixed else self._following(second)
        return None if found is None else found * 1000

    def _fixed(self, start: int) -> int | None:
        local = self._match(self._local(start))
        while local is not None:
            # When the clock first shows this time; if it never does, the moment of the change that skips it.
            shown = local.replace(tzinfo=self.zone)
            found = int(shown.timestamp())
            if self._local(found) != local:
                # For a skipped time, fold=1 (PEP 495) is before the change and fold=0 after it.
                change = self._change(int(shown.replace(fold=1).timestamp()), found)
                found = found if change is None else change
            if found > start:
                return found
            local = self._match(local)
        return None

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
            # The clock changes before that match: continue from the time it shows then.
            start, offset_from, local = change - 1, change, self._local(change) - SECOND

    def _match(self, local: datetime) -> datetime | None:
        """Return the first matching local time after this one, ignoring clock changes."""
        fields = copy.copy(self._fields)
        fields.dt = local
        return next(fields, None)

    def _local(self, second: int) -> datetime:
        """Return the local time at this second."""
        return datetime.fromtimestamp(second, self.zone).replace(tzinfo=None, fold=0)

    def _offset(self, second: int) -> timedelta | None:
        return datetime.fromtimestamp(second, self.zone).utcoffset()

    def _change(self, start: int, end: int) -> int | None:
        """Return the first second after `start`, up to `end`, with a different UTC offset; None if there is none."""
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
def get_cron(expression: str, timezone: str) -> Cron:
    """Return the shared Cron of all schedules with this expression and zone.

    Raises: CronSimError if the expression is invalid; ValueError, OSError or ZoneInfoNotFoundError if the zone is.
    """
    return Cron(expression, timezone)
