"""The agents that a workspace can run: its own, and those that are built in."""

from __future__ import annotations

import orjson

import models
import templates
from agent.definition import Agent, restored


def find_agent(workspace_id: str, id_: str) -> Agent | None:
    """The workspace's own agent of this id, else the built-in one, else None.

    Its own comes first, since a later version may build in an agent whose id was free until then.
    """
    row = models.Agent.named(workspace_id, id_)
    definition = templates.find_agent(id_) if row is None else orjson.loads(row.definition)
    return None if definition is None else restored(definition)
