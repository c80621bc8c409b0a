"""A WorkflowDefinition: what it may hold, what is wrong with it, and the `Plan` that the engine runs.

Pure: a JSON object goes in, a plan or a list of issues comes out. The checks come in two stages, because a draft may be
incomplete but never malformed: `graph` looks at ids and edges, `plan` also at node types, branches, config and
expressions.
"""

from __future__ import annotations

from typing import Any

from errors import DefinitionError, Issue

from .builder import nodes_of, schema_of
from .credential_usage import ERROR_FLOW, Use, calls, missing, missing_of, uses
from .diff import differences
from .graph import Edge, Graph, Issues, graph_of, unknown_keys
from .outline import Outline, outlines, sketch
from .plan import Config, Pin, Plan, PlannedNode, Retry, Settings
from .settings import settings_of
from .subplan import before, part_of

__all__ = [
    "ERROR_FLOW", "Config", "Edge", "Graph", "Outline", "Pin", "Plan", "PlannedNode", "Retry", "Settings", "Use",
    "calls", "check", "differences", "graph", "missing", "missing_of", "outlines", "part_of", "plan", "plan_until",
    "schema_of", "sketch", "uses",
]  # fmt: skip


def plan(definition: Any, max_nodes: int = 20_000) -> Plan:
    """The plan of a definition (a JSON object). Raises DefinitionError with every issue found."""
    made, issues = check(definition, max_nodes)
    if made is None:
        raise DefinitionError(issues)
    return made


def plan_until(definition: Any, until: str, max_nodes: int = 20_000) -> tuple[Plan, frozenset[str]]:
    """The plan for a run up to the node `until`, and the ids of the nodes that are not in it.

    If nodes that come after `until` are incomplete, all of them are left aside. Raises DefinitionError with what is
    wrong with the others.
    """
    made, issues = check(definition, max_nodes)
    if made is not None:
        return made, frozenset()
    earlier, later = before(graph(definition, max_nodes), definition, until)
    made, _ = check(earlier, max_nodes)
    if made is None:
        raise DefinitionError([issue for issue in issues if issue.node_id not in later])
    return made, later


def check(definition: Any, max_nodes: int = 20_000) -> tuple[Plan | None, list[Issue]]:
    """The plan, or None, and all issues."""
    issues = Issues()
    shape = graph_of(definition, issues, max_nodes)
    if shape is None:
        return None, issues
    if not shape.nodes:
        issues.add("nodes", "a flow needs at least one node")
    settings = settings_of(definition.get("settings"), issues)
    unknown_keys(definition, ("nodes", "edges", "settings"), "", issues)
    nodes = nodes_of(shape, issues)
    return (None if issues else Plan(nodes, settings)), issues


def graph(definition: Any, max_nodes: int = 20_000) -> Graph:
    """Ids and edges of a draft; DefinitionError where they are malformed, doubled, dangling or form a cycle."""
    issues = Issues()
    shape = graph_of(definition, issues, max_nodes)
    if shape is None:
        raise DefinitionError(issues)
    return shape
