"""Agent memory: list, write and delete entries."""

from __future__ import annotations

import time
from typing import Any

import orjson
from marshmallow import validate

import fields
from api.audit import record_change
from api.http.auth import get_workspace_id, must_redact_links, require_role
from api.http.json_io import Resource
from api.http.server import get_config
from database.base import now_ms
from errors import NotFound
from fields import Json, Out, Shape, Strict, Time, text
from models import AgentMemory
from packs.agents import agent_memory
from packs.agents.agent_memory import MemoryName, MemoryScope
from packs.agents.api.runs import SESSION
from schemas import PageArgs, listed

blueprint = Resource("memory", "Memories of agents")
PAUSE_SECONDS = 0.005  # in which others get to write


class MemoryIn(Strict):
    agent_id = text(64, required=True)
    key = text(200, required=True)
    content = text(100_000, 0, required=True)
    session = text(200, 0, load_default="", allow_none=True)
    tags = fields.List(text(100), load_default=list, validate=validate.Length(max=50))
    expires_in = fields.Integer(
        strict=True,
        load_default=None,
        validate=validate.Range(1, 3_660 * 86_400),
        help="Seconds until it expires; default: never",
    )


class MemoryArgs(PageArgs):
    agent_id = text(64, load_default=None)
    session = text(200, 0, load_default=None, metadata=SESSION)
    search = text(200, 0, is_stored=False, load_default=None)


class ForgetArgs(Shape):
    agent_id = text(64, required=True)
    session = text(200, 0, load_default=None, metadata=SESSION)


class ForgottenOut(Out):
    deleted = fields.Integer(help="Number of deleted entries")


class MemoryOut(Out):
    id = fields.String()
    agent_id = fields.String()
    session = fields.String()
    key = fields.String()
    content = fields.String()
    tags = Json()
    expires_at = Time(allow_none=True)
    created_at = Time()
    updated_at = Time()


@blueprint.get("/agent/memory")
@require_role("viewer")
@blueprint.arguments(MemoryArgs, location="query")
@blueprint.response(200, listed(MemoryOut))
def list_memories(args: dict[str, Any]) -> Any:
    """List memories of agents, newest first. `search` matches word beginnings in key, content and tags."""
    scope = _make_scope(args)
    search = args["search"] or ""
    items, cursor = agent_memory.listed(scope, search, args["limit"], args["cursor"])
    if must_redact_links():
        items = [item for item in items if agent_memory.shows(item, search)]
    return {"items": items, "next_cursor": cursor}


@blueprint.post("/agent/memory")
@require_role("operator")
@blueprint.arguments(MemoryIn)
@blueprint.response(201, MemoryOut)
def remember(body: dict[str, Any]) -> Any:
    """Write a memory. It overwrites a memory with the same agent, session and key."""
    now, seconds = now_ms(), body["expires_in"]
    name = MemoryName(get_workspace_id(), body["agent_id"], body["session"] or "", body["key"])
    with record_change("memory.written") as entry:
        row = agent_memory.put(
            name,
            content=body["content"],
            tags=orjson.dumps(body["tags"]).decode(),
            expires_at=None if seconds is None else now + seconds * 1000,
            most=get_config().memory_entries,
            now=now,
        )
        entry.about(row).note(agent_id=row.agent_id)
    return row


@blueprint.get("/agent/memory/<memory>")
@require_role("viewer", memory=agent_memory.LiveMemory)
@blueprint.response(200, MemoryOut)
def get_memory(memory: AgentMemory) -> Any:
    """Show a memory."""
    return memory


@blueprint.delete("/agent/memory/<memory>")
@require_role("operator", memory=agent_memory.LiveMemory)
@blueprint.response(204)
def forget(memory: AgentMemory) -> None:
    """Delete a memory entry."""
    with record_change("memory.deleted", memory) as entry:
        entry.note(agent_id=memory.agent_id)
        if not memory.remove():
            raise NotFound(f"There is no memory {memory.id!r}")


@blueprint.delete("/agent/memory")
@require_role("operator")
@blueprint.arguments(ForgetArgs, location="query")
@blueprint.response(200, ForgottenOut)
def forget_all(args: dict[str, Any]) -> Any:
    """Delete all memories of an agent, or of one session."""
    forgetting = agent_memory.forget(_make_scope(args))
    with record_change("memory.cleared") as entry:
        entry.target("agent", args["agent_id"], None).note(session=args["session"])
        deleted = next(forgetting, 0)
    for gone in forgetting:
        time.sleep(PAUSE_SECONDS)
        deleted += gone
    return {"deleted": deleted}


def _make_scope(args: dict[str, Any]) -> MemoryScope:
    """Return the scope of a query: the workspace, and the agent and session that it names."""
    sessions = None if args["session"] is None else (args["session"],)
    return MemoryScope(get_workspace_id(), args["agent_id"], sessions, now_ms())
