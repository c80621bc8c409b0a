"""Audit log: entries of changes, written together with the change and never changed.

Entries have names, roles, statuses, versions and counts, but no secrets and no data of flows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import orjson

from constants import CHANGED
from database import execute, fetch_value, write
from database.base import IN_LIST, Rows, Write, encode_list, first_id, id_bounds, insert, made_at, new_id, without_index
from models import AuditEntry, Workspace

ACTIONS = (
    "agent.created", "agent.deleted", "agent.updated",
    "credential.connected", "credential.created", "credential.deleted", "credential.disconnected", "credential.tested",
    "credential.updated",
    "file.deleted", "file.moved", "file.uploaded",
    "folder.moved",
    "flow.activated", "flow.created", "flow.deactivated", "flow.deleted", "flow.draft_discarded", "flow.listened",
    "flow.publish_cancelled", "flow.publish_scheduled", "flow.published", "flow.restored", "flow.unlistened",
    "flow.updated", "flow.version_named",
    "invitation.accepted", "invitation.created", "invitation.refused", "invitation.withdrawn",
    "member.added", "member.changed", "member.removed",
    "memory.cleared", "memory.deleted", "memory.written",
    "password.changed", "password.reset",
    "preset.deleted", "preset.imported",
    "profile.changed",
    "run.answered", "run.cancelled", "run.deleted", "run.recorded", "run.retried", "run.started",
    "session.closed", "session.moved", "session.opened", "session.refused",
    "store.deleted", "store.written",
    "table.changed", "table.created", "table.deleted", "table.edited", "table.imported",
    "token.created", "token.withdrawn",
    "user.demoted", "user.promoted",
    "variable.deleted", "variable.set",
    "webhook.forgotten",
    "workspace.changed", "workspace.created", "workspace.renamed",
)  # fmt: skip
SUBJECTS = tuple(dict.fromkeys(action.partition(".")[0] for action in ACTIONS))
# By the prefix of its id: the type of a target, and the column with its name.
TARGETS = {
    "wf": ("flow", "name"),
    "run": ("run", "workflow_name"),
    "cred": ("credential", "name"),
    "tok": ("token", "name"),
    "ws": ("workspace", "name"),
    "ses": ("session", None),
    "usr": ("user", "email"),
    "inv": ("invitation", "email"),
    "mem": ("memory", "key"),
    "tbl": ("table", "name"),
}
# By the same prefix: the targets that are rows of a workspace, and their table.
TABLES = {"wf": "workflows", "run": "runs", "cred": "credentials", "tok": "api_tokens"}
TABLES |= {"mem": "agent_memories", "inv": "invitations", "tbl": "data_tables"}
MAX_NAME = 200
MAX_VALUE = 500  # characters of JSON; longer values are only marked as changed


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return the changes of these columns for an entry: `{name: {"before", "after"}}`."""
    changed = {name: {"before": before.get(name), "after": after[name]} for name in after}
    return {
        name: change if len(orjson.dumps(change)) <= MAX_VALUE else CHANGED
        for name, change in changed.items()
        if change["before"] != change["after"]
    }


class NewAuditEntry:
    """An entry that is not written yet: an action, its actor and its target, as columns of AuditEntry; and changes."""

    def __init__(
        self, action: str, workspace_id: str | None = None, *, user_id: str | None = None,
        user_email: str | None = None, token_name: str | None = None, address: str | None = None,
    ) -> None:  # fmt: skip
        if action not in ACTIONS:
            raise ValueError(f"unknown action {action!r}")
        self.action, self.workspace_id, self.address = action, workspace_id, address
        self.user_id, self.user_email, self.token_name = user_id, user_email, token_name
        self.target_type: str | None = None
        self.target_id: str | None = None
        self.target_name: str | None = None
        self.changes: dict[str, Any] = {}

    def about(self, row: Any) -> NewAuditEntry:
        """Set the target to a row of one of TARGETS."""
        type_, name = TARGETS[row.prefix]
        own = row.id if isinstance(row, Workspace) else getattr(row, "workspace_id", self.workspace_id)
        self.workspace_id = own
        return self.target(type_, row.id, None if name is None else getattr(row, name))

    def target(self, type_: str, id_: str | None, name: str | None) -> NewAuditEntry:
        """Set the target to an object without an id of its own, or without a row."""
        self.target_type, self.target_id = type_, id_
        self.target_name = None if name is None else name[:MAX_NAME]
        return self

    def note(self, **changes: Any) -> NewAuditEntry:
        """Add changes: short values without secrets."""
        self.changes.update(changes)
        return self

    def insertion(self) -> Write:
        """Return the write that inserts the row with the present time."""
        id_ = new_id(AuditEntry.prefix)
        # `since` and `until` compare ids, so `created_at` must be the id's time.
        changes = orjson.dumps(self.changes).decode()
        return insert("audit_entries", {**vars(self), "id": id_, "created_at": made_at(id_), "changes": changes})

    def save_new(self) -> None:
        """Write the entry for an action that changes nothing else."""
        with self.written():
            pass

    @contextmanager
    def written(self) -> Iterator[NewAuditEntry]:
        """Return a write transaction for the change that ends by writing the entry; an exception rolls back both."""
        with write():
            yield self
            execute(*self.insertion())


def select_where(
    workspace_id: str, *, action: str | None = None, user_id: str | None = None, target_id: str | None = None,
    since: int | None = None, until: int | None = None,
) -> Rows[AuditEntry]:  # fmt: skip
    """Return the workspace's entries; `action` is one of ACTIONS or SUBJECTS, times are in milliseconds.

    Raises: ValueError for an unknown action.
    """
    given = [("workspace_id = ?", workspace_id), ("user_id = ?", user_id), ("target_id = ?", target_id)]
    are_few = (user_id, target_id) != (None, None)  # examined in index order
    column = without_index("action") if are_few else "action"
    # They are part of the SQL text, so they must be our own constants.
    arms = [f"{column} = '{name}'" for name in ACTIONS if action in (name, name.partition(".")[0])]
    if action is not None and not arms:
        raise ValueError(f"unknown action {action!r}")
    if arms and are_few:
        arms = [f"({' OR '.join(arms)})"]
    return Rows(AuditEntry, given, arms, id_bounds("aud", since, until))


def count_since(workspace_id: str, action: str, since: int) -> int:
    """Return the number of entries of this action in the workspace since this time, in milliseconds."""
    sql = "SELECT COUNT(*) FROM audit_entries WHERE workspace_id = ? AND action = ? AND id >= ?"
    return int(fetch_value(sql, (workspace_id, action, first_id("aud", since))))


def present_names(workspace_id: str, ids: Iterable[str], agents: Iterable[str]) -> dict[str, str]:
    """Return the present names of these ids, if they exist: users, the workspace, its objects and its agents.

    Other ids, and ids of other workspaces, are ignored.
    """
    by_prefix: dict[str, list[str]] = {}
    for id_ in ids:
        by_prefix.setdefault(id_.partition("_")[0], []).append(id_)
    found: dict[str, str] = {}
    for prefix, table in TABLES.items():
        # The ids are few, and the workspace may have many runs.
        of_workspace = f"{without_index('workspace_id')} = ?"
        sql = f"SELECT id, {TARGETS[prefix][1]} FROM {table} WHERE id {IN_LIST} AND {of_workspace}"
        found |= _named(sql, by_prefix.get(prefix, ()), workspace_id)
    found |= _named(f"SELECT id, name FROM users WHERE id {IN_LIST} AND name <> ''", by_prefix.get("usr", ()))
    if workspace_id in by_prefix.get("ws", ()):
        found |= _named(f"SELECT id, name FROM workspaces WHERE id {IN_LIST}", [workspace_id])
    return found | _named(f"SELECT id, name FROM agents WHERE id {IN_LIST} AND workspace_id = ?", agents, workspace_id)


def _named(sql: str, ids: Iterable[str], *params: str) -> dict[str, str]:
    listed = sorted(set(ids))
    return dict(execute(sql, (encode_list(listed), *params)).fetchall()) if listed else {}
