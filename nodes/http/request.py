"""HTTP request nodes. The client is in `client.py`, bodies of requests and responses in `body.py`, lists over
several pages in `pagination.py`.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from constants import HTTP_CREDENTIALS, HTTP_METHODS
from errors import ErrorKind, MalformedData, NodeError
from fields import Schema
from nodes.base import Context, Node, setting
from nodes.fields import anything, choice, credential, flag, headers, number, path, text, text_of
from nodes.files.node import check_secrets
from nodes.http import body as bodies
from nodes.http.body import ERROR_SHOWN, Download, decode, encode_data, parse_json
from nodes.http.client import HTTPClient, HttpRequest
from nodes.http.pagination import PageLocation, PageRequests, Pagination

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
                "query": {"notify": "true"},
                "headers": {"X-Order-Source": "form"},
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
        body = anything("The body (optional). For the body type File: the path of the file", lines="json", title="Body")
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
        follow_redirects = flag("Continue at the address that a redirect names", True, title="Follow redirects")
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
        fail_on_status = flag("Fail if the response has status 400 or higher", True, title="Fail on HTTP 4xx/5xx")

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


ACCEPT = "application/graphql-response+json, application/json"
# Values of `extensions.code` or `type` for transient errors.
TRANSIENT = {
    *("THROTTLED", "RATE_LIMITED", "MAX_COST_EXCEEDED", "INTERNAL_SERVER_ERROR", "SERVICE_UNAVAILABLE", "TIMEOUT"),
}
ERRORS_SHOWN = 3


class GraphQL(Node):
    """Calls a GraphQL service and returns the data of its response. Values are passed as variables only."""

    type = "graphql"
    category = "integration"
    title = "GraphQL"
    icon = "affiliate"
    also = ("gql", "query", "api")
    pure = False
    examples = (
        {
            "config": {
                "url": "https://api.example.com/graphql",
                "credential": "shop",
                "query": "query ($id: ID!) { order(id: $id) { total } }",
                "variables": {"id": "{{ input.order }}"},
            },
            "input": {"order": "7"},
            "output": {"order": {"total": 12.5}},
        },
    )

    class Config(Schema):
        url = text("The URL, starting with http:// or https://", most=8_000, required=True, title="URL")
        query = text(
            "The query or mutation: { orders { id total } }",
            literal=True,
            required=True,
            instead="write $name there, and give its value in variables",
            lines="",
            title="Query",
        )
        variables = setting(
            fields.Dict(keys=fields.String()),
            'The variables of the query: {"id": "{{ input.id }}"}',
            lines="json",
            title="Variables",
        )
        operation_name = text("The operation to execute, if the query has several", most=200, title="Operation name")
        headers = headers('Additional headers: {"X-Shop": "{{ vars.shop }}"}', title="Headers")
        credential = credential("The credential to send with the request", *HTTP_CREDENTIALS, title="Authentication")
        timeout = timeout()
        fail_on_errors = flag(
            "Fail if the response contains errors. If off, the output is {data, errors}",
            True,
            title="Fail on errors",
        )

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        found = ctx.credential(config["credential"], *HTTP_CREDENTIALS) if "credential" in config else None
        url = config["url"].strip()
        asked = {"query": config["query"]}
        asked |= {"variables": config["variables"]} if "variables" in config else {}
        asked |= {"operationName": config["operation_name"]} if config.get("operation_name") else {}
        given = config.get("headers", {})
        if not any(name.lower() == "accept" for name in given):
            given = {"Accept": ACCEPT, **given}
        call = HttpRequest("POST", url, config["timeout"], given, encode_data(asked, "json"))
        answer = HTTPClient(ctx, found).answer(call)
        data, errors = split_response(parse_json(answer), answer.who)
        if not config["fail_on_errors"]:
            return {"data": data, "errors": errors}
        if errors:
            raise to_node_error(errors, answer.who)
        return data


def split_response(said: Any, who: str) -> tuple[Any, list[Any]]:
    """Return the data and the errors of a response. Raises: NodeError if it has neither."""
    if not isinstance(said, dict) or not ("data" in said or "errors" in said):
        raise MalformedData(f"{who} did not return a GraphQL response: it has neither data nor errors")
    errors = said.get("errors") or []
    return said.get("data"), errors if isinstance(errors, list) else [errors]


def to_node_error(errors: list[Any], who: str) -> NodeError:
    """Return the error with the first messages."""
    shown = "; ".join(map(describe_error, errors[:ERRORS_SHOWN]))
    more = f" (and {len(errors) - ERRORS_SHOWN} more)" if len(errors) > ERRORS_SHOWN else ""
    is_transient = any(code_of(error) in TRANSIENT for error in errors)
    kind: ErrorKind = "remote" if is_transient else "refused"
    return NodeError(f"{who} returned errors: {shown}{more}", not is_transient, kind=kind)


def describe_error(error: Any) -> str:
    """Return an error's message and its path in the data: `no such order (order.items.0)`."""
    if not isinstance(error, dict):
        return text_of(error)[:ERROR_SHOWN]
    message = text_of(error.get("message", "an error without a message"))[:ERROR_SHOWN]
    path = error.get("path")
    return f"{message} ({'.'.join(map(str, path))[:ERROR_SHOWN]})" if isinstance(path, list) and path else message


def code_of(error: Any) -> str:
    """Return the error code of a service; empty if it gives none."""
    if not isinstance(error, dict):
        return ""
    extensions = error.get("extensions")
    code = extensions.get("code") if isinstance(extensions, dict) else error.get("type")
    return code if isinstance(code, str) else ""
