"""The agents that a workspace has defined for itself. Those that are built in are no rows (templates.py)."""

from __future__ import annotations

from typing import Any

from peewee import CompositeKey, IntegerField, TextField

from database import execute, write
from errors import Conflict

from .base import Base, now_ms

MOST = 200  # of a workspace


class Agent(Base):
    """`definition` is the whole one as JSON, id and name included; the id is one within its workspace only."""

    workspace_id = TextField()
    id = TextField()
    name = TextField()
    definition = TextField()
    created_at = IntegerField()
    updated_at = IntegerField()

    class Meta:
        table_name = "agents"
        primary_key = CompositeKey("workspace_id", "id")

    @classmethod
    def keep(cls, workspace_id: str, id_: str, name: str, definition: str) -> Agent:
        """A new agent. Conflict for an id that the workspace has already, or where it has too many."""
        now = now_ms()
        with write():
            if cls.named(workspace_id, id_) is not None:
                raise Conflict(f"id: there is an agent {id_!r} already")
            if execute("SELECT COUNT(*) FROM agents WHERE workspace_id = ?", (workspace_id,)).fetchone()[0] >= MOST:
                raise Conflict(f"The workspace has {MOST} agents of its own, and may have no more; delete some")
            values: dict[str, Any] = {"name": name, "definition": definition, "created_at": now, "updated_at": now}
            return cls.add(workspace_id=workspace_id, id=id_, **values)

    @classmethod
    def named(cls, workspace_id: str, id_: str) -> Agent | None:
        """The workspace's own agent of this id."""
        return cls.one("workspace_id = ? AND id = ?", workspace_id, id_)

    @classmethod
    def of(cls, workspace_id: str, after: str, limit: int) -> list[Agent]:
        """The first so many of the workspace's own agents, by id, whose ids come after this one."""
        return list(cls.each("workspace_id = ? AND id > ? ORDER BY id LIMIT ?", (workspace_id, after, limit)))

    def change(self, name: str, definition: str, expected: int | None = None) -> bool:
        """Set the whole definition. False where it is gone, or was last changed at another time than `expected`."""
        with write():
            present = Agent.named(self.workspace_id, self.id)
            if present is None or expected not in (None, present.updated_at):
                return False
            self.name, self.definition = name, definition
            self.updated_at = max(now_ms(), present.updated_at + 1)
            self.save()
        return True
