"""The node that calls services over HTTP. The client, with its rules about addresses and sizes, is `egress.py`."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from marshmallow import Schema, fields, validate

from errors import NodeError
from nodes.base import Context, Node, setting
from nodes.egress import Answer, host_of
from nodes.kinds import Number, anything, choice, headers, text, text_of

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
# The length and the connection are the client's business: a wrong one would let a request smuggle in another.
REFUSED_HEADERS = {"connection", "content-length", "transfer-encoding", "upgrade"}
RETRY_HELPS = {408, 425, 429}
# Codecs that are no charsets of text, one of them of quadratic cost.
NOT_CHARSETS = {"idna", "punycode", "undefined", "unicode_escape", "raw_unicode_escape"}
CONTENT_TYPES = {
    "json": "application/json",
    "form": "application/x-www-form-urlencoded",
    "text": "text/plain; charset=utf-8",
}


class HTTPRequest(Node):
    """Calls a web service and hands on its answer: the status, the headers and the body."""

    type = "http"
    category = "integration"
    title = "HTTP request"
    pure = False

    class Config(Schema):
        method = choice("The HTTP method", METHODS, literal=False, load_default="GET")
        url = text("The address, with http:// or https://", most=8_000, required=True)
        query = setting(fields.Dict(keys=fields.String()), "What to append to the address; a list repeats its key")
        headers = headers('The headers: {"Authorization": "Bearer {{ secrets.token }}"}')
        body = anything("The body; without it, none is sent")
        body_type = choice("How the body is written", ("json", "form", "text"), load_default="json")
        timeout = setting(
            Number,
            "Seconds for the whole exchange",
            literal=True,
            load_default=30.0,
            validate=validate.Range(0.1, 300),
        )
        follow_redirects = setting(fields.Boolean, "Whether to follow redirects", literal=True, load_default=True)
        response = choice(
            "How to read the answer: as the server says, as JSON, or as text",
            ("auto", "json", "text"),
            load_default="auto",
        )
        fail_on_status = setting(
            fields.Boolean, "Whether a status from 400 on is a failure", literal=True, load_default=True
        )

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        if ctx.services is None:
            raise NodeError("there is no HTTP client here", permanent=True)
        seconds = ctx.seconds_left(config["timeout"])
        content = encoded(config.get("body"), config["body_type"])
        url = with_query(config["url"].strip(), config.get("query", {}))
        answer = ctx.services.http().fetch(
            config["method"],
            url,
            seconds=seconds,
            headers=self.headers(config, content, ctx),
            content=content,
            follow_redirects=config["follow_redirects"],
        )
        who = f"{config['method']} {host_of(url)}"
        if config["fail_on_status"] and answer.status >= 400:
            raise NodeError(f"{who} answered {answer.status} {answer.reason}".rstrip(), is_permanent(answer.status))
        return {
            "status": answer.status,
            "headers": answer.headers,
            "body": decoded(answer, config["response"], who),
        }

    def headers(self, config: dict[str, Any], content: bytes | None, ctx: Context) -> list[tuple[str, str]]:
        given = config.get("headers", {})
        names = {name.lower() for name in given}
        if refused := sorted(names & REFUSED_HEADERS):
            raise NodeError(f"the header {refused[0]} cannot be set", permanent=True)
        ours = {"Idempotency-Key": ctx.idempotency_key}
        if content is not None:
            ours["Content-Type"] = CONTENT_TYPES[config["body_type"]]
        return [*given.items(), *((name, value) for name, value in ours.items() if name.lower() not in names)]


def is_permanent(status: int) -> bool:
    """Whether the same request would get the same answer again."""
    return status < 500 and status not in RETRY_HELPS


def with_query(url: str, query: dict[str, Any]) -> str:
    """The URL with `query` appended. Null leaves a key out, a list repeats it; what the URL has already stays."""
    pairs = [
        (key, text_of(item))
        for key, value in query.items()
        for item in (value if isinstance(value, list) else [value])
        if item is not None
    ]
    if not pairs:
        return url
    base, hash_, fragment = url.partition("#")
    joint = "" if base.endswith(("?", "&")) else "&" if "?" in base else "?"
    return base + joint + urlencode(pairs) + hash_ + fragment


def encoded(body: Any, kind: str) -> bytes | None:
    """The body as bytes; None where there is none."""
    if body is None:
        return None
    try:
        if kind == "json":
            return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
        if kind == "text":
            return text_of(body).encode()
        if isinstance(body, dict):
            return with_query("", body).removeprefix("?").encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise NodeError(f"the body cannot be written as {kind}: {error}", permanent=True) from None
    raise NodeError("the body of a form must be an object", permanent=True)


def decoded(answer: Answer, kind: str, who: str) -> Any:
    """The body of an answer as JSON or text. An empty body that should be JSON is null."""
    media = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_json = media == "application/json" or media.endswith("+json")
    if kind == "text" or (kind == "auto" and not is_json):
        return as_text(answer)
    if not answer.content.strip():
        return None
    try:
        return json.loads(answer.content, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise NodeError(f"{who} answered {answer.status} with a body that is not JSON", permanent=True) from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def as_text(answer: Answer) -> str:
    """The body as text, in the charset that the server names if there is such a one, else in UTF-8."""
    charset = (answer.charset or "utf-8").lower().replace("-", "_")
    try:
        return answer.content.decode("utf-8" if charset in NOT_CHARSETS else charset, errors="replace")
    except (LookupError, UnicodeError, ValueError):
        return answer.content.decode("utf-8", errors="replace")
