"""Metric sums of past days, from which the metrics of a year are read (see metrics.py).

A row of `workspace_days` counts the runs of a workspace that ended on a past day; a row of `flow_sums` those of a flow
that ended from its first day to the end of a day.

They are computed once a day from the counts of each flow and day. If a run is counted for a past day later, the
database deletes the sums of that day and of later ones: see METRICS in database/migrations/0037_baseline.py.

Updating a second table with every count would cost each run 10 µs (by a trigger) or 2 µs (by a statement), and a year
of each flow would still have to be summed. Sums may be missing but are never wrong.
"""

from __future__ import annotations

from database import execute, fetch_value, write

from .base import DAY_MS
from .locks import lock_names

SETTLED_DAYS = 2  # days after which a day has all of its runs: clocks differ, and commits may be late
DAYS_AT_ONCE = 8  # in a transaction; also the number of days with runs between two sums of a flow

COUNTS = "total, success, failed, duration_ms"
ADDED = "SUM(total), SUM(success), SUM(failed), SUM(duration_ms)"
LAST_DAY = "COALESCE((SELECT MAX(day) FROM workspace_days WHERE workspace_id = ?1), -1)"
LAST_SUM = "COALESCE((SELECT MAX(day) FROM flow_sums WHERE workspace_id = ?1), -1)"
# In key order, so that no more than these days are read.
UNSETTLED = f"SELECT 1 FROM run_days WHERE workspace_id = ?1 AND day > {LAST_DAY} AND day <= ?2 LIMIT 1"
SETTLE = (
    f"INSERT INTO workspace_days (workspace_id, day, {COUNTS}) SELECT ?1, day, {ADDED} FROM run_days "
    f"WHERE workspace_id = ?1 AND day > {LAST_DAY} AND day <= ?2 GROUP BY day ORDER BY day LIMIT {DAYS_AT_ONCE}"
)
SINCE_LAST_SUM = f"SELECT COUNT(*) FROM workspace_days WHERE workspace_id = ?1 AND day > {LAST_SUM}"
SUM_UP = (
    f"INSERT INTO flow_sums (workspace_id, day, workflow_id, {COUNTS}) SELECT ?1, {LAST_DAY}, workflow_id, {ADDED} "
    f"FROM (SELECT workflow_id, {COUNTS} FROM flow_sums WHERE workspace_id = ?1 AND day = {LAST_SUM} UNION ALL "
    f"SELECT workflow_id, {COUNTS} FROM run_days WHERE workspace_id = ?1 AND day > {LAST_SUM} AND day <= {LAST_DAY}"
    ") AS found GROUP BY workflow_id"
)


def settle_days(now: int) -> None:
    """Sum up the past days of all workspaces, a few in each transaction."""
    last = now // DAY_MS - SETTLED_DAYS
    for (workspace_id,) in execute("SELECT id FROM workspaces").fetchall():
        while fetch_value(UNSETTLED, (workspace_id, last)) is not None:
            with write():
                lock_names("days", (workspace_id,))
                execute(SETTLE, (workspace_id, last))
                if fetch_value(SINCE_LAST_SUM, (workspace_id,)) >= DAYS_AT_ONCE:
                    execute(SUM_UP, (workspace_id,))
