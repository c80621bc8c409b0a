"""The webhooks of active flows: find the flow, check who calls, start the run, answer as the node says.

This is what is called most, so it keeps to one query and no schema between the request and the run.

A wrong signature or secret is a 401. An unusable credential is a 503: the caller did nothing wrong, and senders try
again after a 503.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import orjson
from flask import Request, Response, current_app
from werkzeug.datastructures import Headers
from werkzeug.exceptions import MethodNotAllowed
from werkzeug.routing import PathConverter

from api.files import stream
from api.http.auth import everybody
from api.http.json_io import Resource, read_raw, this_request
from api.http.request_origin import client
from api.run_answer import Answer, accepted, json_answer, shaped, unfinished, with_headers, with_output
from api.webhooks.auth import carrier, proves
from api.webhooks.body import input_of
from api.webhooks.rate_limit import Rates
from api.webhooks.refusal_log import Refusals
from definition import Plan
from dispatch import Dispatcher, Ticket
from dispatch.payloads import Kept
from errors import BadInput, DefinitionError, Forbidden, NodeError, NotFound, TooMany, Unavailable, VaultError
from models import Hook, LogEntry, Run, Webhook
from nodes.core.output import disposition
from nodes.core.triggers import CREDENTIAL_TYPES, METHODS
from schemas import ANY_JSON, Error, FiredOut
from security.login_throttle import network_of
from security.vault import Vault

log = logging.getLogger("headrace.webhooks")
blueprint = Resource("webhooks", "The addresses of flows, called by other systems", any_query=True)

LONGEST_KEY = 200
BASIC = ("WWW-Authenticate", 'Basic realm="webhook", charset="UTF-8"')
# What a page of this server could load as a part of itself: its policy allows what comes from here.
PARTS = {"script", "style", "worker", "sharedworker", "serviceworker", "audioworklet", "object", "embed"}


TEXT = {"schema": {"type": "string"}}
# A respond node may name any other type too.
ANSWER_TYPES: dict[str, Any] = {"application/json": {"schema": ANY_JSON}, "text/plain": TEXT, "text/html": TEXT}
NOT_NOW = "The server cannot take this call now; try again soon"
ERROR_TYPES: dict[str, Any] = {"application/json": {"schema": Error}, "text/plain": TEXT, "text/html": TEXT}


class Slashes(PathConverter):
    """Any rest of a path, with slashes before and after it too."""

    regex = ".*?"
    part_isolating = False


@blueprint.route("/webhooks/<slashes:path>", methods=list(METHODS))
@everybody
@blueprint.doc(
    security=[],
    responses={
        "200": {"description": "The run's output, or what its respond node says", "content": ANSWER_TYPES},
        "202": {"description": "The run is accepted", "content": {"application/json": {"schema": FiredOut}}},
        "default": {"description": "An error; a respond node may say something else", "content": ERROR_TYPES},
    },
)
def fire(path: str) -> Response:
    """Call the webhook of an active flow, in the way that the flow's webhook node says.

    The body may be anything. With the header `Idempotency-Key`, or the one that the node names, a call that came before
    within 24 hours is answered again and starts no second run.
    """
    request = this_request()
    if request.environ.get("HTTP_SEC_FETCH_DEST") in PARTS and request.headers.get("Sec-Fetch-Site") == "same-origin":
        raise Forbidden("What a webhook answers cannot be a part of a page of this server")
    path = path.strip("/")
    hook = Hook.at(path, request.method)
    if hook is None:
        raise _nobody(path)
    server = current_app.extensions["headrace"]
    dispatcher: Dispatcher = server.dispatcher
    config = _plan(dispatcher, hook).by_id[hook.node_id].config.static
    if (most := config.get("max_body_bytes")) is not None:
        request.max_content_length = min(most, dispatcher.config.max_body_bytes)
    raw = read_raw(request)
    hidden = None
    if config["auth"] != "none":
        secret = secret_of(server.vault, hook, config["auth"])
        _check_guesses(hook)
        if not proves(str(hook.secret_type), secret, request.headers, raw, time.time()):
            _note_refusal(hook, path)
            challenge = [BASIC] if config["auth"] == "basic" else []
            return _sent(json_answer({"error": "You may not call this webhook"}, 401, *challenge))
        hidden = carrier(str(hook.secret_type), secret)
    if (limit := config.get("rate_limit")) is not None:
        _take_a_call(hook, limit)
    key = _key(request, hook.node_id, config.get("dedupe_header"))
    value = input_of(request, path, raw, hidden)
    try:
        answer, here = ANSWERS[config["respond"]]
        ticket = dispatcher.submit(hook.flow, value, "webhook", hook.node_id, key, here)
        return answer(dispatcher, ticket)
    except Unavailable as error:
        log.warning("flow %s: a call was turned away: %s", hook.flow.id, error.message)
        raise Unavailable(NOT_NOW, retry_after=error.retry_after) from error


def _check_guesses(hook: Hook) -> None:
    """Raise TooMany if the caller's address has been refused often of late: whoever guesses needs many tries."""
    refusals: Refusals = current_app.extensions["headrace"].refusals
    if refusals and (wait := refusals.wait(place_of(hook), network_of(client().address))):
        raise TooMany("Too many calls without the right proof; try again later", retry_after=math.ceil(wait))


def _note_refusal(hook: Hook, path: str) -> None:
    """Count a caller who could not prove who they are, and tell of them in the flow's log, once a minute each.

    An address that stands for many clients is told of only: else one of them could stop all others.
    """
    server = current_app.extensions["headrace"]
    address, is_shared = client()
    if not server.refusals.note(place_of(hook), address if is_shared else network_of(address), is_shared):
        return
    log.info("webhook %s: a caller at %s was refused", path, address)
    message = f"A caller at {address} was refused: the secret is missing or wrong. Once a minute, this is told of again"
    data = orjson.dumps({"workflow_id": hook.flow.id, "path": path, "address": address}).decode()
    server.recorder.submit([LogEntry.entry(hook.flow.workspace_id, None, hook.node_id, "warning", message, data)])


def place_of(hook: Hook) -> str:
    """The name of a webhook for its limits."""
    return f"{hook.flow.id} {hook.node_id}"


def _take_a_call(hook: Hook, limit: int) -> None:
    """Count a call of a webhook that takes so many a minute. TooMany beyond that."""
    rates: Rates = current_app.extensions["headrace"].rates
    try:
        wait = rates.wait(place_of(hook), limit)
    except OSError as error:
        raise Unavailable("The calls of this webhook cannot be counted at the moment", retry_after=5) from error
    if wait:
        raise TooMany(f"This webhook takes {limit} calls a minute; try again later", retry_after=math.ceil(wait))


def _nobody(path: str) -> Exception:
    """Why there is nobody to call: a path that no active flow has, or a method that it does not take."""
    methods = Webhook.methods_of(path)
    return MethodNotAllowed(methods) if methods else NotFound("There is no webhook at this address")


def _plan(dispatcher: Dispatcher, hook: Hook) -> Plan:
    flow = hook.flow
    try:
        return dispatcher.plan_of(flow)
    except DefinitionError as error:
        log.error("flow %s is active, but its definition is not valid any more: %s", flow.id, error.message)
        raise Unavailable("The flow of this webhook cannot run at the moment") from None


def secret_of(vault: Vault, hook: Hook, auth: str) -> Mapping[str, Any]:
    """The values of the credential. Unavailable where it cannot be used: nobody is let in then."""
    reason = "it is missing"
    if hook.credential_id is not None and hook.secret_type is not None:
        if hook.secret_type in CREDENTIAL_TYPES[auth]:
            try:
                found: Mapping[str, Any] = vault.unseal(
                    hook.credential_id, int(hook.secret_stamp or 0), str(hook.secret)
                )
                return found
            except VaultError as error:
                reason = str(error)
        else:
            reason = f"it is of type {hook.secret_type}"
    log.error("node %s of flow %s cannot use its credential: %s", hook.node_id, hook.flow.id, reason)
    raise Unavailable("This webhook cannot check its callers at the moment")


def _key(request: Request, node_id: str, header: str | None) -> str | None:
    """What marks this request as one that may have come before."""
    name, value = "Idempotency-Key", request.environ.get("HTTP_IDEMPOTENCY_KEY")
    if header is not None and header in request.headers:
        name, value = header, request.headers[header]
    if value is None:
        return None
    if not 0 < len(value) <= LONGEST_KEY:
        raise BadInput(f"{name}: must have 1 to {LONGEST_KEY} characters")
    return f"hook:{node_id}:{value}"


# Answers


def _at_once(dispatcher: Dispatcher, ticket: Ticket) -> Response:
    dispatcher.durable(ticket)
    return _sent(accepted(ticket.run))


def _with_the_output(dispatcher: Dispatcher, ticket: Ticket) -> Response:
    finished = dispatcher.wait_in_turn(ticket, dispatcher.config.webhook_wait)
    if finished.status != "success":
        return _sent(unfinished(finished))
    text = dispatcher.payloads.load(finished.id, "output", Kept(finished.output, finished.output_bytes))
    return _sent(with_output(text))


def _with_what_a_node_says(dispatcher: Dispatcher, ticket: Ticket) -> Response:
    run, said = dispatcher.response(ticket, dispatcher.config.webhook_wait)
    if said is not None and "file" in said:
        return _with_file(dispatcher, run, said)
    return _sent(answer_of_node(run, said))


def answer_of_node(run: Run, said: Any) -> Answer:
    """The answer of a run whose respond node said this; None if none did."""
    if said is not None:
        return shaped(said)
    return json_answer({"run_id": run.id}) if run.status == "success" else unfinished(run)


# How to answer, and whether the request's own thread may execute the run where it is a quick one: because it waits for
# its end anyway, or because one commit for all of it is on the disk no later than one for its row alone.
ANSWERS: dict[str, tuple[Callable[[Dispatcher, Ticket], Response], bool]] = {
    "immediately": (_at_once, True),
    "last": (_with_the_output, True),
    "node": (_with_what_a_node_says, True),
}


def _with_file(dispatcher: Dispatcher, run: Run, said: Mapping[str, Any]) -> Response:
    """The file that a respond node names, as it is now."""
    file = said["file"]
    try:
        response = stream(dispatcher.files_of(run.workspace_id), file["path"], file["content_type"], said["status"])
    except NodeError as error:
        log.error("run %s answers with a file that cannot be sent: %s", run.id, error.message)
        return _sent(json_answer({"error": "The file of the answer cannot be read", "run_id": run.id}, 500))
    response.headers["Content-Disposition"] = disposition("inline", file["name"])
    response.headers = Headers(with_headers(list(response.headers), said["headers"]))
    return response


def _sent(answer: Answer) -> Response:
    return Response(answer.body, answer.status, answer.headers)
