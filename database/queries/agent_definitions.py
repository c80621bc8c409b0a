"""Agent definitions of workspaces. The built-in ones have no rows (api/catalogue.py)."""

from __future__ import annotations

from database import fetch_value, write
from database.base import now_ms
from database.queries.locks import lock_names
from errors import Conflict
from models import Agent

MAX_AGENTS = 200  # of a workspace


def keep(workspace_id: str, id_: str, name: str, definition: str) -> Agent:
    """Insert a new agent. Raises: Conflict if the id is taken or the workspace has MAX_AGENTS agents."""
    now = now_ms()
    with write():
        lock_names("agents", (workspace_id,))
        if named(workspace_id, id_) is not None:
            raise Conflict(f"id: an agent {id_!r} exists already; choose another id")
        if fetch_value("SELECT COUNT(*) FROM agents WHERE workspace_id = ?", (workspace_id,)) >= MAX_AGENTS:
            raise Conflict(f"The workspace has {MAX_AGENTS} agents, the maximum; delete some")
        row = {"name": name, "definition": definition, "created_at": now, "updated_at": now}
        return Agent.add(workspace_id=workspace_id, id=id_, **row)


def named(workspace_id: str, id_: str) -> Agent | None:
    """Return the workspace's agent with this id, or None."""
    return Agent.one("workspace_id = ? AND id = ?", workspace_id, id_)


def of(workspace_id: str, after: str, limit: int) -> list[Agent]:
    """Return the first `limit` agents of the workspace with ids after this one, by id."""
    return list(Agent.each("workspace_id = ? AND id > ? ORDER BY id LIMIT ?", (workspace_id, after, limit)))


def change(agent: Agent, name: str, definition: str, expected: int | None = None) -> bool:
    """Set the definition. Return False if the row was deleted, or its last change is not the `expected` one."""
    with write():
        lock_names("agents", (agent.workspace_id,))
        present = named(agent.workspace_id, agent.id)
        if present is None or expected not in (None, present.updated_at):
            return False
        agent.name, agent.definition = name, definition
        agent.updated_at = max(now_ms(), present.updated_at + 1)
        agent.save()
    return True
