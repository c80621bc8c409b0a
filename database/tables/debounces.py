"""Debounced calls of triggers: runs that wait for more calls before they start.

The run of the first call is inserted at once, so the call is on record when it is answered; later calls change its
input. It starts when no call has come for a while.
"""

from __future__ import annotations

from typing import NamedTuple

from peewee import CompositeKey, IntegerField, TextField

from database import execute, fetch_value, write

from .base import Base
from .locks import lock_runs
from .runs import Run

COLLECTING = "more calls (debounce)"  # the reason for which such a run waits
AT_ONCE = 500
MAX_STRETCH = 10  # the longest wait of the first call, in windows
KEEP = (
    "INSERT INTO debounces (workflow_id, node_id, key, run_id, first_at, due_at) VALUES (?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (workflow_id, node_id, key) DO UPDATE SET run_id = excluded.run_id, first_at = excluded.first_at, "
    "due_at = excluded.due_at"
)
END = "DELETE FROM debounces WHERE workflow_id = ? AND node_id = ? AND key = ? AND run_id = ? AND due_at <= ?"
START = "UPDATE runs SET waiting = NULL WHERE id = ? AND status = 'pending' AND waiting = ?"


class Window(NamedTuple):
    """The calls of one trigger with the same key, until `seconds` after the last of them."""

    workflow_id: str
    node_id: str
    key: str
    seconds: float


class Debounce(Base):
    """The run that waits for more calls. Times are in milliseconds."""

    workflow_id = TextField()
    node_id = TextField()
    key = TextField()
    run_id = TextField()
    first_at = IntegerField()
    due_at = IntegerField()

    class Meta:
        primary_key = CompositeKey("workflow_id", "node_id", "key")

    @classmethod
    def find_open(cls, window: Window, now: int) -> Run | None:
        """Return the run that still waits for calls, or None. In a transaction, its row is locked."""
        row = cls.one("workflow_id = ? AND node_id = ? AND key = ? AND due_at > ?", *window[:3], now)
        if row is None:
            return None
        lock_runs((row.run_id,))
        return Run.one("id = ? AND status = 'pending' AND waiting = ?", row.run_id, COLLECTING)

    @classmethod
    def begin(cls, window: Window, run: Run, now: int) -> None:
        """Insert the run of a first call. Call inside a transaction."""
        execute(*run.insertion())
        execute(KEEP, (*window[:3], run.id, now, now + int(window.seconds * 1000)))

    @classmethod
    def extend(cls, window: Window, now: int) -> None:
        """Wait for further calls, but not for ever. Call inside a transaction."""
        span = int(window.seconds * 1000)
        sql = (
            "UPDATE debounces SET due_at = CASE WHEN first_at + ? < ? THEN first_at + ? ELSE ? END "
            "WHERE workflow_id = ? AND node_id = ? AND key = ?"
        )
        longest = MAX_STRETCH * span
        execute(sql, (longest, now + span, longest, now + span, *window[:3]))

    @classmethod
    def replace_input(cls, run: Run, text: str | None, size: int | None) -> None:
        """Give the waiting run another input. Call inside a transaction, after `find_open`."""
        execute("UPDATE runs SET input = ?, input_bytes = ? WHERE id = ?", (text, size, run.id))

    @classmethod
    def wake(cls, now: int) -> bool:
        """Start the runs whose window is over, AT_ONCE at most. Return True if there were any."""
        due = "SELECT workflow_id, node_id, key, run_id FROM debounces WHERE due_at <= ? ORDER BY due_at LIMIT ?"
        if fetch_value(due, (now, 1)) is None:
            return False
        with write():
            found = execute(due, (now, AT_ONCE)).fetchall()
            lock_runs({run_id for *_, run_id in found})
            for *key, run_id in found:
                # A call may have extended the window since, or begun another one.
                if execute(END, (*key, run_id, now)).rowcount:
                    execute(START, (run_id, COLLECTING))
        return bool(found)
