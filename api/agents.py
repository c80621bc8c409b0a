"""What agents do. What they remember is in memory.py."""

from __future__ import annotations

from typing import Any

from flask import current_app

import templates as files
from api.access import needs, workspace_id
from api.wire import Resource, check_depth
from errors import BadInput, Unavailable
from models import AgentRun
from schemas import AgentLogArgs, AgentRunOut, TaskIn, listed

blueprint = Resource("agent", "Agent runs")


@blueprint.post("/agent/run")
@needs("operator")
@blueprint.arguments(TaskIn)
@blueprint.response(200, AgentRunOut)
def run(body: dict[str, Any]) -> Any:
    """Give an agent a task. Needs a model: 503 while none is configured."""
    agent = files.find_agent(body["agent_id"])
    if agent is None:
        raise BadInput(f"agent_id: there is no agent {body['agent_id']!r}; GET /api/agents lists them")
    check_depth(body["input"], "input")
    if not (body["model"] or agent["model"] or current_app.extensions["headrace"].config.llm_model):
        raise Unavailable("No model is configured: set HEADRACE_LLM_MODEL (such as openai:gpt-5 or ollama:llama3)")
    raise Unavailable("This server cannot run agents yet; HEADRACE_LLM_MODEL has no effect in this version")


@blueprint.get("/agent/logs")
@needs("viewer")
@blueprint.arguments(AgentLogArgs, location="query")
@blueprint.response(200, listed(AgentRunOut))
def logs(args: dict[str, Any]) -> Any:
    """The runs of agents, newest first."""
    items, cursor = AgentRun.page(
        AgentRun.select_where(workspace_id(), args["agent_id"]), args["limit"], args["cursor"]
    )
    return {"items": items, "next_cursor": cursor}
