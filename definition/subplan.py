"""Subplan: the part of a plan needed to reach one node, with pinned outputs in place of execution.

Pure: takes a plan, returns a plan that runs like any other.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from errors import BadInput

from .execution_plan import Pin, Plan, PlannedNode
from .node_graph import MAX_NAME, Issues


def select_part(plan: Plan, until: str | None, pinned: Mapping[str, Pin], without: Collection[str] = ()) -> Plan:
    """Return the plan of the nodes that must run to reach the node `until`, or every leaf if it is None.

    Includes the ancestors of these nodes and the steps their expressions read. Excludes the ancestors that only
    `pinned` nodes need, and the leaves `without`. A pinned node counts as executed, but is skipped if all its ancestors
    run and skip it.

    Raises: BadInput if a node or a branch does not exist.
    """
    _check(plan, until, pinned)
    needed = _needed(plan, until, pinned, without)
    order = sorted(needed)
    place = {old: new for new, old in enumerate(order)}
    nodes = tuple(_placed(plan.nodes[old], place, until, pinned) for old in order)
    return Plan(nodes, plan.settings, until, tuple(node for node in plan.nodes if node.position not in needed))


def select_one(plan: Plan, only: str, pinned: Mapping[str, Pin], kept: Collection[str]) -> Plan:
    """Return the plan in which just the node `only` is executed, with its pinned sources and the nodes `kept`.

    Kept nodes have recorded steps. They are disabled in the plan, so that they are not executed again.

    Raises: BadInput if the node, a pinned node or a branch does not exist.
    """
    _check(plan, only, pinned, "only")
    pins = {id_: pinned[id_] for id_ in find_sources(plan, only) & pinned.keys()}
    order = [node.position for node in plan.nodes if node.id == only or node.id in pins or node.id in kept]
    place = {old: new for new, old in enumerate(order)}
    nodes = []
    for old in order:
        node = _placed(plan.nodes[old], place, only, pins)
        if node.pinned is not None:
            node = replace(node, inputs=())
        elif node.id != only:
            node = replace(node, disabled=True, references=frozenset(), addresses=frozenset())
        nodes.append(node)
    return Plan(tuple(nodes), plan.settings, only, tuple(node for node in plan.nodes if node.position not in place))


def find_sources(plan: Plan, node_id: str) -> set[str]:
    """Return the nodes whose output the node needs: its direct predecessors, and the steps that it reads."""
    node = plan.by_id[node_id]
    return {plan.nodes[at].id for at, _ in node.inputs} | node.references - {"*"}


def find_unconnected(plan: Plan, bad: Collection[str | None]) -> frozenset[str]:
    """Return the nodes of unconnected parts of the plan that contain a `bad` node and no trigger.

    None of them if nothing else is left. Expressions that read a step connect nodes too.
    """
    parts = list(range(len(plan.nodes)))  # for each node, a node of the same part; the first one has itself

    def first(at: int) -> int:
        while parts[at] != at:
            parts[at] = at = parts[parts[at]]
        return at

    for node in plan.nodes:
        read = [plan.by_id[id_].position for id_ in node.references if id_ != "*"]
        for at in (*(source for source, _ in node.inputs), *read):
            low, high = sorted((first(at), first(node.position)))
            parts[high] = low
    wrong = {first(node.position) for node in plan.nodes if node.id in bad}
    wrong -= {first(node.position) for node in plan.nodes if node.node.trigger and not node.disabled}
    found = frozenset(node.id for node in plan.nodes if first(node.position) in wrong)
    return found if len(found) < len(plan.nodes) else frozenset()


def _check(plan: Plan, until: str | None, pinned: Mapping[str, Pin], key: str = "until") -> None:
    issues = Issues()
    if until is not None and until not in plan.by_id:
        issues.add(key, f"there is no node {until[:MAX_NAME]!r}")
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


def _needed(plan: Plan, until: str | None, pinned: Collection[str], without: Collection[str]) -> set[int]:
    """Return the positions of the nodes in the subplan."""
    if until is not None:
        rest = [plan.by_id[until].position]
    else:
        ends = [node for node in plan.nodes if node.is_leaf or node.id in pinned]
        rest = [node.position for node in ends if node.id not in without]
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
