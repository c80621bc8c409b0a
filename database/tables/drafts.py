"""Drafts of flows: unpublished definitions, scheduled publishes, and who has a flow open."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from peewee import CompositeKey, IntegerField, TextField

from database import execute, fetch_value, write, write_leases

from .base import IN_LIST, Base, Expiring, encode_list, now_ms
from .locks import lock_names

PRESENT_MS = 30_000  # since the last call of `note`
RENEW_MS = 12_000  # a presence is renewed once this much of it has passed
MAX_PRESENT = 20  # people shown for a flow


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

    changed_by_name: str | None = None

    @classmethod
    def of(cls, workflow_id: str, brief: bool = False) -> Draft:
        """Return the draft of the flow, or a row without a definition. With `brief`, a definition is an empty text."""
        names = [column.name for column in cls._meta.sorted_fields]
        shown = [f"SUBSTR({name}, 1, 0)" if brief and name == "definition_json" else name for name in names]
        found = execute(f"SELECT {', '.join(shown)} FROM drafts WHERE workflow_id = ?", (workflow_id,)).fetchone()
        empty = dict.fromkeys(names) | {"workflow_id": workflow_id, "revision": 0}
        return cls.fresh(empty if found is None else dict(zip(names, found, strict=True)))

    @classmethod
    def lock(cls, workflow_id: str) -> Draft:
        """Return the draft without its definition; nobody else changes it before this transaction ends."""
        lock_names("workflow", (workflow_id,))
        return cls.of(workflow_id, brief=True)

    @property
    def exists(self) -> bool:
        """Return True if there is a draft."""
        return self.definition_json is not None

    def put(self, definition_json: str | None, base_version: int | None, user_id: str | None) -> None:
        """Replace the draft, or clear it with None, as its next revision. Call inside a transaction, after `lock`."""
        self.revision += 1
        self.definition_json, self.base_version = definition_json, base_version
        self.changed_by, self.changed_at = user_id, now_ms()
        names = list(self.__data__)
        sql = (
            f"INSERT INTO drafts ({', '.join(names)}) VALUES ({', '.join('?' * len(names))}) "
            "ON CONFLICT (workflow_id) DO UPDATE SET "
            + ", ".join(f"{name} = excluded.{name}" for name in names if name != "workflow_id")
        )
        execute(sql, tuple(self.__data__.values()))

    @classmethod
    def rebase(cls, workflow_id: str, before: int, after: int) -> None:
        """Base a draft on the version `after` if it was based on `before`: the draft contains its changes."""
        sql = "UPDATE drafts SET base_version = ?, revision = revision + 1 WHERE workflow_id = ? AND base_version = ?"
        execute(sql, (after, workflow_id, before))

    @classmethod
    def existing(cls, workflow_ids: Sequence[str]) -> set[str]:
        """Return which of these flows have a draft, by their ids."""
        sql = f"SELECT workflow_id FROM drafts WHERE workflow_id {IN_LIST} AND definition_json IS NOT NULL"
        return {id_ for (id_,) in execute(sql, (encode_list(workflow_ids),)).fetchall()}

    @classmethod
    def drop_all(cls, workflow_id: str) -> None:
        """Delete the draft, the scheduled publish and the presences of a deleted flow. Call inside a transaction."""
        for table in ("drafts", "scheduled_publishes", "presences"):
            execute(f"DELETE FROM {table} WHERE workflow_id = ?", (workflow_id,))


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
    publish_at = IntegerField()
    created_by = TextField()
    created_at = IntegerField()
    failure = TextField(null=True)
    failed_at = IntegerField(null=True)

    class Meta:
        table_name = "scheduled_publishes"

    created_by_name: str | None = None

    @classmethod
    def put(cls, **values: Any) -> ScheduledPublish:
        """Schedule a publish in place of an earlier one of the flow. Call inside a transaction."""
        cls.drop(values["workflow_id"])
        row: ScheduledPublish = cls.create(created_at=now_ms(), failure=None, failed_at=None, **values)
        return row

    @classmethod
    def drop(cls, workflow_id: str) -> bool:
        """Cancel it. Return True if there was one. Call inside a transaction."""
        return bool(execute("DELETE FROM scheduled_publishes WHERE workflow_id = ?", (workflow_id,)).rowcount)

    @classmethod
    def brief(cls, workflow_id: str) -> ScheduledPublish | None:
        """Return the scheduled publish of the flow without its definition, or None."""
        found = list(cls.each("workflow_id = ?", (workflow_id,), ("definition_json",)))
        return found[0] if found else None

    @classmethod
    def due(cls, now: int, limit: int) -> list[ScheduledPublish]:
        """Return the due publishes that have not failed, the earliest first."""
        return list(cls.each("publish_at <= ? AND failure IS NULL ORDER BY publish_at LIMIT ?", (now, limit)))

    def take(self) -> bool:
        """Delete it. Return False if it was published, cancelled or replaced since. Call inside a transaction."""
        sql = f"DELETE FROM scheduled_publishes WHERE {UNCHANGED}"
        return bool(execute(sql, self._unchanged()).rowcount)

    def fail(self, reason: str, now: int) -> bool:
        """Record why it was not published. Return False if it was changed since. Call inside a transaction."""
        sql = f"UPDATE scheduled_publishes SET failure = ?, failed_at = ? WHERE {UNCHANGED}"
        return bool(execute(sql, (reason, now, *self._unchanged())).rowcount)

    def _unchanged(self) -> tuple[Any, ...]:
        return self.workflow_id, self.draft_revision, self.publish_at, self.created_at


UNCHANGED = "workflow_id = ? AND draft_revision = ? AND publish_at = ? AND created_at = ? AND failure IS NULL"


class PresentUser(NamedTuple):
    """A person who has a flow open."""

    user_id: str
    name: str
    since: int


class Presence(Expiring, Base):
    """A person who has a flow open, in any number of tabs."""

    workflow_id = TextField()
    user_id = TextField()
    since = IntegerField()
    expires_at = IntegerField()

    class Meta:
        primary_key = CompositeKey("workflow_id", "user_id")

    @classmethod
    def renew(cls, workflow_id: str, user_id: str, now: int | None = None) -> None:
        """Note that the user has the flow open. Most calls write nothing."""
        now = now_ms() if now is None else now
        sql = "SELECT expires_at FROM presences WHERE workflow_id = ? AND user_id = ?"
        until = fetch_value(sql, (workflow_id, user_id))
        if until is not None and now + PRESENT_MS - RENEW_MS < until <= now + PRESENT_MS:
            return
        put = (
            "INSERT INTO presences (workflow_id, user_id, since, expires_at) "
            "SELECT id, ?, ?, ? FROM workflows WHERE id = ? "
            "ON CONFLICT (workflow_id, user_id) DO UPDATE SET expires_at = excluded.expires_at, "
            "since = CASE WHEN presences.expires_at > ? THEN presences.since ELSE excluded.since END"
        )
        with write_leases():
            execute(put, (user_id, now, now + PRESENT_MS, workflow_id, now))

    @classmethod
    def leave(cls, workflow_id: str, user_id: str) -> None:
        """Note that the user closed the flow; another tab notes the presence again."""
        with write_leases():
            execute("DELETE FROM presences WHERE workflow_id = ? AND user_id = ?", (workflow_id, user_id))

    @classmethod
    def others(cls, workflow_id: str, user_id: str, now: int | None = None) -> list[PresentUser]:
        """Return the other people who have the flow open, first the one who opened it first; at most MAX_PRESENT."""
        sql = (
            "SELECT u.id, u.name, u.email, p.since FROM presences p JOIN users u ON u.id = p.user_id "
            "WHERE p.workflow_id = ? AND p.user_id <> ? AND p.expires_at > ? ORDER BY p.since, u.id LIMIT ?"
        )
        found = execute(sql, (workflow_id, user_id, now_ms() if now is None else now, MAX_PRESENT)).fetchall()
        return [PresentUser(id_, name or email, since) for id_, name, email, since in found]


def names_of_users(ids: Sequence[str | None]) -> dict[str, str]:
    """Return the names of these users, or their addresses if they have no name."""
    listed = encode_list({id_ for id_ in ids if id_ is not None})
    found = execute(f"SELECT id, name, email FROM users WHERE id {IN_LIST}", (listed,)).fetchall()
    return {id_: name or email for id_, name, email in found}


def clear_draft(workflow_id: str, user_id: str | None, revision: int | None = None) -> bool:
    """Delete the draft and cancel its scheduled publish. Return False if the draft is not at this revision."""
    with write():
        draft = Draft.lock(workflow_id)
        if revision is not None and draft.revision != revision:
            return False
        if draft.exists:
            draft.put(None, None, user_id)
        ScheduledPublish.drop(workflow_id)
    return True
