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


# The primary server: check that a new connection has reached it, not a standby or the primary before a failover.

# The timeline: the number of promotions, with which the names of the log files begin.
TIMELINE = "SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8)"
IF_WANTED = "If this is intended, because another database was restored, restart all processes of Headrace"


class Primary:
    """The newest timeline that this process has seen. A former primary that returns has an older one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._timeline = 0

    def check(self, connection: psycopg.Connection) -> None:
        """Raise psycopg.OperationalError if this server is a standby, or the primary before a failover."""
        row = connection.execute("SELECT pg_is_in_recovery()").fetchone()
        if row is not None and row[0]:
            raise psycopg.OperationalError("this PostgreSQL server is a standby, which is read-only")
        try:
            row = connection.execute(TIMELINE).fetchone()
        except psycopg.OperationalError:
            raise
        except psycopg.Error:
            return  # some providers do not offer these functions
        timeline = 0 if row is None else int(row[0], 16)
        with self._lock:
            newest = self._timeline = max(self._timeline, timeline)
        if timeline < newest:
            raise psycopg.OperationalError(
                f"this PostgreSQL server was the primary before a failover (its timeline is {timeline}, that of the "
                f"new primary is {newest}) and is not used. {IF_WANTED}"
            )
