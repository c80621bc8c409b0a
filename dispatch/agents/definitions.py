"""Agent definitions that a workspace can run: its own and the built-in ones."""

from __future__ import annotations

import orjson

import models
from agent.definition import AgentDefinition, restore
from definition import templates


def find_agent(workspace_id: str, id_: str) -> AgentDefinition | None:
    """Return the workspace's own agent with this id, else the built-in one, else None.

    The workspace's own comes first, since a later version may add a built-in agent with an id already in use.
    """
    row = models.Agent.named(workspace_id, id_)
    definition = templates.find_agent(id_) if row is None else orjson.loads(row.definition)
    return None if definition is None else restore(definition)
