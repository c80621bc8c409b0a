"""Models: the tables, their queries and the legal changes of a run's state. Import all of them from here.

They are defined in `database/tables/`, one file per subject, without Flask, the engine, or JSON of the API. Times are
integers, in milliseconds since 1970 UTC; JSON is text. An id is a prefix and a ULID, so ids sort by age. Rows of runs
are written as `Write` values, which the recorder commits in groups; all others are written in `database.write()`.
"""

# ruff: noqa: F401
from database import DatabaseRefused, LockTimeout, commits, get_clock, is_write_blocked, lock_wait, space
from database.tables import debounces, large_values, loops, partitions, retention
from database.tables.agent_definitions import Agent
from database.tables.agent_memory import AgentMemory, MemoryName, MemoryScope
from database.tables.agent_runs import AgentRun, AgentStep
from database.tables.audit import ACTIONS, SUBJECTS, AuditEntry, differences, present_names
from database.tables.base import (
    Base,
    Decides,
    Needed,
    Rows,
    Write,
    first_id,
    microseconds,
    monotonic_ms,
    new_id,
    now_ms,
)
from database.tables.callers import Caller, forget_session
from database.tables.credentials import Credential
from database.tables.data_tables import DataKey, DataRow, DataTable, DataWrite
from database.tables.debounces import Debounce, Window
from database.tables.drafts import Draft, Presence, PresentUser, ScheduledPublish, clear_draft, names_of_users
from database.tables.idempotency_keys import IdempotencyKey
from database.tables.invitations import Invitation
from database.tables.key_value import StoreEntry, WorkspaceStore
from database.tables.leases import Lease, Load
from database.tables.link_signatures import without_signatures
from database.tables.locks import FlowLock, lock_flow, lock_names, lock_runs
from database.tables.logins import LoginAddress, LoginFailure
from database.tables.logs import LogEntry, LogFilters
from database.tables.metric_counts import Count, MetricCount
from database.tables.metric_sums import settle_days
from database.tables.metrics import metrics, totals
from database.tables.oauth_grants import OAuthAttempt, OAuthGrant
from database.tables.polls import CLAIM_MS, Claim, Poll, PollEntry
from database.tables.presets import Preset
from database.tables.rate_limits import RateLimit
from database.tables.registered_hooks import CHECK_MS, RegisteredHook
from database.tables.run_days import EndedRun, RunDay
from database.tables.run_options import RunOptions
from database.tables.runs import QUEUED, Run, RunFilters, RunState
from database.tables.saved_filters import SavedFilter
from database.tables.schedules import GRACE_MS, Due, Schedule, ScheduleFire
from database.tables.server_metrics import (
    FlowMetrics,
    count_claimable,
    count_unfinished,
    find_queue_age,
    measure_flows,
)
from database.tables.server_state import ServerFact
from database.tables.steps import Settlement, Step, StepData
from database.tables.units import Item, Undone, Unit, execute_units
from database.tables.upcoming import Upcoming, upcoming
from database.tables.users import ApiToken, Membership, Session, User, Workspace, hash_token
from database.tables.variables import VariableSet, find_variables
from database.tables.waits import Wait
from database.tables.webhook_listeners import WebhookListener
from database.tables.webhook_paths import MAX_CALLED, PARAM, Patterns, read_params, shape_of
from database.tables.webhooks import MAX_PATTERNS, Fired, Webhook, WebhookTarget, expand_methods
from database.tables.workflow_labels import (
    Favourite,
    LabelChange,
    WorkflowFolder,
    WorkflowTag,
    labels_of,
)
from database.tables.workflow_lists import (
    FlowFilters,
    LastRun,
    Listed,
    check_no_copies,
    definitions_of,
    flow_page,
    last_runs,
    next_times,
    sizes_of,
    versions_of,
)
from database.tables.workflows import MAX_CHARACTERS, Startable, Workflow, WorkflowVersion
