"""Trigger nodes: start a run. The scheduler and the API fire them; as a step, each outputs its input."""

from __future__ import annotations

import ipaddress
import re
import zoneinfo
from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import chain
from typing import Any, ClassVar

from cronsim import CronSim, CronSimError
from marshmallow import ValidationError, fields, validate, validates_schema

from constants import ANY_METHOD, WEBHOOK_METHODS
from errors import NodeError
from fields import Schema
from nodes.base import Context, Node
from nodes.fields import choice, credential, flag, header_name, json_schema, line, number, setting, whole
from parsers.json_schema import issues_of

METHOD_LABELS = {ANY_METHOD: "Any method", **{name: name for name in WEBHOOK_METHODS}}
# Authentication of a webhook's callers, and the credential types that can verify each kind.
CREDENTIAL_TYPES: dict[str, tuple[str, ...]] = {
    "none": (),
    "basic": ("http_basic",),
    "header": ("http_header", "http_bearer"),
    "hmac": ("hmac",),
    "jwt": ("jwt",),
}
MAX_LISTED = 5  # issues of an input in a message
MAX_PATH = 200
PATH_PART = re.compile(r"[A-Za-z0-9._~-]{1,200}\Z")
PARAM_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}\Z")
MAX_PARAMS = 10
# An origin as a browser sends it: without a path, and without the default port.
ORIGIN = re.compile(r"https?://(\[[0-9a-f:.]{2,45}\]|[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9])?)(:[0-9]{1,5})?\Z")
ANY_ORIGIN = "*"
MAX_ORIGINS = MAX_NETWORKS = 100
MAX_EXPOSED = 50


class TriggerNode(Node):
    """Base class of triggers."""

    category = "trigger"
    trigger = True
    quick = True

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        return input


class EventTrigger(TriggerNode):
    """A trigger whose address takes calls in a way of its own, such as the events that a service signs.

    `taker` is what checks and answers a call, as "module:function" of (hook, node, path, submit), where
    `submit(input, idempotency key)` starts the run. `methods` are those of the calls.
    """

    taker: ClassVar[str]
    methods: tuple[str, ...] = ()

    def list_triggers(self, config: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        """Return what an active flow keeps for a node with this loaded config: kinds and configs of its triggers.

        Kinds are `webhook` (`webhooks.sync`), and `registered_hook` (`registered_hooks.sync`).
        """
        raise NotImplementedError


class InputRefused(NodeError):
    """An input rejected by the trigger's schema. `issues` are `{path, message}`."""

    def __init__(self, issues: list[dict[str, str]]) -> None:
        listed = "; ".join(f"{issue['path'] or 'input'}: {issue['message']}" for issue in issues[:MAX_LISTED])
        super().__init__(f"the input does not match the input schema: {listed}", permanent=True)
        self.issues = issues


class AskingNode(TriggerNode):
    """A trigger started by people and programs with an input, which may have a schema."""

    def check(self, config: Mapping[str, Any], input: Any, workspace_id: str | None) -> None:
        """Raise InputRefused if the input does not match the `input_schema`, NodeError if it cannot be validated."""
        schema = config.get("input_schema")
        issues = [] if schema is None else issues_of(schema, input, workspace_id=workspace_id)
        if issues:
            raise InputRefused(issues)

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        self.check(config, input, ctx.workspace_id)
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
    """A relative path, without slashes around it. A part such as `:id` is a parameter."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        path = super()._deserialize(value, attr, data, **kwargs).strip().strip("/")
        if len(path) > MAX_PATH:
            raise ValidationError(f"Must have at most {MAX_PATH} characters.")
        parts = path.split("/")
        params = [part[1:] for part in parts if part.startswith(":")]
        fixed = [part for part in parts if not part.startswith(":")]
        if not all(map(PATH_PART.match, fixed)):
            raise ValidationError(
                "Must be a path such as orders/new or orders/:id: letters, digits and . _ ~ - between slashes."
            )
        if {".", ".."} & set(parts):
            raise ValidationError("Must not have . or .. between slashes.")
        if params:
            # A path that begins with a parameter would take the calls of all others.
            if parts[0].startswith(":"):
                raise ValidationError("Must begin with a fixed part, such as orders/:id.")
            if wrong := [name for name in params if not PARAM_NAME.match(name)]:
                raise ValidationError(f":{wrong[0]} must be a name of letters, digits and _, such as :order_id.")
            if len(set(params)) < len(params):
                raise ValidationError("Must not have two parameters of the same name.")
            if len(params) > MAX_PARAMS:
                raise ValidationError(f"Must have at most {MAX_PARAMS} parameters.")
        return path


class Network(fields.String):
    """An IP address or a network in CIDR notation."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        text = super()._deserialize(value, attr, data, **kwargs).strip()
        try:
            ipaddress.ip_network(text, strict=False)
        except ValueError:
            raise ValidationError(
                "Must be an IP address or a network, such as 203.0.113.0/24 or 2001:db8::/32."
            ) from None
        return text


class WebOrigin(fields.String):
    """An origin of web pages, in the form that browsers send; or `*`."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        text = super()._deserialize(value, attr, data, **kwargs).strip().lower().rstrip("/")
        text = text.removesuffix(":443") if text.startswith("https:") else text.removesuffix(":80")
        if text != ANY_ORIGIN and not ORIGIN.match(text):
            raise ValidationError("Must be an origin such as https://shop.example.com, without a path; or * for all.")
        return text


def _list_of(kind: fields.Field[Any], help: str, most: int, **options: Any) -> Any:
    return setting(fields.List(kind, validate=validate.Length(1, most)), help, literal=True, **options)


class WebhookNode(TriggerNode):
    """Starts a run for each HTTP request to a URL of this flow, and responds to it."""

    type = "webhook"
    icon = "webhook"
    also = ("http trigger", "catch hook", "api", "listen", "rest", "cors")
    examples = (
        {
            "config": {"path": "orders/:id", "methods": ["GET"], "respond": "last"},
            "output": {
                "method": "GET",
                "path": "orders/7",
                "query": {},
                "headers": {},
                "body": None,
                "params": {"id": "7"},
            },
        },
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

    @classmethod
    def collects(cls) -> bool:
        return True

    class Config(Schema):
        path = setting(
            WebhookPath,
            "The address after /api/webhooks/: orders/new. In orders/:id, id is a parameter: trigger.params.id",
            literal=True,
            required=True,
            title="Path",
        )
        methods = setting(
            fields.List(
                fields.String(validate=validate.OneOf(tuple(METHOD_LABELS)), metadata={"x-enum-labels": METHOD_LABELS}),
                load_default=["POST"],
                validate=validate.Length(1, len(METHOD_LABELS)),
            ),
            "The HTTP methods to accept",
            literal=True,
            title="HTTP methods",
        )
        auth = choice(
            "How to authenticate callers",
            {"none": "None", "basic": "Basic auth", "header": "Header", "hmac": "HMAC signature", "jwt": "Token (JWT)"},
            load_default="none",
            title="Authentication",
        )
        credential = credential(
            "The credential that callers must prove", *chain(*CREDENTIAL_TYPES.values()), title="Credential"
        )
        respond = choice(
            "When to respond: immediately with the run's id, when the run ends with its output, by a Respond node, or "
            "with an event for each Respond node as the run goes (server-sent events)",
            {
                "immediately": "Immediately",
                "last": "When the run ends",
                "node": "By a Respond node",
                "stream": "As a stream of events",
            },
            load_default="immediately",
            title="Response",
        )
        dedupe_header = setting(
            fields.String,
            "The header with the idempotency key: a repeated request with the same value starts no second run. With "
            "authentication, `Idempotency-Key` works too",
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
        allow_ips = _list_of(
            Network(),
            "The IP addresses and networks that may call: 203.0.113.0/24. Default: all; others are refused (403)",
            MAX_NETWORKS,
            title="Allowed IP addresses",
        )
        allow_origins = _list_of(
            WebOrigin(),
            "Origins of web pages whose scripts may call and read the answer (CORS): https://shop.example.com; or *",
            MAX_ORIGINS,
            title="Allowed origins (CORS)",
        )
        allow_credentials = flag(
            "Let these scripts send cookies and HTTP logins", False, title="Allow credentials (CORS)"
        )
        expose_headers = _list_of(
            fields.String(validate=header_name),
            "The headers of the answer that these scripts may read, besides a few that they always may",
            MAX_EXPOSED,
            title="Exposed headers (CORS)",
        )

        @validates_schema
        def has_origins(self, data: Mapping[str, Any], **kwargs: Any) -> None:
            """Require named origins for credentials: browsers refuse them with `*`, and anyone could use a login."""
            origins = data.get("allow_origins", [])
            if ANY_ORIGIN in origins and len(origins) > 1:
                raise ValidationError("Must have either * or origins, not both.", "allow_origins")
            if data.get("allow_credentials") and origins in ([], [ANY_ORIGIN]):
                raise ValidationError("Name the origins that may send credentials; * is not enough.", "allow_origins")

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


class ScheduleNode(TriggerNode):
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
            "Time zone of the cron expression: Europe/Paris. Default: that of the flow, else of the workspace",
            check_zone,
            most=100,
            title="Time zone",
        )
        catch_up = choice(
            "Which runs to make up for after no server was there to start them, however briefly. Skip still starts "
            "one for the latest time if that is at most a minute ago",
            {"none": "Skip", "last": "Run the last one", "all": "Run all"},
            load_default="last",
            title="Missed runs",
        )

        @validates_schema
        def has_one_rhythm(self, data: Mapping[str, Any], **kwargs: Any) -> None:
            """Require either cron or every; both would be two schedules."""
            if ("cron" in data) == ("every" in data):
                raise ValidationError(
                    "Choose when it runs: set a cron expression (cron) or an interval (every).", "cron"
                )


class ErrorNode(TriggerNode):
    """Starts a run when another flow fails that has this one as its error flow. The input is {workflow, run, …}."""

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
    title = "When called by a flow"
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
