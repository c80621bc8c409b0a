"""Rate limit for APScheduler's warnings: under load it would log the same one at every tick."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable

QUIET_SECONDS = 60.0


class RateLimitFilter(logging.Filter):
    """Passes one message of a kind in QUIET_SECONDS, and counts the suppressed ones in the next.

    Messages are of one kind if they have the same logger and the same template.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._lock = threading.Lock()
        self._told: dict[tuple[str, str], tuple[float, int]] = {}  # kind to time of the last message, suppressed since

    def filter(self, record: logging.LogRecord) -> bool:
        """Return True if the record is to be logged."""
        kind, now = (record.name, str(record.msg)), self._clock()
        with self._lock:
            told_at, left_out = self._told.get(kind, (-QUIET_SECONDS, 0))
            if now - told_at < QUIET_SECONDS:
                self._told[kind] = (told_at, left_out + 1)
                return False
            self._told[kind] = (now, 0)
        if left_out:
            record.msg = f"{record.getMessage()} ({left_out} similar messages were suppressed)"
            record.args = ()
        return True


RATE_LIMIT = RateLimitFilter()


def limit_logging(names: Iterable[str]) -> None:
    """Limit these loggers of APScheduler to warnings and errors, at the rate of `RateLimitFilter`."""
    for name in names:
        logger = logging.getLogger(name)
        logger.setLevel(logging.WARNING)
        logger.addFilter(RATE_LIMIT)  # no effect if it is there already
