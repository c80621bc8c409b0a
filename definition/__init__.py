"""Definition of a workflow: validation of its JSON, and the `Plan` that the engine runs.

Pure: takes a JSON object, returns a plan or a list of issues. Validation has two stages, because a draft may be
incomplete but never malformed: `graph` checks ids and edges, `plan` also node types, branches, config and expressions.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from errors import DefinitionError, Issue

from .builder import ERROR_FLOW, Use, build_nodes, check_edges, check_uses, find_credentials, find_workflows, get_schema
from .diff import NodeOutline, count_differences, outline_nodes, sketch
from .execution_plan import (
    Config,
    Debouncing,
    FlowSettings,
    Pin,
    Plan,
    PlannedNode,
    Retry,
    find_sources,
    find_unconnected,
    select_one,
    select_part,
)
from .node_graph import Edge, Graph, Issues, build_graph, report_unknown_keys
from .schema import DEFINITION, check_annotations, read_settings

__all__ = [
    "ERROR_FLOW", "Config", "Debouncing", "Edge", "Graph", "NodeOutline", "Pin", "Plan", "PlannedNode", "Retry",
    "FlowSettings", "Use", "check", "check_uses", "count_differences", "find_credentials", "find_sources",
    "find_workflows", "get_schema", "graph", "outline_nodes", "plan", "plan_draft", "plan_one", "plan_part",
    "select_one", "select_part", "sketch",
]  # fmt: skip

KEYS = tuple(DEFINITION["properties"])


def plan(definition: Any, max_nodes: int = 20_000) -> Plan:
    """Return the plan of a definition (a JSON object).

    Raises: DefinitionError with every issue found.
    """
    made, issues = check(definition, max_nodes)
    if made is None:
        raise DefinitionError(issues)
    return made


def plan_part(definition: Any, until: str | None, pinned: Mapping[str, Pin], max_nodes: int = 20_000) -> Plan:
    """Return the plan of the part of a draft that a run executes, as `select_part` chooses it; only that is checked.

    Without `until`, unconnected parts with errors are left out, unless a trigger starts them or nothing else is left.

    Raises: DefinitionError with the issues of the part, BadInput if a node or a branch does not exist.
    """
    whole, shape, issues = _read(definition, max_nodes)
    if whole is None or shape is None:
        raise DefinitionError(issues)
    bad = {issue.node_id for issue in issues}
    part = select_part(whole, until, pinned, find_unconnected(whole, bad - pinned.keys()) if until is None else ())
    ids = {node.id for node in part.nodes}
    executed = {None, *(node.id for node in part.nodes if node.pinned is None and not node.disabled)}
    wrong = Issues(issue for issue in issues if issue.node_id in executed)
    check_edges(shape, wrong, ids)
    if wrong:
        raise DefinitionError(wrong)
    return part if until is not None or pinned or part.left_out else whole


def plan_one(
    definition: Any, only: str, pinned: Mapping[str, Pin], kept: Collection[str], max_nodes: int = 20_000
) -> Plan:
    """Return the plan in which just the node `only` of a draft is executed; see `select_one`. Only it is checked.

    Raises: DefinitionError with the issues of the node, BadInput if a node or a branch does not exist.
    """
    whole, shape, issues = _read(definition, max_nodes)
    if whole is None or shape is None:
        raise DefinitionError(issues)
    part = select_one(whole, only, pinned, kept)
    wrong = Issues(issue for issue in issues if issue.node_id in (None, only))
    check_edges(shape, wrong, {only, *(whole.nodes[at].id for at, _ in whole.by_id[only].inputs)})
    if wrong:
        raise DefinitionError(wrong)
    return part


def plan_draft(definition: Any, max_nodes: int = 20_000) -> Plan:
    """Return the plan of a draft, in which nodes with issues have no config. Never run it as a whole.

    Raises: DefinitionError if the graph is malformed.
    """
    whole, _, issues = _read(definition, max_nodes)
    if whole is None:
        raise DefinitionError(issues)
    return whole


def check(definition: Any, max_nodes: int = 20_000) -> tuple[Plan | None, list[Issue]]:
    """Return the plan, or None if the definition is invalid, and all issues."""
    made, shape, issues = _read(definition, max_nodes)
    if shape is not None:
        check_edges(shape, issues, shape.nodes)
    return (None if issues else made), issues


def _read(definition: Any, max_nodes: int) -> tuple[Plan | None, Graph | None, Issues]:
    """Return the plan, in which nodes with issues have no config; the graph; and the issues, except those of edges.

    There is no plan, and no graph either, if the graph is malformed; no plan if the check was stopped.
    """
    issues = Issues()
    shape = build_graph(definition, issues, max_nodes)
    if shape is None:
        return None, None, issues
    if not shape.nodes:
        issues.add("nodes", "a flow needs at least one node")
    settings = read_settings(definition.get("settings"), issues)
    report_unknown_keys(definition, KEYS, "", issues)
    check_annotations(definition, shape.nodes, issues)
    nodes = build_nodes(shape, issues)
    return (Plan(nodes, settings) if len(nodes) == len(shape.nodes) else None), shape, issues


def graph(definition: Any, max_nodes: int = 20_000) -> Graph:
    """Return the ids and edges of a draft.

    Raises: DefinitionError if ids or edges are malformed, duplicate or dangling, or the edges form a cycle; or if notes
        or groups are malformed.
    """
    issues = Issues()
    shape = build_graph(definition, issues, max_nodes)
    if shape is not None:
        check_annotations(definition, shape.nodes, issues)
    if shape is None or issues:
        raise DefinitionError(issues)
    return shape
