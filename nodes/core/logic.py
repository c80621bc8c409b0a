"""Logic nodes: decide where a run continues."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from marshmallow import ValidationError, fields, validate, validates_schema

from errors import ExpressionError, NodeError
from fields import Schema
from nodes.base import Branch, Context, Node
from nodes.data import jmespath_query as query
from nodes.fields import (
    Values,
    anything,
    choice,
    flag,
    headers,
    json_schema,
    kind_of,
    labels_of,
    line,
    number,
    setting,
    text,
    text_of,
    whole,
)
from nodes.files.files import describe_file, get_path, guess_content_type, to_bytes
from nodes.files.node import check_secrets
from parsers.json_schema import issues_of

MAX_CASES, MAX_CASE = 100, 200


def is_true(value: Any) -> bool:
    """Return True if a condition is met. The text "false" is false, because many services send text."""
    if isinstance(value, str):
        return value.strip().lower() not in ("", "false")
    return bool(value)


def check_condition(value: Any) -> None:
    """Reject plain text, which would always be true."""
    if isinstance(value, str) and "{{" not in value and value.strip().lower() not in ("", "true", "false"):
        raise ValidationError(f"Plain text is always true. Wrap it in {{{{ }}}}: {{{{ {value[:100]} }}}}.")


class If(Node):
    """Routes to the true or the false branch, depending on a condition."""

    type = "if"
    category = "logic"
    icon = "arrows-split-2"
    quick = True
    also = ("condition", "branch", "compare", "router")
    examples = (
        {
            "config": {"condition": "{{ input.total > 100 }}"},
            "input": {"total": 120},
            "branch": "true",
            "output": {"total": 120},
        },
    )

    class Config(Schema):
        condition = anything(
            "An expression, for example {{ input.total > 100 }}",
            required=True,
            validate=check_condition,
            lines="jinja",
            condition=True,
            title="Condition",
        )

    @classmethod
    def branches(cls, config: Mapping[str, Any]) -> tuple[str, ...]:
        return "true", "false"

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        return Branch("true" if is_true(config["condition"]) else "false", input)


class Case(fields.Raw):
    """Text or a number, used as text for the name of a branch."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if not isinstance(value, str | int | float):
            raise ValidationError("Must be text or a number.")
        name = text_of(value)
        if not 1 <= len(name) <= MAX_CASE or name == "default":
            raise ValidationError(f"Must have 1 to {MAX_CASE} characters and not be the word default.")
        return name


def check_cases(names: list[str]) -> None:
    """Reject too few, too many, or duplicate cases."""
    if not 1 <= len(names) <= MAX_CASES:
        raise ValidationError(f"Must be 1 to {MAX_CASES} cases.")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValidationError(f"Must differ from each other; remove the second {twice[0]!r}.")


class Switch(Node):
    """Routes to the branch of the case that equals a value, else to the branch default. 1 and the text 1 are equal."""

    type = "switch"
    category = "logic"
    icon = "route"
    quick = True
    also = ("router", "case", "branch", "condition")
    examples = (
        {
            "config": {"value": "{{ input.status }}", "cases": ["open", "closed"]},
            "input": {"status": "open"},
            "branch": "open",
            "output": {"status": "open"},
        },
        {"config": {"value": "{{ input }}", "cases": [1, 2]}, "input": 3, "branch": "default", "output": 3},
        {
            "config": {
                "value": '{{ "gold" if input.total >= 1000 else "silver" if input.total >= 100 else "default" }}',
                "cases": ["gold", "silver"],
            },
            "input": {"total": 120},
            "branch": "silver",
            "output": {"total": 120},
        },
    )

    class Config(Schema):
        value = anything("The value to compare: {{ input.status }}", required=True, rules="cases", title="Value")
        cases = setting(
            fields.List(Case(), required=True, validate=check_cases),
            "The values to compare with. Each case is a branch",
            literal=True,
            instead="put the expression into value, or use an if node",
            title="Cases",
        )

    @classmethod
    def branches(cls, config: Mapping[str, Any]) -> tuple[str, ...]:
        cases = config.get("cases")
        known = [case for case in cases if isinstance(case, str | int | float)] if isinstance(cases, list) else []
        return tuple(dict.fromkeys([*map(text_of, known), "default"]))

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        name = text_of(config["value"])
        return Branch(name if name in config["cases"] else "default", input)


class Filter(Node):
    """Keeps the items of a list for which a condition is true."""

    type = "filter"
    category = "logic"
    icon = "filter"
    quick = True
    also = ("where", "keep", "select")
    examples = (
        {
            "config": {"keep": "{{ item.price < 20 }}"},
            "input": [{"price": 10}, {"price": 30}],
            "output": [{"price": 10}],
        },
    )

    class Config(Schema):
        items = anything("The list to filter. Default: the input", title="Items")
        keep = setting(
            fields.Raw(required=True, allow_none=True, validate=check_condition, metadata={"x-per-item": "items"}),
            "The condition for each item: {{ item.price < 20 }}",
            lines="jinja",
            condition=True,
            title="Keep if",
        )

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        items = config.get("items", input)
        if not isinstance(items, list):
            raise NodeError(f"filter: items must be a list, but is {kind_of(items)}", permanent=True)
        keep = config["keep"]
        if not hasattr(keep, "evaluate"):
            return items if is_true(keep) else []
        scope = dict(ctx.scope)
        return [item for index, item in enumerate(items) if self.holds(keep, scope, index, item)]

    def holds(self, keep: Any, scope: dict[str, Any], index: int, item: Any) -> bool:
        scope["item"], scope["index"] = item, index
        try:
            return is_true(keep.evaluate(scope))
        except ExpressionError as error:
            raise NodeError(
                f"filter: the condition keep failed for item {index}: {error}", True, kind="expression"
            ) from None


# Label and function of each output of a merge.
MODES: dict[str, tuple[str, Callable[[Mapping[str, Any]], Any]]] = {
    "object": ("Object by node id", dict),
    "list": ("List", lambda inputs: list(inputs.values())),
    "first": ("First only", lambda inputs: next(iter(inputs.values()), None)),
}


class Merge(Node):
    """Waits for all branches that lead here and combines their outputs."""

    type = "merge"
    category = "logic"
    icon = "arrows-join-2"
    quick = True
    also = ("join", "combine", "gather", "append")
    examples = (
        {
            "config": {"mode": "object"},
            "input": {"orders": [1, 2], "stock": {"pen": 3}},
            "output": {"orders": [1, 2], "stock": {"pen": 3}},
        },
    )

    class Config(Schema):
        mode = choice(
            "How to combine the outputs of the nodes before", labels_of(MODES), load_default="object", title="Output"
        )

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        return MODES[config["mode"]][1](ctx.inputs)


class Stop(Node):
    """Ends the run as failed, with an error message."""

    type = "stop"
    category = "logic"
    icon = "hand-stop"
    quick = True
    title = "Stop with an error"
    also = ("stop and error", "throw", "raise", "fail", "abort", "exit")
    examples = (
        {"config": {"message": "There is no order {{ input.id }}"}, "input": {"id": 7}, "error": "There is no order 7"},
    )

    class Config(Schema):
        message = text("The error message of the run", most=2_000, required=True, lines="", title="Error message")

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        raise NodeError(config["message"], permanent=True, kind="stop")


class Noop(Node):
    """Does nothing and passes its input on. Useful to join connections and to try things out."""

    type = "noop"
    category = "logic"
    icon = "circle-dashed"
    quick = True
    title = "No operation"
    also = ("do nothing", "placeholder", "pass")
    examples = ({"config": {}, "input": {"id": 7}, "output": {"id": 7}},)

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        return input


# Output nodes: the response to a webhook's caller, and log entries.

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


# Transform nodes. JMESPath and the sandbox are in `jmespath_query.py` and `python_sandbox.py`.


class Set(Node):
    """Creates an object from keys and values, optionally added to the input."""

    type = "set"
    category = "data"
    icon = "pencil"
    quick = True
    title = "Set values"
    also = ("edit fields", "assign", "variables", "rename keys", "transform", "mapper", "map")
    examples = (
        {
            "config": {"values": {"total": "{{ input.price * input.count }}"}, "keep_input": True},
            "input": {"price": 2, "count": 3},
            "output": {"price": 2, "count": 3, "total": 6},
        },
    )

    class Config(Schema):
        values = setting(
            Values,
            'Fields of the output. A value is text, or contains {{ }}: {"total": "{{ input.a }}"}',
            required=True,
            title="Values",
        )
        keep_input = flag("Add the fields of the input to the output", False, title="Keep input")

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        if config["keep_input"] and isinstance(input, dict):
            return {**input, **config["values"]}
        return config["values"]


class Code(Node):
    """Runs Python in a sandbox without access to files, network and other programs.

    The names input, steps, trigger and vars are defined; the output is the value of the last expression.
    """

    type = "code"
    category = "data"
    title = "Python code"
    icon = "code"
    also = ("javascript", "script", "function", "run code", "transform")
    names = ("input", "steps", "trigger", "vars")
    examples = (
        {
            "config": {
                "source": "total = sum(input['prices'])\n{'total': total, 'mean': total / len(input['prices'])}"
            },
            "input": {"prices": [1, 2, 6]},
            "output": {"total": 9, "mean": 3.0},
        },
    )

    class Config(Schema):
        source = text(
            "The Python source. Printed text goes to the log of the run",
            literal=True,
            required=True,
            lines="python",
            metadata={"x-scope": ["input", "steps", "trigger", "vars"]},
            braces="Python has braces of its own, in f-strings and sets of sets",
            title="Code",
        )
        timeout = number("Seconds until the code is stopped", 0.1, 60, load_default=5.0, title="Timeout (seconds)")
        memory_mb = whole("Maximum memory of the code in megabytes", 8, 512, load_default=64, title="Memory limit (MB)")

    @classmethod
    def looks_at_steps(cls, config: Mapping[str, Any]) -> bool:
        return "steps" in str(config.get("source"))

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        if ctx.services is None:
            raise NodeError("the sandbox is not available here", permanent=True)
        source, scope = config["source"], {**ctx.scope, "input": input}
        # Passing all earlier steps takes time; so only those mentioned in the source are passed.
        named = {name: scope.get(name) for name in self.names if name in source}
        inputs = {name: dict(value) if isinstance(value, Mapping) else value for name, value in named.items()}
        return ctx.services.sandbox().run(
            source, inputs, ctx.seconds_left(config["timeout"]), config["memory_mb"], lambda line: ctx.log("info", line)
        )


def check_query(expression: str) -> None:
    """Reject text that is not JMESPath."""
    try:
        query.compile_query(expression)
    except NodeError as error:
        raise ValidationError(error.message) from None


class JMESPath(Node):
    """Selects and reshapes data with a JMESPath query."""

    type = "jmespath"
    category = "data"
    title = "JMESPath query"
    icon = "braces"
    also = ("rename keys", "pick", "transform", "map", "jq", "jsonpath")
    examples = (
        {
            "config": {"query": "orders[?total > `100`].{id: id, who: customer.name}"},
            "input": {"orders": [{"id": 1, "total": 120, "customer": {"name": "Ada"}}, {"id": 2, "total": 5}]},
            "output": [{"id": 1, "who": "Ada"}],
        },
    )

    class Config(Schema):
        query = line(
            "The JMESPath query: orders[?total > `100`].{id: id, who: customer.name}",
            check_query,
            most=query.MAX_QUERY,
            required=True,
            lines="",
            title="Query",
        )
        data = anything("The data to query. Default: the input", title="Data")

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        return query.search(config["query"], config.get("data", input))


class Validate(Node):
    """Validates data against a JSON Schema. Routes to invalid with a list of the errors and their paths."""

    type = "validate"
    category = "data"
    icon = "checkbox"
    quick = True
    also = ("check", "json schema", "guard")
    examples = (
        {
            "config": {"schema": {"type": "object", "required": ["email"]}},
            "input": {"name": "Ada"},
            "branch": "invalid",
            "output": [{"path": "", "message": '"email" is a required property'}],
        },
    )

    class Config(Schema):
        schema = json_schema(
            "The JSON Schema. Patterns support no look-around, and references only parts of the same schema",
            required=True,
            title="JSON Schema",
        )
        data = anything("The data to validate. Default: the input", title="Data")

    @classmethod
    def branches(cls, config: Mapping[str, Any]) -> tuple[str, ...]:
        return "valid", "invalid"

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        data = config.get("data", input)
        issues = issues_of(config["schema"], data, ctx.clean, ctx.workspace_id)
        return Branch("invalid", issues) if issues else Branch("valid", data)
