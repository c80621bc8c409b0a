"""A bound on what APScheduler says: under load it would warn of the same thing at every tick."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable

QUIET_SECONDS = 60.0


class Seldom(logging.Filter):
    """Lets a message of a logger pass once in QUIET_SECONDS, and then says how many of its kind were left out.

    Messages are of one kind if they come from the same logger by the same template, whatever is filled in.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._lock = threading.Lock()
        self._told: dict[tuple[str, str], tuple[float, int]] = {}  # when a kind was told last, and how often not since

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
            record.msg = f"{record.getMessage()} (and {left_out} times more since this was said last)"
            record.args = ()
        return True


SELDOM = Seldom()


def quieten(names: Iterable[str]) -> None:
    """Have these loggers of APScheduler say warnings and errors only, and each seldom."""
    for name in names:
        logger = logging.getLogger(name)
        logger.setLevel(logging.WARNING)
        logger.addFilter(SELDOM)  # which changes nothing if it is there already
