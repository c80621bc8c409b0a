"""Credentials: their values are never part of a response, log entry or error."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import orjson
from marshmallow import INCLUDE, ValidationError

import fields
from api.audit import begin_entry
from api.http.auth import get_workspace_id, require_role
from api.http.caching import cache_response
from api.http.json_io import Resource, check_depth, flatten, get_dispatcher, get_server
from api.http.paging import PageArgs, SliceArgs, listed, slice_of
from constants import WORKFLOW_STATUSES
from database.queries import credentials
from errors import BadInput, Unavailable
from fields import Json, Milliseconds, Out, Shape, Strict, Time, choice, text
from models import Credential
from nodes.credentials import keyring
from nodes.credentials.types import TYPES, catalogue
from registry import explain_off, registry
from schemas import CredentialIn, Detail, hosts
from security.credentials import USER_TYPES, Trial, find_host_warnings, make_credential, run_test

blueprint = Resource("credentials", "Secrets that flows use")
TRIALS = threading.BoundedSemaphore(4)  # tests in a process, whose threads have other requests to serve too
MAX_USERS = 20  # flows and agents that use a credential, in a response


class CredentialChange(Strict):
    name = text(200)
    data = fields.Dict(help="All values, replaced")
    hosts = hosts()


class ConnectionOut(Out):
    status = choice(("connected", "not_connected", "revoked", "error"))
    reason = fields.String(allow_none=True, help="The reason for the status revoked, or the last error")
    provider = fields.String(allow_none=True, help="The service, or custom")
    connected_at = Time(allow_none=True)
    expires_at = Time(allow_none=True, help="The end of the access; null: it is renewed, or has no end")
    scopes = fields.List(fields.String(), help="The permissions in the account")
    details = fields.Dict(help="Other values of the account from the service, such as `instance_url`")


class CredentialOut(Out):
    id = fields.String()
    workspace_id = fields.String()
    name = fields.String()
    type = fields.String()
    hosts = Json(allow_none=True)
    created_at = Time()
    updated_at = Time()
    connection = fields.Nested(ConnectionOut, allow_none=True, help="Of an OAuth2 account; null for other types")
    warnings = fields.List(
        fields.Nested(Detail), help="Warnings of the saved credential, such as missing hosts", optional=True
    )


class UsedByOut(Out):
    type = choice(USER_TYPES, help="credential: a mail server's, whose `token_from` names it")
    id = fields.String()
    name = fields.String()
    status = choice(WORKFLOW_STATUSES, allow_none=True, help="Of a flow")


class CredentialUseOut(CredentialOut):
    used_by = fields.List(
        fields.Nested(UsedByOut),
        help="The first 20 users: active flows, other flows, agents, credentials",
        optional=True,
    )
    used_by_count = fields.Integer(help="Number of users", optional=True)


class CredentialArgs(PageArgs):
    used_by = fields.Boolean(load_default=False, help="Include the flows and agents that use each credential")


class TrialIn(Shape):
    """Options for the credential type's check; other keys are passed to it too."""

    class Meta:
        unknown = INCLUDE

    url = text(8_000, help="For credentials without a host of their own: the address to test against")
    send = fields.Boolean(help="Allow sending a test message")


class TrialOf(TrialIn):
    name = text(200, 0, load_default="", help="Its name in messages")
    type = text(50, required=True)
    data = fields.Dict(required=True, help="The values, which are not saved")
    hosts = hosts(load_default=None)


class TrialOut(Out):
    ok = fields.Boolean(help="True if the status is ok")
    status = choice(("ok", "failed", "untested"), help="untested: no service was asked")
    message = fields.String(help="The service that was asked, or the error")
    duration_ms = Milliseconds()


class CredentialTypeOut(Out):
    type = fields.String()
    name = fields.String()
    description = fields.String()
    schema = fields.Dict()
    needs_hosts = fields.Boolean(help="True if no node can send it until its `hosts` are set")


@blueprint.get("/credentials")
@require_role("viewer")
@blueprint.arguments(CredentialArgs, location="query")
@blueprint.response(200, listed(CredentialUseOut))
def list_credentials(args: dict[str, Any]) -> Any:
    """List the credentials, newest first, without their values; with `used_by`, the flows and agents that use each."""
    items, cursor = credentials.of(get_workspace_id()).page(args["limit"], args["cursor"])
    _add_connections(items)
    if args["used_by"]:
        _add_usage(items, get_workspace_id())
    return {"items": items, "next_cursor": cursor}


@blueprint.get("/credentials/<credential>")
@require_role("viewer", credential=Credential)
@blueprint.response(200, CredentialUseOut)
def read(credential: Credential) -> Any:
    """Show a credential without its values. `used_by` are the flows of any status and the agents that use it.

    It cannot be deleted while an active flow uses it. Of very many flows, only the newest are searched.
    """
    _add_usage([credential], credential.workspace_id)
    return _add_connections([credential])[0]


@blueprint.get("/credential-types")
@require_role("viewer")
@cache_response
@blueprint.arguments(SliceArgs, location="query")
@blueprint.response(200, listed(CredentialTypeOut))
def list_types(args: dict[str, Any]) -> Any:
    """List the types of credentials; `schema` is the JSON Schema of each type's values."""
    return slice_of(catalogue(), args)


@blueprint.post("/credentials")
@require_role("editor")
@blueprint.arguments(CredentialIn)
@blueprint.response(201, CredentialOut)
def create(body: dict[str, Any]) -> Any:
    """Create a credential. The fields of `data` depend on its type: GET `/api/credential-types`."""
    data = _validate(body["type"], body["data"])
    values = {"name": body["name"], "type": body["type"], "hosts": _encode_hosts(body["hosts"])}
    return _add_warnings(get_server().credentials.keep(begin_entry("credential.created"), data, **values))


@blueprint.put("/credentials/<credential>")
@require_role("editor", credential=Credential)
@blueprint.arguments(CredentialChange)
@blueprint.response(200, CredentialOut)
def change(body: dict[str, Any], credential: Credential) -> Any:
    """Rename a credential or replace its values: `data` replaces all of them. The type stays.

    A name that an active flow uses cannot be changed. Adding hosts requires all values again.
    """
    if "hosts" in body:
        body["hosts"] = _encode_hosts(body["hosts"])
        if body["hosts"] != credential.hosts and "data" not in body:
            raise BadInput("data: is required when hosts change; enter the values again")
    if "data" in body:
        body["data"] = _validate(credential.type, body["data"])
    get_server().credentials.change(begin_entry("credential.updated"), credential, body)
    return _add_warnings(credential)


@blueprint.delete("/credentials/<credential>")
@require_role("editor", credential=Credential)
@blueprint.response(204)
def delete(credential: Credential) -> None:
    """Delete a credential, and revoke its tokens if the service can. Refused while an active flow uses it."""
    kept, services = get_server().credentials, get_dispatcher().resources.services
    revoke = registry.accounts.begin_removal(kept, services, credential)
    kept.remove(begin_entry("credential.deleted"), credential)
    revoke()


@blueprint.post("/credentials/<credential>/test")
@require_role("editor", credential=Credential)
@blueprint.arguments(TrialIn, required=False)
@blueprint.response(200, TrialOut)
def test(body: dict[str, Any], credential: Credential) -> Any:
    """Test a credential by connecting with it. `message` is for people and contains none of its values.

    If no service could be asked, `status` is `untested`, not `ok`: give a `url` for a credential without a host of its
    own, or `send` for one of messages.
    """
    trial = _try_out(credential.workspace_id, credential.name, lambda: get_server().credentials.open(credential), body)
    begin_entry("credential.tested").about(credential).note(type=credential.type, ok=trial.ok).save_new()
    return trial


@blueprint.post("/credentials/test")
@require_role("editor")
@blueprint.arguments(TrialOf)
@blueprint.response(200, TrialOut)
def test_unsaved(body: dict[str, Any]) -> Any:
    """Test values of a credential without saving them."""
    name, type_, data, hosts = (body.pop(key) for key in ("name", "type", "data", "hosts"))
    made = make_credential(name, type_, _validate(type_, data), hosts)
    trial = _try_out(get_workspace_id(), made.name, lambda: made, body)
    begin_entry("credential.tested").target("credential", None, None).note(type=type_, ok=trial.ok).save_new()
    return trial


def _add_connections(rows: list[Credential]) -> list[Credential]:
    """Set `connection` of the rows."""
    connections = registry.accounts.describe(get_server().credentials, rows)
    for row in rows:
        row.connection = connections.get(row.id)
    return rows


def _add_warnings(row: Credential) -> Credential:
    _add_connections([row])
    if found := find_host_warnings(row):
        row.warnings = found
    return row


def _add_usage(rows: list[Credential], workspace: str) -> None:
    users = get_server().credentials.find_users(workspace, rows)
    for row in rows:
        row.used_by, row.used_by_count = users[row.id][:MAX_USERS], len(users[row.id])


def _try_out(
    workspace: str, name: str, find: Callable[[], keyring.DecryptedCredential], options: Mapping[str, Any]
) -> Trial:
    """Return the result of the test. Raises: Unavailable if too many tests are running."""
    if not TRIALS.acquire(blocking=False):
        raise Unavailable("Other credentials are being tested; try again soon", retry_after=5)
    resources = get_dispatcher().resources
    try:
        return run_test(name, find, options, resources.services, resources.files_of(workspace))
    finally:
        TRIALS.release()


def _encode_hosts(hosts: list[str] | None) -> str | None:
    """Return the hosts as stored in the row."""
    return None if hosts is None else orjson.dumps(sorted(set(hosts))).decode()


def _validate(type_: str, data: dict[str, Any]) -> dict[str, Any]:
    """Return the values, validated by the type. Raises: BadInput with the wrong keys, but no values."""
    if type_ not in TYPES:
        raise BadInput(f"type: must be one of {', '.join(TYPES)}{explain_off()}")
    check_depth(data, "data")
    try:
        values: dict[str, Any] = TYPES[type_].load(data)
    except ValidationError as error:
        issues = flatten(error.messages, "data")
        raise BadInput("; ".join(str(issue) for issue in issues[:5]), issues) from None
    return values
