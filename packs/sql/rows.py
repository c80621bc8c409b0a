"""Rows and work, shared by all databases: a statement to execute, and the conversion of its rows to JSON."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from datetime import time as clock
from decimal import Decimal
from itertools import count
from typing import Any, NamedTuple

from errors import LimitExceeded, NodeError, TimedOut
from packs.sql.params import Prepared, prepare

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
        return f"Place({self.host!r}, {self.database!r})"


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
        kept.append(_convert_row(names, row, work.decimals_as_text))
        room -= sum(map(_size, kept[-1].values())) + sum(map(len, names)) + 4 * len(names)
        if room < 0:
            raise LimitExceeded(f"the rows have more than {MAX_JSON // 2**20} MB of JSON; select fewer")
    return {"rows": kept, "row_count": found, "truncated": found > len(kept)}


def _convert_row(names: Sequence[str], row: Sequence[Any], decimals_as_text: bool) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in zip(names, row, strict=True):
        try:
            found[name] = plain(value, decimals_as_text)
        except NodeError as error:
            raise error.at(f"column {name!r}") from None
    return found


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
