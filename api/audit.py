"""Audit log: entries written by views, and their list."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import orjson
from flask import g, request
from flask_login import current_user

import fields
from api.http.auth import get_workspace_id, require_role
from api.http.json_io import Resource
from api.http.paging import PageArgs, listed
from database.base import Base, Write
from database.queries import audit
from database.queries.audit import ACTIONS, SUBJECTS, NewAuditEntry, present_names
from errors import NotFound
from fields import Json, Out, Time, choice, text
from models import AuditEntry, Run
from registry import registry

blueprint = Resource("audit", "The audit log")
MAX_PINNED = 20  # names of pinned nodes in an entry
ID_PATTERN = re.compile(r'"([a-z]{2,4}_[0-9A-Z]{26})"')  # in JSON


class AuditArgs(PageArgs):
    action = choice((*SUBJECTS, *ACTIONS), load_default=None)
    user_id = text(64, load_default=None)
    target_id = text(64, load_default=None)
    since = Time(load_default=None)
    until = Time(load_default=None)


class AuditOut(Out):
    id = fields.String()
    action = choice(ACTIONS)
    workspace_id = fields.String()
    user_id = fields.String(allow_none=True, help="null: a signed link or the command line")
    user_email = fields.String(allow_none=True, help="The name at that time")
    token_name = fields.String(allow_none=True, help="Of the API token used")
    target_type = fields.String(allow_none=True)
    target_id = fields.String(allow_none=True)
    target_name = fields.String(allow_none=True, help="The name at that time")
    changes = Json(metadata={"type": "object"}, help="By field: `{before, after}`, `{changed: true}` or a value")
    names = fields.Dict(keys=fields.String(), values=fields.String(), help="Current names of existing objects, by id")
    address = fields.String(allow_none=True, help="The address of the client")
    created_at = Time()


@blueprint.get("/audit")
@require_role("owner")
@blueprint.arguments(AuditArgs, location="query")
@blueprint.response(200, listed(AuditOut))
def list_entries(args: dict[str, Any]) -> Any:
    """List the audit log, newest first. `action` is one action or its beginning: `flow`, `flow.deleted`."""
    limit, cursor = args.pop("limit"), args.pop("cursor")
    items, cursor = audit.select_where(get_workspace_id(), **args).page(limit, cursor)
    # Agent ids have another form, so they are not among the ids in the changes.
    named = {
        entry.id: {id_ for id_ in (entry.user_id, entry.target_id, *ID_PATTERN.findall(entry.changes)) if id_}
        for entry in items
    }
    agents = {id_ for entry in items for id_ in _find_agents(entry)}
    names = {id_: name for id_ in agents if (name := registry.find_name(id_))}
    names |= present_names(get_workspace_id(), (id_ for ids in named.values() for id_ in ids), agents)
    for entry in items:
        entry.names = {id_: names[id_] for id_ in (*named[entry.id], *_find_agents(entry)) if id_ in names}
    return {"items": items, "next_cursor": cursor}


def _find_agents(entry: AuditEntry) -> set[str]:
    """Return the ids of agents in an entry."""
    found = {orjson.loads(entry.changes).get("agent_id"), entry.target_id if entry.target_type == "agent" else None}
    return {id_ for id_ in found if isinstance(id_, str)}


# Writing entries


def begin_entry(action: str) -> NewAuditEntry:
    """Return a new entry, not yet written, for an action of the caller."""
    entry = NewAuditEntry(action, g.get("workspace_id"), address=request.remote_addr)
    if current_user.is_authenticated:
        user, token = current_user.user, current_user.token
        entry.user_id, entry.user_email = user.id, user.email
        entry.token_name = None if token is None else token.name
    return entry


def record_change(action: str, row: Base | None = None) -> AbstractContextManager[NewAuditEntry]:
    """Return a transaction for a change of the row that ends by writing the entry; an exception rolls back both.

    Do not wait for the recorder inside it, since the recorder waits for the transaction: see `defer_entry`.
    """
    entry = begin_entry(action)
    return (entry if row is None else entry.about(row)).written()


def remove(action: str, row: Base, delete: Callable[[Any], bool] = Base.remove) -> None:
    """Delete the row and write the entry; `delete` also deletes what depends on it, if anything does.

    Raises: NotFound if it is already deleted.
    """
    with record_change(action, row):
        if not delete(row):
            raise NotFound("It was already deleted")


def defer_entry(action: str, **changes: Any) -> Callable[[Run], Write]:
    """Return the function by which the dispatcher writes the entry together with its change of a run."""
    entry = begin_entry(action)
    return lambda run: entry.about(run).note(**changes).insertion()


def defer_start_entry(action: str = "run.started", **changes: Any) -> Callable[[Run], Write] | None:
    """Return the same for a new run; None for an API token, since programs start runs in any number.

    An entry with `changes`, which say how the run differs from the saved flow, is always written.
    """
    return defer_entry(action, **changes) if changes or current_user.token is None else None
