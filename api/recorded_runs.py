"""Runs that another system executed: the body of POST /api/runs, checked and completed. The view is in runs.py."""

from __future__ import annotations

import re
from typing import Any

import orjson
from marshmallow import validate

import fields
from api.http.json_io import check_depth
from api.http.server import get_config
from constants import ENDED, RUN_STATUSES, TRIGGERS
from database.base import DAY_MS, made_at, now_ms
from errors import ERROR_KINDS, BadInput
from fields import Milliseconds, Resendable, Strict, Time, choice, iso, text
from schemas import RUN_ID

MAX_VALUE = 1_000_000
OLDEST_MS = 946_684_800_000  # the year 2000; no ULID is older
MAX_CLOCK_AHEAD_MS = 60_000  # the clock of another system may be ahead
IS_ID = validate.Regexp(re.compile(rf"{RUN_ID}\Z"), error="must be `run_` and a ULID, such as that of another server")


class RunIn(Resendable, Strict):
    """A run that was executed elsewhere: the object that GET /api/runs/:id returns, or a part of it."""

    read_only = {
        *("workspace_id", "workflow_version", "created_at", "duration_us", "error_node_id", "waiting", "parent_run_id"),
        *("retry_of", "progress", "draft", "until", "only", "pinned", "questions", "found_in"),
    }
    id = fields.String(
        load_default=None,
        validate=IS_ID,
        help="The id of the run, if no run has had it. Its time is that of acceptance, by which lists are sorted",
    )
    workflow_id = text(64, required=True)
    workflow_name = text(200, load_default=None, help="The name of the flow at that time; without it, the present one")
    status = choice(RUN_STATUSES, load_default="success")
    triggered_by = choice(TRIGGERS, load_default="manual")
    started_at = Time(load_default=None)
    finished_at = Time(load_default=None)
    duration_ms = Milliseconds(
        load_default=None,
        validate=validate.Range(0, 10**12),
        help="Without it, the time between start and end, if the run has ended",
    )
    input = fields.Raw(load_default=None)
    output = fields.Raw(load_default=None)
    error_text = text(10_000, 0, load_default=None)
    error_kind = choice(ERROR_KINDS, load_default=None)
    cancelled = fields.Boolean(load_default=False)


def complete(body: dict[str, Any]) -> dict[str, Any]:
    """Return the columns of a run for this body of the shape RunIn, without the flow. Raises: BadInput."""
    _check_times(body)
    if body["cancelled"] and body["status"] != "failed":
        raise BadInput(f"cancelled: a run that is {body['status']} was not cancelled; its status must be failed")
    values = {name: body[name] for name in body if body[name] is not None and name != "workflow_id"}
    for name in ("input", "output"):
        values[name] = _encode(name, body[name])
    if "id" in values:
        _check_age(values["id"])
    if body["status"] in ENDED:
        finished = values.setdefault("finished_at", max(now_ms(), body["started_at"] or 0))
        started = values.setdefault("started_at", finished)
        values.setdefault("duration_ms", finished - started)
    return values


def _check_times(body: dict[str, Any]) -> None:
    started, finished = body["started_at"], body["finished_at"]
    if started is not None and finished is not None and finished < started:
        raise BadInput("finished_at: is before started_at")
    if finished is not None and body["status"] not in ENDED:
        raise BadInput(f"finished_at: a run that is {body['status']} has not finished")


def _check_age(id_: str) -> None:
    """Check the time in a given id. Raises: BadInput if no run can be of that time, or if it would soon be deleted."""
    at, now, days = made_at(id_), now_ms(), get_config().retention_days
    if not OLDEST_MS <= at <= now + MAX_CLOCK_AHEAD_MS:
        raise BadInput("id: its first ten characters after `run_` are not a time between the year 2000 and now")
    if days and at < now - days * DAY_MS:
        raise BadInput(
            f"id: is of {iso(at)[:10]}, and this server deletes runs after {days} days; without an id, the run is "
            "recorded as of now"
        )


def _encode(name: str, value: Any) -> str | None:
    if value is None:
        return None
    check_depth(value, name)
    encoded = orjson.dumps(value).decode()
    if len(encoded) > MAX_VALUE:
        raise BadInput(f"{name}: has more than {MAX_VALUE} bytes")
    return encoded
