"""Access to a form, its later pages and its result: for everybody, for members, or with a password; and how often."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import orjson
from flask import Response
from flask_login import current_user

from api.http.auth import get_user, has_role
from api.http.json_io import get_request, get_server
from api.http.request_origin import check_origin, get_client
from api.test_calls import make_hook
from api.webhooks import begin_guess, load_secret, make_limit_key
from api.webhooks.auth import get_secret_text, is_authentic
from database.queries import logs
from database.queries.webhooks import WebhookTarget
from database.queries.workflows import Startable
from definition import PlannedNode
from errors import NotFound, TooMany, Unavailable
from models import Run
from packs.forms.form import Look, show_message
from security.login_throttle import get_network

BASIC = 'Basic realm="form", charset="UTF-8"'
GONE = "This answer is no longer stored"
PAGES_PER_MINUTE = 40  # sent pages of one form from one network address
SHARED_PAGES = 400  # the same, if the address may be that of many clients


def get_sender() -> str | None:
    """Return the e-mail address of the user who sends a form; None if nobody is logged in."""
    return get_user().email if current_user.is_authenticated else None


def refuse_run(run: Run, node: PlannedNode, look: Look) -> Response | None:
    """Return the page for people who may not see the run of this form node; None if this person may.

    Raises: NotFound if the flow was deleted.
    """
    flow = Startable.find(run.workflow_id)
    if flow is None:
        raise NotFound(GONE)
    return refuse(make_hook(flow, node), node.config.static, look)


def refuse(hook: WebhookTarget, config: Mapping[str, Any], look: Look) -> Response | None:
    """Return the page for people who may not open the form; None if this person may."""
    if config["access"] == "members":
        if not current_user.is_authenticated:
            text = "Log in to open this form, then come back to this page."
            return show_message("For members only", text, look, 401, ("/", "Log in"))
        if not has_role("viewer", hook.flow.workspace_id):
            return show_message("For members only", "Your account may not open this form.", look, 403)
        check_origin()
    return _ask_password(hook, look) if config["access"] == "password" else None


def _ask_password(hook: WebhookTarget, look: Look) -> Response | None:
    """Return the page that makes a browser ask for the password; None if it was sent and is right."""
    server, request = get_server(), get_request()
    secret = load_secret(server.vault, hook, ("http_basic",))
    key, address = f"form {make_limit_key(hook)}", get_client().address
    guess = begin_guess(key, get_secret_text(secret))
    if "Authorization" not in request.headers:
        return _challenge(look)
    if is_authentic("http_basic", secret, request.headers, b"", 0):
        guess.mark_right()
        return None
    if server.refusals.note(key, get_network(address)):
        message = f"A wrong password for the form was sent from {address}. Logged at most once a minute"
        data = orjson.dumps({"workflow_id": hook.flow.id, "address": address}).decode()
        server.recorder.submit([logs.entry(hook.flow.workspace_id, None, hook.node_id, "warning", message, data)])
    guess.mark_wrong()
    return _challenge(look)


def _challenge(look: Look) -> Response:
    response = show_message("This form needs a password", "Reload the page to enter it.", look, 401)
    response.headers["WWW-Authenticate"] = BASIC
    return response


# Limits on the pages that are sent


def limit_network(form: str) -> None:
    """Count a sent page of this form from the client's network address. Raises: TooMany, Unavailable."""
    client = get_client()
    limit_pages(f"{form} {get_network(client.address)}", SHARED_PAGES if client.is_shared else PAGES_PER_MINUTE)


def limit_pages(form: str, per_minute: int) -> None:
    """Count a page against this limit. Raises: TooMany; Unavailable if it cannot be counted."""
    try:
        wait = get_server().rates.take(f"form {form}", per_minute)
    except OSError as error:
        raise Unavailable("The rate limit of this form cannot be checked at the moment", retry_after=5) from error
    if wait:
        raise TooMany("Too many pages were sent; try again in a minute", retry_after=math.ceil(wait))
