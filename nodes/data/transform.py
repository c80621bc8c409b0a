"""Transform nodes. JMESPath and the sandbox are in `jmespath_query.py` and `python_sandbox.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError

from errors import NodeError
from fields import Schema
from nodes.base import Branch, Context, Node
from nodes.data import jmespath_query as query
from nodes.fields import Values, anything, flag, json_schema, line, number, setting, text, whole
from parsers.json_schema import issues_of


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
            Values, 'The keys with their values: {"total": "{{ input.a }}"}', required=True, title="Values"
        )
        keep_input = flag("Whether to keep the keys of the input", False, title="Keep input")

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
        inputs = {name: _plain(scope.get(name)) for name in self.names if name in source}
        return ctx.services.sandbox().run(
            source, inputs, ctx.seconds_left(config["timeout"]), config["memory_mb"], lambda line: ctx.log("info", line)
        )


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value


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
