"""Diff of two definitions, as counts: describes a change without revealing its content."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from constants import CHANGED
from nodes.base import REGISTRY

from .builder import collect_inputs, find_ways, read_nodes
from .execution_plan import Config, Plan, PlannedNode
from .node_graph import Graph, Issues
from .schema import read_settings

ANNOTATIONS = ("notes", "groups")
LAYOUT = {"position", "width", "height", "folded"}


def count_differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return `{"nodes": {"added", "removed", "changed"}, "edges": {"changed": true}, "settings": …}`, unchanged parts
    omitted; likewise `notes` and `groups`.

    The nodes of both definitions must have ids. A changed layout alone does not count: `position`, the size of a note,
    `folded` of a group.
    """
    old, new = _nodes(before), _nodes(after)
    counts = {
        "added": len(new.keys() - old.keys()),
        "removed": len(old.keys() - new.keys()),
        "changed": sum(old[id_] != new[id_] for id_ in old.keys() & new.keys()),
    }
    others = [name for name in ("edges", "settings") if (before.get(name) or None) != (after.get(name) or None)]
    others += [name for name in ANNOTATIONS if get_annotations(before, name) != get_annotations(after, name)]
    return ({"nodes": counts} if any(counts.values()) else {}) | dict.fromkeys(others, CHANGED)


def get_annotations(definition: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """Return the notes or the groups of a definition without their layout. Old drafts may contain anything there."""
    items = definition.get(name)
    return [
        {key: value for key, value in item.items() if key not in LAYOUT}
        for item in (items if isinstance(items, list) else ())
        if isinstance(item, dict)
    ]


def _nodes(definition: Mapping[str, Any]) -> dict[str, Any]:
    return {
        node["id"]: {name: value for name, value in node.items() if name != "position"}
        for node in definition.get("nodes") or ()
    }


# Outline of a definition: the data an editor needs to draw its nodes, even if the definition is incomplete.


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
