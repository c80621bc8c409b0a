"""Commit numbers, by which a process finds out whether a commit has succeeded if the connection was lost during it.

Each transaction inserts its number together with COMMIT. If the connection is lost, the process inserts the same number
as void over another connection. If that succeeds, the transaction was not committed and never will be, because its own
insertion would fail. Otherwise the existing row shows which insertion was first. While the transaction is still open,
the insertion as void waits for its end.

PostgreSQL's own transaction id (xid) is not suitable: after a crash it may be used again.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

import psycopg

from database.shared import OutcomeUnknown

log = logging.getLogger("headrace.database")

ASK_SECONDS = 60.0  # timeout for finding out the outcome of a commit
ASK_AGAIN_SECONDS = 0.1
KEPT_SECONDS = 300.0  # until a process deletes its numbers
DAY_SECONDS = 86_400.0
VOID = "INSERT INTO commit_numbers (writer, number, is_void) VALUES (%s, %s, 1) ON CONFLICT (writer, number) DO NOTHING"
OLD_NUMBERS = "DELETE FROM commit_numbers WHERE writer = $1 AND number <= $2"
OLD_WRITERS = "DELETE FROM commit_numbers WHERE writer < $1"
IS_VOID = "SELECT is_void FROM commit_numbers WHERE writer = %s AND number = %s"


class CommitNumber(NamedTuple):
    """The number of one transaction. `deletions`: statements, with parameters, that delete old numbers."""

    writer: str
    number: int
    deletions: Sequence[tuple[str, tuple[str | int, ...]]]

    def insertion(self) -> str:
        """Return the SQL that the transaction executes together with COMMIT."""
        old = "".join([f"{_with_literals(*deletion)}; " for deletion in self.deletions])
        return f"{old}INSERT INTO commit_numbers (writer, number) VALUES ('{self.writer}', {self.number}); "

    def has_committed(self, connect: Callable[[], psycopg.Connection]) -> bool:
        """Return True if the transaction was committed, False if it never will be. Opens connections by `connect`.

        Raises: OutcomeUnknown if the database cannot be asked within ASK_SECONDS.
        """
        log.warning("the connection to PostgreSQL was lost during a commit; reading its outcome")
        end = time.monotonic() + ASK_SECONDS
        pause = threading.Event()
        while True:
            try:
                this = (self.writer, self.number)
                with connect() as connection:
                    connection.execute(VOID, this, prepare=False)
                    found = connection.execute(IS_VOID, this, prepare=False).fetchone()
                is_void = found is None or bool(found[0])
                log.info("the interrupted commit had %s", "failed" if is_void else "succeeded")
                return not is_void
            except psycopg.OperationalError as error:
                if time.monotonic() > end:
                    raise OutcomeUnknown from error
            pause.wait(ASK_AGAIN_SECONDS)


class CommitNumbers:
    """The numbers of this process. Its name, `writer`, begins with the time, by which old rows are deleted."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._writer = ""
        self._number = 0
        self._since = 0.0
        self._marks: deque[tuple[float, int]] = deque()  # times, each with the last number at that time

    def forget(self) -> None:
        """Use a new name from now on. Call before a fork, because names must be unique."""
        with self._lock:
            self._writer = ""

    def take(self) -> CommitNumber:
        """Return the next number."""
        with self._lock:
            now = time.monotonic()
            deletions: list[tuple[str, tuple[str | int, ...]]] = []
            if not self._writer or now - self._since > DAY_SECONDS:
                deletions.append((OLD_WRITERS, (self._begin(now),)))
            self._number += 1
            if not self._marks or now - self._marks[-1][0] >= 1:
                self._marks.append((now, self._number))
            if now - self._marks[0][0] > KEPT_SECONDS:
                deletions.append((OLD_NUMBERS, (self._writer, self._marks.popleft()[1])))
            return CommitNumber(self._writer, self._number, deletions)

    def _begin(self, now: float) -> str:
        """Choose a new name. Return a bound: all smaller names are at least two days old."""
        wall = int(time.time())
        self._writer, self._number, self._since = f"{wall:012d}_{secrets.token_hex(8)}", 0, now
        self._marks.clear()
        return f"{wall - 3 * int(DAY_SECONDS):012d}"


def _with_literals(sql: str, values: Sequence[str | int]) -> str:
    """Return the statement with its parameters as literals. They contain only letters, digits and `_`."""
    for number, value in enumerate(values, 1):
        sql = sql.replace(f"${number}", repr(value))
    return sql


def is_of_lost_connection(error: psycopg.Error) -> bool:
    """Return True if the connection was lost. A COMMIT may then have succeeded."""
    return isinstance(error, psycopg.OperationalError) and (error.sqlstate or "08").startswith(("08", "57P"))
