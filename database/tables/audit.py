"""Who changed what, and when: entries that are written together with what they tell of, and never changed.

No value of a secret gets here, nor what people and programs work with: names, roles, statuses, versions and counts do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import orjson
from peewee import IntegerField, TextField

from database import execute, write

from .base import Base, Rows, Write, first_id, insert, made_at, new_id

ACTIONS = (
    "agent.created", "agent.deleted", "agent.updated",
    "credential.created", "credential.deleted", "credential.tested", "credential.updated",
    "file.deleted", "file.uploaded",
    "flow.activated", "flow.created", "flow.deactivated", "flow.deleted", "flow.restored", "flow.updated",
    "invitation.accepted", "invitation.created", "invitation.refused", "invitation.withdrawn",
    "member.added", "member.changed", "member.removed",
    "memory.cleared", "memory.deleted", "memory.written",
    "password.changed", "password.reset",
    "preset.deleted", "preset.imported",
    "profile.changed",
    "run.answered", "run.cancelled", "run.deleted", "run.recorded", "run.retried", "run.started",
    "session.closed", "session.moved", "session.opened", "session.refused",
    "token.created", "token.withdrawn",
    "user.demoted", "user.promoted",
    "workspace.created", "workspace.renamed",
)  # fmt: skip
SUBJECTS = tuple(dict.fromkeys(action.partition(".")[0] for action in ACTIONS))
# By what the ids of its rows begin with: what a target is called, and which of its columns names it.
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
}
# Where the rows of a workspace are by what their ids begin with: the table, and the column that names one.
PRESENT = {
    "wf": ("workflows", "name"),
    "run": ("runs", "workflow_name"),
    "cred": ("credentials", "name"),
    "tok": ("api_tokens", "name"),
    "mem": ("agent_memories", "key"),
    "inv": ("invitations", "email"),
}
OF_THESE = "id IN (SELECT value FROM json_each(?))"
LONGEST_NAME = 200
LONGEST_VALUE = 500  # characters of JSON; of a longer one it is said that it changed
CHANGED = {"changed": True}


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """What an entry says of these columns: `{name: {"before", "after"}}` for those that differ."""
    return {name: _difference(before.get(name), value) for name, value in after.items() if value != before.get(name)}


def _difference(before: Any, after: Any) -> dict[str, Any]:
    shown = {"before": before, "after": after}
    return shown if len(orjson.dumps(shown)) <= LONGEST_VALUE else CHANGED


class AuditEntry(Base):
    """What somebody did.

    Without `user_id` it was done by a signed link or, without an `address` too, on the server's command line. The names
    are kept as they were: of users, tokens and targets that are gone as well. `changes` is a JSON object.
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

    @classmethod
    def begin(cls, action: str, workspace_id: str | None = None, **who: str | None) -> AuditEntry:
        """An entry that is not written yet; `who` are the columns user_id, user_email, token_name and address."""
        if action not in ACTIONS:
            raise ValueError(f"no entry can be found that tells of {action!r}")
        entry = cls.fresh(dict.fromkeys(column.name for column in cls._meta.sorted_fields))
        entry.__data__.update(action=action, workspace_id=workspace_id, **who)
        entry.noted = {}
        return entry

    def about(self, row: Base) -> AuditEntry:
        """Say what it is about: a row of one of TARGETS."""
        type_, name = TARGETS[row.prefix]
        if hasattr(row, "workspace_id"):
            self.workspace_id = row.workspace_id
        return self.target(type_, row.id, None if name is None else getattr(row, name))

    def target(self, type_: str, id_: str | None, name: str | None) -> AuditEntry:
        """The same of what has no id of its own, or is not there."""
        self.target_type, self.target_id = type_, id_
        self.target_name = None if name is None else name[:LONGEST_NAME]
        return self

    def note(self, **changes: Any) -> AuditEntry:
        """Add to its changes: short values that are no secrets."""
        self.noted.update(changes)
        return self

    def insertion(self) -> Write:
        """The write that makes its row, as of now."""
        id_ = new_id(self.prefix)
        # `since` and `until` go by the id, so the time that is shown is the id's.
        self.__data__.update(id=id_, created_at=made_at(id_), changes=orjson.dumps(self.noted).decode())
        return insert("audit_entries", self.__data__)

    def save_new(self) -> None:
        """Write it, for what it tells of is no change."""
        with self.written():
            pass

    @contextmanager
    def written(self) -> Iterator[AuditEntry]:
        """A write transaction for what it tells of, with the entry at its end; neither where that raises."""
        with write():
            yield self
            execute(*self.insertion())

    @classmethod
    def select_where(
        cls, workspace_id: str, *, action: str | None = None, user_id: str | None = None, target_id: str | None = None,
        since: int | None = None, until: int | None = None,
    ) -> Rows[AuditEntry]:  # fmt: skip
        """The workspace's entries; `action` is one of ACTIONS or of SUBJECTS, times are in milliseconds.

        ValueError for an action that there is not.
        """
        given: dict[str, Any] = {"workspace_id = ?": workspace_id}
        if user_id is not None:
            given["user_id = ?"] = user_id
        if target_id is not None:
            given["target_id = ?"] = target_id
        if since is not None:
            given["id >= ?"] = first_id("aud", since)
        end = None if until is None else first_id("aud", until + 1)
        arms = [] if action is None else [f"action = '{name}'" for name in _meant(action)]
        if arms and (user_id, target_id) != (None, None):
            # Few enough to look at each, in the order of an index. The plus keeps SQLite from that of the actions.
            arms = [f"(+{' OR +'.join(arms)})"]
        return Rows(cls, " AND ".join(given), given.values(), arms, end)

    @classmethod
    def count_since(cls, workspace_id: str, action: str, since: int) -> int:
        """Return how many entries of this action the workspace has since then, in milliseconds."""
        sql = "SELECT COUNT(*) FROM audit_entries WHERE workspace_id = ? AND action = ? AND id >= ?"
        return int(execute(sql, (workspace_id, action, first_id("aud", since))).fetchone()[0])


def present_names(workspace_id: str, ids: Iterable[str], agents: Iterable[str]) -> dict[str, str]:
    """What is still there of these ids, with its name now: people, the workspace and what it has, its own agents.

    Ids of anything else, and of other workspaces, are passed over.
    """
    by_prefix: dict[str, list[str]] = {}
    for id_ in ids:
        by_prefix.setdefault(id_.partition("_")[0], []).append(id_)
    found: dict[str, str] = {}
    for prefix, (table, name) in PRESENT.items():
        # The plus keeps SQLite from the indexes of the workspace: there are few ids, and all its runs are many.
        sql = f"SELECT id, {name} FROM {table} WHERE {OF_THESE} AND +workspace_id = ?"
        found |= _named(sql, by_prefix.get(prefix, ()), workspace_id)
    found |= _named(f"SELECT id, name FROM users WHERE {OF_THESE} AND name <> ''", by_prefix.get("usr", ()))
    if workspace_id in by_prefix.get("ws", ()):
        found |= _named(f"SELECT id, name FROM workspaces WHERE {OF_THESE}", [workspace_id])
    return found | _named(f"SELECT id, name FROM agents WHERE {OF_THESE} AND workspace_id = ?", agents, workspace_id)


def _named(sql: str, ids: Iterable[str], *params: str) -> dict[str, str]:
    listed = sorted(set(ids))
    return dict(execute(sql, (orjson.dumps(listed).decode(), *params)).fetchall()) if listed else {}


def _meant(action: str) -> list[str]:
    """The actions that a filter means. They stand in the text of the question, so they are words of ours."""
    found = [name for name in ACTIONS if action in (name, name.partition(".")[0])]
    if not found:
        raise ValueError(f"there is no action {action!r}")
    return found
