"""Connectors: the services that flows can use, and the values that their forms offer."""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import Any

import fields
from api.http.auth import get_workspace_id, require_role
from api.http.json_io import Resource, get_dispatcher
from database.base import new_id
from errors import BadInput, NodeError, NotFound, Unavailable
from fields import Out, Strict, text
from nodes.base import Context
from packs.connectors import connector_files
from packs.connectors.app_triggers import app_trigger
from schemas import MarkOut, ServiceOut

blueprint = Resource("connectors", "Services that flows can use")
SECONDS = 15.0
READERS = threading.BoundedSemaphore(4)  # of values, in a process, whose threads have other requests to serve too


class OperationOut(Out):
    id = fields.String()
    name = fields.String()
    group = fields.String()
    description = fields.String()
    docs = fields.String(allow_none=True)
    list = fields.Boolean(help="True if the result is a list")
    scopes = fields.List(fields.String(), help="The permissions that it needs, besides those in `auth`")
    config_schema = fields.Dict(help="JSON Schema of the node's config under this operation")
    example = fields.Dict(help="A config, and its output")


class ConnectorOut(Out):
    type = fields.String()
    name = fields.String()
    description = fields.String()
    docs = fields.String(allow_none=True, help="The service's own documentation")
    mark = fields.Nested(MarkOut)
    service = fields.Nested(ServiceOut)
    own = fields.Boolean(help="True if it is from HEADRACE_CONNECTORS_DIR")
    auth = fields.List(fields.Dict(), help="The ways to authenticate, the best first, with presets for a credential")
    apis = fields.Dict(help="APIs that must be switched on in the service, each with the page for that")
    rate = fields.Dict(allow_none=True, help="The rate limit of the service: `{calls, per}`, `per` in seconds")
    operations = fields.List(fields.Nested(OperationOut))


class OptionsIn(Strict):
    operation = text(64, required=True)
    input = text(64, required=True, help="The setting whose values to list")
    config = fields.Dict(load_default=dict, help="The node's config as far as it is filled in, with its credential")


class OptionOut(Out):
    value = fields.String()
    label = fields.String()
    also = fields.String(help="Of a field: another name that the service takes", optional=True)
    required = fields.Boolean(help="Of a field: true if it must have a value", optional=True)
    schema = fields.Dict(help="Of a field: the JSON Schema of its values", optional=True)


class OptionsOut(Out):
    items = fields.List(fields.Nested(OptionOut))
    truncated = fields.Boolean(help="True if the service has more")


@blueprint.get("/connectors/<connector>")
@require_role("viewer")
@blueprint.response(200, ConnectorOut)
def show(connector: str) -> Any:
    """Show a connector with its operations. The list of all is a part of GET `/api/nodes`."""
    found = connector_files.describe(connector)
    if found is None:
        raise NotFound(f"There is no connector {connector[:64]!r}")
    return found


@blueprint.post("/connectors/<connector>/options")
@require_role("editor")
@blueprint.arguments(OptionsIn)
@blueprint.response(200, OptionsOut)
def list_options(body: dict[str, Any], connector: str) -> Any:
    """List values for a setting, such as the channels of an account or the columns of a sheet, read from the service.

    `config` needs the credential, and the settings that the list depends on. Expressions in it are not evaluated.
    """
    read = find_lister(connector)
    if not READERS.acquire(blocking=False):
        raise Unavailable("Other values are being read; try again soon", retry_after=2)
    resources, workspace = get_dispatcher().resources, get_workspace_id()
    ctx = Context(
        "options",
        {},
        {},
        new_id("options"),
        time.monotonic() + SECONDS,
        services=resources.services,
        keyring=resources.keyring_of(workspace),
        files=resources.files_of(workspace),
    )
    try:
        found, truncated = read(body["operation"], body["input"], body["config"], ctx)
    except NodeError as error:
        raise (BadInput if error.permanent else Unavailable)(ctx.clean(error.message)) from None
    finally:
        READERS.release()
    return {"items": found, "truncated": truncated}


def find_lister(type_: str) -> Any:
    """Return the function that lists values for a connector, or for an app trigger, whose connector has its account."""
    from packs.connectors.forms import list_options as read_options
    from packs.connectors.forms import list_values

    trigger = app_trigger.find(type_)
    node: Any = connector_files.find(type_ if trigger is None else trigger.service_type)
    if node is None:
        raise NotFound(f"There is no connector {type_[:64]!r}")
    if trigger is None:
        return partial(read_options, node)
    params = trigger.preset.get("register", {}).get("params", {})

    def read(operation: str, name: str, config: dict[str, Any], ctx: Context) -> Any:
        own = {"credential": config.get("account"), "address": config.get("api_url")}
        return list_values(node, name, params.get(name, {}), {**config, **own}, ctx)

    return read
