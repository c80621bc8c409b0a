"""What runs, and the server itself, say to people."""

from __future__ import annotations

from typing import Self

from peewee import IntegerField, TextField

from tables.base import Base, Rows, Write, insert, new_id, now_ms


class LogEntry(Base):
    prefix = "log"
    id = TextField(primary_key=True)
    workspace_id = TextField()
    run_id = TextField(null=True)
    node_id = TextField(null=True)
    level = TextField()
    message = TextField()
    data = TextField(null=True)
    created_at = IntegerField()

    class Meta:
        table_name = "log_entries"

    @classmethod
    def entry(
        cls, workspace_id: str, run_id: str | None, node_id: str | None, level: str, message: str, data: str | None
    ) -> Write:
        """The write of a log entry, of a run or of the workspace."""
        row = {
            "id": new_id("log"), "workspace_id": workspace_id, "run_id": run_id, "node_id": node_id, "level": level,
            "message": message, "data": data, "created_at": now_ms(),
        }  # fmt: skip
        return insert("log_entries", row)

    @classmethod
    def select_where(cls, workspace_id: str, run_id: str | None, level: str | None) -> Rows[LogEntry]:
        """The workspace's entries, or those of one run, of one level where given."""
        where, of = ("workspace_id = ?", workspace_id) if run_id is None else ("run_id = ?", run_id)
        return Rows(cls, where, (of,)) if level is None else Rows(cls, f"{where} AND level = ?", (of, level))

    @classmethod
    def of(cls, run_id: str, limit: int, after: str | None) -> tuple[list[Self], str | None]:
        """The run's entries, oldest first, after the id `after`, and the id to go on from."""
        rows = list(cls.each("run_id = ? AND id > ? ORDER BY id LIMIT ?", (run_id, after or "", limit + 1)))
        return rows[:limit], rows[limit - 1].id if len(rows) > limit else None
