"""Subplan: the part of a plan needed to reach one node, with pinned outputs in place of execution.

Pure: takes a plan, returns a plan that runs like any other.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from errors import BadInput

from .execution_plan import Pin, Plan, PlannedNode
from .node_graph import MAX_NAME, Graph, Issues


def select_part(plan: Plan, until: str | None, pinned: Mapping[str, Pin]) -> Plan:
    """Return the plan of the nodes that must run to reach the node `until`, or every leaf if it is None.

    Includes the ancestors of these nodes and the steps their expressions read. Excludes the ancestors that only
    `pinned` nodes need. A pinned node counts as executed, but is skipped if all its ancestors run and skip it.

    Raises: BadInput if a node or a branch does not exist.
    """
    _check(plan, until, pinned)
    needed = _needed(plan, until, pinned)
    order = sorted(needed)
    place = {old: new for new, old in enumerate(order)}
    nodes = tuple(_placed(plan.nodes[old], place, until, pinned) for old in order)
    return Plan(nodes, plan.settings, until, tuple(node for node in plan.nodes if node.position not in needed))


def cut_after(shape: Graph, definition: dict[str, Any], until: str) -> tuple[dict[str, Any], frozenset[str]]:
    """Return the definition without the descendants of `until`, and their ids. `shape` is its graph."""
    targets: dict[str, list[str]] = {}
    for edge in shape.edges:
        targets.setdefault(edge.source, []).append(edge.target)
    later: set[str] = set()
    rest = list(targets.get(until, ()))
    while rest:
        if (id_ := rest.pop()) not in later:
            later.add(id_)
            rest += targets.get(id_, ())
    nodes = [node for id_, node in shape.nodes.items() if id_ not in later]
    edges = [edge for edge in shape.edges if edge.source not in later and edge.target not in later]
    return {**definition, "nodes": nodes, "edges": [list(edge) for edge in edges]}, frozenset(later)


def _check(plan: Plan, until: str | None, pinned: Mapping[str, Pin]) -> None:
    issues = Issues()
    if until is not None and until not in plan.by_id:
        issues.add("until", f"there is no node {until[:MAX_NAME]!r}")
    for id_, pin in pinned.items():
        node = plan.by_id.get(id_)
        if node is None:
            issues.add(f"pinned.{id_[:MAX_NAME]}", "there is no node with this id")
        elif pin.branch not in (ways := _ways(node)):
            known = ", ".join(repr(way) for way in ways if way is not None)
            text = f"must be one of: {known}" if known else "must be omitted: the node has no branches"
            issues.add(f"pinned.{id_}.branch", text, id_)
    if issues:
        raise BadInput("; ".join(map(str, issues[:5])), issues)


def _ways(node: PlannedNode) -> tuple[str | None, ...]:
    """Return the branches of a node, with None for the unnamed branch."""
    ways: tuple[str | None, ...] = node.branches or (None,)
    return (*ways, "error") if node.on_error == "branch" and "error" not in ways else ways


def _needed(plan: Plan, until: str | None, pinned: Collection[str]) -> set[int]:
    """Return the positions of the nodes in the subplan."""
    if until is not None:
        rest = [plan.by_id[until].position]
    else:
        rest = [node.position for node in plan.nodes if node.is_leaf or node.id in pinned]
    needed: set[int] = set()
    while rest:
        at = rest.pop()
        if at in needed:
            continue
        needed.add(at)
        node = plan.nodes[at]
        if node.id not in pinned:
            rest += [source for source, _ in node.inputs]
            rest += [plan.by_id[id_].position for id_ in node.references if id_ != "*"]
    return needed


def _placed(node: PlannedNode, place: Mapping[int, int], until: str | None, pinned: Mapping[str, Pin]) -> PlannedNode:
    """Move the node to its new position. A pinned node needs no references, and no inputs if some are left out."""
    pin = pinned.get(node.id)
    inputs = tuple((place[at], way) for at, way in node.inputs if at in place)
    if pin is not None and len(inputs) < len(node.inputs):
        inputs = ()
    is_leaf = node.is_leaf if until is None else node.id == until
    moved = replace(node, position=place[node.position], inputs=inputs, is_leaf=is_leaf)
    if pin is None:
        return moved
    return replace(moved, pinned=pin, disabled=False, references=frozenset(), addresses=frozenset())
