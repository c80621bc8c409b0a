"""Requests that start a quick run and wait for it, answered in the server's loop (see net/http_worker/shortcut.py).

The views of Flask describe these requests and answer all of them. This gives the same answers without what Flask does
for a request, which takes longer than a quick run. Whatever is out of the ordinary is left to the view, before anything
has begun: full servers, errors, and what webhooks.py and runs.py name.
"""

from __future__ import annotations

from typing import Any

from api.webhooks.refusal_log import RefusalLog
from dispatch import Dispatcher, QuickRuns
from errors import HeadraceError
from security.vault import Vault

from . import runs, webhooks
from .calls import LARGEST_BODY, Call, Reply

__all__ = ["LARGEST_BODY", "Shortcut"]

# Headers of requests that a view has to look at.
NOT_HERE = {"IDEMPOTENCY-KEY", "TRANSFER-ENCODING", "EXPECT", "UPGRADE"}


class Shortcut:
    """Answers requests for the loop of a worker."""

    def __init__(self, dispatcher: Dispatcher, vault: Vault, refusals: RefusalLog) -> None:
        self.runs = QuickRuns(dispatcher)
        self.end_turn = self.runs.end_turn
        self._webhooks = webhooks.WebhookCalls(self.runs, vault, refusals)
        self._runs = runs.RunCalls(self.runs)

    def take(self, request: Any, body: bytes, reply: Reply) -> bool:
        """Start the run that a request asks for. Return False, with nothing begun, if the app has to answer it."""
        path: str = request.path
        if path.startswith(webhooks.PREFIX):
            take = self._webhooks.take
        elif path.startswith(runs.PREFIX) and path.endswith(runs.SUFFIX):
            take = self._runs.take
        else:
            return False
        headers: dict[str, str] = dict(request.headers)
        is_odd = len(headers) < len(request.headers) or not NOT_HERE.isdisjoint(headers)
        if is_odd or "%" in path or len(body) > LARGEST_BODY:
            return False
        try:
            return take(Call(request.method, path, request.query, headers, request.headers, body), reply)
        except HeadraceError:
            return False
