"""What an editor has to know of the nodes of a definition to draw them, however unfinished it is."""

from __future__ import annotations

from typing import Any, NamedTuple

from nodes.base import REGISTRY

from .builder import inputs_of, ways_of
from .graph import Graph, Issues
from .plan import Config, Plan, PlannedNode
from .settings import settings_of


class Outline(NamedTuple):
    """`branches` are the names of the ways out that a node has as it is configured, `unnamed` whether it has one
    without a name; `trigger` that nothing leads to it; `waits` that a run may wait there.
    """

    branches: list[str]
    unnamed: bool
    trigger: bool
    waits: bool


def outlines(definition: Any, max_nodes: int) -> dict[str, Outline]:
    """By id, each node of a type that there is; of nodes with the same id, the first."""
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
    ways = None if node is None else ways_of(raw)
    if node is None or ways is None:
        return None
    names = [way for way in dict.fromkeys(ways) if way is not None]
    return Outline(names, None in ways, node.trigger, node.suspends)


def sketch(shape: Graph, settings: Any) -> Plan:
    """A plan of the graph alone, for who only looks at what would come to a node: none has any config.

    A node of an unknown type stands there as one that does nothing; settings that are wrong are passed over.
    """
    place = {id_: index for index, id_ in enumerate(shape.order)}
    inputs = inputs_of(shape, place)
    sources = {edge.source for edge in shape.edges}
    nodes = []
    for id_, at in place.items():
        raw = shape.nodes[id_]
        node = REGISTRY.get(raw["type"], REGISTRY["noop"])
        nodes.append(PlannedNode(at, id_, raw["type"], id_, node, Config({}), inputs[id_], id_ not in sources))
    return Plan(tuple(nodes), settings_of(settings, Issues()))
