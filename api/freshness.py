"""Answers that have not changed since a page asked last are a 304 without a body: pages ask every second or two."""

from __future__ import annotations

import hashlib

from flask import Response, request

NOT_TAGGED = ("webhooks.fire",)  # what a flow answers is its own affair


def tag(response: Response) -> Response:
    """Put a tag on a JSON answer to GET, or answer 304 where the request names that tag.

    The body is made in any case: it costs less to make than to send and to read. A browser may keep it, but must ask
    each time, so that nobody sees it who may not any more.
    """
    if request.method not in ("GET", "HEAD") or response.status_code != 200 or response.mimetype != "application/json":
        return response
    if request.endpoint in NOT_TAGGED or response.is_streamed or "Cache-Control" in response.headers:
        return response
    digest = hashlib.sha256(response.get_data()).hexdigest()[:32]
    response.headers["Cache-Control"] = "private, no-cache"
    response.headers["ETag"] = f'"{digest}"'
    if request.if_none_match.contains_weak(digest):  # a proxy that compresses makes it a weak one
        response.status_code = 304
        response.set_data(b"")
    return response
