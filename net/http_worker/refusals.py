"""Refusals: responses without the app, in the form of the API's errors."""

from __future__ import annotations

import json
from collections.abc import Iterable
from http import HTTPStatus

from gunicorn.http.errors import (
    ConfigurationProblem,
    ExpectationFailed,
    ForbiddenProxyRequest,
    InvalidResponseHeader,
    InvalidResponseHeaderName,
    LimitRequestHeaders,
    LimitRequestLine,
    ParseException,
    UnsupportedTransferCoding,
)

STATUSES: dict[type[Exception], int] = {
    ForbiddenProxyRequest: 403,
    LimitRequestLine: 414,
    ExpectationFailed: 417,
    LimitRequestHeaders: 431,
    UnsupportedTransferCoding: 501,
    # Faults of the app.
    ConfigurationProblem: 500,
    InvalidResponseHeader: 500,
    InvalidResponseHeaderName: 500,
}
RETRY_SECONDS = 5


def find_status(error: Exception) -> int:
    """Return the status of the response to a request that failed with this error of gunicorn or of the app."""
    return STATUSES.get(type(error), 400 if isinstance(error, ParseException) else 500)


def make_refusal(status: int, message: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """Return a response with an error and these headers, after which the connection is closed."""
    body = json.dumps({"error": message}).encode()
    lines = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        "Connection: close",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *([f"Retry-After: {RETRY_SECONDS}"] if status == 503 else []),
        *(f"{name}: {value}" for name, value in headers),
    ]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body
