"""HTTP tool: requests to web services and pages."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from typing import Any

from constants import HTTP_CREDENTIALS, HTTP_METHODS
from errors import NodeError
from net.egress import HttpResponse, get_host
from nodes.credentials.keyring import DecryptedCredential, or_list
from nodes.fields import CONTROL, TOKEN
from nodes.http.body import NO_BODY, RequestBody, encode_data, is_json, is_text, media_type, parse_json, to_text
from nodes.http.client import HTTPClient, HttpRequest
from nodes.limits import size_of
from packs.agents.definition import ToolSpec
from packs.agents.runtime.types import Tool
from packs.agents.tools.base import ToolContext, text
from parsers.process import PARSE_PAGE_SECONDS, Unreadable, read_apart

SECONDS, PAGE_SECONDS = 30.0, 15.0
MAX_URL, MAX_HEADERS, MAX_HEADER, MAX_BODY = 8_000, 30, 4_000, 100_000
SAFE = {"GET", "HEAD"}
# Response headers that are useful to a model.
SHOWN = ("content-type", "date", "last-modified", "etag", "location", "link", "retry-after", "allow")
MAX_SHOWN, MAX_HOSTS = 500, 20
MAX_PAGE = 15_000  # characters of a page's text, so that the note at its end is not truncated
NO_HOST = set("/@?#*[]\\ \t\r\n")
HTML = {"text/html", "application/xhtml+xml"}
# The charset declared in a page; browsers search the same number of bytes for it.
CHARSET = re.compile(rb"""<meta[^>]{1,200}?charset\s*=\s*["']?\s*([\w:.-]{1,40})""", re.IGNORECASE)
CHARSET_BYTES = 1_024


class Hosts:
    """The permitted hosts: names, or `*.example.com` for subdomains; None permits all."""

    def __init__(self, names: Iterable[str] | None) -> None:
        self.names = None if names is None else tuple(map(_normalize_host, names))

    def check(self, host: str) -> None:
        """Raise NodeError if this host is not permitted."""
        if self.names is None:
            return
        host = host.lower().rstrip(".")
        if not any(host == name or (name.startswith("*.") and host.endswith(name[1:])) for name in self.names):
            raise NodeError(f"{host} is not permitted; this tool may call {self}", permanent=True)

    def __str__(self) -> str:
        if not self.names:
            return "any host" if self.names is None else "no host"
        more = len(self.names) - MAX_HOSTS
        return or_list([*self.names[:MAX_HOSTS], *([f"{more} others"] if more > 0 else [])])


def _normalize_host(name: str) -> str:
    """Return a host name in the form that parsing a URL would return."""
    star = "*." if name.startswith("*.") else ""
    bare = name.removeprefix(star)
    refusal = NodeError(f"the tool http: {name[:100]!r} is not a host name", permanent=True)
    if not NO_HOST.isdisjoint(bare):
        raise refusal
    try:
        return star + get_host(f"http://[{bare}]/" if ":" in bare else f"http://{bare}/").lower().rstrip(".")
    except NodeError:
        raise refusal from None


class HTTPTool:
    """Makes the requests of the tool."""

    def __init__(self, tool_ctx: ToolContext, hosts: Hosts, credential: DecryptedCredential | None) -> None:
        self.tool_ctx, self.hosts, self.credential = tool_ctx, hosts, credential

    def call(self, arguments: dict[str, Any], key: str) -> Any:
        """Return `{status, url, headers, body}` of the response, whatever its status."""
        ctx, method = self.tool_ctx.ctx, arguments.get("method", "GET")
        headers = arguments.get("headers", {})
        for name, value in headers.items():
            if not TOKEN.match(name) or CONTROL.search(value):
                text = f"headers: {name[:100]!r} is not a valid header name, or its value has a line break"
                raise NodeError(text, permanent=True)
            if name.lower() == "idempotency-key":
                raise NodeError("headers: Idempotency-Key is set automatically; remove it", permanent=True)
        call_ctx = dataclasses.replace(ctx, idempotency_key=key)
        client = HTTPClient(call_ctx, self.credential, may_wait=False, allow=self.hosts.check)
        url, body = arguments["url"].strip(), _body(method, arguments.get("body"))
        answer = client.answer(HttpRequest(method, url, ctx.seconds_left(SECONDS), headers, body, fail_on_error=False))
        return {
            "status": answer.status,
            "url": answer.url,
            "headers": {name: answer.headers[name][:MAX_SHOWN] for name in SHOWN if name in answer.headers},
            "body": self.body(answer),
        }

    def body(self, answer: HttpResponse) -> Any:
        """Return the body in the best form for a model: JSON as data, a page as text."""
        media = media_type(answer)
        if media in HTML:
            return self.page(answer)
        if is_json(media):
            try:
                return parse_json(answer)
            except NodeError:
                return to_text(answer)
        if not answer.content or is_text(answer):
            return to_text(answer)
        return {"content_type": media, "size": len(answer.content), "note": "the content is not text"}

    def page(self, answer: HttpResponse) -> Any:
        """Return the text of a page; its HTML if it cannot be converted in time."""
        if not answer.charset and (declared := CHARSET.search(answer.content[:CHARSET_BYTES])):
            answer = dataclasses.replace(answer, charset=declared[1].decode())
        ctx, html = self.tool_ctx.ctx, to_text(answer)
        options, left = {"url": answer.url, "most": MAX_PAGE}, ctx.seconds_left(PAGE_SECONDS)
        try:
            data = html.encode("utf-8", "replace")
            found = read_apart(
                "packs.agents.page", options, data, left, ctx.workspace_id, parse_seconds=PARSE_PAGE_SECONDS
            )
        except Unreadable as error:
            return {"note": error.message, "html": html}
        # Redact: the text may have been truncated within a secret.
        return {"note": found["problem"], "html": html} if found.get("problem") else ctx.clean(found["text"])


def tools(spec: ToolSpec, tool_ctx: ToolContext) -> list[Tool]:
    """Return the tool `http_request`."""
    methods = [str(method).upper() for method in spec.options.get("methods") or ["GET"]]
    if unknown := sorted(set(methods) - set(HTTP_METHODS)):
        raise NodeError(f"the tool http: {unknown[0][:50]!r} must be one of: {or_list(HTTP_METHODS)}", permanent=True)
    if "GET" in methods:
        methods.append("HEAD")
    methods, hosts = list(dict.fromkeys(methods)), Hosts(spec.options.get("hosts"))
    name = tool_ctx.credential_name(spec)
    tool = HTTPTool(tool_ctx, hosts, tool_ctx.ctx.credential(name, *HTTP_CREDENTIALS) if name else None)
    properties: dict[str, Any] = {
        "method": {"type": "string", "enum": methods, "description": "The HTTP method. Default: GET."},
        "url": text("The complete URL, with https:// or http:// and the query.", MAX_URL),
        "headers": {
            "type": "object",
            "additionalProperties": {"type": "string", "maxLength": MAX_HEADER},
            "maxProperties": MAX_HEADERS,
            "description": "Headers by name. Credentials are added automatically.",
        },
    }
    if not SAFE.issuperset(methods):
        properties["body"] = {"description": "The request body: an object or a list is sent as JSON, text as it is."}
    description = (
        f"Call a web service or read a web page, by {or_list(methods)}. Permitted: {hosts}. Returns status, url (after "
        "redirects), headers and body: JSON as data, a page as readable text with links. Long results are truncated."
    )
    required = ["url"] if "GET" in methods else ["method", "url"]

    def is_safe(arguments: dict[str, Any]) -> bool:
        return arguments.get("method", "GET") in SAFE

    return [tool_ctx.tool("http_request", description, properties, tool.call, required=required, repeatable=is_safe)]


def _body(method: str, body: Any) -> RequestBody:
    if body is None:
        return NO_BODY
    if method in SAFE:
        raise NodeError(f"body: must be omitted for {method}", permanent=True)
    size_of(body, "body", MAX_BODY)
    return encode_data(body, "text" if isinstance(body, str) else "json")
