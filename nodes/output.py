"""The nodes that tell somebody something: the caller of a webhook, or whoever reads the log."""

from __future__ import annotations

from typing import Any

from marshmallow import Schema, fields, validate

from nodes.base import Context, Node, setting
from nodes.kinds import anything, choice, headers, text


class Respond(Node):
    """Answers the webhook that started the run, with a status, headers and a body."""

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
    )

    class Config(Schema):
        status = setting(
            fields.Integer(load_default=200, validate=validate.Range(200, 599)), "The HTTP status of the answer"
        )
        headers = headers('The headers of the answer: {"Cache-Control": "no-store"}')
        body = anything("The body, JSON or text; without it, the input", lines="")

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        return {
            "status": config["status"],
            "headers": config.get("headers", {}),
            "body": config.get("body", input),
        }


class Log(Node):
    """Writes an entry to the log of the run and hands its input on."""

    type = "log"
    category = "output"
    icon = "notes"
    quick = True
    title = "Log"
    also = ("print", "console", "debug")
    examples = (
        {
            "config": {"level": "warning", "message": "Only {{ input.left }} left", "data": "{{ input }}"},
            "input": {"left": 2},
            "output": {"left": 2},
        },
    )

    class Config(Schema):
        level = choice("How much it matters", ("debug", "info", "warning", "error"), load_default="info")
        message = text("What to write", most=10_000, required=True, lines="")
        data = anything("Data to write along with it")

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        ctx.log(config["level"], config["message"], config.get("data"))
        return input
