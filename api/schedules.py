"""What is due next: schedules and the triggers that are polled."""

from __future__ import annotations

from typing import Any

from api.access import needs, workspace_id
from api.metric_schemas import ScheduleArgs, ScheduleOut
from api.wire import Resource
from models import Upcoming, now_ms, upcoming
from schemas import listed

blueprint = Resource("schedules", "What is due next")


@blueprint.get("/schedules")
@needs("viewer", only_database=True)
@blueprint.arguments(ScheduleArgs, location="query")
@blueprint.response(200, listed(ScheduleOut))
def schedules(args: dict[str, Any]) -> Any:
    """The schedules and polled triggers of the workspace's active flows, the soonest first."""
    after = None if args["cursor"] is None else args["cursor"].split(":")
    rows, key = upcoming(workspace_id(), now_ms(), args["limit"], after and (int(after[0]), *after[1:]))
    items = [{**row._asdict(), "describes": _words(row), "overdue": bool(row.overdue)} for row in rows]
    return {"items": items, "next_cursor": key and ":".join(map(str, key))}


def _words(row: Upcoming) -> str:
    """When it is due, in a few words: `0 9 * * *`, `every 300 s`."""
    every = row.every or 0.0
    return row.cron or f"every {int(every) if every.is_integer() else every} s"
