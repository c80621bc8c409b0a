"""Workflows and their versions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self, cast

import orjson
from peewee import CompositeKey, IntegerField, TextField

from database import execute, settings_commits, write
from database.changes import QueryCache
from errors import NotFound

from .base import IN_LIST, Base, Rows, containing, encode_list, now_ms
from .drafts import Draft, names_of_users
from .locks import lock_names
from .polls import Poll
from .registered_hooks import RegisteredHook
from .schedules import Schedule
from .webhooks import Fired, Webhook
from .workflow_labels import drop_labels, labels_of

MAX_CHARACTERS = 16_000_000  # of definitions on a page of a list; a single one may be longer
# Both databases have this function, and SQLite executes it faster than its own `instr`.
CONTAINS = "replace(definition_json, ?, '') <> definition_json"
# The tables of each kind of trigger: `sync(flow, [(node id, config)])`.
SYNCS: dict[str, Callable[[Any, list[tuple[str, Any]]], None]] = {
    "webhook": Webhook.sync,
    "schedule": Schedule.sync,
    "poll": Poll.sync,
    "registered_hook": RegisteredHook.sync,
}
# Node id, kind and config of each trigger of a flow (see definition/triggers.py).
Triggers = Sequence[tuple[str, str, Any]]


def _same(text: str, other: str) -> bool:
    """Return True if two JSON texts have the same value."""
    return text == other or bool(orjson.loads(text) == orjson.loads(other))


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

    @classmethod
    def draft(cls, user_id: str | None = None, triggers: Triggers | None = None, **values: Any) -> Workflow:
        """Insert a new flow with its first version. An active one needs its `triggers`."""
        now = now_ms()
        with write():
            flow = cls.add(version=1, created_at=now, updated_at=now, **values)
            flow.store_version(user_id)
            flow.sync(triggers)
        return flow

    def sync(self, triggers: Triggers | None) -> None:
        """Register exactly these triggers; none unless the flow is active, but its webhook addresses are kept.

        Raises: Conflict, DefinitionError (see SYNCS).
        """
        if self.status != "active":
            for type_, sync in SYNCS.items():
                if type_ != "webhook":
                    sync(self, [])
            Webhook.pause(self)
            return
        if triggers is None:
            raise ValueError("an active flow needs its triggers")
        for type_, sync in SYNCS.items():
            sync(self, [(node_id, config) for node_id, of_type, config in triggers if of_type == type_])

    def store_version(self, user_id: str | None) -> None:
        """Store the present definition as a version."""
        made = {"created_at": self.updated_at, "created_by": user_id, "definition_json": self.definition_json}
        WorkflowVersion.create(workflow_id=self.id, version=self.version, **made)

    def change(
        self, user_id: str | None, expected: int | None = None, triggers: Triggers | None = None, **values: Any
    ) -> bool:
        """Set these columns; a changed definition becomes the next version.

        `triggers` are those of the changed flow, required if it will be active with a new status or definition. Return
        False if the version is not `expected` or the row has changed since it was read: the validated state is the
        written one, and of two editors with the same version one loses.
        """
        with write():
            lock_names("workflow", (str(self.id),))
            present = Workflow.find(self.id)
            if present is None or present.updated_at != self.updated_at or expected not in (None, present.version):
                return False
            self.version = present.version
            if "definition_json" in values and _same(values["definition_json"], present.definition_json):
                del values["definition_json"]
            for key, value in values.items():
                setattr(self, key, value)
            self.updated_at = max(now_ms(), present.updated_at + 1)
            if self.definition_json != present.definition_json:
                self.version += 1
                self.store_version(user_id)
            self.save()
            if (self.status, self.version) != (present.status, present.version):
                self.sync(triggers)
        return True

    def remove(self) -> bool:
        """Delete the flow with its versions and keys. Return True if it existed. Its runs are kept."""
        with write():
            lock_names("workflow", (str(self.id),))
            WorkflowVersion.delete().where(WorkflowVersion.workflow_id == self.id).execute()
            execute("DELETE FROM idempotency_keys WHERE workflow_id = ?", (self.id,))
            for sync in SYNCS.values():
                sync(self, [])
            Poll.drop(self.id)
            Draft.drop_all(self.id)
            drop_labels(str(self.id))
            return bool(self.delete_instance())

    @classmethod
    def select_where(cls, workspace_id: str, status: str | None = None, search: str | None = None) -> Rows[Workflow]:
        """Return the workspace's flows, filtered by status or by text in their name."""
        name = None if search is None else containing(search)
        given = [("workspace_id = ?", workspace_id), ("status = ?", status), ("name LIKE ? ESCAPE '\\'", name)]
        return Rows(cls, given)

    @classmethod
    def of_ids(cls, ids: Sequence[str], brief: bool = False) -> list[Self]:
        """Return these flows in any order; `brief`: without their definitions."""
        return list(cls.each(f"id {IN_LIST}", (encode_list(ids),), ("definition_json",) if brief else ()))

    @classmethod
    def active_with(cls, workspace_id: str, texts: Sequence[str]) -> Iterator[tuple[str, str, str]]:
        """Yield id, name and definition of active flows that contain one of these texts; all flows if none is given."""
        having = " OR ".join(CONTAINS for _ in texts) or "1 = 1"
        where = f"workspace_id = ? AND status = 'active' AND ({having})"
        sql = f"SELECT id, name, definition_json FROM workflows WHERE {where}"
        yield from execute(sql, (workspace_id, *texts))

    @classmethod
    def find_mentioning(cls, workspace_id: str, text: str, most: int) -> Iterator[tuple[str, str, str, int]]:
        """Yield id, name, status and version of the workspace's flows that contain this text, oldest first."""
        sql = (
            f"SELECT id, name, status, version FROM workflows WHERE workspace_id = ? AND {CONTAINS} ORDER BY id LIMIT ?"
        )
        yield from execute(sql, (workspace_id, text, most))

    @classmethod
    def list_heads(cls, workspace_id: str, most: int) -> Iterator[tuple[str, str, str, int]]:
        """Yield id, name, status and version of the workspace's flows, newest first."""
        sql = "SELECT id, name, status, version FROM workflows WHERE workspace_id = ? ORDER BY id DESC LIMIT ?"
        yield from execute(sql, (workspace_id, most))

    def versions(self, limit: int, before: str | None, brief: bool = False) -> tuple[list[WorkflowVersion], str | None]:
        """Return a page of its versions, newest first, with `created_by_name`, and the number for the next page.

        `brief`: without definitions. Otherwise the page may end early because of its size.
        """
        number = 2**31 if before is None else int(before if before.isdecimal() else 0)
        where = "workflow_id = ? AND version < ? ORDER BY version DESC LIMIT ?"
        without = ("definition_json",) if brief else ()
        rows: list[WorkflowVersion] = []
        room, more = MAX_CHARACTERS, False
        for row in WorkflowVersion.each(where, (self.id, number, limit + 1), without):
            room -= len(row.definition_json or "")
            more = len(rows) == limit or (room < 0 and rows != [])
            if more:
                break
            rows.append(row)
        WorkflowVersion.set_authors(rows)
        return rows, str(rows[-1].version) if more else None

    @property
    def folder(self) -> str | None:
        """Return the path of its folder, or None. Reads the database."""
        return labels_of((str(self.id),))[str(self.id)].folder

    @property
    def tags(self) -> tuple[str, ...]:
        """Return its tags. Reads the database."""
        return labels_of((str(self.id),))[str(self.id)].tags


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


class WorkflowVersion(Base):
    workflow_id = TextField()
    version = IntegerField()
    definition_json = TextField()
    created_at = IntegerField()
    created_by = TextField(null=True)
    name = TextField(null=True)
    note = TextField(null=True)

    class Meta:
        primary_key = CompositeKey("workflow_id", "version")

    created_by_name: str | None = None

    @classmethod
    def set_authors(cls, rows: Sequence[WorkflowVersion]) -> None:
        """Set the author of each of these versions: the user's name if the user exists, else the address."""
        names = names_of_users([row.created_by for row in rows])
        for row in rows:
            row.created_by_name = names.get(row.created_by or "")

    @classmethod
    def describe(cls, workflow_id: str, version: int, **values: str | None) -> None:
        """Set `name` or `note` of a version; its definition never changes. Call inside a transaction."""
        names = ", ".join(f"{name} = ?" for name in values)
        sql = f"UPDATE workflow_versions SET {names} WHERE workflow_id = ? AND version = ?"
        execute(sql, (*values.values(), workflow_id, version))

    @classmethod
    def texts(cls, workflow_id: str, first: int, last: int, most: int) -> dict[int, str]:
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
