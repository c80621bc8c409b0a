"""Expressions, `{{ … }}` in the strings of a config: compile once, evaluate often. Pure: no I/O, no eval.

`compile_value` takes any JSON value, `compile_text` one string; both return a `Template`. `escape` makes a template of
literal text. docs/expressions.md describes the language. `compiler.py` turns Jinja2's syntax tree into closures,
`library.py` has the closed tables of filters, tests, functions and methods, `operators.py` and `values.py` their
operations on values and all limits.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from operator import attrgetter
from typing import Any

from errors import ExpressionError

from .compiler import Eval, Scope, Template, compile_text
from .values import MAX_DEPTH, WorkBudget

# Literals: text from outside, escaped so that the language takes it as text.

# A brace at the end could form `{{` with the text appended after it.
_SPECIAL = re.compile(r"\{(?:[{%#]|\Z)")
_PIECE = 1_500  # characters; even written as `\u0000` each, they fit into one expression


def quote(text: str) -> str:
    """Return the text as a literal of the language: `"a\\nb"`. Jinja accepts Python's escapes, which include JSON's."""
    return json.dumps(text, ensure_ascii=False)


def escape(text: str) -> str:
    """Return a template that evaluates to exactly this text, also beside expressions; plain text stays unchanged.

    `Hi {{name}}` becomes `{{ "Hi {{name}}" }}`. Stays within the limits on parts and tokens: each piece is one of each.
    """
    pieces = [text[at : at + _PIECE] for at in range(0, len(text), _PIECE)]
    return "".join(f"{{{{ {quote(piece)} }}}}" if _SPECIAL.search(piece) else piece for piece in pieces)


MAX_PARTS = 100_000  # of all expressions in a JSON value

__all__ = [
    "MAX_PARTS", "ExpressionError", "Template", "compile_text", "compile_value", "escape", "find_expressions",
    "find_texts_with_expressions", "has_expression", "quote",
]  # fmt: skip


def has_expression(value: Any) -> bool:
    """Return True if a string in the JSON value contains `{{`, or `{% … %}`, which does not compile. Ignores keys."""
    return next(find_texts_with_expressions(value), None) is not None


def find_texts_with_expressions(value: Any) -> Iterator[str]:
    """Yield the strings with an expression, in no particular order."""
    rest = [value]
    while rest:
        part = rest.pop()
        if isinstance(part, str):
            if "{{" in part or "%}" in part[part.find("{%") :] and "{%" in part:
                yield part
        elif isinstance(part, Mapping):
            rest.extend(part.values())
        elif isinstance(part, list):
            rest.extend(part)


def find_expressions(value: Any) -> Iterator[tuple[str, str]]:
    """Yield the path and text of each string with `{{ … }}` in the JSON value, such as `("[0].name", "{{ x }}")`.

    Includes keys of objects, with the path of their object.
    """
    rest = [("", value)]
    while rest:
        place, part = rest.pop()
        if isinstance(part, str):
            if "{{" in part and "}}" in part[part.index("{{") :]:
                yield place, part
        elif isinstance(part, Mapping):
            rest += [(place, key) for key in part]
            rest += [(f"{place}.{key}", item) for key, item in part.items()]
        elif isinstance(part, list):
            rest += [(f"{place}[{index}]", item) for index, item in enumerate(part)]


def compile_value(value: Any) -> Template | None:
    """Return a template that evaluates every expression in the value, or None if there is none.

    Keys of objects are not evaluated. All strings of the value share one work budget.

    Raises: ExpressionError if an expression is invalid, with its place in the value: `headers.X-Total: …`.
    """
    if isinstance(value, str):
        return compile_text(value) if has_expression(value) else None
    found = _FoundTemplates()
    run = _structure(value, "", 0, found)
    if run is None:
        return None
    roots, steps, secrets = (frozenset().union(*map(attrgetter(kind), found)) for kind in ("roots", "steps", "secrets"))
    return Template(run, roots, steps, secrets, len(found), found.parts)


class _FoundTemplates(list[Template]):
    """The templates of a value. Raises: ExpressionError if they have more than MAX_PARTS parts."""

    parts = 0

    def add(self, template: Template) -> None:
        self.append(template)
        self.parts += template.parts
        if self.parts > MAX_PARTS:
            raise ExpressionError(f"the expressions have more than {MAX_PARTS:,} parts in total")


def _structure(value: Any, path: str, depth: int, found: _FoundTemplates) -> Eval | None:
    """Return an evaluator of the value, or None if it has no expressions; add its templates to `found`."""
    if isinstance(value, str):
        return _leaf(value, path, found) if has_expression(value) else None
    if not isinstance(value, Mapping | list):
        return None
    if depth >= MAX_DEPTH:
        if has_expression(value):
            raise ExpressionError(f"{path[:100]}…: the value is nested more than {MAX_DEPTH} levels deep")
        return None
    parts: dict[Any, Eval] = {}
    for key, item in value.items() if isinstance(value, Mapping) else enumerate(value):
        where = f"{path}[{key}]" if isinstance(value, list) else f"{path}.{key}".removeprefix(".")
        run = _structure(item, where, depth + 1, found)
        if run:
            parts[key] = run
    if not parts:
        return None
    return _fill_list(value, parts) if isinstance(value, list) else _fill_object(value, parts)


def _fill_object(value: Mapping[str, Any], parts: Mapping[str, Eval]) -> Eval:
    return lambda scope, work: {**value, **{key: run(scope, work) for key, run in parts.items()}}


def _fill_list(value: list[Any], parts: Mapping[int, Eval]) -> Eval:
    def fill(scope: Scope, work: WorkBudget) -> list[Any]:
        filled = value.copy()
        for index, run in parts.items():
            filled[index] = run(scope, work)
        return filled

    return fill


def _leaf(source: str, path: str, found: _FoundTemplates) -> Eval:
    try:
        template = compile_text(source)
    except ExpressionError as error:
        raise ExpressionError(f"{path}: {error}") from None
    found.add(template)

    def evaluate(scope: Scope, work: WorkBudget) -> Any:
        try:
            return template.run(scope, work)
        except ExpressionError as error:
            raise ExpressionError(f"{path}: {error}") from None

    return evaluate
