"""Metrics of requests: their durations by route, and their number by class of the status.

A route is a template such as `/api/runs/<run>`, so that there are only as many as in the API. With more labels or
buckets, the metrics of all routes would be larger than 100 KB.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from flask import Flask

from api.http.json_io import get_request
from dispatch.histograms import REQUEST_SECONDS, Counter, Histogram

ROUTE = "headrace.route"  # in the WSGI environment
NONE = "none"  # the route of requests without a view
# Requests that the shortcut answers have no WSGI environment: api/shortcut.py.
WEBHOOK, RUN = "/api/webhooks/<path>", "/api/workflows/<flow>/run"
CONVERTER = re.compile(r"<[^<>]*:(\w+)>")
CLASSES = [f"{number}xx" for number in range(6)]


class RequestMetrics:
    """Counts the requests of this process."""

    def __init__(self) -> None:
        self.seconds = Histogram("headrace_http_request_seconds", REQUEST_SECONDS)
        self.responses = Counter("headrace_http_responses_total")

    def count(self, exchange: Any, seconds: float) -> None:
        """Count an exchange of the HTTP worker, which took so long."""
        request, response = exchange.request, exchange.response
        route = exchange.environ.get(ROUTE)
        if route is None:
            route = NONE if not exchange.is_shortcut else WEBHOOK if request.path.startswith(WEBHOOK[:14]) else RUN
        # A response that could not be begun has become one with status 500.
        status = getattr(response, "status_code", None) or 500
        self.seconds.observe(seconds, route)
        self.responses.add(CLASSES[status // 100] if status < 600 else CLASSES[5])


def install(app: Flask) -> None:
    """Note the route of each request in its WSGI environment."""
    app.before_request(_note_route)


def _note_route() -> None:
    request = get_request()
    rule = request.url_rule
    request.environ[ROUTE] = NONE if rule is None else describe_route(rule.rule)


@cache
def describe_route(rule: str) -> str:
    """Return the route of a rule, without converters: `/docs/<name>` for `/docs/<string:name>`."""
    return CONVERTER.sub(r"<\1>", rule)
