"""Lists of runs as JSON: from columns, without a `Run` of each, since the app asks for them every second or two.

An item has what `RunItemOut` says, or `RunBriefOut`. Objects that marshmallow writes take four times as long.
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
    "started_at, finished_at, error_text, error_node_id, cancelled, waiting, parent_run_id, retry_of, nodes_total, "
    "nodes_done, options"
)
VALUES = "input, input_bytes, output, output_bytes"
WITHOUT_OPTIONS: dict[str, Any] = {"draft": False, "until": None, "pinned": []}


def columns(brief: bool) -> str:
    """The columns that `answer` needs, as SQL; `brief` leaves out what went in and came out."""
    return COLUMNS if brief else f"{COLUMNS}, {VALUES}"


def answer(found: Iterable[tuple[Any, ...]], last: str | None) -> Response:
    """The answer for a page of runs, given as values of the columns, and the id to go on from."""
    body = {"items": [_item(*values) for values in found], "next_cursor": Cursor.encoded(last)}
    return Response(orjson.dumps(body), mimetype="application/json")


def reference(path: str, size: int) -> bytes:
    """The JSON that stands for a value which is too large for a list."""
    return orjson.dumps({"$ref": path, "bytes": size})


def _item(
    id_: str, workflow_id: str, workflow_name: str, version: int | None, workspace_id: str, status: str, trigger: str,
    duration_ms: float | None, created: int, started: int | None, finished: int | None, error_text: str | None,
    error_node_id: str | None, cancelled: int, waiting: str | None, parent_run_id: str | None, retry_of: str | None,
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
        input = reference(f"/api/runs/{id_}/input", input_bytes)
    if output_bytes is not None:
        output = reference(f"/api/runs/{id_}/output", output_bytes)
    return {"input": fragment(input), "output": fragment(output)}
