"""Responses to runs and webhooks as plain values, shared by the views and the shortcut, which needs no view."""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

import orjson
from werkzeug.http import HTTP_STATUS_CODES
from werkzeug.wrappers import Response

from engine import Outcome
from models import Run

Headers: TypeAlias = list[tuple[str, str]]

STATUSES_WITHOUT_BODY = (204, 205, 304)
# Headers of a response that a flow may not set: the server sets them, or they affect its whole origin or the proxy.
FORBIDDEN_HEADERS = {
    *("connection", "content-encoding", "content-length", "date", "keep-alive", "server", "te", "trailer"),
    *("transfer-encoding", "upgrade", "set-cookie", "set-cookie2", "clear-site-data", "strict-transport-security"),
    *("service-worker-allowed", "alt-svc", "nel", "report-to", "reporting-endpoints", "x-sendfile"),
}
FORBIDDEN_PREFIXES = ("proxy-", "x-accel-", "x-lighttpd-")
# A page of a flow may have its own styles and forms, but no scripts, and it never has the origin of the app.
POLICY = "Content-Security-Policy"
DEFAULT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
FIXED_POLICY = "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
SANDBOX = "sandbox allow-forms"
# Headers that keep a browser from interpreting a response in an unintended way.
SECURITY_HEADERS = [
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),
    ("X-Frame-Options", "DENY"),
]
OWN_HEADERS = {POLICY.lower(), *(name.lower() for name, _ in SECURITY_HEADERS)}


class RunAnswer(NamedTuple):
    """A response: status, headers and body."""

    status: int
    headers: Headers
    body: bytes


# Makes the response for a run that is on disk, its outcome, and its output as JSON text.
MakeAnswer: TypeAlias = Callable[[Run, Outcome, bytes | None], RunAnswer]


def make_json_answer(body: Any, status: int = 200, *headers: tuple[str, str]) -> RunAnswer:
    """Return a response with this JSON."""
    return RunAnswer(status, [("Content-Type", "application/json"), *headers], orjson.dumps(body))


def make_accepted(run: Run) -> RunAnswer:
    """Return the response for an accepted run."""
    return make_json_answer({"run_id": run.id}, 202)


def make_unfinished(run: Run) -> RunAnswer:
    """Return the response for a run without an output. Its error is only for users who may see the run."""
    if run.status == "failed":
        return make_json_answer({"error": "The run failed", "run_id": run.id}, 500)
    return make_accepted(run)


def make_output_answer(text: bytes | None) -> RunAnswer:
    """Return the response with a run's output, which is JSON text."""
    return RunAnswer(200, [("Content-Type", "application/json")], text or b"null")


def make_custom_answer(response: Mapping[str, Any]) -> RunAnswer:
    """Return the response of a respond node: bytes and text unchanged, everything else as JSON."""
    if "base64" in response:
        data, kind = base64.b64decode(response["base64"]), "application/octet-stream"
    elif isinstance(response["body"], str):
        data, kind = response["body"].encode(), "text/plain; charset=utf-8"
    else:
        data, kind = orjson.dumps(response["body"]), "application/json"
    status = response["status"]
    headers = merge_headers([("Content-Type", kind)], response["headers"])
    return RunAnswer(status, headers, b"" if status in STATUSES_WITHOUT_BODY else data)


def make_node_answer(run: Run, custom: Any) -> RunAnswer:
    """Return the response of a run: the `custom` one of its respond node; without that node, one by its status."""
    if custom is not None:
        return make_custom_answer(custom)
    return make_json_answer({"run_id": run.id}) if run.status == "success" else make_unfinished(run)


def merge_headers(own: Headers, headers: Mapping[str, str]) -> Headers:
    """Return our headers with those that a flow may set; its content type and file name replace ours."""
    if not headers:
        return own
    # WSGI requires the UTF-8 bytes of a value, decoded as Latin-1.
    kept = [
        (name, value if value.isascii() else value.encode("utf-8", "replace").decode("latin-1"))
        for name, value in headers.items()
        if name.lower() not in FORBIDDEN_HEADERS and not name.lower().startswith(FORBIDDEN_PREFIXES)
    ]
    replaced = {name.lower() for name, _ in kept} & {"content-type", "content-disposition"}
    return [pair for pair in own if pair[0].lower() not in replaced] + kept


def secure_headers(headers: Iterable[tuple[str, str]]) -> Headers:
    """Return the headers of a flow's response with the security headers.

    A flow's page must not act as a page of ours. Our policy is a second header beside the flow's: within one header the
    first of two directives wins, so a flow could override our sandbox. Forms can be sent to this server only, and from
    an opaque origin, so no session cookie is accepted (api/http/auth.py).
    """
    return list(_secured(tuple(headers)))


@lru_cache(64)
def _secured(headers: tuple[tuple[str, str], ...]) -> Headers:
    """Return the headers with the security headers. Most responses have the same ones."""
    policies = [value for name, value in headers if name.lower() == POLICY.lower()]
    kept = [pair for pair in headers if pair[0].lower() not in OWN_HEADERS]
    policy = policies[0] if policies else DEFAULT_POLICY
    return [*kept, (POLICY, policy), (POLICY, f"{FIXED_POLICY}; {SANDBOX}"), *SECURITY_HEADERS]


def protect_headers(headers: Headers) -> Headers:
    """Return the headers of an uncacheable API response with the security headers."""
    return [*headers, ("Cache-Control", "no-store"), (POLICY, f"default-src 'none'; {FIXED_POLICY}"), *SECURITY_HEADERS]


# By the `respond` setting of a webhook. The arguments are those of `MakeAnswer`.
WEBHOOK_ANSWERS: dict[str, MakeAnswer] = {
    "immediately": lambda run, outcome, output: make_accepted(run),
    "last": lambda run, outcome, output: (
        make_output_answer(output) if run.status == "success" else make_unfinished(run)
    ),
    "node": lambda run, outcome, output: make_node_answer(run, outcome.response),
}


log = logging.getLogger("headrace.api")

RETRY_AFTER = ("Retry-After", "5")
INTERNAL = "Internal error; the server's log has the details"
STATUSES = {status: f"{status} {text.upper()}" for status, text in HTTP_STATUS_CODES.items()}

Reply: TypeAlias = Callable[[str, Sequence[tuple[str, str]], bytes], None]


class ReplyPolicy(NamedTuple):
    """How requests of one kind are answered: `protect` adds the security headers, and `refusal` returns the error text
    for callers if the run could not be recorded.
    """

    protect: Callable[[Headers], Headers]
    refusal: Callable[[BaseException], str]


def send_answer(
    reply: Reply,
    policy: ReplyPolicy,
    make_answer: MakeAnswer,
    run: Run,
    outcome: Outcome,
    output: bytes | None,
    error: BaseException | None,
) -> None:
    """Send the response to the request that started this run."""
    try:
        if error is None:
            answer = make_answer(run, outcome, output)
        else:
            log.error("run %s could not be recorded: %s", run.id, error, extra={"run_id": run.id})
            answer = make_json_answer({"error": policy.refusal(error)}, 503, RETRY_AFTER)
        status, headers, body = answer
        if not body:
            # Such as 204, which has fewer headers.
            headers = list(Response(body, status, headers).get_wsgi_headers({}))
        headers = policy.protect(headers)
    except Exception:
        # The client is waiting, and nothing else would send a response.
        log.exception("the response to run %s could not be made", run.id, extra={"run_id": run.id})
        status, headers, body = make_json_answer({"error": INTERNAL}, 500)
    reply(STATUSES.get(status) or f"{status} UNKNOWN", headers, body)
