"""What agents are, what they did step by step, and when a memory expires. The models here are frozen copies."""

from peewee import CompositeKey, FloatField, IntegerField, Model, TextField


class Agent(Model):
    workspace_id = TextField()
    id = TextField()
    name = TextField()
    definition = TextField()
    created_at = IntegerField()
    updated_at = IntegerField()

    class Meta:
        table_name = "agents"
        primary_key = CompositeKey("workspace_id", "id")


class AgentRun(Model):
    id = TextField(primary_key=True)
    workspace_id = TextField()
    agent_id = TextField()
    run_id = TextField()
    node_id = TextField()
    item_index = IntegerField()
    task = TextField()
    input = TextField(null=True)
    session = TextField()
    model = TextField(null=True)
    status = TextField()
    output = TextField(null=True)
    error_text = TextField(null=True)
    requests = IntegerField()
    tool_calls = IntegerField()
    input_tokens = IntegerField()
    output_tokens = IntegerField()
    cost = FloatField(null=True)
    created_at = IntegerField()
    finished_at = IntegerField(null=True)
    duration_ms = FloatField(null=True)

    class Meta:
        table_name = "agent_runs"
        indexes = (
            (("workspace_id", "id"), False),
            (("workspace_id", "agent_id", "session", "id"), False),
            (("run_id", "node_id", "item_index"), True),
        )


class AgentStep(Model):
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
        without_rowid = True


TABLES = [Agent, AgentRun, AgentStep]


def up(migrator, db):
    # No server has ever written a run of an agent before this one could.
    db.execute_sql("DROP TABLE agent_runs")
    with db.bind_ctx(TABLES, bind_refs=False, bind_backrefs=False):
        db.create_tables(TABLES, safe=False)
    db.execute_sql("ALTER TABLE agent_memories ADD COLUMN expires_at INTEGER")
    db.execute_sql("CREATE INDEX agent_memories_expiring ON agent_memories (expires_at) WHERE expires_at IS NOT NULL")
    db.execute_sql("CREATE INDEX agent_memories_newest ON agent_memories (workspace_id, agent_id, updated_at)")
    # Which of its questions a node asks that may ask several.
    db.execute_sql("ALTER TABLE waits ADD COLUMN question TEXT")
