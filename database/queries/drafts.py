"""Drafts of flows: unpublished definitions, scheduled publishes, and who has a flow open."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from database import execute, fetch_value, write, write_leases
from database.base import IN_LIST, encode_list, now_ms
from database.queries.locks import lock_names
from models import Draft, ScheduledPublish

PRESENT_MS = 30_000  # since the last call of `note`
RENEW_MS = 12_000  # a presence is renewed once this much of it has passed
MAX_PRESENT = 20  # people shown for a flow


def of(workflow_id: str, brief: bool = False) -> Draft:
    """Return the draft of the flow, or a row without a definition. With `brief`, a definition is an empty text."""
    names = [column.name for column in Draft._meta.sorted_fields]
    shown = [f"SUBSTR({name}, 1, 0)" if brief and name == "definition_json" else name for name in names]
    found = execute(f"SELECT {', '.join(shown)} FROM drafts WHERE workflow_id = ?", (workflow_id,)).fetchone()
    empty = dict.fromkeys(names) | {"workflow_id": workflow_id, "revision": 0}
    return Draft.fresh(empty if found is None else dict(zip(names, found, strict=True)))


def lock(workflow_id: str) -> Draft:
    """Return the draft without its definition; nobody else changes it before this transaction ends."""
    lock_names("workflow", (workflow_id,))
    return of(workflow_id, brief=True)


def exists(draft: Draft) -> bool:
    """Return True if there is a draft."""
    return draft.definition_json is not None


def put(draft: Draft, definition_json: str | None, base_version: int | None, user_id: str | None) -> None:
    """Replace the draft, or clear it with None, as its next revision. Call inside a transaction, after `lock`."""
    draft.revision += 1
    draft.definition_json, draft.base_version = definition_json, base_version
    draft.changed_by, draft.changed_at = user_id, now_ms()
    names = list(draft.__data__)
    sql = (
        f"INSERT INTO drafts ({', '.join(names)}) VALUES ({', '.join('?' * len(names))}) "
        "ON CONFLICT (workflow_id) DO UPDATE SET "
        + ", ".join(f"{name} = excluded.{name}" for name in names if name != "workflow_id")
    )
    execute(sql, tuple(draft.__data__.values()))


def rebase(workflow_id: str, before: int, after: int) -> None:
    """Base a draft on the version `after` if it was based on `before`: the draft contains its changes."""
    sql = "UPDATE drafts SET base_version = ?, revision = revision + 1 WHERE workflow_id = ? AND base_version = ?"
    execute(sql, (after, workflow_id, before))


def existing(workflow_ids: Sequence[str]) -> set[str]:
    """Return which of these flows have a draft, by their ids."""
    sql = f"SELECT workflow_id FROM drafts WHERE workflow_id {IN_LIST} AND definition_json IS NOT NULL"
    return {id_ for (id_,) in execute(sql, (encode_list(workflow_ids),)).fetchall()}


def definitions_of(workflow_ids: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield id and definition of the drafts of these flows one by one: together they may not fit into memory."""
    sql = f"SELECT workflow_id, definition_json FROM drafts WHERE workflow_id {IN_LIST} AND definition_json IS NOT NULL"
    yield from execute(sql, (encode_list(workflow_ids),))


def drop_all(workflow_id: str) -> None:
    """Delete the draft, the scheduled publish and the presences of a deleted flow. Call inside a transaction."""
    for table in ("drafts", "scheduled_publishes", "presences"):
        execute(f"DELETE FROM {table} WHERE workflow_id = ?", (workflow_id,))


def schedule(**values: Any) -> ScheduledPublish:
    """Schedule a publish in place of an earlier one of the flow. Call inside a transaction."""
    unschedule(values["workflow_id"])
    row: ScheduledPublish = ScheduledPublish.create(created_at=now_ms(), failure=None, failed_at=None, **values)
    return row


def unschedule(workflow_id: str) -> bool:
    """Cancel it. Return True if there was one. Call inside a transaction."""
    return bool(execute("DELETE FROM scheduled_publishes WHERE workflow_id = ?", (workflow_id,)).rowcount)


def find_scheduled(workflow_id: str) -> ScheduledPublish | None:
    """Return the scheduled publish of the flow without its definition, or None."""
    found = list(ScheduledPublish.each("workflow_id = ?", (workflow_id,), ("definition_json",)))
    return found[0] if found else None


def find_due(now: int, limit: int) -> list[ScheduledPublish]:
    """Return the due publishes that have not failed, the earliest first."""
    return list(ScheduledPublish.each("publish_at <= ? AND failure IS NULL ORDER BY publish_at LIMIT ?", (now, limit)))


def take_scheduled(scheduled: ScheduledPublish) -> bool:
    """Delete it. Return False if it was published, cancelled or replaced since. Call inside a transaction."""
    sql = f"DELETE FROM scheduled_publishes WHERE {UNCHANGED}"
    return bool(execute(sql, _unchanged(scheduled)).rowcount)


def fail_scheduled(scheduled: ScheduledPublish, reason: str, now: int) -> bool:
    """Record why it was not published. Return False if it was changed since. Call inside a transaction."""
    sql = f"UPDATE scheduled_publishes SET failure = ?, failed_at = ? WHERE {UNCHANGED}"
    return bool(execute(sql, (reason, now, *_unchanged(scheduled))).rowcount)


def _unchanged(scheduled: ScheduledPublish) -> tuple[Any, ...]:
    return scheduled.workflow_id, scheduled.draft_revision, scheduled.publish_at, scheduled.created_at


UNCHANGED = "workflow_id = ? AND draft_revision = ? AND publish_at = ? AND created_at = ? AND failure IS NULL"


class PresentUser(NamedTuple):
    """A person who has a flow open."""

    user_id: str
    name: str
    since: int


def renew_presence(workflow_id: str, user_id: str, now: int | None = None) -> None:
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


def leave(workflow_id: str, user_id: str) -> None:
    """Note that the user closed the flow; another tab notes the presence again."""
    with write_leases():
        execute("DELETE FROM presences WHERE workflow_id = ? AND user_id = ?", (workflow_id, user_id))


def others_present(workflow_id: str, user_id: str, now: int | None = None) -> list[PresentUser]:
    """Return the other people who have the flow open, first the one who opened it first; at most MAX_PRESENT."""
    sql = (
        "SELECT u.id, u.name, u.email, p.since FROM presences p JOIN users u ON u.id = p.user_id "
        "WHERE p.workflow_id = ? AND p.user_id <> ? AND p.expires_at > ? ORDER BY p.since, u.id LIMIT ?"
    )
    found = execute(sql, (workflow_id, user_id, now_ms() if now is None else now, MAX_PRESENT)).fetchall()
    return [PresentUser(id_, name or email, since) for id_, name, email, since in found]


def clear_draft(workflow_id: str, user_id: str | None, revision: int | None = None) -> bool:
    """Delete the draft and cancel its scheduled publish. Return False if the draft is not at this revision."""
    with write():
        draft = lock(workflow_id)
        if revision is not None and draft.revision != revision:
            return False
        if exists(draft):
            put(draft, None, None, user_id)
        unschedule(workflow_id)
    return True
