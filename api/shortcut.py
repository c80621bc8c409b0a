"""Calls of webhooks that the server's loop answers itself: to quick flows, in the form in which most calls come.

The view `fire` (webhooks.py) describes webhooks and answers every call. This gives the same answers without what Flask
does for a request, which takes longer than a quick run. What is out of the ordinary is left to the view before anything
has begun: other bodies than JSON, keys against repetition, callers who do not prove who they are, full servers, errors.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeAlias

from werkzeug.datastructures import Headers
from werkzeug.http import HTTP_STATUS_CODES
from werkzeug.wrappers import Response

from api.answers import Answer, accepted, json_answer, secured, unfinished, with_output
from api.bodies import headers_of, query_of
from api.proofs import carrier, proves
from api.refusals import Refusals
from api.webhooks import NOT_NOW, answer_of_node, secret_of
from api.wire import parse
from changes import Memory
from database import settings_commits
from definition import Plan
from dispatch import Dispatcher, QuickRuns
from engine import Outcome
from errors import HeadraceError
from models import Hook, Run
from vault import Vault

log = logging.getLogger("headrace.webhooks")

PREFIX = "/api/webhooks/"
LARGEST_BODY = 32 * 1024  # bytes; to read a larger one takes its time
RETRY_AFTER = ("Retry-After", "5")
# Headers that the view has to look at.
NOT_HERE = {"IDEMPOTENCY-KEY", "SEC-FETCH-DEST", "TRANSFER-ENCODING", "EXPECT", "UPGRADE"}
STATUSES = {status: f"{status} {text.upper()}" for status, text in HTTP_STATUS_CODES.items()}
Reply: TypeAlias = Callable[[str, Sequence[tuple[str, str]], bytes], None]


class Route(NamedTuple):
    """A webhook whose flow may be quick: who is called, and what its node says about calls."""

    hook: Hook
    plan: Plan
    config: Mapping[str, Any]
    dedupe: str | None  # a header that marks repetitions, in capitals


class Shortcut:
    """Answers calls for the loop of a worker; see http_worker/shortcut.py for the contract."""

    def __init__(self, dispatcher: Dispatcher, vault: Vault, refusals: Refusals) -> None:
        self.dispatcher, self.vault, self.refusals = dispatcher, vault, refusals
        self.runs = QuickRuns(dispatcher)
        self.end_turn = self.runs.end_turn
        self._routes: Memory[tuple[str, str], Route] = Memory(settings_commits)

    def take(self, request: Any, body: bytes, reply: Reply) -> bool:
        """Start the run of a webhook. Return False, with nothing begun, if the view has to see to the call."""
        path: str = request.path
        if not path.startswith(PREFIX) or "%" in path or len(body) > LARGEST_BODY:
            return False
        path = path[len(PREFIX) :].strip("/")
        headers: dict[str, str] = dict(request.headers)
        if len(headers) < len(request.headers) or not NOT_HERE.isdisjoint(headers):
            return False
        address = path, request.method
        route = self._routes.get(address, partial(self._route, *address))
        try:
            return route is not None and self._call(route, path, request, headers, body, reply)
        except HeadraceError:
            return False

    def _route(self, path: str, method: str) -> Route | None:
        """The webhook at this address, if its flow may be quick."""
        hook = Hook.at(path, method)
        if hook is None:
            return None
        try:
            plan = self.dispatcher.plan_of(hook.flow)
        except HeadraceError:
            return None
        config = plan.by_id[hook.node_id].config.static
        # To count the calls of a limit means to wait for a lock, which the loop may not.
        if not self.runs.may_run(plan) or config.get("rate_limit") is not None:
            return None
        dedupe = config.get("dedupe_header")
        return Route(hook, plan, config, None if dedupe is None else str(dedupe).upper())

    def _call(
        self, route: Route, path: str, request: Any, headers: Mapping[str, str], body: bytes, reply: Reply
    ) -> bool:
        hook, config = route.hook, route.config
        if route.dedupe in headers or len(body) > (config.get("max_body_bytes") or LARGEST_BODY):
            return False
        hidden = None
        if config["auth"] != "none":
            secret = secret_of(self.vault, hook, config["auth"])
            sent = Headers(request.headers)
            if self.refusals or not proves(str(hook.secret_type), secret, sent, body, time.time()):
                return False
            hidden = carrier(str(hook.secret_type), secret)
        if body and headers.get("CONTENT-TYPE", "").partition(";")[0].strip().lower() != "application/json":
            return False
        value = {
            "method": request.method,
            "path": path,
            "query": query_of(request.query) if request.query else {},
            "headers": headers_of(request.headers, hidden),
            "body": parse(body, "the body") if body else None,
        }
        told = partial(_tell, reply, ANSWERS[config["respond"]])
        return self.runs.start(hook.flow, route.plan, hook.node_id, value, "webhook", told)


def _tell(
    reply: Reply,
    answer: Callable[[Run, Outcome, bytes | None], Answer],
    run: Run,
    outcome: Outcome,
    output: bytes | None,
    error: BaseException | None,
) -> None:
    if error is None:
        _send(reply, answer(run, outcome, output))
        return
    log.error("run %s could not be recorded", run.id, exc_info=error)
    _send(reply, json_answer({"error": NOT_NOW}, 503, RETRY_AFTER))


def _send(reply: Reply, answer: Answer) -> None:
    status, headers, body = answer
    if not body:
        # Such as 204, whose headers are others.
        response = Response(body, status, headers)
        headers = list(response.get_wsgi_headers({}))
    else:
        headers = [*headers, ("Content-Length", str(len(body)))]
    reply(STATUSES.get(status) or f"{status} UNKNOWN", secured(headers), body)


def _output(run: Run, outcome: Outcome, text: bytes | None) -> Answer:
    return with_output(text) if run.status == "success" else unfinished(run)


ANSWERS: dict[str, Callable[[Run, Outcome, bytes | None], Answer]] = {
    "immediately": lambda run, outcome, text: accepted(run),
    "last": _output,
    "node": lambda run, outcome, text: answer_of_node(run, outcome.response),
}
