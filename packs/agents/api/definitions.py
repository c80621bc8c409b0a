"""Agent definitions: the built-in ones and the workspace's own."""

from __future__ import annotations

from typing import Any

import orjson
from marshmallow import INCLUDE

import fields
from api.audit import record_change
from api.http.auth import get_workspace_id, require_role
from api.http.json_io import Resource, to_bad_input
from api.http.server import get_config, get_server
from constants import CHANGED
from database.queries.audit import differences
from definition import Use
from errors import BadInput, Conflict, Issue, NotFound
from fields import Cursor, Out, Resendable, Time
from models import Agent
from packs.agents import agent_store
from packs.agents import definition as definitions
from packs.agents.agent_runs import explain_no_model
from packs.agents.agent_store import find_built_in, list_built_in
from packs.agents.runtime.model_choice import Models
from schemas import CheckIn, CheckOut, Detail, PageArgs, listed
from security.credentials import check_uses

blueprint = Resource("agents", "Agent definitions")
MAX_ISSUES = 100


READ_ONLY = {"builtin", "created_at", "needs_credentials", "updated_at", "warnings"}
TEXTS = {"type": "array", "items": {"type": "string"}, "maxItems": definitions.MAX_LISTED}
TYPES = {"type": "string", "enum": list(definitions.KINDS)}
TOOL = {
    "type": "object",
    "required": ["type"],
    "properties": {
        "type": TYPES,
        "approval": {
            "oneOf": [{"type": "boolean"}, TEXTS],
            "description": "Require approval of each call (true), or of calls of the listed tools",
        },
        "credential": {"type": "string", "description": "http, sql, mcp: the name of a credential"},
        "hosts": {
            **TEXTS,
            "description": "http: allowed hosts, `*.example.com` for subdomains; default: all that nodes may reach",
        },
        "methods": {
            "type": "array",
            "items": {"enum": list(definitions.HTTP_METHODS)},
            "description": "http: allowed methods; default: GET",
        },
        "write": {"type": "boolean", "description": "store: allow setting values"},
        "workflows": {**TEXTS, "description": "run_flow: ids of the allowed flows; default: all callable flows"},
        "tools": {**TEXTS, "description": "mcp: allowed tools of the server; default: all"},
    },
}
LIMITS = {
    "type": "object",
    "properties": {
        "steps": {
            "type": "integer",
            "minimum": 1,
            "maximum": definitions.MAX_STEPS,
            "description": "Requests to the model",
        },
        "tokens": {
            "type": "integer",
            "minimum": 1,
            "maximum": definitions.MAX_TOKENS,
            "description": "Input and output tokens together",
        },
        "seconds": {"type": "number", "minimum": 1, "maximum": definitions.MAX_SECONDS},
        "cost": {"type": ["number", "null"], "maximum": definitions.MAX_COST, "description": "US dollars"},
    },
}
APPROVAL = {
    "type": "object",
    "properties": {
        "notify": {
            "type": ["string", "null"],
            "description": "The service_url credential for messages with approval links",
        },
        "timeout": {
            "type": ["number", "null"],
            "minimum": 1,
            "maximum": definitions.MAX_WAIT,
            "description": "Seconds",
        },
    },
}


def _describe_field(type_: str, max_length: int = 0, help: str = "", required: bool = False) -> fields.Raw:
    """Return a field that is described here but validated elsewhere. null means not set, unless it is required."""
    shape = {"type": type_, "maxLength": max_length} if max_length else {"type": type_}
    return fields.Raw(required=required, allow_none=not required, metadata=shape, help=help)


class AgentIn(Resendable):
    """The definition of an agent."""

    class Meta:
        unknown = INCLUDE  # the definition's own validation suggests the likely key
        description = "An agent's definition. Unknown keys are refused."

    read_only = READ_ONLY
    id = _describe_field("string", definitions.MAX_ID, "a-z, 0-9 and single dashes; default: derived from the name")
    name = _describe_field("string", definitions.MAX_NAME, required=True)
    description = _describe_field("string", definitions.MAX_DESCRIPTION)
    instructions = _describe_field("string", definitions.MAX_INSTRUCTIONS, required=True)
    model = _describe_field("string", definitions.MAX_NAME, "provider:name; null: the server's default")
    credential = _describe_field("string", definitions.MAX_NAME, "The name of an llm credential")
    tools = fields.Raw(
        allow_none=True,
        metadata={"type": "array", "items": {"oneOf": [TYPES, TOOL]}, "maxItems": definitions.MAX_TOOLS},
    )
    memory = _describe_field("boolean", help="Add relevant memories to its tasks")
    output_schema = _describe_field("object", help="The JSON Schema of an object; null: the answer is text")
    limits = fields.Raw(allow_none=True, metadata=LIMITS)
    approval = fields.Raw(allow_none=True, metadata=APPROVAL)


class AgentChange(AgentIn):
    """The whole new definition of an agent."""

    read_only = READ_ONLY - {"updated_at"}
    updated_at = Time(load_default=None, help="The `updated_at` that the change is based on; null: any")


class NameCursor(Cursor):
    """Cursor of a list of agents: the last id of the previous page."""

    pattern = definitions.ID


class AgentArgs(PageArgs):
    cursor = NameCursor(load_default=None)


class AgentOut(Out):
    id = fields.String()
    name = fields.String()
    description = fields.String()
    instructions = fields.String()
    model = fields.String(allow_none=True)
    credential = fields.String(allow_none=True)
    tools = fields.List(fields.Dict())
    memory = fields.Boolean()
    output_schema = fields.Dict(allow_none=True)
    limits = fields.Dict()
    approval = fields.Dict(allow_none=True)
    builtin = fields.Boolean(help="True if it is built in")
    needs_credentials = fields.List(
        fields.String(), help="Types of its tools that need a credential named with the task"
    )
    created_at = Time(allow_none=True)
    updated_at = Time(allow_none=True)


NO_MODEL = fields.String(allow_none=True, help="Why agents that name no model cannot work; null: they can")


class SavedAgentOut(AgentOut):
    """An agent that was just saved."""

    warnings = fields.List(fields.Nested(Detail), help="Warnings, such as a missing credential", optional=True)


@blueprint.get("/agents")
@require_role("viewer")
@blueprint.arguments(AgentArgs, location="query")
@blueprint.response(200, listed(AgentOut, no_model=NO_MODEL))
def list_agents(args: dict[str, Any]) -> Any:
    """List the agents by id: built-in ones (`builtin`) and the workspace's own."""
    limit, after = args["limit"], args["cursor"] or ""
    found = {agent["id"]: _show_built_in(agent) for agent in list_built_in() if agent["id"] > after}
    found |= {row.id: _show_own(row) for row in agent_store.of(get_workspace_id(), after, limit + 1)}
    ids = sorted(found)
    return {
        "items": [found[id_] for id_ in ids[:limit]],
        "next_cursor": ids[limit - 1] if len(ids) > limit else None,
        "no_model": explain_no_model(get_workspace_id(), Models.of(get_config())),
    }


@blueprint.post("/agents")
@require_role("editor")
@blueprint.arguments(AgentIn)
@blueprint.response(201, SavedAgentOut)
def create(body: dict[str, Any]) -> Any:
    """Create an agent. The default `id` is derived from its name; 409 if that id exists."""
    agent = _parse(body)
    if find_built_in(agent.id) is not None:
        raise Conflict(f"id: the agent {agent.id!r} is built in; choose another id")
    with record_change("agent.created") as entry:
        entry.target("agent", agent.id, agent.name)
        row = agent_store.keep(get_workspace_id(), agent.id, agent.name, _to_text(agent))
    return _show_saved(row, agent)


@blueprint.post("/agents/validate")
@require_role("viewer")
@blueprint.arguments(CheckIn)
@blueprint.response(200, CheckOut)
def validate(body: dict[str, Any]) -> Any:
    """List the errors of an agent's definition; a `warning` does not prevent saving. Nothing is saved."""
    agent, issues = definitions.check(_add_id(body["definition"]))
    found = issues if agent is None else _find_warnings(agent, get_workspace_id())
    return {"ok": agent is not None, "issues": [issue.as_dict() for issue in found[:MAX_ISSUES]]}


@blueprint.get("/agents/<name>")
@require_role("viewer")
@blueprint.response(200, AgentOut)
def read(name: str) -> Any:
    """Show an agent by its id."""
    row, built_in = agent_store.named(get_workspace_id(), name), find_built_in(name)
    if row is not None:
        return _show_own(row)
    if built_in is None:
        raise NotFound(f"There is no agent {name[:64]!r}")
    return _show_built_in(built_in)


@blueprint.put("/agents/<name>")
@require_role("editor")
@blueprint.arguments(AgentChange)
@blueprint.response(200, SavedAgentOut)
def change(body: dict[str, Any], name: str) -> Any:
    """Replace the definition of one of the workspace's own agents. An old `updated_at` is refused.

    Started runs continue with the definition that they began with.
    """
    row, expected = _find_changeable(name, "changed"), body.pop("updated_at")
    if body.get("id") is None:
        body["id"] = name
    agent = _parse(body)
    if agent.id != name:
        raise BadInput(f"id: must be {name!r}, since an agent's id cannot be changed; POST it to create another agent")
    before = orjson.loads(row.definition)
    with record_change("agent.updated") as entry:
        entry.target("agent", row.id, row.name).note(**_diff(before, orjson.loads(_to_text(agent))))
        if not agent_store.change(row, agent.name, _to_text(agent), expected):
            raise Conflict("updated_at: the agent has changed since; read it again and repeat your change")
    return _show_saved(row, agent)


@blueprint.delete("/agents/<name>")
@require_role("editor")
@blueprint.response(204)
def delete(name: str) -> None:
    """Delete one of the workspace's own agents. Its runs and its memory are kept.

    Flows still name it: their runs fail at that node until an agent of that id exists again.
    """
    row = _find_changeable(name, "deleted")
    with record_change("agent.deleted") as entry:
        entry.target("agent", row.id, row.name)
        if not row.remove():
            raise NotFound(f"There is no agent {name[:64]!r}")


def _find_changeable(name: str, done: str) -> Agent:
    row = agent_store.named(get_workspace_id(), name)
    if row is not None:
        return row
    if find_built_in(name) is None:
        raise NotFound(f"There is no agent {name[:64]!r}")
    raise Conflict(f"The agent {name!r} is built in and cannot be {done}; POST it under another id to make your own")


def _diff(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """Return the audit details of a change: the changed parts, and old and new values of name and model."""
    shown = {name: differences(before, {name: after.get(name)}) for name in ("name", "model")}
    changed = [name for name, value in after.items() if value != before.get(name) and name not in shown]
    return {**shown["name"], **shown["model"], **dict.fromkeys(changed, CHANGED)}


def _add_id(definition: Any) -> Any:
    """Return the definition with an id derived from its name, if it has none."""
    if not isinstance(definition, dict) or definition.get("id") is not None:
        return definition
    name = definition.get("name")
    made = definitions.slug(name[: definitions.MAX_NAME]) if isinstance(name, str) else ""
    return {**definition, "id": made} if made else definition


def _parse(body: dict[str, Any]) -> definitions.AgentDefinition:
    agent, issues = definitions.check(_add_id(body))
    if agent is None:
        raise to_bad_input(issues)
    return agent


def _find_warnings(agent: definitions.AgentDefinition, workspace_id: str) -> list[Issue]:
    """Return a warning for each credential that the agent names and that is missing or not connected."""
    uses = [Use(None, *named) for named in definitions.find_credentials(agent)]
    return check_uses(uses, workspace_id, get_server().credentials.find)


def _to_text(agent: definitions.AgentDefinition) -> str:
    return orjson.dumps(agent.snapshot()).decode()


# Responses


def _show_built_in(definition: dict[str, Any]) -> dict[str, Any]:
    return _show(definition, builtin=True, created_at=None, updated_at=None)


def _show_own(row: Agent) -> dict[str, Any]:
    return _show(orjson.loads(row.definition), builtin=False, created_at=row.created_at, updated_at=row.updated_at)


def _show(definition: dict[str, Any], **more: Any) -> dict[str, Any]:
    needed = definitions.needs_credentials(definitions.restore(definition))
    return {**definition, "needs_credentials": needed, **more}


def _show_saved(row: Agent, agent: definitions.AgentDefinition) -> dict[str, Any]:
    """Return the agent that was just saved, with warnings if there are any."""
    warnings: list[Issue] = _find_warnings(agent, row.workspace_id)
    return {**_show_own(row), **({"warnings": warnings} if warnings else {})}
