"""Calls of webhooks that the server's loop answers itself: to quick flows, in the form in which most calls come.

The view `fire` (api/webhooks/__init__.py) describes webhooks and answers every call. Left to it are other bodies than
JSON, keys against repetition, and callers who do not prove who they are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

from werkzeug.datastructures import Headers

from api.http.json_io import parse_json
from api.run_answer import Answer, accepted, secured, unfinished, with_output
from api.webhooks import SATURATED, load_secret, make_node_answer
from api.webhooks.auth import get_header_name, is_authentic
from api.webhooks.body import filter_headers, parse_query
from api.webhooks.refusal_log import RefusalLog
from database import settings_commits
from database.changes import Memory
from definition import Plan
from dispatch import QuickRuns
from engine import Outcome
from errors import HeadraceError
from models import Hook, Run
from security.vault import Vault

from .calls import LARGEST_BODY, Call, Manner, Reply, tell

PREFIX = "/api/webhooks/"
# Anybody may call, so nobody is told why a run could not be recorded.
MANNER = Manner(secured, lambda error: SATURATED)


class Route(NamedTuple):
    """A webhook whose flow may be quick: who is called, and what its node says about calls."""

    hook: Hook
    plan: Plan
    config: Mapping[str, Any]
    dedupe: str | None  # a header that marks repetitions, in capitals


class WebhookCalls:
    """Answers calls of webhooks."""

    def __init__(self, runs: QuickRuns, vault: Vault, refusals: RefusalLog) -> None:
        self.runs, self.vault, self.refusals = runs, vault, refusals
        self.believes_proxies = runs.dispatcher.config.trusted_proxies > 0
        self._routes: Memory[tuple[str, str], Route] = Memory(settings_commits)

    def take(self, call: Call, reply: Reply) -> bool:
        """Start the run. Return False, with nothing begun, if the view has to see to the call."""
        path = call.path[len(PREFIX) :].strip("/")
        address = path, call.method
        route = self._routes.get(address, partial(self._route, *address))
        if route is None or route.dedupe in call.headers or "SEC-FETCH-DEST" in call.headers:
            return False
        if self.believes_proxies and not _is_host_kept(call.headers):
            return False
        hook, config = route.hook, route.config
        if len(call.body) > (config.get("max_body_bytes") or LARGEST_BODY) or not (call.is_json or not call.body):
            return False
        hidden = None
        if config["auth"] != "none":
            secret = load_secret(self.vault, hook, config["auth"])
            sent = Headers(call.pairs)
            if self.refusals or not is_authentic(str(hook.secret_type), secret, sent, call.body, time.time()):
                return False
            hidden = get_header_name(str(hook.secret_type), secret)
        value = {
            "method": call.method,
            "path": path,
            "query": parse_query(call.query) if call.query else {},
            "headers": filter_headers(call.pairs, hidden),
            "body": parse_json(call.body, "the body") if call.body else None,
        }
        told = partial(tell, reply, MANNER, ANSWERS[config["respond"]])
        return self.runs.start(hook.flow, route.plan, hook.node_id, value, "webhook", told)

    def _route(self, path: str, method: str) -> Route | None:
        """The webhook at this address, if its flow may be quick."""
        hook = Hook.at(path, method)
        if hook is None:
            return None
        try:
            plan = self.runs.plan_of(hook.flow)
        except HeadraceError:
            return None
        if plan is None:
            return None
        config = plan.by_id[hook.node_id].config.static
        # To count the calls of a limit means to wait for a lock, which the loop may not.
        if config.get("rate_limit") is not None:
            return None
        dedupe = config.get("dedupe_header")
        return Route(hook, plan, config, None if dedupe is None else str(dedupe).upper())


def _is_host_kept(headers: Mapping[str, str]) -> bool:
    """Return True unless what a proxy says replaces the header Host (see ProxyFix) that the run's input has."""
    return "X-FORWARDED-HOST" not in headers or headers["X-FORWARDED-HOST"] == headers.get("HOST")


def _output(run: Run, outcome: Outcome, text: bytes | None) -> Answer:
    return with_output(text) if run.status == "success" else unfinished(run)


ANSWERS: dict[str, Callable[[Run, Outcome, bytes | None], Answer]] = {
    "immediately": lambda run, outcome, text: accepted(run),
    "last": _output,
    "node": lambda run, outcome, text: make_node_answer(run, outcome.response),
}
