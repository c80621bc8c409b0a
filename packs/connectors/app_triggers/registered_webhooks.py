"""Webhooks of app triggers that the server could not add to a service, or remove from it."""

from __future__ import annotations

from typing import Any

import orjson

import fields
from api.audit import begin_entry
from api.http.auth import get_workspace_id, require_role
from api.http.json_io import Resource
from api.http.paging import SliceArgs, listed, slice_of
from database.queries import workflows
from errors import Conflict, NotFound
from fields import Out, Time, choice
from models import RegisteredHook
from nodes import REGISTRY
from packs.connectors.app_triggers import hook_queries

blueprint = Resource("registered_webhooks", "Webhooks that the server adds in services")
MOST = 1_000


class RegisteredWebhookOut(Out):
    id = fields.String()
    service = fields.String(help="The name of the service")
    state = choice(
        (RegisteredHook.ADDING, RegisteredHook.ADDED, RegisteredHook.REMOVING), help="The state of the registration"
    )
    address = fields.String(help="The address of ours that the service has; of a new webhook, its path")
    place = fields.Dict(help="The settings of the node that name its place in the service")
    workflow_id = fields.String()
    workflow_name = fields.String(allow_none=True, help="null if the flow was deleted")
    node_id = fields.String()
    error = fields.String(help="Why it could not be added or removed")
    attempts = fields.Integer()
    next_at = Time(help="Time of the next attempt")
    by_hand = fields.String(help="How a person removes it in the service")


@blueprint.get("/registered-webhooks")
@require_role("viewer", only_database=True)
@blueprint.arguments(SliceArgs, location="query")
@blueprint.response(200, listed(RegisteredWebhookOut))
def list_failing(args: dict[str, Any]) -> Any:
    """List the webhooks that could not be added or removed in their services, the newest first."""
    rows = hook_queries.failing(get_workspace_id(), MOST)
    names = {flow.id: flow.name for flow in workflows.of_ids(sorted({row.workflow_id for row in rows}), brief=True)}
    return slice_of([_show(row, names.get(row.workflow_id)) for row in rows], args)


@blueprint.delete("/registered-webhooks/<hook_id>")
@require_role("editor")
@blueprint.response(204)
def forget(hook_id: str) -> None:
    """Tell the server that you removed a webhook in the service, so it need not try any more.

    409 if the webhook belongs to an active flow: deactivate the flow first.
    """
    row = RegisteredHook.find(hook_id)
    if row is None or row.workspace_id != get_workspace_id():
        raise NotFound(f"This workspace has no registered webhook {hook_id[:64]!r}")
    with begin_entry("webhook.forgotten").target("webhook", row.id, row.url or row.path).written():
        if not hook_queries.forget(row):
            raise Conflict("The webhook belongs to an active flow; deactivate the flow first")


def _show(row: RegisteredHook, flow: str | None) -> dict[str, Any]:
    node: Any = REGISTRY.get(row.type)
    preset = {} if node is None else node.preset
    place = {name: value for name, value in orjson.loads(row.scope).items() if name not in ("type", "account")}
    return {
        "id": row.id, "service": preset.get("name", row.type), "state": row.state, "address": row.url or row.path,
        "place": place, "workflow_id": row.workflow_id, "workflow_name": flow, "node_id": row.node_id,
        "error": row.last_error, "attempts": row.attempts, "next_at": row.next_at,
        "by_hand": preset.get("register", {}).get("by_hand", ""),
    }  # fmt: skip
