"""Diff of two definitions, as counts: describes a change without revealing its content."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CHANGED = {"changed": True}


def count_differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return `{"nodes": {"added", "removed", "changed"}, "edges": {"changed": true}, "settings": …}`, unchanged parts
    omitted.

    The nodes of both definitions must have ids. A changed `position` alone does not count.
    """
    old, new = _nodes(before), _nodes(after)
    counts = {
        "added": len(new.keys() - old.keys()),
        "removed": len(old.keys() - new.keys()),
        "changed": sum(old[id_] != new[id_] for id_ in old.keys() & new.keys()),
    }
    others = [name for name in ("edges", "settings") if (before.get(name) or None) != (after.get(name) or None)]
    return ({"nodes": counts} if any(counts.values()) else {}) | dict.fromkeys(others, CHANGED)


def _nodes(definition: Mapping[str, Any]) -> dict[str, Any]:
    return {
        node["id"]: {name: value for name, value in node.items() if name != "position"}
        for node in definition.get("nodes") or ()
    }
