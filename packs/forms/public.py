"""Public forms of active flows, and trials of drafts: their closing time, and the run that an answer starts."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from flask import Request, Response
from flask_login import current_user
from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException

from api.http.auth import has_role
from api.http.json_io import get_config, get_dispatcher, get_request, to_unavailable
from api.http.request_origin import check_origin
from api.test_calls import find_forms, make_hook
from constants import FORM_METHOD
from database import DatabaseRefused
from database.base import new_id, now_ms
from database.queries import runs, webhooks
from database.queries.store import WorkspaceStore
from database.queries.webhooks import WebhookTarget
from database.queries.workflows import Startable
from definition import PlannedNode
from dispatch import Start, StartOptions, Ticket
from errors import Conflict, DefinitionError, HeadraceError, NodeError, NotFound, TooMany, Unavailable
from fields import iso
from models import Run, WebhookListener
from nodes.files.files import Absent, OverQuota
from nodes.files.staged import moving, settle
from packs.forms.access import get_sender, limit_network, limit_pages, refuse
from packs.forms.answers import FULL, Storage
from packs.forms.form import (
    Filled,
    Form,
    Look,
    drop_files,
    make_answers,
    name_files,
    open_form,
    show,
    show_message,
    take,
)
from packs.forms.nodes import to_ms
from packs.forms.results import make_run_address, show_result, take_next_page

log = logging.getLogger("headrace.forms")

PREFIX = "/forms/"
TWIN_SECONDS, TWIN_PAUSE = 3.0, 0.1
SATURATED = "This form cannot be taken at the moment. Your answers are still here: try again in a minute."
CROWDED = "Very many people are sending this form. Your answers are still here: try again in a minute."
HASTY = "That was very quick. Check your answers and send them again."
GONE = "Choose the files again: they are not kept for long."
MISSING = "There is no form at this address"
# Submits an answer: the run's input, its idempotency key and the id of the new run.
Submit = Callable[[Any, str, str], Ticket]


class Closed(Exception):
    """The form takes no answers any more."""


def open_path(path: str) -> Response:
    """Show the form at this path, or with `run` and `token` in the query the result of an answer."""
    request = get_request()
    if "run" in request.args:
        return show_result(request)
    hook, config = _find(path)
    return open_public(hook, config, make_form(hook, config, PREFIX + path.strip("/")))


def open_public(hook: WebhookTarget, config: Mapping[str, Any], form: Form) -> Response:
    """Show the form to people who may open it, unless it is closed."""
    if (refused := refuse(hook, config, form.look)) is not None:
        return refused
    if is_closed(hook, config):
        return show_closed(config)
    return open_form(form, get_request().args.to_dict(flat=False))


def take_path(path: str) -> Response:
    """Take a page of the form at this path, or of a later page of its run."""
    request = get_request()
    if "run" in request.args:
        return take_next_page(request)
    hook, config = _find(path)
    form = make_form(hook, config, PREFIX + path.strip("/"))

    def submit(value: Any, key: str, run_id: str) -> Ticket:
        start = Start(hook.flow, value, "webhook", hook.node_id, key, run_id=run_id)
        return get_dispatcher().submit(start, here=True)

    return take_answer(hook, config, form, submit)


def _find(path: str) -> tuple[WebhookTarget, Mapping[str, Any]]:
    """Return the form of an active flow with its config. Raises: NotFound, Unavailable."""
    hook = WebhookTarget.at(path.strip("/"), FORM_METHOD)
    if hook is None:
        raise NotFound(MISSING)
    try:
        return hook, get_dispatcher().resources.plan_of(hook.flow).by_id[hook.node_id].config.static
    except DefinitionError as error:
        log.error("flow %s is active, but its definition is not valid any more: %s", hook.flow.id, error.message)
        raise Unavailable("This form cannot be shown at the moment") from None


def make_form(hook: WebhookTarget, config: Mapping[str, Any], action: str, note: str = "") -> Form:
    """Return the form of a form node."""
    dispatcher, subject = get_dispatcher(), f"{hook.flow.id} {hook.node_id}"
    return Form(
        owner=(hook.flow.id, hook.node_id),
        title=config["title"],
        intro=config.get("intro", ""),
        items=config["fields"],
        buttons=[("send", config.get("button") or "Send")],
        action=action,
        look=Look.of(config),
        storage=Storage(
            dispatcher.resources.files_of(hook.flow.workspace_id),
            dispatcher.free_space.floor_at(get_config().data_dir),
            subject,
            # Cached, so that a request counts once, with its first file or as a complete answer.
            functools.cache(functools.partial(limit_pages, subject, config["rate_limit"])),
        ),
        note=note,
    )


# Until when it is open


def is_closed(hook: WebhookTarget, config: Mapping[str, Any]) -> bool:
    """Return True if the time of the form is over, or it has all its answers."""
    if "closes_at" in config and to_ms(config["closes_at"]) <= now_ms():
        return True
    limit = config.get("max_answers")
    if limit is None:
        return False
    count = WorkspaceStore(hook.flow.workspace_id).get(_count_key(hook))
    return isinstance(count, int | float) and count >= limit


def show_closed(config: Mapping[str, Any]) -> Response:
    """Return the page of a closed form."""
    text = config.get("closed_text") or "It takes no more answers."
    return show_message("This form is closed", text, Look.of(config), 410)


def _count_key(hook: WebhookTarget) -> str:
    """Return the key of the workspace's store with the number of answers, where people may set it back."""
    return f"forms/{hook.flow.id}/{hook.node_id}/answers"


# The answer


def take_answer(hook: WebhookTarget, config: Mapping[str, Any], form: Form, submit: Submit) -> Response:
    """Take a sent page of a form: show the next one, or submit the answers and redirect to their result."""
    request = get_request()
    if (refused := refuse(hook, config, form.look)) is not None:
        return refused
    limit_network(f"{hook.flow.id} {hook.node_id}")
    filled = take(form, request)
    if isinstance(filled, Response):
        return filled
    key = f"form:{hook.node_id}:{filled.progress.token.nonce}"
    if (first := runs.run_of_key(hook.flow.id, key)) is not None:
        return _lead_to(request, form, first.id, filled)
    if filled.is_trapped:
        log.info("flow %s: an answer to a form was dropped: a robot filled in the hidden field", hook.flow.id)
        drop_files(form, filled.progress)
        return show_message("Thank you", "Your answers were sent.", form.look, mark="done")
    if filled.age_ms < config["min_seconds"] * 1000:
        return _again(form, filled, HASTY, 422)
    try:
        form.storage.admit()
        return _lead_to(request, form, _start(hook, config, form, filled, key, submit), filled)
    except Closed:
        drop_files(form, filled.progress)
        return show_closed(config)
    except Absent:
        # The form was sent twice at once: the other request has the files, and starts the run.
        deadline = time.monotonic() + TWIN_SECONDS
        while time.monotonic() < deadline:
            if (first := runs.run_of_key(hook.flow.id, key)) is not None:
                return _lead_to(request, form, first.id, filled)
            time.sleep(TWIN_PAUSE)
        filled.progress.token = filled.progress.token._replace(files={})
        return _again(form, filled, GONE, 422)
    except TooMany:
        return _again(form, filled, CROWDED, 429)
    except OverQuota:
        return _again(form, filled, f"{FULL}.", 413)
    except (Unavailable, Conflict, NodeError, DatabaseRefused) as error:
        problem = to_unavailable(error) if isinstance(error, DatabaseRefused) else error
        log.warning("flow %s: an answer to a form was rejected: %s", hook.flow.id, problem.message)
        return _again(form, filled, SATURATED, 503)


def _again(form: Form, filled: Filled, notice: str, status: int) -> Response:
    """Return the last page again, with everything that was entered."""
    filled.progress.notice = notice
    filled.progress.page = len(form.pages) - 1
    return show(form, filled.progress, status)


def _lead_to(request: Request, form: Form, run_id: str, filled: Filled) -> Response:
    """Redirect to the page of the run, so that a reload sends nothing again."""
    settle(form.files, run_id, name_files(filled.files))  # of a form that was sent twice
    return Response(status=303, headers={"Location": make_run_address(request.path, run_id)})


def _start(hook: WebhookTarget, config: Mapping[str, Any], form: Form, filled: Filled, key: str, submit: Submit) -> str:
    """Return the id of the run with these answers, which is on the disk, with its files."""
    run_id, limit = new_id("run"), config.get("max_answers")
    if "closes_at" in config and to_ms(config["closes_at"]) <= now_ms():
        raise Closed
    store = WorkspaceStore(hook.flow.workspace_id)
    # Counted before the run: if the process dies in between, the form takes one answer less, never one more.
    if limit is not None and store.increment(_count_key(hook)) > limit:
        store.increment(_count_key(hook), -1)
        raise Closed
    try:
        return _submit(hook, form, filled, key, run_id, submit)
    except BaseException as error:
        is_twin = isinstance(error, _Twin)
        # A failed write may have been done all the same: then the answer counts.
        if limit is not None and (is_twin or runs.run_of_key(hook.flow.id, key) is None):
            store.increment(_count_key(hook), -1)
        if is_twin:
            return str(error)
        raise


class _Twin(Exception):
    """The same form was sent twice at once. The text is the id of the other request's run."""


def _submit(hook: WebhookTarget, form: Form, filled: Filled, key: str, run_id: str, submit: Submit) -> str:
    """Move the files to their place, and start the run. Raises: _Twin, and then nothing has moved."""

    def send(moved: Mapping[str, dict[str, Any]]) -> str:
        about = {"path": form.action.removeprefix(PREFIX), "submitted_at": iso(now_ms()), "by": get_sender()}
        ticket = submit({**make_answers(form, filled, moved), "_form": about}, key, run_id)
        ticket.durable()
        if ticket.run.id != run_id:
            raise _Twin(str(ticket.run.id))
        return run_id

    names = name_files(filled.files)
    if not names:
        return send({})
    with moving(form.files, run_id, names) as moved:
        return send(moved)


# Errors


def answer_error(error: Exception) -> Response:
    """Return a plain page for an error. It says nothing about the flow or the workspace."""
    if isinstance(error, HeadraceError):
        status, text, retry_after = error.status, error.message, error.retry_after
    elif isinstance(error, HTTPException):
        status, text, retry_after = error.code or 500, TEXTS.get(error.code or 500, ""), None
    else:
        status, text, retry_after = 500, "", None
    if status == 500:
        text = "Something went wrong here. Try again later."
    title = TITLES.get(status, "This did not work")
    response = show_message(title, text if text.endswith(".") or not text else f"{text}.", status=status)
    if retry_after is not None:
        response.headers["Retry-After"] = str(retry_after)
    if isinstance(error, HTTPException):
        for name, value in Headers(error.get_headers()):
            if name == "Allow":
                response.headers[name] = value
    return response


TITLES = {
    401: "Log in first",
    403: "You may not do this",
    404: "Not found",
    405: "This did not work",
    410: "This form is closed",
    413: "Too large",
    429: "Please wait a little",
    500: "Something went wrong",
    503: "Please try again later",
}
TEXTS = {
    404: MISSING,
    405: "Open the address of the form with a browser",
    413: "The answers and files are too large. Go back, and choose smaller files",
    400: "The form was not sent completely. Go back, and send it again",
}


# Trials of forms: members open the form of a draft, and the editor listens for one answer (see api/test_calls.py).

LISTENED = "This is a test. The editor waits for one answer, and runs the flow on its canvas with it."
UNHEARD = "This is a preview. To send it, choose Listen for a test call in the editor first."
NOT_UNDER_TEST = "There is no form here, or you are not logged in as one of its editors"
NOBODY = "The editor does not wait for an answer any more. Choose Listen for a test call there, and send it again"


def open_test(flow: str, path: str) -> Response:
    """Show the form at this path of the flow under test, or the result of an answer to it."""
    if "run" in get_request().args:
        return show_result(get_request(), _refuse_run)
    hook, node, listener = _find_test(flow, path)
    note = UNHEARD if listener is None else LISTENED
    config = {**node.config.static, "access": "public"}
    return open_public(hook, config, make_form(hook, config, get_request().path, note))


def take_test(flow: str, path: str) -> Response:
    """Take a page of the form under test. The last one starts a run of the editor's definition."""
    check_origin()
    if "run" in get_request().args:
        return take_next_page(get_request(), _refuse_run)
    hook, node, listener = _find_test(flow, path)
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
        raise NotFound(NOT_UNDER_TEST)


def _find_test(flow: str, path: str) -> tuple[WebhookTarget, PlannedNode, WebhookListener | None]:
    """Return the form at this path of the definition that the editor listens with, else of the saved one.

    Raises: NotFound, also if the caller may not edit the flow: other callers must not learn which flows exist.
    """
    found = Startable.find(flow)
    if found is None or not current_user.is_authenticated or not has_role("editor", found.workspace_id):
        raise NotFound(NOT_UNDER_TEST)
    row = WebhookListener.find(flow)
    listener = row if row is not None and webhooks.is_listening(row) else None
    options = None if row is None else StartOptions.of(row.options.encode())
    plan = get_dispatcher().resources.plan_with(options if listener is not None else None, found)
    node = next((one for one in find_forms(plan) if one.config.static["path"].strip("/") == path.strip("/")), None)
    if node is None:
        raise NotFound("The flow has no form with this path")
    return make_hook(found, node), node, listener
