"""The tables, the queries on them and the legal changes of a run's state: the one place to import them from.

They live in `tables/`, one file a subject. No Flask, no engine, no wire JSON here. Times are integers, milliseconds
since 1970 UTC; JSON is text. Ids are a prefix and a ULID, so they sort by age. Rows that a run produces are written
through `Write` values, which the recorder commits in groups; everything else writes itself inside `database.write()`.
"""

from database import DatabaseRefused, HeldUp, commits, is_held_up, patience, space
from tables import retention
from tables.agent_definitions import Agent
from tables.agent_runs import AgentRun, AgentStep
from tables.audit import ACTIONS, SUBJECTS, AuditEntry, differences, present_names
from tables.base import Base, Needed, Write, first_id, microseconds, monotonic_ms, new_id, now_ms
from tables.callers import Caller, look_up_anew
from tables.credentials import Credential
from tables.facts import Fact
from tables.figures import metrics, totals
from tables.flow_pages import (
    FlowFilters,
    LastRun,
    Listed,
    definitions_of,
    flow_page,
    last_runs,
    next_times,
    sizes_of,
    versions_of,
)
from tables.flows import MOST_CHARACTERS, Startable, Workflow, WorkflowVersion
from tables.invitations import Invitation
from tables.keys import IdempotencyKey
from tables.leases import Lease
from tables.logins import LoginAddress, LoginFailure
from tables.logs import LogEntry
from tables.memory import AgentMemory, MemoryScope
from tables.metrics import RunDay
from tables.options import RunOptions
from tables.people import ROLES, ApiToken, Membership, Session, User, Workspace, hash_token
from tables.polls import CLAIM_MS, Claim, Poll, PollEntry
from tables.presets import Preset
from tables.runs import QUEUED, RUN_STATUSES, Run
from tables.schedules import GRACE_MS, Due, Schedule, ScheduleFire
from tables.signatures import without_signatures
from tables.steps import Step
from tables.store import StoreEntry, WorkspaceStore
from tables.sums import FlowSum, WorkspaceDay, settle_days
from tables.upcoming import Upcoming, upcoming
from tables.waits import Wait
from tables.webhooks import Fired, Hook, Webhook

__all__ = [
    "ACTIONS", "CLAIM_MS", "GRACE_MS", "MOST_CHARACTERS", "QUEUED", "ROLES", "RUN_STATUSES", "SUBJECTS", "Agent",
    "AgentMemory", "AgentRun", "AgentStep", "ApiToken", "AuditEntry", "Base", "Caller", "Claim", "Credential",
    "DatabaseRefused", "Due", "Fact", "Fired", "FlowFilters", "FlowSum", "HeldUp", "Hook", "IdempotencyKey",
    "Invitation", "LastRun", "Lease", "Listed", "LogEntry", "LoginAddress", "LoginFailure", "Membership", "MemoryScope",
    "Needed", "Poll", "PollEntry", "Preset", "Run", "RunDay", "RunOptions", "Schedule", "ScheduleFire", "Session",
    "Startable", "Step", "StoreEntry", "Upcoming", "User", "Wait", "Webhook", "Workflow", "WorkflowVersion",
    "Workspace", "WorkspaceDay", "WorkspaceStore", "Write", "commits", "definitions_of", "differences", "first_id",
    "flow_page", "hash_token", "is_held_up", "last_runs", "look_up_anew", "metrics", "microseconds", "monotonic_ms",
    "new_id", "next_times", "now_ms", "patience", "present_names", "retention", "settle_days", "sizes_of", "space",
    "totals", "upcoming", "versions_of", "without_signatures",
]  # fmt: skip
