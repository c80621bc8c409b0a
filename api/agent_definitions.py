"""Agent definitions: those that are built in, and the workspace's own."""

from __future__ import annotations

from typing import Any

import orjson

import templates
from agent import definition as definitions
from api.access import needs, workspace_id
from api.agent_schemas import AgentArgs, AgentChange, AgentIn, AgentOut, SavedAgentOut
from api.audit import audited
from api.wire import Resource, invalid
from errors import BadInput, Conflict, Issue, NotFound
from models import Agent, differences
from schemas import CheckIn, CheckOut, listed
from security.credentials import agent_warnings

blueprint = Resource("agents", "Agent definitions")
MOST_ISSUES = 100


@blueprint.get("/agents")
@needs("viewer")
@blueprint.arguments(AgentArgs, location="query")
@blueprint.response(200, listed(AgentOut))
def agents(args: dict[str, Any]) -> Any:
    """The agents, by id: those that are built in (`builtin`) and the workspace's own."""
    limit, after = args["limit"], args["cursor"] or ""
    found = {agent["id"]: _built_in(agent) for agent in templates.agent_definitions() if agent["id"] > after}
    found |= {row.id: _own(row) for row in Agent.of(workspace_id(), after, limit + 1)}
    ids = sorted(found)
    return {"items": [found[id_] for id_ in ids[:limit]], "next_cursor": ids[limit - 1] if len(ids) > limit else None}


@blueprint.post("/agents")
@needs("editor")
@blueprint.arguments(AgentIn)
@blueprint.response(201, SavedAgentOut)
def create(body: dict[str, Any]) -> Any:
    """Define an agent. Without an `id` it gets one made of its name; 409 where there is one of that id."""
    agent = _parsed(body)
    if templates.find_agent(agent.id) is not None:
        raise Conflict(f"id: the agent {agent.id!r} is built in; choose another id")
    with audited("agent.created") as entry:
        entry.target("agent", agent.id, agent.name)
        row = Agent.keep(workspace_id(), agent.id, agent.name, _text(agent))
    return _saved(row, agent)


@blueprint.post("/agents/validate")
@needs("viewer")
@blueprint.arguments(CheckIn)
@blueprint.response(200, CheckOut)
def validate(body: dict[str, Any]) -> Any:
    """What is wrong with a definition; a `warning` keeps none from being saved. Nothing is kept."""
    agent, issues = definitions.check(_with_id(body["definition"]))
    found = issues if agent is None else agent_warnings(agent, workspace_id())
    return {"ok": agent is not None, "issues": [issue.as_dict() for issue in found[:MOST_ISSUES]]}


@blueprint.get("/agents/<name>")
@needs("viewer")
@blueprint.response(200, AgentOut)
def read(name: str) -> Any:
    """One agent, by its id."""
    row, built_in = Agent.named(workspace_id(), name), templates.find_agent(name)
    if row is not None:
        return _own(row)
    if built_in is None:
        raise NotFound(f"There is no agent {name[:64]!r}")
    return _built_in(built_in)


@blueprint.put("/agents/<name>")
@needs("editor")
@blueprint.arguments(AgentChange)
@blueprint.response(200, SavedAgentOut)
def change(body: dict[str, Any], name: str) -> Any:
    """Give one of the workspace's own agents this definition, all of it; a stale `updated_at` is refused.

    Runs that have begun go on by the definition with which they did.
    """
    row, expected = _changeable(name, "changed"), body.pop("updated_at")
    if body.get("id") is None:
        body["id"] = name
    agent = _parsed(body)
    if agent.id != name:
        raise BadInput(f"id: must be {name!r}, since an agent keeps its id; POST it to have another one")
    before = orjson.loads(row.definition)
    with audited("agent.updated") as entry:
        entry.target("agent", row.id, row.name).note(**_differences(before, orjson.loads(_text(agent))))
        if not row.change(agent.name, _text(agent), expected):
            raise Conflict("updated_at: the agent has changed since; read it again and repeat your change")
    return _saved(row, agent)


@blueprint.delete("/agents/<name>")
@needs("editor")
@blueprint.response(204)
def delete(name: str) -> None:
    """Delete one of the workspace's own agents. Its runs and its memory stay.

    Flows that use it keep naming it: their runs fail at that node, and say so, until there is one of that id again.
    """
    row = _changeable(name, "deleted")
    with audited("agent.deleted") as entry:
        entry.target("agent", row.id, row.name)
        if not row.remove():
            raise NotFound(f"There is no agent {name[:64]!r}")


def _changeable(name: str, done: str) -> Agent:
    row = Agent.named(workspace_id(), name)
    if row is not None:
        return row
    if templates.find_agent(name) is None:
        raise NotFound(f"There is no agent {name[:64]!r}")
    raise Conflict(f"The agent {name!r} is built in and cannot be {done}; POST it under another id to have your own")


def _differences(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """What the audit trail has of a change: which parts, and of name and model from what to what."""
    shown = {name: differences(before, {name: after.get(name)}) for name in ("name", "model")}
    changed = [name for name, value in after.items() if value != before.get(name) and name not in shown]
    return {**shown["name"], **shown["model"], **{name: {"changed": True} for name in changed}}


def _with_id(definition: Any) -> Any:
    """The definition with an id made of its name, if it has none."""
    if not isinstance(definition, dict) or definition.get("id") is not None:
        return definition
    name = definition.get("name")
    made = definitions.slug(name[: definitions.MAX_NAME]) if isinstance(name, str) else ""
    return {**definition, "id": made} if made else definition


def _parsed(body: dict[str, Any]) -> definitions.Agent:
    agent, issues = definitions.check(_with_id(body))
    if agent is None:
        raise invalid(issues)
    return agent


def _text(agent: definitions.Agent) -> str:
    return orjson.dumps(agent.snapshot()).decode()


# What goes out


def _built_in(definition: dict[str, Any]) -> dict[str, Any]:
    return _shown(definition, builtin=True, created_at=None, updated_at=None)


def _own(row: Agent) -> dict[str, Any]:
    return _shown(orjson.loads(row.definition), builtin=False, created_at=row.created_at, updated_at=row.updated_at)


def _shown(definition: dict[str, Any], **more: Any) -> dict[str, Any]:
    needed = definitions.needs_credentials(definitions.restored(definition))
    return {**definition, "needs_credentials": needed, **more}


def _saved(row: Agent, agent: definitions.Agent) -> dict[str, Any]:
    """The agent that was just written, with warnings for whoever did so, if there are any."""
    warnings: list[Issue] = agent_warnings(agent, row.workspace_id)
    return {**_own(row), **({"warnings": warnings} if warnings else {})}
