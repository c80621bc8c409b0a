"""The resources of agents while their pack is off: the lists are empty, and nothing can be run or remembered."""

from __future__ import annotations

from typing import Any, NoReturn

from api.http.auth import require_role
from api.http.json_io import Resource
from errors import Unavailable
from fields import Out, text
from schemas import PageArgs, listed

blueprint = Resource("no_agents", "Agents, whose pack is off")


class NoAgentArgs(PageArgs):
    agent_id = text(64, load_default=None)
    session = text(200, 0, load_default=None)
    search = text(200, 0, is_stored=False, load_default=None)


class NoAgentOut(Out):
    """An agent, a run or a memory of one: there are none."""


@blueprint.get("/agents")
@blueprint.get("/agent/logs")
@blueprint.get("/agent/memory")
@require_role("viewer")
@blueprint.arguments(NoAgentArgs, location="query")
@blueprint.response(200, listed(NoAgentOut))
def list_nothing(args: dict[str, Any]) -> Any:
    """Answer an empty list."""
    return {"items": [], "next_cursor": None}


@blueprint.post("/agent/run")
@blueprint.post("/agent/memory")
@require_role("operator")
def refuse() -> NoReturn:
    """Answer 503."""
    raise Unavailable("This server has no agents: HEADRACE_PACKS leaves out the pack agents")
