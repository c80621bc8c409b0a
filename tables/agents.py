"""What agents leave behind: their runs and their memory."""

from __future__ import annotations

from typing import Any

from peewee import AutoField, CompositeKey, FloatField, IntegerField, ModelSelect, TextField

from database import matching, write
from tables.base import Base, new_id, now_ms


class AgentRun(Base):
    """One task given to an agent, and what came of it. It is a part of the run `run_id`: its node, its item.

    `output` is JSON: `{"text"}` or `{"data"}`. `cost` is in US dollars, None where the price of the model is not known.
    """

    prefix = "arun"
    id = TextField(primary_key=True)
    workspace_id = TextField()
    agent_id = TextField()
    run_id = TextField()
    node_id = TextField()
    item_index = IntegerField()
    task = TextField()
    input = TextField(null=True)
    session = TextField(default="")
    model = TextField(null=True)
    status = TextField()
    output = TextField(null=True)
    error_text = TextField(null=True)
    requests = IntegerField(default=0)
    tool_calls = IntegerField(default=0)
    input_tokens = IntegerField(default=0)
    output_tokens = IntegerField(default=0)
    cost = FloatField(null=True)
    created_at = IntegerField()
    finished_at = IntegerField(null=True)
    duration_ms = FloatField(null=True)

    class Meta:
        table_name = "agent_runs"

    @classmethod
    def select_where(cls, workspace_id: str, agent_id: str | None) -> ModelSelect:
        """The workspace's agent runs, of one agent where given."""
        query = cls.select().where(cls.workspace_id == workspace_id)
        return query if agent_id is None else query.where(cls.agent_id == agent_id)


class AgentStep(Base):
    """One thing that an agent did: `kind` is start, model or tool. `seq` orders the steps of an agent's run.

    `request` and `result` are JSON, without secrets; of a model's, they are what makes its answer known after a crash.
    """

    agent_run_id = TextField()
    seq = IntegerField()
    kind = TextField()
    name = TextField()
    status = TextField()
    request = TextField(null=True)
    result = TextField(null=True)
    error_text = TextField(null=True)
    prompt_chars = IntegerField(null=True)
    input_tokens = IntegerField(null=True)
    output_tokens = IntegerField(null=True)
    cost = FloatField(null=True)
    started_at = IntegerField()
    finished_at = IntegerField(null=True)
    duration_ms = FloatField(null=True)

    class Meta:
        table_name = "agent_steps"
        primary_key = CompositeKey("agent_run_id", "seq")


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
    expires_at = IntegerField(null=True)
    created_at = IntegerField()
    updated_at = IntegerField()

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
