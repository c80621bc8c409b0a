"""The graph of a definition: its ids and edges, what is wrong with them, and the order in which they run."""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from errors import Issue

ID = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
MAX_ID, MAX_NAME = 64, 200
MOST_ISSUES = 1_000  # that are told; nobody reads more, and a few bytes of a definition can make one


class Edge(NamedTuple):
    """A wire from node `source` to node `target`, live when the source leaves by `branch` (None: the unnamed way)."""

    source: str
    target: str
    branch: str | None


class Graph(NamedTuple):
    """The raw nodes by id in the order of the file, and the edges."""

    nodes: dict[str, dict[str, Any]]
    edges: list[Edge]
    order: list[str]


class Issues(list[Issue]):
    """What is wrong, collected; `add` says where. When it `is_full`, there is no need to look for more."""

    @property
    def is_full(self) -> bool:
        return len(self) > MOST_ISSUES

    def add(self, path: str, message: str, node_id: str | None = None) -> None:
        """Note one issue at `path`, such as `nodes[2].config.url`."""
        if len(self) < MOST_ISSUES:
            self.append(Issue(path, message, node_id))
        elif not self.is_full:
            self.append(Issue("", f"there is more that is wrong; these are the first {MOST_ISSUES:,}"))


def graph_of(definition: Any, issues: Issues, max_nodes: int) -> Graph | None:
    if not isinstance(definition, dict):
        issues.add("definition", "must be an object with nodes and edges")
        return None
    raw = _list(definition, "nodes", issues)
    if len(raw) > max_nodes:
        issues.add("nodes", f"has {len(raw)} nodes; at most {max_nodes} are allowed")
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
            issues.add(path, "must be an object with id and type")
            continue
        id_ = node.get("id")
        if not isinstance(id_, str) or not ID.match(id_) or len(id_) > MAX_ID:
            issues.add(f"{path}.id", "is missing or not a name of letters, digits and _ that starts with no digit")
        elif id_ in nodes:
            issues.add(f"{path}.id", f"the node id {id_!r} is used twice", id_)
        elif not isinstance(node.get("type"), str) or not node["type"]:
            issues.add(f"{path}.type", "is missing or not text", id_)
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
            issues.add(path, f"the edge from {edge.source!r} to {edge.target!r} stands here twice")
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
    """Kahn's order; of several that could come next, the one that stands first in the file."""
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
        issues.add("edges", "the graph has a cycle: " + " -> ".join(loop), loop[0])
    return order


def _cycle(stuck: list[str], edges: Iterable[Edge]) -> list[str]:
    """One cycle, shown from its first node back to it: every stuck node has a stuck predecessor, so walk backwards."""
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


def unknown_keys(
    raw: Mapping[str, Any], known: Iterable[str], path: str, issues: Issues, node_id: str | None = None
) -> None:
    for key in sorted(raw.keys() - set(known)):
        if issues.is_full:
            break
        issues.add(f"{path}.{key[:MAX_NAME]}".lstrip("."), f"is no key here; there are {', '.join(known)}", node_id)
