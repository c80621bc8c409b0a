"""Graph of a definition: its ids and edges, their validation, and the order of execution."""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from errors import Issue

ID = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
MAX_ID, MAX_NAME = 64, 200
MAX_ISSUES = 1_000  # reported; a few bytes of a definition can cause one


class Edge(NamedTuple):
    """An edge from node `source` to node `target`; live if the source takes `branch` (None: the unnamed branch)."""

    source: str
    target: str
    branch: str | None


class Graph(NamedTuple):
    """Raw nodes by id in the order of the file, the edges, and the ids in order of execution."""

    nodes: dict[str, dict[str, Any]]
    edges: list[Edge]
    order: list[str]


class Issues(list[Issue]):
    """Collected issues, at most MAX_ISSUES. Stop looking for more if it `is_full`."""

    @property
    def is_full(self) -> bool:
        return len(self) > MAX_ISSUES

    def add(self, path: str, message: str, node_id: str | None = None) -> None:
        """Add an issue at `path`, such as `nodes[2].config.url`."""
        if len(self) < MAX_ISSUES:
            self.append(Issue(path, message, node_id))
        elif not self.is_full:
            self.append(Issue("", f"there are more issues; only the first {MAX_ISSUES:,} are listed"))


def build_graph(definition: Any, issues: Issues, max_nodes: int) -> Graph | None:
    if not isinstance(definition, dict):
        issues.add("definition", 'must be an object with the keys "nodes" and "edges"')
        return None
    raw = _list(definition, "nodes", issues)
    if len(raw) > max_nodes:
        issues.add("nodes", f"has {len(raw)} nodes; the limit is {max_nodes}")
        return None
    nodes = _ids(raw, issues)
    edges = _edges(_list(definition, "edges", issues), nodes, issues)
    if issues:
        return None
    order = _order(nodes, edges, issues)
    return None if issues else Graph(nodes, edges, order)


def _list(definition: dict[str, Any], key: str, issues: Issues) -> list[Any]:
    value = definition.get(key, [])
    if isinstance(value, list):
        return value
    issues.add(key, "must be a list")
    return []


def _ids(raw: list[Any], issues: Issues) -> dict[str, dict[str, Any]]:
    nodes: dict[str, dict[str, Any]] = {}
    for position, node in enumerate(raw):
        path = f"nodes[{position}]"
        if not isinstance(node, dict):
            issues.add(path, 'must be an object with the keys "id" and "type"')
            continue
        id_ = node.get("id")
        if not isinstance(id_, str) or not ID.match(id_) or len(id_) > MAX_ID:
            issues.add(f"{path}.id", "is required: letters, digits and _, not starting with a digit")
        elif id_ in nodes:
            issues.add(f"{path}.id", f"the node id {id_!r} is used twice; ids must be unique", id_)
        elif not isinstance(node.get("type"), str) or not node["type"]:
            issues.add(f"{path}.type", "is required, and must be text", id_)
        else:
            nodes[id_] = node
    return nodes


def _edges(raw: list[Any], nodes: Mapping[str, Any], issues: Issues) -> list[Edge]:
    edges: dict[Edge, None] = {}
    for position, item in enumerate(raw):
        if issues.is_full:
            break
        edge = _edge(item)
        path = f"edges[{position}]"
        if edge is None:
            issues.add(path, 'must be {"from": id, "to": id, "branch"?: name} or ["from", "to", "branch"?]')
            continue
        for end, id_ in (("from", edge.source), ("to", edge.target)):
            if id_ not in nodes:
                issues.add(f"{path}.{end}", f"there is no node {id_[:MAX_ID]!r}")
        if edge in edges:
            issues.add(path, f"duplicate edge from {edge.source!r} to {edge.target!r}; remove one")
        edges[edge] = None
    return list(edges)


def _edge(item: Any) -> Edge | None:
    if isinstance(item, dict):
        if item.keys() - {"from", "to", "branch", "id"}:
            return None
        parts = [item.get("from"), item.get("to"), item.get("branch")]
    elif isinstance(item, list) and len(item) in (2, 3):
        parts = [*item, None][:3]
    else:
        return None
    source, target, branch = parts
    if isinstance(source, str) and isinstance(target, str) and (branch is None or isinstance(branch, str)):
        return Edge(source, target, branch)
    return None


def _order(nodes: Mapping[str, Any], edges: Iterable[Edge], issues: Issues) -> list[str]:
    """Return the ids in topological order (Kahn's algorithm); among ready nodes, the order of the file decides."""
    position = {id_: index for index, id_ in enumerate(nodes)}
    ids = list(nodes)
    waits_for = dict.fromkeys(nodes, 0)
    targets: dict[str, list[str]] = {id_: [] for id_ in nodes}
    for edge in edges:
        waits_for[edge.target] += 1
        targets[edge.source].append(edge.target)
    ready = [position[id_] for id_, count in waits_for.items() if count == 0]
    heapq.heapify(ready)
    order: list[str] = []
    while ready:
        id_ = ids[heapq.heappop(ready)]
        order.append(id_)
        for target in targets[id_]:
            waits_for[target] -= 1
            if not waits_for[target]:
                heapq.heappush(ready, position[target])
    if len(order) < len(nodes):
        loop = _cycle([id_ for id_ in ids if waits_for[id_]], edges)
        issues.add("edges", "the edges form a cycle: " + " -> ".join(loop), loop[0])
    return order


def _cycle(stuck: list[str], edges: Iterable[Edge]) -> list[str]:
    """Return one cycle, from a node back to itself: every stuck node has a stuck predecessor, so walk backwards."""
    left = set(stuck)
    before = {edge.target: edge.source for edge in edges if edge.source in left and edge.target in left}
    seen: dict[str, int] = {}
    walk: list[str] = []
    id_ = stuck[0]
    while id_ not in seen:
        seen[id_] = len(walk)
        walk.append(id_)
        id_ = before[id_]
    loop = walk[seen[id_] :][::-1]
    if len(loop) > 12:
        loop = [*loop[:6], "…", *loop[-5:]]
    return [*loop, loop[0]]


def report_unknown_keys(
    raw: Mapping[str, Any], known: Iterable[str], path: str, issues: Issues, node_id: str | None = None
) -> None:
    for key in sorted(raw.keys() - set(known)):
        if issues.is_full:
            break
        text = f"unknown key; known keys: {', '.join(known)}"
        issues.add(f"{path}.{key[:MAX_NAME]}".lstrip("."), text, node_id)
