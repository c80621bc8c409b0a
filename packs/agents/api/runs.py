"""Agent runs: start, list and cancel them. Agent memory is in memory.py."""

from __future__ import annotations

from functools import partial
from typing import Any

from marshmallow import validate

import fields
from api.audit import defer_entry, defer_start_entry
from api.http.auth import get_user, get_workspace_id, has_role, require_role
from api.http.json_io import Resource, check_depth
from api.http.server import get_dispatcher
from dispatch import Start
from errors import BadInput, Conflict, Forbidden
from fields import PRECISE, Json, Milliseconds, Out, Shape, Strict, Time, Whole, choice, text
from models import AgentRun, Run
from packs.agents import agent_runs
from packs.agents.agent_runs import AgentTask, agent_run_id, check
from packs.agents.agent_store import find_agent
from packs.agents.api.run_json import make_page, show_run
from packs.agents.runtime.model_choice import Models
from schemas import PageArgs, listed

blueprint = Resource("agent", "Agent runs")


# An empty value is not the same as a missing one: it selects the entries without a session.
SESSION = {"allowEmptyValue": True, "description": "A session; empty: entries without a session; omitted: all"}


class TaskIn(Strict):
    agent_id = text(64, required=True)
    task = text(100_000, required=True)
    input = fields.Raw(load_default=None, help="The material of the task, as data")
    session = text(200, 0, load_default=None)
    memory = fields.Boolean(load_default=None, help="Add memories to the task; default: as the agent defines")
    model = text(200, load_default=None, help="Such as openai:gpt-5")
    credentials = fields.Dict(
        keys=text(64),
        values=text(200),
        load_default=dict,
        validate=validate.Length(max=20),
        help="By type of tool, for tools that name none; `llm` is for the model",
    )
    wait = fields.Float(load_default=30.0, validate=validate.Range(0, 60), help="Seconds")


class UsageOut(Out):
    requests = fields.Integer()
    tool_calls = fields.Integer()
    input_tokens = fields.Integer()
    output_tokens = fields.Integer()
    cost = fields.Float(allow_none=True, help="US dollars; null: unknown")


class AgentStepOut(Out):
    """One step of an agent: its `start`, a request to the `model`, or a call of a `tool`."""

    seq = fields.Integer()
    kind = choice(("start", "model", "tool"))
    name = fields.String()
    status = choice(("running", "success", "failed", "refused", "asking", "waiting"))
    arguments = Json(allow_none=True, help="Of a tool call", optional=True)
    result = Json(allow_none=True, help="For a tool: the text for the model", optional=True)
    text = fields.String(allow_none=True, help="The model's text; for the start, its prompt", optional=True)
    tool_calls = Json(allow_none=True, help="The model's tool calls: `[{name, arguments}]`", optional=True)
    error_text = fields.String(allow_none=True)
    prompt_chars = fields.Integer(allow_none=True, optional=True)
    prompt_messages = fields.Integer(allow_none=True, optional=True)
    input_tokens = fields.Integer(allow_none=True, optional=True)
    output_tokens = fields.Integer(allow_none=True, optional=True)
    cost = fields.Float(allow_none=True, optional=True)
    started_at = Time()
    finished_at = Time(allow_none=True)
    duration_ms = Milliseconds(allow_none=True)
    duration_us = fields.Integer(allow_none=True, help=PRECISE)


class ToolCallOut(Out):
    name = fields.String()
    arguments = Json(allow_none=True)
    status = fields.String()
    error_text = fields.String(allow_none=True)


class AgentRunOut(Out):
    id = fields.String()
    agent_id = fields.String()
    run_id = fields.String(help="The run that this task is a step of")
    node_id = fields.String()
    item_index = fields.Integer(allow_none=True, optional=True)
    status = choice(("pending", "running", "waiting", "success", "failed"))
    task = fields.String()
    input = Json(allow_none=True, optional=True)
    session = fields.String(allow_none=True, optional=True)
    model = fields.String(allow_none=True, optional=True)
    text = fields.String(allow_none=True, optional=True)
    data = Json(allow_none=True, help="The answer, if the agent has an output_schema", optional=True)
    tool_calls = fields.List(fields.Nested(ToolCallOut))
    usage = fields.Nested(UsageOut)
    error_text = fields.String(allow_none=True)
    waiting = fields.String(allow_none=True, help="The reason for waiting", optional=True)
    question = fields.String(allow_none=True, help="The question to name in POST /api/runs/:id/resume", optional=True)
    created_at = Time()
    finished_at = Time(allow_none=True)
    duration_ms = Milliseconds(allow_none=True)
    duration_us = fields.Integer(allow_none=True, help=PRECISE)


class AgentLogOut(AgentRunOut):
    steps = fields.List(fields.Nested(AgentStepOut))
    more_steps = fields.Integer(help="In a list: number of omitted steps")


class AgentRunArgs(Shape):
    wait = fields.Float(load_default=0.0, validate=validate.Range(0, 60), help="Seconds")


class AgentLogArgs(PageArgs):
    agent_id = text(64, load_default=None)
    session = text(200, 0, load_default=None, metadata=SESSION)
    limit = Whole(load_default=20, validate=validate.Range(1, 100))


@blueprint.post("/agent/run")
@require_role("operator")
@blueprint.arguments(TaskIn)
@blueprint.response(200, AgentRunOut)
@blueprint.alt_response(202, schema=AgentRunOut)
def run(body: dict[str, Any]) -> Any:
    """Run an agent. Waits up to `wait` seconds: 200 with the answer, otherwise 202 with the unfinished run.

    It is a run like those of flows: it survives a restart of the server, and waits if a tool needs approval. 503 while
    no model is configured.
    """
    dispatcher = get_dispatcher()
    _check_credentials(body["credentials"])
    check_depth(body["input"], "input")
    wait = body.pop("wait")
    agent = find_agent(get_workspace_id(), body["agent_id"])
    if agent is None:
        raise BadInput(f"agent_id: there is no agent {body['agent_id']!r}; GET /api/agents lists them")
    workspace_id, resources = get_workspace_id(), dispatcher.resources
    check(agent, body, Models.of(resources.config), partial(resources.find_credential, workspace_id), workspace_id)
    task = AgentTask(workspace_id, agent.name, body)
    ticket = dispatcher.submit(Start(task, body, "manual", note=defer_start_entry(), is_awaited=wait > 0))
    finished = dispatcher.waiting.wait_for_agent(ticket, wait)
    return show_run(AgentRun.get_by_id(agent_run_id(finished))), 200 if finished.finished_at is not None else 202


@blueprint.get("/agent/logs")
@require_role("viewer", only_database=True)
@blueprint.arguments(AgentLogArgs, location="query")
@blueprint.response(200, listed(AgentLogOut))
def list_logs(args: dict[str, Any]) -> Any:
    """List the runs of agents, newest first, with their steps: prompt sizes, tool calls, tokens, times.

    Long values are truncated, and long runs have only their first steps; GET /api/agent/runs/:id has everything. A
    large page may have fewer than `limit`.
    """
    query = agent_runs.select_where(get_workspace_id(), args["agent_id"], args["session"])
    rows, cursor = query.page(args["limit"], args["cursor"])
    items = make_page(rows)
    return {"items": items, "next_cursor": cursor if len(items) == len(rows) else items[-1]["id"]}


@blueprint.get("/agent/runs/<agent_run>")
@require_role("viewer", agent_run=AgentRun)
@blueprint.arguments(AgentRunArgs, location="query")
@blueprint.response(200, AgentLogOut)
def get_run(args: dict[str, Any], agent_run: AgentRun) -> Any:
    """Show a run of an agent with its steps so far.

    With `wait`, the answer comes when the run has ended, must wait, or that many seconds have passed.
    """
    found = Run.find(agent_run.run_id)
    if args["wait"] and found is not None and found.finished_at is None:
        dispatcher = get_dispatcher()
        dispatcher.waiting.wait_for_agent(dispatcher.ticket_of(found), args["wait"])
    return show_run(AgentRun.get_by_id(agent_run.id))


@blueprint.post("/agent/runs/<agent_run>/cancel")
@require_role("operator", agent_run=AgentRun)
@blueprint.response(200, AgentRunOut)
def cancel(agent_run: AgentRun) -> Any:
    """Cancel the run of an agent. It is `failed` at once, and the agent takes no further step."""
    found = Run.find(agent_run.run_id)
    if found is None:
        raise Conflict("The run has already finished")
    get_dispatcher().cancel(found, get_user().email, defer_entry("run.cancelled"))
    return show_run(AgentRun.get_by_id(agent_run.id))


def _check_credentials(given: dict[str, str]) -> None:
    """Check that an operator names no tool's credential: only editors decide which services an agent can reach.

    Raises: Forbidden if an operator does.
    """
    others = sorted(given.keys() - {"llm"})
    if others and not has_role("editor", get_workspace_id()):
        raise Forbidden(
            f"credentials: naming one for {others[0]!r} needs the role editor; an operator may name one for llm only"
        )
