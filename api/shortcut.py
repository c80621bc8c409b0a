"""Shortcut for requests that start a quick run and wait for it: the server's loop serves them (net/http_worker).

The Flask views describe these requests and can serve all of them. The shortcut gives the same responses without Flask's
work for a request, which takes longer than a quick run. Everything unusual is left to the view before anything has
begun: saturated servers, errors, and the cases that the two classes list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from werkzeug.datastructures import Headers

from api.http.json_io import parse_json
from api.run_answer import (
    WEBHOOK_ANSWERS,
    Reply,
    ReplyPolicy,
    RunAnswer,
    make_json_answer,
    protect_headers,
    secure_headers,
    send_answer,
)
from api.runs import link_large_values
from api.webhooks import SATURATED, filter_headers, load_secret, make_limit_key, parse_query
from api.webhooks.auth import get_header_name, is_authentic
from api.webhooks.rate_limit import Guesses
from constants import ROLES
from database import DatabaseRefused, limit_waits, settings_commits
from database.base import now_ms
from database.queries.sessions import Caller
from database.queries.webhooks import WebhookTarget
from database.queries.workflows import Startable
from database.shared import QueryCache
from definition import Plan
from dispatch import Dispatcher, QuickRuns, Start
from engine import Outcome
from errors import HeadraceError
from models import Run
from nodes.core.triggers import CREDENTIAL_TYPES
from schemas import RunOut
from security.login_throttle import get_network
from security.vault import Vault

MAX_BODY = 32 * 1024  # bytes; reading a larger body would hold up the loop


class ShortcutCall(NamedTuple):
    """A request: unescaped path, raw query, headers with unique names, body, and the address of its socket.

    `headers` has upper-case names; `pairs` has the headers in their original order.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    pairs: Sequence[tuple[str, str]]
    body: bytes
    peer: Any

    @property
    def is_json(self) -> bool:
        """Return True if the content type is JSON."""
        return self.headers.get("CONTENT-TYPE", "").partition(";")[0].strip().lower() == "application/json"


# Webhook calls served in the server's loop: to quick flows, in the most common form.
#
# The view `fire` (api/webhooks/__init__.py) describes webhooks and can serve every call. Left to it are bodies other
# than JSON, idempotency keys, callers who fail to authenticate, paths with parameters, and the settings in
# VIEW_SETTINGS.

WEBHOOKS = "/api/webhooks/"
# Webhooks are public, so callers do not learn why a run could not be recorded.
WEBHOOK_POLICY = ReplyPolicy(secure_headers, lambda error: SATURATED)
# Webhooks with these settings are left to the view.
VIEW_SETTINGS = ("rate_limit", "allow_ips", "allow_origins")


class Route(NamedTuple):
    """A webhook whose flow may be quick, with its plan and its node's static config."""

    hook: WebhookTarget
    plan: Plan
    config: Mapping[str, Any]
    dedupe: str | None  # the idempotency header, in upper case
    target: str  # of guesses at its secret


class WebhookCalls:
    """Serves calls of webhooks."""

    def __init__(self, runs: QuickRuns, vault: Vault, guesses: Guesses) -> None:
        self.runs, self.vault, self.guesses = runs, vault, guesses
        self.proxies = runs.dispatcher.config.trusted_proxies
        self._routes: QueryCache[tuple[str, str], Route] = QueryCache(settings_commits)

    def take(self, call: ShortcutCall, reply: Reply) -> bool:
        """Start the run. Return False, with nothing begun, if the view must serve the call."""
        path = call.path[len(WEBHOOKS) :].strip("/")
        address = path, call.method
        route = self._routes.get(address, partial(self._find_route, *address))
        if route is None or route.dedupe in call.headers or "SEC-FETCH-DEST" in call.headers:
            return False
        # A proxy header may replace the Host header (see ProxyFix), which is part of the run's input.
        host = call.headers.get("HOST")
        if self.proxies and call.headers.get("X-FORWARDED-HOST", host) != host:
            return False
        hook, config = route.hook, route.config
        if len(call.body) > (config.get("max_body_bytes") or MAX_BODY) or not (call.is_json or not call.body):
            return False
        secret_header = None
        if config["auth"] != "none":
            secret = load_secret(self.vault, hook, CREDENTIAL_TYPES[config["auth"]])
            sent = Headers(call.pairs)
            if self.guesses or not is_authentic(str(hook.secret_type), secret, sent, call.body, now_ms() / 1000):
                return False
            self.guesses.note_right(route.target, self._find_network(call))
            secret_header = get_header_name(str(hook.secret_type), secret)
        value = {
            "method": call.method,
            "path": path,
            "query": parse_query(call.query) if call.query else {},
            "headers": filter_headers(call.pairs, secret_header),
            "body": parse_json(call.body, "the body") if call.body else None,
        }
        send = partial(send_answer, reply, WEBHOOK_POLICY, WEBHOOK_ANSWERS[config["respond"]])
        return self.runs.start(Start(hook.flow, value, "webhook", hook.node_id), route.plan, send)

    def _find_network(self, call: ShortcutCall) -> str:
        """Return the network address of the client, as the view finds it."""
        if self.proxies and (forwarded := call.headers.get("X-FORWARDED-FOR")):
            hops = forwarded.split(",")
            if len(hops) >= self.proxies:
                return get_network(hops[-self.proxies].strip())
        return get_network(call.peer if isinstance(call.peer, str) else call.peer[0])

    def _find_route(self, path: str, method: str) -> Route | None:
        """Return the webhook at this address if its flow may be quick."""
        hook = WebhookTarget.at(path, method)
        if hook is None:
            return None
        try:
            plan = self.runs.plan_of(hook.flow)
        except HeadraceError:
            return None
        if plan is None:
            return None
        node = plan.by_id[hook.node_id]
        if node.type != "webhook":
            return None
        config = node.config.static
        # Counting calls against a rate limit waits for a lock, and a token may need a key set: the loop must not wait.
        # Calls that are collected wait for a lock, too.
        if (
            node.debounce is not None
            or config["auth"] == "jwt"
            or config["respond"] not in WEBHOOK_ANSWERS
            or any(config.get(name) is not None for name in VIEW_SETTINGS)
        ):
            return None
        dedupe = config.get("dedupe_header")
        return Route(hook, plan, config, None if dedupe is None else str(dedupe).upper(), make_limit_key(hook))


# Runs started by programs with an API token that wait for the result; quick ones are served in the server's loop.
#
# The view `run` (api/workflows.py) describes them and can serve every request. Left to it are sessions, idempotency
# keys, bodies with more than an input, and callers who may not run the flow.

RUNS, RUN_SUFFIX = "/api/workflows/", "/run"
MIN_WAIT, MAX_WAIT = 1.0, 60.0  # seconds; a shorter wait may want a response before the run is on disk
MAY_RUN = ROLES[ROLES.index("operator") :]
# Requests with these headers are left to the view.
RUN_VIEW_HEADERS = {"X-WORKSPACE-ID"}
RUN = RunOut()
RUN_POLICY = ReplyPolicy(protect_headers, lambda error: f"The run could not be recorded: {error}")


class RunCalls:
    """Serves requests for runs."""

    def __init__(self, runs: QuickRuns) -> None:
        self.runs = runs

    def take(self, call: ShortcutCall, reply: Reply) -> bool:
        """Start the run. Return False, with nothing begun, if the view must serve the request."""
        scheme, _, token = call.headers.get("AUTHORIZATION", "").partition(" ")
        if call.method != "POST" or scheme.lower() != "bearer" or not RUN_VIEW_HEADERS.isdisjoint(call.headers):
            return False
        if not _wants_wait(call.query):
            return False
        caller = Caller.of_token(token.strip())
        flow = Startable.find(call.path[len(RUNS) : -len(RUN_SUFFIX)]) if caller is not None else None
        if caller is None or flow is None or caller.roles.get(flow.workspace_id) not in MAY_RUN:
            return False
        body = {} if not call.body else parse_json(call.body, "the body") if call.is_json else None
        if not isinstance(body, dict) or body.keys() - {"input"} or flow.status == "archived":
            return False
        plan = self.runs.plan_of(flow)
        if plan is None:
            return False
        send = partial(send_answer, reply, RUN_POLICY, _make_run_answer)
        return self.runs.start(Start(flow, body.get("input"), "manual"), plan, send)


def _wants_wait(query: str) -> bool:
    """Return True if the request waits for the end of the run."""
    if not query:
        return True
    name, _, text = query.partition("=")
    try:
        return name == "wait" and len(text) < 10 and MIN_WAIT <= float(text) <= MAX_WAIT
    except ValueError:
        return False


def _make_run_answer(run: Run, outcome: Outcome, text: bytes | None) -> RunAnswer:
    return make_json_answer(RUN.dump(link_large_values(run)))


LOOP_SECONDS = 1.0  # for which the loop, and with it all requests, waits for PostgreSQL
# Requests with these headers are left to the view.
VIEW_HEADERS = {"IDEMPOTENCY-KEY", "TRANSFER-ENCODING", "EXPECT", "UPGRADE"}


class ApiShortcut:
    """Serves requests in the loop of a worker process."""

    def __init__(self, dispatcher: Dispatcher, vault: Vault, guesses: Guesses) -> None:
        self.runs = QuickRuns(dispatcher)
        self.end_turn = self.runs.end_turn
        self._webhooks = WebhookCalls(self.runs, vault, guesses)
        self._runs = RunCalls(self.runs)
        self._is_remote = dispatcher.config.is_postgres

    def start(self) -> None:
        """Limit the waits of the calling thread, which is that of the loop."""
        limit_waits(LOOP_SECONDS)
        self.runs.own_thread()

    def take(self, request: Any, body: bytes, reply: Reply) -> bool:
        """Start the run that a request asks for. Return False, with nothing begun, if a view must serve it."""
        path: str = request.path
        if path.startswith(WEBHOOKS):
            take = self._webhooks.take
        elif path.startswith(RUNS) and path.endswith(RUN_SUFFIX):
            take = self._runs.take
        else:
            return False
        if self._is_remote and not settings_commits():
            return False  # PostgreSQL has not answered lately
        headers: dict[str, str] = dict(request.headers)
        is_odd = len(headers) < len(request.headers) or not VIEW_HEADERS.isdisjoint(headers)
        if is_odd or "%" in path or len(body) > MAX_BODY:
            return False
        try:
            peer = request.peer_addr
            return take(ShortcutCall(request.method, path, request.query, headers, request.headers, body, peer), reply)
        except (HeadraceError, DatabaseRefused):
            return False
