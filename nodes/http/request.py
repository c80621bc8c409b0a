"""HTTP request node. The client is in `client.py`, request bodies in `body.py`, responses in `response.py`, lists over
several pages in `pagination.py`.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from constants import HTTP_CREDENTIALS, HTTP_METHODS
from errors import NodeError
from fields import Schema
from nodes.base import Context, Node, setting
from nodes.fields import anything, choice, credential, flag, headers, number, path, text
from nodes.files.node import check_secrets
from nodes.http import body as bodies
from nodes.http.client import HTTPClient, HttpRequest
from nodes.http.pagination import PageLocation, PageRequests, Pagination
from nodes.http.response import Download, decode

SECONDS = 30.0


def timeout() -> Any:
    """Return the field for the timeout of a request."""
    return number("Seconds until the request fails", 0.1, 300, title="Timeout (seconds)", load_default=SECONDS)


def describe_limit(options: Mapping[str, Any]) -> str:
    """Return the name of the setting that ended the pagination."""
    whole = f"pagination.max_pages ({options['max_pages']})"
    return whole + (f" or max_items ({options['max_items']})" if "max_items" in options else "")


class HTTPRequest(Node):
    """Calls a web service and returns its response: status, headers and body.

    Sends JSON, forms, text and files, waits if the service asks for it (Retry-After), and can collect a list that spans
    several pages.
    """

    type = "http"
    category = "integration"
    title = "HTTP request"
    icon = "world-www"
    also = ("api", "rest", "fetch", "curl", "get", "post", "request", "download", "call")
    pure = False
    examples = (
        {
            "config": {
                "method": "POST",
                "url": "https://api.example.com/orders",
                "credential": "shop",
                "body": {"item": "{{ input.item }}"},
            },
            "input": {"item": "tea"},
            "output": {"status": 201, "headers": {"content-type": "application/json"}, "body": {"id": 7}},
        },
        {
            "config": {
                "url": "https://api.example.com/orders",
                "credential": "shop",
                "pagination": {"type": "cursor", "path": "meta.next", "items": "orders"},
            },
            "input": None,
            "output": {"status": 200, "headers": {}, "body": [{"id": 7}, {"id": 8}], "pages": 2, "truncated": False},
        },
    )

    class Config(Schema):
        method = choice(
            "The HTTP method", {name: name for name in HTTP_METHODS}, literal=False, load_default="GET", title="Method"
        )
        url = text("The URL, starting with http:// or https://", most=8_000, required=True, title="URL")
        query = setting(
            fields.Dict(keys=fields.String()),
            "Parameters to append to the URL. A list repeats its key",
            title="Query parameters",
        )
        headers = headers('The headers: {"Authorization": "Bearer {{ secrets.token }}"}', title="Headers")
        credential = credential("The credential to send with the request", *HTTP_CREDENTIALS, title="Authentication")
        body = anything(
            "The body; without it, none is sent. For the body type file: the path of a file", lines="json", title="Body"
        )
        body_type = choice(
            "The format of the body",
            {"json": "JSON", "form": "Form", "multipart": "Multipart form", "text": "Text", "file": "File"},
            load_default="json",
            title="Body type",
        )
        files = setting(
            fields.Dict(keys=fields.String(), validate=validate.Length(max=bodies.MAX_FILES)),
            'Files of a multipart body by field: {"photo": "shop/tea.jpg"}, or outputs of other nodes',
            title="Files",
        )
        timeout = timeout()
        follow_redirects = flag("Whether to follow redirects", True, title="Follow redirects")
        pagination = setting(
            fields.Nested(Pagination),
            "How to collect a list that spans several pages. The output's body is then the whole list",
            literal=True,
            title="Pagination",
        )
        response = choice(
            "How to read the response",
            {"auto": "Automatic", "json": "JSON", "text": "Text", "file": "Save to file"},
            load_default="auto",
            title="Response format",
        )
        save_to = path(
            "The path of the saved file; with a slash at the end, its folder. Default: downloads/",
            names="folder",
            title="Save to",
        )
        fail_on_status = flag(
            "Whether a response with status 400 or higher fails the node", True, title="Fail on HTTP 4xx/5xx"
        )

        @validates_schema
        def has_pages_of_data(self, data: Mapping[str, Any], **kwargs: Any) -> None:
            """Require JSON for pagination, the only format with items."""
            if data.get("pagination") is not None and data.get("response") in ("text", "file"):
                raise ValidationError("Must be auto or json if pagination is set.", "response")

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        found = ctx.credential(config["credential"], *HTTP_CREDENTIALS) if "credential" in config else None
        client = HTTPClient(ctx, found)
        place = PageLocation(bodies.append_query(config["url"].strip(), config.get("query", {})), config.get("body"))
        if "pagination" in config:
            ask = functools.partial(self.ask_page, config, client)
            given = PageRequests(config["pagination"], place, ask, client.egress_client.max_bytes, found).all()
            if given["truncated"]:
                limit = describe_limit(config["pagination"])
                ctx.log("warning", f"{given['pages']} pages were read; there are more, but the limit is {limit}")
            return given
        download = make_download(config, ctx)
        answer = send(config, client, place, download)
        body = decode(answer, config["response"]) if download is None else download.made
        return {"status": answer.status, "headers": answer.headers, "body": body}

    def ask_page(self, config: dict[str, Any], client: HTTPClient, place: PageLocation, number: int) -> Any:
        """Return the response for one page. Raises: NodeError if the run has to stop."""
        client.ctx.pause(0)
        return send(config, client, place, part=f":{number}" if number > 1 else "")


def send(
    config: Mapping[str, Any], client: HTTPClient, place: PageLocation, save: Download | None = None, part: str = ""
) -> Any:
    """Return the response to one request. `config` has loaded settings of the node; those missing have their default.

    Raises: NodeError if there is none, or it is an error.
    """
    with ExitStack() as stack:
        kind, uploads = config.get("body_type", "json"), config.get("files", {})
        body = bodies.encode(place.body, kind, uploads, client.ctx.files, stack)
        given = config.get("headers", {})
        if kind == "multipart" and any(name.lower() == "content-type" for name in given):
            raise NodeError("the header content-type of a multipart body cannot be set; remove it", permanent=True)
        call = HttpRequest(
            method=config["method"],
            url=place.url,
            seconds=config.get("timeout", SECONDS),
            headers=given,
            body=body,
            follow_redirects=config.get("follow_redirects", True),
            fail_on_error=config.get("fail_on_status", True),
            save=save,
            part=part,
        )
        return client.answer(call)


def make_download(config: dict[str, Any], ctx: Context) -> Download | None:
    """Return the download, or None if the body is part of the output. Items of a `foreach` get distinct names."""
    if config["response"] != "file":
        return None
    check_secrets(ctx, [config.get("save_to", "")])
    index = ctx.scope.get("index")
    return Download(ctx.need_files(), config.get("save_to", ""), "" if index is None else f"{index}-")
