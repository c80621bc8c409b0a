"""Headrace as an MCP server (Model Context Protocol, https://modelcontextprotocol.io/specification), at POST /mcp.

A request is JSON-RPC and is answered as JSON; there is no stream and no state between requests. Both styles of the
protocol are supported: the handshake of versions up to 2025-11-25, and version 2026-07-28, where each request names its
version.
"""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, NamedTuple, TypeAlias

import orjson
from flask import Response, current_app, request
from marshmallow import ValidationError
from werkzeug.exceptions import HTTPException

from api.audit import defer_entry
from api.http.auth import check_role, get_user, get_workspace_id, has_role
from api.http.json_io import check_containers, check_depth, describe_error, get_dispatcher, read_raw, to_unavailable
from api.http.paging import Cursor
from api.webhooks import MAX_KEY_LENGTH
from constants import RUN_STATUSES, VERSION
from database import DatabaseRefused
from dispatch import Dispatcher, Start, Ticket
from dispatch.payloads import Kept
from errors import BadInput, HeadraceError, NodeError, NotJson, Unauthenticated
from packs.agents.services import CallableFlow, WorkspaceView, callable_flow, callable_flows, cut
from packs.agents.tools.toolbox import FLOW_ID, FLOW_VIEWS, RUN_ID, RUN_VIEWS, View
from parsers.json_schema import issues_of

# Tools for MCP clients: to inspect flows and runs, to start and cancel runs, and one tool for each callable flow

VIEWER, OPERATOR = "viewer", "operator"  # the lowest roles for reading and for running
# Some clients stop waiting for a tool after 60 seconds: before that they should learn how to ask for the run.
DEFAULT_WAIT, MAX_WAIT = 50.0, 60.0
MAX_OUTPUT = 50_000  # characters of JSON
MAX_ISSUES = 5


@dataclass(frozen=True)
class ToolCaller:
    """The caller of a tool. `key` is the idempotency key; `deadline` (of `time.monotonic`) ends all waiting."""

    workspace_id: str
    email: str
    dispatcher: Dispatcher
    key: str | None
    deadline: float

    @cached_property
    def view(self) -> WorkspaceView:
        """Return the view of the caller's workspace."""
        return WorkspaceView(self.workspace_id, self.dispatcher.resources)

    def flows(self) -> list[CallableFlow]:
        """Return the flows that are tools."""
        return callable_flows(self.workspace_id, self.dispatcher.resources)


@dataclass(frozen=True, slots=True)
class McpTool:
    """A tool: its description for clients, the lowest role that may use it, and `call(caller, arguments)`."""

    name: str
    title: str
    description: str
    input_schema: Mapping[str, Any]
    role: str
    call: Callable[[ToolCaller, dict[str, Any]], dict[str, Any]]
    hints: Mapping[str, bool]
    output_schema: Mapping[str, Any] | None = None
    flow: CallableFlow | None = None

    def check(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments. Raises: NodeError if they violate the schema. A flow validates its own input."""
        issues = [] if self.flow is not None else issues_of(self.input_schema, arguments)
        if issues:
            problems = "; ".join(f"{issue['path'] or 'arguments'}: {issue['message']}" for issue in issues[:MAX_ISSUES])
            raise NodeError(f"{self.name} does not accept these arguments: {problems}", permanent=True)
        return arguments

    def describe(self) -> dict[str, Any]:
        """Return its entry in the list of tools."""
        entry = {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "inputSchema": self.input_schema,
            "annotations": {"title": self.title, **self.hints},
        }
        return entry if self.output_schema is None else {**entry, "outputSchema": self.output_schema}


def make_result(value: dict[str, Any], is_error: bool = False) -> dict[str, Any]:
    """Return the result of a call: the value as data, and as text for clients that only read text."""
    text = orjson.dumps(value).decode()
    return {"content": [{"type": "text", "text": text}], "structuredContent": value, "isError": is_error}


# Runs


def _run_flow(caller: ToolCaller, arguments: dict[str, Any]) -> dict[str, Any]:
    flow = caller.view.flow(arguments["workflow_id"])
    wait = arguments.get("wait", DEFAULT_WAIT)
    start = Start(flow, arguments.get("input"), "manual", key=caller.key, is_awaited=wait > 0)
    return _wait_for(caller, caller.dispatcher.submit(start), wait)


def _call_flow(called: CallableFlow, caller: ToolCaller, arguments: dict[str, Any]) -> dict[str, Any]:
    flow = caller.view.flow(called.workflow_id)
    given = called.input_of(arguments)
    ticket = caller.dispatcher.submit(Start(flow, given, "manual", called.trigger_node, caller.key))
    return _wait_for(caller, ticket, DEFAULT_WAIT)


def _wait_for(caller: ToolCaller, ticket: Ticket, wait: float) -> dict[str, Any]:
    """Wait for the run. Return its result, or a note that it is still active."""
    run = caller.dispatcher.waiting.wait_for_agent(ticket, max(0.0, min(wait, caller.deadline - time.monotonic())))
    error = None if run.error_text is None else cut(run.error_text)
    output = caller.view.value(run.id, "output", Kept(run.output, run.output_bytes), MAX_OUTPUT)
    result: dict[str, Any] = {"run_id": run.id, "status": run.status, "output": output, "error_text": error}
    if run.finished_at is None:
        state = f"waits for {run.waiting}" if run.waiting else "has not finished"
        result["note"] = f"The run {run.id} {state}; call get_run later."
    return make_result(result, is_error=run.status == "failed")


def _cancel_run(caller: ToolCaller, arguments: dict[str, Any]) -> dict[str, Any]:
    found = caller.view.run(arguments["run_id"])
    run = caller.dispatcher.cancel(found, caller.email, defer_entry("run.cancelled"))
    return make_result({"run_id": run.id, "status": run.status, "error_text": run.error_text})


# The list of tools


# A flow may do anything.
ACTS = {"readOnlyHint": False, "destructiveHint": True, "idempotentHint": False, "openWorldHint": True}
RUN = {
    "type": "object",
    "properties": {
        "run_id": {"type": "string"},
        "status": {"type": "string", "enum": list(RUN_STATUSES)},
        "output": {"description": "The output of the flow; null until it has ended"},
        "error_text": {"type": ["string", "null"]},
        "note": {"type": "string", "description": "If the run has not ended: the reason"},
    },
    "required": ["run_id", "status", "output", "error_text"],
}


def _make_object_schema(properties: Mapping[str, Any], *required: str) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def _make_inspection_tool(view: View) -> McpTool:
    def call(caller: ToolCaller, arguments: dict[str, Any]) -> dict[str, Any]:
        return make_result(getattr(caller.view, view.name)(**arguments))

    hints = {"readOnlyHint": True, "openWorldHint": False}
    takes = _make_object_schema(view.properties, *view.required)
    return McpTool(view.name, view.title, view.description, takes, VIEWER, call, hints)


TOOLS = (
    *map(_make_inspection_tool, FLOW_VIEWS[:2]),
    McpTool(
        "run_flow",
        "Run a flow",
        "Runs a flow with any input and waits for the result. For a flow with a flow_… tool, use that tool.",
        _make_object_schema(
            {
                "workflow_id": FLOW_ID,
                "input": {"description": "The input, any JSON"},
                "wait": {
                    "type": "number", "minimum": 0, "maximum": MAX_WAIT,
                    "description": f"Seconds to wait for the result; default {DEFAULT_WAIT:g}",
                },
            },
            "workflow_id",
        ),
        OPERATOR, _run_flow, ACTS, RUN,
    ),
    *map(_make_inspection_tool, RUN_VIEWS),
    McpTool(
        "cancel_run",
        "Cancel a run",
        "Cancels an unfinished run. Effects of its completed nodes remain.",
        _make_object_schema({"run_id": RUN_ID}, "run_id"),
        OPERATOR, _cancel_run,
        {"readOnlyHint": False, "destructiveHint": True, "idempotentHint": True, "openWorldHint": False},
    ),
    *map(_make_inspection_tool, FLOW_VIEWS[2:]),
)  # fmt: skip


def make_tool(flow: CallableFlow) -> McpTool:
    """Return a flow as a tool."""
    call = partial(_call_flow, flow)
    return McpTool(flow.name, flow.title, flow.description, flow.input_schema, OPERATOR, call, ACTS, RUN, flow)


def find(name: str, caller: ToolCaller) -> McpTool | None:
    """Return the tool with this name, for any role."""
    ours = next((tool for tool in TOOLS if tool.name == name), None)
    if ours is not None or not name.startswith("flow_"):
        return ours
    flow = callable_flow(caller.workspace_id, caller.dispatcher.resources, name)
    return None if flow is None else make_tool(flow)


HANDSHAKE = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
LATEST = "2026-07-28"
# The only version with batches; its clients do not send a version header.
UNNAMED = "2025-03-26"
MAX_MESSAGES = 50
PAGE_SIZE = 100  # tools
MAX_SECONDS = 60.0  # total wait of all calls in a request

PARSE_ERROR, INVALID_REQUEST, NO_METHOD, INVALID_PARAMS, INTERNAL = -32700, -32600, -32601, -32602, -32603
MISMATCH, UNSUPPORTED = -32020, -32022
# Status codes required by 2026-07-28; in earlier versions, only malformed requests have another status than 200.
STATUSES = {NO_METHOD: 404, INTERNAL: 200}

META = "io.modelcontextprotocol/"
SERVER = {"name": "headrace", "title": "Headrace", "version": VERSION}
INSTRUCTIONS = (
    "Headrace runs workflows. Each flow_… tool runs one workflow and waits for its result; run_flow runs any other. "
    "A run that takes longer goes on by itself: look at it with get_run. To find out why a run failed, use get_run and "
    "get_run_log. search_nodes, describe_node and validate_flow help to write a workflow's definition."
)
ABILITIES = {"capabilities": {"tools": {}}, "instructions": INSTRUCTIONS}
CURSOR = Cursor()


class RpcError(Exception):
    """A JSON-RPC request that fails with an error."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code, self.message, self.data = code, message, data


class Request(NamedTuple):
    """One request: its params and its caller."""

    params: dict[str, Any]
    caller: ToolCaller


Method: TypeAlias = Callable[[Request], Mapping[str, Any]]


# HTTP


def answer() -> Response:
    """Answer one JSON-RPC message, or a batch if the version has them."""
    if not request.is_json:
        raise NotJson("The message must be JSON with the header Content-Type: application/json")
    version = request.headers.get("MCP-Protocol-Version", UNNAMED)
    raw = read_raw(request)
    check_containers(raw, "the message")
    try:
        message = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        return _respond(_make_error(None, RpcError(PARSE_ERROR, f"The message is not JSON: {error}")), 400)
    check_depth(message, "the message")
    if isinstance(message, list) and version == UNNAMED and 0 < len(message) <= MAX_MESSAGES:
        replies = [reply for reply in map(_reply_to_handshake, message) if reply is not None]
        return _respond(replies) if replies else Response(status=202)
    if not isinstance(message, dict):
        return _respond(_make_error(None, RpcError(INVALID_REQUEST, "The body must be one JSON-RPC message")), 400)
    reply = _reply_to_handshake(message) if version in HANDSHAKE else _reply_to_latest(message, version)
    if reply is None:
        return Response(status=202)
    code = reply.get("error", {}).get("code")
    is_plain = code is None or (version in HANDSHAKE and code != INVALID_REQUEST)
    return _respond(reply, 200 if is_plain else STATUSES.get(code, 400))


def answer_error(error: Exception) -> Response:
    """Return the JSON-RPC error for a failure before the message was read, with its HTTP status."""
    if isinstance(error, HeadraceError):
        status, text = error.status, error.message
    elif isinstance(error, HTTPException):
        status, text = error.code or 500, describe_error(error)
    else:
        status, text = 500, "Internal error; the server's log has the details"
    response = _respond(_make_error(None, RpcError(INVALID_REQUEST if status < 500 else INTERNAL, text)), status)
    if isinstance(error, Unauthenticated):
        response.headers["WWW-Authenticate"] = 'Bearer realm="Headrace"'
    if isinstance(error, HeadraceError) and error.retry_after is not None:
        response.headers["Retry-After"] = str(error.retry_after)
    return response


def _respond(value: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(value), status, mimetype="application/json")


# JSON-RPC


def _reply_to_handshake(message: Any) -> dict[str, Any] | None:
    """Return the reply to a message of the handshake versions; None for a notification or a response."""
    if isinstance(message, dict) and "method" not in message and message.keys() & {"result", "error"}:
        return None  # a response, although this server sends no requests
    return _make_reply(message, lambda: _call_method(message, HANDSHAKE_METHODS))


def _reply_to_latest(message: dict[str, Any], version: str) -> dict[str, Any] | None:
    """Return the reply to a message of the latest version, in which each result has a type."""

    def result() -> dict[str, Any]:
        _check_envelope(message, version)
        found = _call_method(message, LATEST_METHODS)
        return {**found, "resultType": "complete", "_meta": {f"{META}serverInfo": SERVER}}

    if "id" not in message and version != LATEST:
        return _make_error(None, _make_version_error(version))
    return _make_reply(message, result)


def _make_reply(message: Any, result: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
    """Return the reply with this result or its error; None for a notification."""
    id_ = message.get("id") if isinstance(message, dict) else None
    try:
        if (
            not isinstance(message, dict)
            or message.get("jsonrpc") != "2.0"
            or not isinstance(message.get("method"), str)
        ):
            raise RpcError(INVALID_REQUEST, 'A message must be an object with "jsonrpc": "2.0" and a method')
        if "id" not in message:
            return None
        if not _is_id(id_):
            raise RpcError(INVALID_REQUEST, "The id of a request must be text or a whole number")
        return {"jsonrpc": "2.0", "id": id_, "result": result()}
    except RpcError as error:
        return _make_error(id_ if _is_id(id_) else None, error)
    except Exception as error:
        current_app.logger.exception("the method %.100r of MCP failed", message["method"])
        text = "Internal error; the server's log has the details"
        if isinstance(error, DatabaseRefused):
            text = to_unavailable(error).message
        return _make_error(id_, RpcError(INTERNAL, text))


def _is_id(id_: Any) -> bool:
    return isinstance(id_, int | str) and not isinstance(id_, bool)


def _make_error(id_: Any, error: RpcError) -> dict[str, Any]:
    body = {"code": error.code, "message": error.message}
    return {"jsonrpc": "2.0", "id": id_, "error": body if error.data is None else {**body, "data": error.data}}


def _call_method(message: dict[str, Any], methods: Mapping[str, Method]) -> dict[str, Any]:
    method = methods.get(message["method"])
    if method is None:
        raise RpcError(NO_METHOD, f"There is no method {message['method'][:100]!r}")
    params = {} if message.get("params") is None else message["params"]
    if not isinstance(params, dict):
        raise RpcError(INVALID_PARAMS, "params must be an object")
    # When all calls of the request must stop waiting, on the clock of `time.monotonic`.
    deadline: float = request.environ.setdefault("headrace.deadline", time.monotonic() + MAX_SECONDS)
    key = _read_idempotency_key(params)
    caller = ToolCaller(get_workspace_id(), get_user().email, get_dispatcher(), key, deadline)
    return dict(method(Request(params, caller)))


def _read_idempotency_key(params: dict[str, Any]) -> str | None:
    """Return the idempotency key of a call: from `_meta`, else from the header."""
    meta = params.get("_meta")
    key = meta.get("idempotency-key") if isinstance(meta, dict) else None
    key = request.headers.get("Idempotency-Key") if key is None else key
    if key is not None and (not isinstance(key, str) or not 0 < len(key) <= MAX_KEY_LENGTH):
        raise RpcError(INVALID_PARAMS, f"idempotency-key: must be text of 1 to {MAX_KEY_LENGTH} characters")
    return None if key is None else f"mcp:{key}"


# The envelope of the latest version


def _check_envelope(message: dict[str, Any], version: str) -> None:
    """Check that `_meta` is complete, that its version is supported, and that the headers match the message."""
    params = message.get("params")
    meta = params.get("_meta") if isinstance(params, dict) else None
    needed = [f"{META}protocolVersion", f"{META}clientCapabilities"]
    if not isinstance(params, dict) or not isinstance(meta, dict) or any(key not in meta for key in needed):
        if version != LATEST:
            raise _make_version_error(version)
        raise RpcError(INVALID_PARAMS, f"params._meta must have {' and '.join(needed)}")
    expected = {"MCP-Protocol-Version": meta[needed[0]], "Mcp-Method": message["method"]}
    if message["method"] == "tools/call" and params.get("name") is not None:
        expected["Mcp-Name"] = params["name"]
    for header, value in expected.items():
        if _read_header(header) != value:
            raise RpcError(MISMATCH, f"The header {header} does not match the message")
    if version != LATEST:
        raise _make_version_error(version)


def _make_version_error(version: str) -> RpcError:
    supported = [*HANDSHAKE, LATEST]
    return RpcError(UNSUPPORTED, "Unsupported protocol version", {"supported": supported, "requested": version[:100]})


def _read_header(name: str) -> str | None:
    """Return the header's value, decoded if it is in base64: `=?base64?…?=`."""
    text = request.headers.get(name)
    if text is None or not text.startswith("=?base64?") or not text.endswith("?="):
        return text
    try:
        return base64.b64decode(text[9:-2], validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None


# Methods


def _initialize(rpc: Request) -> dict[str, Any]:
    wanted = rpc.params.get("protocolVersion")
    if not isinstance(wanted, str):
        raise RpcError(INVALID_PARAMS, "protocolVersion must be text")
    version = wanted if wanted in HANDSHAKE else HANDSHAKE[-1]
    return {"protocolVersion": version, "serverInfo": SERVER, **ABILITIES}


def _list_tools(rpc: Request) -> dict[str, Any]:
    """Return a page of the tools that the caller's role may use: built-in tools, then flows, oldest first."""
    cursor = rpc.params.get("cursor")
    try:
        after = None if cursor is None else CURSOR.deserialize(cursor)
    except ValidationError:
        raise RpcError(
            INVALID_PARAMS, "cursor: is not a cursor from this server; use the nextCursor of a result"
        ) from None
    tools = [tool for tool in TOOLS if after is None and has_role(tool.role, rpc.caller.workspace_id)]
    flows = rpc.caller.flows() if has_role(OPERATOR, rpc.caller.workspace_id) else []
    left = [flow for flow in flows if after is None or flow.workflow_id > after]
    room = PAGE_SIZE - len(tools)
    shown = [tool.describe() for tool in (*tools, *map(make_tool, left[:room]))]
    more = {"nextCursor": CURSOR.serialize("at", {"at": left[room - 1].workflow_id})} if len(left) > room else {}
    return {"tools": shown, **more}


def _call_tool(rpc: Request) -> dict[str, Any]:
    """Call a tool. Its errors are results, so that a model can read and correct them."""
    name, arguments = rpc.params.get("name"), rpc.params.get("arguments")
    if not isinstance(name, str) or not isinstance(arguments, dict | None):
        raise RpcError(INVALID_PARAMS, "name must be text and arguments an object")
    tool = find(name, rpc.caller)
    if tool is None:
        raise RpcError(INVALID_PARAMS, f"There is no tool {name[:100]!r}")
    try:
        check_role(rpc.caller.workspace_id, tool.role)
        return tool.call(rpc.caller, tool.check(arguments or {}))
    except (HeadraceError, NodeError) as error:
        details = error.details if isinstance(error, BadInput) else ()
        text = "\n".join([error.message, *(str(issue) for issue in details[:20])])
        return {"content": [{"type": "text", "text": cut(text)}], "isError": True}


HANDSHAKE_METHODS: dict[str, Method] = {
    "initialize": _initialize,
    "ping": lambda rpc: {},
    "tools/list": _list_tools,
    "tools/call": _call_tool,
}
LATEST_METHODS: dict[str, Method] = {
    "server/discover": lambda rpc: {
        "supportedVersions": [LATEST],
        **ABILITIES,
        "ttlMs": 3_600_000,
        "cacheScope": "private",
    },
    # Flows are activated and deactivated at any time.
    "tools/list": lambda rpc: {**_list_tools(rpc), "ttlMs": 0, "cacheScope": "private"},
    "tools/call": _call_tool,
}
