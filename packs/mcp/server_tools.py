"""Tools for MCP clients: to inspect flows and runs, to start and cancel runs, and one tool for each callable flow.

This module knows nothing of the protocol except the shape of a tool and of its result.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import orjson

from api.audit import defer_entry
from constants import RUN_STATUSES
from dispatch import Dispatcher, Start, Ticket
from dispatch.payloads import Kept
from errors import NodeError
from packs.agents.services import CallableFlow, WorkspaceView, callable_flow, callable_flows, cut
from packs.agents.tools.toolbox import FLOW_ID, FLOW_VIEWS, RUN_ID, RUN_VIEWS, View
from parsers.json_schema import issues_of

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
