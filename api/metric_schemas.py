"""The shapes of figures, of what is due and of how the server is (see schemas.py)."""

from __future__ import annotations

import re

from marshmallow import fields, validate

from schema_fields import Cursor, Items, Milliseconds, Out, Shape, Time, Whole
from schemas import FLOW_ID, RUN_STATUSES, PageArgs


class ScheduleOut(Out):
    """A schedule, or a trigger that is polled, of an active flow."""

    workflow_id = fields.String(required=True)
    workflow_name = fields.String(required=True)
    node_id = fields.String(required=True)
    node_type = fields.String(required=True)
    describes = fields.String(required=True, metadata={"description": "When it is due: `0 9 * * *`, `every 300 s`"})
    timezone = fields.String(required=True, allow_none=True)
    next_at = Time(
        required=True,
        allow_none=True,
        metadata={"description": "When it is due next; null where it never is again, or that has yet to be found"},
    )
    last_at = Time(required=True, allow_none=True, metadata={"description": "When it was last due, or last polled"})
    overdue = fields.Boolean(required=True, metadata={"description": "Whether it is late by over a minute"})
    last_error = fields.String(
        required=True, allow_none=True, metadata={"description": "Why the last poll failed, if it did"}
    )


class ScheduleCursor(Cursor):
    """The place of an item in the order: when it is due, its flow and its node."""

    inside = re.compile(rf"[0-9]{{1,16}}:{FLOW_ID}:[A-Za-z_][A-Za-z0-9_]*\Z")


class ScheduleArgs(PageArgs):
    cursor = ScheduleCursor(load_default=None)


class MetricsArgs(Shape):
    days = Whole(load_default=30, validate=validate.Range(1, 365))


class DayOut(Out):
    day = fields.String(required=True)
    total = fields.Integer(required=True)
    success = fields.Integer(required=True)
    failed = fields.Integer(required=True)
    mean_duration_ms = Milliseconds(required=True, allow_none=True)


class HourOut(Out):
    hour = Time(required=True, metadata={"description": "When it began"})
    total = fields.Integer(required=True)
    success = fields.Integer(required=True)
    failed = fields.Integer(required=True)


class FlowCountOut(Out):
    workflow_id = fields.String(required=True)
    workflow_name = fields.String(required=True, allow_none=True)
    total = fields.Integer(required=True)
    success = fields.Integer(required=True)
    failed = fields.Integer(required=True)
    failure_rate = fields.Float(required=True)
    mean_duration_ms = Milliseconds(required=True, allow_none=True)
    p95_duration_ms = Milliseconds(
        required=True,
        allow_none=True,
        metadata={"description": "Of its newest 50 ended runs; for the 10 busiest flows"},
    )
    last_status = fields.String(
        required=True, allow_none=True, metadata={"enum": (*RUN_STATUSES, None), "description": "Of its newest run"}
    )


class MetricsOut(Out):
    total_runs = fields.Integer(required=True)
    success_runs = fields.Integer(required=True)
    failed_runs = fields.Integer(required=True)
    running_runs = fields.Integer(required=True)
    pending_runs = fields.Integer(required=True)
    failure_rate = fields.Float(required=True)
    last_run_at = Time(required=True, allow_none=True)
    overdue_schedules = fields.Integer(required=True)
    failing_polls = fields.Integer(required=True, metadata={"description": "Triggers whose last poll failed"})
    database_bytes = fields.Integer(required=True, metadata={"description": "Size of the whole server's database"})
    p50_duration_ms = Milliseconds(required=True, allow_none=True)
    p95_duration_ms = Milliseconds(required=True, allow_none=True)
    daily = Items(fields.Nested(DayOut), required=True)
    hourly = Items(
        fields.Nested(HourOut),
        metadata={"description": "With `days` 1 or 2: what has ended of the runs that were accepted in each hour"},
    )
    flows = Items(fields.Nested(FlowCountOut), required=True)


class HealthOut(Out):
    ok = fields.Boolean(required=True)
    ts = fields.String(required=True)


class ReadyOut(HealthOut):
    version = fields.String(required=True, metadata={"description": "The version of the server"})
    paused = fields.Boolean(
        required=True,
        metadata={"description": "Whether nothing starts: no schedule, poll, wait or pending run, and no new run"},
    )
