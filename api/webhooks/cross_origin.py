"""Cross-origin calls of webhooks by scripts of web pages (CORS, in the Fetch standard). Off without named origins.

This protects users of browsers, not the webhook: programs can send any origin. So calls are not refused here; without
the headers, a browser keeps the answer from the script.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from flask import Request, Response, after_this_request

from constants import ANY_METHOD

ANY_ORIGIN = "*"
MAX_AGE = "600"  # seconds for which a browser remembers the answer to a preflight request
MAX_ASKED = 4_000  # characters of the list of headers that a page wants to send
HEADER_NAMES = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z, \t-]*\Z")
# What a flow sets itself does not count: the settings of the webhook decide.
OURS = ("Access-Control-Allow-Origin", "Access-Control-Allow-Credentials", "Access-Control-Expose-Headers")


def make_preflight(request: Request, config: Mapping[str, Any], methods: Iterable[str]) -> Response:
    """Return the answer to OPTIONS: the methods of the path, and what a page of the request's origin may send."""
    listed = ", ".join((*methods, "OPTIONS"))
    response = Response(status=204, headers={"Allow": listed})
    if "allow_origins" not in config:
        return response
    response.vary.update(("Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers"))
    if not _allow_origin(request, config, response):
        return response
    own = config["methods"]
    response.headers["Access-Control-Allow-Methods"] = listed if ANY_METHOD in own else ", ".join(own)
    asked = request.headers.get("Access-Control-Request-Headers", "")
    if asked and len(asked) <= MAX_ASKED and HEADER_NAMES.match(asked):
        response.headers["Access-Control-Allow-Headers"] = asked
    response.headers["Access-Control-Max-Age"] = MAX_AGE
    return response


def add_headers(request: Request, config: Mapping[str, Any]) -> None:
    """Add the headers to the answer of this request, also if it is an error."""

    @after_this_request
    def add(response: Response) -> Response:
        for name in OURS:
            response.headers.pop(name, None)
        response.vary.add("Origin")
        if _allow_origin(request, config, response) and config.get("expose_headers"):
            response.headers["Access-Control-Expose-Headers"] = ", ".join(config["expose_headers"])
        return response


def _allow_origin(request: Request, config: Mapping[str, Any], response: Response) -> bool:
    """Allow the page's origin to read the response. Return False if it may not."""
    origin, allowed = request.headers.get("Origin", ""), config["allow_origins"]
    if ANY_ORIGIN in allowed:
        response.headers["Access-Control-Allow-Origin"] = ANY_ORIGIN
    elif origin in allowed:
        response.headers["Access-Control-Allow-Origin"] = origin
        if config["allow_credentials"]:
            response.headers["Access-Control-Allow-Credentials"] = "true"
    else:
        return False
    return True
