"""Presets: the palette of a workspace, with nodes from imported documents.

A preset is a node, not a node type: it is copied into the flow, so importing a document again changes no flow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from database import execute, execute_all, fetch_value, write
from database.base import Rows, containing, insert, new_id, now_ms
from database.queries.locks import lock_names
from errors import Conflict
from models import Preset

MAX_PRESETS = 10_000  # of a workspace


def replace_source(workspace_id: str, source: str, title: str, presets: Sequence[dict[str, Any]]) -> list[Preset]:
    """Replace all presets of the source by these rows. Raises: Conflict if there would be too many.

    The last row gets the oldest id, so that the list, newest first, has the order of the document.
    """
    now = now_ms()
    shared = {"workspace_id": workspace_id, "source": source, "title": title, "created_at": now}
    rows = [{"id": new_id(Preset.prefix), **shared, **preset} for preset in reversed(presets)]
    with write():
        lock_names("presets", (workspace_id,))
        remove_source(workspace_id, source)
        others = fetch_value("SELECT COUNT(*) FROM presets WHERE workspace_id = ?", (workspace_id,))
        if others + len(rows) > MAX_PRESETS:
            raise Conflict(
                f"The palette has {others:,} presets of other sources, and may have {MAX_PRESETS:,}; delete some"
            )
        execute_all(insert("presets", row) for row in rows)
    return [Preset.fresh(row) for row in reversed(rows)]


def remove_source(workspace_id: str, source: str) -> bool:
    """Delete all presets of the source. Return True if there were any."""
    with write():
        lock_names("presets", (workspace_id,))
        gone = execute("DELETE FROM presets WHERE workspace_id = ? AND source = ?", (workspace_id, source))
    return bool(gone.rowcount)


def select_where(workspace_id: str, search: str | None = None, source: str | None = None) -> Rows[Preset]:
    """Return the workspace's presets of a source that contain every word of `search`."""
    text = "title || ' ' || key || ' ' || name || ' ' || description || ' ' || tags LIKE ? ESCAPE '\\'"
    words = [(text, containing(word)) for word in (search or "").split()[:20]]
    return Rows(Preset, [("workspace_id = ?", workspace_id), ("source = ?", source), *words])
