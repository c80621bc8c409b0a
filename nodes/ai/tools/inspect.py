"""The tools with which an agent looks at the workspace itself: its flows, its runs and what nodes there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agent.definition import ToolSpec
from agent.tools import Tool
from nodes.ai.tools.base import Bench
from nodes.base import CATEGORIES

RUN_STATUSES, FLOW_STATUSES = ["pending", "running", "success", "failed"], ["draft", "active", "archived"]
MOST_SHOWN = 40_000  # characters: what is told of a run or a flow has bounds of its own, and in half of it little sense
FLOW = {"type": "string", "minLength": 1, "maxLength": 64, "description": "The id of the flow: wf_…"}
RUN = {"type": "string", "minLength": 1, "maxLength": 64, "description": "The id of the run: run_…"}
LIMIT = {"type": "integer", "minimum": 1, "maximum": 100, "description": "How many at most; 20 without it."}
CURSOR = {"type": "string", "maxLength": 500, "description": "The next_cursor of the page before, for the next one."}
AFTER = {"type": "integer", "minimum": 0, "description": "The number of a step, for those after it."}


def runs(spec: ToolSpec, bench: Bench) -> list[Tool]:
    """The tools `list_runs`, `get_run` and `get_run_log`."""
    flow = {**FLOW, "description": "Only those of this flow: wf_…"}
    filters = {"status": _one_of(RUN_STATUSES), "workflow_id": flow, "limit": LIMIT, "cursor": CURSOR}
    look = _Looking(bench)
    return [
        look.tool("list_runs", "List runs of the workspace's flows, the latest first, and why they failed.", filters),
        look.tool(
            "get_run",
            "Show a run: its state, input and output, and its steps with what each gave or why it failed.",
            {"run_id": RUN, "after": AFTER},
            "run_id",
        ),
        look.tool(
            "get_run_log", "Show what a run has logged, the oldest first.", {"run_id": RUN, "cursor": CURSOR}, "run_id"
        ),
    ]


def flows(spec: ToolSpec, bench: Bench) -> list[Tool]:
    """The tools `list_flows`, `get_flow`, `search_nodes`, `describe_node` and `validate_flow`."""
    named = {"type": "string", "maxLength": 200, "description": "Letters of the name."}
    filters = {"search": named, "status": _one_of(FLOW_STATUSES), "limit": LIMIT, "cursor": CURSOR}
    words = {"type": "string", "maxLength": 200, "description": "Words of what it does: send an email."}
    type_ = {"type": "string", "minLength": 1, "maxLength": 64, "description": "The type of the node: http."}
    definition = {"type": "object", "description": "{nodes: [{id, type, config}], edges: [[from, to]]}."}
    look = _Looking(bench)
    return [
        look.tool("list_flows", "List the workspace's flows, the newest first: id, name, status.", filters),
        look.tool("get_flow", "Show a flow and its definition.", {"workflow_id": FLOW}, "workflow_id"),
        look.tool(
            "search_nodes",
            "Find types of nodes that flows can be made of.",
            {"query": words, "category": _one_of(list(CATEGORIES))},
        ),
        look.tool(
            "describe_node", "Show a type of node: what it does, its config and examples.", {"type": type_}, "type"
        ),
        look.tool(
            "validate_flow",
            "Check the definition of a flow and say what is wrong with it and where. Nothing is saved.",
            {"definition": definition},
            "definition",
        ),
    ]


def _one_of(names: list[str]) -> dict[str, Any]:
    return {"type": "string", "enum": names, "description": "Only those."}


class _Looking:
    """Makes tools of what looks at the workspace: each calls the method of its name."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    def tool(self, name: str, description: str, properties: dict[str, Any], *required: str) -> Tool:
        ask: Callable[..., Any] = getattr(self.bench.agents.inspection, name)
        return self.bench.tool(
            name,
            description,
            properties,
            lambda arguments, key: ask(**arguments),
            required=required,
            repeatable=True,
            most=MOST_SHOWN,
        )
