"""Credentials: their values go in and never come out, of no answer, log or error."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import orjson
from flask import current_app
from marshmallow import ValidationError

from api.audit import begun
from api.http.auth import get_workspace_id, require_role
from api.http.caching import cache_response
from api.http.json_io import Resource, check_depth, flatten
from dispatch import Dispatcher
from errors import BadInput, Unavailable
from models import Credential
from nodes.credentials import keyring
from nodes.credentials.types import TYPES, catalogue
from schemas import (
    CredentialArgs,
    CredentialChange,
    CredentialIn,
    CredentialOut,
    CredentialTypeOut,
    CredentialUseOut,
    SliceArgs,
    TrialIn,
    TrialOf,
    TrialOut,
    listed,
    slice_of,
)
from security.credentials import Credentials, Trial, host_warnings, opened, try_out, used_by

blueprint = Resource("credentials", "Secrets that flows use")
TRIALS_AT_ONCE = 4  # of a process, whose threads have others to answer too
MOST_USERS = 20  # of a credential, that an answer names
_room = threading.BoundedSemaphore(TRIALS_AT_ONCE)


@blueprint.get("/credentials")
@require_role("viewer")
@blueprint.arguments(CredentialArgs, location="query")
@blueprint.response(200, listed(CredentialUseOut))
def credentials(args: dict[str, Any]) -> Any:
    """List the credentials, newest first, without their values; with `used_by`, the flows and agents that use each."""
    items, cursor = Credential.page(Credential.of(get_workspace_id()), args["limit"], args["cursor"])
    if args["used_by"]:
        _say_who_uses(items, get_workspace_id())
    return {"items": items, "next_cursor": cursor}


@blueprint.get("/credentials/<credential>")
@require_role("viewer", credential=Credential)
@blueprint.response(200, CredentialUseOut)
def read(credential: Credential) -> Any:
    """Show a credential without its values. `used_by` are the flows of any status and the agents that use it.

    It cannot be deleted while an active flow uses it. Of very many flows, only the newest are searched.
    """
    _say_who_uses([credential], credential.workspace_id)
    return credential


@blueprint.get("/credential-types")
@require_role("viewer")
@cache_response
@blueprint.arguments(SliceArgs, location="query")
@blueprint.response(200, listed(CredentialTypeOut))
def types(args: dict[str, Any]) -> Any:
    """List the types of credentials; `schema` is the JSON Schema of each type's values."""
    return slice_of(catalogue(), args)


@blueprint.post("/credentials")
@require_role("editor")
@blueprint.arguments(CredentialIn)
@blueprint.response(201, CredentialOut)
def create(body: dict[str, Any]) -> Any:
    """Create a credential. The fields of `data` depend on its type: GET `/api/credential-types`."""
    data = _checked(body["type"], body["data"])
    values = {"name": body["name"], "type": body["type"], "hosts": _as_text(body["hosts"])}
    return _warned(_kept().keep(begun("credential.created"), data, **values))


@blueprint.put("/credentials/<credential>")
@require_role("editor", credential=Credential)
@blueprint.arguments(CredentialChange)
@blueprint.response(200, CredentialOut)
def change(body: dict[str, Any], credential: Credential) -> Any:
    """Rename a credential or replace its values: `data` replaces all of them. The type stays.

    A name that an active flow uses cannot be changed. Adding hosts requires all values again.
    """
    if "hosts" in body:
        body["hosts"] = _as_text(body["hosts"])
        if body["hosts"] != credential.hosts and "data" not in body:
            raise BadInput("data: is required to send the credential to other hosts")
    if "data" in body:
        body["data"] = _checked(credential.type, body["data"])
    _kept().change(begun("credential.updated"), credential, body)
    return _warned(credential)


@blueprint.delete("/credentials/<credential>")
@require_role("editor", credential=Credential)
@blueprint.response(204)
def delete(credential: Credential) -> None:
    """Delete a credential. Refused while an active flow uses it."""
    _kept().remove(begun("credential.deleted"), credential)


@blueprint.post("/credentials/<credential>/test")
@require_role("editor", credential=Credential)
@blueprint.arguments(TrialIn, required=False)
@blueprint.response(200, TrialOut)
def test(body: dict[str, Any], credential: Credential) -> Any:
    """Test a credential by connecting with it. `message` is for people and contains none of its values.

    If no service could be asked, `status` is `untested`, not `ok`: give a `url` for a credential without a host of its
    own, or `send` for one of messages.
    """
    trial = _tried(credential.workspace_id, credential.name, lambda: _kept().open(credential), body)
    begun("credential.tested").about(credential).note(type=credential.type, ok=trial.ok).save_new()
    return trial


@blueprint.post("/credentials/test")
@require_role("editor")
@blueprint.arguments(TrialOf)
@blueprint.response(200, TrialOut)
def test_unsaved(body: dict[str, Any]) -> Any:
    """Test values of a credential without saving them."""
    name, type_, data, hosts = (body.pop(key) for key in ("name", "type", "data", "hosts"))
    made = opened(name, type_, _checked(type_, data), hosts)
    trial = _tried(get_workspace_id(), made.name, lambda: made, body)
    begun("credential.tested").target("credential", None, None).note(type=type_, ok=trial.ok).save_new()
    return trial


def _warned(row: Credential) -> Credential:
    if found := host_warnings(row):
        row.warnings = found
    return row


def _say_who_uses(rows: list[Credential], workspace: str) -> None:
    users = used_by(workspace, rows)
    for row in rows:
        row.used_by, row.used_by_count = users[row.id][:MOST_USERS], len(users[row.id])


def _kept() -> Credentials:
    kept: Credentials = current_app.extensions["headrace"].credentials
    return kept


def _tried(workspace: str, name: str, find: Callable[[], keyring.Credential], asked: Mapping[str, Any]) -> Trial:
    """What comes of trying it out; Unavailable while enough others are at it."""
    dispatcher: Dispatcher = current_app.extensions["headrace"].dispatcher
    if not _room.acquire(blocking=False):
        raise Unavailable("Other credentials are being tested; try again soon", retry_after=5)
    try:
        return try_out(name, find, asked, dispatcher.services, dispatcher.files_of(workspace))
    finally:
        _room.release()


def _as_text(hosts: list[str] | None) -> str | None:
    """The hosts as the row has them."""
    return None if hosts is None else orjson.dumps(sorted(set(hosts))).decode()


def _checked(type_: str, data: dict[str, Any]) -> dict[str, Any]:
    """The values as the type has them. BadInput names what is wrong, and no value."""
    if type_ not in TYPES:
        raise BadInput(f"type: must be one of {', '.join(TYPES)}")
    check_depth(data, "data")
    try:
        values: dict[str, Any] = TYPES[type_].load(data)
    except ValidationError as error:
        issues = flatten(error.messages, "data")
        raise BadInput("; ".join(str(issue) for issue in issues[:5]), issues) from None
    return values
