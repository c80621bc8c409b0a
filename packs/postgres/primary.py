"""The primary server: checks that a new connection has reached it, not a standby or the primary before a failover."""

from __future__ import annotations

import threading

import psycopg

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
