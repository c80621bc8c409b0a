"""Outline of a definition: the data an editor needs to draw its nodes, even if the definition is incomplete."""

from __future__ import annotations

from typing import Any, NamedTuple

from nodes.base import REGISTRY

from .builder import collect_inputs, find_ways, read_nodes
from .execution_plan import Config, Plan, PlannedNode
from .node_graph import Graph, Issues
from .settings import read_settings


class NodeOutline(NamedTuple):
    """Display data of a node: the names of its branches under its config, whether it has an `unnamed` branch, is a
    `trigger`, and `waits`, that is, may pause the run.
    """

    branches: list[str]
    unnamed: bool
    trigger: bool
    waits: bool


def outline_nodes(definition: Any, max_nodes: int) -> dict[str, NodeOutline]:
    """Return the outline of each node of a known type, by id; if an id is used twice, the first node counts."""
    found: dict[str, NodeOutline] = {}
    for _, raw, node in read_nodes(definition, max_nodes):
        if raw["id"] not in found and (ways := find_ways(raw)) is not None:
            names = [way for way in ways if way is not None]
            found[raw["id"]] = NodeOutline(names, None in ways, node.trigger, node.suspends)
    return found


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
