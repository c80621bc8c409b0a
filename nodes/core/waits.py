"""Wait nodes: pause a run for a time, for people, for another system or another flow, without holding a thread."""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from constants import DAY
from errors import NodeError
from fields import OF_TEXTS, Schema, iso, visible
from nodes.base import Answer, Branch, Context, Node, Suspend
from nodes.fields import Number, anything, choice, credential, flag, labels_of, line, number, setting, text, whole
from parsers.json_schema import issues_of
from registry import explain_off, registry

# Fields of forms: how a node's setting defines them, and the JSON Schema of their answers.
#
# A form is a list of items in order. Most ask for an answer; a heading or a paragraph stands between them, and a page
# starts the next step of the form. Pages in HTML are made in `packs/forms/`.

MAX_ITEMS, MAX_PAGES, MAX_OPTIONS = 100, 20, 200
MAX_FILES, MAX_FILE_BYTES, DEFAULT_FILE_BYTES = 20, 2**30, 10_000_000
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}\Z")
EMAIL = r"^[^@\s]{1,64}@[^@\s.]{1,63}(\.[^@\s.]{1,63}){1,8}$"
TIME, MOMENT = r"^([01]\d|2[0-3]):[0-5]\d$", r"^\d{4}-\d{2}-\d{2}T([01]\d|2[0-3]):[0-5]\d$"
ENDING = re.compile(r"\.[A-Za-z0-9]{1,12}\Z")
# Kind to its label and the JSON Schema of its answer. Those without a schema ask for nothing.
KINDS: dict[str, tuple[str, dict[str, Any] | None]] = {
    "text": ("Text", {"type": "string"}),
    "long_text": ("Long text", {"type": "string", "x-multiline": True}),
    "email": ("E-mail address", {"type": "string", "pattern": EMAIL, "maxLength": 254}),
    "number": ("Number", {"type": "number"}),
    "date": ("Date", {"type": "string", "format": "date"}),
    "time": ("Time", {"type": "string", "pattern": TIME}),
    "datetime": ("Date and time", {"type": "string", "pattern": MOMENT}),
    "choice": ("One choice", {"type": "string"}),
    "choices": ("Several choices", {"type": "array"}),
    "checkbox": ("Checkbox", {"type": "boolean"}),
    "file": ("File", {"type": "object"}),
    "hidden": ("Hidden value", {"type": "string"}),
    "heading": ("Heading", None),
    "paragraph": ("Text between fields", None),
    "page": ("Next page", None),
}
MAX_LENGTHS = {"text": 1_000, "long_text": 10_000, "email": 254, "hidden": 1_000}
MAX_LENGTH = 100_000  # characters that a field may allow


def matches(pattern: re.Pattern[str], message: str) -> Callable[[str], None]:
    """Return a check for text: it must match the pattern. The message is for people, so the schema has no pattern."""

    def check(value: str) -> None:
        if not pattern.match(value):
            raise ValidationError(message)

    return check


class FormField(Schema):
    """One item of a form."""

    kind = choice("The kind of the item", labels_of(KINDS), load_default="text", title="Kind")
    name = line(
        "The key of the answer: `email` is read as `{{ input.email }}`",
        matches(NAME, "Must be a letter, then up to 63 letters, digits and underscores."),
        most=64,
        title="Name",
    )
    title = line("The label of the field, or the text of a heading, paragraph or page", most=2_000, title="Title")
    help = line("A sentence below the label", most=1_000, least=0, title="Help")
    placeholder = line("An example that is shown in the empty field", most=200, least=0, title="Placeholder")
    required = flag("Require an answer. A required checkbox must be checked", False, title="Required")
    options = setting(
        fields.List(fields.String(validate=validate.Length(1, 200)), validate=validate.Length(1, MAX_OPTIONS)),
        "The choices, in order",
        literal=True,
        title="Choices",
    )
    default = setting(
        fields.Raw, "The answer at the start: text, a number, true, or a list of choices", literal=True, title="Default"
    )
    prefill = flag(
        "Let the address of the form fill in the field: `?name=value`", False, title="Fill in from the address"
    )
    min = number("The smallest number, the shortest text, the fewest choices", -1e15, 1e15, title="Minimum")
    max = number("The largest number, the longest text, the most choices, the most files", -1e15, 1e15, title="Maximum")
    integer = flag("Accept only whole numbers", False, title="Whole number")
    accept = setting(
        fields.List(
            fields.String(validate=matches(ENDING, "Must be an ending such as .pdf.")),
            validate=validate.Length(1, 50),
        ),
        "Endings of the files to accept: `.pdf`. Default: any file",
        literal=True,
        title="File types",
    )
    max_bytes = whole("The largest size of a file in bytes. Default: 10 MB", 1, MAX_FILE_BYTES, title="Max file size")

    @validates_schema
    def is_complete(self, data: Mapping[str, Any], **kwargs: Any) -> None:
        """Require what the kind needs."""
        kind = data.get("kind", "text")
        if not is_input(data):
            if kind != "page" and not data.get("title"):
                raise ValidationError("Is required; write the text.", "title")
            return
        if not data.get("name"):
            raise ValidationError("Is required; the answer is read by it.", "name")
        if kind in ("choice", "choices") and not data.get("options"):
            raise ValidationError("Is required; add at least one choice.", "options")
        if data.get("min", -1e16) > data.get("max", 1e16):
            raise ValidationError("Must not be greater than the maximum.", "min")
        if kind == "file" and not 1 <= data.get("max", 1) <= MAX_FILES:
            raise ValidationError(f"Must be a number of files from 1 to {MAX_FILES}.", "max")
        if kind in MAX_LENGTHS and not 0 <= data.get("max", 1) <= MAX_LENGTH:
            raise ValidationError(f"Must be a number of characters up to {MAX_LENGTH}.", "max")
        _check_default(data)


def _check_default(data: Mapping[str, Any]) -> None:
    """Reject a default that the field would not accept as an answer."""
    default = data.get("default")
    if default is None:
        return
    if data.get("kind") == "file":
        raise ValidationError("A file field has none.", "default")
    try:
        issues = issues_of(make_answer_schema({**data, "required": False}), default)
    except ValueError as error:
        raise ValidationError(str(error), "default") from None
    if issues:
        raise ValidationError(f"Is not a valid answer: {issues[0]['message']}.", "default")


def is_input(item: Mapping[str, Any]) -> bool:
    """Return True if the item asks for an answer."""
    return KINDS[item.get("kind", "text")][1] is not None


def list_inputs(items: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the items that ask for an answer."""
    return [item for item in items if is_input(item)]


def check_items(items: Sequence[Mapping[str, Any]]) -> None:
    """Reject names that occur twice, too many pages or files, and an empty page."""
    names: set[str] = set()
    for at, item in enumerate(items):
        if is_input(item) and item["name"] in names:
            raise ValidationError({at: {"name": [f"{item['name']!r} is the name of an earlier field, too."]}})
        names |= {item["name"]} if is_input(item) else set()
    if sum(item["kind"] == "page" for item in items) >= MAX_PAGES:
        raise ValidationError(f"A form has at most {MAX_PAGES} pages.")
    if sum(int(item.get("max", 1)) for item in items if item["kind"] == "file") > MAX_FILES:
        raise ValidationError(f"A form takes at most {MAX_FILES} files.")
    if items and items[-1]["kind"] == "page":
        raise ValidationError("The last page is empty; add a field to it, or remove it.")


def form_fields(help: str, **options: Any) -> Any:
    """Return the config field for the items of a form."""
    kind = fields.List(
        fields.Nested(FormField),
        validate=[validate.Length(1, MAX_ITEMS), check_items],
        metadata={"x-holds": "form-fields"},
        **options,
    )
    return setting(kind, help, literal=True, title="Fields")


# Answers


def make_answer_schema(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON Schema of the answer to one item, with its title and help."""
    kind = item.get("kind", "text")
    schema = {**(KINDS[kind][1] or {}), "title": item.get("title") or item["name"]}
    least, most = item.get("min"), item.get("max")
    if item.get("help"):
        schema["description"] = item["help"]
    if item.get("default") is not None:
        schema["default"] = item["default"]
    if kind in MAX_LENGTHS:
        shortest = int(least or 0)
        schema["minLength"] = max(1, shortest) if item.get("required") else shortest
        schema["maxLength"] = int(most if most is not None else MAX_LENGTHS[kind])
    elif kind == "number":
        schema["type"] = "integer" if item.get("integer") else "number"
        schema |= {} if least is None else {"minimum": least}
        schema |= {} if most is None else {"maximum": most}
    elif kind == "choice":
        schema["enum"] = list(item["options"])
    elif kind == "choices":
        fewest = max(int(least or 0), 1 if item.get("required") else 0)
        schema |= {"items": {"type": "string", "enum": list(item["options"])}, "uniqueItems": True}
        schema |= {"minItems": fewest} if fewest and item.get("required") else {}
        schema |= {"maxItems": int(most)} if most is not None else {}
    elif kind == "checkbox" and item.get("required"):
        schema["const"] = True
    return schema


def make_schema(items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the JSON Schema of the answers to a form as JSON, its properties in the order of the fields.

    It has no files: they are uploaded on the page of the form, and nobody may name a file that exists already.
    """
    asked = [item for item in list_inputs(items) if item["kind"] != "file"]
    required = [item["name"] for item in asked if item.get("required")]
    properties = {item["name"]: make_answer_schema(item) for item in asked}
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def find_issues(items: Sequence[Mapping[str, Any]], answers: Any) -> list[dict[str, str]]:
    """Return the issues of answers, as `{"path", "message"}`. Raises: NodeError if they cannot be checked."""
    if isinstance(answers, Mapping):
        # Fields that may stay empty have no answer if they are.
        optional = {item["name"] for item in list_inputs(items) if not item.get("required")}
        answers = {
            name: value for name, value in answers.items() if name not in optional or value not in (None, "", [])
        }
    return issues_of(make_schema(items), answers)


def list_missing_files(items: Sequence[Mapping[str, Any]], given: Collection[str]) -> dict[str, str]:
    """Return a problem for each required file field that is not among those with files."""
    return {
        item["name"]: f"Choose a file for “{item.get('title') or item['name']}”."
        for item in items
        if item["kind"] == "file" and item.get("required") and item["name"] not in given
    }


def complete(items: Sequence[Mapping[str, Any]], answers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answers with a value for every field: null, false or no items for a field without an answer."""
    return {
        item["name"]: _empty(item) if (value := answers.get(item["name"])) in (None, "") else value
        for item in list_inputs(items)
    }


def get_max_bytes(item: Mapping[str, Any], most: int) -> int:
    """Return the largest size of a file of this field; `most` is that of all files of the workspace, 0 for no limit."""
    return min(int(item.get("max_bytes") or DEFAULT_FILE_BYTES), most or DEFAULT_FILE_BYTES)


def takes_several(item: Mapping[str, Any]) -> bool:
    """Return True if the answer of a file field is a list of files."""
    return item.get("max", 1) > 1


def _empty(item: Mapping[str, Any]) -> Any:
    """Return the answer of a field that was left empty."""
    if item["kind"] == "checkbox":
        return False
    return [] if item["kind"] == "choices" or (item["kind"] == "file" and takes_several(item)) else None


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
        input = anything("The input of the flow. Default: this node's input", title="Input", fields_of="workflow_id")
        wait = flag("Wait for the output of the flow", True, title="Wait for the result")

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
