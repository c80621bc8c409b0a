"""What changed between the versions of a flow, in a few words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from models import WorkflowVersion

MOST_CHARACTERS = 4_000_000  # of definitions that one page compares; older versions are left without a word
NAMED = 3  # nodes
LONGEST = 60  # characters of a name


def summaries(rows: Sequence[WorkflowVersion]) -> dict[int, dict[str, Any]]:
    """`{node_count, summary}` of each of these versions of one flow, newest first, by its number.

    One without the version before it, or beyond what is compared, has a null `summary`; beyond that, a null count too.
    """
    if not rows:
        return {}
    first, last = rows[-1].version - 1, rows[0].version
    texts = WorkflowVersion.texts(rows[0].workflow_id, first, last, MOST_CHARACTERS)
    parsed = {version: orjson.loads(text) for version, text in texts.items()}
    found = {}
    for version in range(first + 1, last + 1):
        now, before = parsed.get(version), parsed.get(version - 1)
        count = None if now is None else len(_nodes(now))
        summary = "first version" if version == 1 else None
        if now is not None and before is not None:
            summary = compared(before, now)
        found[version] = {"node_count": count, "summary": summary}
    return found


def compared(before: dict[str, Any], now: dict[str, Any]) -> str:
    """What is another, a line: `2 nodes added (a, Ask the bank); 1 node changed (c); edges changed`.

    Nodes are called by their names, and by their ids where they have none.
    """
    old, new = _nodes(before), _nodes(now)
    parts = {
        "added": [id_ for id_ in new if id_ not in old],
        "removed": [id_ for id_ in old if id_ not in new],
        "changed": [
            id_ for id_, node in new.items() if id_ in old and _without_place(node) != _without_place(old[id_])
        ],
    }
    told = [
        f"{len(ids)} {'node' if len(ids) == 1 else 'nodes'} {word} ({_named(ids, old | new)})"
        for word, ids in parts.items()
        if ids
    ]
    if _edges(before) != _edges(now):
        told.append("edges changed")
    if (before.get("settings") or None) != (now.get("settings") or None):
        told.append("settings changed")
    moved = any(id_ in old and node != old[id_] for id_, node in new.items())
    return "; ".join(told) or ("nodes moved" if moved else "written anew")


def _named(ids: list[str], nodes: dict[str, dict[str, Any]]) -> str:
    names = [str(nodes[id_].get("name") or id_)[:LONGEST] for id_ in ids[:NAMED]]
    return ", ".join(names) + (", …" if len(ids) > NAMED else "")


def _nodes(definition: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {node["id"]: node for node in definition.get("nodes") or []}


def _edges(definition: dict[str, Any]) -> set[bytes]:
    return {_edge(edge) for edge in definition.get("edges") or []}


def _edge(raw: Any) -> bytes:
    """An edge, whichever way it is written: as an object, as the app does, or as a list."""
    if isinstance(raw, dict):
        raw = [raw.get(key) for key in ("from", "to", "branch")]
    return orjson.dumps([*raw, None][:3] if isinstance(raw, list) else raw)


def _without_place(node: dict[str, Any]) -> dict[str, Any]:
    """The node but for where it lies on the canvas, which changes nothing of what it does."""
    return {key: value for key, value in node.items() if key != "position"}
