"""Tools of agents, based on the modules of nodes; each family has a file here.

The description and the results of a tool are text for a model. A tool never receives or returns a secret: it uses
credentials internally. Results and running times are limited.
"""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from errors import LimitExceeded, NodeError
from packs.agents.definition import ToolSpec
from packs.agents.runtime.tools import Tool
from packs.agents.tools import code, http, inspect, store_and_memory, workflows
from packs.agents.tools.base import MAX_NAME, ToolContext, find_issues, shorten
from registry import registry

__all__ = ["ToolContext", "build", "find_issues", "shorten"]

Family: TypeAlias = Callable[[ToolSpec, ToolContext], list[Tool]]
FAMILIES: dict[str, Family] = {
    "http": http.tools,
    "code": code.tools,
    "store": store_and_memory.store,
    "memory": store_and_memory.memory,
    "run_flow": workflows.tools,
    "runs": inspect.runs,
    "flows": inspect.flows,
}
NAME = re.compile(rf"[a-zA-Z0-9_-]{{1,{MAX_NAME}}}\Z")
# Limit of the language models' APIs.
MAX_TOOLS = 128


def build(specs: Sequence[ToolSpec], tool_ctx: ToolContext) -> dict[str, Tool]:
    """Return the tools of these specs by name, in their order. Raises: NodeError naming a tool that is not possible."""
    found: dict[str, Tool] = {}
    family_of: dict[str, str] = {}
    for spec in specs:
        for tool in _set_approval(spec, _find_family(spec.type)(spec, tool_ctx), tool_ctx.aliases):
            if not NAME.match(tool.name):
                raise NodeError(f"the tool {spec.type}: {tool.name[:100]!r} is not a valid tool name", permanent=True)
            if tool.name in found:
                families = f"one of {family_of[tool.name]} and one of {spec.type}"
                raise NodeError(f"two tools are named {tool.name}: {families}", permanent=True)
            found[tool.name], family_of[tool.name] = tool, spec.type
    if len(found) > MAX_TOOLS:
        raise LimitExceeded(f"the agent has {len(found)} tools; the limit is {MAX_TOOLS}")
    return found


def _find_family(type_: str) -> Family:
    """Return what makes the tools of a type, which is imported at its first use if it is a pack's."""
    if type_ in FAMILIES:
        return FAMILIES[type_]
    if type_ in registry.agent_tools:
        found: Family = pkgutil.resolve_name(registry.agent_tools[type_])
        return found
    known = ", ".join([*FAMILIES, *registry.agent_tools])
    raise NodeError(f"there is no tool of the type {type_[:50]!r}; known types: {known}", permanent=True)


def _set_approval(spec: ToolSpec, made: Sequence[Tool], aliases: Mapping[str, str]) -> list[Tool]:
    """Return the tools with `approval` set on those that need it."""
    if isinstance(spec.approval, bool):
        return [tool._replace(approval=spec.approval) for tool in made]
    names = {tool.name for tool in made}
    wanted = {name: name if name in names else aliases.get(name, "") for name in spec.approval}
    unknown = [name for name, meant in wanted.items() if meant not in names]
    if unknown:
        there = ", ".join(sorted(names))[:500] or "none"
        raise NodeError(f"approval: {spec.type} has no tool {unknown[0][:100]!r}; known tools: {there}", permanent=True)
    return [tool._replace(approval=tool.name in wanted.values()) for tool in made]
