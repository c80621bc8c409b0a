"""The primary server: a check that a new connection has reached it, and after a failover the new one."""

from __future__ import annotations

import threading

import psycopg

# PostgreSQL counts its promotions: the names of its log files begin with this number, the timeline.
TIMELINE = "SELECT left(pg_walfile_name(pg_current_wal_lsn()), 8)"
IF_WANTED = "If this is intended, because another database was restored, restart all processes of Headrace"


class Primary:
    """The newest timeline that this process has seen. An old primary that comes back has an older one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._timeline = 0

    def check(self, connection: psycopg.Connection) -> None:
        """Raise psycopg.OperationalError if this server is a standby, or the primary before a failover."""
        row = connection.execute("SELECT pg_is_in_recovery()").fetchone()
        if row is not None and row[0]:
            raise psycopg.OperationalError("this server of PostgreSQL is a standby, which cannot be written")
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
                f"this server of PostgreSQL was the primary before a failover (timeline {timeline}, the new one has "
                f"{newest}) and is not used. {IF_WANTED}"
            )
