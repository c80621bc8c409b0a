"""The tool with which an agent asks web services and reads pages."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any

from agent.definition import ToolSpec
from agent.tools import Tool
from errors import NodeError
from net.egress import Answer, host_of
from nodes.ai.tools.base import Bench
from nodes.credentials.keyring import Credential, or_list
from nodes.fields import CONTROL, TOKEN
from nodes.http import body as bodies
from nodes.http.client import CREDENTIALS, METHODS, Call, Caller
from nodes.http.response import as_json, as_text, is_json, is_text, media_type
from nodes.limits import size_of
from parsers.process import Unreadable, read_apart

SECONDS, PAGE_SECONDS = 30.0, 15.0
MOST_URL, MOST_HEADERS, MOST_HEADER, MOST_BODY = 8_000, 30, 4_000, 100_000
SAFE = {"GET", "HEAD"}
# What of an answer's headers says something to who reads it.
SHOWN = ("content-type", "date", "last-modified", "etag", "location", "link", "retry-after", "allow")
LONGEST_SHOWN, MOST_NAMED = 500, 20
MOST_PAGE = 15_000  # characters of a page's text, so that its end, which says that there is more, is not cut off
NO_HOST = set("/@?#*[]\\ \t\r\n")
HTML = {"text/html", "application/xhtml+xml"}
# Where a page says in which charset it is; browsers look at as much of it.
CHARSET = re.compile(rb"""<meta[^>]{1,200}?charset\s*=\s*["']?\s*([\w:.-]{1,40})""", re.IGNORECASE)
LOOKED_AT = 1_024


class Hosts:
    """The hosts that may be asked: names, or `*.example.com` for all below one; None for all."""

    def __init__(self, names: Iterable[str] | None) -> None:
        self.names = None if names is None else tuple(map(_as_asked, names))

    def check(self, host: str) -> None:
        """NodeError where this host may not be asked."""
        if self.names is None:
            return
        host = host.lower().rstrip(".")
        if not any(host == name or (name.startswith("*.") and host.endswith(name[1:])) for name in self.names):
            raise NodeError(f"{host} may not be asked; this tool may ask {self}", permanent=True)

    def __str__(self) -> str:
        if not self.names:
            return "any host" if self.names is None else "no host"
        more = len(self.names) - MOST_NAMED
        return or_list([*self.names[:MOST_NAMED], *([f"{more} others"] if more > 0 else [])])


def _as_asked(name: str) -> str:
    """The name of a host as it is when an address with it is taken apart."""
    star = "*." if name.startswith("*.") else ""
    bare = name.removeprefix(star)
    refusal = NodeError(f"the tool http: {name[:100]!r} is no name of a host", permanent=True)
    if not NO_HOST.isdisjoint(bare):
        raise refusal
    try:
        return star + host_of(f"http://[{bare}]/" if ":" in bare else f"http://{bare}/").lower().rstrip(".")
    except NodeError:
        raise refusal from None


class Browser:
    """What calls of the tool are made with."""

    def __init__(self, bench: Bench, hosts: Hosts, credential: Credential | None) -> None:
        self.bench, self.hosts, self.credential = bench, hosts, credential

    def call(self, arguments: dict[str, Any], key: str) -> Any:
        """`{status, url, headers, body}` of what answers, whatever its status."""
        ctx, method = self.bench.ctx, arguments.get("method", "GET")
        headers = arguments.get("headers", {})
        _check_headers(headers)
        caller = Caller(
            dataclasses.replace(ctx, idempotency_key=key), self.credential, patient=False, allow=self.hosts.check
        )
        answer = caller.answer(
            Call(
                method,
                arguments["url"].strip(),
                ctx.seconds_left(SECONDS),
                headers,
                _body(method, arguments.get("body"), headers),
                only_good=False,
            )
        )
        return {
            "status": answer.status,
            "url": answer.url,
            "headers": {name: answer.headers[name][:LONGEST_SHOWN] for name in SHOWN if name in answer.headers},
            "body": self.body(answer),
        }

    def body(self, answer: Answer) -> Any:
        """The body as a model reads it best: JSON as data, a page as the text of it."""
        media = media_type(answer)
        if media in HTML:
            return self.page(answer)
        if is_json(media):
            try:
                return as_json(answer)
            except NodeError:
                return as_text(answer)
        if not answer.content or is_text(answer):
            return as_text(answer)
        return {"content_type": media, "size": len(answer.content), "note": "this is no text and cannot be shown"}

    def page(self, answer: Answer) -> Any:
        """The text of a page; where it cannot be read in time, its beginning as it is."""
        text = as_text(_in_its_charset(answer))
        options = {"url": answer.url, "most": MOST_PAGE}
        try:
            found = read_apart(
                "html_text", options, text.encode("utf-8", "replace"), self.bench.ctx.seconds_left(PAGE_SECONDS)
            )
        except Unreadable as error:
            return {"note": error.message, "html": text}
        # It may have been cut in the middle of a secret.
        return {"note": found["problem"], "html": text} if "problem" in found else self.bench.ctx.clean(found["text"])


def tools(spec: ToolSpec, bench: Bench) -> list[Tool]:
    """The tool `http_request`."""
    methods, hosts = _methods(spec), Hosts(spec.options.get("hosts"))
    name = bench.credential_name(spec)
    browser = Browser(bench, hosts, bench.ctx.credential(name, *CREDENTIALS) if name else None)
    properties: dict[str, Any] = {
        "method": {"type": "string", "enum": methods, "description": "The HTTP method; GET where it is left out."},
        "url": {
            "type": "string",
            "minLength": 1,
            "maxLength": MOST_URL,
            "description": "The whole address, with https:// or http:// and its query.",
        },
        "headers": {
            "type": "object",
            "additionalProperties": {"type": "string", "maxLength": MOST_HEADER},
            "maxProperties": MOST_HEADERS,
            "description": "Headers, by name. Credentials are added for you where there are any.",
        },
    }
    if not SAFE.issuperset(methods):
        properties["body"] = {"description": "What to send: an object or a list goes as JSON, a text as it is."}
    description = (
        f"Ask a web service or read a web page, by {or_list(methods)}. It may ask {hosts}. Gives status, url (after "
        "redirects), headers and body: JSON as data, a page as its readable text with its links. Long ones are cut."
    )
    required = ["url"] if "GET" in methods else ["method", "url"]
    return [
        bench.tool("http_request", description, properties, browser.call, required=required, repeatable=_is_repeatable)
    ]


def _methods(spec: ToolSpec) -> list[str]:
    """The methods that may be used, with HEAD where there is GET."""
    given = [str(method).upper() for method in spec.options.get("methods") or ["GET"]]
    if unknown := sorted(set(given) - set(METHODS)):
        raise NodeError(f"the tool http: {unknown[0][:50]!r} is none of the methods {or_list(METHODS)}", permanent=True)
    return list(dict.fromkeys([*given, *(["HEAD"] if "GET" in given else [])]))


def _is_repeatable(arguments: dict[str, Any]) -> bool:
    return arguments.get("method", "GET") in SAFE


def _check_headers(headers: dict[str, str]) -> None:
    for name, value in headers.items():
        if not TOKEN.match(name) or CONTROL.search(value):
            raise NodeError(
                f"headers: {name[:100]!r} is no header of HTTP, or its value has a line break", permanent=True
            )
        if name.lower() == "idempotency-key":
            raise NodeError("headers: Idempotency-Key is set for you", permanent=True)


def _body(method: str, body: Any, headers: dict[str, str]) -> bodies.Body:
    if body is None:
        return bodies.NOTHING
    if method in SAFE:
        raise NodeError(f"body: {method} has none", permanent=True)
    size_of(body, "body", MOST_BODY)
    with ExitStack() as stack:
        return bodies.encoded(body, "text" if isinstance(body, str) else "json", {}, None, stack)


def _in_its_charset(answer: Answer) -> Answer:
    """The same with the charset that the page names where the server names none."""
    if answer.charset or not (found := CHARSET.search(answer.content[:LOOKED_AT])):
        return answer
    return dataclasses.replace(answer, charset=found[1].decode())
