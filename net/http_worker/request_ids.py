"""Ids of requests, in the lines of the log and in the response's header X-Request-Id."""

from __future__ import annotations

import os
import re
from typing import Any

from server_log import CURRENT

HEADER = "X-Request-Id"
GIVEN = re.compile(r"[A-Za-z0-9._:=+/@-]{1,128}")


class RequestIds:
    """Gives each request an id: that of a trusted proxy if it is valid, else a new one."""

    def __init__(self, trusts_proxies: bool) -> None:
        self.trusts_proxies = trusts_proxies

    def begin(self, request: Any) -> None:
        """Give the request (gunicorn's) its id, and make it the work of this thread."""
        request.request_id = CURRENT.request_id = self._find(request) or os.urandom(12).hex()

    def _find(self, request: Any) -> str | None:
        if not self.trusts_proxies:
            return None
        given = [value for name, value in request.headers if name == HEADER.upper()]
        return given[0] if len(given) == 1 and GIVEN.fullmatch(given[0]) else None

    def enter(self, request: Any) -> None:
        """Make this request the work of the calling thread."""
        CURRENT.request_id = request.request_id

    def leave(self) -> None:
        """End this thread's work for a request."""
        CURRENT.request_id = ""

    def add_header(self, exchange: Any) -> None:
        """Add the id to the response's headers, in place of one that the app may have set."""
        response = exchange.response
        others = [header for header in response.headers if header[0].lower() != HEADER.lower()]
        response.headers = [*others, (HEADER, exchange.request.request_id)]
