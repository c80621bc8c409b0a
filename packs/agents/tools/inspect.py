"""Inspection of a workspace by the tools of agents and MCP clients: its flows, its runs and the node types."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from constants import RUN_STATUSES, WORKFLOW_STATUSES
from nodes.base import CATEGORIES
from packs.agents.definition import ToolSpec
from packs.agents.runtime.tools import Tool
from packs.agents.tools.base import ToolContext, text

MAX_SHOWN = 40_000  # characters: runs and flows are limited where they are read, and half a JSON text is useless


def _status(*names: str) -> dict[str, Any]:
    return {"type": "string", "enum": list(names), "description": "Only this status"}


FLOW_ID = text("The id of a flow: wf_…", 64)
RUN_ID = text("The id of a run: run_…", 64)
LIMIT = {"type": "integer", "minimum": 1, "maximum": 100, "description": "Maximum number; 20 by default"}
CURSOR = text("next_cursor of the page before", 500, least=0)
AFTER = {"type": "integer", "minimum": 0, "description": "more_after of the previous page of steps"}
DEFINITION = {"type": "object", "description": "{nodes: [{id, type, config}], edges: [[from, to]]}"}


class View(NamedTuple):
    """A tool that only reads: the method with its name of `WorkspaceView`, and the JSON Schemas of its arguments."""

    name: str
    title: str
    description: str
    properties: Mapping[str, Any]
    required: tuple[str, ...] = ()


RUN_VIEWS = (
    View(
        "list_runs",
        "List runs",
        "Lists the workspace's runs, newest first: status, times, and why they failed.",
        {
            "status": _status(*RUN_STATUSES),
            "workflow_id": {**FLOW_ID, "description": "Only runs of this flow: wf_…"},
            "limit": LIMIT,
            "cursor": CURSOR,
        },
    ),
    View(
        "get_run",
        "Get a run",
        "Returns a run with its input, output and steps: each node's output or error. Long values are cut with a note.",
        {"run_id": RUN_ID, "after": AFTER},
        ("run_id",),
    ),
    View(
        "get_run_log",
        "Get the log of a run",
        "Returns the log entries of a run's nodes, oldest first.",
        {"run_id": RUN_ID, "cursor": CURSOR},
        ("run_id",),
    ),
)
FLOW_VIEWS = (
    View(
        "list_flows",
        "List flows",
        "Lists the workspace's flows, newest first: id, name, status and version.",
        {
            "search": text("Part of the name", 200, least=0),
            "status": _status(*WORKFLOW_STATUSES),
            "limit": LIMIT,
            "cursor": CURSOR,
        },
    ),
    View(
        "get_flow",
        "Get a flow",
        "Returns a flow with its definition: nodes with their config, edges, settings.",
        {"workflow_id": FLOW_ID},
        ("workflow_id",),
    ),
    View(
        "search_nodes",
        "Search node types",
        "Finds node types for building a flow by words that describe them.",
        {
            "query": text("Words, such as: send an email", 200, least=0),
            "category": {"type": "string", "enum": list(CATEGORIES), "description": "Only this category"},
        },
    ),
    View(
        "describe_node",
        "Describe a node type",
        "Returns the JSON Schema of a node type's config, its branches and examples.",
        {"type": text("The type, such as: http", 64)},
        ("type",),
    ),
    View(
        "validate_flow",
        "Check a definition",
        "Lists the issues of a flow's definition, with their places. Nothing is stored.",
        {"definition": DEFINITION},
        ("definition",),
    ),
)


def runs(spec: ToolSpec, tool_ctx: ToolContext) -> list[Tool]:
    """Return the tools `list_runs`, `get_run` and `get_run_log`."""
    return [_tool(view, tool_ctx) for view in RUN_VIEWS]


def flows(spec: ToolSpec, tool_ctx: ToolContext) -> list[Tool]:
    """Return the tools `list_flows`, `get_flow`, `search_nodes`, `describe_node` and `validate_flow`."""
    return [_tool(view, tool_ctx) for view in FLOW_VIEWS]


def _tool(view: View, tool_ctx: ToolContext) -> Tool:
    ask: Callable[..., Any] = getattr(tool_ctx.agents.workspace_view, view.name)
    return tool_ctx.tool(
        view.name,
        view.description,
        view.properties,
        lambda arguments, key: ask(**arguments),
        required=view.required,
        repeatable=True,
        most=MAX_SHOWN,
    )
