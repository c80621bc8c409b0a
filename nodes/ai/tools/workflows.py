"""The tools with which an agent runs flows of the workspace: one for each that others may call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agent.definition import ToolSpec
from agent.tools import Later, Tool
from errors import NodeError
from nodes.ai.tools.base import MOST_DESCRIPTION, Bench

FLOWS = "flows"  # under which they are in the listings


def tools(spec: ToolSpec, bench: Bench) -> list[Tool]:
    """A tool for each flow that may be called, or for those of `workflows`."""
    if bench.ctx.flows is None:
        raise NodeError("the tool run_flow: other flows cannot be run here", permanent=True)
    wanted = spec.options.get("workflows")
    if FLOWS not in bench.listings:
        listed = [_listed(flow) for flow in bench.agents.callable_flows()]
        bench.listings[FLOWS] = listed if wanted is None else _chosen(listed, wanted)
    return [_tool(flow, bench) for flow in bench.listings[FLOWS]]


def _listed(flow: Any) -> dict[str, Any]:
    """What there is to a tool of it, as JSON. With `wrapped`, the flow's input is the argument `input`."""
    return {
        "name": flow.name,
        "title": flow.title,
        "description": flow.description[:MOST_DESCRIPTION],
        "input_schema": flow.input_schema,
        "workflow_id": flow.workflow_id,
        "wrapped": flow.wrapped,
    }


def _chosen(listed: Sequence[dict[str, Any]], wanted: Sequence[str]) -> list[dict[str, Any]]:
    by_id = {flow["workflow_id"]: flow for flow in listed}
    missing = [id_ for id_ in wanted if id_ not in by_id]
    if missing:
        raise NodeError(
            f"the tool run_flow: {missing[0]!r} is not an active flow with the trigger called", permanent=True
        )
    return [by_id[id_] for id_ in wanted]


def _tool(flow: Mapping[str, Any], bench: Bench) -> Tool:
    title = flow["title"]

    def call(arguments: dict[str, Any], key: str) -> Later:
        flows = bench.ctx.flows
        if flows is None:
            raise NodeError("other flows cannot be run here", permanent=True)
        if all(known.workflow_id != flow["workflow_id"] for known in bench.agents.callable_flows()):
            raise NodeError(f"no flow {title!r} can be called any more: it was switched off, or deleted", True)
        given = arguments["input"] if flow["wrapped"] else arguments
        run_id = flows.start(bench.ctx.node_id, flow["workflow_id"], given, True)
        return Later(f"the run {run_id} of {title}", run_id)

    def resume(ended: dict[str, Any]) -> Any:
        if ended["status"] != "success":
            raise NodeError(f"the run {ended['run_id']} of {title} failed: {ended['error_text']}")
        return ended["output"]

    description = f"Run the flow {title!r} and wait for its output. {flow['description']}".strip()
    # The run is on the disk together with the step that waits for it, so it is never started twice.
    return bench.foreign_tool(flow["name"], description, flow["input_schema"], call, repeatable=True, resume=resume)
