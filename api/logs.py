"""Log entries: of runs, and of whoever writes some."""

from __future__ import annotations

from typing import Any

import orjson

from api.access import find, needs, workspace_id
from api.wire import Resource, check_depth
from errors import BadInput
from models import LogEntry, Run
from schemas import LogArgs, LogIn, LogOut, WholeArgs, listed

blueprint = Resource("logs", "Log entries")
LARGEST_DATA = 64 * 1024


@blueprint.get("/logs")
@needs("viewer")
@blueprint.arguments(LogArgs, location="query")
@blueprint.response(200, listed(LogOut))
def logs(args: dict[str, Any]) -> Any:
    """The log entries of the workspace, newest first."""
    if args["run_id"] is not None:
        find(Run, args["run_id"], "viewer")
    query = LogEntry.select_where(workspace_id(), args["run_id"], args["level"])
    items, cursor = LogEntry.page(query, args["limit"], args["cursor"])
    return {"items": items, "next_cursor": cursor}


@blueprint.post("/logs")
@needs("operator")
@blueprint.arguments(LogIn)
@blueprint.response(201, LogOut)
def write_entry(body: dict[str, Any]) -> Any:
    """Write a log entry, to a run or to the workspace."""
    where = workspace_id()
    if body["run_id"] is not None:
        where = find(Run, body["run_id"], "operator").workspace_id
    if body["data"] is not None:
        check_depth(body["data"], "data")
        body["data"] = orjson.dumps(body["data"]).decode()
        if len(body["data"]) > LARGEST_DATA:
            raise BadInput(f"data: has more than {LARGEST_DATA} bytes")
    return LogEntry.add(workspace_id=where, **body)


@blueprint.get("/logs/<run>")
@needs("viewer", run=Run)
@blueprint.arguments(WholeArgs, location="query")
@blueprint.response(200, listed(LogOut))
def of_run(args: dict[str, Any], run: Run) -> Any:
    """All log entries of a run, oldest first."""
    items, cursor = LogEntry.of(run.id, args["limit"], args["cursor"])
    return {"items": items, "next_cursor": cursor}
