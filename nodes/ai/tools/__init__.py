"""The tools of agents, over what nodes are made of: a family of them has a file here.

A tool says what it gives in words for a model. It never gets a secret as an argument and never gives one: credentials
are used inside. What it gives has a bound, and so has the time that it takes.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.definition import ToolSpec
from agent.tools import Tool
from errors import NodeError
from nodes.ai.tools import code, http, inspect, mcp, sql, store_and_memory, workflows
from nodes.ai.tools.base import MOST_NAME, Bench, checked, shortened
from nodes.base import Agents, Context

__all__ = ["FAMILIES", "Toolbox", "build", "checked", "shortened"]

FAMILIES: dict[str, Callable[[ToolSpec, Bench], list[Tool]]] = {
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
NAME = re.compile(rf"[a-zA-Z0-9_-]{{1,{MOST_NAME}}}\Z")
# What the interfaces of language models take at most.
MOST_TOOLS = 128


@dataclass(frozen=True, slots=True)
class Toolbox(Mapping[str, Tool]):
    """The tools of one run of an agent, by name, in the order of its definition.

    `listings` (JSON) is what others have listed for it: the tools of servers, the flows that may be called. Given to
    `build` again when the run is resumed, it makes the same tools, whatever has changed, and nobody is asked again.
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
    """The tools that these specs speak of. NodeError that names the tool where there can be none.

    `credentials` names a credential for each type of tool whose spec names none. `input` is the agent's, for code.
    """
    bench = Bench(ctx, agents, agent_id, session or "", credentials, input, dict(listings or {}))
    found: dict[str, tuple[Tool, str]] = {}
    for spec in specs:
        for tool in _approved(spec, _made(spec, bench), bench.aliases):
            _check_name(tool, spec.type, found)
            found[tool.name] = (tool, spec.type)
    if len(found) > MOST_TOOLS:
        raise NodeError(f"the agent would have {len(found)} tools; at most {MOST_TOOLS} are allowed", permanent=True)
    return Toolbox({name: tool for name, (tool, _) in found.items()}, bench.listings)


def _made(spec: ToolSpec, bench: Bench) -> list[Tool]:
    if spec.type not in FAMILIES:
        raise NodeError(f"there is no tool of the type {spec.type[:50]!r}; there are {', '.join(FAMILIES)}", True)
    return FAMILIES[spec.type](spec, bench)


def _check_name(tool: Tool, type_: str, found: Mapping[str, tuple[Tool, str]]) -> None:
    if not NAME.match(tool.name):
        raise NodeError(f"the tool {type_}: {tool.name[:100]!r} is no name for a tool", permanent=True)
    if tool.name in found:
        other = found[tool.name][1]
        raise NodeError(f"two tools have the name {tool.name}: one of {other} and one of {type_}", permanent=True)


def _approved(spec: ToolSpec, made: Sequence[Tool], aliases: Mapping[str, str]) -> list[Tool]:
    """The tools, where those that a person has to agree to say so."""
    if isinstance(spec.approval, bool):
        return [dataclasses.replace(tool, approval=spec.approval) for tool in made]
    names = {tool.name for tool in made}
    wanted = {name: name if name in names else aliases.get(name, "") for name in spec.approval}
    unknown = [name for name, meant in wanted.items() if meant not in names]
    if unknown:
        there = ", ".join(sorted(names))[:500] or "none"
        raise NodeError(
            f"approval: the tool {spec.type} has no tool {unknown[0][:100]!r}; there are {there}", permanent=True
        )
    return [dataclasses.replace(tool, approval=tool.name in wanted.values()) for tool in made]
