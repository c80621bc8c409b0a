"""Agent definitions that a workspace can run: its own and the built-in ones, each a file named after its id.

The results of the functions for built-in ones are cached and shared: copy them before changing them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from database.queries import agent_definitions
from packs.agents.definition import AgentDefinition, check, find_credentials, parse, restore
from registry import Referrer
from security.credentials import MAX_EXAMINED

FOLDER = Path(__file__).parents[1] / "built_in"


def find_agent(workspace_id: str, id_: str) -> AgentDefinition | None:
    """Return the workspace's own agent with this id, else the built-in one, else None.

    The workspace's own comes first, since a later version may add a built-in agent with an id already in use.
    """
    row = agent_definitions.named(workspace_id, id_)
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
    for row in agent_definitions.of(workspace_id, "", MAX_EXAMINED):
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
