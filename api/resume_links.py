"""Resume links: answers to approvals and callbacks, which resume a waiting run, by a signed link or as a member.

A wrong signature is refused here (`has_valid_link`), and so are answers that come too late: `waits.explain_closed` in
`database/queries/waits.py` gives the reason.

Opening a link must change nothing, since mail scanners open links: GET shows a page, and its buttons POST.
"""

from __future__ import annotations

import logging
import pkgutil
from pathlib import Path
from typing import Any

from flask import Response, render_template_string, request
from flask_login import current_user

import fields
from api.audit import defer_entry
from api.http.auth import get_user, require_role
from api.http.json_io import Resource, get_dispatcher, get_request, load, read_body, read_raw
from api.http.static_app import hash_inline
from api.open_questions import ENGINES_OWN, accepts_answers, check_answer, format_reason
from api.runs import link_large_values
from api.webhooks import parse_body
from api.webhooks.rate_limit import RefusalLog
from constants import FORM, MULTIPART
from database.base import now_ms
from database.queries import steps
from database.queries import waits as wait_queries
from definition import PlannedNode
from errors import BadInput, Conflict, Forbidden, HeadraceError, Unavailable
from fields import Out, Strict, text, visible
from models import Run, Wait
from nodes.base import Node
from registry import explain_off, registry
from schemas import Error, RunOut

# Other query parameters are allowed, since mail programs that count clicks add their own.
log = logging.getLogger("headrace.resume")
blueprint = Resource("resume", "Answers to waiting runs", any_query=True)
BY_LINK = "a signed link"
NO_PAGES = "This question has a form, and the pages of forms are switched off here; answer it in the app"
MAX_COMMENT = 2_000
MAX_BODY = 1_000_000  # characters of JSON in a form
MAX_NAMED = 20  # places in a message
refusals = RefusalLog()  # of signed links, by run: anyone could fill the log
FORMS = (FORM, MULTIPART)
TEXT = {"schema": {"type": "string"}}
# Query parameters of a signed link, which needs neither a session nor an API token.
LINK_QUERY = {
    "token": "The signature of a link, instead of a session",
    "node": "The id of the node to answer",
    "answer": "The answer, if the link contains one",
    "question": "The question to answer, if the node asks several",
}
LINK_DOC: dict[str, Any] = {
    "security": [{"session": []}, {"token": []}, {}],
    "parameters": [{"in": "query", "name": name, "description": text, **TEXT} for name, text in LINK_QUERY.items()],
}
PAGE = Path(__file__).with_suffix(".html").read_text(encoding="utf-8")
LABELS = {"approved": "approve", "rejected": "reject", "received": "continue"}
POLICY = f"default-src 'none'; style-src {hash_inline(PAGE, 'style')}"


class AnswerIn(Strict):
    node_id = text(80, allow_none=True, help="The node; for an item of a loop, `node:index`")
    answer = text(64, allow_none=True)
    comment = text(2_000, 0, allow_none=True)
    body = fields.Raw(allow_none=True, help="The body of a callback, or the answers to the fields of the node")
    question = text(64, allow_none=True)


class AnswerForm(Strict):
    """The parts of a form with files. Each file is a part with the name of its field."""

    answer = text(64, 0, load_default="")
    comment = text(MAX_COMMENT, 0, load_default="")
    body = text(
        MAX_BODY, 0, is_stored=False, load_default="", help="JSON of the answers to the other fields of the node"
    )


class LinkAnswerOut(Out):
    """The answer that a signed link has given. A link is permission to answer, not to see the run."""

    run_id = fields.String()
    node_id = fields.String()
    answer = fields.String()


def has_valid_link(path: dict[str, Any]) -> bool:
    """Return True if the request has a valid signed link of this run. Raises: Forbidden if the signature is wrong."""
    token, node_id = request.args.get("token"), request.args.get("node", "")
    if token is None:
        return False
    links = get_dispatcher().resources.links
    if links is None or not links.is_good(token, path["run"], node_id, request.args.get("question")):
        _log_refusal(Run.find(path["run"]), "its signature is wrong")
        raise Forbidden("The link is not valid; ask for a new one")
    return True


def _log_refusal(run: Run | None, why: str) -> None:
    """Log that a signed link was refused, once a minute for each run; unknown runs count as one."""
    name = "an unknown run" if run is None else f"run {run.id}"
    if refusals.count("signed link", name) == 1:
        ids = {"run_id": None if run is None else run.id}
        log.info("%s: a signed link was refused for a caller at %s: %s", name, request.remote_addr, why, extra=ids)


@blueprint.get("/runs/<run>/resume")
@require_role("operator", run=Run, link=has_valid_link)
@blueprint.doc(
    **LINK_DOC, responses={"200": {"description": "A page with the question", "content": {"text/html": TEXT}}}
)
def ask(run: Run) -> Response:
    """Show a page to answer a waiting run. Opening it has no effect."""
    node_id = _find_node_id(run, request.args.get("node"))
    node = get_dispatcher().answerable(run, node_id)
    planned = _find_form(run, node_id)
    problem = wait_queries.explain_closed(run.id, node_id, now_ms(), node.asks, request.args.get("question"))
    if problem is not None:
        if request.args.get("token") is not None:
            _log_refusal(run, problem)
        is_plain = planned is None or not registry.question_pages
        return _render_page(run, problem, "") if is_plain else _load_pages().show_closed_question(run, problem)
    if planned is not None and not registry.question_pages:
        return _render_page(run, run.workflow_name, f"{NO_PAGES}.", status=503)
    if planned is not None:
        return _load_pages().show_question(run, planned, get_request())
    wait = Wait.one("run_id = ? AND node_id = ?", run.id, node_id)
    chosen = request.args.get("answer")
    answers = [chosen] if chosen in node.answers else list(node.answers)
    reason = (wait.reason if wait is not None else None) or "The run has not reached this question yet."
    return _render_page(run, f"{run.workflow_name}: {node.title}", format_reason(reason), answers)


@blueprint.post("/runs/<run>/resume")
@require_role("operator", run=Run, link=has_valid_link, takes_form=True)
@blueprint.doc(
    **LINK_DOC,
    requestBody={
        "required": False,
        "content": {
            **dict.fromkeys(("application/json", FORM), {"schema": AnswerIn}),
            MULTIPART: {"schema": AnswerForm},
        },
    },
    responses={
        "200": {
            "description": "The run; for a signed link only what was answered",
            "content": {"application/json": {"schema": {"anyOf": [RunOut, LinkAnswerOut]}}, "text/html": TEXT},
        },
        "default": {"description": "An error", "content": {"application/json": {"schema": Error}}},
    },
)
def answer(run: Run) -> Any:
    """Answer a waiting run, once: an approval with `approved` or `rejected`, a callback with any body.

    With a session or API token the body is `{node_id?, answer?, comment?, body?, question?}`; omit `node_id` if the run
    waits at one node only. An agent may ask several questions, so `question` names the answered one. A signed link
    contains the node, and a callback receives the whole body, of any type. If the node has `fields`, `body` has their
    answers by name, and the page of a signed link is a form (see docs/forms.md). With files, a member sends a form of
    the type multipart/form-data to `?node=<node_id>`: the parts `answer`, `comment` and `body` (JSON), and each file
    under the name of its field. 409 if it was already answered, its time is over, or its run has ended.
    """
    signed = request.args.get("token") is not None
    if not signed and request.mimetype == MULTIPART:
        return _take_member_form(run)
    node_id = _find_node_id(run, request.args.get("node") if signed else read_body().get("node_id"))
    node = get_dispatcher().answerable(run, node_id)
    planned = _find_form(run, node_id)
    if planned is not None and signed and request.mimetype in FORMS:
        return _load_pages().take_question(run, planned, get_request(), _get_author())
    name, value, question = _read_link_answer(node, planned) if signed else _read_member_answer(planned)
    if name is None and len(node.answers) == 1:
        name = node.answers[0]
    if name is None:
        raise BadInput(f"answer: must be one of {', '.join(node.answers)}")
    try:
        if node.asks and question is None:
            # A newer question may have replaced the one that was read.
            problem = wait_queries.explain_closed(run.id, node_id, now_ms(), asks=True)
            wait = Wait.one("run_id = ? AND node_id = ?", run.id, node_id)
            if problem is not None or wait is None:
                raise Conflict(problem or "The run is not waiting for an answer")
            raise BadInput(f"question: is required, since the node may ask several; the open one is {wait.question!r}")
        by = _get_author()
        note = defer_entry("run.answered", node_id=node_id, answer=name)
        get_dispatcher().answer(run, node_id, name, value, by, question, note)
    except HeadraceError as error:
        if signed:
            _log_refusal(run, error.message)
        if _is_form_post():
            return _render_page(run, error.message, "", status=error.status)
        raise
    if _is_form_post():
        return _render_page(run, "Thank you", f"The run received your answer: {name}. You can close this page.")
    if signed:
        return {"run_id": run.id, "node_id": node_id, "answer": name}
    return RunOut().dump(link_large_values(Run.get_by_id(run.id)))


def _take_member_form(run: Run) -> Any:
    """Answer a node with a form that has files. They are read only if the question is open."""
    node_id = _find_node_id(run, request.args.get("node"))
    get_dispatcher().answerable(run, node_id)
    planned = _find_form(run, node_id)
    if planned is None:
        raise BadInput("This question takes no files; send the answer as JSON")
    if problem := wait_queries.explain_closed(run.id, node_id, now_ms(), asks=False):
        raise Conflict(problem)
    _load_pages().take_member_form(run, planned, get_request(), _get_author(), AnswerForm())
    return RunOut().dump(link_large_values(Run.get_by_id(run.id)))


def _load_pages() -> Any:
    """Return the module with the pages of questions with fields. Raises: Unavailable if its pack is off."""
    if not registry.question_pages:
        raise Unavailable(f"{NO_PAGES}{explain_off()}")
    return pkgutil.resolve_name(registry.question_pages)


def _get_author() -> str:
    return BY_LINK if not current_user.is_authenticated else get_user().email


def _find_form(run: Run, node_id: str) -> PlannedNode | None:
    """Return the node if it asks for the answers to `fields`."""
    planned = get_dispatcher().resources.plan_of_run(run).by_id.get(node_id)
    return planned if planned is not None and "fields" in planned.config.static else None


def _read_member_answer(planned: PlannedNode | None) -> tuple[str | None, Any, str | None]:
    body = load(AnswerIn(), read_body())
    if planned is not None:
        value = check_answer(planned, body.get("comment"), body.get("body"))
        return body.get("answer"), value, body.get("question")
    value = body["comment"] if body.get("comment") is not None else body.get("body")
    return body.get("answer"), value, body.get("question")


def _read_link_answer(node: Node, planned: PlannedNode | None) -> tuple[str | None, Any, str | None]:
    """Return the answer, its comment or body, and its question.

    A callback's body is used unchanged, unless it has fields: then it must match them. An approval with fields has
    their answers in `body`.
    """
    body = parse_body(request, read_raw(request))
    if planned is not None:
        is_choice, given = len(node.answers) > 1, body if isinstance(body, dict) else {}
        value = check_answer(planned, None, given.get("body") if is_choice else body)
        return given.get("answer") or request.args.get("answer") if is_choice else node.answers[0], value, None
    if len(node.answers) == 1:
        return node.answers[0], body, None
    given = body if isinstance(body, dict) else {}
    comment = given.get("comment") or None
    if comment is not None and (not isinstance(comment, str) or len(comment) > MAX_COMMENT):
        raise BadInput(f"comment: must be text of at most {MAX_COMMENT} characters")
    return given.get("answer") or request.args.get("answer"), comment, request.args.get("question")


def _find_node_id(run: Run, given: Any) -> str:
    """Return the given place, else that of the only node or item where the run waits for an answer."""
    if given is not None:
        return str(given)
    waits = wait_queries.of(run.id)
    asked = [step for step in steps.waiting(run.id) if accepts_answers(step.node_type)]
    open_ = [
        steps.place_of(step)
        for step in asked
        if steps.place_of(step) in waits and waits[steps.place_of(step)].kind not in ENGINES_OWN
    ]
    if len(open_) == 1:
        return str(open_[0])
    if not open_:
        raise Conflict("The run is not waiting for an answer")
    raise BadInput(f"node_id: must be one of {', '.join(open_[:MAX_NAMED])}")


def _is_form_post() -> bool:
    """Return True if a person posted this from the page."""
    return request.mimetype == FORM and "text/html" in request.headers.get("Accept", "")


def _render_page(run: Run, title: str, text: str, answers: list[str] | None = None, status: int = 200) -> Response:
    title = visible(title)
    values = {"run_id": run.id, "title": title, "text": text, "answers": answers, "labels": LABELS}
    page = render_template_string(PAGE, comment=bool(answers) and answers != ["received"], **values)
    headers = {"Cache-Control": "no-store", "Content-Security-Policy": POLICY}
    return Response(page, status, headers, mimetype="text/html")
