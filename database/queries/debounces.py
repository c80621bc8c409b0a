"""Debounced calls of triggers: runs that wait for more calls before they start.

The run of the first call is inserted at once, so the call is on record when it is answered; later calls change its
input. It starts when no call has come for a while.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from database import execute, fetch_value
from database.queries import runs
from database.queries.locks import lock_names, lock_runs
from models import Debounce, Run

COLLECTING = "more calls (debounce)"  # the column `waiting` of a run that collects calls
AT_ONCE = 500
MAX_STRETCH = 10  # maximum wait of the first call, as a multiple of the window
THIS = "workflow_id = ? AND node_id = ? AND key = ?"
KEEP = (
    "INSERT INTO debounces (workflow_id, node_id, key, run_id, first_at, due_at) VALUES (?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (workflow_id, node_id, key) DO UPDATE SET run_id = excluded.run_id, first_at = excluded.first_at, "
    "due_at = excluded.due_at"
)
DUE = "SELECT workflow_id, node_id, key, run_id FROM debounces WHERE due_at <= ? ORDER BY due_at LIMIT ?"
END = f"DELETE FROM debounces WHERE {THIS} AND run_id = ? AND due_at <= ?"
WAITS = "id = ? AND status = 'pending' AND waiting = ?"
START = f"UPDATE runs SET waiting = NULL, input = ?, input_bytes = ? WHERE {WAITS}"


class Window(NamedTuple):
    """The calls of one trigger with the same key, until `seconds` after the last of them."""

    workflow_id: str
    node_id: str
    key: str
    seconds: float

    @property
    def span(self) -> int:
        """Return its length in milliseconds."""
        return int(self.seconds * 1000)


def lock(windows: Collection[Window], now: int) -> tuple[dict[Window, Run], dict[Window, Run]]:
    """Return the runs of these windows that accept more calls, and those that are due but not started.

    No other transaction changes them until the end of this one.
    """
    lock_names("debounce", (" ".join(window[:3]) for window in windows))
    rows = {window: row for window in windows if (row := Debounce.one(THIS, *window[:3])) is not None}
    lock_runs(row.run_id for row in rows.values())
    taking: dict[Window, Run] = {}
    over: dict[Window, Run] = {}
    for window, row in rows.items():
        if (run := find_waiting(row.run_id)) is not None:
            (taking if row.due_at > now else over)[window] = run
    return taking, over


def find_waiting(run_id: str) -> Run | None:
    """Return the run if it still collects calls, or None."""
    return Run.one(WAITS, run_id, COLLECTING)


def begin(window: Window, run: Run, now: int) -> None:
    """Insert the run of a first call. Call inside a transaction, if the window has no run."""
    execute(*runs.insertion(run))
    execute(KEEP, (*window[:3], run.id, now, now + window.span))


def extend(window: Window, now: int) -> None:
    """Extend the window, at most to MAX_STRETCH times its length. Call inside a transaction."""
    longest = MAX_STRETCH * window.span
    sql = f"UPDATE debounces SET due_at = CASE WHEN first_at + ? < ? THEN first_at + ? ELSE ? END WHERE {THIS}"
    execute(sql, (longest, now + window.span, longest, now + window.span, *window[:3]))


def replace_input(run: Run, text: str) -> None:
    """Replace the input of the run. Call inside a transaction, after `lock`."""
    execute("UPDATE runs SET input = ?, input_bytes = NULL WHERE id = ?", (text, run.id))


def is_due(now: int) -> bool:
    """Return True if a window has ended."""
    return fetch_value(DUE, (now, 1)) is not None


def end_due(now: int) -> Iterable[Run]:
    """Delete windows that have ended, AT_ONCE at most. Yield their runs. Call inside a transaction."""
    found = execute(DUE, (now, AT_ONCE)).fetchall()
    lock_runs({run_id for *_, run_id in found})
    for *key, run_id in found:
        # A call may have extended the window meanwhile, or begun another one.
        if execute(END, (*key, run_id, now)).rowcount and (run := find_waiting(run_id)) is not None:
            yield run


def start(run: Run, text: str | None, size: int | None) -> None:
    """Make the run pending, with this input. Call inside a transaction."""
    execute(START, (text, size, run.id, COLLECTING))
