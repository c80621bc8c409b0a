"""Every table of the database: its columns and indexes, and nothing else. Queries are in `database/queries/`.

Times are integers, in milliseconds since 1970 UTC; JSON is text. An id is `prefix_` and a ULID, so ids sort by age.
Tables are made by the migrations; a test compares them with these classes.
"""

from peewee import SQL, AutoField, BlobField, BooleanField, CompositeKey, FloatField, IntegerField, TextField

from database.base import DAY_MS, Base, Expiring, Timed

HAS_ENDED = "status = 'success' OR status = 'failed'"
IS_UNFINISHED = "status = 'pending' OR status = 'running'"
IS_CLAIMABLE = "status = 'pending' AND waiting IS NULL AND recorded = 0"
IS_QUEUED = "status = 'pending' AND waiting = 'a free place (max_concurrent_runs)'"
HAS_STARTED = "status IN ('pending', 'running') AND COALESCE(waiting, '') <> 'its turn'"


# Runs
class Run(Timed, Base):
    """One execution of a flow.

    `lease_owner` is the process that executes it, `claims` how often it was claimed, `deaths` how often a process died
    executing it; `cancelled` marks a failed run that was stopped, `recorded` one that was executed elsewhere. A pending
    run with `waiting`, the reason, is not claimed. An input or output with `…_bytes` is too large for the row and is in
    a file (see dispatch/payloads.py). `parent_run_id` is the run that started this one, and `parent_node_id` its node
    if it waits for the result; `depth` counts such ancestors; `retry_of` is the retried run. `nodes_done` of
    `nodes_total` are settled. `options` is set if the run was started with more than an input: JSON for lists, with
    `draft`, `until`, `pinned` and `only`. The table's last column, `packed_steps`, is not listed: few readers need it.
    """

    prefix, is_partitioned = "run", True
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
    deaths = IntegerField(default=0)
    depth = IntegerField(default=0)
    parent_run_id = TextField(null=True)
    parent_node_id = TextField(null=True)
    retry_of = TextField(null=True)
    nodes_total = IntegerField(null=True)
    nodes_done = IntegerField(null=True)
    options = TextField(null=True)
    error_kind = TextField(null=True)

    class Meta:
        indexes = (
            (("workspace_id", "id"), False),
            SQL(f"CREATE INDEX runs_ended ON runs (workspace_id, status, triggered_by, id) WHERE {HAS_ENDED}"),
            SQL(
                "CREATE INDEX runs_ended_of_flow ON runs (workspace_id, workflow_id, status, triggered_by, id) "
                "WHERE status = 'success' OR status = 'failed'"
            ),
            SQL(f"CREATE INDEX runs_unfinished ON runs (workspace_id, status, id) WHERE {IS_UNFINISHED}"),
            SQL(f"CREATE INDEX runs_claimable ON runs ((deaths > 1), id) WHERE {IS_CLAIMABLE}"),
            SQL("CREATE INDEX runs_pending ON runs (workflow_id, waiting, id) WHERE status = 'pending'"),
            SQL(f"CREATE INDEX runs_queued ON runs (workflow_id, id) WHERE {IS_QUEUED}"),
            SQL("CREATE INDEX runs_running ON runs (workflow_id) WHERE status = 'running'"),
            SQL("CREATE INDEX runs_children ON runs (parent_run_id) WHERE parent_run_id IS NOT NULL"),
            SQL("CREATE INDEX runs_cancelled ON runs (workspace_id, id) WHERE cancelled = 1"),
            SQL("CREATE INDEX runs_error_kind ON runs (workspace_id, error_kind, id) WHERE error_kind IS NOT NULL"),
            SQL("CREATE INDEX runs_held ON runs (parent_run_id, id) WHERE status = 'pending' AND waiting = 'its turn'"),
            SQL(f"CREATE INDEX runs_started ON runs (parent_run_id) WHERE parent_run_id IS NOT NULL AND {HAS_STARTED}"),
        )


class Step(Timed, Base):
    """One execution of a node (engine.StepRecord), read from the view of both kinds. `seq` orders the steps of a run.

    `inputs` is a JSON list of the nodes whose outputs made the input; null for the run's own input. `same_as` is the
    node whose output this one passed on. `final` marks the failure that ended the run.
    """

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
    error_kind = TextField(null=True)

    class Meta:
        table_name = "all_steps"
        primary_key = CompositeKey("run_id", "seq")


class StoredStep(Step):
    """A step that is a row of its own, not packed into the row of its run (database/queries/steps.py)."""

    class Meta:
        table_name = "steps"


class Wait(Base):
    """A waiting node of a run, or an item of its loop: then `node_id` is `node:index` (see database/queries/waits.py).

    `seq` is its step's number, null while there is only an answer. `question` is set for a node that may ask several
    questions. `kind` is a `WaitKind` of nodes.base; the wait of a loop has `places`, `delay_ms`, `next_at` and `turn`.
    `name`, `answer` (JSON text, or a file of `answer_bytes`), `answered_by` and `answered_at` are the answer.
    """

    run_id = TextField()
    node_id = TextField()
    seq = IntegerField(null=True)
    reason = TextField(null=True)
    wake_at = IntegerField(null=True)
    created_at = IntegerField()
    name = TextField(null=True)
    answer = TextField(null=True)
    answer_bytes = IntegerField(null=True)
    answered_by = TextField(null=True)
    answered_at = IntegerField(null=True)
    question = TextField(null=True)
    kind = TextField(null=True)
    places = IntegerField(null=True)
    delay_ms = IntegerField(null=True)
    next_at = IntegerField(null=True)
    turn = TextField(null=True)

    class Meta:
        primary_key = CompositeKey("run_id", "node_id")
        indexes = (
            SQL("CREATE INDEX waits_due ON waits (wake_at) WHERE wake_at IS NOT NULL AND answered_at IS NULL"),
            SQL("CREATE INDEX waits_open ON waits (run_id, COALESCE(answered_at, 0))"),
        )


class RunOptions(Base):
    """`value` is JSON as dispatch/acceptance.py makes it, or in a file of `value_bytes` (dispatch/payloads.py)."""

    run_id = TextField(primary_key=True)
    value = TextField(null=True)
    value_bytes = IntegerField(null=True)

    class Meta:
        table_name = "run_options"


class IdempotencyKey(Expiring, Base):
    """A key under which a run was started; it identifies that run for a day.

    `request_hash` is the hash of the request that brought the key, if it stands for this request only.
    """

    expired, kept_ms = "created_at < ?", DAY_MS
    workflow_id = TextField()
    key = TextField()
    run_id = TextField(index=True)
    created_at = IntegerField(index=True)
    request_hash = TextField(null=True)

    class Meta:
        primary_key = CompositeKey("workflow_id", "key")


class Debounce(Base):
    """The run that collects the calls of a window. Times are in milliseconds."""

    workflow_id = TextField()
    node_id = TextField()
    key = TextField()
    run_id = TextField()
    first_at = IntegerField()
    due_at = IntegerField(index=True)

    class Meta:
        primary_key = CompositeKey("workflow_id", "node_id", "key")


class RunDay(Base):
    """The runs of a flow that ended on one day (days since 1970, UTC)."""

    workspace_id = TextField()
    workflow_id = TextField()
    day = IntegerField()
    total = IntegerField()
    success = IntegerField()
    failed = IntegerField()
    duration_ms = FloatField()

    class Meta:
        primary_key = CompositeKey("workspace_id", "day", "workflow_id")


class WorkspaceDay(Base):
    """The sum of a workspace's counts of one past day. A trigger deletes it if the day is counted again."""

    workspace_id = TextField()
    day = IntegerField()
    total = IntegerField()
    success = IntegerField()
    failed = IntegerField()
    duration_ms = FloatField()

    class Meta:
        primary_key = CompositeKey("workspace_id", "day")


class FlowSum(RunDay):
    """The sum of a flow's counts up to the end of `day`. A trigger deletes it if one of its days is counted again."""


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
        indexes = (
            (("workspace_id", "id"), False),
            (("run_id", "id"), False),
            SQL("CREATE INDEX log_entries_of_level ON log_entries (workspace_id, level, id)"),
        )


# Workflows
class Workflow(Base):
    prefix = "wf"
    id = TextField(primary_key=True)
    workspace_id = TextField()
    name = TextField()
    status = TextField()
    version = IntegerField()
    definition_json = TextField()
    created_at = IntegerField()
    updated_at = IntegerField()

    class Meta:
        indexes = ((("workspace_id", "id"), False),)


class WorkflowVersion(Base):
    workflow_id = TextField()
    version = IntegerField()
    definition_json = TextField()
    created_at = IntegerField()
    created_by = TextField(null=True)
    name = TextField(null=True)
    note = TextField(null=True)
    created_by_name: str | None = None

    class Meta:
        primary_key = CompositeKey("workflow_id", "version")


class Draft(Base):
    """The draft of a flow: its definition before it is published, shared by all editors. At most one for each flow.

    `revision` counts its changes, including each time it was discarded or published, so it never repeats. Without a
    draft, the row is missing (revision 0) or its definition is null.
    """

    workflow_id = TextField(primary_key=True)
    revision = IntegerField()
    definition_json = TextField(null=True)
    base_version = IntegerField(null=True)
    changed_by = TextField(null=True)
    changed_at = IntegerField(null=True)


class ScheduledPublish(Base):
    """A definition that is published at a time: the draft as it was when the time was set.

    `draft_revision` is its revision at that time. A failed attempt is not repeated; `failure` has the reason.
    """

    workflow_id = TextField(primary_key=True)
    draft_revision = IntegerField()
    definition_json = TextField()
    base_version = IntegerField()
    name = TextField(null=True)
    note = TextField(null=True)
    publish_at = IntegerField(index=True)
    created_by = TextField()
    created_at = IntegerField()
    failure = TextField(null=True)
    failed_at = IntegerField(null=True)
    created_by_name: str | None = None

    class Meta:
        table_name = "scheduled_publishes"


class Presence(Expiring, Base):
    """A person who has a flow open, in any number of tabs."""

    workflow_id = TextField()
    user_id = TextField()
    since = IntegerField()
    expires_at = IntegerField(index=True)

    class Meta:
        primary_key = CompositeKey("workflow_id", "user_id")


class WorkflowFolder(Base):
    """The folder that a flow is in; a flow without a row is in no folder."""

    workflow_id = TextField(primary_key=True)
    workspace_id = TextField()
    path = TextField()

    class Meta:
        indexes = ((("workspace_id", "path"), False),)


class WorkflowTag(Base):
    """A tag of a flow."""

    workflow_id = TextField()
    tag = TextField()
    workspace_id = TextField()

    class Meta:
        primary_key = CompositeKey("workflow_id", "tag")
        indexes = ((("workspace_id", "tag"), False),)


class Favourite(Base):
    """A flow that a user has marked."""

    user_id = TextField()
    workflow_id = TextField(index=True)

    class Meta:
        primary_key = CompositeKey("user_id", "workflow_id")


class VariableSet(Base):
    """All variables of a workspace from `effective_at` on, until the next set. `variables` is a JSON object."""

    workspace_id = TextField()
    effective_at = IntegerField()
    variables = TextField()

    class Meta:
        primary_key = CompositeKey("workspace_id", "effective_at")


# Triggers
class Webhook(Base):
    """`credential_id` authenticates callers, null for a public webhook."""

    path = TextField()
    method = TextField()
    workflow_id = TextField(index=True)
    node_id = TextField()
    workspace_id = TextField()
    credential_id = TextField(null=True, index=True)

    class Meta:
        primary_key = CompositeKey("path", "method")
        indexes = (SQL("CREATE INDEX webhooks_patterns ON webhooks (path) WHERE replace(path, ':', '') <> path"),)


class WebhookListener(Base):
    """A listener takes one call before `until` (ms). `options` is JSON as dispatch/acceptance.py makes it.

    `called_at` is set by the call that claims it, and `run_id` once this call has started its run.
    """

    prefix = "lis"
    workflow_id = TextField(primary_key=True)
    id = TextField()
    workspace_id = TextField()
    user_id = TextField()
    until = IntegerField()
    options = TextField()
    called_at = IntegerField(null=True)
    run_id = TextField(null=True)


class RegisteredHook(Base):
    """`scope` is the place of the webhook in the service (JSON: service, account, settings), `events` a JSON list.

    `url` is the whole address, once the service may know it. `secret` is encrypted; it is set if the service creates
    it. `next_at` (ms) is when the next work is due, `claimed_until` the end of its claim, `version` its fencing token.
    """

    prefix = "hk"
    ADDING, ADDED, REMOVING = "adding", "added", "removing"
    id = TextField(primary_key=True)
    workspace_id = TextField()
    workflow_id = TextField(index=True)
    node_id = TextField()
    type = TextField()
    path = TextField(index=True)
    scope = TextField()
    events = TextField()
    account_id = TextField(index=True)
    url = TextField(null=True)
    state = TextField()
    secret = TextField(null=True)
    next_at = IntegerField(index=True)
    claimed_until = IntegerField()
    claimed_by = TextField(null=True)
    version = IntegerField()
    attempts = IntegerField()
    last_error = TextField(null=True)
    created_at = IntegerField()


class Schedule(Base):
    """A schedule node of an active flow.

    Its instants are those of its rule after `anchor_ms`. `next_at` is the first unhandled one; equal to the anchor, it
    is not computed yet; null, there is none. `alerted_at` is when it was reported as overdue.
    """

    workflow_id = TextField()
    node_id = TextField()
    workspace_id = TextField()
    cron = TextField(null=True)
    every = FloatField(null=True)
    timezone = TextField()
    catch_up = TextField()
    anchor_ms = IntegerField()
    next_at = IntegerField(null=True, index=True)
    alerted_at = IntegerField(null=True)

    class Meta:
        primary_key = CompositeKey("workflow_id", "node_id")


class ScheduleFire(Base):
    """An instant at which a schedule fired; its key prevents a second time. Without a run, `note` has the reason."""

    workflow_id = TextField()
    node_id = TextField()
    instant = IntegerField()
    run_id = TextField(null=True)
    fired_at = IntegerField(index=True)
    note = TextField(null=True)

    class Meta:
        primary_key = CompositeKey("workflow_id", "node_id", "instant")


class Poll(Base):
    """A polled trigger.

    `next_at` is the time of the next poll; null, since `idle_since`, if the flow is inactive or the node was removed.
    During a poll by `owner`, it is when the claim ends. `moved_at` is when `next_at` was written.
    """

    workflow_id = TextField()
    node_id = TextField()
    workspace_id = TextField()
    type = TextField()
    every = FloatField()
    source = TextField()
    next_at = IntegerField(null=True, index=True)
    moved_at = IntegerField()
    idle_since = IntegerField(null=True)
    owner = TextField(null=True)
    version = IntegerField()
    state_of = TextField(null=True)
    state = TextField(null=True)
    begun = BooleanField()
    failures = IntegerField()
    last_error = TextField(null=True)
    last_polled_at = IntegerField(null=True)

    class Meta:
        primary_key = CompositeKey("workflow_id", "node_id")
        indexes = (
            SQL("CREATE INDEX polls_failing ON polls (workspace_id) WHERE failures > 0"),
            SQL("CREATE INDEX polls_taken ON polls (owner) WHERE owner IS NOT NULL"),
        )


class PollEntry(Base):
    """An entry that a trigger knows, by the digest of its key: it starts no second run.

    `gone_at` is when the source was first found not to show it, null while it does; for a source that never shows all
    of its entries, it is when the entry was seen.
    """

    workflow_id = TextField()
    node_id = TextField()
    entry = BlobField()
    run_id = TextField(null=True)
    seen_at = IntegerField()
    gone_at = IntegerField(null=True)

    class Meta:
        table_name = "poll_entries"
        primary_key = CompositeKey("workflow_id", "node_id", "entry")


# People
class User(Base):
    """A person who can log in. If `set_up` is False, another user chose their password.

    An admin may create workspaces and accounts and reset passwords. The next login opens `last_workspace_id`.
    """

    prefix = "usr"
    id = TextField(primary_key=True)
    email = TextField(unique=True)
    name = TextField()
    password_hash = TextField()
    created_at = IntegerField()
    set_up = BooleanField(default=True)
    is_admin = BooleanField(default=False)
    last_workspace_id = TextField(null=True)


class Workspace(Base):
    prefix = "ws"
    id = TextField(primary_key=True)
    name = TextField()
    created_at = IntegerField()
    founder_id = TextField(null=True)
    timezone = TextField(null=True)


class Membership(Base):
    workspace_id = TextField()
    user_id = TextField(index=True)
    role = TextField()
    created_at = IntegerField()

    class Meta:
        primary_key = CompositeKey("workspace_id", "user_id")


class Invitation(Expiring, Base):
    """An offer of a membership to an address. The database keeps only the hash of its token."""

    prefix = "inv"
    id = TextField(primary_key=True)
    workspace_id = TextField()
    email = TextField()
    role = TextField()
    token_hash = TextField(unique=True)
    invited_by = TextField()
    created_at = IntegerField()
    expires_at = IntegerField()

    class Meta:
        indexes = ((("workspace_id", "email"), True),)


class Session(Expiring, Base):
    """A login. It ends at `expires_at`, or at the idle timeout `idle_at`, which each use extends."""

    prefix = "ses"
    expired = "CASE WHEN idle_at < expires_at THEN idle_at ELSE expires_at END <= ?"
    id = TextField(primary_key=True)
    token_hash = TextField(unique=True)
    user_id = TextField(index=True)
    workspace_id = TextField()
    created_at = IntegerField()
    expires_at = IntegerField(index=True)
    idle_at = IntegerField()


class ApiToken(Base):
    prefix = "tok"
    id = TextField(primary_key=True)
    token_hash = TextField(unique=True)
    name = TextField()
    user_id = TextField()
    workspace_id = TextField(index=True)
    role = TextField()
    created_at = IntegerField()
    expires_at = IntegerField(null=True)


class LoginFailure(Base):
    """Number of failed logins under one key since `since`, and the last one. An attempt counts before it is checked."""

    key = TextField(primary_key=True)
    count = IntegerField()
    since = IntegerField(index=True)
    last = IntegerField()


class LoginAddress(Expiring, Base):
    """An address from which a user has logged in, and when last."""

    expired, kept_ms = "at <= ?", 30 * DAY_MS
    user_id = TextField()
    address = TextField()
    at = IntegerField(index=True)

    class Meta:
        table_name = "login_addresses"
        primary_key = CompositeKey("user_id", "address")


class SavedFilter(Base):
    """`query` is a JSON object: the values of the filters by name, as in the address of the page."""

    prefix = "sf"
    id = TextField(primary_key=True)
    workspace_id = TextField()
    user_id = TextField()
    page = TextField()
    name = TextField()
    query = TextField()
    created_at = IntegerField()

    class Meta:
        indexes = ((("workspace_id", "user_id", "page", "name"), True),)


class AuditEntry(Base):
    """An action and its actor.

    Without `user_id`, it came from a signed link or, without an `address` too, from the command line. The names of
    users, tokens and targets are as of the action. `changes` is a JSON object.
    """

    prefix = "aud"
    id = TextField(primary_key=True)
    workspace_id = TextField(null=True)
    user_id = TextField(null=True)
    user_email = TextField(null=True)
    token_name = TextField(null=True)
    action = TextField()
    target_type = TextField(null=True)
    target_id = TextField(null=True)
    target_name = TextField(null=True)
    changes = TextField()
    address = TextField(null=True)
    created_at = IntegerField()

    class Meta:
        table_name = "audit_entries"
        indexes = (
            (("workspace_id", "id"), False),
            (("workspace_id", "action", "id"), False),
            (("workspace_id", "user_id", "id"), False),
            (("workspace_id", "target_id", "id"), False),
        )


# Credentials
class Credential(Base):
    """`data` is the encrypted JSON of the values; `hosts` a JSON list of allowed hosts, null for any."""

    prefix = "cred"
    id = TextField(primary_key=True)
    workspace_id = TextField()
    name = TextField()
    type = TextField()
    data = TextField()
    hosts = TextField(null=True)
    created_at = IntegerField()
    updated_at = IntegerField()

    class Meta:
        indexes = ((("workspace_id", "name"), True),)


class OAuthGrant(Base):
    """The grant of a credential. Times are in ms; null: never, or unknown.

    `details` is a JSON object of the other values in the service's answer, without secrets. `scope` has the granted
    scopes, separated by spaces. `expires_at` is the end of the access token, `refresh_at` when to get a new one.
    `obtained_at` is when the present tokens were issued; `refreshed_at` is the same time if they were issued by a
    refresh. `reason` explains the status revoked or error. `lease_until` is by `lease_clock`.
    """

    CONNECTED, REVOKED, ERROR = "connected", "revoked", "error"
    credential_id = TextField(primary_key=True)
    workspace_id = TextField()
    status = TextField()
    tokens = TextField(null=True)
    scope = TextField(null=True)
    details = TextField()
    reason = TextField(null=True)
    connected_at = IntegerField(null=True)
    obtained_at = IntegerField(null=True)
    refreshed_at = IntegerField(null=True)
    refresh_at = IntegerField(null=True)
    expires_at = IntegerField(null=True)
    version = IntegerField()
    lease_id = TextField(null=True)
    lease_process = TextField(null=True)
    lease_clock = TextField(null=True)
    lease_until = IntegerField(null=True)

    class Meta:
        table_name = "oauth_grants"


class OAuthAttempt(Expiring, Base):
    """An attempt to connect an account: the user is on the service's page of consent. The id is the hash of `state`.

    `sealed` is encrypted JSON: the verifier of PKCE, the redirect URL, and the values to which the grant is bound.
    """

    kept_ms = 3_600_000  # so that a late answer gets an error that says so
    id = TextField(primary_key=True)
    credential_id = TextField()
    workspace_id = TextField()
    session_id = TextField()
    user_id = TextField()
    sealed = TextField()
    expires_at = IntegerField(index=True)
    used_at = IntegerField(null=True)

    class Meta:
        table_name = "oauth_attempts"
        indexes = ((("credential_id", "session_id"), False),)


# Data of workspaces
class StoreEntry(Expiring, Base):
    workspace_id = TextField()
    key = TextField()
    value = TextField()
    expires_at = IntegerField(null=True, index=True)
    updated_at = IntegerField()

    class Meta:
        table_name = "store_entries"
        primary_key = CompositeKey("workspace_id", "key")


class DataTable(Base):
    """`columns` is a JSON list of `TableColumn`s (packs/tables/columns.py), `next_column` the number of the next id."""

    prefix = "tbl"
    id = TextField(primary_key=True)
    workspace_id = TextField()
    name = TextField()
    columns = TextField()
    next_column = IntegerField()
    row_count = IntegerField()
    created_at = IntegerField()
    updated_at = IntegerField()

    class Meta:
        indexes = ((("workspace_id", "name"), True),)


class DataRow(Base):
    """`cells` is a JSON object of values by the ids of columns; an empty cell is left out."""

    prefix = "row"
    id = TextField(primary_key=True)
    table_id = TextField()
    cells = TextField()
    created_at = IntegerField()
    updated_at = IntegerField()

    class Meta:
        indexes = ((("table_id", "id"), False),)


class DataKey(Base):
    """A cell of an indexed column, found by its digest (`digest_of` of packs/tables/columns.py)."""

    table_id = TextField()
    column_id = TextField()
    digest = TextField()
    row_id = TextField()

    class Meta:
        primary_key = CompositeKey("table_id", "column_id", "digest", "row_id")


class DataWrite(Expiring, Base):
    """A write with an idempotency key, and its `result` as JSON: repeated, it returns that and changes nothing."""

    key = TextField(primary_key=True)
    table_id = TextField()
    result = TextField()
    expires_at = IntegerField(index=True)


class Preset(Base):
    """`source` is the slug of the document's title, `key` names the operation within it."""

    prefix = "pre"
    id = TextField(primary_key=True)
    workspace_id = TextField()
    source = TextField()
    title = TextField()
    key = TextField()
    name = TextField()
    description = TextField()
    tags = TextField()
    node_json = TextField()
    parameters_json = TextField()
    credential_type = TextField(null=True)
    created_at = IntegerField()

    class Meta:
        indexes = ((("workspace_id", "source", "key"), True), (("workspace_id", "id"), False))


# Agents
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


class AgentRun(Timed, Base):
    """A task of an agent and its result, at a node (and item) of the run `run_id`.

    `output` is JSON: `{"text"}` or `{"data"}`. `cost` is in US dollars, None if the model's price is unknown.
    `item_index` is -1 unless the node is mapped over a list.
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
        indexes = (
            (("workspace_id", "id"), False),
            (("workspace_id", "agent_id", "session", "id"), False),
            (("run_id", "node_id", "item_index"), True),
        )


class AgentStep(Timed, Base):
    """A step of an agent: `kind` is start, model or tool. `seq` orders the steps of an agent run.

    `request` and `result` are JSON without secrets; a model's can be replayed after a crash.
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
        primary_key = CompositeKey("agent_run_id", "seq")


class AgentMemory(Base):
    """A memory of an agent, unique by its MemoryName. `tags` is a JSON list.

    `number` rises in the order of creation, and is the row id in the full-text index.
    """

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
        indexes = (
            (("workspace_id", "agent_id", "session", "key"), True),
            SQL("CREATE INDEX agent_memories_expiring ON agent_memories (expires_at) WHERE expires_at IS NOT NULL"),
            SQL("CREATE INDEX agent_memories_newest ON agent_memories (workspace_id, agent_id, updated_at)"),
        )


# The server
class Lease(Base):
    """A process that is alive until `until` unless it renews the lease; or a right that `owner` holds until then.

    `until` of a process is in milliseconds by the clock `owner` (see database/shared.py): with SQLite since boot, and
    `owner` is the boot id, since a change of the time of day must not kill processes. `process` is the identity of the
    process: if it no longer exists, others need not wait. Rights use the time of day, and PostgreSQL its own clock.

    `node_types` is a JSON list of the node types that the process has; null for a right. For the metrics, each process
    also has its `role` and its Load; null until it has written them.
    """

    name = TextField(primary_key=True)
    until = IntegerField()
    owner = TextField(null=True)
    process = TextField(null=True)
    node_types = TextField(null=True)
    role = TextField(null=True)
    active = IntegerField(null=True)
    threads = IntegerField(null=True)
    queued = IntegerField(null=True)
    unsent = IntegerField(null=True)
    is_broker_down = IntegerField(null=True)
    deaf_ms = IntegerField(null=True)


class RateLimit(Expiring, Base):
    """`state` has the `Starts` as JSON; `empty_at` is the time from which the row has no effect, in µs since 1970."""

    expired = "empty_at <= ? * 1000"
    workspace_id = TextField()
    key = TextField()
    empty_at = IntegerField(index=True)
    state = TextField(null=True)

    class Meta:
        primary_key = CompositeKey("workspace_id", "key")


class MetricCount(Base):
    """One count of a metric with certain values of its labels, which are a JSON list."""

    metric = TextField()
    labels = TextField()
    part = TextField()
    value = FloatField()

    class Meta:
        primary_key = CompositeKey("metric", "labels", "part")


class ServerFact(Base):
    """`key`: fingerprint of the key that encrypts the credentials. `version`: the last version that opened it.
    `paused`: the reason why no run starts, until `resume`. `moved_to`: the place and time of a move of the data.
    """

    name = TextField(primary_key=True)
    value = TextField()
