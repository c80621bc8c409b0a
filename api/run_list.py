"""Lists of runs as JSON, made from columns without `Run` objects, since the app polls them every second or two.

An item has the fields of `RunItemOut` or `RunBriefOut`. Serializing objects with marshmallow takes four times as long.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import orjson
from flask import Response

from database.base import microseconds
from fields import Cursor, fragment, iso

if TYPE_CHECKING:
    from dispatch.run_search import FoundRun, Searched

COLUMNS = (
    "id, workflow_id, workflow_name, workflow_version, workspace_id, status, triggered_by, duration_ms, created_at, "
    "started_at, finished_at, error_text, error_node_id, error_kind, cancelled, waiting, parent_run_id, retry_of, "
    "nodes_total, nodes_done, options"
)
VALUES = "input, input_bytes, output, output_bytes"
WITHOUT_OPTIONS: dict[str, Any] = {"draft": False, "until": None, "pinned": [], "only": None}


def select_columns(brief: bool) -> str:
    """Return the columns that `respond` needs, as SQL; `brief` leaves out input and output."""
    return COLUMNS if brief else f"{COLUMNS}, {VALUES}"


def respond(found: Iterable[tuple[Any, ...]], last: str | None) -> Response:
    """Return the response with a page of runs, given as column values, and the id before the next page."""
    return _respond([_show(values) for values in found], last)


def respond_found(found: Iterable[FoundRun], last: str | None, searched: Searched) -> Response:
    """Return the response with a page of a search in run data: the same, with places, and how far it looked."""
    items = [{**_show(values), "found_in": [place._asdict() for place in places]} for values, places in found]
    until = None if searched.until is None else iso(searched.until)
    return _respond(items, last, searched={"runs": searched.runs, "until": until, "partly_read": searched.partial})


def _respond(items: list[dict[str, Any]], last: str | None, **more: Any) -> Response:
    body = {"items": items, "next_cursor": Cursor.encode(last), **more}
    return Response(orjson.dumps(body), mimetype="application/json")


def make_reference(path: str, size: int) -> bytes:
    """Return the JSON that replaces a value too large for a response."""
    return orjson.dumps({"$ref": path, "bytes": size})


def _show(values: tuple[Any, ...]) -> dict[str, Any]:
    """Return the item of a run, given as the values of COLUMNS and maybe VALUES."""
    (
        id_, workflow_id, workflow_name, version, workspace_id, status, triggered_by, duration, created, started,
        finished, error_text, error_node_id, error_kind, cancelled, waiting, parent_run_id, retry_of, nodes, done,
        options, *given,
    ) = values  # fmt: skip
    return {
        "id": id_,
        "workflow_id": workflow_id,
        "workflow_name": workflow_name,
        "workflow_version": version,
        "workspace_id": workspace_id,
        "status": status,
        "triggered_by": triggered_by,
        "duration_ms": None if duration is None else round(duration),
        "duration_us": microseconds(duration),
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
        "progress": None if nodes is None else {"done": done or 0, "total": nodes},
        **WITHOUT_OPTIONS,
        **({} if options is None else orjson.loads(options)),
        **(_show_values(id_, *given) if given else {}),
    }


def _show_values(
    id_: str, input: Any, input_bytes: int | None, output: Any, output_bytes: int | None
) -> dict[str, Any]:
    if input_bytes is not None:
        input = make_reference(f"/api/runs/{id_}/input", input_bytes)
    if output_bytes is not None:
        output = make_reference(f"/api/runs/{id_}/output", output_bytes)
    return {"input": fragment(input), "output": fragment(output)}
