"""Output nodes: the response to a webhook's caller, and log entries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from marshmallow import ValidationError, fields, validate, validates_schema

from errors import NodeError
from fields import Schema
from nodes.base import Context, Node
from nodes.fields import anything, choice, headers, setting, text
from nodes.files.files import describe_file, get_path, guess_content_type, to_bytes
from nodes.files.node import check_secrets

BODIES = ("body", "file", "base64")
MAX_BASE64 = 24 * 2**20  # characters


class Respond(Node):
    """Responds to the webhook that started the run, with a status, headers and a body, a file or bytes."""

    type = "respond"
    category = "output"
    icon = "corner-up-left"
    quick = True
    title = "Respond to webhook"
    also = ("return response", "answer", "reply", "webhook response")
    responds = True
    examples = (
        {
            "config": {"status": 201, "headers": {"Cache-Control": "no-store"}, "body": {"id": "{{ input.id }}"}},
            "input": {"id": 7},
            "output": {"status": 201, "headers": {"Cache-Control": "no-store"}, "body": {"id": 7}},
        },
        {
            "config": {"base64": "{{ input.image.base64 }}", "headers": {"Content-Type": "image/png"}},
            "input": {"image": {"base64": "iVBORw0KGgo="}},
            "output": {"status": 200, "headers": {"Content-Type": "image/png"}, "base64": "iVBORw0KGgo="},
        },
    )

    class Config(Schema):
        status = setting(
            fields.Integer(load_default=200, validate=validate.Range(200, 599)),
            "The HTTP status of the response",
            title="Status",
        )
        headers = headers('Headers of the response: {"Cache-Control": "no-store"}', title="Headers")
        body = anything("The body, as JSON or text. Default: the input", lines="", title="Body")
        file = anything(
            "A file to send instead of a body: its path, or the output of another node", title="File", names="file"
        )
        base64 = text("Bytes to send instead of a body, in base64", most=MAX_BASE64, title="Bytes (base64)")
        name = text(
            "The name under which a browser saves the file or bytes. Without it, a browser may display them",
            most=200,
            title="File name",
        )

        @validates_schema
        def has_one_body(self, data: Mapping[str, Any], **kwargs: Any) -> None:
            """Reject two bodies: only one would be sent."""
            given = [key for key in BODIES if key in data]
            if len(given) > 1:
                raise ValidationError(f"Cannot be combined with {given[0]}; remove one of them.", given[1])

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        given = [key for key in BODIES if key in config]
        if len(given) > 1:
            raise NodeError(f"{given[1]}: cannot be combined with {given[0]}; remove one of them", permanent=True)
        headers = dict(config.get("headers", {}))
        answer = {"status": config["status"], "headers": headers}
        if given in ([], ["body"]):
            return answer | {"body": config.get("body", input)}
        if "name" in config and "content-disposition" not in {name.lower() for name in headers}:
            headers["Content-Disposition"] = disposition("attachment", config["name"])
        return answer | (self.file(config, ctx) if given == ["file"] else self.bytes(config))

    def file(self, config: dict[str, Any], ctx: Context) -> dict[str, Any]:
        """Return a reference to the file, which is read when the response is sent."""
        # By name: 100 MB as base64 would be stored with the run and be in memory three times. Its key cannot occur in a
        # body from outside, so no caller can name a file.
        path, files = get_path(config["file"]), ctx.need_files()
        check_secrets(ctx, [path])
        found = describe_file(path, files.size(path))
        return {"file": found | ({"content_type": guess_content_type(config["name"])} if "name" in config else {})}

    def bytes(self, config: dict[str, Any]) -> dict[str, Any]:
        """Return the bytes, which stay in base64 until the response is sent."""
        to_bytes(config["base64"], "base64")
        return {"base64": config["base64"]}


def disposition(kind: str, name: str) -> str:
    """Return the header Content-Disposition (RFC 6266) of a file of this name; `kind` is inline or attachment."""
    return f"{kind}; filename*=UTF-8''{quote(name, safe='')}"


class Log(Node):
    """Writes an entry to the log of the run and passes its input on."""

    type = "log"
    category = "output"
    icon = "notes"
    quick = True
    also = ("print", "console", "debug")
    examples = (
        {
            "config": {"level": "warning", "message": "Only {{ input.left }} left", "data": "{{ input }}"},
            "input": {"left": 2},
            "output": {"left": 2},
        },
    )

    class Config(Schema):
        level = choice(
            "The level of the entry",
            {"debug": "Debug", "info": "Info", "warning": "Warning", "error": "Error"},
            load_default="info",
            title="Level",
        )
        message = text("The message to log", most=10_000, required=True, lines="", title="Message")
        data = anything("Additional data of the entry", title="Data")

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        ctx.log(config["level"], config["message"], config.get("data"))
        return input
