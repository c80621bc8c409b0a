"""Compiler of expressions: turns the syntax tree of Jinja2's lexer and parser into a closure.

Jinja's code generator and runtime are never used, so the language is closed by construction: a node class without a
row in `_HANDLERS` is rejected, and every function, filter, test or method is in the tables of `library.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from typing import Any, NoReturn, cast

from jinja2 import Environment, TemplateSyntaxError, nodes
from jinja2.lexer import TokenStream
from jinja2.parser import Parser

from errors import ExpressionError

from . import values
from .library import FILTERS, FUNCTIONS, METHODS, TESTS, find_mismatch
from .values import (
    MAX_BITS,
    MAX_DEPTH,
    MAX_TEXT,
    Function,
    Missing,
    WorkBudget,
    check_text_size,
    get_kind,
    list_names,
    need_text,
    read_member,
    slice_value,
    to_json,
    to_text,
)

MAX_SOURCE = 10_000  # characters of one expression
MAX_TOKENS = 5_000  # of all expressions in a string
MAX_NODES = 1_000  # of all expressions in a string
_CACHED_LENGTH = 2_000  # longer strings are compiled every time, to keep the cache small

Scope = Mapping[str, Any]
Eval = Callable[[Scope, WorkBudget], Any]
_Called = nodes.Filter | nodes.Test | nodes.Call

_METHOD_NAMES = sorted({name for table in METHODS.values() for name in table})
_SIMPLE = frozenset({str, int, bool, type(None)})
_CONTAINERS = frozenset({dict, list})
_DATETIME_ROOTS = frozenset({"now", "run", "workflow"})  # small, and may contain datetimes


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """A compiled string, list or object. Immutable, so threads can share it.

    `roots` are the names it reads (`input`, `steps`, …), `steps` the node ids in `steps.<id>` (`*` if it may read any),
    `secrets` the credentials in `secrets.<name>`. `count` is its number of strings with expressions, each of which may
    return a large value. `parts` is their total number of syntax nodes, the cost of compiling in time and memory.
    """

    _run: Eval
    roots: frozenset[str]
    steps: frozenset[str]
    secrets: frozenset[str]
    count: int = 1
    parts: int = 1

    def evaluate(self, scope: Scope) -> Any:
        """Return the value as plain JSON: datetimes as ISO 8601 text in UTC, durations in seconds.

        `scope` maps names to plain JSON; only `now`, `run` and `workflow` may be or contain aware datetimes. Treat the
        result as read-only: it shares objects with the scope and the template.

        Raises: ExpressionError, nothing else.
        """
        return self.run(scope, WorkBudget())

    def run(self, scope: Scope, work: WorkBudget) -> Any:
        """Evaluate as part of a larger value, with its work budget."""
        try:
            return self._run(scope, work)
        except Missing as missing:
            message = missing.explain()
        except ExpressionError:
            raise
        except RecursionError:
            message = "the expression or its value is nested too deeply"
        except (TypeError, ValueError, ArithmeticError, LookupError) as error:
            message = str(error)
        raise ExpressionError(message)


def compile_text(source: str) -> Template:
    """Compile one string; cached. A single `{{ … }}` keeps the type of its value, anything else returns text."""
    return _cached(source) if len(source) <= _CACHED_LENGTH else _compile(source)


def _compile(source: str) -> Template:
    if len(source) > MAX_TEXT:
        raise ExpressionError(f"a text with expressions must have at most {MAX_TEXT:,} characters")
    return _Compiler(source).template()


_cached = lru_cache(maxsize=1_024)(_compile)


# -- Jinja's lexer and parser, with offsets instead of line numbers

_ESCAPE = re.compile(r"\\(.)", re.S)
_ESCAPES = frozenset("\\'\"abfnrtvxuUN\n")
_STAND_INS = "\x1c\x1d\x1e\x1f\x85\u2028\u2029\u205f"  # all whitespace to Jinja


class _Environment(Environment):
    """Passes the parser tokens with offsets as line numbers, so that errors have a position, and limits them."""

    def _tokenize(
        self, source: str, name: str | None, filename: str | None = None, state: str | None = None
    ) -> TokenStream:
        return TokenStream(_lexer.wrap(_tokens(source)), name, filename)


def _tokens(source: str) -> Iterator[tuple[int, str, str]]:
    offset = 0
    begin: int | None = None  # offset of the current expression
    raw = _lexer.tokeniter(source, None)
    for _ in range(MAX_TOKENS):
        try:
            _, token, value = next(raw)
        except StopIteration:
            return
        except TemplateSyntaxError as error:
            raise TemplateSyntaxError(re.sub(r" at \d+$", "", str(error.message)), offset) from None
        offset = max(source.find(value, offset), offset)  # skip whitespace removed by `{{-`
        end = offset + len(value)
        if token in ("block_begin", "raw_begin"):
            raise TemplateSyntaxError("statements ({% … %}) are not supported, only expressions ({{ … }})", offset)
        if token == "variable_begin":
            begin = offset
        if begin is not None and end - begin > MAX_SOURCE:
            raise TemplateSyntaxError(f"the expression is longer than {MAX_SOURCE:,} characters", begin)
        if token == "variable_end":
            begin = None
        if token == "string":  # keep unknown escapes as they are; Python would warn
            value = _ESCAPE.sub(lambda match: match[0] if match[1] in _ESCAPES else "\\" + match[0], value)
        yield offset, token, value
        offset = end
    raise TemplateSyntaxError(f"the expressions have more than {MAX_TOKENS:,} tokens", offset)


_environment = _Environment(keep_trailing_newline=True, autoescape=False)
_lexer = _environment.lexer  # a property that looks it up on each access


# Syntax of JavaScript that users try, and the replacement.
_INSTEAD = (
    ("$", "names have no $; write input.total for $json.total, now for $now"),
    ("&", "use and"),
    ("|", "use or"),
    ("!", "use not, or != to compare"),
    ("?", "use a if b else c, or a|default(b)"),
    ("=", "use == to compare"),
    ("`", "put text in ' or \""),
    ("'", "the quote is not closed"),
    ('"', "the quote is not closed"),
)


def _explain(message: str, source: str, at: int) -> str:
    """Return Jinja's message about this place of the source without its template terms, with a hint."""
    message = message.replace("end of print statement", "}}").replace("end of template", "end of the text").rstrip(".")
    if message == "expected name or number":
        return f'Incomplete: choose a field after "{source[max(at - 60, 0) : at].split()[-1].lstrip("{")}"'
    if "expected" not in message or message.startswith("Expected an expression"):
        return message[:1].lower() + message[1:]
    hint = next((words for start, words in _INSTEAD if source.startswith(start, at)), "")
    return f"{message}; {hint}" if hint else message


# -- from the tree to closures


class _Compiler:
    """Compiles one string, collecting the names that it reads."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.roots: set[str] = set()
        self.named: dict[str, set[str]] = {"steps": set(), "secrets": set()}
        self.unnamed = 0  # uses of `steps` without a known id
        self.count = self.depth = 0
        self.carriage_return = "\r"  # or a stand-in for it: Jinja would turn \r\n into \n

    def template(self) -> Template:
        try:
            run = self.output(self.parse())
            steps, secrets = map(frozenset, self.named.values())
            steps |= {"*"} if self.unnamed else set()
            return Template(run, frozenset(self.roots), steps, secrets, parts=self.count + 1)
        except RecursionError:
            raise self.error(0, "the expression is nested too deeply") from None

    def parse(self) -> list[nodes.Expr]:
        source = self.source
        if "\r" in source:
            self.carriage_return = next((mark for mark in _STAND_INS if mark not in source), "\n")
            source = source.replace("\r", self.carriage_return)
        try:
            # `parse` would also visit all nodes to set their environment, which is not needed here.
            body = Parser(_environment, source).subparse()
        except TemplateSyntaxError as error:
            raise self.error(error.lineno, _explain(str(error.message), source, error.lineno)) from None
        except RecursionError:
            raise
        except Exception as error:  # the lexer passes on ValueError, SyntaxError and others for unusual literals
            raise self.error(0, f"invalid expression: {error}") from None
        return [part for output in body if isinstance(output, nodes.Output) for part in output.nodes]

    def error(self, at: nodes.Node | int, message: str) -> ExpressionError:
        offset = at if isinstance(at, int) else at.lineno
        before = self.source[:offset]
        line, column = before.count("\n") + 1, offset - before.rfind("\n")
        return ExpressionError(f"{message} (line {line}, column {column})")

    def output(self, parts: list[nodes.Expr]) -> Eval:
        if len(parts) == 1 and not isinstance(parts[0], nodes.TemplateData):
            run, borrowed = self.compile(parts[0]), _is_borrowed(parts[0])

            def finished(scope: Scope, work: WorkBudget) -> Any:
                value = run(scope, work)
                # Values borrowed from the scope are JSON already.
                if type(value) in _SIMPLE or borrowed and type(value) in _CONTAINERS:
                    return value
                return to_json(work, value)

            return finished
        return _join([self.restore(p.data) if isinstance(p, nodes.TemplateData) else self.compile(p) for p in parts])

    def restore(self, text: str) -> str:
        return text if self.carriage_return == "\n" else text.replace(self.carriage_return, "\r")

    def compile(self, node: nodes.Node) -> Eval:
        handler = _HANDLERS.get(type(node))
        if handler is None:
            raise self.error(node, f"{type(node).__name__.lower()} is not supported")
        self.count += 1
        self.depth += 1
        if self.count > MAX_NODES:
            raise self.error(node, f"the expressions have more than {MAX_NODES:,} parts")
        if self.depth > MAX_DEPTH:
            raise self.error(node, f"the expression is nested more than {MAX_DEPTH} levels deep")
        run = handler(self, node)
        self.depth -= 1
        return run

    # literals

    def const(self, node: nodes.Const) -> Eval:
        value = node.value
        if isinstance(value, str):
            value = self.restore(value)
            if any("\ud800" <= char <= "\udfff" for char in value):
                raise self.error(node, "the text contains half a surrogate pair")
        elif isinstance(value, int) and value.bit_length() > MAX_BITS:
            raise self.error(node, f"the integer is larger than {MAX_BITS:,} bits")
        elif isinstance(value, float) and value in (float("inf"), float("-inf")):
            raise self.error(node, "the number is too large")
        return lambda scope, work: value

    def sequence(self, node: nodes.List | nodes.Tuple) -> Eval:
        items = [self.compile(item) for item in node.items]
        return lambda scope, work: [item(scope, work) for item in items]

    def mapping(self, node: nodes.Dict) -> Eval:
        pairs = [(self.compile(pair.key), self.compile(pair.value)) for pair in node.items]
        return lambda scope, work: {
            need_text(key(scope, work), "an object's key"): value(scope, work) for key, value in pairs
        }

    # names, members, slices

    def name(self, node: nodes.Name) -> Eval:
        name = node.name
        if name in FUNCTIONS:
            raise self.error(node, f"'{name}' is a function: call it with parentheses")
        if name == "null":  # JSON's name of None
            return lambda scope, work: None
        self.roots.add(name)
        self.unnamed += name == "steps"

        def load(scope: Scope, work: WorkBudget) -> Any:
            try:
                return scope[name]
            except KeyError:
                message = f"'{name[:100]}' is not defined (available: {list_names(scope, name)})"
                raise Missing(lambda: message) from None

        return load

    def getattr(self, node: nodes.Getattr) -> Eval:
        if node.attr.startswith("__") and node.attr.endswith("__"):
            raise self.error(node, f"'{node.attr[:60]}' is not supported: a dot reads a key of an object")
        return self.read_member(node, node.node, node.attr)

    def getitem(self, node: nodes.Getitem) -> Eval:
        if isinstance(node.arg, nodes.Slice):
            return self.slice(node.node, node.arg)
        if isinstance(node.arg, nodes.Const) and isinstance(node.arg.value, str):
            self.compile(node.arg)
            return self.read_member(node, node.node, node.arg.value)
        inner, key, label = self.compile(node.node), self.compile(node.arg), _label(node.node)
        return lambda scope, work: read_member(inner(scope, work), key(scope, work), label)

    def read_member(self, node: nodes.Expr, of: nodes.Expr, key: str) -> Eval:
        self.note(of, [key])
        inner, label = self.compile(of), _label(of)

        def read(scope: Scope, work: WorkBudget) -> Any:
            value = inner(scope, work)
            if type(value) is dict and key in value:
                return value[key]
            try:
                return read_member(value, key, label)
            except Missing as missing:
                if key not in _METHOD_NAMES or isinstance(value, Mapping):
                    raise
                explain = missing.explain
            raise Missing(lambda: f"{explain()}; call the method with parentheses: {key}()")

        return read

    def note(self, of: nodes.Expr, keys: list[str]) -> None:
        """Record the steps or secrets read."""
        if isinstance(of, nodes.Name) and of.name in self.named:
            self.named[of.name].update(keys)
            self.unnamed -= len(keys) if of.name == "steps" else 0

    def slice(self, of: nodes.Expr, node: nodes.Slice) -> Eval:
        inner = self.compile(of)
        parts = (node.start, node.stop, node.step)
        bounds = [self.compile(part) if part else lambda scope, work: None for part in parts]
        return lambda scope, work: slice_value(work, inner(scope, work), *[bound(scope, work) for bound in bounds])

    # operators

    def binary(self, node: nodes.BinExpr) -> Eval:
        left, right, operate = self.compile(node.left), self.compile(node.right), _BINARY[type(node)]
        return lambda scope, work: operate(work, left(scope, work), right(scope, work))

    def unary(self, node: nodes.UnaryExpr) -> Eval:
        inner, operate = self.compile(node.node), _UNARY[type(node)]
        return lambda scope, work: operate(work, inner(scope, work))

    def both(self, node: nodes.And) -> Eval:
        left, right = self.compile(node.left), self.compile(node.right)
        return lambda scope, work: left(scope, work) and right(scope, work)

    def either(self, node: nodes.Or) -> Eval:
        left, right = self.compile(node.left), self.compile(node.right)
        return lambda scope, work: left(scope, work) or right(scope, work)

    def concat(self, node: nodes.Concat) -> Eval:
        return _join([self.compile(part) for part in node.nodes])

    def compare(self, node: nodes.Compare) -> Eval:
        first = self.compile(node.expr)
        rest = [(values.COMPARISONS[operand.op], self.compile(operand.expr)) for operand in node.ops]

        def chain(scope: Scope, work: WorkBudget) -> bool:
            left = first(scope, work)
            for holds, expression in rest:
                right = expression(scope, work)
                if not holds(work, left, right):
                    return False
                left = right
            return True

        return chain

    def choice(self, node: nodes.CondExpr) -> Eval:
        test, yes = self.compile(node.test), self.compile(node.expr1)
        no = self.compile(node.expr2) if node.expr2 else _no_else
        return lambda scope, work: yes(scope, work) if test(scope, work) else no(scope, work)

    # calls

    def filter(self, node: nodes.Filter) -> Eval:
        if node.name in ("default", "d"):
            return self.default(node)
        function = self.look_up(node, FILTERS, "filter", node.name)
        return self.call(node, f"filter '{node.name}'", function, _subject(node))

    def default(self, node: nodes.Filter) -> Eval:
        """Catch a missing value anywhere in the expression before it; evaluate the default only if needed."""
        self.check_call(node, "filter 'default'", FILTERS["default"], 1)
        given = dict(zip(("default_value", "boolean"), node.args, strict=False))
        given |= {pair.key: pair.value for pair in _keywords(node)}
        inner = self.compile(_subject(node))
        default = self.compile(given.get("default_value", nodes.Const("")))
        boolean = self.compile(given.get("boolean", nodes.Const(False)))

        def present_or_default(scope: Scope, work: WorkBudget) -> Any:
            try:
                value = inner(scope, work)
            except Missing:
                return default(scope, work)
            return value if value or not boolean(scope, work) else default(scope, work)

        return present_or_default

    def test(self, node: nodes.Test) -> Eval:
        function = self.look_up(node, TESTS, "test", node.name)
        if node.name not in ("defined", "undefined"):
            return self.call(node, f"test '{node.name}'", function, node.node)
        inner, wanted = self.compile(node.node), node.name == "defined"

        def is_there(scope: Scope, work: WorkBudget) -> bool:
            try:
                inner(scope, work)
            except Missing:
                return not wanted
            return wanted

        return is_there

    def invocation(self, node: nodes.Call) -> Eval:
        called = node.node
        if isinstance(called, nodes.Name):
            function = self.look_up(node, FUNCTIONS, "function", called.name)
            return self.call(node, f"{called.name}()", function, None)
        if isinstance(called, nodes.Getattr):
            return self.method(node, called)
        raise self.error(node, "only functions and methods can be called")

    def method(self, node: nodes.Call, called: nodes.Getattr) -> Eval:
        name = called.attr
        offered = {word: table[name] for word, table in METHODS.items() if name in table}
        if not offered:
            known = list_names(_METHOD_NAMES, name)
            raise self.error(node, f"there is no method '{name[:60]}' (available: {known})")
        keys = [part.value for part in node.args[:1] if isinstance(part, nodes.Const) and name == "get"]
        self.note(called.node, [key for key in keys if isinstance(key, str)])
        for word, function in offered.items():
            self.check_call(node, f"{name}() of {word}", function, 1)
        inner, label, arguments = self.compile(called.node), _label(called.node), self.arguments(node)

        def invoke(scope: Scope, work: WorkBudget) -> Any:
            value = inner(scope, work)
            function = offered.get(get_kind(value))
            if function is None:
                raise ExpressionError(f"{label} is {get_kind(value)}, which has no method '{name}'")
            values, named = arguments(scope, work)
            return _invoke(f"{name}()", function, work, [value, *values], named)

        return invoke

    def look_up(self, node: nodes.Expr, table: Mapping[str, Function], what: str, name: str) -> Function:
        if name not in table:
            raise self.error(node, f"there is no {what} '{name[:60]}' (available: {list_names(sorted(table), name)})")
        return table[name]

    def check_call(self, node: _Called, what: str, function: Function, before: int) -> None:
        """Check that the function accepts the arguments, after `before` other values."""
        if node.dyn_args or node.dyn_kwargs:
            raise self.error(node, "* and ** are not supported in a call")
        if wrong := find_mismatch(function, before + len(node.args), tuple(pair.key for pair in _keywords(node))):
            raise self.error(node, f"invalid call of {what}: {wrong}")

    def arguments(self, node: _Called) -> Callable[[Scope, WorkBudget], tuple[list[Any], dict[str, Any]]]:
        values = [self.compile(part) for part in node.args]
        named = {pair.key: self.compile(pair.value) for pair in _keywords(node)}
        return lambda scope, work: (
            [value(scope, work) for value in values],
            {key: value(scope, work) for key, value in named.items()},
        )

    def call(self, node: _Called, what: str, function: Function, value: nodes.Expr | None) -> Eval:
        """Call `function` with the value before `|` or `is`, if any, and the arguments of the node."""
        self.check_call(node, what, function, 0 if value is None else 1)
        before = [] if value is None else [self.compile(value)]
        arguments = self.arguments(node)

        def invoke(scope: Scope, work: WorkBudget) -> Any:
            first = [part(scope, work) for part in before]
            values, named = arguments(scope, work)
            return _invoke(what, function, work, first + values, named)

        return invoke


def _invoke(what: str, function: Function, work: WorkBudget, values: list[Any], named: dict[str, Any]) -> Any:
    try:
        return function(work, *values, **named)
    except (ExpressionError, TypeError, ValueError, ArithmeticError, LookupError) as error:
        raise ExpressionError(f"{what}: {error}") from None


def _keywords(node: _Called) -> list[nodes.Keyword]:
    return cast(list[nodes.Keyword], node.kwargs)  # Jinja annotates Pair for filters and tests


def _subject(node: nodes.Filter) -> nodes.Expr:
    return cast(nodes.Expr, node.node)  # None only in the filter statement, which is not an expression


def _label(node: nodes.Expr) -> str:
    """Return the name of a container for error messages."""
    if isinstance(node, nodes.Name):
        return node.name[:100]
    if isinstance(node, nodes.Getattr):
        return f"{_label(node.node)}.{node.attr}"[-100:]
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
        return f"{_label(node.node)}[{node.arg.value!r}]"[-100:]
    return "the value"


def _no_else(scope: Scope, work: WorkBudget) -> NoReturn:
    raise Missing(lambda: "the condition of the inline if is false, and there is no else")


def _join(pieces: Sequence[str | Eval]) -> Eval:
    def joined(scope: Scope, work: WorkBudget) -> str:
        parts = [part if isinstance(part, str) else to_text(work, part(scope, work)) for part in pieces]
        size = sum(map(len, parts))
        check_text_size(size)
        work.chars(size)
        return "".join(parts)

    return joined


def _is_borrowed(node: nodes.Expr) -> bool:
    """Return True if the value comes unchanged from the scope: it is plain JSON, and not repeated many times."""
    match node:
        case nodes.Name():
            return node.name not in _DATETIME_ROOTS
        case nodes.Const():
            return True
        case nodes.List() | nodes.Tuple() | nodes.Dict():
            return not node.items
        case nodes.Getattr() | nodes.Getitem():
            return _is_borrowed(node.node)
        case nodes.CondExpr():
            return _is_borrowed(node.expr1) and (node.expr2 is None or _is_borrowed(node.expr2))
        case nodes.And() | nodes.Or():
            return _is_borrowed(node.left) and _is_borrowed(node.right)
        case nodes.Filter(name="default" | "d"):
            return all(map(_is_borrowed, [_subject(node), *node.args, *(pair.value for pair in node.kwargs)]))
        case nodes.Filter(name="first" | "last"):
            return _is_borrowed(_subject(node))
    return False


_BINARY: dict[type[nodes.Node], values.Operator] = {
    nodes.Add: values.add,
    nodes.Sub: values.subtract,
    nodes.Mul: values.multiply,
    nodes.Div: values.divide,
    nodes.FloorDiv: values.floor_divide,
    nodes.Mod: values.modulo,
    nodes.Pow: values.power,
}

_UNARY: dict[type[nodes.Node], Callable[[WorkBudget, Any], Any]] = {
    nodes.Neg: values.negative,
    nodes.Pos: values.positive,
    nodes.Not: lambda work, value: not value,
}

_HANDLERS: dict[type[nodes.Node], Callable[[_Compiler, Any], Eval]] = {
    nodes.Const: _Compiler.const,
    nodes.List: _Compiler.sequence,
    nodes.Tuple: _Compiler.sequence,
    nodes.Dict: _Compiler.mapping,
    nodes.Name: _Compiler.name,
    nodes.Getattr: _Compiler.getattr,
    nodes.Getitem: _Compiler.getitem,
    nodes.And: _Compiler.both,
    nodes.Or: _Compiler.either,
    nodes.Concat: _Compiler.concat,
    nodes.Compare: _Compiler.compare,
    nodes.CondExpr: _Compiler.choice,
    nodes.Filter: _Compiler.filter,
    nodes.Test: _Compiler.test,
    nodes.Call: _Compiler.invocation,
    **dict.fromkeys(_BINARY, _Compiler.binary),
    **dict.fromkeys(_UNARY, _Compiler.unary),
}


# Values of JSON with expressions in their texts.

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
    if isinstance(value, Mapping):
        return lambda scope, work: {**value, **{key: run(scope, work) for key, run in parts.items()}}

    def fill(scope: Scope, work: WorkBudget) -> list[Any]:
        filled: list[Any] = value.copy()
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
