"""Statements: their placeholders, their values, and the rows that they return, for every database."""

from __future__ import annotations

import base64
import functools
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from datetime import time as clock
from decimal import Decimal
from itertools import count
from typing import Any, NamedTuple

from errors import LimitExceeded, NodeError, TimedOut

# Placeholders: one syntax, `?` or `:name`, for the SQL of every database. A statement is never an expression, so no
# value can become SQL. It is only split here into parts with and without placeholders (strings, quoted names, comments,
# casts); the driver binds the values. An unclosed string or comment is refused, because a value could become part of
# anything after it.

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
            marker = {"sqlite": "?", "postgresql": f"${len(names)}"}.get(dialect, "%s")
            parts += [_escape_percent(statement[done:start], dialect), marker]
            done = end
        elif kind == "question" and not named:
            parts += [_escape_percent(statement[done:start], dialect), "?"]
            done = end
    parts.append(_escape_percent(statement[done:], dialect))
    return Prepared("".join(parts), len(names), tuple(names) if named else None)


def _count_of(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


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
            if position - start == 1 and re.match(r"\w", statement[position : position + 1]):
                text = f"the ? in line {_line_number(statement, start)} must be separated from the next word or number"
                raise NodeError(f"the statement: {text}", True)
            yield "question" if position - start == 2 else "mark", start, position
        elif kind == "name":
            yield kind, start, position


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


# Rows

# Limits on a response: bytes on the wire, and characters of JSON of the returned rows.
MAX_BYTES = 32 * 2**20
MAX_JSON = 16 * 2**20
MAX_DEPTH = 100
MIN_INT, MAX_INT = -(2**63), 2**64 - 1
# Decimals are all numbers or all text, by a setting and never by their values: a flow that works with 19.90 must not
# receive text at the first long amount. The declared precision is no rule either: PostgreSQL has none for sums and
# expressions, and MySQL has 32 digits or more, so SUM(pieces) would be text.
# A decimal may change by less than this when it becomes a number. So its first three digits after the point stay right;
# no currency has more. A larger change fails, which is visible; averages are rounded.
MAX_ROUNDING = Decimal("0.0005")


class DatabaseAddress(NamedTuple):
    """A database on a server; `options` are the permitted options of its URL."""

    host: str
    port: int | None
    user: str
    password: str
    database: str
    options: dict[str, str]

    def __repr__(self) -> str:
        return f"DatabaseAddress({self.host!r}, {self.database!r})"


class SqlWork(NamedTuple):
    """A statement to execute in one transaction: once with `sets[0]`, or with each of the sets if `many`.

    `end` is on the clock of `time.monotonic`. At most `max_rows` rows are returned. Decimals of the rows are JSON
    numbers, or all text if `decimals_as_text`.
    """

    statement: str
    sets: Sequence[Any]
    many: bool
    read_only: bool
    max_rows: int
    end: float
    decimals_as_text: bool = False

    def left(self) -> float:
        """Return the seconds left. Raises: NodeError if there are none."""
        left = self.end - time.monotonic()
        if left <= 0:
            raise timeout_error()
        return left

    def prepare(self, dialect: str) -> Prepared:
        """Return the statement in the dialect's style; unchanged if there are no values."""
        if not self.sets:
            return Prepared(self.statement, 0, None)
        return prepare(self.statement, dialect, isinstance(self.sets[0], dict))

    def values(self, prepared: Prepared) -> Iterator[list[Any]]:
        """Yield the values of each set, in order. Raises: NodeError naming the set whose values do not match."""
        for number, params in enumerate(self.sets):
            try:
                yield prepared.values(params)
            except NodeError as error:
                where = f"batch[{number}]: " if self.many else ""
                raise NodeError(f"{where}{error.message}", permanent=True) from None


def timeout_error() -> NodeError:
    """Return the error for a timeout."""
    return TimedOut("the database has not answered in time")


def size_error() -> NodeError:
    """Return the error for a response that is too large."""
    return LimitExceeded(
        f"the response has more than {MAX_BYTES // 2**20} MB; select fewer rows (LIMIT) or fewer columns"
    )


def collect(cursor: Any, work: SqlWork, rows: Iterable[Sequence[Any]] | None = None) -> dict[str, Any]:
    """Return `{"rows": [{column: value}], "row_count", "truncated"}`, with at most `work.max_rows` rows; or
    `{"row_count"}` if the statement has none. `rows` are those of the cursor by default.

    Raises: NodeError if the rows are too large, or if a value does not fit into JSON; it names the column.
    """
    if work.many or cursor.description is None:
        return {"row_count": max(cursor.rowcount, 0)}
    names = rename_duplicates([column[0] for column in cursor.description])
    kept: list[dict[str, Any]] = []
    room, found = MAX_JSON, 0
    for row in cursor if rows is None else rows:
        found += 1
        if found > work.max_rows:
            continue
        made: dict[str, Any] = {}
        for name, value in zip(names, row, strict=True):
            try:
                made[name] = plain(value, work.decimals_as_text)
            except NodeError as error:
                raise error.at(f"column {name!r}") from None
        kept.append(made)
        room -= sum(map(_size, kept[-1].values())) + sum(map(len, names)) + 4 * len(names)
        if room < 0:
            raise LimitExceeded(f"the rows have more than {MAX_JSON // 2**20} MB of JSON; select fewer")
    return {"rows": kept, "row_count": found, "truncated": found > len(kept)}


def _size(value: Any) -> int:
    return len(value) if isinstance(value, str) else len(str(value)) if isinstance(value, list | dict) else 4


def rename_duplicates(columns: Sequence[str]) -> list[str]:
    """Return the column names with duplicates renamed to `name_2`, so that none hides another."""
    taken = set(columns)
    names: list[str] = []
    for column in columns:
        name = column
        if column in names:
            name = next(f"{column}_{number}" for number in count(2) if f"{column}_{number}" not in taken)
            taken.add(name)
        names.append(name)
    return names


def plain(value: Any, decimals_as_text: bool = False, depth: int = 0) -> Any:
    """Return a database's value as JSON.

    Decimals are numbers, or text with all their digits if `decimals_as_text`. Whole numbers beyond 64 bits that are not
    decimals, NaN and the infinities are text. Bytes are base64. Times are ISO 8601, in UTC if they have a time zone.
    Every other type that JSON does not have is text.

    Raises: NodeError if a decimal has more digits than a number can hold, or if lists and objects are nested too deep.
    """
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int):
        return value if MIN_INT <= value <= MAX_INT else str(value)
    if isinstance(value, float):
        return value if value - value == 0 else _name_infinite(value)
    if isinstance(value, Decimal):
        return format(value, "f") if decimals_as_text and value.is_finite() else _convert_decimal(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return base64.b64encode(value).decode()
    if isinstance(value, date | clock):
        return _format_time(value)
    if isinstance(value, dict | list | tuple | set) and depth >= MAX_DEPTH:
        raise LimitExceeded(f"a value is nested more than {MAX_DEPTH} levels deep")
    if isinstance(value, dict):
        return {str(key): plain(item, decimals_as_text, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(item, decimals_as_text, depth + 1) for item in value]
    return str(value)


def _name_infinite(value: float) -> str:
    return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"


def _convert_decimal(value: Decimal) -> int | float | str:
    """Return a decimal as a number, with a fraction exactly if the decimal is written with one (1650.00 is 1650.0).

    So the values of a column with a scale have one type, whatever they are.
    """
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int):
        return _name_infinite(float(value)) if not value.is_snan() else "NaN"
    is_whole = exponent >= 0
    # Whole numbers of up to 64 bits stay exact. Their bounds are checked first: a decimal can have 100,000 digits.
    if is_whole and MIN_INT <= value <= MAX_INT:
        return int(value)
    number = float(value)
    if is_whole or abs(Decimal(repr(number)) - value) >= MAX_ROUNDING:
        raise NodeError(
            "a decimal has more digits than a number can hold; let the node's decimals be text, or round it or cast "
            "it to text in the statement",
            permanent=True,
        )
    return number


def _format_time(value: date | clock) -> str:
    if isinstance(value, datetime) and value.tzinfo is not None:
        try:
            value = value.astimezone(UTC)
        except OverflowError:
            return value.isoformat()
    return value.isoformat()
