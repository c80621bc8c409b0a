"""What agents leave behind: their runs, step by step. What they remember is in memory.py."""

from __future__ import annotations

from peewee import CompositeKey, FloatField, IntegerField, ModelSelect, TextField

from tables.base import Base


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
