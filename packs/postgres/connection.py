"""PostgreSQL connections with a time limit for each answer.

If the server hangs while its machine still acknowledges packets, TCP cannot distinguish it from a busy server.
Without a limit, a thread would wait for it even after a failover to a standby.
"""

from __future__ import annotations

import threading
from typing import Any, NoReturn

import psycopg
from psycopg.errors import _WaitTimeout


class ThreadTimeout(threading.local):
    """The timeout in seconds of this thread for a connection and for each answer; None: the timeout of the process."""

    seconds: float | None = None
    of_all: float | None = None  # of the process: the timeout for an answer in other threads; None: no timeout

    @property
    def for_answer(self) -> float | None:
        """Return the timeout in seconds of this thread for an answer; None: no timeout."""
        return self.of_all if self.seconds is None else self.seconds


limit = ThreadTimeout()


def limit_waits(seconds: float | None) -> None:
    """Set the timeout of this thread for a connection and for each answer; None: the timeout of the process."""
    limit.seconds = seconds


def limit_all_waits(seconds: float | None) -> None:
    """Set the timeout of the process for each answer; None: no timeout."""
    ThreadTimeout.of_all = seconds


class NotAnswered(psycopg.OperationalError):
    """The server has not answered in time. It is not asked on another connection, which could take as long again."""


def give_up(connection: psycopg.Connection) -> NoReturn:
    """Close the connection, because its next answer would belong to an earlier statement. Raises: NotAnswered."""
    connection.close()
    raise NotAnswered(f"PostgreSQL has not answered within {limit.for_answer} s")


class PostgresConnection(psycopg.Connection):
    """A connection that is closed if the server does not answer in time."""

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        try:
            return super().wait(gen, interval, limit.for_answer if timeout is None else timeout)
        except _WaitTimeout:
            if timeout is not None:
                raise
            give_up(self)
