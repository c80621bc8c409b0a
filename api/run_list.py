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
WITHOUT_OPTIONS: dict[str, Any] = {"draft": False, "until": None, "pinned": []}


def select_columns(brief: bool) -> str:
    """Return the columns that `respond` needs, as SQL; `brief` leaves out input and output."""
    return COLUMNS if brief else f"{COLUMNS}, {VALUES}"


def respond(found: Iterable[tuple[Any, ...]], last: str | None) -> Response:
    """Return the response with a page of runs, given as column values, and the id before the next page."""
    body = {"items": [_item(*values) for values in found], "next_cursor": Cursor.encode(last)}
    return Response(orjson.dumps(body), mimetype="application/json")


def make_reference(path: str, size: int) -> bytes:
    """Return the JSON that replaces a value too large for a response."""
    return orjson.dumps({"$ref": path, "bytes": size})


def _item(
    id_: str, workflow_id: str, workflow_name: str, version: int | None, workspace_id: str, status: str, trigger: str,
    duration_ms: float | None, created: int, started: int | None, finished: int | None, error_text: str | None,
    error_node_id: str | None, error_kind: str | None, cancelled: int, waiting: str | None,
    parent_run_id: str | None, retry_of: str | None,
    nodes: int | None, nodes_done: int | None, options: str | None, *values: Any,
) -> dict[str, Any]:  # fmt: skip
    return {
        "id": id_,
        "workflow_id": workflow_id,
        "workflow_name": workflow_name,
        "workflow_version": version,
        "workspace_id": workspace_id,
        "status": status,
        "triggered_by": trigger,
        "duration_ms": None if duration_ms is None else round(duration_ms),
        "duration_us": microseconds(duration_ms),
        "created_at": iso(created),
        "started_at": None if started is None else iso(started),
        "finished_at": None if finished is None else iso(finished),
        "error_text": error_text,
        "error_node_id": error_node_id,
        "error_kind": error_kind,
        "cancelled": bool(cancelled),
        "waiting": waiting,
        "parent_run_id": parent_run_id,
        "retry_of": retry_of,
        "progress": None if nodes is None else {"done": nodes_done or 0, "total": nodes},
        **(WITHOUT_OPTIONS if options is None else orjson.loads(options)),
        **(_values(id_, *values) if values else {}),
    }


def _values(id_: str, input: Any, input_bytes: int | None, output: Any, output_bytes: int | None) -> dict[str, Any]:
    if input_bytes is not None:
        input = make_reference(f"/api/runs/{id_}/input", input_bytes)
    if output_bytes is not None:
        output = make_reference(f"/api/runs/{id_}/output", output_bytes)
    return {"input": fragment(input), "output": fragment(output)}
