"""Version summaries: the changes between the versions of a flow, in a few words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from database.queries import workflows
from definition.diff import ANNOTATIONS, get_annotations
from models import WorkflowVersion

MAX_CHARACTERS = 4_000_000  # of definitions compared for a page; older versions get no summary
MAX_NAMES = 3  # nodes named in a summary
MAX_NAME_LENGTH = 60  # characters of a node's name


def summarize_versions(rows: Sequence[WorkflowVersion]) -> dict[int, dict[str, Any]]:
    """Return `{node_count, summary}` of these versions of one flow, newest first, by number.

    `summary` is null if the previous version is missing; both are null for versions beyond MAX_CHARACTERS.
    """
    if not rows:
        return {}
    first, last = rows[-1].version - 1, rows[0].version
    texts = workflows.version_texts(rows[0].workflow_id, first, last, MAX_CHARACTERS)
    parsed = {version: orjson.loads(text) for version, text in texts.items()}
    found = {}
    for version in range(first + 1, last + 1):
        now, before = parsed.get(version), parsed.get(version - 1)
        count = None if now is None else len(_get_nodes(now))
        summary = "first version" if version == 1 else None
        if now is not None and before is not None:
            summary = compare(before, now)
        found[version] = {"node_count": count, "summary": summary}
    return found


def compare(before: dict[str, Any], now: dict[str, Any]) -> str:
    """Return the changes in one line: `2 nodes added (a, Ask the bank); 1 node changed (c); edges changed`.

    Nodes are listed by name, or by id if they have none.
    """
    old, new = _get_nodes(before), _get_nodes(now)
    parts = {
        "added": [id_ for id_ in new if id_ not in old],
        "removed": [id_ for id_ in old if id_ not in new],
        "changed": [
            id_ for id_, node in new.items() if id_ in old and _remove_position(node) != _remove_position(old[id_])
        ],
    }
    changes = [
        f"{len(ids)} {'node' if len(ids) == 1 else 'nodes'} {word} ({_list_names(ids, old | new)})"
        for word, ids in parts.items()
        if ids
    ]
    if _get_edges(before) != _get_edges(now):
        changes.append("edges changed")
    if (before.get("settings") or None) != (now.get("settings") or None):
        changes.append("settings changed")
    changes += [
        f"{name} changed" for name in ANNOTATIONS if get_annotations(before, name) != get_annotations(now, name)
    ]
    moved = any(id_ in old and node != old[id_] for id_, node in new.items())
    return "; ".join(changes) or ("nodes moved" if moved else "formatting changed")


def _list_names(ids: list[str], nodes: dict[str, dict[str, Any]]) -> str:
    names = [str(nodes[id_].get("name") or id_)[:MAX_NAME_LENGTH] for id_ in ids[:MAX_NAMES]]
    return ", ".join(names) + (", …" if len(ids) > MAX_NAMES else "")


def _get_nodes(definition: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {node["id"]: node for node in definition.get("nodes") or []}


def _get_edges(definition: dict[str, Any]) -> set[bytes]:
    return {_normalize_edge(edge) for edge in definition.get("edges") or []}


def _normalize_edge(raw: Any) -> bytes:
    """Return an edge in one form: the app writes objects, others may write lists."""
    if isinstance(raw, dict):
        raw = [raw.get(key) for key in ("from", "to", "branch")]
    return orjson.dumps([*raw, None][:3] if isinstance(raw, list) else raw)


def _remove_position(node: dict[str, Any]) -> dict[str, Any]:
    """Return the node without its position on the canvas, which does not affect its behaviour."""
    return {key: value for key, value in node.items() if key != "position"}
