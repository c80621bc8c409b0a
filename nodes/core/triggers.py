"""Trigger nodes: start a run. The scheduler and the API fire them; as a step, each outputs its input."""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import chain
from typing import Any

from cronsim import CronSim, CronSimError
from marshmallow import Schema, ValidationError, fields, validate, validates_schema

from errors import NodeError
from nodes.base import Context, Node
from nodes.fields import choice, credential, header_name, json_schema, line, number, setting, whole
from parsers.json_schema.validation import issues_of

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
# Authentication of a webhook's callers, and the credential types that can verify each kind.
CREDENTIAL_TYPES: dict[str, tuple[str, ...]] = {
    "none": (),
    "basic": ("http_basic",),
    "header": ("http_header", "http_bearer"),
    "hmac": ("hmac",),
}
MAX_LISTED = 5  # issues of an input in a message
PATH = re.compile(r"[A-Za-z0-9._~-]+(/[A-Za-z0-9._~-]+)*\Z")


class TriggerNode(Node):
    """Base class of triggers."""

    category = "trigger"
    trigger = True
    quick = True

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        return input


class InputRefused(NodeError):
    """An input rejected by the trigger's schema. `issues` are `{path, message}`."""

    def __init__(self, issues: list[dict[str, str]]) -> None:
        listed = "; ".join(f"{issue['path'] or 'input'}: {issue['message']}" for issue in issues[:MAX_LISTED])
        super().__init__(f"the input does not match the input schema: {listed}", permanent=True)
        self.issues = issues


class AskingNode(TriggerNode):
    """A trigger started by people and programs with an input, which may have a schema."""

    def check(self, config: Mapping[str, Any], input: Any) -> None:
        """Raise InputRefused if the input does not match the `input_schema`, NodeError if it cannot be validated."""
        issues = issues_of(config["input_schema"], input) if "input_schema" in config else []
        if issues:
            raise InputRefused(issues)

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        self.check(config, input)
        return input


def input_schema_field() -> Any:
    """Return the config field for the schema of a trigger's input."""
    return json_schema("JSON Schema of the input. The app shows a form for it", title="Input schema")


def description_field(help: str) -> Any:
    """Return the config field that describes the flow to its callers."""
    return line(help, most=1_000, title="Description", lines="")


class Manual(AskingNode):
    """Starts a run manually or through the API, with the given input."""

    type = "manual"
    title = "Manual start"
    icon = "hand-click"
    also = ("trigger", "button", "test", "form", "click")
    examples = (
        {"config": {}, "input": {"id": 7}, "output": {"id": 7}},
        {
            "config": {
                "description": "Books a room for a day.",
                "input_schema": {
                    "type": "object",
                    "properties": {
                        "room": {"type": "string", "enum": ["north", "south"]},
                        "day": {"type": "string", "format": "date"},
                        "seats": {"type": "integer", "minimum": 1, "default": 4},
                    },
                    "required": ["room", "day"],
                },
            },
            "input": {"room": "north", "day": "2026-01-05", "seats": 4},
            "output": {"room": "north", "day": "2026-01-05", "seats": 4},
        },
    )

    class Config(Schema):
        description = description_field("Description of the flow, shown above the input form")
        input_schema = input_schema_field()


class WebhookPath(fields.String):
    """A relative path, without slashes around it."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        path = super()._deserialize(value, attr, data, **kwargs).strip().strip("/")
        if not PATH.match(path) or len(path) > 200:
            raise ValidationError("Must be a path such as orders/new: letters, digits and . _ ~ - between slashes.")
        if {".", ".."} & set(path.split("/")):
            raise ValidationError("Must not have . or .. between slashes.")
        return path


class Webhook(TriggerNode):
    """Starts a run for each HTTP request to a URL of this flow, and responds to it."""

    type = "webhook"
    icon = "webhook"
    also = ("http trigger", "catch hook", "api", "listen")
    examples = (
        {
            "config": {"path": "orders/new", "auth": "hmac", "credential": "shop", "respond": "node"},
            "output": {
                "method": "POST",
                "path": "orders/new",
                "query": {},
                "headers": {"content-type": "application/json"},
                "body": {"id": 7},
            },
        },
    )

    class Config(Schema):
        path = setting(
            WebhookPath, "Path of the URL after /api/webhooks/: orders/new", literal=True, required=True, title="Path"
        )
        methods = setting(
            fields.List(
                fields.String(
                    validate=validate.OneOf(METHODS), metadata={"x-enum-labels": {name: name for name in METHODS}}
                ),
                load_default=["POST"],
                validate=validate.Length(1, len(METHODS)),
            ),
            "The HTTP methods to accept",
            literal=True,
            title="HTTP methods",
        )
        auth = choice(
            "How to authenticate callers",
            {"none": "None", "basic": "Basic auth", "header": "Header", "hmac": "HMAC signature"},
            load_default="none",
            title="Authentication",
        )
        credential = credential(
            "The credential that callers must prove", *chain(*CREDENTIAL_TYPES.values()), title="Credential"
        )
        respond = choice(
            "When to respond: immediately with the run's id, when the run ends with its output, or by a Respond node",
            {"immediately": "Immediately", "last": "When the run ends", "node": "By a Respond node"},
            load_default="immediately",
            title="Response",
        )
        dedupe_header = setting(
            fields.String,
            "The header with the idempotency key: a repeated request with the same value starts no second run",
            literal=True,
            validate=header_name,
            title="Idempotency header",
        )
        max_body_bytes = whole(
            "Maximum size of the body in bytes; a larger request is refused (413). Default: the server's limit",
            1,
            2**30,
            title="Max body size (bytes)",
        )
        rate_limit = whole(
            "Maximum number of calls per minute; more are refused (429). Default: unlimited",
            1,
            100_000,
            title="Rate limit (per minute)",
        )

        @validates_schema
        def has_credential(self, data: Mapping[str, Any], **kwargs: Any) -> None:
            """Require a credential for authentication: without one, all callers or none would be accepted."""
            if data.get("auth", "none") != "none" and not data.get("credential"):
                raise ValidationError("Is required; choose a credential, or set authentication to none.", "credential")


def check_cron(expression: str) -> None:
    """Reject text that is not a cron expression of five fields, or one that never matches a date."""
    if len(expression.split()) != 5:
        raise ValidationError("Must have five fields: minute, hour, day of the month, month, day of the week.")
    try:
        next(CronSim(expression, datetime(2024, 1, 1, tzinfo=UTC)))
    except (CronSimError, ValueError) as error:
        raise ValidationError(f"Is not a cron expression: {error}.") from None
    except StopIteration:
        raise ValidationError("Never fires: no date matches all fields.") from None


def check_zone(name: str) -> None:
    """Reject text that is not an IANA time zone."""
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValidationError("Is not an IANA time zone; use a name such as Europe/Paris.") from None


class Schedule(TriggerNode):
    """Starts runs by a cron expression or at a fixed interval."""

    type = "schedule"
    icon = "clock"
    also = ("cron", "interval", "timer", "every day", "daily", "hourly")
    examples = (
        {
            "config": {"cron": "30 8 * * MON-FRI", "timezone": "Europe/Paris"},
            "output": {"scheduled_for": "2026-01-05T07:30:00.000Z", "fired_at": "2026-01-05T07:30:00.012Z"},
        },
    )

    class Config(Schema):
        cron = line(
            "Minute, hour, day of the month, month, day of the week: 30 8 * * MON-FRI",
            check_cron,
            most=200,
            least=0,
            title="Cron expression",
        )
        every = number("Seconds between two runs", 1, 366 * 86_400, title="Interval (seconds)")
        timezone = line(
            "Time zone of the cron expression: Europe/Paris. Default: the time zone of the flow",
            check_zone,
            most=100,
            title="Time zone",
        )
        catch_up = choice(
            "Which runs to make up for after the server was down",
            {"none": "Skip", "last": "Run the last one", "all": "Run all"},
            load_default="last",
            title="Missed runs",
        )

        @validates_schema
        def has_one_rhythm(self, data: Mapping[str, Any], **kwargs: Any) -> None:
            """Require either cron or every; both would be two schedules."""
            if ("cron" in data) == ("every" in data):
                raise ValidationError("Set a cron expression (cron) or an interval (every), not both.", "cron")


class Error(TriggerNode):
    """Starts a run when a flow fails whose error flow is this one. The input is {workflow, run, node_id, …}."""

    type = "error"
    title = "On error"
    icon = "alert-triangle"
    also = ("error trigger", "failure", "catch")
    examples = (
        {
            "config": {},
            "output": {
                "workflow": {"id": "wf_01J9ZQ4N5Y8S2T6V7W8X9YABCD", "name": "Orders", "version": 3},
                "run": {"id": "run_01J9ZQ4N5Y8S2T6V7W8X9YABCD", "triggered_by": "webhook"},
                "node_id": "pay",
                "error_text": "POST pay.example.com answered 502 Bad Gateway",
                "error_kind": "remote",
            },
        },
    )


class Called(AskingNode):
    """Starts a run when another flow, an agent or an MCP client calls this flow, with the input of the call."""

    type = "called"
    title = "Called by a flow"
    icon = "phone-incoming"
    also = ("execute workflow trigger", "subflow", "sub-workflow", "callable flow", "when called")
    examples = (
        {
            "config": {
                "description": "Looks up an order by its number.",
                "input_schema": {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]},
            },
            "input": {"id": 7},
            "output": {"id": 7},
        },
    )

    class Config(Schema):
        input_schema = input_schema_field()
        description = description_field("Description of the flow for agents and MCP clients that choose it as a tool")
