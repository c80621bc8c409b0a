"""The tools that MCP clients are offered: to look at flows and runs, to start and cancel runs, and flows as such.

Nothing here knows of the protocol but for the shape of a tool and of its result.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson

from api.audit import noted
from dispatch import Dispatcher, Ticket
from dispatch.agents.callable_workflows import CallableFlow, callable_flow, callable_flows
from dispatch.agents.workspace_view import FLOW_STATUSES, MOST, Inspection, cut
from dispatch.payloads import Kept
from errors import NodeError
from json_schema import issues_of
from models import RUN_STATUSES, Run
from nodes.base import CATEGORIES

LOOKS, RUNS = "viewer", "operator"  # the least roles
# Some clients give a tool 60 seconds: by then they should know how to ask for the run.
USUAL_WAIT, LONGEST_WAIT = 50.0, 60.0
LARGEST_OUTPUT = 50_000  # characters of JSON
MOST_ISSUES = 5


@dataclass(frozen=True)
class Caller:
    """For whom a tool works. `key` marks the call, `deadline` (of `time.monotonic`) is when all waiting ends."""

    workspace_id: str
    email: str
    dispatcher: Dispatcher
    key: str | None
    deadline: float

    @cached_property
    def look(self) -> Inspection:
        """At the workspace."""
        return Inspection(self.workspace_id, self.dispatcher)

    def flows(self) -> list[CallableFlow]:
        """Those that are tools."""
        return callable_flows(self.workspace_id, self.dispatcher)


@dataclass(frozen=True, slots=True)
class Tool:
    """What a client is told of a tool, the least role that may use it, and `call(caller, arguments)`, its result."""

    name: str
    title: str
    description: str
    input_schema: Mapping[str, Any]
    role: str
    call: Callable[[Caller, dict[str, Any]], dict[str, Any]]
    hints: Mapping[str, bool]
    output_schema: Mapping[str, Any] | None = None
    flow: CallableFlow | None = None

    def checked(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """The arguments; NodeError where the schema does not take them. A flow has its own to say of its input."""
        issues = [] if self.flow is not None else issues_of(self.input_schema, arguments)
        if issues:
            told = "; ".join(f"{issue['path'] or 'arguments'}: {issue['message']}" for issue in issues[:MOST_ISSUES])
            raise NodeError(f"{self.name} does not take these arguments: {told}", permanent=True)
        return arguments

    def shown(self) -> dict[str, Any]:
        """As it stands in a list."""
        told = {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "inputSchema": self.input_schema,
            "annotations": {"title": self.title, **self.hints},
        }
        return told if self.output_schema is None else {**told, "outputSchema": self.output_schema}


def result(value: dict[str, Any], is_error: bool = False) -> dict[str, Any]:
    """The result of a call: the value as data, and as text for clients that only know that."""
    text = orjson.dumps(value).decode()
    return {"content": [{"type": "text", "text": text}], "structuredContent": value, "isError": is_error}


# Runs


def _run_flow(caller: Caller, arguments: dict[str, Any]) -> dict[str, Any]:
    flow = caller.look.flow(arguments["workflow_id"])
    ticket = caller.dispatcher.submit(flow, arguments.get("input"), "manual", key=caller.key)
    return _ended(caller, ticket, arguments.get("wait", USUAL_WAIT))


def _call_flow(caller: Caller, called: CallableFlow, arguments: dict[str, Any]) -> dict[str, Any]:
    flow = caller.look.flow(called.workflow_id)
    given = called.input_of(arguments)
    ticket = caller.dispatcher.submit(flow, given, "manual", called.trigger_node, key=caller.key)
    return _ended(caller, ticket, USUAL_WAIT)


def _ended(caller: Caller, ticket: Ticket, wait: float) -> dict[str, Any]:
    """What came of a run, or that it goes on."""
    run = caller.dispatcher.wait_long(ticket, max(0.0, min(wait, caller.deadline - time.monotonic())))
    why = None if run.error_text is None else cut(run.error_text)
    told = {"run_id": run.id, "status": run.status, "output": _output(caller, run), "error_text": why}
    if run.finished_at is None:
        state = f"waits for {run.waiting}" if run.waiting else "has not ended"
        told["note"] = f"The run {run.id} {state}; ask get_run for it later."
    return result(told, is_error=run.status == "failed")


def _output(caller: Caller, run: Run) -> Any:
    return caller.look.value(run.id, "output", Kept(run.output, run.output_bytes), LARGEST_OUTPUT)


def _cancel_run(caller: Caller, arguments: dict[str, Any]) -> dict[str, Any]:
    found = caller.look.run(arguments["run_id"])
    run = caller.dispatcher.cancel(found, caller.email, noted("run.cancelled"))
    return result({"run_id": run.id, "status": run.status, "error_text": run.error_text})


# The list


def _looking(name: str) -> Callable[[Caller, dict[str, Any]], dict[str, Any]]:
    """A call of what `Inspection` has under this name."""

    def call(caller: Caller, arguments: dict[str, Any]) -> dict[str, Any]:
        return result(getattr(caller.look, name)(**arguments))

    return call


def _takes(required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def _text(description: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "maxLength": 200, "description": description, **more}


LIMIT = {"type": "integer", "minimum": 1, "maximum": MOST, "description": "Maximum number; 20 by default"}
PAGE = _text("next_cursor of the page before")
FLOW_ID, RUN_ID = _text("The id of a flow: wf_…"), _text("The id of a run: run_…")
READS = {"readOnlyHint": True, "openWorldHint": False}
# Nobody knows what a flow does.
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


def _look(name: str, title: str, description: str, takes: dict[str, Any]) -> Tool:
    return Tool(name, title, description, takes, LOOKS, _looking(name), READS)


TOOLS = (
    _look(
        "list_flows",
        "List flows",
        "Lists the workspace's flows, newest first: id, name, status and version.",
        _takes(
            search=_text("Letters of the name"), status=_text("Their status", enum=list(FLOW_STATUSES)),
            limit=LIMIT, cursor=PAGE,
        ),
    ),
    _look(
        "get_flow",
        "Get a flow",
        "Gives a flow with its definition: nodes with their config, edges, settings.",
        _takes(("workflow_id",), workflow_id=FLOW_ID),
    ),
    Tool(
        "run_flow",
        "Run a flow",
        "Runs a flow with an input of any kind, and waits for its end. For flows that have a flow_… tool, use that.",
        _takes(
            ("workflow_id",), workflow_id=FLOW_ID, input={"description": "The input, any JSON"},
            wait={
                "type": "number", "minimum": 0, "maximum": LONGEST_WAIT,
                "description": f"Seconds to wait for the end; {USUAL_WAIT:g} where it is not given",
            },
        ),
        RUNS, _run_flow, ACTS, RUN,
    ),
    _look(
        "list_runs",
        "List runs",
        "Lists the workspace's runs, newest first: status, times, and why they failed.",
        _takes(
            status=_text("Their status", enum=list(RUN_STATUSES)), workflow_id=FLOW_ID, limit=LIMIT, cursor=PAGE,
        ),
    ),
    _look(
        "get_run",
        "Get a run",
        "Gives a run with its input, its output and its steps: what each node gave, or why it failed. "
        "Long values are cut, and say so.",
        _takes(
            ("run_id",), run_id=RUN_ID,
            after={"type": "integer", "minimum": 0, "description": "more_after of the page of steps before"},
        ),
    ),
    _look(
        "get_run_log",
        "Get the log of a run",
        "Gives what the nodes of a run wrote into its log, oldest first.",
        _takes(("run_id",), run_id=RUN_ID, cursor=PAGE),
    ),
    Tool(
        "cancel_run",
        "Cancel a run",
        "Cancels a run that has not ended. What its nodes have done so far stays done.",
        _takes(("run_id",), run_id=RUN_ID),
        RUNS, _cancel_run,
        {"readOnlyHint": False, "destructiveHint": True, "idempotentHint": True, "openWorldHint": False},
    ),
    _look(
        "search_nodes",
        "Search node types",
        "Finds the node types that a flow can be built of, by words of what they do.",
        _takes(
            query=_text("Words: send an email"), category=_text("Only of this category", enum=list(CATEGORIES)),
        ),
    ),
    _look(
        "describe_node",
        "Describe a node type",
        "Gives the JSON Schema of a node type's config, its branches and examples.",
        _takes(("type",), type=_text("The type: http")),
    ),
    _look(
        "validate_flow",
        "Check a definition",
        "Says what is wrong with a flow's definition, and where. Nothing is kept.",
        _takes(
            ("definition",),
            definition={"type": "object", "description": "{nodes: [{id, type, config}], edges: [[from, to]]}"},
        ),
    ),
)  # fmt: skip


def tool_of(flow: CallableFlow) -> Tool:
    """The flow as a tool."""

    def call(caller: Caller, arguments: dict[str, Any]) -> dict[str, Any]:
        return _call_flow(caller, flow, arguments)

    return Tool(flow.name, flow.title, flow.description, flow.input_schema, RUNS, call, ACTS, RUN, flow)


def find(name: str, caller: Caller) -> Tool | None:
    """The tool of this name, whoever may use it."""
    ours = next((tool for tool in TOOLS if tool.name == name), None)
    if ours is not None or not name.startswith("flow_"):
        return ours
    flow = callable_flow(caller.workspace_id, caller.dispatcher, name)
    return None if flow is None else tool_of(flow)
