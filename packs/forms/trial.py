"""Trials of forms: members open the form of a draft, and the editor listens for one answer (see api/test_calls.py)."""

from __future__ import annotations

from typing import Any

from flask import Response
from flask_login import current_user

from api.http.auth import has_role
from api.http.json_io import get_request
from api.http.request_origin import check_origin
from api.http.server import get_dispatcher
from api.test_calls import find_forms, make_hook
from database.queries import webhooks
from database.queries.webhooks import WebhookTarget
from database.queries.workflows import Startable
from definition import PlannedNode
from dispatch import Start, StartOptions, Ticket
from errors import NotFound, Unavailable
from models import Run, WebhookListener
from packs.forms.look import Look
from packs.forms.public import make_form, open_public, take_answer
from packs.forms.results import show_result, take_next_page

LISTENED = "This is a test. The editor waits for one answer, and runs the flow on its canvas with it."
UNHEARD = "This is a preview. To send it, choose Listen for a test call in the editor first."
MISSING = "There is no form here, or you are not logged in as one of its editors"
NOBODY = "The editor does not wait for an answer any more. Choose Listen for a test call there, and send it again"


def open_test(flow: str, path: str) -> Response:
    """Show the form at this path of the flow under test, or the result of an answer to it."""
    if "run" in get_request().args:
        return show_result(get_request(), _refuse_run)
    hook, node, listener = _find(flow, path)
    note = UNHEARD if listener is None else LISTENED
    config = {**node.config.static, "access": "public"}
    return open_public(hook, config, make_form(hook, config, get_request().path, note))


def take_test(flow: str, path: str) -> Response:
    """Take a page of the form under test. The last one starts a run of the editor's definition."""
    check_origin()
    if "run" in get_request().args:
        return take_next_page(get_request(), _refuse_run)
    hook, node, listener = _find(flow, path)
    config: dict[str, Any] = {**node.config.static, "access": "public", "min_seconds": 0}
    config.pop("max_answers", None)

    def submit(value: Any, key: str, run_id: str) -> Ticket:
        if listener is None or not webhooks.claim_listener(listener):
            raise Unavailable(NOBODY)
        ticket = None
        try:
            options = StartOptions.of(listener.options.encode())
            start = Start(hook.flow, value, "manual", node.id, key, options=options, run_id=run_id)
            ticket = get_dispatcher().submit(start, here=True)
            return ticket
        finally:
            webhooks.settle_listener(listener, None if ticket is None else ticket.run.id)

    return take_answer(hook, config, make_form(hook, config, get_request().path, LISTENED), submit)


def _refuse_run(run: Run, node: PlannedNode, look: Look) -> None:
    """Let editors of the flow alone see the run, whoever may open the form. Raises: NotFound."""
    if not current_user.is_authenticated or not has_role("editor", run.workspace_id):
        raise NotFound(MISSING)


def _find(flow: str, path: str) -> tuple[WebhookTarget, PlannedNode, WebhookListener | None]:
    """Return the form at this path of the definition that the editor listens with, else of the saved one.

    Raises: NotFound, also if the caller may not edit the flow: other callers must not learn which flows exist.
    """
    found = Startable.find(flow)
    if found is None or not current_user.is_authenticated or not has_role("editor", found.workspace_id):
        raise NotFound(MISSING)
    row = WebhookListener.find(flow)
    listener = row if row is not None and webhooks.is_listening(row) else None
    options = None if row is None else StartOptions.of(row.options.encode())
    plan = get_dispatcher().resources.plan_with(options if listener is not None else None, found)
    node = next((one for one in find_forms(plan) if one.config.static["path"].strip("/") == path.strip("/")), None)
    if node is None:
        raise NotFound("The flow has no form with this path")
    return make_hook(found, node), node, listener
