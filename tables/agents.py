"""What agents remember."""

from __future__ import annotations

from typing import Any

from peewee import AutoField, IntegerField, ModelSelect, TextField

from database import matching, write
from tables.base import Base, new_id, now_ms


class AgentMemory(Base):
    """One thing that an agent remembers. The same agent, session and key are the same memory."""

    prefix = "mem"
    number = AutoField()
    id = TextField(unique=True)
    workspace_id = TextField()
    agent_id = TextField()
    session = TextField()
    key = TextField()
    content = TextField()
    tags = TextField()
    created_at = IntegerField()
    updated_at = IntegerField()
    expires_at = IntegerField(null=True)

    class Meta:
        table_name = "agent_memories"

    @classmethod
    def find(cls, id_: Any) -> AgentMemory | None:
        """The memory of this id; its primary key is the number that the full-text index knows it by."""
        found: AgentMemory | None = cls.get_or_none(cls.id == id_)
        return found

    @classmethod
    def put(cls, workspace_id: str, agent_id: str, session: str, key: str, **values: Any) -> AgentMemory:
        """Write the memory, replacing an earlier one of the same agent, session and key."""
        now = now_ms()
        same = (
            (cls.workspace_id == workspace_id)
            & (cls.agent_id == agent_id)
            & (cls.session == session)
            & (cls.key == key)
        )
        with write():
            row = cls.get_or_none(same)
            if row is None:
                ids = {"id": new_id("mem"), "workspace_id": workspace_id, "agent_id": agent_id, "session": session}
                found: AgentMemory = cls.create(**ids, key=key, created_at=now, updated_at=now, **values)
                return found
            for name, value in values.items():
                setattr(row, name, value)
            row.updated_at = now
            row.save()
        saved: AgentMemory = row
        return saved

    @classmethod
    def select_where(cls, workspace_id: str, search: str | None, **equal: str | None) -> ModelSelect:
        """The workspace's memories with these columns; `search` wants all of its words in key, content or tags."""
        query = cls.select().where(cls.workspace_id == workspace_id)
        for name, value in equal.items():
            if value is not None:
                query = query.where(getattr(cls, name) == value)
        return query if search is None else query.where(matching("agent_memories", search))
