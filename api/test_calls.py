"""Test calls of webhooks and forms: the editor listens for the next call of a flow, whose webhook and form nodes have
a test address.

The test address is another one than that of the active flow, so a test never takes a call that was meant for it. The
listener is a row, which any process of the server may find. It takes one call.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask import Response
from marshmallow.validate import Length, Range
from werkzeug.exceptions import MethodNotAllowed

import fields
from api.audit import record_change
from api.http.auth import allow_anyone, get_user, require_role
from api.http.json_io import Resource, get_dispatcher, get_request
from api.webhooks import (
    ANSWER_TYPES,
    ERROR_TYPES,
    OPTIONS,
    FiredOut,
    check_not_embedded,
    find_taker,
    split_path,
    take_call,
)
from api.webhooks import blueprint as webhooks
from api.workflows import make_pins_field, read_options
from constants import WEBHOOK_METHODS
from database.queries import credentials
from database.queries import webhooks as webhook_queries
from database.queries.webhooks import PARAM, Patterns, WebhookTarget, expand_methods, shape_of
from database.queries.workflows import Startable
from definition import Plan, PlannedNode
from dispatch import Start, StartOptions, Ticket
from errors import BadInput, Conflict, NotFound
from fields import Out, Strict, Time, choice
from models import WebhookListener, Workflow
from nodes.core.triggers import EventTrigger
from schemas import DEFINITION

blueprint = Resource("test_calls", "Test calls of webhooks")

MAX_SECONDS, DEFAULT_SECONDS = 900, 120  # people need longer to fill in a form
NOBODY = (
    "Nobody is listening for a test call at this address: choose Listen for a test call in the editor, and call again"
)


class ListenIn(Strict):
    definition = fields.Raw(
        load_default=None,
        metadata=DEFINITION,
        help="A WorkflowDefinition that the call runs instead of the saved one, without saving it",
    )
    pinned = make_pins_field("Outputs by node id for nodes that are not executed")
    seconds = fields.Integer(
        strict=True, load_default=DEFAULT_SECONDS, validate=Range(1, MAX_SECONDS), help="How long to listen"
    )


class AddressOut(Out):
    method = fields.String()
    path = fields.String(help="The path of the test address on this server; of a form, a page for members")


class ListenerOut(Out):
    id = fields.String()
    state = choice(("listening", "called", "expired"), from_row=webhook_queries.listener_state)
    until = Time()
    run_id = fields.String(allow_none=True, help="The run that the call started")


class BegunOut(ListenerOut):
    """A listener that has begun, with the addresses where it takes a call."""

    addresses = fields.List(fields.Nested(AddressOut), validate=Length(max=1_000))


@blueprint.post("/workflows/<flow>/test-call")
@require_role("editor", flow=Workflow)
@blueprint.arguments(ListenIn, required=False)
@blueprint.response(201, BegunOut)
def listen(body: dict[str, Any], flow: Workflow) -> Any:
    """Listen for the next call of the flow's test addresses, up to `seconds`. The call starts a run.

    The flow may be inactive. The run has `triggered_by` `manual`, and the definition and the pinned outputs of this
    request. A flow has one listener: another one of the same user replaces it.
    """
    if flow.status == "archived":
        raise Conflict("The flow is archived; make it a draft or active to test it")
    options = read_options({**body, "until": None, "only": None}, flow) or StartOptions()
    plan = get_dispatcher().resources.plan_with(options, flow)
    nodes, forms = _find_webhooks(plan), find_forms(plan)
    if not nodes and not forms:
        raise BadInput("The flow has no webhook or form that could be called: add one, and enable it")
    with record_change("flow.listened") as entry:
        entry.about(flow).note(draft=options.definition is not None)
        row = webhook_queries.begin_listening(flow, get_user().id, options.encoded().decode(), body["seconds"])
    found = sorted({(method, node.config.static["path"]) for node in nodes for method in _methods_of(node)})
    row.addresses = [
        {"method": method, "path": f"/api/webhooks-test/{flow.id}/{path.strip('/')}"} for method, path in found
    ] + [{"method": "GET", "path": f"/forms-test/{flow.id}/{node.config.static['path']}"} for node in forms]
    return row


@blueprint.get("/workflows/<flow>/test-call")
@require_role("editor", flow=Workflow)
@blueprint.response(200, ListenerOut)
def show(flow: Workflow) -> Any:
    """Show the flow's listener for a test call, and the run that the call started."""
    row = WebhookListener.find(flow.id)
    if row is None:
        raise NotFound("Nobody is listening for a test call of this flow")
    return row


@blueprint.delete("/workflows/<flow>/test-call")
@require_role("editor", flow=Workflow)
@blueprint.response(204)
def stop(flow: Workflow) -> None:
    """Stop listening for a test call."""
    with record_change("flow.unlistened") as entry:
        entry.about(flow)
        webhook_queries.stop_listening(flow.id)


@webhooks.route("/webhooks-test/<flow>/<slashes:path>", methods=list(WEBHOOK_METHODS))
@allow_anyone
@webhooks.doc(
    security=[],
    responses={
        "200": {"description": "The run's output, or the response of its respond node", "content": ANSWER_TYPES},
        "202": {"description": "The run is accepted", "content": {"application/json": {"schema": FiredOut}}},
        "default": {"description": "An error; a respond node may send another response", "content": ERROR_TYPES},
    },
)
def fire_test(flow: str, path: str) -> Response:
    """Call the test address of a flow's webhook, for which the editor listens.

    Authentication, limits and answer are those of the webhook node. A call that is refused leaves the listener open.
    """
    request, path = get_request(), path.strip("/")
    check_not_embedded(request)
    dispatcher = get_dispatcher()
    found, row, options, nodes = _find_listening(flow, path)
    if not nodes:
        raise NotFound("The flow has no webhook with this path: see the test addresses in the editor")
    node = next((node for node in nodes if request.method in _methods_of(node)), None)
    if node is None:
        raise MethodNotAllowed(sorted({method for node in nodes for method in _methods_of(node)}))
    listener, hook = row, make_hook(found, node)

    def submit(value: Any, is_awaited: bool) -> Ticket:
        if not webhook_queries.claim_listener(listener):
            raise NotFound(NOBODY)
        ticket = None
        try:
            start = Start(found, value, "manual", node.id, options=options, is_awaited=is_awaited)
            ticket = dispatcher.submit(start, here=True)
            return ticket
        finally:
            webhook_queries.settle_listener(listener, None if ticket is None else ticket.run.id)

    if isinstance(node.node, EventTrigger):
        return find_taker(node)(hook, node, path, lambda value, key: submit(value, False))
    return take_call(hook, node.config.static, path, submit)


def _find_webhooks(plan: Plan) -> list[PlannedNode]:
    """Return the webhook nodes that a call can start, including those that only pinned nodes depend on."""
    return [*_find_callable(plan, "webhook"), *_find_callable(plan, "")]


def find_forms(plan: Plan) -> list[PlannedNode]:
    """Return the form nodes that an answer can start."""
    return _find_callable(plan, "form")


def _find_callable(plan: Plan, type_: str) -> list[PlannedNode]:
    """Return the enabled triggers with an address of this type; event triggers if it is empty."""
    nodes = (node for node in (*plan.nodes, *plan.left_out) if "path" in node.config.static)
    found = (node for node in nodes if (node.type == type_ if type_ else isinstance(node.node, EventTrigger)))
    return [node for node in found if not node.disabled and node.pinned is None]


def _find_listening(flow: str, path: str) -> tuple[Startable, WebhookListener, StartOptions, list[PlannedNode]]:
    """Return the flow, its listener with its options, and the webhooks of this path.

    Raises: NotFound if nobody is listening.
    """
    found, row = Startable.find(flow), WebhookListener.find(flow)
    if row is None or found is None or not webhook_queries.is_listening(row) or found.status == "archived":
        raise NotFound(NOBODY)
    options = StartOptions.of(row.options.encode())
    plan = get_dispatcher().resources.plan_with(options, found)
    nodes = _find_webhooks(plan)
    shapes = {shape_of(node.config.static["path"]) for node in nodes}
    # Those whose path this is, or matches, in the order in which active flows look for them.
    called = [path, *Patterns(shape for shape in shapes if PARAM in shape).find(split_path(path))]
    nodes = [node for shape in called for node in nodes if shape_of(node.config.static["path"]) == shape]
    return found, row, options, nodes


def _find_options(address: dict[str, Any], method: str) -> tuple[Sequence[str], Mapping[str, Any]]:
    """Return the methods of a test address, and the config of the webhook that takes this method."""
    *_, nodes = _find_listening(address["flow"], address["path"].strip("/"))
    config = next((node.config.static for node in nodes if method in _methods_of(node)), {})
    return sorted({method for node in nodes for method in _methods_of(node)}), config


OPTIONS["webhooks.fire_test"] = _find_options


def _methods_of(node: PlannedNode) -> tuple[str, ...]:
    if isinstance(node.node, EventTrigger):
        return node.node.methods
    return expand_methods(node.config.static["methods"])


def make_hook(flow: Startable, node: PlannedNode) -> WebhookTarget:
    """Return the webhook or form with its credential as it is now."""
    name = node.config.static.get("credential")
    row = None if name is None else credentials.named(flow.workspace_id, name)
    if row is None:
        return WebhookTarget(node.id, flow, None, None, None, None)
    return WebhookTarget(node.id, flow, row.id, row.type, row.updated_at, row.data)
