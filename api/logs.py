"""Log entries: list and write them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import orjson
from flask import Response
from marshmallow import validate

import fields
from api.http.auth import find, get_workspace_id, must_redact_links, require_role
from api.http.json_io import Resource, check_depth
from api.http.paging import MAX_WHOLE, PageArgs, WholeArgs, listed
from constants import LEVELS
from database.queries import logs
from database.queries.logs import LogFilters
from database.queries.waits import without_signatures
from errors import BadInput
from fields import OneOrMore, Strict, Time, Whole, choice, text
from models import LogEntry, Run
from schemas import LogOut

blueprint = Resource("logs", "Log entries")
MAX_DATA = 64 * 1024
MAX_BRIEF = 300  # characters
MAX_BUFFERED = 200  # entries of a log that is sent at once, with an ETag
LOG = LogOut()


class LogIn(Strict):
    message = text(10_000, required=True)
    level = choice(LEVELS, load_default="info")
    run_id = text(64, load_default=None)
    node_id = text(64, load_default=None)
    data = fields.Raw(load_default=None)


class LogItemOut(LogOut):
    """A log entry of a list, with its flow, if any."""

    workflow_id = fields.String(allow_none=True)
    workflow_name = fields.String(allow_none=True)


class LogArgs(PageArgs):
    run_id = text(64, load_default=None)
    level = OneOrMore(LEVELS, load_default=None)
    since = Time(load_default=None)
    until = Time(load_default=None)
    search = text(200, is_stored=False, load_default=None, help="Text in the message")
    workflow_id = text(64, load_default=None)
    brief = fields.Boolean(load_default=False, help="Truncate long `data` to `{$cut: {bytes, start}}`")


class RunLogArgs(WholeArgs):
    limit = Whole(load_default=None, validate=validate.Range(1, MAX_WHOLE), help="Without it, all entries")


@blueprint.get("/logs")
@require_role("viewer", only_database=True)
@blueprint.arguments(LogArgs, location="query")
@blueprint.response(200, listed(LogItemOut))
def list_logs(args: dict[str, Any]) -> Any:
    """List the log entries of the workspace, newest first. `level` may be several, separated by commas.

    A text `search` and a `workflow_id` are searched in 5,000 entries at a time: a page may be short or empty, and the
    next one may have more, if there is a cursor.
    """
    limit, cursor, brief = args.pop("limit"), args.pop("cursor"), args.pop("brief")
    # A given run determines the workspace.
    where = get_workspace_id() if args["run_id"] is None else find(Run, args["run_id"], "viewer").workspace_id
    filters = LogFilters(where, unsigned=must_redact_links(), **args)
    items, cursor = logs.select_where(filters).page(limit, cursor)
    flows = logs.flows_of(where, items)
    rows: list[dict[str, Any]] = []
    for entry in items:
        workflow_id, name = flows.get(entry.id) or (None, None)
        data = entry.data
        if brief and data is not None and len(data) > MAX_BRIEF:
            cut = {"bytes": len(data.encode()), "start": data[:MAX_BRIEF]}
            data = orjson.dumps({"$cut": cut}).decode()
        rows.append({**entry.__data__, "data": data, "workflow_id": workflow_id, "workflow_name": name})
    return {"items": rows, "next_cursor": cursor}


@blueprint.post("/logs")
@require_role("operator")
@blueprint.arguments(LogIn)
@blueprint.response(201, LogOut)
def write_entry(body: dict[str, Any]) -> Any:
    """Write a log entry for a run or for the workspace."""
    where = get_workspace_id()
    if body["run_id"] is not None:
        where = find(Run, body["run_id"], "operator").workspace_id
    if body["data"] is not None:
        check_depth(body["data"], "data")
        body["data"] = orjson.dumps(body["data"]).decode()
        if len(body["data"]) > MAX_DATA:
            raise BadInput(f"data: has more than {MAX_DATA} bytes; shorten it")
    return LogEntry.add(workspace_id=where, **body)


@blueprint.get("/logs/<run>")
@require_role("viewer", run=Run, only_database=True)
@blueprint.arguments(RunLogArgs, location="query")
@blueprint.response(200, listed(LogOut))
def list_run_logs(args: dict[str, Any], run: Run) -> Any:
    """List all log entries of a run, oldest first; with a `limit` or a `cursor`, a page of them.

    A long log is sent while it is read. It contains the entries that exist at the beginning.
    """
    is_whole = args["limit"] is None and args["cursor"] is None
    limit = MAX_BUFFERED if is_whole else args["limit"] or MAX_WHOLE
    items, cursor = logs.of(run.id, limit, args["cursor"])
    if cursor is None or not is_whole:
        return {"items": items, "next_cursor": cursor}
    pages = chain([items], logs.pages_after(run.id, cursor))
    return Response(_write_pages(pages, must_redact_links()), mimetype="application/json")


def _write_pages(pages: Iterable[list[LogEntry]], redacts: bool) -> Iterator[bytes]:
    """Yield the list of these entries as JSON. `redacts`: without the signatures of links (see link_redaction.py)."""
    separator = b'{"items":['
    for entries in pages:
        text = orjson.dumps(LOG.dump(entries, many=True))[1:-1]
        yield separator + (without_signatures(text) if redacts else text)
        separator = b","
    yield b'],"next_cursor":null}'
