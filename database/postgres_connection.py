"""PostgreSQL connections with a time limit for each answer.

If a server hangs while its machine still confirms what it receives, the network cannot tell it from a busy one.
Without a limit, a thread would wait for it even after a standby has taken its place.
"""

from __future__ import annotations

import threading
from typing import Any, NoReturn

import psycopg
from psycopg.errors import _WaitTimeout


class Limit(threading.local):
    """The seconds for which this thread waits for a connection, and for each answer; None: as others do."""

    seconds: float | None = None
    of_all: float | None = None  # of the class, for answers in threads without an own limit; None: until there is one

    @property
    def for_answer(self) -> float | None:
        """Return the seconds for which this thread waits for an answer; None: until there is one."""
        return self.of_all if self.seconds is None else self.seconds


limit = Limit()


def limit_waits(seconds: float | None) -> None:
    """Limit the time for which this thread waits for a connection, and for each answer. None: as others do."""
    limit.seconds = seconds


def limit_all_waits(seconds: float | None) -> None:
    """Limit the time for which threads wait for each answer. None: without a limit."""
    Limit.of_all = seconds


class NotAnswered(psycopg.OperationalError):
    """The server has not answered in time. Another connection would have the thread wait for as long again."""


def give_up(connection: psycopg.Connection) -> NoReturn:
    """Close the connection: the next answer would be a late one. Raises: NotAnswered."""
    connection.close()
    raise NotAnswered(f"PostgreSQL has not answered within {limit.for_answer} s")


class Connection(psycopg.Connection):
    """A connection that is closed if the server does not answer in time."""

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        try:
            return super().wait(gen, interval, limit.for_answer if timeout is None else timeout)
        except _WaitTimeout:
            if timeout is not None:
                raise
            give_up(self)
