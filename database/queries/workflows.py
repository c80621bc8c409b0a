"""Workflows and their versions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self, cast

import orjson

from database import execute, settings_commits, write
from database.base import IN_LIST, Rows, containing, encode_list, now_ms
from database.changes import QueryCache
from database.queries import drafts, polls, registered_hooks, schedules, webhooks
from database.queries.locks import lock_names
from database.queries.users import names_of_users
from database.queries.webhooks import Fired
from database.queries.workflow_labels import drop_labels, labels_of
from errors import NotFound
from models import Workflow, WorkflowVersion

MAX_CHARACTERS = 16_000_000  # of definitions on a page of a list; a single one may be longer
# Both databases have this function, and SQLite executes it faster than its own `instr`.
CONTAINS = "replace(definition_json, ?, '') <> definition_json"
# The tables of each kind of trigger: `sync(flow, [(node id, config)])`.
SYNCS: dict[str, Callable[[Any, list[tuple[str, Any]]], None]] = {
    "webhook": webhooks.sync,
    "schedule": schedules.sync,
    "poll": polls.sync,
    "registered_hook": registered_hooks.sync,
}
# Node id, kind and config of each trigger of a flow (see definition/triggers.py).
Triggers = Sequence[tuple[str, str, Any]]


def _same(text: str, other: str) -> bool:
    """Return True if two JSON texts have the same value."""
    return text == other or bool(orjson.loads(text) == orjson.loads(other))


def draft(user_id: str | None = None, triggers: Triggers | None = None, **values: Any) -> Workflow:
    """Insert a new flow with its first version. An active one needs its `triggers`."""
    now = now_ms()
    with write():
        flow = Workflow.add(version=1, created_at=now, updated_at=now, **values)
        store_version(flow, user_id)
        sync(flow, triggers)
    return flow


def sync(flow: Workflow, triggers: Triggers | None) -> None:
    """Register exactly these triggers; none unless the flow is active, but its webhook addresses are kept.

    Raises: Conflict, DefinitionError (see SYNCS).
    """
    if flow.status != "active":
        for type_, register in SYNCS.items():
            if type_ != "webhook":
                register(flow, [])
        webhooks.pause(flow)
        return
    if triggers is None:
        raise ValueError("an active flow needs its triggers")
    for type_, register in SYNCS.items():
        register(flow, [(node_id, config) for node_id, of_type, config in triggers if of_type == type_])


def store_version(flow: Workflow, user_id: str | None) -> None:
    """Store the present definition as a version."""
    made = {"created_at": flow.updated_at, "created_by": user_id, "definition_json": flow.definition_json}
    WorkflowVersion.create(workflow_id=flow.id, version=flow.version, **made)


def change(
    flow: Workflow, user_id: str | None, expected: int | None = None, triggers: Triggers | None = None, **values: Any
) -> bool:
    """Set these columns; a changed definition becomes the next version.

    `triggers` are those of the changed flow, required if it will be active with a new status or definition. Return
    False if the version is not `expected` or the row has changed since it was read: the validated state is the
    written one, and of two editors with the same version one loses.
    """
    with write():
        lock_names("workflow", (str(flow.id),))
        present = Workflow.find(flow.id)
        if present is None or present.updated_at != flow.updated_at or expected not in (None, present.version):
            return False
        flow.version = present.version
        if "definition_json" in values and _same(values["definition_json"], present.definition_json):
            del values["definition_json"]
        for key, value in values.items():
            setattr(flow, key, value)
        flow.updated_at = max(now_ms(), present.updated_at + 1)
        if flow.definition_json != present.definition_json:
            flow.version += 1
            store_version(flow, user_id)
        flow.save()
        if (flow.status, flow.version) != (present.status, present.version):
            sync(flow, triggers)
    return True


def remove(flow: Workflow) -> bool:
    """Delete the flow with its versions and keys. Return True if it existed. Its runs are kept."""
    with write():
        lock_names("workflow", (str(flow.id),))
        WorkflowVersion.delete().where(WorkflowVersion.workflow_id == flow.id).execute()
        execute("DELETE FROM idempotency_keys WHERE workflow_id = ?", (flow.id,))
        for register in SYNCS.values():
            register(flow, [])
        polls.drop(flow.id)
        drafts.drop_all(flow.id)
        drop_labels(str(flow.id))
        return bool(flow.delete_instance())


def select_where(workspace_id: str, status: str | None = None, search: str | None = None) -> Rows[Workflow]:
    """Return the workspace's flows, filtered by status or by text in their name."""
    name = None if search is None else containing(search)
    given = [("workspace_id = ?", workspace_id), ("status = ?", status), ("name LIKE ? ESCAPE '\\'", name)]
    return Rows(Workflow, given)


def of_ids(ids: Sequence[str], brief: bool = False) -> list[Workflow]:
    """Return these flows in any order; `brief`: without their definitions."""
    return list(Workflow.each(f"id {IN_LIST}", (encode_list(ids),), ("definition_json",) if brief else ()))


def active_with(workspace_id: str, texts: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Yield id, name and definition of active flows that contain one of these texts; all flows if none is given."""
    having = " OR ".join(CONTAINS for _ in texts) or "1 = 1"
    where = f"workspace_id = ? AND status = 'active' AND ({having})"
    sql = f"SELECT id, name, definition_json FROM workflows WHERE {where}"
    yield from execute(sql, (workspace_id, *texts))


def find_mentioning(workspace_id: str, text: str, most: int) -> Iterator[tuple[str, str, str, int]]:
    """Yield id, name, status and version of the workspace's flows that contain this text, oldest first."""
    sql = f"SELECT id, name, status, version FROM workflows WHERE workspace_id = ? AND {CONTAINS} ORDER BY id LIMIT ?"
    yield from execute(sql, (workspace_id, text, most))


def list_heads(workspace_id: str, most: int) -> Iterator[tuple[str, str, str, int]]:
    """Yield id, name, status and version of the workspace's flows, newest first."""
    sql = "SELECT id, name, status, version FROM workflows WHERE workspace_id = ? ORDER BY id DESC LIMIT ?"
    yield from execute(sql, (workspace_id, most))


def versions_of(
    flow: Workflow, limit: int, before: str | None, brief: bool = False
) -> tuple[list[WorkflowVersion], str | None]:
    """Return a page of its versions, newest first, with `created_by_name`, and the number for the next page.

    `brief`: without definitions. Otherwise the page may end early because of its size.
    """
    number = 2**31 if before is None else int(before if before.isdecimal() else 0)
    where = "workflow_id = ? AND version < ? ORDER BY version DESC LIMIT ?"
    without = ("definition_json",) if brief else ()
    rows: list[WorkflowVersion] = []
    room, more = MAX_CHARACTERS, False
    for row in WorkflowVersion.each(where, (flow.id, number, limit + 1), without):
        room -= len(row.definition_json or "")
        more = len(rows) == limit or (room < 0 and rows != [])
        if more:
            break
        rows.append(row)
    set_authors(rows)
    return rows, str(rows[-1].version) if more else None


def folder_of(flow: Workflow) -> str | None:
    """Return the path of its folder, or None. Reads the database."""
    return labels_of((str(flow.id),))[str(flow.id)].folder


def tags_of(flow: Workflow) -> tuple[str, ...]:
    """Return its tags. Reads the database."""
    return labels_of((str(flow.id),))[str(flow.id)].tags


class Startable(Fired):
    """A flow to run, without its definition, so that it can be cached (see database/changes.py)."""

    __slots__ = ()

    @classmethod
    def find(cls, id_: str) -> Self | None:
        """Return the flow with this id, or None."""
        return cast("Self | None", _startable.get(id_, lambda: cls._read(id_)))

    @classmethod
    def _read(cls, id_: str) -> Self | None:
        found = execute(f"SELECT {', '.join(cls._fields)} FROM workflows WHERE id = ?", (id_,)).fetchone()
        return None if found is None else cls(*found)

    @property
    def definition_json(self) -> str:
        try:
            return super().definition_json
        except NotFound:
            raise NotFound(f"There is no flow {self.id!r}") from None


_startable: QueryCache[str, Startable | None] = QueryCache(settings_commits)


def set_authors(rows: Sequence[WorkflowVersion]) -> None:
    """Set the author of each of these versions: the user's name if the user exists, else the address."""
    names = names_of_users([row.created_by for row in rows])
    for row in rows:
        row.created_by_name = names.get(row.created_by or "")


def describe_version(workflow_id: str, version: int, **values: str | None) -> None:
    """Set `name` or `note` of a version; its definition never changes. Call inside a transaction."""
    names = ", ".join(f"{name} = ?" for name in values)
    sql = f"UPDATE workflow_versions SET {names} WHERE workflow_id = ? AND version = ?"
    execute(sql, (*values.values(), workflow_id, version))


def version_texts(workflow_id: str, first: int, last: int, most: int) -> dict[int, str]:
    """Return the newest of these definitions by number, at most `most` characters in total."""
    sql = (
        "SELECT version, definition_json FROM workflow_versions "
        "WHERE workflow_id = ? AND version BETWEEN ? AND ? ORDER BY version DESC"
    )
    found: dict[int, str] = {}
    size = 0
    for version, text in execute(sql, (workflow_id, first, last)):
        size += len(text)
        if size > most:
            break
        found[version] = text
    return found
