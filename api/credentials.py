"""Credentials: their values go in and never come out, of no answer, log or error."""

from __future__ import annotations

from typing import Any

import orjson
from flask import current_app
from marshmallow import ValidationError

from api.access import needs, workspace_id
from api.wire import Resource, check_depth, flatten
from errors import BadInput
from models import Credential
from nodes.credential_types import TYPES, catalogue
from schemas import CredentialChange, CredentialIn, CredentialOut, CredentialTypeOut, PageArgs, listed
from vault import Vault

blueprint = Resource("credentials", "Secrets that flows use")


@blueprint.get("/credentials")
@needs("viewer")
@blueprint.arguments(PageArgs, location="query")
@blueprint.response(200, listed(CredentialOut))
def credentials(args: dict[str, Any]) -> Any:
    """The credentials of the workspace, newest first, without their values."""
    items, cursor = Credential.page(Credential.of(workspace_id()), args["limit"], args["cursor"])
    return {"items": items, "next_cursor": cursor}


@blueprint.get("/credential-types")
@needs("viewer")
@blueprint.response(200, listed(CredentialTypeOut))
def types() -> Any:
    """What types there are; `schema` is the JSON Schema of what each holds."""
    return {"items": catalogue(), "next_cursor": None}


@blueprint.post("/credentials")
@needs("editor")
@blueprint.arguments(CredentialIn)
@blueprint.response(201, CredentialOut)
def create(body: dict[str, Any]) -> Any:
    """Keep a credential. What `data` has, its type says: GET `/api/credential-types`."""
    if body["type"] not in TYPES:
        raise BadInput(f"type: must be one of {', '.join(TYPES)}")
    data = _sealed(body["type"], body["data"])
    return Credential.keep(
        workspace_id(), name=body["name"], type=body["type"], data=data, hosts=_as_text(body["hosts"])
    )


@blueprint.put("/credentials/<credential>")
@needs("editor", credential=Credential)
@blueprint.arguments(CredentialChange)
@blueprint.response(200, CredentialOut)
def change(body: dict[str, Any], credential: Credential) -> Any:
    """Give it another name, or other values: `data` replaces all of them. Its type stays.

    Whoever lets it go to more hosts has to know its values, and give them too.
    """
    if "hosts" in body:
        body["hosts"] = _as_text(body["hosts"])
        if body["hosts"] != credential.hosts and "data" not in body:
            raise BadInput("data: is required to send the credential to other hosts")
    if "data" in body:
        body["data"] = _sealed(credential.type, body["data"])
    credential.change(**body)
    return credential


@blueprint.delete("/credentials/<credential>")
@needs("editor", credential=Credential)
@blueprint.response(204)
def delete(credential: Credential) -> None:
    """Delete it; refused while a webhook of an active flow checks its callers with it."""
    credential.remove()


def _as_text(hosts: list[str] | None) -> str | None:
    """The hosts as the row has them."""
    return None if hosts is None else orjson.dumps(sorted(set(hosts))).decode()


def _sealed(type_: str, data: dict[str, Any]) -> str:
    """The values, checked and encrypted. BadInput names what is wrong, and no value."""
    check_depth(data, "data")
    try:
        values = TYPES[type_].load(data)
    except ValidationError as error:
        issues = flatten(error.messages, "data")
        raise BadInput("; ".join(str(issue) for issue in issues[:5]), issues) from None
    vault: Vault = current_app.extensions["headrace"].vault
    return vault.seal(values)
