"""Answering a run that waits: an approval or a callback, by those who may run flows or by a signed link.

A link must do nothing by being opened, since programs that check mail open what they find: GET shows a page, and its
buttons POST.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from flask import Response, current_app, render_template_string, request
from flask_login import current_user

from api.audit import noted
from api.http.auth import get_user, require_role
from api.http.json_io import Resource, load, read_body, read_raw
from api.open_questions import takes_answers, text_of
from api.runs import shown
from api.webhooks.body import parse_body
from dispatch import Dispatcher
from errors import BadInput, Conflict, Forbidden, HeadraceError
from models import Run, Step, Wait, now_ms
from nodes.base import Node
from parsers.invisible_characters import visible
from schemas import AnswerIn, Error, RunOut

# Signed links travel by mail, where programs that count clicks add parameters of their own.
log = logging.getLogger("headrace.resume")
blueprint = Resource("resume", "Answers to waiting runs", any_query=True)
BY_LINK = "a signed link"
LONGEST_COMMENT = 2_000
REPORT_SECONDS, MAX_REPORTS = 60.0, 1_000  # between two lines in the log about a run; runs that are remembered
FORM = "application/x-www-form-urlencoded"
TEXT = {"schema": {"type": "string"}}
# The query of a signed link. Who has one needs neither session nor API token.
LINK = {
    "token": "The signature of a link; with it, no session is needed",
    "node": "The id of the node that is answered",
    "answer": "The answer, if the link has one",
    "question": "Which question of the node, if it asks several",
}
BY_LINK_TOO: dict[str, Any] = {
    "security": [{"session": []}, {"token": []}, {}],
    "parameters": [{"in": "query", "name": name, "description": text, **TEXT} for name, text in LINK.items()],
}

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 34rem; margin: 12vh auto; padding: 0 1rem; color: #1c2733; }
h1 { font-size: 1.2rem; margin: 0 0 1rem; } p { white-space: pre-wrap; overflow-wrap: anywhere; }
small { color: #5b6b7b; } textarea { width: 100%; box-sizing: border-box; font: inherit; padding: .5rem; }
button { font: inherit; padding: .5rem 1.25rem; margin: 1rem .5rem 0 0; border: 1px solid #8fa1b3; border-radius: 6px;
  background: #fff; cursor: pointer; text-transform: capitalize; }
button:first-of-type { background: #0b6e4f; color: #fff; }
"""
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{{ title }}</title><style>{{ style|safe }}</style></head>
<body><h1>{{ title }}</h1>{% if text %}<p>{{ text }}</p>{% endif %}
{% if answers %}<form method="post">
{% if comment %}<textarea name="comment" rows="3" maxlength="2000" placeholder="A comment, if you like"></textarea>
{% endif %}{% for name in answers %}<button name="answer" value="{{ name }}">{{ labels.get(name, name) }}</button>
{% endfor %}</form>{% endif %}
<p><small>Headrace &middot; {{ run_id }}</small></p></body></html>
"""
LABELS = {"approved": "approve", "rejected": "reject", "received": "continue"}
STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'"


def by_link(path: dict[str, Any]) -> bool:
    """Whether the request comes by a signed link of this run; Forbidden where it looks like one and is none."""
    token, node_id = request.args.get("token"), request.args.get("node", "")
    if token is None:
        return False
    links = _dispatcher().links
    if links is None or not links.is_good(token, path["run"], node_id, request.args.get("question")):
        _refused(Run.find(path["run"]), "its signature is wrong")
        raise Forbidden("The link is not valid")
    return True


class Reports:
    """Which runs the log has told of within a minute: whoever has a link could fill it otherwise."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._told: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def is_due(self, name: str) -> bool:
        """Return True if there was none of this name for a minute. It is counted as told."""
        now = self.clock()
        with self._lock:
            if now - self._told.get(name, -math.inf) < REPORT_SECONDS:
                return False
            self._told[name] = now
            self._told.move_to_end(name)
            if len(self._told) > MAX_REPORTS:
                self._told.popitem(last=False)
        return True


reports = Reports()


def _refused(run: Run | None, why: str) -> None:
    """Log that a signed link was refused, once a minute and run; those of runs that do not exist count together."""
    name = "an unknown run" if run is None else f"run {run.id}"
    if reports.is_due(name):
        log.info("%s: a signed link was refused for a caller at %s: %s", name, request.remote_addr, why)


@blueprint.get("/runs/<run>/resume")
@require_role("operator", run=Run, link=by_link)
@blueprint.doc(
    **BY_LINK_TOO, responses={"200": {"description": "A page with the question", "content": {"text/html": TEXT}}}
)
def ask(run: Run) -> Response:
    """Show a page to answer a waiting run. Opening it has no effect."""
    node_id = _node_id(run, request.args.get("node"))
    node = _dispatcher().answerable(run, node_id)
    problem = Wait.why_closed(run.id, node_id, now_ms(), node.asks, request.args.get("question"))
    if problem is not None:
        if request.args.get("token") is not None:
            _refused(run, problem)
        return _page(run, problem, "")
    wait = Wait.one("run_id = ? AND node_id = ?", run.id, node_id)
    chosen = request.args.get("answer")
    answers = [chosen] if chosen in node.answers else list(node.answers)
    reason = (wait.reason if wait is not None else None) or "The run has not come to this question yet."
    return _page(run, f"{run.workflow_name}: {node.title}", text_of(reason), answers)


@blueprint.post("/runs/<run>/resume")
@require_role("operator", run=Run, link=by_link)
@blueprint.doc(
    **BY_LINK_TOO,
    requestBody={"required": False, "content": dict.fromkeys(("application/json", FORM), {"schema": AnswerIn})},
    responses={
        "200": {
            "description": "The run; by a signed link `{run_id, node_id, answer}`",
            "content": {"application/json": {"schema": RunOut}, "text/html": TEXT},
        },
        "default": {"description": "An error", "content": {"application/json": {"schema": Error}}},
    },
)
def answer(run: Run) -> Any:
    """Answer a waiting run, once: an approval with `approved` or `rejected`, a callback with any body.

    With a session or API token the body is `{node_id?, answer?, comment?, body?, question?}`; omit `node_id` if the run
    waits at one node only. An agent may ask several questions, so `question` names the answered one. A signed link
    contains the node, and a callback receives the whole body, of any type. 409 if it was already answered, its time is
    over, or its run has ended.
    """
    signed = request.args.get("token") is not None
    node_id = _node_id(run, request.args.get("node") if signed else read_body().get("node_id"))
    node = _dispatcher().answerable(run, node_id)
    name, value, question = _by_a_link(node) if signed else _by_a_member()
    if name is None and len(node.answers) == 1:
        name = node.answers[0]
    if name is None:
        raise BadInput(f"answer: must be one of {', '.join(node.answers)}")
    try:
        if node.asks and question is None:
            raise _which(run, node_id)
        by = BY_LINK if not current_user.is_authenticated else get_user().email
        note = noted("run.answered", node_id=node_id, answer=name)
        _dispatcher().answer(run, node_id, name, value, by, question, note)
    except HeadraceError as error:
        if signed:
            _refused(run, error.message)
        if _is_a_form():
            return _page(run, error.message, "", status=error.status)
        raise
    if _is_a_form():
        return _page(run, "Thank you", f"Your answer, {name}, has reached the run. You can close this page.")
    if signed:
        # Who has the link may answer, which is not to see what else the run knows.
        return {"run_id": run.id, "node_id": node_id, "answer": name}
    return RunOut().dump(shown(Run.get_by_id(run.id)))


def _which(run: Run, node_id: str) -> HeadraceError:
    """What to say to an answer that names no question: another may have taken the place of the one that was read."""
    problem = Wait.why_closed(run.id, node_id, now_ms(), asks=True)
    wait = Wait.one("run_id = ? AND node_id = ?", run.id, node_id)
    if problem is not None or wait is None:
        return Conflict(problem or "The run waits for no answer")
    return BadInput(f"question: is required, since the node may ask several; {wait.question!r} is open")


def _by_a_member() -> tuple[str | None, Any, str | None]:
    body = load(AnswerIn(), read_body())
    value = body["comment"] if body.get("comment") is not None else body.get("body")
    return body.get("answer"), value, body.get("question")


def _by_a_link(node: Node) -> tuple[str | None, Any, str | None]:
    """The name of the answer, what comes with it, and to which question: a callback's body is taken as it is."""
    body = parse_body(request, read_raw(request))
    if len(node.answers) == 1:
        return node.answers[0], body, None
    given = body if isinstance(body, dict) else {}
    comment = given.get("comment") or None
    if comment is not None and (not isinstance(comment, str) or len(comment) > LONGEST_COMMENT):
        raise BadInput(f"comment: must be text of at most {LONGEST_COMMENT} characters")
    return given.get("answer") or request.args.get("answer"), comment, request.args.get("question")


def _node_id(run: Run, given: Any) -> str:
    """The node that is meant: the one that is named, else the only one at which the run waits for an answer."""
    if given is not None:
        return str(given)
    open_ = [step.node_id for step in Step.waiting(run.id) if takes_answers(step.node_type)]
    if len(open_) == 1:
        return str(open_[0])
    if not open_:
        raise Conflict("The run waits for no answer")
    raise BadInput(f"node_id: must be one of {', '.join(open_)}")


def _is_a_form() -> bool:
    """Whether a person posted this from the page."""
    return request.mimetype == FORM and "text/html" in request.headers.get("Accept", "")


def _page(run: Run, title: str, text: str, answers: list[str] | None = None, status: int = 200) -> Response:
    title = visible(title)
    values = {"run_id": run.id, "title": title, "text": text, "answers": answers, "labels": LABELS, "style": STYLE}
    page = render_template_string(PAGE, comment=bool(answers) and answers != ["received"], **values)
    headers = {"Cache-Control": "no-store", "Content-Security-Policy": POLICY}
    return Response(page, status, headers, mimetype="text/html")


def _dispatcher() -> Dispatcher:
    dispatcher: Dispatcher = current_app.extensions["headrace"].dispatcher
    return dispatcher
