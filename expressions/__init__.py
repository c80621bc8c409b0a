"""Expressions, `{{ … }}` in the strings of a config: compile once, evaluate often. Pure: no I/O, no eval.

`compile_value` takes any JSON value, `compile_text` one string; both return a `Template`. `escape` makes a template of
literal text. docs/expressions.md describes the language. `compiler.py` turns Jinja2's syntax tree into closures,
`library.py` has the closed tables of filters, tests, functions and methods, `values.py` their operations on values and
all limits.
"""

from __future__ import annotations

from errors import ExpressionError

from .compiler import (
    MAX_PARTS,
    Template,
    compile_text,
    compile_value,
    escape,
    find_expressions,
    find_texts_with_expressions,
    has_expression,
    quote,
)

__all__ = [
    "MAX_PARTS", "ExpressionError", "Template", "compile_text", "compile_value", "escape", "find_expressions",
    "find_texts_with_expressions", "has_expression", "quote",
]  # fmt: skip
