"""The audit trail: what views write into it, and its list."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import orjson
from flask import g, request
from flask_login import current_user
from marshmallow import fields

import templates
from api.http.auth import get_workspace_id, require_role
from api.http.json_io import Resource
from errors import NotFound
from models import ACTIONS, SUBJECTS, AuditEntry, Base, Run, Write, present_names
from schema_fields import Json, Out, Time, choice, text
from schemas import PageArgs, listed

blueprint = Resource("audit", "The audit log")
AN_ID = re.compile(r'"([a-z]{2,4}_[0-9A-Z]{26})"')  # in JSON


class AuditArgs(PageArgs):
    action = choice((*SUBJECTS, *ACTIONS), load_default=None)
    user_id = text(64, load_default=None)
    target_id = text(64, load_default=None)
    since = Time(load_default=None)
    until = Time(load_default=None)


class AuditOut(Out):
    id = fields.String(required=True)
    action = choice(ACTIONS, required=True)
    workspace_id = fields.String(required=True)
    user_id = fields.String(
        required=True, allow_none=True, metadata={"description": "null: a signed link or the command line"}
    )
    user_email = fields.String(required=True, allow_none=True, metadata={"description": "The name at that time"})
    token_name = fields.String(required=True, allow_none=True, metadata={"description": "Of the API token used"})
    target_type = fields.String(required=True, allow_none=True)
    target_id = fields.String(required=True, allow_none=True)
    target_name = fields.String(required=True, allow_none=True, metadata={"description": "The name at that time"})
    changes = Json(
        required=True,
        metadata={"type": "object", "description": "By field: `{before, after}`, `{changed: true}` or a value"},
    )
    names = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        required=True,
        metadata={"description": "Current names of existing objects, by id"},
    )
    address = fields.String(required=True, allow_none=True, metadata={"description": "The address of the client"})
    created_at = Time(required=True)


@blueprint.get("/audit")
@require_role("owner")
@blueprint.arguments(AuditArgs, location="query")
@blueprint.response(200, listed(AuditOut))
def entries(args: dict[str, Any]) -> Any:
    """List the audit log, newest first. `action` is one action or its beginning: `flow`, `flow.deleted`."""
    limit, cursor = args.pop("limit"), args.pop("cursor")
    items, cursor = AuditEntry.page(AuditEntry.select_where(get_workspace_id(), **args), limit, cursor)
    _name(items)
    return {"items": items, "next_cursor": cursor}


def _name(entries: list[AuditEntry]) -> None:
    """Give each of the entries its `names`: a question for each kind of thing, however many entries there are."""
    named = {entry.id: _ids(entry) for entry in entries}
    agents = {id_ for entry in entries for id_ in _agents(entry)}
    names = {id_: agent["name"] for id_ in agents if (agent := templates.find_agent(id_))}
    names |= present_names(get_workspace_id(), (id_ for ids in named.values() for id_ in ids), agents)
    for entry in entries:
        entry.names = {id_: names[id_] for id_ in (*named[entry.id], *_agents(entry)) if id_ in names}


def _ids(entry: AuditEntry) -> set[str]:
    """The ids that an entry has, also in its changes; those of agents are no such ids."""
    return {id_ for id_ in (entry.user_id, entry.target_id) if id_} | set(AN_ID.findall(entry.changes))


def _agents(entry: AuditEntry) -> set[str]:
    """The ids of agents that an entry has."""
    found = {orjson.loads(entry.changes).get("agent_id"), entry.target_id if entry.target_type == "agent" else None}
    return {id_ for id_ in found if isinstance(id_, str)}


# Writing it


def begun(action: str) -> AuditEntry:
    """An entry of what whoever asks is about to do."""
    entry = AuditEntry.begin(action, g.get("workspace_id"), address=request.remote_addr)
    if current_user.is_authenticated:
        user, token = current_user.user, current_user.token
        entry.user_id, entry.user_email = user.id, user.email
        entry.token_name = None if token is None else token.name
    return entry


def audited(action: str, row: Base | None = None) -> AbstractContextManager[AuditEntry]:
    """A transaction for a change of the row, with the entry at its end; neither where it raises.

    Nothing in it may wait for the recorder, which waits for the transaction: see `noted`.
    """
    entry = begun(action)
    return (entry if row is None else entry.about(row)).written()


def remove(action: str, row: Base) -> None:
    """Delete the row, with the entry; NotFound where somebody else was quicker."""
    with audited(action, row):
        if not row.remove():
            raise NotFound("It was deleted just now")


def noted(action: str, **changes: Any) -> Callable[[Run], Write]:
    """What the dispatcher takes to write the entry together with what it does to a run."""
    entry = begun(action)
    return lambda run: entry.about(run).note(**changes).insertion()


def new_run(action: str = "run.started", **changes: Any) -> Callable[[Run], Write] | None:
    """The same for a new run: not by an API token, since programs start runs in any number.

    One with `changes`, which say what was put in the place of what the flow does, has its entry in any case.
    """
    return noted(action, **changes) if changes or current_user.token is None else None
