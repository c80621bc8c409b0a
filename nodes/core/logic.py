"""Logic nodes: decide where a run continues."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from marshmallow import ValidationError, fields

from errors import ExpressionError, NodeError
from fields import Schema
from nodes.base import Branch, Context, Node
from nodes.fields import anything, choice, kind_of, labels_of, setting, text, text_of

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
    """Routes to the true or the false branch, depending on a condition.

    Empty values, zero, null and the text false are false.
    """

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
            fields.Raw(required=True, allow_none=True, validate=check_condition, metadata={"x-per-item": True}),
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
