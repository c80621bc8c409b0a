"""Results of an answer: the next page of the form, the thanks, or a page that waits for them.

The address has the run and a signature, so it works in any browser, and a reload sends nothing again. It stays in
histories and logs, so a form for members, or with a password, checks them here too.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlencode, urlsplit

from flask import Request, Response
from marshmallow import Schema, ValidationError

from api.audit import defer_entry
from api.http.json_io import get_config, get_dispatcher, get_server, load, parse_json
from api.open_questions import find_answer_issues, format_reason, refuse
from database.base import now_ms
from database.queries import steps
from definition import Plan, PlannedNode
from dispatch.payloads import Kept
from errors import (
    BadInput,
    Conflict,
    DefinitionError,
    ExpressionError,
    HeadraceError,
    Issue,
    NodeError,
    NotFound,
    TooLarge,
    TooMany,
    Unavailable,
)
from fields import OF_TEXTS, visible
from models import Run, Wait
from nodes.files.files import Absent, OverQuota
from nodes.files.staged import moving
from packs.forms.access import GONE, get_sender, limit_network, refuse_run
from packs.forms.answers import FULL, Storage, read_sent
from packs.forms.form import (
    PLAIN,
    Filled,
    Form,
    FormProgress,
    FormToken,
    Look,
    drop_files,
    find_missing_files,
    make_answers,
    name_files,
    open_form,
    show_message,
    take,
)
from packs.forms.nodes import check_redirect, fill_in

# Questions in the middle of a run: the form behind a signed link, and the answers to a node with `fields`.

TITLES = {"approval": "Approval", "callback": "Form"}
LABELS = {"approved": "Approve", "rejected": "Reject", "received": "Continue"}
SENT = "The answer arrived. You can close this page."


def find_look(run: Run) -> Look:
    """Return the look of the form that started the run, else the usual one."""
    node = get_dispatcher().resources.plan_of_run(run).by_id.get(str(run.trigger_node))
    return PLAIN if node is None or node.type != "form" else Look.of(node.config.static)


def make_question_form(run: Run, node: PlannedNode, reason: str, action: str, look: Look) -> Form:
    """Return the form of a waiting node; `reason` is the question as it was asked."""
    config, dispatcher = node.config.static, get_dispatcher()
    names = node.node.answers
    own = {names[0]: config["button"]} if "button" in config else {}
    title = config.get("title") or run.workflow_name
    asked = format_reason(reason)
    return Form(
        owner=(run.id, node.id),
        title=visible(title),
        intro="" if asked == title else asked,
        items=config["fields"],
        buttons=[(name, own.get(name) or LABELS.get(name, name)) for name in names],
        action=action,
        look=look,
        storage=Storage(
            dispatcher.resources.files_of(run.workspace_id),
            dispatcher.free_space.floor_at(get_config().data_dir),
            f"{run.workflow_id} {node.id}",
        ),
        has_trap=False,
        must_choose=len(names) > 1,
    )


def answer_with(
    run: Run, node_id: str, form: Form, filled: Filled, by: str | None = None, comment: str | None = None
) -> None:
    """Answer the node of the run with a filled form. Raises: Conflict if it was answered, its time is over, …."""
    dispatcher = get_dispatcher()
    note = defer_entry("run.answered", node_id=node_id, answer=filled.button)
    names = name_files(filled.files, f"{node_id}-{secrets.token_hex(3)}-")
    try:
        with ExitStack() as stack:
            moved = stack.enter_context(moving(form.files, run.id, names)) if names else {}
            value = {"comment": comment, "fields": make_answers(form, filled, moved)}
            dispatcher.answer(run, node_id, filled.button, value, by, None, note)
    except Absent:
        raise Conflict("The files are not there any more; open the page again, and choose them again") from None
    except OverQuota:
        raise TooLarge(FULL) from None
    except NodeError as error:
        raise Unavailable("The files cannot be stored at the moment; try again", retry_after=60) from error


# The page of a signed link


def show_question(run: Run, node: PlannedNode, request: Request) -> Response:
    """Show the page of a link to a node with fields, or why it takes no answer."""
    wait = Wait.one("run_id = ? AND node_id = ?", run.id, node.id)
    reason = (wait.reason if wait is not None else None) or node.config.static.get("title") or run.workflow_name
    return open_form(_make_link_form(run, node, reason, request), {})


def take_question(run: Run, node: PlannedNode, request: Request, by: str | None) -> Response:
    """Take the page of a link to a node with fields: show the next page, or answer."""
    wait = Wait.one("run_id = ? AND node_id = ?", run.id, node.id)
    form = _make_link_form(run, node, (wait.reason if wait is not None else None) or "", request)
    try:
        limit_network(run.id)
    except TooMany as error:
        return show_message("Please wait a little", f"{error.message}.", form.look, 429)
    filled = take(form, request)
    if isinstance(filled, Response):
        return filled
    try:
        answer_with(run, node.id, form, filled, by)
    except HeadraceError as error:
        drop_files(form, filled.progress)
        return show_closed_question(run, error.message, error.status)
    return show_message("Thank you", f"{SENT}", form.look, mark="done")


def show_closed_question(run: Run, problem: str, status: int = 410) -> Response:
    """Return the page of a question that takes no answer any more."""
    hint = " If you have just sent it twice, the first one counts." if "answered" in problem else ""
    return show_message(problem, f"There is nothing to do here.{hint}", find_look(run), status)


def _make_link_form(run: Run, node: PlannedNode, reason: str, request: Request) -> Form:
    return make_question_form(run, node, reason, request.full_path, find_look(run))


# Answers of members with files


def take_member_form(run: Run, node: PlannedNode, request: Request, by: str, shape: Schema) -> None:
    """Answer the node with a multipart form: the parts of `shape`, and files under the names of their fields.

    Raises: BadInput if the answers or files do not match the fields. Then the files are deleted.
    """
    form = make_question_form(run, node, "", "", PLAIN)
    sent = read_sent(request, form.items, form.storage)
    if sent.refused is not None:
        raise sent.refused
    progress = FormProgress(FormToken.make()._replace(files=sent.files), {})
    try:
        given = load(shape, {name: texts[0] for name, texts in sent.texts.items()})
        answers = parse_json(given["body"].encode(), "body") if given["body"] else {}
        files = find_missing_files(form, progress) | sent.problems
        refuse([*find_answer_issues(node, answers), *(Issue(f"body.{name}", text) for name, text in files.items())])
        names = node.node.answers
        button = given["answer"] or (names[0] if len(names) == 1 else "")
        if button not in names:
            raise BadInput(f"answer: must be one of {', '.join(names)}")
        filled = Filled(progress, answers, button, False, 0)
        answer_with(run, node.id, form, filled, by, given["comment"] or None)
    except BaseException:
        drop_files(form, progress)
        raise


log = logging.getLogger("headrace.forms")

PURPOSE = "form run"
WAIT_SECONDS = 5.0  # in one request
MAX_ROUNDS = 120  # of a page that looks again by itself, some twenty minutes
PAUSES = (2, 3, 5, 10)  # seconds between them: the last one for all others
MAX_TEXT = 5_000
# Returns the page for people who may not see the run, or None.
Refuse = Callable[[Run, PlannedNode, Look], Response | None]


def make_run_address(path: str, run_id: str) -> str:
    """Return the address that shows the result of this run, at the path of its form."""
    return f"{path}?{urlencode({'run': run_id, 'token': get_server().vault.sign(PURPOSE, run_id)})}"


def show_result(request: Request, refuse: Refuse = refuse_run) -> Response:
    """Show the page for the run that the signed address names, waiting for it a moment."""
    run, plan, node = _open(request)
    config = node.config.static
    look = Look.of(config)
    if (refused := refuse(run, node, look)) is not None:
        return refused
    has_pages = any(one.type == "form_page" and not one.disabled for one in plan.nodes)
    if config["respond"] == "immediately" and not has_pages:
        return _thank(run, config, look, None)
    dispatcher, custom = get_dispatcher(), None
    ticket, seconds = dispatcher.ticket_of(run), min(WAIT_SECONDS, get_config().webhook_wait)
    if config["respond"] == "node":
        run, custom = dispatcher.waiting.response(ticket, seconds)
    else:
        run = dispatcher.waiting.wait_with_limit(ticket, seconds)
    if (form := _find_page(request, run, plan, look)) is not None:
        return open_form(form, {})
    if custom is not None:
        return _show_response(custom, config, look)
    if run.finished_at is None:
        return _show_waiting(request, look)
    if run.status != "success" and config["respond"] != "immediately":
        text = f"Your answers arrived, but something went wrong with them. Reference: {run.id}"
        return show_message("This did not work", text, look, 500)
    output = None
    if config["respond"] == "last":
        output = dispatcher.resources.value(run.id, "output", Kept(run.output, run.output_bytes))
    return _thank(run, config, look, output)


def take_next_page(request: Request, refuse: Refuse = refuse_run) -> Response:
    """Take the page of a form for which the run waits, then redirect to the next page."""
    run, plan, node = _open(request)
    look = Look.of(node.config.static)
    if (refused := refuse(run, node, look)) is not None:
        return refused
    form = _find_page(request, run, plan, look)
    if form is not None:
        limit_network(run.id)
        filled = take(form, request)
        if isinstance(filled, Response):
            return filled
        try:
            answer_with(run, form.owner[1], form, filled, get_sender())
        except Conflict as error:
            log.info("run %s: a page was sent twice, or too late: %s", run.id, error.message)
    return Response(status=303, headers={"Location": make_run_address(request.path, run.id)})


def _open(request: Request) -> tuple[Run, Plan, PlannedNode]:
    """Return the run of a signed address with its plan and its form node. Raises: NotFound."""
    run_id, token = request.args.get("run", ""), request.args.get("token", "")
    if not get_server().vault.verify(token, PURPOSE, run_id):
        raise NotFound("This address is not complete; open the form again")
    run = Run.find(run_id)
    try:
        plan = None if run is None else get_dispatcher().resources.plan_of_run(run)
    except (Conflict, DefinitionError, FileNotFoundError):
        plan = None
    node = None if run is None or plan is None else plan.by_id.get(str(run.trigger_node))
    if run is None or plan is None or node is None or node.type != "form":
        raise NotFound(GONE)
    return run, plan, node


def _find_page(request: Request, run: Run, plan: Plan, look: Look) -> Form | None:
    """Return the page of a form for which the run waits now, or None."""
    for step in steps.waiting(run.id):
        if step.node_type != "form_page":
            continue
        wait = Wait.one("run_id = ? AND node_id = ?", run.id, step.node_id)
        if wait is None or wait.answered_at is not None or (wait.wake_at is not None and wait.wake_at <= now_ms()):
            continue
        address = make_run_address(request.path, run.id)
        return make_question_form(run, plan.by_id[step.node_id], wait.reason or "", address, look)
    return None


def _show_waiting(request: Request, look: Look) -> Response:
    """Return the page that looks again by itself for a while."""
    text = request.args.get("round", "0")
    number = min(int(text), MAX_ROUNDS) if text.isdecimal() and len(text) < 6 else 0
    query = {"run": request.args["run"], "token": request.args["token"]}
    again = f"{request.path}?{urlencode(query)}"
    if number >= MAX_ROUNDS:
        text = "It takes longer than usual. You may close this page, and open its address again later."
        return show_message("Still at work", text, look, link=(again, "Look again"), mark="wait")
    pause = PAUSES[min(number, len(PAUSES) - 1)]
    refresh = f"{pause}; url={again}&round={number + 1}"
    text = "Your answers arrived. This page continues automatically."
    return show_message("One moment, please", text, look, link=(again, "Look again"), refresh=refresh, mark="wait")


# The thanks


def _thank(run: Run, config: Mapping[str, Any], look: Look, output: Any) -> Response:
    if "redirect" in config:
        return _send_on(config["redirect"], look)
    texts = [config.get("thanks_title") or "Thank you", config.get("thanks_text", "Your answers were sent.")]
    title, text = (_fill_in(one, run, output) for one in texts)
    return show_message(title or "Thank you", text or "", look, mark="done")


def _fill_in(text: str, run: Run, output: Any) -> str | None:
    """Return the text with its expressions evaluated; None if one fails."""
    scope = {"input": get_dispatcher().resources.input_of(run), "output": output, "run": {"id": run.id}}
    try:
        value = fill_in(text, scope)
    except ExpressionError as error:
        log.warning("run %s: the thanks of its form cannot be shown: %s", run.id, error, extra={"run_id": run.id})
        return None
    return _to_text(value)


def _to_text(value: Any) -> str:
    return visible("" if value is None else str(value)[:MAX_TEXT], but=OF_TEXTS)


def _show_response(custom: Mapping[str, Any], config: Mapping[str, Any], look: Look) -> Response:
    """Return the page that a Respond node describes: by its header Location, or by `title` and `text` in its body."""
    headers = {name.lower(): value for name, value in custom["headers"].items()}
    if 300 <= custom["status"] < 400 and "location" in headers:
        return _send_on(headers["location"], look)
    body = custom.get("body")
    if isinstance(body, Mapping):
        title, text = _to_text(body.get("title")), _to_text(body.get("text"))
    else:
        title, text = "", _to_text(body)
    status = custom["status"] if 200 <= custom["status"] < 600 else 200
    mark = "done" if status < 400 else ""
    return show_message(title or config.get("thanks_title") or "Thank you", text, look, status, mark=mark)


def _send_on(address: str, look: Look) -> Response:
    """Return a page that opens this address at once: browsers let no form lead to another site by a redirect."""
    try:
        check_redirect(address)
    except ValidationError:
        log.warning("a form leads to an address that is neither HTTPS nor on this server; it is not opened")
        return show_message("Thank you", "Your answers were sent.", look, mark="done")
    host = urlsplit(address).hostname
    link = address, f"Continue to {host}" if host else "Continue"
    return show_message("Thank you", "", look, link=link, refresh=f"0; url={address}", mark="done")
