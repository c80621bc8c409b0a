"""Connections whose threads wait for an answer no longer than they may."""

from __future__ import annotations

import threading
from typing import Any

import psycopg
from psycopg.errors import _WaitTimeout


class Limit(threading.local):
    """The seconds for which this thread waits for a connection, and for each answer; None: until there is one."""

    seconds: float | None = None


limit = Limit()


def limit_waits(seconds: float | None) -> None:
    """Limit the time for which this thread waits for a connection, and for each answer. None: without a limit."""
    limit.seconds = seconds


class Connection(psycopg.Connection):
    """A connection that is closed if the server does not answer in time: the next answer would be a late one."""

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        try:
            return super().wait(gen, interval, limit.seconds if timeout is None else timeout)
        except _WaitTimeout as error:
            if timeout is not None:
                raise
            self.close()
            raise psycopg.OperationalError(f"PostgreSQL has not answered within {limit.seconds} s") from error
