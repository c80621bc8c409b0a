"""Parameters: one syntax of placeholders, `?` or `:name`, for the SQL of every database. A statement is never an
expression, so no value can become SQL.

A statement is only split here into parts with and without placeholders (strings, quoted names, comments, casts); the
driver binds the values. Rejects an unclosed string or comment, because a value could become part of anything after it.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from errors import NodeError

# Quoting rules of each database. `mysql-plain` is MySQL under NO_BACKSLASH_ESCAPES.
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
    # The server's mode decides if a backslash escapes within double quotes; so it is rejected there.
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
    """A statement in the driver's style. `names` are its placeholders in order; None if they are `?`."""

    text: str
    count: int
    names: tuple[str, ...] | None

    def values(self, params: Any) -> list[Any]:
        """Return the values in the order of the placeholders. Raises: NodeError if they do not match."""
        if self.names is not None:
            if not isinstance(params, Mapping):
                raise NodeError("params must be an object, like those before it", permanent=True)
            missing = sorted({name for name in self.names if name not in params})
            if missing:
                raise NodeError(f"params has no value for :{missing[0]}", permanent=True)
            return [params[name] for name in self.names]
        if not isinstance(params, list):
            raise NodeError("params must be a list, like those before it", permanent=True)
        if len(params) != self.count:
            raise NodeError(
                f"the statement has {_count_of(self.count, 'placeholder')} ?, "
                f"params has {_count_of(len(params), 'value')}; for :name, params must be an object",
                permanent=True,
            )
        return params


def prepare(statement: str, dialect: str, named: bool) -> Prepared:
    """Return the statement for the dialect's driver. Placeholders are `?` (then `??` is a literal `?`), or `:name` if
    `named`.

    Raises: NodeError if a string, a name or a comment is not closed.
    """
    parts: list[str] = []
    names: list[str] = []
    done = 0
    for kind, start, end in _find_placeholders(statement, dialect):
        if kind == ("name" if named else "mark"):
            names.append(statement[start + 1 : end])
            parts += [_escape_percent(statement[done:start], dialect), _placeholder(dialect, len(names))]
            done = end
        elif kind == "question" and not named:
            parts += [_escape_percent(statement[done:start], dialect), "?"]
            done = end
    parts.append(_escape_percent(statement[done:], dialect))
    return Prepared("".join(parts), len(names), tuple(names) if named else None)


def _count_of(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def _placeholder(dialect: str, number: int) -> str:
    return {"sqlite": "?", "postgresql": f"${number}"}.get(dialect, "%s")


def _escape_percent(text: str, dialect: str) -> str:
    return text.replace("%", "%%") if dialect.startswith("mysql") else text


def _find_placeholders(statement: str, dialect: str) -> Iterator[tuple[str, int, int]]:
    """Yield the placeholders: (mark or name, start, end); question for `??`."""
    position = 0
    while found := _pattern(dialect).search(statement, position):
        kind, start, position = str(found.lastgroup), *found.span()
        if kind == "comment":
            position = end_of_comment(statement, start, dialect == "postgresql")
        elif kind == "open" and statement[start] == '"' and dialect.startswith("mysql"):
            raise _unclosed_error(
                statement, start, 'a string in " (or has a backslash, which only those in single quotes may)'
            )
        elif kind == "open":
            raise _unclosed_error(statement, start, "a quote")
        elif kind == "mark":
            _check_placeholder(statement, start, position)
            yield "question" if position - start == 2 else "mark", start, position
        elif kind == "name":
            yield kind, start, position


def _check_placeholder(statement: str, start: int, end: int) -> None:
    if end - start == 1 and re.match(r"\w", statement[end : end + 1]):
        text = f"the ? in line {_line_number(statement, start)} must be separated from the next word or number"
        raise NodeError(f"the statement: {text}", True)


def end_of_comment(statement: str, start: int, nested: bool) -> int:
    """Return the end of the comment that begins at `start`; comments of PostgreSQL can be nested."""
    depth = 0
    for found in _COMMENT.finditer(statement, start):
        depth += 1 if found[0] == "/*" and (nested or not depth) else -1 if found[0] == "*/" else 0
        if not depth:
            return found.end()
    raise _unclosed_error(statement, start, "a comment")


def _unclosed_error(statement: str, start: int, what: str) -> NodeError:
    return NodeError(f"the statement: {what} in line {_line_number(statement, start)} is not closed", True)


def _line_number(statement: str, position: int) -> int:
    return statement.count("\n", 0, position) + 1
