"""The schedules of active flows, when each is due next, and the instants at which they have fired."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from peewee import CompositeKey, FloatField, IntegerField, TextField

from database import execute, write

from .base import DAY_MS, Base, now_ms

GRACE_MS = 60_000  # what is later than this is overdue
FIRES_KEPT_MS = 30 * DAY_MS
FIRES_AT_ONCE = 5_000


class Due(NamedTuple):
    """A schedule as the server reads it to fire it. Exactly one of `cron` and `every` (seconds) is set."""

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
THIS = "workflow_id = ? AND node_id = ?"
# As it was read: somebody else may have fired it meanwhile, or a change of the flow have begun it anew.
UNMOVED = f"{THIS} AND anchor_ms = ? AND next_at = ?"


class Schedule(Base):
    """A schedule node of an active flow.

    Its instants are those of its rhythm after `anchor_ms`. `next_at` is the first that has not been dealt with; equal
    to the anchor, it has yet to be found; null, there is none. `alerted_at` says that it was found overdue, and told.
    """

    workflow_id = TextField()
    node_id = TextField()
    workspace_id = TextField()
    cron = TextField(null=True)
    every = FloatField(null=True)
    timezone = TextField()
    catch_up = TextField()
    anchor_ms = IntegerField()
    next_at = IntegerField(null=True, index=True)
    alerted_at = IntegerField(null=True)

    class Meta:
        table_name = "schedules"
        primary_key = CompositeKey("workflow_id", "node_id")

    @classmethod
    def sync(cls, flow: Any, wanted: Iterable[tuple[str, Mapping[str, Any]]], now: int | None = None) -> None:
        """Have these schedules of the flow and no other: node id and config, its time zone resolved.

        Called in the transaction that changes the flow; with nothing unless the flow is active. One whose rhythm stays
        as it is goes on as it was, so that saving something else does not shift an hourly interval.
        """
        now = now_ms() if now is None else now
        configs = dict(wanted)
        with write():
            present = {row.node_id: row for row in cls.select().where(cls.workflow_id == flow.id)}
            for node_id in present.keys() - configs.keys():
                execute(f"DELETE FROM schedules WHERE {THIS}", (flow.id, node_id))
            for node_id, config in configs.items():
                cls._put(flow, node_id, config, present.get(node_id), now)

    @classmethod
    def _put(cls, flow: Any, node_id: str, config: Mapping[str, Any], present: Schedule | None, now: int) -> None:
        if present is not None and present.has_rhythm_of(config):
            sql = f"UPDATE schedules SET catch_up = ?, timezone = ? WHERE {THIS}"
            execute(sql, (config["catch_up"], config["timezone"], flow.id, node_id))
            return
        # Whoever has read the old one is not to take the new one for it, even within a millisecond.
        anchor = now if present is None else max(now, present.anchor_ms + 1)
        row = Due(
            flow.id, node_id, flow.workspace_id, config.get("cron"), config.get("every"), config["timezone"],
            config["catch_up"], anchor, anchor, None,
        )  # fmt: skip
        execute(f"REPLACE INTO schedules ({', '.join(row._fields)}) VALUES ({', '.join('?' * len(row))})", row)

    def has_rhythm_of(self, config: Mapping[str, Any]) -> bool:
        """Whether it fires when this config says. An interval is as long in one zone as in another."""
        same = (self.cron, self.every) == (config.get("cron"), config.get("every"))
        return same and (self.cron is None or self.timezone == config["timezone"])

    @classmethod
    def due(cls, now: int, limit: int) -> list[Due]:
        """Those for which an instant has come, the most overdue first."""
        return _read("next_at <= ? ORDER BY next_at LIMIT ?", now, limit)

    @classmethod
    def move(cls, due: Due, next_at: int | None) -> bool:
        """Go on to the next instant; False where the schedule is not as it was read any more. In a transaction."""
        sql = f"UPDATE schedules SET next_at = ?, alerted_at = NULL WHERE {UNMOVED}"
        return bool(execute(sql, (next_at, *_unmoved(due))).rowcount)

    @classmethod
    def drop(cls, due: Due) -> None:
        """Delete it, provided that it is as it was read. In a transaction."""
        execute(f"DELETE FROM schedules WHERE {UNMOVED}", _unmoved(due))

    # The clock was set

    @classmethod
    def rhythms(cls) -> list[tuple[str, str]]:
        """Every cron expression with its time zone, once."""
        sql = "SELECT DISTINCT cron, timezone FROM schedules WHERE cron IS NOT NULL"
        return [tuple(row) for row in execute(sql).fetchall()]

    @classmethod
    def pull_cron(cls, cron: str, timezone: str, first: int | None, now: int) -> int:
        """Let no schedule of this rhythm wait beyond `first`, its first instant after now; how many did."""
        sql = (
            "UPDATE schedules SET next_at = ?, anchor_ms = MIN(anchor_ms, ?) "
            "WHERE cron = ? AND timezone = ? AND COALESCE(next_at, 9e18) > ?"
        )
        with write():
            return int(execute(sql, (first, now, cron, timezone, first)).rowcount)

    @classmethod
    def pull_intervals(cls, wall: Callable[[], int]) -> int:
        """Begin every interval anew whose next instant is further away than it is long; how many there were."""
        next_at = "? + CAST(ROUND(every * 1000) AS INTEGER)"
        sql = f"UPDATE schedules SET next_at = {next_at}, anchor_ms = ? WHERE every IS NOT NULL AND next_at > {next_at}"
        with write():
            now = wall()  # an older time would find too far ahead what another leader has just moved on
            return int(execute(sql, (now, now, now)).rowcount)

    # What is overdue

    @classmethod
    def overdue(cls, now: int, workspace_id: str | None = None) -> int:
        """How many are later than the grace allows, of one workspace or of all."""
        sql, late = "SELECT COUNT(*) FROM schedules WHERE next_at < ?", now - GRACE_MS
        if workspace_id is None:
            return int(execute(sql, (late,)).fetchone()[0])
        return int(execute(f"{sql} AND workspace_id = ?", (late, workspace_id)).fetchone()[0])

    @classmethod
    def untold(cls, now: int, limit: int) -> list[Due]:
        """Those that are overdue without anybody having been told."""
        return _read("next_at < ? AND alerted_at IS NULL ORDER BY next_at LIMIT ?", now - GRACE_MS, limit)

    @classmethod
    def tell(cls, due: Due, now: int) -> bool:
        """Note that this one is told to be overdue; False where somebody else did, or it moved. In a transaction."""
        sql = f"UPDATE schedules SET alerted_at = ? WHERE {UNMOVED} AND alerted_at IS NULL"
        return bool(execute(sql, (now, *_unmoved(due))).rowcount)


def _read(where: str, *params: Any) -> list[Due]:
    return [Due(*row) for row in execute(f"{SELECT_DUE} WHERE {where}", params).fetchall()]


def _unmoved(due: Due) -> tuple[Any, ...]:
    return due.workflow_id, due.node_id, due.anchor_ms, due.next_at


class ScheduleFire(Base):
    """An instant at which a schedule fired; by its key, it never does again. Where it has no run, `note` says why."""

    workflow_id = TextField()
    node_id = TextField()
    instant = IntegerField()
    run_id = TextField(null=True)
    fired_at = IntegerField(index=True)
    note = TextField(null=True)

    class Meta:
        table_name = "schedule_fires"
        primary_key = CompositeKey("workflow_id", "node_id", "instant")

    @classmethod
    def take(cls, due: Due, instant: int, now: int, run_id: str | None, note: str | None = None) -> bool:
        """Fire at this instant; False where that was done already. In a transaction."""
        sql = (
            "INSERT OR IGNORE INTO schedule_fires (workflow_id, node_id, instant, run_id, fired_at, note) "
            "VALUES (?, ?, ?, ?, ?, ?)"
        )
        return bool(execute(sql, (due.workflow_id, due.node_id, instant, run_id, now, note)).rowcount)

    @classmethod
    def prune(cls, now: int | None = None) -> int:
        """Delete those of a month ago, but for the newest of each schedule that there is; how many."""
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
