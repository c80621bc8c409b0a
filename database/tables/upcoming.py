"""Upcoming schedules and polls of a workspace, from their tables."""

from __future__ import annotations

from typing import Any, NamedTuple

from database import execute

from .schedules import GRACE_MS

NEVER = 10**15  # sort key of an item without a next time
SCHEDULES = (
    "SELECT s.workflow_id, f.name, s.node_id, 'schedule' AS node_type, s.cron, s.every, s.timezone, "
    "CASE WHEN s.next_at > s.anchor_ms THEN s.next_at END AS next_at, "
    "CASE WHEN s.next_at < ?1 THEN 1 ELSE 0 END AS overdue, "
    "NULL AS polled_at, NULL AS last_error, COALESCE(s.next_at, ?2) AS place "
    "FROM schedules s JOIN workflows f ON f.id = s.workflow_id WHERE s.workspace_id = ?3"
)
# During a poll, `next_at` is the end of the claim; the poll was due when it was claimed.
DUE = "CASE WHEN p.owner IS NULL THEN p.next_at ELSE p.moved_at END"
POLLS = (
    f"SELECT p.workflow_id, f.name, p.node_id, p.type, NULL, p.every, NULL, {DUE}, "
    f"CASE WHEN p.next_at < ?1 THEN 1 ELSE 0 END, p.last_polled_at, p.last_error, {DUE} "
    "FROM polls p JOIN workflows f ON f.id = p.workflow_id WHERE p.workspace_id = ?3 AND p.next_at IS NOT NULL"
)
PAGE = (
    f"SELECT * FROM ({SCHEDULES} UNION ALL {POLLS}) AS found "
    "WHERE (place, workflow_id, node_id) > (?4, ?5, ?6) ORDER BY place, workflow_id, node_id LIMIT ?7"
)
# The newest handled instant of a schedule: an entry of the table's key.
FIRED = "SELECT MAX(instant) FROM schedule_fires WHERE workflow_id = u.workflow_id AND node_id = u.node_id"
NEXT = (
    "SELECT workflow_id, name, node_id, node_type, cron, every, timezone, next_at, overdue, "
    f"COALESCE(polled_at, ({FIRED})), last_error, place FROM ({PAGE}) u ORDER BY place, workflow_id, node_id"
)


class Upcoming(NamedTuple):
    """A schedule or a polled trigger of an active flow.

    `next_at` is null if there is no further instant, or if it is not computed yet. `last_at` is the newest instant of a
    schedule, fired or not, or the end of the last poll.
    """

    workflow_id: str
    workflow_name: str
    node_id: str
    node_type: str
    cron: str | None
    every: float | None
    timezone: str | None
    next_at: int | None
    overdue: int
    last_at: int | None
    last_error: str | None
    place: int

    @property
    def key(self) -> tuple[int, str, str]:
        """Return its sort key."""
        return self.place, self.workflow_id, self.node_id


def upcoming(
    workspace_id: str, now: int, limit: int, after: tuple[Any, ...] | None
) -> tuple[list[Upcoming], tuple[Any, ...] | None]:
    """Return the workspace's upcoming items after this key, soonest first, and the key for the next page."""
    place = after or (-1, "", "")
    found = execute(NEXT, (now - GRACE_MS, NEVER, workspace_id, *place, limit + 1)).fetchall()
    rows = [Upcoming(*row) for row in found]
    return rows[:limit], rows[limit - 1].key if len(rows) > limit else None
