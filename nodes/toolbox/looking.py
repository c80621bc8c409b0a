"""The tools with which an agent looks at the workspace itself: its flows, its runs and what nodes there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agent.tools import Tool
from nodes.toolbox.making import Bench, Spec

STATUSES = ("pending", "running", "success", "failed")
MOST_RUNS = 100
FLOW = {"type": "string", "minLength": 1, "maxLength": 64, "description": "The id of the workflow: wf_…"}
RUN = {"type": "string", "minLength": 1, "maxLength": 64, "description": "The id of the run: run_…"}


def runs(spec: Spec, bench: Bench) -> list[Tool]:
    """The tools `list_runs`, `get_run` and `get_run_log`."""
    filters = {
        "status": {"type": "string", "enum": list(STATUSES), "description": "Only those in this state."},
        "workflow_id": {**FLOW, "description": "Only those of this workflow: wf_…"},
        "limit": {"type": "integer", "minimum": 1, "maximum": MOST_RUNS, "description": "How many at most."},
    }
    return [
        _tool(bench, "list_runs", "List runs of the workspace's flows, the latest first.", filters),
        _tool(bench, "get_run", "Show a run: its state, its steps with their errors, its output.", {"run_id": RUN}),
        _tool(bench, "get_run_log", "Show what a run has logged, in order.", {"run_id": RUN}),
    ]


def flows(spec: Spec, bench: Bench) -> list[Tool]:
    """The tools `list_flows`, `get_flow`, `search_nodes`, `describe_node` and `validate_flow`."""
    words = {"type": "string", "maxLength": 200, "description": "Words that occur in them; all without it."}
    type_ = {"type": "string", "minLength": 1, "maxLength": 64, "description": "The type of the node, such as http."}
    definition = {"type": "object", "description": "The definition: {nodes: [{id, type, config}], edges: […]}."}
    return [
        _tool(bench, "list_flows", "List the workspace's flows: id, name, status.", {}),
        _tool(bench, "get_flow", "Show a flow and its definition.", {"workflow_id": FLOW}),
        _tool(bench, "search_nodes", "Find types of nodes that flows can be made of.", {"query": words}, optional=True),
        _tool(bench, "describe_node", "Show a type of node: what it does, its settings, examples.", {"type": type_}),
        _tool(
            bench,
            "validate_flow",
            "Check the definition of a flow and list what is wrong with it; nothing is saved.",
            {"definition": definition},
        ),
    ]


def _tool(bench: Bench, name: str, description: str, properties: dict[str, Any], optional: bool = False) -> Tool:
    """A tool of the inspection that has this name; those with filters need none of their arguments."""
    ask: Callable[..., Any] = getattr(bench.agents.inspection, name)
    required = [] if optional or name.startswith("list_") else list(properties)
    return bench.tool(
        name, description, properties, lambda arguments, key: ask(**arguments), required=required, repeatable=True
    )
