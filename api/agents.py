"""What agents do. What they remember is in memory.py."""

from __future__ import annotations

from functools import partial
from typing import Any

from flask import current_app

from api.access import may, needs, who, workspace_id
from api.agent_run_schemas import AgentLogArgs, AgentLogOut, AgentRunArgs, AgentRunOut, TaskIn
from api.agent_shapes import page, shown
from api.audit import new_run, noted
from api.wire import Resource, check_depth
from dispatch import Dispatcher
from dispatch.agents.definitions import find_agent
from dispatch.agents.task import Task, agent_run_id, check
from errors import BadInput, Conflict, Forbidden
from models import AgentRun, Run
from schemas import listed

blueprint = Resource("agent", "Agent runs")


@blueprint.post("/agent/run")
@needs("operator")
@blueprint.arguments(TaskIn)
@blueprint.response(200, AgentRunOut)
@blueprint.alt_response(202, schema=AgentRunOut)
def run(body: dict[str, Any]) -> Any:
    """Give an agent a task. Waits up to `wait` seconds: 200 with the answer, else 202 with the run as it stands.

    It is a run like those of flows: it survives a restart of the server, and where a tool needs approval it waits for
    that. 503 while no model is configured.
    """
    dispatcher: Dispatcher = current_app.extensions["headrace"].dispatcher
    _check_credentials(body["credentials"])
    check_depth(body["input"], "input")
    wait = body.pop("wait")
    agent = find_agent(workspace_id(), body["agent_id"])
    if agent is None:
        raise BadInput(f"agent_id: there is no agent {body['agent_id']!r}; GET /api/agents lists them")
    check(agent, body, dispatcher.models, partial(dispatcher.find_credential, workspace_id()))
    ticket = dispatcher.submit(Task(workspace_id(), agent.name, body), body, "manual", note=new_run())
    finished = dispatcher.wait_long(ticket, wait)
    return shown(AgentRun.get_by_id(agent_run_id(finished))), 200 if finished.finished_at is not None else 202


@blueprint.get("/agent/logs")
@needs("viewer", only_database=True)
@blueprint.arguments(AgentLogArgs, location="query")
@blueprint.response(200, listed(AgentLogOut))
def logs(args: dict[str, Any]) -> Any:
    """What agents did, newest first, each with its steps: prompt sizes, calls of tools, tokens, times.

    Long values are cut and long runs have their first steps; GET /api/agent/runs/:id has all. Where there is very much,
    a page has fewer than `limit`.
    """
    query = AgentRun.select_where(workspace_id(), args["agent_id"], args["session"])
    rows, cursor = AgentRun.page(query, args["limit"], args["cursor"])
    items = page(rows)
    return {"items": items, "next_cursor": cursor if len(items) == len(rows) else items[-1]["id"]}


@blueprint.get("/agent/runs/<agent_run>")
@needs("viewer", agent_run=AgentRun)
@blueprint.arguments(AgentRunArgs, location="query")
@blueprint.response(200, AgentLogOut)
def one(args: dict[str, Any], agent_run: AgentRun) -> Any:
    """One run of an agent with its steps, as far as it has come.

    With `wait`, it is answered when the run has ended, has to wait, or so many seconds are over.
    """
    found = Run.find(agent_run.run_id)
    if args["wait"] and found is not None and found.finished_at is None:
        dispatcher: Dispatcher = current_app.extensions["headrace"].dispatcher
        dispatcher.wait_long(dispatcher.ticket_of(found), args["wait"])
    return shown(AgentRun.get_by_id(agent_run.id))


@blueprint.post("/agent/runs/<agent_run>/cancel")
@needs("operator", agent_run=AgentRun)
@blueprint.response(200, AgentRunOut)
def cancel(agent_run: AgentRun) -> Any:
    """Cancel the run in which the agent works: it is `failed` at once, and the agent takes no further step."""
    found = Run.find(agent_run.run_id)
    if found is None:
        raise Conflict("The run has ended already")
    current_app.extensions["headrace"].dispatcher.cancel(found, who().email, noted("run.cancelled"))
    return shown(AgentRun.get_by_id(agent_run.id))


def _check_credentials(given: dict[str, str]) -> None:
    """Forbidden where an operator names one for a tool: what an agent reaches with it, those decide who build flows."""
    others = sorted(given.keys() - {"llm"})
    if others and not may("editor", workspace_id()):
        raise Forbidden(
            f"credentials: naming one for {others[0]!r} needs the role editor; with the role operator, only llm"
        )
