"""Tools of agents, based on the modules of nodes; each family has a file here.

The description and the results of a tool are text for a model. A tool never receives or returns a secret: it uses
credentials internally. Results and running times are limited.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.definition import ToolSpec
from agent.tools import Tool
from errors import LimitExceeded, NodeError
from nodes.ai.tools import code, http, inspect, mcp, sql, store_and_memory, workflows
from nodes.ai.tools.base import MAX_NAME, ToolContext, find_issues, shorten
from nodes.base import Agents, Context

__all__ = ["FAMILIES", "Toolbox", "build", "find_issues", "shorten"]

FAMILIES: dict[str, Callable[[ToolSpec, ToolContext], list[Tool]]] = {
    "http": http.tools,
    "code": code.tools,
    "store": store_and_memory.store,
    "memory": store_and_memory.memory,
    "run_flow": workflows.tools,
    "sql": sql.tools,
    "mcp": mcp.tools,
    "runs": inspect.runs,
    "flows": inspect.flows,
}
NAME = re.compile(rf"[a-zA-Z0-9_-]{{1,{MAX_NAME}}}\Z")
# Limit of the language models' APIs.
MAX_TOOLS = 128


@dataclass(frozen=True, slots=True)
class Toolbox(Mapping[str, Tool]):
    """The tools of one run of an agent, by name, in the order of its definition.

    `listings` (JSON) has the lists of tools from servers and of callable flows. Given to `build` again at a resumption,
    it recreates the same tools, whatever has changed, without new requests.
    """

    tools: Mapping[str, Tool]
    listings: dict[str, Any]

    def __getitem__(self, name: str) -> Tool:
        return self.tools[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.tools)

    def __len__(self) -> int:
        return len(self.tools)


def build(
    specs: Sequence[ToolSpec],
    ctx: Context,
    agents: Agents,
    agent_id: str,
    session: str | None,
    credentials: Mapping[str, str],
    *,
    input: Any = None,
    listings: Mapping[str, Any] | None = None,
) -> Toolbox:
    """Create the tools of these specs. Raises: NodeError naming the tool that cannot be created.

    `credentials` has a credential for each type of tool whose spec names none. `input` is the agent's input, for code.
    """
    tool_ctx = ToolContext(ctx, agents, agent_id, session or "", credentials, input, dict(listings or {}))
    found: dict[str, tuple[Tool, str]] = {}
    for spec in specs:
        for tool in _set_approval(spec, _create(spec, tool_ctx), tool_ctx.aliases):
            _check_name(tool, spec.type, found)
            found[tool.name] = (tool, spec.type)
    if len(found) > MAX_TOOLS:
        raise LimitExceeded(f"the agent has {len(found)} tools; the limit is {MAX_TOOLS}")
    return Toolbox({name: tool for name, (tool, _) in found.items()}, tool_ctx.listings)


def _create(spec: ToolSpec, tool_ctx: ToolContext) -> list[Tool]:
    if spec.type not in FAMILIES:
        raise NodeError(f"there is no tool of the type {spec.type[:50]!r}; known types: {', '.join(FAMILIES)}", True)
    return FAMILIES[spec.type](spec, tool_ctx)


def _check_name(tool: Tool, type_: str, found: Mapping[str, tuple[Tool, str]]) -> None:
    if not NAME.match(tool.name):
        raise NodeError(f"the tool {type_}: {tool.name[:100]!r} is not a valid tool name", permanent=True)
    if tool.name in found:
        other = found[tool.name][1]
        raise NodeError(f"two tools are named {tool.name}: one of {other} and one of {type_}", permanent=True)


def _set_approval(spec: ToolSpec, made: Sequence[Tool], aliases: Mapping[str, str]) -> list[Tool]:
    """Return the tools with `approval` set on those that need it."""
    if isinstance(spec.approval, bool):
        return [dataclasses.replace(tool, approval=spec.approval) for tool in made]
    names = {tool.name for tool in made}
    wanted = {name: name if name in names else aliases.get(name, "") for name in spec.approval}
    unknown = [name for name, meant in wanted.items() if meant not in names]
    if unknown:
        there = ", ".join(sorted(names))[:500] or "none"
        raise NodeError(f"approval: {spec.type} has no tool {unknown[0][:100]!r}; known tools: {there}", permanent=True)
    return [dataclasses.replace(tool, approval=tool.name in wanted.values()) for tool in made]
