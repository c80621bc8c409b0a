"""Agent definitions of workspaces. The built-in ones have no rows (definition/templates.py)."""

from __future__ import annotations

from peewee import CompositeKey, IntegerField, TextField

from database import fetch_value, write
from errors import Conflict

from .base import Base, now_ms
from .locks import lock_names

MAX_AGENTS = 200  # of a workspace


class Agent(Base):
    """`definition` is the complete definition as JSON, with id and name; ids are unique within a workspace."""

    workspace_id = TextField()
    id = TextField()
    name = TextField()
    definition = TextField()
    created_at = IntegerField()
    updated_at = IntegerField()

    class Meta:
        primary_key = CompositeKey("workspace_id", "id")

    @classmethod
    def keep(cls, workspace_id: str, id_: str, name: str, definition: str) -> Agent:
        """Insert a new agent. Raises: Conflict if the id is taken or the workspace has MAX_AGENTS agents."""
        now = now_ms()
        with write():
            lock_names("agents", (workspace_id,))
            if cls.named(workspace_id, id_) is not None:
                raise Conflict(f"id: an agent {id_!r} exists already; choose another id")
            if fetch_value("SELECT COUNT(*) FROM agents WHERE workspace_id = ?", (workspace_id,)) >= MAX_AGENTS:
                raise Conflict(f"The workspace has {MAX_AGENTS} agents, the maximum; delete some")
            row = {"name": name, "definition": definition, "created_at": now, "updated_at": now}
            return cls.add(workspace_id=workspace_id, id=id_, **row)

    @classmethod
    def named(cls, workspace_id: str, id_: str) -> Agent | None:
        """Return the workspace's agent with this id, or None."""
        return cls.one("workspace_id = ? AND id = ?", workspace_id, id_)

    @classmethod
    def of(cls, workspace_id: str, after: str, limit: int) -> list[Agent]:
        """Return the first `limit` agents of the workspace with ids after this one, by id."""
        return list(cls.each("workspace_id = ? AND id > ? ORDER BY id LIMIT ?", (workspace_id, after, limit)))

    def change(self, name: str, definition: str, expected: int | None = None) -> bool:
        """Set the definition. Return False if the row was deleted, or its last change is not the `expected` one."""
        with write():
            lock_names("agents", (self.workspace_id,))
            present = Agent.named(self.workspace_id, self.id)
            if present is None or expected not in (None, present.updated_at):
                return False
            self.name, self.definition = name, definition
            self.updated_at = max(now_ms(), present.updated_at + 1)
            self.save()
        return True
