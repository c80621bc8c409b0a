"""Outline of a definition: the data an editor needs to draw its nodes, even if the definition is incomplete."""

from __future__ import annotations

from typing import Any, NamedTuple

from nodes.base import REGISTRY

from .builder import collect_inputs, find_ways
from .execution_plan import Config, Plan, PlannedNode
from .node_graph import Graph, Issues
from .settings import read_settings


class Outline(NamedTuple):
    """Display data of a node: the names of its branches under its config, whether it has an `unnamed` branch, is a
    `trigger`, and `waits`, that is, may pause the run.
    """

    branches: list[str]
    unnamed: bool
    trigger: bool
    waits: bool


def outline_nodes(definition: Any, max_nodes: int) -> dict[str, Outline]:
    """Return the outline of each node of a known type, by id; if an id is used twice, the first node counts."""
    nodes = definition.get("nodes") if isinstance(definition, dict) else None
    found: dict[str, Outline] = {}
    for raw in nodes[:max_nodes] if isinstance(nodes, list) else ():
        if isinstance(raw, dict) and isinstance(raw.get("id"), str) and raw["id"] not in found:
            outline = _outline(raw)
            if outline is not None:
                found[raw["id"]] = outline
    return found


def _outline(raw: dict[str, Any]) -> Outline | None:
    node = REGISTRY.get(raw["type"]) if isinstance(raw.get("type"), str) else None
    ways = None if node is None else find_ways(raw)
    if node is None or ways is None:
        return None
    names = [way for way in dict.fromkeys(ways) if way is not None]
    return Outline(names, None in ways, node.trigger, node.suspends)


def sketch(shape: Graph, settings: Any) -> Plan:
    """Return a plan of the graph without configs, to compute only the input of a node.

    A node of an unknown type becomes a no-op; invalid settings are ignored.
    """
    place = {id_: index for index, id_ in enumerate(shape.order)}
    inputs = collect_inputs(shape, place)
    sources = {edge.source for edge in shape.edges}
    nodes = []
    for id_, at in place.items():
        raw = shape.nodes[id_]
        node = REGISTRY.get(raw["type"], REGISTRY["noop"])
        nodes.append(PlannedNode(at, id_, raw["type"], id_, node, Config({}), inputs[id_], id_ not in sources))
    return Plan(tuple(nodes), read_settings(settings, Issues()))
