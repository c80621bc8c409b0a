"""Wait nodes: pause a run for a time, for people, for another system or another flow, without holding a thread."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from constants import DAY
from errors import NodeError
from fields import OF_TEXTS, Schema, iso, visible
from nodes.base import Answer, Branch, Context, Node, Suspend
from nodes.core.form_fields import complete, form_fields
from nodes.fields import Number, anything, credential, flag, number, setting, text
from registry import explain_off, registry

MAX_WAIT = 366 * DAY
NOTICE_SECONDS = 30.0
LINKS = (("Approve", "approved_url"), ("Reject", "rejected_url"), ("Open", "url"))
LAST_MS = 253_402_300_799_999  # the end of the year 9999


def format_time(ms: int) -> str:
    """Return a time for people: `2026-01-01 08:30:00 UTC`."""
    return f"{datetime.fromtimestamp(ms // 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"


class Moment(fields.Field[int]):
    """A time, as ISO 8601 text or from an expression, in UTC if without a time zone. Loads as milliseconds."""

    default_error_messages = {"invalid": "Must be a time such as 2026-01-01T08:30:00Z."}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        try:
            moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
            return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
        except (TypeError, ValueError, OverflowError):
            raise self.make_error("invalid") from None


def timeout_field() -> Any:
    """Return a field for the timeout of an answer."""
    help = "Seconds until the run continues at the branch timeout. Default: a week"
    return number(help, 1, MAX_WAIT, title="Timeout (seconds)", load_default=7.0 * DAY)


class WaitingNode(Node):
    """Base class of nodes that wait."""

    category = "logic"
    suspends = True


class WaitNode(WaitingNode):
    """Passes its input on after a number of seconds, or at a given time. The run is pending meanwhile."""

    type = "wait"
    icon = "hourglass"
    also = ("delay", "sleep", "pause")
    examples = ({"config": {"until": "{{ now + timedelta(hours=2) }}"}, "input": {"id": 7}, "output": {"id": 7}},)

    class Config(Schema):
        seconds = setting(Number, "Seconds to wait", validate=validate.Range(0, MAX_WAIT), title="Duration (seconds)")
        until = setting(
            Moment, "The time to continue: 2026-01-01T08:30:00Z, {{ now + timedelta(hours=2) }}", title="Wait until"
        )

        @validates_schema
        def has_one_end(self, data: Mapping[str, Any], **kwargs: Any) -> None:
            """Require either seconds or until. Expressions are not in `data` yet; `run` checks their values."""
            given = {"seconds", "until"} & {*data, *(kwargs.get("partial") or ())}
            if len(given) != 1:
                raise ValidationError("Set a duration (seconds) or a time (until), not both.", "seconds")

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        now = ctx.now_ms()
        until = config["until"] if "until" in config else now + int(config["seconds"] * 1000)
        if until <= now:
            return input
        if until > min(now + MAX_WAIT * 1000, LAST_MS):
            raise NodeError("until: must be within a year from now", permanent=True)
        return Suspend(until, f"until {format_time(until)}")

    def resume(self, config: dict[str, Any], input: Any, answer: Answer) -> Any:
        return input


class Approval(WaitingNode):
    """Asks people for a decision and routes to the branch approved or rejected, or to timeout if nobody decides.

    They answer in the app or by a signed link, sent by `notify` or by an earlier node: `steps.<id>.url`.
    """

    type = "approval"
    icon = "user-check"
    also = ("human in the loop", "send and wait for response", "approve", "review", "ask", "form")
    answers = ("approved", "rejected")
    adds_item = True
    examples = (
        {
            "config": {"message": "Pay {{ input.sum }} to {{ input.to }}?", "notify": "chat", "timeout": 86400},
            "input": {"sum": 30, "to": "Ada"},
            "branch": "approved",
            "output": {
                "answer": "approved",
                "by": "kim@example.com",
                "comment": "go ahead",
                "at": "2026-01-05T07:20:00.000Z",
            },
        },
    )

    class Config(Schema):
        message = text("The question for the people who decide", most=2_000, required=True, lines="", title="Question")
        timeout = timeout_field()
        notify = credential(
            "The service that receives the question with links to answer it", "service_url", title="Notify"
        )
        fields = form_fields("Fields to fill in with the decision. The output has their answers in `fields`")

    @classmethod
    def branches(cls, config: Mapping[str, Any]) -> tuple[str, ...]:
        return "approved", "rejected", "timeout"

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        until = ctx.now_ms() + int(config["timeout"] * 1000)
        links = ctx.scope.get("steps", {}).get(ctx.node_id, {})
        # Wait even if nobody could be notified: people can still answer in the app.
        told = "notify" in config and notify(config["notify"], *question(config["message"], ctx, links), ctx)
        return Suspend(until, f"approval: {visible(config['message'], but=OF_TEXTS)}", told=told)

    def resume(self, config: dict[str, Any], input: Any, answer: Answer) -> Any:
        if answer.name == "time":
            return Branch("timeout", {"answer": "timeout", "by": None, "comment": None, "at": iso(answer.at)})
        decided = {"answer": answer.name, "by": answer.by, "comment": answer.value, "at": iso(answer.at)}
        if "fields" in config:
            decided |= {"comment": answer.value["comment"]}
            decided["fields"] = complete(config["fields"], answer.value["fields"])
        return Branch(answer.name, decided)


def notify(service: str, message: str, title: str, ctx: Context) -> bool:
    """Send the question by this credential of a service. Return True if it was sent.

    Transient failures are retried as `retry` says. After that, the run waits anyway, with a warning in its log: people
    can still answer in the app.
    """
    try:
        if not registry.send_notice:
            raise NodeError(f"this server sends no notices{explain_off()}", permanent=True)
        found = ctx.credential(service, "service_url")
        send = pkgutil.resolve_name(registry.send_notice)
        send(found, message, title, ctx, ctx.seconds_left(NOTICE_SECONDS))
    except NodeError as error:
        if ctx.retries and not error.permanent:
            raise
        ctx.log("warning", f"the approval request was not sent: {error.message}")
        return False
    return True


def question(message: str, ctx: Context, links: Mapping[str, str]) -> tuple[str, str]:
    """Return text and title for the people who decide: the message, and links if the server has a public URL."""
    flow = ctx.scope.get("workflow", {}).get("name")
    lines = [f"{word}: {links[key]}" for word, key in LINKS if key in links]
    message = visible(message, but=OF_TEXTS)
    return "\n".join([message, "", *lines]).strip(), f"Approval: {flow}" if flow else "Approval"


class Callback(WaitingNode):
    """Waits until another system posts to `steps.<id>.url`, then routes to the branch received with the posted data.

    The signed URL works once. It exists from the start of the run, so an earlier node can send it.
    """

    type = "callback"
    icon = "phone-call"
    also = ("wait for webhook", "resume", "pause")
    answers = ("received",)
    examples = (
        {"config": {"timeout": 3600}, "input": {"job": 7}, "branch": "received", "output": {"job": 7, "ok": True}},
    )

    class Config(Schema):
        timeout = timeout_field()
        message = text("Text above the fields, for the people who open the link", most=2_000, title="Message", lines="")
        fields = form_fields("Fields of a page for people at the link. The output has their answers")

    @classmethod
    def branches(cls, config: Mapping[str, Any]) -> tuple[str, ...]:
        return "received", "timeout"

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        reason = visible(config.get("message") or "a callback", but=OF_TEXTS)
        return Suspend(ctx.now_ms() + int(config["timeout"] * 1000), reason)

    def resume(self, config: dict[str, Any], input: Any, answer: Answer) -> Any:
        if answer.name == "time":
            return Branch("timeout", None)
        if "fields" in config:
            return Branch("received", complete(config["fields"], answer.value["fields"]))
        return Branch("received", answer.value)


class Subflow(WaitingNode):
    """Runs another flow and returns its output, or the id of its run without waiting."""

    type = "subflow"
    starts_runs = True
    title = "Run a flow"
    icon = "subtask"
    also = ("execute workflow", "sub-workflow", "call", "loop over items", "for each")
    examples = (
        {
            "config": {"workflow_id": "wf_01J9ZQ4N5Y8S2T6V7W8X9YABCD", "input": {"order": "{{ input.id }}"}},
            "input": {"id": 7},
            "output": {"shipped": True},
        },
    )

    class Config(Schema):
        workflow_id = text(
            "The id of the flow: wf_…",
            most=64,
            literal=True,
            required=True,
            instead="choose between flows with a switch node",
            names="workflow",
            title="Flow",
        )
        input = anything("The input of the flow. Default: this node's input", title="Input")
        wait = flag("Whether to wait for the output of the flow", True, title="Wait for the result")

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        if ctx.flows is None:
            raise NodeError("other flows cannot be run here", permanent=True)
        run_id = ctx.flows.start(ctx.place, config["workflow_id"], config.get("input", input), config["wait"])
        if not config["wait"]:
            return {"run_id": run_id}
        return Suspend(None, f"the run {run_id}", run_id)

    def resume(self, config: dict[str, Any], input: Any, answer: Answer) -> Any:
        """Return the output of the ended run: `answer.value` is `{"run_id", "status", "output", "error_text",
        "error_kind"}`.
        """
        ended = answer.value
        if ended["status"] != "success":
            raise NodeError(f"the run {ended['run_id']} failed: {ended['error_text']}", kind=ended["error_kind"])
        return ended["output"]
