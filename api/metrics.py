"""Metrics of a workspace and the health of the server, as JSON. Metrics of the server are in packs/prometheus/."""

from __future__ import annotations

from typing import Any

from marshmallow import validate

import fields
from api.http import json_io
from api.http.auth import allow_anyone, get_workspace_id, require_role
from api.http.json_io import Resource, get_server
from constants import RUN_STATUSES, VERSION
from database import is_write_blocked
from database.base import now_ms
from database.queries.metrics import metrics as figures
from errors import Unavailable
from fields import Items, Milliseconds, Out, Shape, Time, Whole, iso
from models import Workspace
from registry import registry
from server_log import HIDDEN_CLIENTS

blueprint = Resource("metrics", "Health and metrics")


class MetricsArgs(Shape):
    days = Whole(load_default=30, validate=validate.Range(1, 365))


class DayOut(Out):
    day = fields.String()
    total = fields.Integer()
    success = fields.Integer()
    failed = fields.Integer()
    mean_duration_ms = Milliseconds(allow_none=True)


class HourOut(Out):
    hour = Time(help="Start of the hour")
    total = fields.Integer()
    success = fields.Integer()
    failed = fields.Integer()


class FlowCountOut(Out):
    workflow_id = fields.String()
    workflow_name = fields.String(allow_none=True)
    total = fields.Integer()
    success = fields.Integer()
    failed = fields.Integer()
    failure_rate = fields.Float()
    mean_duration_ms = Milliseconds(allow_none=True)
    p95_duration_ms = Milliseconds(allow_none=True, help="From its newest 50 ended runs; for the 10 busiest flows")
    last_status = fields.String(allow_none=True, metadata={"enum": (*RUN_STATUSES, None)}, help="Of the newest run")


class MetricsOut(Out):
    total_runs = fields.Integer()
    success_runs = fields.Integer()
    failed_runs = fields.Integer()
    running_runs = fields.Integer()
    pending_runs = fields.Integer()
    failure_rate = fields.Float()
    last_run_at = Time(allow_none=True)
    overdue_schedules = fields.Integer()
    failing_polls = fields.Integer(help="Triggers whose last poll failed")
    database_bytes = fields.Integer(help="Size of the server's database")
    p50_duration_ms = Milliseconds(allow_none=True)
    p95_duration_ms = Milliseconds(allow_none=True)
    daily = Items(fields.Nested(DayOut))
    hourly = Items(
        fields.Nested(HourOut), help="With `days` 1 or 2: ended runs by the hour of their acceptance", optional=True
    )
    flows = Items(fields.Nested(FlowCountOut))


class HealthOut(Out):
    ok = fields.Boolean()
    ts = fields.String()


class ReadyOut(HealthOut):
    version = fields.String(help="The version of the server")
    paused = fields.Boolean(help="True if the server is paused: no schedule, poll, wait, pending or new run starts")
    broker = fields.String(
        allow_none=True,
        metadata={"enum": ("up", "down", None)},
        help="The message broker, as this process knows it; null without one. While it is down, workers look for runs "
        "in the database, so the server is ready all the same",
    )
    packs = fields.List(fields.String(), help="The packs that the server has loaded, by HEADRACE_PACKS")
    warning = fields.String(allow_none=True, help="A setting to correct, although the server is ready, or null")
    prints_login = fields.Boolean(help="True if the first login was printed to the console, not set by a setting")


@blueprint.get("/health")
@allow_anyone
@json_io.ignore
@blueprint.doc(security=[])
@blueprint.response(200, HealthOut)
def check_health() -> Any:
    """Show that the process answers. 503 from the moment at which it is told to stop. Query parameters are ignored."""
    check_not_stopping()
    return {"ok": True, "ts": iso(now_ms())}


def check_not_stopping() -> None:
    """Raise Unavailable if the server is stopping, so that proxies and clients use another one."""
    if get_server().dispatcher.is_stopping:
        raise Unavailable("The server is stopping; send the request again in a few seconds", retry_after=5)


@blueprint.get("/ready")
@allow_anyone
@json_io.ignore
@blueprint.doc(security=[])
@blueprint.response(200, ReadyOut)
def check_ready() -> Any:
    """Show whether the server accepts work: its database is writable and runs are not stopped. 503 if not."""
    server = get_server()
    try:
        Workspace.select().limit(1).count()
    except Exception as error:
        raise Unavailable(f"The database does not respond: {type(error).__name__}") from error
    server.dispatcher.check_space()
    check_not_stopping()
    if not server.dispatcher.is_open():
        raise Unavailable("The server accepts no runs at the moment", retry_after=1)
    if is_write_blocked():
        raise Unavailable("The server cannot write at the moment", retry_after=1)
    broker = server.dispatcher.broker
    state = None if broker is None else "down" if broker.state().is_down else "up"
    return {
        "ok": True, "ts": iso(now_ms()), "version": VERSION, "paused": server.dispatcher.is_paused, "broker": state,
        "packs": sorted(registry.packs), "prints_login": not server.config.admin_password,
        "warning": HIDDEN_CLIENTS if server.config.hides_clients else None,
    }  # fmt: skip


@blueprint.get("/metrics")
@require_role("viewer", only_database=True)
@blueprint.arguments(MetricsArgs, location="query")
@blueprint.response(200, MetricsOut)
def get_metrics(args: dict[str, int]) -> Any:
    """Show the workspace's metrics: totals, and a daily series, durations and counts by flow for `days` days.

    For one or two days there is also a series by `hour`: 24 or 48 hours up to the current one.
    """
    answer = figures(get_workspace_id(), args["days"])
    for day in answer["daily"]:
        day["day"] = iso(day["day"] * 86_400_000)[:10]
    return answer
