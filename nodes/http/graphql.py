"""GraphQL node, over HTTP."""

from __future__ import annotations

from typing import Any

from marshmallow import fields

from constants import HTTP_CREDENTIALS
from errors import ErrorKind, MalformedData, NodeError
from fields import Schema
from nodes.base import Context, Node, setting
from nodes.fields import credential, flag, headers, text, text_of
from nodes.http.body import encode_data
from nodes.http.client import HTTPClient, HttpRequest
from nodes.http.request import timeout
from nodes.http.response import ERROR_SHOWN, parse_json

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
            "Whether errors in the response fail the node. If not, the output is {data, errors}",
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
