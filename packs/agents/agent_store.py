"""Agents that a workspace can run: its own, which are rows, and the built-in ones, each a file named after its id."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from database import fetch_value, write
from database.base import now_ms
from database.queries.locks import lock_names
from errors import Conflict
from models import Agent
from packs.agents.definition import AgentDefinition, check, find_credentials, parse, restore
from registry import Referrer
from security.credentials import MAX_EXAMINED

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


# The results of the functions for built-in agents are cached and shared: copy them before changing them.

FOLDER = Path(__file__).parent / "built_in"


def find_agent(workspace_id: str, id_: str) -> AgentDefinition | None:
    """Return the workspace's own agent with this id, else the built-in one, else None.

    The workspace's own comes first, since a later version may add a built-in agent with an id already in use.
    """
    row = named(workspace_id, id_)
    definition = find_built_in(id_) if row is None else orjson.loads(row.definition)
    return None if definition is None else restore(definition)


def list_built_in() -> list[dict[str, Any]]:
    """Return all built-in agent definitions by name, with defaults filled in (see packs/agents/definition.py)."""
    return list(_read_built_in())


def find_built_in(id_: str) -> dict[str, Any] | None:
    """Return the built-in agent definition with this id, or None."""
    return next((agent for agent in _read_built_in() if agent["id"] == id_), None)


def find_name(id_: str) -> str | None:
    """Return the name of a built-in agent, or None."""
    agent = find_built_in(id_)
    return None if agent is None else str(agent["name"])


@cache
def _read_built_in() -> tuple[dict[str, Any], ...]:
    found = [parse(json.loads(path.read_text(encoding="utf-8"))).snapshot() for path in FOLDER.glob("*.json")]
    return tuple(sorted(found, key=lambda agent: str(agent["name"])))


# The references of examined agents by workspace, id and time of change: reading all of them for each list would take
# longer than the rest of the request.
_references: dict[tuple[str, str, int], tuple[frozenset[str], frozenset[str]]] = {}


def list_referrers(workspace_id: str) -> Iterator[Referrer]:
    """Yield the workspace's agents with the names of their credentials and the ids of the flows that they can run."""
    for row in of(workspace_id, "", MAX_EXAMINED):
        key = workspace_id, row.id, row.updated_at
        found = _references.get(key)
        if found is None:
            if len(_references) >= 2 * MAX_EXAMINED:
                _references.clear()
            found = _references[key] = _find_references(row.definition)
        yield Referrer("agent", row.id, row.name, *found)


def _find_references(definition: str) -> tuple[frozenset[str], frozenset[str]]:
    agent, _ = check(orjson.loads(definition))
    if agent is None:
        return frozenset(), frozenset()
    flows = frozenset(flow for spec in agent.tools for flow in spec.workflows or ())
    return frozenset(named.name for named in find_credentials(agent)), flows
