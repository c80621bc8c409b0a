"""The schema with which a database begins, on SQLite and on PostgreSQL.

Its SQL is that of SQLite, with two types more: FLAG, and COUNTER of a number that counts up by itself. TYPES has those
of PostgreSQL. The last parts are for one engine only. tests/migrations/test_schemas.py compares the two schemas.

It takes the place of the migrations 0001 to 0037: see database/migration_runner.py.
"""

import re
import time

from peewee import SqliteDatabase

ACCOUNTS = """
CREATE TABLE users (id TEXT NOT NULL PRIMARY KEY, email TEXT NOT NULL, name TEXT NOT NULL,
    password_hash TEXT NOT NULL, created_at INTEGER NOT NULL, set_up FLAG NOT NULL DEFAULT 1,
    is_admin FLAG NOT NULL DEFAULT 0, last_workspace_id TEXT);
CREATE UNIQUE INDEX user_email ON users (email);
CREATE TABLE workspaces (id TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL, created_at INTEGER NOT NULL,
    founder_id TEXT, timezone TEXT);
CREATE TABLE memberships (workspace_id TEXT NOT NULL, user_id TEXT NOT NULL, role TEXT NOT NULL,
    created_at INTEGER NOT NULL, PRIMARY KEY (workspace_id, user_id)) WITHOUT ROWID;
CREATE INDEX membership_user_id ON memberships (user_id);
CREATE TABLE invitations (id TEXT NOT NULL PRIMARY KEY, workspace_id TEXT NOT NULL, email TEXT NOT NULL,
    role TEXT NOT NULL, token_hash TEXT NOT NULL, invited_by TEXT NOT NULL, created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL);
CREATE UNIQUE INDEX invitation_token_hash ON invitations (token_hash);
CREATE UNIQUE INDEX invitation_workspace_id_email ON invitations (workspace_id, email);
CREATE TABLE variable_sets (workspace_id TEXT NOT NULL, effective_at INTEGER NOT NULL, variables TEXT NOT NULL,
    PRIMARY KEY (workspace_id, effective_at));
CREATE TABLE sessions (id TEXT NOT NULL PRIMARY KEY, token_hash TEXT NOT NULL, user_id TEXT NOT NULL,
    workspace_id TEXT NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL,
    idle_at INTEGER NOT NULL DEFAULT 0);
CREATE UNIQUE INDEX session_token_hash ON sessions (token_hash);
CREATE INDEX session_user_id ON sessions (user_id);
CREATE INDEX session_expires_at ON sessions (expires_at);
CREATE TABLE api_tokens (id TEXT NOT NULL PRIMARY KEY, token_hash TEXT NOT NULL, name TEXT NOT NULL,
    user_id TEXT NOT NULL, workspace_id TEXT NOT NULL, role TEXT NOT NULL, created_at INTEGER NOT NULL,
    expires_at INTEGER);
CREATE UNIQUE INDEX apitoken_token_hash ON api_tokens (token_hash);
CREATE INDEX apitoken_workspace_id ON api_tokens (workspace_id);
CREATE TABLE login_failures (key TEXT NOT NULL PRIMARY KEY, count INTEGER NOT NULL, since INTEGER NOT NULL,
    last INTEGER NOT NULL);
CREATE INDEX loginfailure_since ON login_failures (since);
CREATE TABLE login_addresses (user_id TEXT NOT NULL, address TEXT NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (user_id, address));
CREATE INDEX loginaddress_at ON login_addresses (at);
CREATE TABLE audit_entries (id TEXT NOT NULL PRIMARY KEY, workspace_id TEXT, user_id TEXT, user_email TEXT,
    token_name TEXT, action TEXT NOT NULL, target_type TEXT, target_id TEXT, target_name TEXT, changes TEXT NOT NULL,
    address TEXT, created_at INTEGER NOT NULL);
CREATE INDEX auditentry_workspace_id_id ON audit_entries (workspace_id, id);
CREATE INDEX auditentry_workspace_id_action_id ON audit_entries (workspace_id, action, id);
CREATE INDEX auditentry_workspace_id_user_id_id ON audit_entries (workspace_id, user_id, id);
CREATE INDEX auditentry_workspace_id_target_id_id ON audit_entries (workspace_id, target_id, id);
"""

SERVER = """
CREATE TABLE server_facts (name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE leases (name TEXT NOT NULL PRIMARY KEY, until INTEGER NOT NULL, owner TEXT, process TEXT,
    node_types TEXT, role TEXT, active INTEGER, threads INTEGER, queued INTEGER, unsent INTEGER,
    is_broker_down INTEGER, deaf_ms INTEGER);
CREATE TABLE metric_counts (metric TEXT NOT NULL, labels TEXT NOT NULL, part TEXT NOT NULL, value REAL NOT NULL,
    PRIMARY KEY (metric, labels, part));
"""

FLOWS = """
CREATE TABLE workflows (id TEXT NOT NULL PRIMARY KEY, workspace_id TEXT NOT NULL, name TEXT NOT NULL,
    status TEXT NOT NULL, version INTEGER NOT NULL, definition_json TEXT NOT NULL, created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL);
CREATE INDEX workflow_workspace_id_id ON workflows (workspace_id, id);
CREATE TABLE workflow_versions (workflow_id TEXT NOT NULL, version INTEGER NOT NULL, definition_json TEXT NOT NULL,
    created_at INTEGER NOT NULL, created_by TEXT, name TEXT, note TEXT, PRIMARY KEY (workflow_id, version));
CREATE TABLE drafts (workflow_id TEXT NOT NULL PRIMARY KEY, revision INTEGER NOT NULL, definition_json TEXT,
    base_version INTEGER, changed_by TEXT, changed_at INTEGER);
CREATE TABLE scheduled_publishes (workflow_id TEXT NOT NULL PRIMARY KEY, draft_revision INTEGER NOT NULL,
    definition_json TEXT NOT NULL, base_version INTEGER NOT NULL, name TEXT, note TEXT, publish_at INTEGER NOT NULL,
    created_by TEXT NOT NULL, created_at INTEGER NOT NULL, failure TEXT, failed_at INTEGER);
CREATE INDEX scheduledpublish_publish_at ON scheduled_publishes (publish_at);
CREATE TABLE presences (workflow_id TEXT NOT NULL, user_id TEXT NOT NULL, since INTEGER NOT NULL,
    expires_at INTEGER NOT NULL, PRIMARY KEY (workflow_id, user_id));
CREATE INDEX presence_expires_at ON presences (expires_at);
CREATE TABLE workflow_folders (workflow_id TEXT NOT NULL PRIMARY KEY, workspace_id TEXT NOT NULL, path TEXT NOT NULL);
CREATE INDEX workflowfolder_workspace_id_path ON workflow_folders (workspace_id, path);
CREATE TABLE workflow_tags (workflow_id TEXT NOT NULL, tag TEXT NOT NULL, workspace_id TEXT NOT NULL,
    PRIMARY KEY (workflow_id, tag));
CREATE INDEX workflowtag_workspace_id_tag ON workflow_tags (workspace_id, tag);
CREATE TABLE favourites (user_id TEXT NOT NULL, workflow_id TEXT NOT NULL, PRIMARY KEY (user_id, workflow_id));
CREATE INDEX favourite_workflow_id ON favourites (workflow_id);
CREATE TABLE saved_filters (id TEXT NOT NULL PRIMARY KEY, workspace_id TEXT NOT NULL, user_id TEXT NOT NULL,
    page TEXT NOT NULL, name TEXT NOT NULL, query TEXT NOT NULL, created_at INTEGER NOT NULL);
CREATE UNIQUE INDEX savedfilter_workspace_id_user_id_page_name ON saved_filters (workspace_id, user_id, page, name);
CREATE TABLE credentials (id TEXT NOT NULL PRIMARY KEY, workspace_id TEXT NOT NULL, name TEXT NOT NULL,
    type TEXT NOT NULL, data TEXT NOT NULL, hosts TEXT, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL);
CREATE UNIQUE INDEX credential_workspace_id_name ON credentials (workspace_id, name);
CREATE TABLE oauth_grants (credential_id TEXT NOT NULL PRIMARY KEY, workspace_id TEXT NOT NULL, status TEXT NOT NULL,
    tokens TEXT, scope TEXT, details TEXT NOT NULL, reason TEXT, connected_at INTEGER, obtained_at INTEGER,
    refreshed_at INTEGER, refresh_at INTEGER, expires_at INTEGER, version INTEGER NOT NULL, lease_id TEXT,
    lease_process TEXT, lease_clock TEXT, lease_until INTEGER);
CREATE TABLE oauth_attempts (id TEXT NOT NULL PRIMARY KEY, credential_id TEXT NOT NULL, workspace_id TEXT NOT NULL,
    session_id TEXT NOT NULL, user_id TEXT NOT NULL, sealed TEXT NOT NULL, expires_at INTEGER NOT NULL,
    used_at INTEGER);
CREATE INDEX oauthattempt_expires_at ON oauth_attempts (expires_at);
CREATE INDEX oauthattempt_credential_id_session_id ON oauth_attempts (credential_id, session_id);
CREATE TABLE presets (id TEXT NOT NULL PRIMARY KEY, workspace_id TEXT NOT NULL, source TEXT NOT NULL,
    title TEXT NOT NULL, key TEXT NOT NULL, name TEXT NOT NULL, description TEXT NOT NULL, tags TEXT NOT NULL,
    node_json TEXT NOT NULL, parameters_json TEXT NOT NULL, credential_type TEXT, created_at INTEGER NOT NULL);
CREATE UNIQUE INDEX preset_workspace_id_source_key ON presets (workspace_id, source, key);
CREATE INDEX preset_workspace_id_id ON presets (workspace_id, id);
CREATE TABLE store_entries (workspace_id TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, expires_at INTEGER,
    updated_at INTEGER NOT NULL, PRIMARY KEY (workspace_id, key));
CREATE INDEX storeentry_expires_at ON store_entries (expires_at);
"""

TRIGGERS = """
CREATE TABLE webhooks (path TEXT NOT NULL, method TEXT NOT NULL, workflow_id TEXT NOT NULL, node_id TEXT NOT NULL,
    workspace_id TEXT NOT NULL, credential_id TEXT, PRIMARY KEY (path, method)) WITHOUT ROWID;
CREATE INDEX webhook_workflow_id ON webhooks (workflow_id);
CREATE INDEX webhook_credential_id ON webhooks (credential_id);
CREATE INDEX webhooks_patterns ON webhooks (path) WHERE replace(path, ':', '') <> path;
CREATE TABLE webhook_listeners (workflow_id TEXT NOT NULL PRIMARY KEY, id TEXT NOT NULL, workspace_id TEXT NOT NULL,
    user_id TEXT NOT NULL, until INTEGER NOT NULL, options TEXT NOT NULL, called_at INTEGER, run_id TEXT);
CREATE TABLE registered_hooks (id TEXT NOT NULL PRIMARY KEY, workspace_id TEXT NOT NULL, workflow_id TEXT NOT NULL,
    node_id TEXT NOT NULL, type TEXT NOT NULL, path TEXT NOT NULL, scope TEXT NOT NULL, events TEXT NOT NULL,
    account_id TEXT NOT NULL, url TEXT, state TEXT NOT NULL, secret TEXT, next_at INTEGER NOT NULL,
    claimed_until INTEGER NOT NULL, claimed_by TEXT, version INTEGER NOT NULL, attempts INTEGER NOT NULL,
    last_error TEXT, created_at INTEGER NOT NULL);
CREATE INDEX registeredhook_workflow_id ON registered_hooks (workflow_id);
CREATE INDEX registeredhook_next_at ON registered_hooks (next_at);
CREATE INDEX registeredhook_account_id ON registered_hooks (account_id);
CREATE INDEX registeredhook_path ON registered_hooks (path);
CREATE TABLE debounces (workflow_id TEXT NOT NULL, node_id TEXT NOT NULL, key TEXT NOT NULL, run_id TEXT NOT NULL,
    first_at INTEGER NOT NULL, due_at INTEGER NOT NULL, PRIMARY KEY (workflow_id, node_id, key));
CREATE INDEX debounce_due_at ON debounces (due_at);
CREATE TABLE schedules (workflow_id TEXT NOT NULL, node_id TEXT NOT NULL, workspace_id TEXT NOT NULL, cron TEXT,
    every REAL, timezone TEXT NOT NULL, catch_up TEXT NOT NULL, anchor_ms INTEGER NOT NULL, next_at INTEGER,
    alerted_at INTEGER, PRIMARY KEY (workflow_id, node_id)) WITHOUT ROWID;
CREATE INDEX schedule_next_at ON schedules (next_at);
CREATE TABLE schedule_fires (workflow_id TEXT NOT NULL, node_id TEXT NOT NULL, instant INTEGER NOT NULL, run_id TEXT,
    fired_at INTEGER NOT NULL, note TEXT, PRIMARY KEY (workflow_id, node_id, instant)) WITHOUT ROWID;
CREATE INDEX schedulefire_fired_at ON schedule_fires (fired_at);
CREATE TABLE polls (workflow_id TEXT NOT NULL, node_id TEXT NOT NULL, workspace_id TEXT NOT NULL, type TEXT NOT NULL,
    every REAL NOT NULL, source TEXT NOT NULL, next_at INTEGER, moved_at INTEGER NOT NULL, idle_since INTEGER,
    owner TEXT, version INTEGER NOT NULL, state_of TEXT, state TEXT, begun FLAG NOT NULL, failures INTEGER NOT NULL,
    last_error TEXT, last_polled_at INTEGER, PRIMARY KEY (workflow_id, node_id)) WITHOUT ROWID;
CREATE INDEX poll_next_at ON polls (next_at);
CREATE INDEX polls_failing ON polls (workspace_id) WHERE failures > 0;
CREATE INDEX polls_taken ON polls (owner) WHERE owner IS NOT NULL;
CREATE TABLE poll_entries (workflow_id TEXT NOT NULL, node_id TEXT NOT NULL, entry BLOB NOT NULL, run_id TEXT,
    seen_at INTEGER NOT NULL, gone_at INTEGER, PRIMARY KEY (workflow_id, node_id, entry)) WITHOUT ROWID;
"""

# Indexes of `runs` end in the id, so that a page of a list is read in its order. Those of ended runs have the status
# and the trigger before it: a list without these filters merges their few values (`Run.select_where`). An entry is
# written once, when the run ends, so that it costs little. Runs that have not ended, or were cancelled, are few.
RUNS = """
CREATE TABLE runs (id TEXT NOT NULL PRIMARY KEY, workspace_id TEXT NOT NULL, workflow_id TEXT NOT NULL,
    workflow_name TEXT NOT NULL, workflow_version INTEGER, status TEXT NOT NULL, triggered_by TEXT NOT NULL,
    trigger_node TEXT, input TEXT, input_bytes INTEGER, output TEXT, output_bytes INTEGER, error_text TEXT,
    error_node_id TEXT, cancelled FLAG NOT NULL, recorded FLAG NOT NULL, waiting TEXT, created_at INTEGER NOT NULL,
    started_at INTEGER, finished_at INTEGER, duration_ms REAL, lease_owner TEXT, claims INTEGER NOT NULL,
    deaths INTEGER NOT NULL DEFAULT 0, depth INTEGER NOT NULL DEFAULT 0, parent_run_id TEXT, parent_node_id TEXT,
    retry_of TEXT, nodes_total INTEGER, nodes_done INTEGER, options TEXT, packed_steps TEXT, error_kind TEXT);
CREATE INDEX run_workspace_id_id ON runs (workspace_id, id);
CREATE INDEX runs_ended ON runs (workspace_id, status, triggered_by, id)
    WHERE status = 'success' OR status = 'failed';
CREATE INDEX runs_ended_of_flow ON runs (workspace_id, workflow_id, status, triggered_by, id)
    WHERE status = 'success' OR status = 'failed';
CREATE INDEX runs_unfinished ON runs (workspace_id, status, id) WHERE status = 'pending' OR status = 'running';
CREATE INDEX runs_claimable ON runs ((deaths > 1), id) WHERE status = 'pending' AND waiting IS NULL AND recorded = 0;
CREATE INDEX runs_pending ON runs (workflow_id, waiting, id) WHERE status = 'pending';
CREATE INDEX runs_queued ON runs (workflow_id, id)
    WHERE status = 'pending' AND waiting = 'a free place (max_concurrent_runs)';
CREATE INDEX runs_running ON runs (workflow_id) WHERE status = 'running';
CREATE INDEX runs_children ON runs (parent_run_id) WHERE parent_run_id IS NOT NULL;
CREATE INDEX runs_cancelled ON runs (workspace_id, id) WHERE cancelled = 1;
CREATE INDEX runs_error_kind ON runs (workspace_id, error_kind, id) WHERE error_kind IS NOT NULL;
CREATE INDEX runs_held ON runs (parent_run_id, id) WHERE status = 'pending' AND waiting = 'its turn';
CREATE INDEX runs_started ON runs (parent_run_id) WHERE parent_run_id IS NOT NULL
    AND status IN ('pending', 'running') AND COALESCE(waiting, '') <> 'its turn';
CREATE TABLE run_options (run_id TEXT NOT NULL PRIMARY KEY, value TEXT, value_bytes INTEGER);
CREATE TABLE idempotency_keys (workflow_id TEXT NOT NULL, key TEXT NOT NULL, run_id TEXT NOT NULL,
    created_at INTEGER NOT NULL, PRIMARY KEY (workflow_id, key));
CREATE INDEX idempotencykey_run_id ON idempotency_keys (run_id);
CREATE INDEX idempotencykey_created_at ON idempotency_keys (created_at);
CREATE TABLE waits (run_id TEXT NOT NULL, node_id TEXT NOT NULL, seq INTEGER, reason TEXT, wake_at INTEGER,
    created_at INTEGER NOT NULL, name TEXT, answer TEXT, answer_bytes INTEGER, answered_by TEXT, answered_at INTEGER,
    question TEXT, kind TEXT, places INTEGER, delay_ms INTEGER, next_at INTEGER, turn TEXT,
    PRIMARY KEY (run_id, node_id)) WITHOUT ROWID;
CREATE INDEX waits_due ON waits (wake_at) WHERE wake_at IS NOT NULL AND answered_at IS NULL;
CREATE INDEX waits_open ON waits (run_id, COALESCE(answered_at, 0));
CREATE TABLE rate_limits (workspace_id TEXT NOT NULL, key TEXT NOT NULL, empty_at INTEGER NOT NULL,
    PRIMARY KEY (workspace_id, key));
CREATE INDEX ratelimit_empty_at ON rate_limits (empty_at);
CREATE TABLE log_entries (id TEXT NOT NULL PRIMARY KEY, workspace_id TEXT NOT NULL, run_id TEXT, node_id TEXT,
    level TEXT NOT NULL, message TEXT NOT NULL, data TEXT, created_at INTEGER NOT NULL);
CREATE INDEX logentry_workspace_id_id ON log_entries (workspace_id, id);
CREATE INDEX logentry_run_id_id ON log_entries (run_id, id);
CREATE INDEX log_entries_of_level ON log_entries (workspace_id, level, id);
"""

# A step is a row of `steps`; or, for a run that was written whole when it had ended, an item of the JSON list
# `runs.packed_steps`, with the values in the order of these columns. As rows, steps take a page in the table and one in
# its index, so a commit of such a run would write two pages more. The view `all_steps` has both kinds. `steps` is not
# WITHOUT ROWID: then a row of more than about 1 KB would take another page beside its place in the table.
STEP_COLUMNS = """
    seq INTEGER NOT NULL, node_id TEXT NOT NULL, node_type TEXT NOT NULL, node_name TEXT NOT NULL,
    status TEXT NOT NULL, attempt INTEGER NOT NULL, item_index INTEGER, inputs TEXT, item TEXT, output TEXT,
    output_bytes INTEGER, same_as TEXT, branch TEXT, error_text TEXT, started_at INTEGER NOT NULL,
    finished_at INTEGER, duration_ms REAL, final FLAG NOT NULL, error_kind TEXT
"""
STEPS = f"CREATE TABLE steps (run_id TEXT NOT NULL, {STEP_COLUMNS.strip()}, PRIMARY KEY (run_id, seq));"

# Sums of past days, so that the figures of a year need not add up every day of every flow: `workspace_days` by day,
# `flow_sums` from the first day to the end of one day in eight. They are valid only while the counts in `run_days` stay
# the same: triggers delete the sums of a day that is counted, and of later days. So they may be missing, never wrong.
METRICS = """
CREATE TABLE run_days (workspace_id TEXT NOT NULL, workflow_id TEXT NOT NULL, day INTEGER NOT NULL,
    total INTEGER NOT NULL, success INTEGER NOT NULL, failed INTEGER NOT NULL, duration_ms REAL NOT NULL,
    PRIMARY KEY (workspace_id, day, workflow_id)) WITHOUT ROWID;
CREATE TABLE workspace_days (workspace_id TEXT NOT NULL, day INTEGER NOT NULL, total INTEGER NOT NULL,
    success INTEGER NOT NULL, failed INTEGER NOT NULL, duration_ms REAL NOT NULL,
    PRIMARY KEY (workspace_id, day)) WITHOUT ROWID;
CREATE TABLE flow_sums (workspace_id TEXT NOT NULL, day INTEGER NOT NULL, workflow_id TEXT NOT NULL,
    total INTEGER NOT NULL, success INTEGER NOT NULL, failed INTEGER NOT NULL, duration_ms REAL NOT NULL,
    PRIMARY KEY (workspace_id, day, workflow_id)) WITHOUT ROWID;
"""

DATA = """
CREATE TABLE data_tables (id TEXT NOT NULL PRIMARY KEY, workspace_id TEXT NOT NULL, name TEXT NOT NULL,
    columns TEXT NOT NULL, next_column INTEGER NOT NULL, row_count INTEGER NOT NULL, created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL);
CREATE UNIQUE INDEX datatable_workspace_id_name ON data_tables (workspace_id, name);
CREATE TABLE data_rows (id TEXT NOT NULL PRIMARY KEY, table_id TEXT NOT NULL, cells TEXT NOT NULL,
    created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL);
CREATE INDEX datarow_table_id_id ON data_rows (table_id, id);
CREATE TABLE data_keys (table_id TEXT NOT NULL, column_id TEXT NOT NULL, digest TEXT NOT NULL, row_id TEXT NOT NULL,
    PRIMARY KEY (table_id, column_id, digest, row_id));
CREATE TABLE data_writes (key TEXT NOT NULL PRIMARY KEY, table_id TEXT NOT NULL, result TEXT NOT NULL,
    expires_at INTEGER NOT NULL);
CREATE INDEX datawrite_expires_at ON data_writes (expires_at);
"""

AGENTS = """
CREATE TABLE agents (workspace_id TEXT NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL, definition TEXT NOT NULL,
    created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, PRIMARY KEY (workspace_id, id));
CREATE TABLE agent_runs (id TEXT NOT NULL PRIMARY KEY, workspace_id TEXT NOT NULL, agent_id TEXT NOT NULL,
    run_id TEXT NOT NULL, node_id TEXT NOT NULL, item_index INTEGER NOT NULL, task TEXT NOT NULL, input TEXT,
    session TEXT NOT NULL, model TEXT, status TEXT NOT NULL, output TEXT, error_text TEXT, requests INTEGER NOT NULL,
    tool_calls INTEGER NOT NULL, input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, cost REAL,
    created_at INTEGER NOT NULL, finished_at INTEGER, duration_ms REAL);
CREATE INDEX agentrun_workspace_id_id ON agent_runs (workspace_id, id);
CREATE INDEX agentrun_workspace_id_agent_id_session_id ON agent_runs (workspace_id, agent_id, session, id);
CREATE UNIQUE INDEX agentrun_run_id_node_id_item_index ON agent_runs (run_id, node_id, item_index);
CREATE TABLE agent_steps (agent_run_id TEXT NOT NULL, seq INTEGER NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL,
    status TEXT NOT NULL, request TEXT, result TEXT, error_text TEXT, prompt_chars INTEGER, input_tokens INTEGER,
    output_tokens INTEGER, cost REAL, started_at INTEGER NOT NULL, finished_at INTEGER, duration_ms REAL,
    PRIMARY KEY (agent_run_id, seq)) WITHOUT ROWID;
CREATE TABLE agent_memories (number COUNTER NOT NULL PRIMARY KEY, id TEXT NOT NULL, workspace_id TEXT NOT NULL,
    agent_id TEXT NOT NULL, session TEXT NOT NULL, key TEXT NOT NULL, content TEXT NOT NULL, tags TEXT NOT NULL,
    created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, expires_at INTEGER);
CREATE UNIQUE INDEX agentmemory_id ON agent_memories (id);
CREATE UNIQUE INDEX agentmemory_workspace_id_agent_id_session_key ON agent_memories (workspace_id, agent_id, session,
    key);
CREATE INDEX agent_memories_expiring ON agent_memories (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX agent_memories_newest ON agent_memories (workspace_id, agent_id, updated_at);
"""

# SQLite only

# Full-text search in memories, which triggers keep up to date.
MEMORY_SEARCH = (
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

# The condition costs half a microsecond for each count.
DELETE_SETTLED_DAYS = (
    "CREATE TRIGGER run_days_{0} AFTER {0} ON run_days "
    "WHEN EXISTS (SELECT 1 FROM workspace_days WHERE workspace_id = {1}.workspace_id AND day >= {1}.day) BEGIN "
    "DELETE FROM workspace_days WHERE workspace_id = {1}.workspace_id AND day >= {1}.day; "
    "DELETE FROM flow_sums WHERE workspace_id = {1}.workspace_id AND day >= {1}.day; END"
)


def _for_sqlite(db):
    def packed_value(at, kind):
        return f"CAST(json_extract(step.value, '$[{at}]') AS {_in_sqlite(kind)})"

    days = (DELETE_SETTLED_DAYS.format(*one) for one in (("insert", "new"), ("update", "new"), ("delete", "old")))
    for statement in (*MEMORY_SEARCH, *days, _all_steps("JOIN json_each(runs.packed_steps)", packed_value)):
        db.execute_sql(statement)


def _in_sqlite(statement):
    """Return a statement, or a type, with the types of SQLite."""
    return re.sub(r"\b(FLAG|COUNTER)\b", "INTEGER", statement)


# PostgreSQL only

# `\u0025` is a percent sign. The text before a signature is searched for the path of a link, 500 bytes back.
WITHOUT_SIGNATURES = r"""
CREATE FUNCTION without_signatures(given TEXT) RETURNS TEXT LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $body$
DECLARE
    mark CONSTANT TEXT := '(token(?:=|\u0025(?:25)*3D|\\+u003D))[A-Za-z0-9_-]+';
    plain TEXT COLLATE "C" := given;
    result TEXT := '';
    before BYTEA := '';
    found TEXT[];
    place INTEGER;
    length INTEGER;
BEGIN
    IF position('token' IN plain) = 0 THEN
        RETURN given;
    END IF;
    FOR found IN SELECT regexp_matches(plain, '(' || mark || ')', 'gi') LOOP
        place := position(found[1] IN plain);
        length := char_length(found[1]);
        before := before || convert_to(left(plain, place - 1), 'UTF8');
        result := result || left(plain, place - 1);
        IF position('resume'::BYTEA IN substring(before FROM greatest(1, octet_length(before) - 499))) > 0 THEN
            result := result || found[2] || U&'\2026';
        ELSE
            result := result || found[1];
        END IF;
        before := before || convert_to(found[1], 'UTF8');
        plain := substr(plain, place + length);
    END LOOP;
    RETURN result || plain;
END
$body$
"""
SETTLED_DAYS = """
CREATE FUNCTION delete_settled_days() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    counted run_days;
BEGIN
    IF TG_OP = 'DELETE' THEN counted := OLD; ELSE counted := NEW; END IF;
    IF EXISTS (SELECT 1 FROM workspace_days WHERE workspace_id = counted.workspace_id AND day >= counted.day) THEN
        DELETE FROM workspace_days WHERE workspace_id = counted.workspace_id AND day >= counted.day;
        DELETE FROM flow_sums WHERE workspace_id = counted.workspace_id AND day >= counted.day;
    END IF;
    RETURN NULL;
END $$
"""
# - `server_counters`: SQLite's change counters are in a file beside the database (database/changes.py).
# - `commit_numbers`: by which a process learns whether a commit whose answer was lost has happened.
# - `payloads`: values too large for the rows of runs, in parts. They are not compressed again: that takes more time
#   than the space is worth, and parts of plain storage can be read alone. `object` names an object of an S3 store, in
#   place of the data.
# - `value_objects`: each object that may exist in that store. A row is committed before its object is written, and
#   deleted after the object is. So none is forgotten, and the store need not be searched.
# - `words` takes the place of SQLite's full-text table and triggers. The server writes it with the text (`save_words`
#   of database/full_text.py): a generated column would depend on the locale of the database, and on PostgreSQL's idea
#   of a word.
POSTGRES = """
CREATE TABLE server_counters (name TEXT NOT NULL PRIMARY KEY, value INTEGER NOT NULL);
INSERT INTO server_counters (name, value) VALUES ('settings', 1);
CREATE TABLE commit_numbers (writer TEXT NOT NULL, number INTEGER NOT NULL, is_void FLAG NOT NULL DEFAULT 0,
    PRIMARY KEY (writer, number));
CREATE TABLE payloads (run_id TEXT NOT NULL, name TEXT NOT NULL, claims INTEGER NOT NULL, part INTEGER NOT NULL,
    data BLOB NOT NULL, object TEXT, PRIMARY KEY (run_id, name, claims, part));
ALTER TABLE payloads ALTER COLUMN data SET STORAGE EXTERNAL;
CREATE INDEX payloads_object ON payloads (object) WHERE object IS NOT NULL;
CREATE TABLE value_objects (run_id TEXT NOT NULL, digest TEXT NOT NULL, PRIMARY KEY (run_id, digest));
ALTER TABLE agent_memories ADD COLUMN words tsvector NOT NULL DEFAULT '';
CREATE INDEX agent_memories_words ON agent_memories USING gin (words);
CREATE TRIGGER run_days_insert AFTER INSERT ON run_days FOR EACH ROW EXECUTE FUNCTION delete_settled_days();
CREATE TRIGGER run_days_update AFTER UPDATE ON run_days FOR EACH ROW EXECUTE FUNCTION delete_settled_days();
CREATE TRIGGER run_days_delete AFTER DELETE ON run_days FOR EACH ROW EXECUTE FUNCTION delete_settled_days();
"""
TYPES = {
    "INTEGER": "BIGINT",  # times are milliseconds, and sizes are bytes
    # Not BOOLEAN: `recorded = 0` is then valid in both engines, and a partial index has the predicate of its queries.
    "FLAG": "SMALLINT",
    "REAL": "DOUBLE PRECISION",
    "BLOB": "BYTEA",
    # Sorted by bytes, as in SQLite. Lists are paged by ids, and the order of a natural language places `_` and `~`
    # elsewhere and ignores case.
    "TEXT": 'TEXT COLLATE "C"',
    "COUNTER": "BIGINT GENERATED BY DEFAULT AS IDENTITY",
}
# `runs` and `steps` are partitioned by the id of the run, which begins with its time. The first and the last partition
# have no outer bound, so every id has a partition; database/tables/partitions.py adds and removes the others.
PARTITIONED = {"runs": "id", "steps": "run_id"}
DAY_MS = 86_400_000
FIRST_DAYS = 6  # of the first partition with a name of its day
DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def _for_postgres(db):
    db.execute_sql(SETTLED_DAYS)
    db.execute_sql(WITHOUT_SIGNATURES)
    for statement in _statements(POSTGRES):
        db.execute_sql(_in_postgres(statement))
    today = int(time.time() * 1000) // DAY_MS * DAY_MS
    for table in PARTITIONED:
        _partition(db, table, today, today + FIRST_DAYS * DAY_MS)
    # JSONB is parsed once for a run, JSON once more for each value: with 20 steps of 1 KB, a page of steps takes 1.2 ms
    # instead of 9.
    db.execute_sql(
        _all_steps("CROSS JOIN LATERAL jsonb_array_elements(CAST(runs.packed_steps AS jsonb))", _packed_value)
    )


def _in_postgres(statement):
    """Return a statement in the dialect of PostgreSQL."""
    table = re.match(r"CREATE TABLE (\w+)", statement)
    if not table:
        return statement
    typed = re.sub(r"\b[A-Z]+\b", lambda word: TYPES.get(word[0], word[0]), statement.removesuffix(" WITHOUT ROWID"))
    key = PARTITIONED.get(table[1])
    return f"{typed} PARTITION BY RANGE ({key})" if key else typed


def _packed_value(at, kind):
    """Return the SQL of one value of a packed step, with the type and the collation of its column in `steps`."""
    text = f"(step.value ->> {at})"
    if kind == "TEXT":
        return f'{text} COLLATE "C"'
    if kind == "FLAG":  # JSON has it as true or false
        text = f"(CASE {text} WHEN 'true' THEN '1' WHEN 'false' THEN '0' ELSE {text} END)"
    return f"CAST({text} AS {TYPES[kind]})"


# The fillfactor of `runs` leaves room on each page for new versions of its rows: a run that waits for a thread is
# updated some four times. If its page is full, a new version goes to another page, with new entries in every index.
# Measured: without room, 5% of the updates need no index and a run writes 5.1 KB of WAL; with it 40%, 3.6 KB, and the
# table grows to less than two thirds. A run that is written once, when it has ended, takes 0.2 KB more.
#
# Statistics: the columns depend on each other (a schedule's runs seldom fail, a workspace has its own triggers), and
# without them the planner estimates few rows where there are many, or many where there are none.
def _partition(db, table, first, second):
    """Create the partitions of ids before the time `first`, before the time `second`, and after it."""
    storage = " WITH (fillfactor = 70)" if table == "runs" else ""
    day = {at: time.strftime("%Y%m%d", time.gmtime(at // 1000)) for at in (first, second)}
    cuts = ["MINVALUE", f"'{_first_id(first)}'", f"'{_first_id(second)}'", "MAXVALUE"]
    for name, lower, upper in zip(("old", day[first], day[second]), cuts, cuts[1:], strict=False):
        part = f"{table}_{name}"
        db.execute_sql(f"CREATE TABLE {part} PARTITION OF {table} FOR VALUES FROM ({lower}) TO ({upper}){storage}")
        if table == "runs":
            db.execute_sql(f"CREATE STATISTICS {part}_kinds (mcv) ON workspace_id, status, triggered_by FROM {part}")


def _first_id(at_ms):
    """Return the smallest id of a run of this time."""
    return "run_" + "".join(DIGITS[at_ms >> shift & 31] for shift in range(45, -1, -5)) + "0" * 16


# Both


def _all_steps(items, packed_value):
    """Return the SQL of the view. `items` joins the packed steps, and `packed_value(at, kind)` of a value of one.

    A value is cast to the type of its column in `steps`: only then do the engines apply a condition and an order to
    each half, instead of reading all steps of a run for every page.
    """
    columns = [column.split()[:2] for column in STEP_COLUMNS.split(",")]
    packed = ", ".join(packed_value(at, kind) for at, (_, kind) in enumerate(columns))
    names = ", ".join(name for name, _ in columns)
    return (
        f"CREATE VIEW all_steps AS SELECT run_id, {names} FROM steps "
        f"UNION ALL SELECT runs.id, {packed} FROM runs {items} AS step"
    )


def _statements(script):
    """Return the statements of a script, each in one line."""
    return [" ".join(part.split()) for part in script.split(";") if part.strip()]


def up(migrator, db):
    is_sqlite = isinstance(db, SqliteDatabase)
    for script in (ACCOUNTS, SERVER, FLOWS, TRIGGERS, RUNS, STEPS, METRICS, DATA, AGENTS):
        for statement in _statements(script):
            db.execute_sql(_in_sqlite(statement) if is_sqlite else _in_postgres(statement))
    (_for_sqlite if is_sqlite else _for_postgres)(db)
