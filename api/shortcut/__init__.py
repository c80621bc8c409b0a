"""Shortcut for requests that start a quick run and wait for it: the server's loop serves them (see net/http_worker).

The Flask views describe these requests and can serve all of them. The shortcut gives the same responses without Flask's
work for a request, which takes longer than a quick run. Everything unusual is left to the view before anything has
begun: saturated servers, errors, and the cases listed in webhooks.py and runs.py.
"""

from __future__ import annotations

from typing import Any

from api.webhooks.guesses import Guesses
from database import DatabaseRefused, limit_waits, settings_commits
from dispatch import Dispatcher, QuickRuns
from errors import HeadraceError
from security.vault import Vault

from . import runs, webhooks
from .calls import MAX_BODY, Reply, ShortcutCall

LOOP_SECONDS = 1.0  # for which the loop, and with it all requests, waits for PostgreSQL
# Requests with these headers are left to the view.
VIEW_HEADERS = {"IDEMPOTENCY-KEY", "TRANSFER-ENCODING", "EXPECT", "UPGRADE"}


class ApiShortcut:
    """Serves requests in the loop of a worker process."""

    def __init__(self, dispatcher: Dispatcher, vault: Vault, guesses: Guesses) -> None:
        self.runs = QuickRuns(dispatcher)
        self.end_turn = self.runs.end_turn
        self._webhooks = webhooks.WebhookCalls(self.runs, vault, guesses)
        self._runs = runs.RunCalls(self.runs)
        self._is_remote = dispatcher.config.is_postgres

    def start(self) -> None:
        """Limit the waits of the calling thread, which is that of the loop."""
        limit_waits(LOOP_SECONDS)
        self.runs.own_thread()

    def take(self, request: Any, body: bytes, reply: Reply) -> bool:
        """Start the run that a request asks for. Return False, with nothing begun, if a view must serve it."""
        path: str = request.path
        if path.startswith(webhooks.PREFIX):
            take = self._webhooks.take
        elif path.startswith(runs.PREFIX) and path.endswith(runs.SUFFIX):
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
