"""Workflow tools: run flows of the workspace that can be called, one tool for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from errors import NodeError
from packs.agents.definition import ToolSpec
from packs.agents.runtime.tools import PendingResult, Tool
from packs.agents.tools.base import MAX_DESCRIPTION, ToolContext

FLOWS = "flows"  # key in the listings


def tools(spec: ToolSpec, tool_ctx: ToolContext) -> list[Tool]:
    """Return a tool for each callable flow, or for those in `workflows`."""
    if tool_ctx.ctx.flows is None:
        raise NodeError("the tool run_flow: flows cannot be run here", permanent=True)
    wanted = spec.options.get("workflows")
    if FLOWS not in tool_ctx.listings:
        listed = [_list_tools(flow) for flow in tool_ctx.agents.callable_flows()]
        tool_ctx.listings[FLOWS] = listed if wanted is None else _select(listed, wanted)
    return [_tool(flow, tool_ctx) for flow in tool_ctx.listings[FLOWS]]


def _list_tools(flow: Any) -> dict[str, Any]:
    """Return the data of a tool as JSON. With `wrapped`, the flow's input is the argument `input`."""
    return {
        "name": flow.name,
        "title": flow.title,
        "description": flow.description[:MAX_DESCRIPTION],
        "input_schema": flow.input_schema,
        "workflow_id": flow.workflow_id,
        "wrapped": flow.wrapped,
    }


def _select(listed: Sequence[dict[str, Any]], wanted: Sequence[str]) -> list[dict[str, Any]]:
    by_id = {flow["workflow_id"]: flow for flow in listed}
    missing = [id_ for id_ in wanted if id_ not in by_id]
    if missing:
        raise NodeError(f"the tool run_flow: {missing[0]!r} is not an active flow with a called trigger", True)
    return [by_id[id_] for id_ in wanted]


def _tool(flow: Mapping[str, Any], tool_ctx: ToolContext) -> Tool:
    title = flow["title"]

    def call(arguments: dict[str, Any], key: str) -> PendingResult:
        flows = tool_ctx.ctx.flows
        if flows is None:
            raise NodeError("flows cannot be run here", permanent=True)
        if all(known.workflow_id != flow["workflow_id"] for known in tool_ctx.agents.callable_flows()):
            raise NodeError(f"the flow {title!r} cannot be called any more: it was deactivated or deleted", True)
        given = arguments["input"] if flow["wrapped"] else arguments
        run_id = flows.start(tool_ctx.ctx.node_id, flow["workflow_id"], given, True)
        return PendingResult(f"the run {run_id} of {title}", run_id)

    def resume(ended: dict[str, Any]) -> Any:
        if ended["status"] != "success":
            text = f"the run {ended['run_id']} of {title} failed: {ended['error_text']}"
            raise NodeError(text, kind=ended["error_kind"])
        return ended["output"]

    description = f"Run the flow {title!r} and wait for its output. {flow['description']}".strip()
    # The run is committed together with the waiting step, so it never starts twice.
    return tool_ctx.foreign_tool(flow["name"], description, flow["input_schema"], call, repeatable=True, resume=resume)
