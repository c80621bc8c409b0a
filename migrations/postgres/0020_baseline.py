"""The schema of a new PostgreSQL database. It begins here; every later migration is one file for both engines.

It has the tables that SQLite has after 0020_node_types_of_processes.py, with the same names, columns, indexes and
predicates: tests/migrations/test_schemas.py compares the two. Types and their reasons:

- Times are milliseconds and sizes are bytes, so every number is a BIGINT.
- Flags are SMALLINT, not BOOLEAN: `recorded = 0` is then valid in both engines, and a partial index has the same
  predicate as its queries.
- Every TEXT column is sorted by bytes (`COLLATE "C"`, added by `_by_bytes`), as in SQLite. Lists are paged by ids, and
  the order of a natural language places `_` and `~` elsewhere and ignores case.
"""

import re

ACCOUNTS = (
    """CREATE TABLE users (
        id TEXT NOT NULL PRIMARY KEY,
        email TEXT NOT NULL,
        name TEXT NOT NULL,
        password_hash TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        set_up SMALLINT NOT NULL DEFAULT 1,
        is_admin SMALLINT NOT NULL DEFAULT 0,
        last_workspace_id TEXT
    )""",
    "CREATE UNIQUE INDEX user_email ON users (email)",
    """CREATE TABLE workspaces (
        id TEXT NOT NULL PRIMARY KEY,
        name TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        founder_id TEXT
    )""",
    """CREATE TABLE memberships (
        workspace_id TEXT NOT NULL,
        user_id TEXT NOT NULL,
        role TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        PRIMARY KEY (workspace_id, user_id)
    )""",
    "CREATE INDEX membership_user_id ON memberships (user_id)",
    """CREATE TABLE invitations (
        id TEXT NOT NULL PRIMARY KEY,
        workspace_id TEXT NOT NULL,
        email TEXT NOT NULL,
        role TEXT NOT NULL,
        token_hash TEXT NOT NULL,
        invited_by TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        expires_at BIGINT NOT NULL
    )""",
    "CREATE UNIQUE INDEX invitation_token_hash ON invitations (token_hash)",
    "CREATE UNIQUE INDEX invitation_workspace_id_email ON invitations (workspace_id, email)",
)

LOGINS = (
    """CREATE TABLE sessions (
        id TEXT NOT NULL PRIMARY KEY,
        token_hash TEXT NOT NULL,
        user_id TEXT NOT NULL,
        workspace_id TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        expires_at BIGINT NOT NULL,
        idle_at BIGINT NOT NULL DEFAULT 0
    )""",
    "CREATE UNIQUE INDEX session_token_hash ON sessions (token_hash)",
    "CREATE INDEX session_user_id ON sessions (user_id)",
    "CREATE INDEX session_expires_at ON sessions (expires_at)",
    """CREATE TABLE api_tokens (
        id TEXT NOT NULL PRIMARY KEY,
        token_hash TEXT NOT NULL,
        name TEXT NOT NULL,
        user_id TEXT NOT NULL,
        workspace_id TEXT NOT NULL,
        role TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        expires_at BIGINT
    )""",
    "CREATE UNIQUE INDEX apitoken_token_hash ON api_tokens (token_hash)",
    "CREATE INDEX apitoken_workspace_id ON api_tokens (workspace_id)",
    """CREATE TABLE login_failures (
        key TEXT NOT NULL PRIMARY KEY,
        count BIGINT NOT NULL,
        since BIGINT NOT NULL,
        last BIGINT NOT NULL
    )""",
    "CREATE INDEX loginfailure_since ON login_failures (since)",
    """CREATE TABLE login_addresses (
        user_id TEXT NOT NULL,
        address TEXT NOT NULL,
        at BIGINT NOT NULL,
        PRIMARY KEY (user_id, address)
    )""",
    "CREATE INDEX loginaddress_at ON login_addresses (at)",
)

# `server_counters` is only here: SQLite's change counters are in a file beside the database (database/changes.py).
SERVER = (
    """CREATE TABLE server_facts (
        name TEXT NOT NULL PRIMARY KEY,
        value TEXT NOT NULL
    )""",
    """CREATE TABLE server_counters (
        name TEXT NOT NULL PRIMARY KEY,
        value BIGINT NOT NULL
    )""",
    "INSERT INTO server_counters (name, value) VALUES ('settings', 1)",
    """CREATE TABLE leases (
        name TEXT NOT NULL PRIMARY KEY,
        until BIGINT NOT NULL,
        owner TEXT,
        process TEXT,
        node_types TEXT
    )""",
    """CREATE TABLE audit_entries (
        id TEXT NOT NULL PRIMARY KEY,
        workspace_id TEXT,
        user_id TEXT,
        user_email TEXT,
        token_name TEXT,
        action TEXT NOT NULL,
        target_type TEXT,
        target_id TEXT,
        target_name TEXT,
        changes TEXT NOT NULL,
        address TEXT,
        created_at BIGINT NOT NULL
    )""",
    "CREATE INDEX auditentry_workspace_id_id ON audit_entries (workspace_id, id)",
    "CREATE INDEX auditentry_workspace_id_action_id ON audit_entries (workspace_id, action, id)",
    "CREATE INDEX auditentry_workspace_id_user_id_id ON audit_entries (workspace_id, user_id, id)",
    "CREATE INDEX auditentry_workspace_id_target_id_id ON audit_entries (workspace_id, target_id, id)",
)

FLOWS = (
    """CREATE TABLE workflows (
        id TEXT NOT NULL PRIMARY KEY,
        workspace_id TEXT NOT NULL,
        name TEXT NOT NULL,
        status TEXT NOT NULL,
        version BIGINT NOT NULL,
        definition_json TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        updated_at BIGINT NOT NULL
    )""",
    "CREATE INDEX workflow_workspace_id_id ON workflows (workspace_id, id)",
    """CREATE TABLE workflow_versions (
        workflow_id TEXT NOT NULL,
        version BIGINT NOT NULL,
        definition_json TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        created_by TEXT,
        PRIMARY KEY (workflow_id, version)
    )""",
    """CREATE TABLE credentials (
        id TEXT NOT NULL PRIMARY KEY,
        workspace_id TEXT NOT NULL,
        name TEXT NOT NULL,
        type TEXT NOT NULL,
        data TEXT NOT NULL,
        hosts TEXT,
        created_at BIGINT NOT NULL,
        updated_at BIGINT NOT NULL
    )""",
    "CREATE UNIQUE INDEX credential_workspace_id_name ON credentials (workspace_id, name)",
    """CREATE TABLE presets (
        id TEXT NOT NULL PRIMARY KEY,
        workspace_id TEXT NOT NULL,
        source TEXT NOT NULL,
        title TEXT NOT NULL,
        key TEXT NOT NULL,
        name TEXT NOT NULL,
        description TEXT NOT NULL,
        tags TEXT NOT NULL,
        node_json TEXT NOT NULL,
        parameters_json TEXT NOT NULL,
        credential_type TEXT,
        created_at BIGINT NOT NULL
    )""",
    "CREATE UNIQUE INDEX preset_workspace_id_source_key ON presets (workspace_id, source, key)",
    "CREATE INDEX preset_workspace_id_id ON presets (workspace_id, id)",
    """CREATE TABLE store_entries (
        workspace_id TEXT NOT NULL,
        key TEXT NOT NULL,
        value TEXT NOT NULL,
        expires_at BIGINT,
        updated_at BIGINT NOT NULL,
        PRIMARY KEY (workspace_id, key)
    )""",
    "CREATE INDEX storeentry_expires_at ON store_entries (expires_at)",
)

TRIGGERS = (
    """CREATE TABLE webhooks (
        path TEXT NOT NULL,
        method TEXT NOT NULL,
        workflow_id TEXT NOT NULL,
        node_id TEXT NOT NULL,
        workspace_id TEXT NOT NULL,
        credential_id TEXT,
        PRIMARY KEY (path, method)
    )""",
    "CREATE INDEX webhook_workflow_id ON webhooks (workflow_id)",
    "CREATE INDEX webhook_credential_id ON webhooks (credential_id)",
    """CREATE TABLE schedules (
        workflow_id TEXT NOT NULL,
        node_id TEXT NOT NULL,
        workspace_id TEXT NOT NULL,
        cron TEXT,
        every DOUBLE PRECISION,
        timezone TEXT NOT NULL,
        catch_up TEXT NOT NULL,
        anchor_ms BIGINT NOT NULL,
        next_at BIGINT,
        alerted_at BIGINT,
        PRIMARY KEY (workflow_id, node_id)
    )""",
    "CREATE INDEX schedule_next_at ON schedules (next_at)",
    """CREATE TABLE schedule_fires (
        workflow_id TEXT NOT NULL,
        node_id TEXT NOT NULL,
        instant BIGINT NOT NULL,
        run_id TEXT,
        fired_at BIGINT NOT NULL,
        note TEXT,
        PRIMARY KEY (workflow_id, node_id, instant)
    )""",
    "CREATE INDEX schedulefire_fired_at ON schedule_fires (fired_at)",
    """CREATE TABLE polls (
        workflow_id TEXT NOT NULL,
        node_id TEXT NOT NULL,
        workspace_id TEXT NOT NULL,
        type TEXT NOT NULL,
        every DOUBLE PRECISION NOT NULL,
        source TEXT NOT NULL,
        next_at BIGINT,
        moved_at BIGINT NOT NULL,
        idle_since BIGINT,
        owner TEXT,
        version BIGINT NOT NULL,
        state_of TEXT,
        state TEXT,
        begun SMALLINT NOT NULL,
        failures BIGINT NOT NULL,
        last_error TEXT,
        last_polled_at BIGINT,
        PRIMARY KEY (workflow_id, node_id)
    )""",
    "CREATE INDEX poll_next_at ON polls (next_at)",
    "CREATE INDEX polls_failing ON polls (workspace_id) WHERE failures > 0",
    "CREATE INDEX polls_taken ON polls (owner) WHERE owner IS NOT NULL",
    """CREATE TABLE poll_entries (
        workflow_id TEXT NOT NULL,
        node_id TEXT NOT NULL,
        entry BYTEA NOT NULL,
        run_id TEXT,
        seen_at BIGINT NOT NULL,
        gone_at BIGINT,
        PRIMARY KEY (workflow_id, node_id, entry)
    )""",
)

ENDED = "WHERE status = 'success' OR status = 'failed'"
# The fillfactor of `runs` leaves room on each page for new versions of its rows: a run that waits for a thread is
# updated some four times. If its page is full, a new version goes to another page, with new entries in every index.
# Measured: without room, 5% of the updates need no index and a run writes 5.1 KB of WAL; with it 40%, 3.6 KB, and the
# table grows to less than two thirds. A run that is written once, when it has ended, takes 0.2 KB more.
RUNS = (
    """CREATE TABLE runs (
        id TEXT NOT NULL PRIMARY KEY,
        workspace_id TEXT NOT NULL,
        workflow_id TEXT NOT NULL,
        workflow_name TEXT NOT NULL,
        workflow_version BIGINT,
        status TEXT NOT NULL,
        triggered_by TEXT NOT NULL,
        trigger_node TEXT,
        input TEXT,
        input_bytes BIGINT,
        output TEXT,
        output_bytes BIGINT,
        error_text TEXT,
        error_node_id TEXT,
        cancelled SMALLINT NOT NULL,
        recorded SMALLINT NOT NULL,
        waiting TEXT,
        created_at BIGINT NOT NULL,
        started_at BIGINT,
        finished_at BIGINT,
        duration_ms DOUBLE PRECISION,
        lease_owner TEXT,
        claims BIGINT NOT NULL,
        deaths BIGINT NOT NULL DEFAULT 0,
        depth BIGINT NOT NULL DEFAULT 0,
        parent_run_id TEXT,
        parent_node_id TEXT,
        retry_of TEXT,
        nodes_total BIGINT,
        nodes_done BIGINT,
        options TEXT,
        packed_steps TEXT,
        error_kind TEXT
    ) WITH (fillfactor = 70)""",
    "CREATE INDEX run_workspace_id_id ON runs (workspace_id, id)",
    f"CREATE INDEX runs_ended ON runs (workspace_id, status, triggered_by, id) {ENDED}",
    f"CREATE INDEX runs_ended_of_flow ON runs (workspace_id, workflow_id, status, triggered_by, id) {ENDED}",
    "CREATE INDEX runs_unfinished ON runs (workspace_id, status, id) WHERE status = 'pending' OR status = 'running'",
    "CREATE INDEX runs_claimable ON runs ((deaths > 1), id) "
    "WHERE status = 'pending' AND waiting IS NULL AND recorded = 0",
    "CREATE INDEX runs_pending ON runs (workflow_id, waiting, id) WHERE status = 'pending'",
    "CREATE INDEX runs_queued ON runs (workflow_id, id) "
    "WHERE status = 'pending' AND waiting = 'a free place (max_concurrent_runs)'",
    "CREATE INDEX runs_running ON runs (workflow_id) WHERE status = 'running'",
    "CREATE INDEX runs_children ON runs (parent_run_id) WHERE parent_run_id IS NOT NULL",
    "CREATE INDEX runs_cancelled ON runs (workspace_id, id) WHERE cancelled = 1",
    "CREATE INDEX runs_error_kind ON runs (workspace_id, error_kind, id) WHERE error_kind IS NOT NULL",
    """CREATE TABLE run_options (
        run_id TEXT NOT NULL PRIMARY KEY,
        value TEXT,
        value_bytes BIGINT
    )""",
    """CREATE TABLE idempotency_keys (
        workflow_id TEXT NOT NULL,
        key TEXT NOT NULL,
        run_id TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        PRIMARY KEY (workflow_id, key)
    )""",
    "CREATE INDEX idempotencykey_run_id ON idempotency_keys (run_id)",
    "CREATE INDEX idempotencykey_created_at ON idempotency_keys (created_at)",
    """CREATE TABLE waits (
        run_id TEXT NOT NULL,
        node_id TEXT NOT NULL,
        seq BIGINT,
        reason TEXT,
        wake_at BIGINT,
        created_at BIGINT NOT NULL,
        name TEXT,
        answer TEXT,
        answer_bytes BIGINT,
        answered_by TEXT,
        answered_at BIGINT,
        question TEXT,
        PRIMARY KEY (run_id, node_id)
    )""",
    "CREATE INDEX waits_due ON waits (wake_at) WHERE wake_at IS NOT NULL AND answered_at IS NULL",
    """CREATE TABLE log_entries (
        id TEXT NOT NULL PRIMARY KEY,
        workspace_id TEXT NOT NULL,
        run_id TEXT,
        node_id TEXT,
        level TEXT NOT NULL,
        message TEXT NOT NULL,
        data TEXT,
        created_at BIGINT NOT NULL
    )""",
    "CREATE INDEX logentry_workspace_id_id ON log_entries (workspace_id, id)",
    "CREATE INDEX logentry_run_id_id ON log_entries (run_id, id)",
    "CREATE INDEX log_entries_of_level ON log_entries (workspace_id, level, id)",
)

STEP_COLUMNS = {
    "seq": "BIGINT", "node_id": "TEXT", "node_type": "TEXT", "node_name": "TEXT", "status": "TEXT",
    "attempt": "BIGINT", "item_index": "BIGINT", "inputs": "TEXT", "item": "TEXT", "output": "TEXT",
    "output_bytes": "BIGINT", "same_as": "TEXT", "branch": "TEXT", "error_text": "TEXT", "started_at": "BIGINT",
    "finished_at": "BIGINT", "duration_ms": "DOUBLE PRECISION", "final": "SMALLINT", "error_kind": "TEXT",
}  # fmt: skip


def _packed_value(at, kind):
    """Return the SQL of one value of a packed step, with the type and the collation of its column in `steps`.

    Only if both halves of the view agree in these does PostgreSQL apply a condition and an order to each half.
    """
    text = f"(step.value ->> {at})"
    if kind == "TEXT":
        return f'{text} COLLATE "C"'
    if kind == "SMALLINT":  # a flag, which JSON has as true or false
        text = f"(CASE {text} WHEN 'true' THEN '1' WHEN 'false' THEN '0' ELSE {text} END)"
    return f"CAST({text} AS {kind})"


# A step is a row; or, for a run that was written whole, an item of the JSON list `runs.packed_steps`, with the values
# in the order of STEP_COLUMNS. The view has both. JSONB is parsed once for a run, JSON once more for each value: with
# 20 steps of 1 KB, a page of steps takes 1.2 ms instead of 9.
STEPS = (
    """CREATE TABLE steps (
        run_id TEXT NOT NULL,
        seq BIGINT NOT NULL,
        node_id TEXT NOT NULL,
        node_type TEXT NOT NULL,
        node_name TEXT NOT NULL,
        status TEXT NOT NULL,
        attempt BIGINT NOT NULL,
        item_index BIGINT,
        inputs TEXT,
        item TEXT,
        output TEXT,
        output_bytes BIGINT,
        same_as TEXT,
        branch TEXT,
        error_text TEXT,
        started_at BIGINT NOT NULL,
        finished_at BIGINT,
        duration_ms DOUBLE PRECISION,
        final SMALLINT NOT NULL,
        error_kind TEXT,
        PRIMARY KEY (run_id, seq)
    )""",
)
VIEW = (
    f"CREATE VIEW all_steps AS SELECT run_id, {', '.join(STEP_COLUMNS)} FROM steps UNION ALL "
    f"SELECT runs.id, {', '.join(_packed_value(at, kind) for at, kind in enumerate(STEP_COLUMNS.values()))} "
    "FROM runs CROSS JOIN LATERAL jsonb_array_elements(CAST(runs.packed_steps AS jsonb)) AS step"
)

SUMS = """total BIGINT NOT NULL,
        success BIGINT NOT NULL,
        failed BIGINT NOT NULL,
        duration_ms DOUBLE PRECISION NOT NULL"""
METRICS = (
    f"""CREATE TABLE run_days (
        workspace_id TEXT NOT NULL,
        workflow_id TEXT NOT NULL,
        day BIGINT NOT NULL,
        {SUMS},
        PRIMARY KEY (workspace_id, day, workflow_id)
    )""",
    f"""CREATE TABLE workspace_days (
        workspace_id TEXT NOT NULL,
        day BIGINT NOT NULL,
        {SUMS},
        PRIMARY KEY (workspace_id, day)
    )""",
    f"""CREATE TABLE flow_sums (
        workspace_id TEXT NOT NULL,
        day BIGINT NOT NULL,
        workflow_id TEXT NOT NULL,
        {SUMS},
        PRIMARY KEY (workspace_id, day, workflow_id)
    )""",
    # Sums of past days are valid only while their counts stay the same: a count of a day deletes the sums of that day
    # and of later days. Writers are serial, so no other transaction adds sums in between.
    """CREATE FUNCTION delete_settled_days() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        counted run_days;
    BEGIN
        IF TG_OP = 'DELETE' THEN counted := OLD; ELSE counted := NEW; END IF;
        IF EXISTS (SELECT 1 FROM workspace_days WHERE workspace_id = counted.workspace_id AND day >= counted.day) THEN
            DELETE FROM workspace_days WHERE workspace_id = counted.workspace_id AND day >= counted.day;
            DELETE FROM flow_sums WHERE workspace_id = counted.workspace_id AND day >= counted.day;
        END IF;
        RETURN NULL;
    END $$""",
    *(
        f"CREATE TRIGGER run_days_{event} AFTER {event} ON run_days FOR EACH ROW EXECUTE FUNCTION delete_settled_days()"
        for event in ("insert", "update", "delete")
    ),
)

AGENTS = (
    """CREATE TABLE agents (
        workspace_id TEXT NOT NULL,
        id TEXT NOT NULL,
        name TEXT NOT NULL,
        definition TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        updated_at BIGINT NOT NULL,
        PRIMARY KEY (workspace_id, id)
    )""",
    """CREATE TABLE agent_runs (
        id TEXT NOT NULL PRIMARY KEY,
        workspace_id TEXT NOT NULL,
        agent_id TEXT NOT NULL,
        run_id TEXT NOT NULL,
        node_id TEXT NOT NULL,
        item_index BIGINT NOT NULL,
        task TEXT NOT NULL,
        input TEXT,
        session TEXT NOT NULL,
        model TEXT,
        status TEXT NOT NULL,
        output TEXT,
        error_text TEXT,
        requests BIGINT NOT NULL,
        tool_calls BIGINT NOT NULL,
        input_tokens BIGINT NOT NULL,
        output_tokens BIGINT NOT NULL,
        cost DOUBLE PRECISION,
        created_at BIGINT NOT NULL,
        finished_at BIGINT,
        duration_ms DOUBLE PRECISION
    )""",
    "CREATE INDEX agentrun_workspace_id_id ON agent_runs (workspace_id, id)",
    "CREATE INDEX agentrun_workspace_id_agent_id_session_id ON agent_runs (workspace_id, agent_id, session, id)",
    "CREATE UNIQUE INDEX agentrun_run_id_node_id_item_index ON agent_runs (run_id, node_id, item_index)",
    """CREATE TABLE agent_steps (
        agent_run_id TEXT NOT NULL,
        seq BIGINT NOT NULL,
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        status TEXT NOT NULL,
        request TEXT,
        result TEXT,
        error_text TEXT,
        prompt_chars BIGINT,
        input_tokens BIGINT,
        output_tokens BIGINT,
        cost DOUBLE PRECISION,
        started_at BIGINT NOT NULL,
        finished_at BIGINT,
        duration_ms DOUBLE PRECISION,
        PRIMARY KEY (agent_run_id, seq)
    )""",
    # `words` and its index take the place of SQLite's full-text table and triggers. The server writes it with the text
    # (`save_words` of database/full_text.py): a generated column would depend on the locale of the database, and on
    # PostgreSQL's idea of a word.
    """CREATE TABLE agent_memories (
        number BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
        id TEXT NOT NULL,
        workspace_id TEXT NOT NULL,
        agent_id TEXT NOT NULL,
        session TEXT NOT NULL,
        key TEXT NOT NULL,
        content TEXT NOT NULL,
        tags TEXT NOT NULL,
        created_at BIGINT NOT NULL,
        updated_at BIGINT NOT NULL,
        expires_at BIGINT,
        words tsvector NOT NULL DEFAULT ''
    )""",
    "CREATE UNIQUE INDEX agentmemory_id ON agent_memories (id)",
    "CREATE UNIQUE INDEX agentmemory_workspace_id_agent_id_session_key "
    "ON agent_memories (workspace_id, agent_id, session, key)",
    "CREATE INDEX agent_memories_expiring ON agent_memories (expires_at) WHERE expires_at IS NOT NULL",
    "CREATE INDEX agent_memories_newest ON agent_memories (workspace_id, agent_id, updated_at)",
    "CREATE INDEX agent_memories_words ON agent_memories USING gin (words)",
)


def _by_bytes(table):
    """Return the statement with the collation of every text column."""
    return re.sub(r"^( +\w+) TEXT\b", r'\1 TEXT COLLATE "C"', table, flags=re.MULTILINE)


def up(migrator, db):
    for group in (ACCOUNTS, LOGINS, SERVER, FLOWS, TRIGGERS, RUNS, STEPS, METRICS, AGENTS):
        for statement in group:
            db.execute_sql(_by_bytes(statement))
    db.execute_sql(VIEW)
