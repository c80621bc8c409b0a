"""Answers of webhooks as plain values, the same for the view and for the shortcut, which needs no view."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeAlias

import orjson

from models import Run

Headers: TypeAlias = list[tuple[str, str]]

WITHOUT_BODY = (204, 205, 304)
# Headers of an answer that a flow may not set: they are the server's own, or would do something to its whole origin or
# to the proxy in front.
KEPT_BACK = {
    *("connection", "content-encoding", "content-length", "date", "keep-alive", "server", "te", "trailer"),
    *("transfer-encoding", "upgrade", "set-cookie", "set-cookie2", "clear-site-data", "strict-transport-security"),
    *("service-worker-allowed", "alt-svc", "nel", "report-to", "reporting-endpoints", "x-sendfile"),
}
KEPT_BACK_PREFIXES = ("proxy-", "x-accel-", "x-lighttpd-")
# A page that a flow answers may have styles of its own, and forms. It has no scripts, and never the origin of the app.
POLICY = "Content-Security-Policy"
PLAIN_PAGE = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
ALWAYS = "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
SANDBOX = "sandbox allow-forms"
# Headers that keep a browser from doing anything with an answer that we did not mean.
CAUTIOUS = [("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "same-origin"), ("X-Frame-Options", "DENY")]
OURS = {POLICY.lower(), *(name.lower() for name, _ in CAUTIOUS)}


class Answer(NamedTuple):
    """An answer's status, headers and body."""

    status: int
    headers: Headers
    body: bytes


def json_answer(body: Any, status: int = 200, *headers: tuple[str, str]) -> Answer:
    """The answer with this JSON."""
    return Answer(status, [("Content-Type", "application/json"), *headers], orjson.dumps(body))


def accepted(run: Run) -> Answer:
    """The answer for a run that has been accepted."""
    return json_answer({"run_id": run.id}, 202)


def unfinished(run: Run) -> Answer:
    """The answer for a run without an output; what went wrong is for those who may see the run."""
    if run.status == "failed":
        return json_answer({"error": "The run failed", "run_id": run.id}, 500)
    return accepted(run)


def with_output(text: bytes | None) -> Answer:
    """The answer with the output of a run, which is JSON text."""
    return Answer(200, [("Content-Type", "application/json")], text or b"null")


def shaped(said: Mapping[str, Any]) -> Answer:
    """The answer that a respond node asks for: bytes and text as they are, everything else as JSON."""
    if "base64" in said:
        data, kind = base64.b64decode(said["base64"]), "application/octet-stream"
    elif isinstance(said["body"], str):
        data, kind = said["body"].encode(), "text/plain; charset=utf-8"
    else:
        data, kind = orjson.dumps(said["body"]), "application/json"
    status = said["status"]
    headers = with_headers([("Content-Type", kind)], said["headers"])
    return Answer(status, headers, b"" if status in WITHOUT_BODY else data)


def with_headers(own: Headers, headers: Mapping[str, str]) -> Headers:
    """Our headers, with those of a flow that it may set; a type and a name of its own replace ours."""
    if not headers:
        return own
    kept = [(name, _sendable(value)) for name, value in headers.items() if _may_set(name.lower())]
    replaced = {name.lower() for name, _ in kept} & {"content-type", "content-disposition"}
    return [pair for pair in own if pair[0].lower() not in replaced] + kept


def secured(headers: Iterable[tuple[str, str]]) -> Headers:
    """Return the headers of a flow's answer, and ours, which protect the browser.

    A flow's page must not act as one of ours. Our policy is a second header beside the flow's: in one and the same, the
    first of two directives counts, so a flow could say before us what its sandbox allows. Its forms go to this server
    alone, and from an opaque origin, so no session goes along (api/http/auth.py).
    """
    policies = [value for name, value in headers if name.lower() == POLICY.lower()]
    kept = [pair for pair in headers if pair[0].lower() not in OURS]
    policy = policies[0] if policies else PLAIN_PAGE
    return [*kept, (POLICY, policy), (POLICY, f"{ALWAYS}; {SANDBOX}"), *CAUTIOUS]


def guarded(headers: Headers) -> Headers:
    """Return the headers of an answer of the API that nobody may keep, and those that protect a browser."""
    return [*headers, ("Cache-Control", "no-store"), (POLICY, f"default-src 'none'; {ALWAYS}"), *CAUTIOUS]


def _may_set(name: str) -> bool:
    return name not in KEPT_BACK and not name.startswith(KEPT_BACK_PREFIXES)


def _sendable(value: str) -> str:
    """A header's value as WSGI takes it: the bytes of its UTF-8, seen as Latin-1."""
    return value if value.isascii() else value.encode("utf-8", "replace").decode("latin-1")
