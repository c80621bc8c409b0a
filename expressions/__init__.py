"""`{{ … }}` in the strings of a config: compile once, evaluate often. Pure: no I/O, no eval.

`compile_value` takes any JSON value, `compile_text` one string; both give a `Template`. `literal` writes text so that
nothing in it is an expression. What an expression may say is in docs/expressions.md. `compiler.py` makes closures of
Jinja2's syntax tree, `library.py` has the closed tables of filters, tests, functions and methods, `operators.py` and
`values.py` what they work with and every bound.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from operator import attrgetter
from typing import Any

from errors import ExpressionError

from .compiler import Eval, Scope, Template, compile_text
from .literals import literal, quoted
from .values import MAX_DEPTH, Work

MAX_PARTS = 100_000  # of all expressions in a value

__all__ = [
    "MAX_PARTS",
    "ExpressionError",
    "Template",
    "compile_text",
    "compile_value",
    "has_expression",
    "literal",
    "places_of_expressions",
    "quoted",
    "texts_with_expressions",
]


def has_expression(value: Any) -> bool:
    """Whether a string anywhere in the JSON value has `{{`, or `{% … %}`, which does not compile. Keys do not count."""
    return next(texts_with_expressions(value), None) is not None


def texts_with_expressions(value: Any) -> Iterator[str]:
    """Those strings, in no particular order."""
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


def places_of_expressions(value: Any) -> Iterator[tuple[str, str]]:
    """Yield each text of the JSON value that has `{{ … }}`, after its place in it: `("[0].name", "{{ x }}")`.

    Keys of objects are among these texts, and their place is that of the object.
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
    """A template that gives the value with every expression in it replaced, or None if there is none anywhere in it.

    Keys of objects stay as they are written. One evaluation has one work budget for all strings in it. Raises
    ExpressionError, which says where in the value: `headers.X-Total: …`.
    """
    if isinstance(value, str):
        return compile_text(value) if has_expression(value) else None
    found = _Found()
    run = _structure(value, "", 0, found)
    if run is None:
        return None
    roots, steps, secrets = (frozenset().union(*map(attrgetter(kind), found)) for kind in ("roots", "steps", "secrets"))
    return Template(run, roots, steps, secrets, len(found), found.parts)


class _Found(list[Template]):
    """The templates of a value; ExpressionError where they have too many parts together."""

    parts = 0

    def add(self, template: Template) -> None:
        self.append(template)
        self.parts += template.parts
        if self.parts > MAX_PARTS:
            raise ExpressionError(f"the expressions in it have more than {MAX_PARTS:,} parts together")


def _structure(value: Any, path: str, depth: int, found: _Found) -> Eval | None:
    """What gives the value with its expressions replaced, None where it has none; `found` gets their templates."""
    if isinstance(value, str):
        return _leaf(value, path, found) if has_expression(value) else None
    if not isinstance(value, Mapping | list):
        return None
    if depth >= MAX_DEPTH:
        if has_expression(value):
            raise ExpressionError(f"{path[:100]}…: nested more than {MAX_DEPTH} deep")
        return None
    parts: dict[Any, Eval] = {}
    for key, item in value.items() if isinstance(value, Mapping) else enumerate(value):
        where = f"{path}[{key}]" if isinstance(value, list) else f"{path}.{key}".removeprefix(".")
        run = _structure(item, where, depth + 1, found)
        if run:
            parts[key] = run
    if not parts:
        return None
    return _filled_list(value, parts) if isinstance(value, list) else _filled_object(value, parts)


def _filled_object(value: Mapping[str, Any], parts: Mapping[str, Eval]) -> Eval:
    return lambda scope, work: {**value, **{key: run(scope, work) for key, run in parts.items()}}


def _filled_list(value: list[Any], parts: Mapping[int, Eval]) -> Eval:
    def fill(scope: Scope, work: Work) -> list[Any]:
        filled = value.copy()
        for index, run in parts.items():
            filled[index] = run(scope, work)
        return filled

    return fill


def _leaf(source: str, path: str, found: _Found) -> Eval:
    try:
        template = compile_text(source)
    except ExpressionError as error:
        raise ExpressionError(f"{path}: {error}") from None
    found.add(template)

    def evaluate(scope: Scope, work: Work) -> Any:
        try:
            return template.run(scope, work)
        except ExpressionError as error:
            raise ExpressionError(f"{path}: {error}") from None

    return evaluate
