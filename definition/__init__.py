"""Definition of a workflow: validation of its JSON, and the `Plan` that the engine runs.

Pure: takes a JSON object, returns a plan or a list of issues. Validation has two stages, because a draft may be
incomplete but never malformed: `graph` checks ids and edges, `plan` also node types, branches, config and expressions.
"""

from __future__ import annotations

from typing import Any

from errors import DefinitionError, Issue

from .builder import build_nodes, get_schema
from .credential_usage import ERROR_FLOW, Use, check_uses, find_credentials, find_workflows
from .diff import count_differences
from .execution_plan import Config, Pin, Plan, PlannedNode, Retry, Settings
from .node_graph import Edge, Graph, Issues, build_graph, report_unknown_keys
from .outline import Outline, outline_nodes, sketch
from .settings import read_settings
from .subplan import cut_after, select_part

__all__ = [
    "ERROR_FLOW", "Config", "Edge", "Graph", "Outline", "Pin", "Plan", "PlannedNode", "Retry", "Settings", "Use",
    "check", "check_uses", "count_differences", "find_credentials", "find_workflows",
    "get_schema", "graph", "outline_nodes", "plan", "plan_until", "select_part", "sketch",
]  # fmt: skip


def plan(definition: Any, max_nodes: int = 20_000) -> Plan:
    """Return the plan of a definition (a JSON object).

    Raises: DefinitionError with every issue found.
    """
    made, issues = check(definition, max_nodes)
    if made is None:
        raise DefinitionError(issues)
    return made


def plan_until(definition: Any, until: str, max_nodes: int = 20_000) -> tuple[Plan, frozenset[str]]:
    """Return the plan for a run up to the node `until`, and the ids of the nodes left out of it.

    If nodes after `until` are incomplete, all nodes after it are left out.

    Raises: DefinitionError with the issues of the other nodes.
    """
    made, issues = check(definition, max_nodes)
    if made is not None:
        return made, frozenset()
    earlier, later = cut_after(graph(definition, max_nodes), definition, until)
    made, _ = check(earlier, max_nodes)
    if made is None:
        raise DefinitionError([issue for issue in issues if issue.node_id not in later])
    return made, later


def check(definition: Any, max_nodes: int = 20_000) -> tuple[Plan | None, list[Issue]]:
    """Return the plan, or None if the definition is invalid, and all issues."""
    issues = Issues()
    shape = build_graph(definition, issues, max_nodes)
    if shape is None:
        return None, issues
    if not shape.nodes:
        issues.add("nodes", "a flow needs at least one node")
    settings = read_settings(definition.get("settings"), issues)
    report_unknown_keys(definition, ("nodes", "edges", "settings"), "", issues)
    nodes = build_nodes(shape, issues)
    return (None if issues else Plan(nodes, settings)), issues


def graph(definition: Any, max_nodes: int = 20_000) -> Graph:
    """Return the ids and edges of a draft.

    Raises: DefinitionError if ids or edges are malformed, duplicate or dangling, or the edges form a cycle.
    """
    issues = Issues()
    shape = build_graph(definition, issues, max_nodes)
    if shape is None:
        raise DefinitionError(issues)
    return shape
