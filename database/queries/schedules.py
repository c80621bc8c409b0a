"""Schedules of active flows, their next due times, the instants at which they fired, and what is due next."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from database import execute, fetch_value, is_postgres, write
from database.base import DAY_MS, IN_LIST, LOCKED, encode_list, now_ms
from models import Schedule

GRACE_MS = 60_000  # a schedule later than this is overdue
FIRES_KEPT_MS = 30 * DAY_MS
FIRES_AT_ONCE = 5_000


class Due(NamedTuple):
    """A schedule as read for firing. Exactly one of `cron` and `every` (seconds) is set."""

    workflow_id: str
    node_id: str
    workspace_id: str
    cron: str | None
    every: float | None
    timezone: str
    catch_up: str
    anchor_ms: int
    next_at: int
    alerted_at: int | None


SELECT_DUE = f"SELECT {', '.join(Due._fields)} FROM schedules"
PUT = (
    f"INSERT INTO schedules ({', '.join(Due._fields)}) VALUES ({', '.join('?' * len(Due._fields))}) "
    "ON CONFLICT (workflow_id, node_id) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in Due._fields if name not in ("workflow_id", "node_id"))
)
THIS = "workflow_id = ? AND node_id = ?"
# Unchanged since it was read: another process may have fired it, or a change of the flow reset it.
UNMOVED = f"{THIS} AND anchor_ms = ? AND next_at = ?"


def sync(flow: Any, wanted: Iterable[tuple[str, Mapping[str, Any]]], now: int | None = None) -> None:
    """Set the flow's schedules to exactly these: node id and config, with its time zone resolved.

    An empty time zone is the workspace's.

    Call it in the transaction that changes the flow; with none unless the flow is active. A schedule whose rule is
    unchanged continues, so that saving something else does not shift an hourly interval.
    """
    now = now_ms() if now is None else now
    configs = dict(wanted)
    with write():
        if not all(config["timezone"] for config in configs.values()):
            # Locked, so that it does not change before the schedules are written.
            sql = f"SELECT timezone FROM workspaces WHERE id = ? {LOCKED}"
            zone = str(fetch_value(sql, (flow.workspace_id,)) or "UTC")
            configs = {id_: {**config, "timezone": config["timezone"] or zone} for id_, config in configs.items()}
        rows = Schedule.each(f"workflow_id = ? ORDER BY node_id {LOCKED}", (flow.id,))
        present = {row.node_id: row for row in rows}
        for node_id in present.keys() - configs.keys():
            execute(f"DELETE FROM schedules WHERE {THIS}", (flow.id, node_id))
        for node_id, config in configs.items():
            _put(flow, node_id, config, present.get(node_id), now)


def flows_with_zone(workspace_id: str, zone: str) -> list[str]:
    """Return the ids of the workspace's flows that have a schedule in this time zone, in their order."""
    sql = "SELECT DISTINCT workflow_id FROM schedules WHERE workspace_id = ? AND timezone = ? ORDER BY workflow_id"
    return [id_ for (id_,) in execute(sql, (workspace_id, zone)).fetchall()]


def _put(flow: Any, node_id: str, config: Mapping[str, Any], present: Schedule | None, now: int) -> None:
    if present is not None and has_rule_of(present, config):
        sql = f"UPDATE schedules SET catch_up = ?, timezone = ? WHERE {THIS}"
        execute(sql, (config["catch_up"], config["timezone"], flow.id, node_id))
        return
    # The anchors must differ even within a millisecond, so that a reader of the old schedule notices the change.
    anchor = now if present is None else max(now, present.anchor_ms + 1)
    row = Due(
        flow.id, node_id, flow.workspace_id, config.get("cron"), config.get("every"), config["timezone"],
        config["catch_up"], anchor, anchor, None,
    )  # fmt: skip
    execute(PUT, row)


def has_rule_of(schedule: Schedule, config: Mapping[str, Any]) -> bool:
    """Return True if it has the same instants as this config. An interval is the same in every time zone."""
    same = (schedule.cron, schedule.every) == (config.get("cron"), config.get("every"))
    return same and (schedule.cron is None or schedule.timezone == config["timezone"])


def due(now: int, limit: int) -> list[Due]:
    """Return due schedules, most overdue first."""
    return _read("next_at <= ? ORDER BY next_at LIMIT ?", now, limit)


def lock(due: Iterable[Due] | None = None) -> None:
    """Lock these schedules, or all, on PostgreSQL, in the order of all transactions. Call before several writes."""
    if not is_postgres():
        return
    order = f"ORDER BY workflow_id, node_id {LOCKED}"
    if due is None:
        execute(f"SELECT 1 FROM schedules {order}")
    else:
        ids = encode_list({one.workflow_id for one in due})
        execute(f"SELECT 1 FROM schedules WHERE workflow_id {IN_LIST} {order}", (ids,))


def move(due: Due, next_at: int | None) -> bool:
    """Move to the next instant. Return False if the schedule has changed since it was read. In a transaction."""
    sql = f"UPDATE schedules SET next_at = ?, alerted_at = NULL WHERE {UNMOVED}"
    return bool(execute(sql, (next_at, *_unmoved(due))).rowcount)


def drop(due: Due) -> None:
    """Delete it if it has not changed since it was read. Call inside a transaction."""
    execute(f"DELETE FROM schedules WHERE {UNMOVED}", _unmoved(due))


def list_cron_rules() -> list[tuple[str, str]]:
    """Return every distinct cron expression with its time zone."""
    sql = "SELECT DISTINCT cron, timezone FROM schedules WHERE cron IS NOT NULL"
    return [tuple(row) for row in execute(sql).fetchall()]


def limit_cron(cron: str, timezone: str, first: int | None, now: int) -> int:
    """Limit `next_at` of schedules with this rule to `first`, its first instant after now. Return their number."""
    sql = (
        "UPDATE schedules SET next_at = ?, anchor_ms = CASE WHEN anchor_ms < ? THEN anchor_ms ELSE ? END "
        "WHERE cron = ? AND timezone = ? AND (next_at IS NULL OR next_at > ?)"
    )
    with write():
        lock()
        return int(execute(sql, (first, now, now, cron, timezone, first)).rowcount)


def restart_intervals(wall: Callable[[], int]) -> int:
    """Restart every interval whose next instant is further away than its length. Return their number."""
    next_at = "? + CAST(ROUND(every * 1000) AS BIGINT)"
    sql = f"UPDATE schedules SET next_at = {next_at}, anchor_ms = ? WHERE every IS NOT NULL AND next_at > {next_at}"
    with write():
        lock()
        now = wall()  # with an older time, an instant just set by another leader would seem too far ahead
        return int(execute(sql, (now, now, now)).rowcount)


def overdue(now: int, workspace_id: str | None = None) -> int:
    """Return the number of overdue schedules, of one workspace or of all."""
    sql = "SELECT COUNT(*) FROM schedules WHERE next_at < ? AND workspace_id = COALESCE(?, workspace_id)"
    return int(fetch_value(sql, (now - GRACE_MS, workspace_id)))


def find_unreported(now: int, limit: int) -> list[Due]:
    """Return overdue schedules that have not been reported."""
    return _read("next_at < ? AND alerted_at IS NULL ORDER BY next_at LIMIT ?", now - GRACE_MS, limit)


def mark_reported(due: Due, now: int) -> bool:
    """Mark this one as reported. Return False if it was reported or has moved. Call inside a transaction."""
    sql = f"UPDATE schedules SET alerted_at = ? WHERE {UNMOVED} AND alerted_at IS NULL"
    return bool(execute(sql, (now, *_unmoved(due))).rowcount)


def _read(where: str, *params: Any) -> list[Due]:
    return [Due(*row) for row in execute(f"{SELECT_DUE} WHERE {where}", params).fetchall()]


def _unmoved(due: Due) -> tuple[Any, ...]:
    return due.workflow_id, due.node_id, due.anchor_ms, due.next_at


def take_instants(due: Due, instant: int, now: int, run_id: str | None, note: str | None = None) -> bool:
    """Record a firing at this instant. Return False if it was recorded already. Call inside a transaction."""
    sql = (
        "INSERT INTO schedule_fires (workflow_id, node_id, instant, run_id, fired_at, note) "
        "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
    )
    return bool(execute(sql, (due.workflow_id, due.node_id, instant, run_id, now, note)).rowcount)


def prune_fires(now: int | None = None) -> int:
    """Delete firings from a month ago, except the newest of each schedule. Return their number."""
    old = (
        "SELECT workflow_id, node_id, instant FROM schedule_fires AS old WHERE fired_at < ? AND (instant < "
        "(SELECT MAX(instant) FROM schedule_fires WHERE workflow_id = old.workflow_id AND node_id = old.node_id) "
        "OR NOT EXISTS (SELECT 1 FROM schedules WHERE workflow_id = old.workflow_id AND node_id = old.node_id)) "
        "LIMIT ?"
    )
    sql = f"DELETE FROM schedule_fires WHERE (workflow_id, node_id, instant) IN ({old})"
    before = (now_ms() if now is None else now) - FIRES_KEPT_MS
    total, gone = 0, FIRES_AT_ONCE
    while gone == FIRES_AT_ONCE:
        with write():
            gone = execute(sql, (before, FIRES_AT_ONCE)).rowcount
        total += gone
    return total


NEVER = 10**15  # sort key of an item without a next time
SCHEDULES = (
    "SELECT s.workflow_id, f.name, s.node_id, 'schedule' AS node_type, s.cron, s.every, s.timezone, "
    "CASE WHEN s.next_at > s.anchor_ms THEN s.next_at END AS next_at, "
    "CASE WHEN s.next_at < ?1 THEN 1 ELSE 0 END AS overdue, "
    "NULL AS polled_at, NULL AS last_error, COALESCE(s.next_at, ?2) AS place "
    "FROM schedules s JOIN workflows f ON f.id = s.workflow_id WHERE s.workspace_id = ?3"
)
# During a poll, `next_at` is the end of the claim; the poll was due when it was claimed.
POLL_DUE = "CASE WHEN p.owner IS NULL THEN p.next_at ELSE p.moved_at END"
POLLS = (
    f"SELECT p.workflow_id, f.name, p.node_id, p.type, NULL, p.every, NULL, {POLL_DUE}, "
    f"CASE WHEN p.next_at < ?1 THEN 1 ELSE 0 END, p.last_polled_at, p.last_error, {POLL_DUE} "
    "FROM polls p JOIN workflows f ON f.id = p.workflow_id WHERE p.workspace_id = ?3 AND p.next_at IS NOT NULL"
)
UPCOMING_PAGE = (
    f"SELECT * FROM ({SCHEDULES} UNION ALL {POLLS}) AS found "
    "WHERE (place, workflow_id, node_id) > (?4, ?5, ?6) ORDER BY place, workflow_id, node_id LIMIT ?7"
)
# The newest handled instant of a schedule: an entry of the table's key.
FIRED = "SELECT MAX(instant) FROM schedule_fires WHERE workflow_id = u.workflow_id AND node_id = u.node_id"
UPCOMING_NEXT = (
    "SELECT workflow_id, name, node_id, node_type, cron, every, timezone, next_at, overdue, "
    f"COALESCE(polled_at, ({FIRED})), last_error, place FROM ({UPCOMING_PAGE}) u ORDER BY place, workflow_id, node_id"
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
    found = execute(UPCOMING_NEXT, (now - GRACE_MS, NEVER, workspace_id, *place, limit + 1)).fetchall()
    rows = [Upcoming(*row) for row in found]
    return rows[:limit], rows[limit - 1].key if len(rows) > limit else None
