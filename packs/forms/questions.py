"""Questions in the middle of a run: the form behind a signed link, and the answers to a node with `fields`."""

from __future__ import annotations

import secrets
from contextlib import ExitStack

from flask import Request, Response
from marshmallow import Schema

from api.audit import defer_entry
from api.http.json_io import load, parse_json
from api.http.server import get_config, get_dispatcher
from api.open_questions import find_answer_issues, format_reason, refuse
from definition import PlannedNode
from errors import BadInput, Conflict, HeadraceError, Issue, NodeError, TooLarge, TooMany, Unavailable
from fields import visible
from models import Run, Wait
from nodes.files.files import Absent, OverQuota
from nodes.files.staged import moving
from packs.forms.access import limit_network
from packs.forms.form import (
    Filled,
    Form,
    FormProgress,
    FormToken,
    drop_files,
    find_missing_files,
    make_answers,
    name_files,
    open_form,
    take,
)
from packs.forms.look import PLAIN, Look, show_message
from packs.forms.upload import FULL, Storage, read_sent

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
