"""Lists of runs as JSON, made from columns without `Run` objects, since the app polls them every second or two.

An item has the fields of `RunItemOut` or `RunBriefOut`. Serializing objects with marshmallow takes four times as long.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson
from flask import Response

from models import microseconds
from schema_fields import Cursor
from schema_fields.row_json import fragment, iso

COLUMNS = (
    "id, workflow_id, workflow_name, workflow_version, workspace_id, status, triggered_by, duration_ms, created_at, "
    "started_at, finished_at, error_text, error_node_id, error_kind, cancelled, waiting, parent_run_id, retry_of, "
    "nodes_total, nodes_done, options"
)
VALUES = "input, input_bytes, output, output_bytes"
NAMES = f"{COLUMNS}, {VALUES}".split(", ")
WITHOUT_OPTIONS: dict[str, Any] = {"draft": False, "until": None, "pinned": []}


def select_columns(brief: bool) -> str:
    """Return the columns that `respond` needs, as SQL; `brief` leaves out input and output."""
    return COLUMNS if brief else f"{COLUMNS}, {VALUES}"


def respond(found: Iterable[tuple[Any, ...]], last: str | None) -> Response:
    """Return the response with a page of runs, given as column values, and the id before the next page."""
    body = {"items": [_show(values) for values in found], "next_cursor": Cursor.encode(last)}
    return Response(orjson.dumps(body), mimetype="application/json")


def make_reference(path: str, size: int) -> bytes:
    """Return the JSON that replaces a value too large for a response."""
    return orjson.dumps({"$ref": path, "bytes": size})


def _show(values: tuple[Any, ...]) -> dict[str, Any]:
    """Return the item of a run, given as the values of COLUMNS and maybe VALUES."""
    item = dict(zip(NAMES, values, strict=False))
    duration = item["duration_ms"]
    nodes, done, options = item.pop("nodes_total"), item.pop("nodes_done"), item.pop("options")
    item["duration_ms"] = None if duration is None else round(duration)
    item["duration_us"] = microseconds(duration)
    for name in ("created_at", "started_at", "finished_at"):
        if item[name] is not None:
            item[name] = iso(item[name])
    item["cancelled"] = bool(item["cancelled"])
    item["progress"] = None if nodes is None else {"done": done or 0, "total": nodes}
    item |= WITHOUT_OPTIONS if options is None else orjson.loads(options)
    for name in ("input", "output"):
        if name in item:
            size = item.pop(f"{name}_bytes")
            value = item[name] if size is None else make_reference(f"/api/runs/{item['id']}/{name}", size)
            item[name] = fragment(value)
    return item
