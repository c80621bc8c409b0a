"""The clocks of a server: the time of day, and the clock that judges leases.

With SQLite, both are the machine's. With PostgreSQL, both are the database's: clocks of several machines differ.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

log = logging.getLogger("headrace.database")

NS = 1_000_000  # in a millisecond
MAX_ROUND_TRIP_NS = 1_000 * NS  # a measurement that took longer is too inexact to replace an earlier one
TOLD_MS = 2_000  # difference between two clocks from which it is logged

# By how much the database's time of day is ahead of this machine's monotonic clock; None: the machine's is used.
_ahead_ns: int | None = None
_has_told = False


class LeaseClock(NamedTuple):
    """A clock that judges leases, in milliseconds.

    `sql` is the time as SQL, with one parameter: `now()` for the present, more for later. `identity()` names the clock;
    times of other clocks cannot be compared with it.
    """

    identity: Callable[[], str]
    sql: str
    now: Callable[[], int]


def now_ns() -> int:
    """Return nanoseconds since 1970, UTC."""
    return time.time_ns() if _ahead_ns is None else time.monotonic_ns() + _ahead_ns


def get_clock() -> Callable[[], int]:
    """Return `now_ns`, or where the machine's time is used, the function behind it: a run asks for it often."""
    return time.time_ns if _ahead_ns is None else now_ns


def now_ms() -> int:
    """Return milliseconds since 1970, UTC."""
    return (time.time_ns() if _ahead_ns is None else time.monotonic_ns() + _ahead_ns) // NS


def monotonic_ms() -> int:
    """Return milliseconds of the monotonic clock, the same for all processes of the machine."""
    return time.monotonic_ns() // NS


@cache
def boot_id() -> str:
    """Return the id of this boot, since `monotonic_ms` restarts with each boot; empty if unknown."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def follow(ask: Callable[[], int] | None) -> None:
    """Have `now_ms` return the time that `ask` returns, in milliseconds, and go on by the monotonic clock.

    With None, `now_ms` returns the machine's own time.
    """
    global _ahead_ns, _has_told
    if ask is None:
        _ahead_ns, _has_told = None, False
        return
    before = time.monotonic_ns()
    now = ask()
    after = time.monotonic_ns()
    if _ahead_ns is None or after - before < MAX_ROUND_TRIP_NS:
        _ahead_ns = now * NS - (before + after) // 2
    ahead, told = time.time_ns() // NS - now, _has_told
    _has_told = abs(ahead) > TOLD_MS
    if _has_told and not told:
        side = "ahead of" if ahead > 0 else "behind"
        log.warning("this machine's clock is %.1f s %s the database's, which is used", abs(ahead) / 1000, side)
