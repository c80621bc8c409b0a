"""Webhook calls served in the server's loop: to quick flows, in the most common form.

The view `fire` (api/webhooks/__init__.py) describes webhooks and can serve every call. Left to it are bodies other than
JSON, idempotency keys, callers who fail to authenticate, paths with parameters, and the settings in VIEW_SETTINGS.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple

from werkzeug.datastructures import Headers

from api.http.json_io import parse_json
from api.run_answer import WEBHOOK_ANSWERS, secure_headers
from api.webhooks import SATURATED, load_secret, make_limit_key
from api.webhooks.auth import get_header_name, is_authentic
from api.webhooks.body import filter_headers, parse_query
from api.webhooks.guesses import Guesses
from database import settings_commits
from database.base import now_ms
from database.changes import QueryCache
from database.queries.webhooks import WebhookTarget
from definition import Plan
from dispatch import QuickRuns, Start
from errors import HeadraceError
from nodes.core.triggers import CREDENTIAL_TYPES
from security.login_throttle import get_network
from security.vault import Vault

from .calls import MAX_BODY, Reply, ReplyPolicy, ShortcutCall, send_answer

PREFIX = "/api/webhooks/"
# Webhooks are public, so callers do not learn why a run could not be recorded.
POLICY = ReplyPolicy(secure_headers, lambda error: SATURATED)
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
        path = call.path[len(PREFIX) :].strip("/")
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
        send = partial(send_answer, reply, POLICY, WEBHOOK_ANSWERS[config["respond"]])
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
