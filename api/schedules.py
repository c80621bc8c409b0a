"""Schedules: the next due times of schedules and polled triggers."""

from __future__ import annotations

import re
from typing import Any

import fields
from api.http.auth import get_workspace_id, require_role
from api.http.json_io import Resource
from api.http.paging import Cursor, PageArgs, listed
from database.base import now_ms
from database.queries.schedules import Upcoming, upcoming
from fields import Out, Time
from nodes import REGISTRY
from schemas import FLOW_ID

blueprint = Resource("schedules", "Next due times")


class ScheduleOut(Out):
    """A schedule or a polled trigger of an active flow."""

    workflow_id = fields.String()
    workflow_name = fields.String()
    node_id = fields.String()
    node_type = fields.String()
    category = fields.String(help="The category of its node type")
    icon = fields.String(help="The name of a Tabler icon; empty: its category's icon")
    describes = fields.String(help="Its schedule: `0 9 * * *`, `every 300 s`, `listens`")
    timezone = fields.String(allow_none=True)
    next_at = Time(allow_none=True, help="Next due time; null if there is none, it is not computed yet, or it listens")
    last_at = Time(allow_none=True, help="Last due time, or last poll")
    overdue = fields.Boolean(help="True if it is late by over a minute")
    last_error = fields.String(allow_none=True, help="The error of the last poll, if it failed")


class ScheduleCursor(Cursor):
    """Cursor of a list of schedules: due time, flow and node of an item."""

    pattern = re.compile(rf"[0-9]{{1,16}}:{FLOW_ID}:[A-Za-z_][A-Za-z0-9_]*\Z")


class ScheduleArgs(PageArgs):
    cursor = ScheduleCursor(load_default=None)


@blueprint.get("/schedules")
@require_role("viewer", only_database=True)
@blueprint.arguments(ScheduleArgs, location="query")
@blueprint.response(200, listed(ScheduleOut))
def list_schedules(args: dict[str, Any]) -> Any:
    """List the schedules and polled triggers of active flows, the next due first."""
    after = None if args["cursor"] is None else args["cursor"].split(":")
    rows, key = upcoming(get_workspace_id(), now_ms(), args["limit"], after and (int(after[0]), *after[1:]))
    items = [{**row._asdict(), "overdue": bool(row.overdue), **_describe(row)} for row in rows]
    return {"items": items, "next_cursor": key and ":".join(map(str, key))}


def _describe(row: Upcoming) -> dict[str, Any]:
    """Return its rule as text: `0 9 * * *`, `every 300 s`. A trigger that listens is not due at any time.

    With category and icon of its type, so that a list needs no catalog; of an unknown type, they are empty.
    """
    known = REGISTRY.get(row.node_type)
    look = {"category": known.category if known else "", "icon": known.icon if known else ""}
    if known is not None and known.listens:
        return {**look, "describes": "listens", "next_at": None}
    every = row.every or 0.0
    return {**look, "describes": row.cron or f"every {int(every) if every.is_integer() else every} s"}
