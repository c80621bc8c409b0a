"""The first schema. The models here are frozen copies: what this migration makes, not what the tables are now."""

from peewee import AutoField, BooleanField, CompositeKey, FloatField, IntegerField, Model, TextField


class User(Model):
    id = TextField(primary_key=True)
    email = TextField(unique=True)
    name = TextField()
    password_hash = TextField()
    created_at = IntegerField()

    class Meta:
        table_name = "users"


class Workspace(Model):
    id = TextField(primary_key=True)
    name = TextField()
    created_at = IntegerField()

    class Meta:
        table_name = "workspaces"


class Membership(Model):
    workspace_id = TextField()
    user_id = TextField(index=True)
    role = TextField()
    created_at = IntegerField()

    class Meta:
        table_name = "memberships"
        primary_key = CompositeKey("workspace_id", "user_id")
        without_rowid = True


class Session(Model):
    id = TextField(primary_key=True)
    token_hash = TextField(unique=True)
    user_id = TextField(index=True)
    workspace_id = TextField()
    created_at = IntegerField()
    expires_at = IntegerField(index=True)

    class Meta:
        table_name = "sessions"


class ApiToken(Model):
    id = TextField(primary_key=True)
    token_hash = TextField(unique=True)
    name = TextField()
    user_id = TextField()
    workspace_id = TextField(index=True)
    role = TextField()
    created_at = IntegerField()
    expires_at = IntegerField(null=True)

    class Meta:
        table_name = "api_tokens"


class LoginFailure(Model):
    key = TextField(primary_key=True)
    count = IntegerField()
    since = IntegerField(index=True)

    class Meta:
        table_name = "login_failures"


class Workflow(Model):
    id = TextField(primary_key=True)
    workspace_id = TextField()
    name = TextField()
    status = TextField()
    version = IntegerField()
    definition_json = TextField()
    created_at = IntegerField()
    updated_at = IntegerField()

    class Meta:
        table_name = "workflows"
        indexes = ((("workspace_id", "id"), False),)


class WorkflowVersion(Model):
    workflow_id = TextField()
    version = IntegerField()
    definition_json = TextField()
    created_at = IntegerField()
    created_by = TextField(null=True)

    class Meta:
        table_name = "workflow_versions"
        primary_key = CompositeKey("workflow_id", "version")


class Run(Model):
    id = TextField(primary_key=True)
    workspace_id = TextField()
    workflow_id = TextField()
    workflow_name = TextField()
    workflow_version = IntegerField(null=True)
    status = TextField()
    triggered_by = TextField()
    trigger_node = TextField(null=True)
    input = TextField(null=True)
    input_bytes = IntegerField(null=True)
    output = TextField(null=True)
    output_bytes = IntegerField(null=True)
    error_text = TextField(null=True)
    error_node_id = TextField(null=True)
    cancelled = BooleanField(default=False)
    recorded = BooleanField(default=False)
    waiting = TextField(null=True)
    created_at = IntegerField()
    started_at = IntegerField(null=True)
    finished_at = IntegerField(null=True)
    duration_ms = FloatField(null=True)
    lease_owner = TextField(null=True)
    claims = IntegerField(default=0)

    class Meta:
        table_name = "runs"
        indexes = (
            (("workspace_id", "id"), False),
            (("workspace_id", "status", "id"), False),
            (("workspace_id", "workflow_id", "id"), False),
            (("workspace_id", "triggered_by", "id"), False),
        )


class Step(Model):
    run_id = TextField()
    seq = IntegerField()
    node_id = TextField()
    node_type = TextField()
    node_name = TextField()
    status = TextField()
    attempt = IntegerField()
    item_index = IntegerField(null=True)
    inputs = TextField(null=True)
    item = TextField(null=True)
    output = TextField(null=True)
    output_bytes = IntegerField(null=True)
    same_as = TextField(null=True)
    branch = TextField(null=True)
    error_text = TextField(null=True)
    started_at = IntegerField()
    finished_at = IntegerField(null=True)
    duration_ms = FloatField(null=True)
    final = BooleanField(default=False)

    class Meta:
        table_name = "steps"
        primary_key = CompositeKey("run_id", "seq")
        without_rowid = True


class LogEntry(Model):
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
        indexes = ((("workspace_id", "id"), False), (("run_id", "id"), False))


class IdempotencyKey(Model):
    workflow_id = TextField()
    key = TextField()
    run_id = TextField(index=True)
    created_at = IntegerField(index=True)

    class Meta:
        table_name = "idempotency_keys"
        primary_key = CompositeKey("workflow_id", "key")


class RunDay(Model):
    workspace_id = TextField()
    workflow_id = TextField()
    day = IntegerField()
    total = IntegerField()
    success = IntegerField()
    failed = IntegerField()
    duration_ms = FloatField()

    class Meta:
        table_name = "run_days"
        primary_key = CompositeKey("workspace_id", "workflow_id", "day")
        without_rowid = True


class Lease(Model):
    name = TextField(primary_key=True)
    until = IntegerField()

    class Meta:
        table_name = "leases"


class StoreEntry(Model):
    workspace_id = TextField()
    key = TextField()
    value = TextField()
    expires_at = IntegerField(null=True, index=True)
    updated_at = IntegerField()

    class Meta:
        table_name = "store_entries"
        primary_key = CompositeKey("workspace_id", "key")


class AgentRun(Model):
    id = TextField(primary_key=True)
    workspace_id = TextField()
    agent_id = TextField()
    status = TextField()
    task = TextField()
    input = TextField(null=True)
    session = TextField(null=True)
    model = TextField(null=True)
    output = TextField(null=True)
    error_text = TextField(null=True)
    created_at = IntegerField()
    finished_at = IntegerField(null=True)
    duration_ms = FloatField(null=True)

    class Meta:
        table_name = "agent_runs"
        indexes = ((("workspace_id", "id"), False), (("workspace_id", "agent_id", "id"), False))


class AgentMemory(Model):
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

    class Meta:
        table_name = "agent_memories"
        indexes = ((("workspace_id", "agent_id", "session", "key"), True),)


TABLES = [
    User, Workspace, Membership, Session, ApiToken, LoginFailure, Workflow, WorkflowVersion, Run, Step, LogEntry,
    IdempotencyKey, RunDay, Lease, StoreEntry, AgentRun, AgentMemory,
]  # fmt: skip

# The indexes that the server's own questions use: what is there to claim, what is running.
UNFINISHED = (
    "CREATE INDEX runs_pending ON runs (id) WHERE status = 'pending'",
    "CREATE INDEX runs_running ON runs (id) WHERE status = 'running'",
)

# Full-text search over memories, kept by triggers so that no writer can forget it.
SEARCH = (
    "CREATE VIRTUAL TABLE agent_memories_fts USING fts5"
    "(key, content, tags, content = 'agent_memories', content_rowid = 'number')",
    "CREATE TRIGGER agent_memories_added AFTER INSERT ON agent_memories BEGIN "
    "INSERT INTO agent_memories_fts (rowid, key, content, tags) "
    "VALUES (new.number, new.key, new.content, new.tags); END",
    "CREATE TRIGGER agent_memories_removed AFTER DELETE ON agent_memories BEGIN "
    "INSERT INTO agent_memories_fts (agent_memories_fts, rowid, key, content, tags) "
    "VALUES ('delete', old.number, old.key, old.content, old.tags); END",
    "CREATE TRIGGER agent_memories_changed AFTER UPDATE ON agent_memories BEGIN "
    "INSERT INTO agent_memories_fts (agent_memories_fts, rowid, key, content, tags) "
    "VALUES ('delete', old.number, old.key, old.content, old.tags); "
    "INSERT INTO agent_memories_fts (rowid, key, content, tags) "
    "VALUES (new.number, new.key, new.content, new.tags); END",
)


def up(migrator, db):
    with db.bind_ctx(TABLES, bind_refs=False, bind_backrefs=False):
        db.create_tables(TABLES, safe=False)
    for statement in (*UNFINISHED, *SEARCH):
        db.execute_sql(statement)
