"""One way to write placeholders, `?` or `:name`, in the SQL of every database. A statement is never an expression, so
no value can become SQL.

A statement is only split here into what may have a placeholder and what may not: strings, quoted names, comments and
casts. It is the driver that puts the values in. Where a string or a comment is not closed, there is no telling what a
value would become part of, so that is refused.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from errors import NodeError

# How each database quotes. `mysql-plain` is MySQL under NO_BACKSLASH_ESCAPES.
_STRING = r"'(?:[^']|'')*+'"
_NAME = r'"(?:[^"]|"")*+"'
_BACKTICKS = r"`(?:[^`]|``)*+`"
_ESCAPES = r"'(?:[^'\\]|\\.|'')*+'"
_LINE = r"--[^\n]*"
_QUOTED = {
    "sqlite": [_STRING, _NAME, _BACKTICKS, r"\[[^\]]*\]", _LINE],
    "postgresql": [
        rf"(?<![\w$])[eE]{_ESCAPES}",
        r"(?<![\w$])\$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$",
        *(_STRING, _NAME, _LINE),
    ],
    # Between double quotes a backslash counts or not, by the server's mode; so one there is refused.
    "mysql": [_ESCAPES, r'"(?:[^"\\]|"")*+"', _BACKTICKS, r"--(?![^\s\x00-\x1f])[^\n]*", r"\#[^\n]*"],
    "mysql-plain": [_STRING, r'"(?:[^"\\]|"")*+"', _BACKTICKS, r"--(?![^\s\x00-\x1f])[^\n]*", r"\#[^\n]*"],
}
_OPENERS = {"sqlite": "'\"`[", "postgresql": "'\"", "mysql": "'\"`", "mysql-plain": "'\"`"}
_COMMENT = re.compile(r"/\*|\*/")


@functools.cache
def _pattern(dialect: str) -> re.Pattern[str]:
    quoted = "|".join(_QUOTED[dialect])
    openers = re.escape(_OPENERS[dialect])
    return re.compile(
        rf"(?P<skip>{quoted}|::)|(?P<comment>/\*)|(?P<open>[{openers}])"
        r"|(?P<mark>\?\??)|(?<![\w:]):(?P<name>[^\W\d]\w*)",
        re.DOTALL,
    )


@dataclass(frozen=True, slots=True)
class Prepared:
    """A statement in its driver's own style. `names` are those of its placeholders, in order; None where by `?`."""

    text: str
    count: int
    names: tuple[str, ...] | None

    def values(self, params: Any) -> list[Any]:
        """The values in the order of the placeholders; NodeError where they do not fit."""
        if self.names is not None:
            if not isinstance(params, Mapping):
                raise NodeError("params must be an object, as those before it", permanent=True)
            missing = sorted({name for name in self.names if name not in params})
            if missing:
                raise NodeError(f"params has no value for :{missing[0]}", permanent=True)
            return [params[name] for name in self.names]
        if not isinstance(params, list):
            raise NodeError("params must be a list, as those before it", permanent=True)
        if len(params) != self.count:
            raise NodeError(
                f"the statement has {_many(self.count, 'placeholder')} by ?, but params {_many(len(params), 'value')}; "
                "values for :name are an object",
                permanent=True,
            )
        return params


def prepare(statement: str, dialect: str, named: bool) -> Prepared:
    """The statement for the dialect's driver: `?` are placeholders or, where `named`, `:name`; `??` is a `?` then.

    Raises NodeError where a string, a name or a comment has no end.
    """
    parts: list[str] = []
    names: list[str] = []
    done = 0
    for kind, start, end in _marks(statement, dialect):
        if kind == ("name" if named else "mark"):
            names.append(statement[start + 1 : end])
            parts += [_plain(statement[done:start], dialect), _placeholder(dialect, len(names))]
            done = end
        elif kind == "question" and not named:
            parts += [_plain(statement[done:start], dialect), "?"]
            done = end
    parts.append(_plain(statement[done:], dialect))
    return Prepared("".join(parts), len(names), tuple(names) if named else None)


def _many(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _placeholder(dialect: str, number: int) -> str:
    return {"sqlite": "?", "postgresql": f"${number}"}.get(dialect, "%s")


def _plain(text: str, dialect: str) -> str:
    return text.replace("%", "%%") if dialect.startswith("mysql") else text


def _marks(statement: str, dialect: str) -> Iterator[tuple[str, int, int]]:
    """Where the placeholders are: (mark or name, start, end); question is `??`."""
    position = 0
    while found := _pattern(dialect).search(statement, position):
        kind, start, position = str(found.lastgroup), *found.span()
        if kind == "comment":
            position = end_of_comment(statement, start, dialect == "postgresql")
        elif kind == "open" and statement[start] == '"' and dialect.startswith("mysql"):
            raise _unclosed(
                statement, start, 'a string in " (or has a backslash, which only those in single quotes may)'
            )
        elif kind == "open":
            raise _unclosed(statement, start, "a quote")
        elif kind == "mark":
            _check_mark(statement, start, position)
            yield "question" if position - start == 2 else "mark", start, position
        elif kind == "name":
            yield kind, start, position


def _check_mark(statement: str, start: int, end: int) -> None:
    if end - start == 1 and re.match(r"\w", statement[end : end + 1]):
        raise NodeError(f"the statement: the ? in line {_line(statement, start)} runs into a word or number", True)


def end_of_comment(statement: str, start: int, nested: bool) -> int:
    """Where the comment that begins at `start` ends; those of PostgreSQL can hold others."""
    depth = 0
    for found in _COMMENT.finditer(statement, start):
        depth += 1 if found[0] == "/*" and (nested or not depth) else -1 if found[0] == "*/" else 0
        if not depth:
            return found.end()
    raise _unclosed(statement, start, "a comment")


def _unclosed(statement: str, start: int, what: str) -> NodeError:
    return NodeError(f"the statement: {what} is not closed; it begins in line {_line(statement, start)}", True)


def _line(statement: str, position: int) -> int:
    return statement.count("\n", 0, position) + 1


def texts(params: Sequence[Any]) -> Iterator[str]:
    """All texts in the values, however deep."""
    todo = list(params)
    while todo:
        value = todo.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, Mapping):
            todo += [*value.keys(), *value.values()]
        elif isinstance(value, list | tuple):
            todo += value
