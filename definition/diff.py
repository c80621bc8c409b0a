"""Diff of two definitions, as counts: describes a change without revealing its content."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from constants import CHANGED

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
