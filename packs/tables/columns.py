"""Columns of data tables: their types, the values that a cell takes, and conditions on rows as SQL."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any, NamedTuple

import orjson

from constants import OPERATORS
from database import is_postgres
from database.base import containing
from errors import BadInput

# Label of each type.
TYPES = {"text": "Text", "number": "Number", "boolean": "Yes or no", "date": "Date and time", "json": "JSON"}
MAX_COLUMNS, MAX_COLUMN_NAME = 50, 60
MAX_CELLS = 64 * 1024  # bytes of a row as JSON
MAX_CONDITIONS = 20
MAX_KEY = 200  # characters of a text by which rows are sorted
MAX_NUMBER = 2**63 - 1
NAME = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]+\Z")
SYSTEM = ("id", "created_at", "updated_at")
COMPARISONS = {"eq": "=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?([eE][+-]?[0-9]{1,3})?\Z")
BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
# Conditions of callers: the name of a column, an operator and a value each; and True if any of them is enough.
Where = tuple[Sequence[tuple[str, str, Any]], bool]


class TableColumn(NamedTuple):
    """A column. Its `id`, such as c1, is never used again in its table: cells are stored under it."""

    id: str
    name: str
    type: str
    indexed: bool = False

    def as_dict(self) -> dict[str, Any]:
        return self._asdict()


SYSTEM_COLUMNS = {
    "id": TableColumn("id", "id", "text"),
    "created_at": TableColumn("created_at", "created_at", "date"),
    "updated_at": TableColumn("updated_at", "updated_at", "date"),
}


class Condition(NamedTuple):
    """A condition on a row: `operator` is one of OPERATORS, `value` a cell of the column or None."""

    column: TableColumn
    operator: str
    value: Any = None


class RowFilter(NamedTuple):
    """Conditions on rows: all of them, or any."""

    conditions: tuple[Condition, ...] = ()
    is_any: bool = False


class RowOrder(NamedTuple):
    """The order of rows: by a column, then by their ids."""

    column: TableColumn = SYSTEM_COLUMNS["id"]
    is_descending: bool = False


def check_name(name: Any) -> str:
    """Return the name of a column without spaces around it. Raises: BadInput."""
    if not isinstance(name, str) or not (name := name.strip()) or len(name) > MAX_COLUMN_NAME or not NAME.match(name):
        raise BadInput(f"A column's name must be text of 1 to {MAX_COLUMN_NAME} characters on one line")
    if name.lower() in SYSTEM:
        raise BadInput(f"{name!r} cannot be the name of a column: every row has its own {name.lower()}")
    return name


def to_cell(column: TableColumn, value: Any, is_lenient: bool = False) -> Any:
    """Return a value as the column stores it: JSON; a date as ISO 8601 text in UTC; None if it is empty.

    `is_lenient`: text from a CSV file or a form is converted, such as "12.5" and "yes". Raises: BadInput.
    """
    if value is None or (value == "" and column.type != "text"):
        return None
    if is_lenient and isinstance(value, str):
        value = _convert(column, value)
    try:
        return CHECKS[column.type](value)
    except (TypeError, ValueError, OverflowError):
        shown = json.dumps(value, default=str)[:80]
        raise BadInput(f"{column.name}: {shown} is not {EXPECTED[column.type]}") from None


def _convert(column: TableColumn, text: str) -> Any:
    stripped = text.strip()
    if column.type == "number" and NUMBER.match(stripped):
        try:
            return orjson.loads(stripped)
        except orjson.JSONDecodeError:  # such as 007 or +1
            return float(stripped)
    if column.type == "boolean":
        return BOOLEANS.get(stripped.lower(), text)
    if column.type == "json":
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            raise BadInput(f"{column.name}: {text[:80]!r} is not JSON") from None
    return text


def _to_text(value: Any) -> str:
    if isinstance(value, bool | int | float):
        return orjson.dumps(value).decode()
    if isinstance(value, datetime):
        return _to_date(value)
    if not isinstance(value, str):
        raise TypeError
    return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def _to_number(value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError
    if isinstance(value, int) and abs(value) > MAX_NUMBER:
        raise ValueError
    return value


def _to_boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _to_date(value: Any) -> str:
    if isinstance(value, str):
        value = datetime.fromisoformat(value.strip())
    elif isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    if not isinstance(value, datetime):
        raise TypeError
    moment = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return moment.isoformat(timespec="milliseconds")[:-6] + "Z"


CHECKS: dict[str, Callable[[Any], Any]] = {
    "text": _to_text,
    "number": _to_number,
    "boolean": _to_boolean,
    "date": _to_date,
    "json": lambda value: orjson.loads(orjson.dumps(value, default=str)),
}
EXPECTED = {
    "text": "text",
    "number": "a number",
    "boolean": "true or false",
    "date": "a date such as 2026-01-31 or 2026-01-31T08:00:00Z",
    "json": "JSON",
}


def guess_type(values: Iterable[Any]) -> str:
    """Return the narrowest type of a column that takes all of these values; text if there are none."""
    found = {_type_of(value) for value in values if value is not None}
    return found.pop() if len(found) == 1 else "text" if found <= {"text", "date", "number", "boolean"} else "json"


def _type_of(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, datetime):
        return "date"
    return "text" if isinstance(value, str) else "json"


def guess_type_of_texts(texts: Iterable[str]) -> str:
    """Return the narrowest type of a column that takes all of these texts of a CSV file, of which some may be empty."""
    kinds = [TableColumn("", "", kind) for kind in ("number", "boolean", "date")]
    seen = False
    for text in texts:
        if not text.strip():
            continue
        seen = True
        kinds = [kind for kind in kinds if _takes(kind, text)]
        if not kinds:
            break
    return kinds[0].type if seen and kinds else "text"


def _takes(column: TableColumn, text: str) -> bool:
    if column.type == "number" and len(text) > 1 and text.lstrip("-")[0] == "0" and "." not in text:
        return False  # a postal code or a telephone number, not a number
    if column.type == "date" and len(text.strip()) < 10:
        return False
    try:
        to_cell(column, text, is_lenient=True)
    except BadInput:
        return False
    return True


def digest_of(value: Any) -> str:
    """Return the digest by which an index finds a cell: the same for 1 and 1.0."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    return hashlib.blake2b(orjson.dumps(value, option=orjson.OPT_SORT_KEYS), digest_size=12).hexdigest()


def cell_sql(column: TableColumn) -> str:
    """Return the SQL of a cell for comparisons. The column's id is our own text."""
    if column.id in SYSTEM:
        return f"r.{column.id}"
    if not is_postgres():
        return f"(r.cells ->> '{column.id}')"
    found = f"(CAST(r.cells AS JSON) ->> '{column.id}')"
    return f"CAST({found} AS DOUBLE PRECISION)" if column.type == "number" else f'({found} COLLATE "C")'


def sort_sql(column: TableColumn) -> str:
    """Return the SQL of the value by which rows are sorted: at most MAX_KEY characters of a text."""
    cell = cell_sql(column)
    return f"substr({cell}, 1, {MAX_KEY})" if column.type in ("text", "json") and column.id not in SYSTEM else cell


def to_param(column: TableColumn, value: Any) -> Any:
    """Return the parameter of SQL that compares like this cell."""
    if column.id in ("created_at", "updated_at"):
        return int(datetime.fromisoformat(value).timestamp() * 1000)
    if isinstance(value, bool):
        return ("true" if value else "false") if is_postgres() else int(value)
    return orjson.dumps(value).decode() if isinstance(value, dict | list) else value


def condition_sql(condition: Condition) -> tuple[str, tuple[Any, ...]]:
    """Return a condition as SQL with its parameters."""
    column, operator, value = condition
    cell = cell_sql(column)
    if operator == "empty" or (operator == "eq" and value is None):
        return (f"({cell} IS NULL OR {cell} = '')" if column.type == "text" else f"{cell} IS NULL"), ()
    if operator == "not_empty" or (operator == "ne" and value is None):
        return (f"({cell} IS NOT NULL AND {cell} <> '')" if column.type == "text" else f"{cell} IS NOT NULL"), ()
    param = to_param(column, value)
    if operator == "contains":
        return f"{cell} LIKE ? ESCAPE '\\'", (containing(str(param)),)
    if operator == "starts_with":
        return f"{cell} LIKE ? ESCAPE '\\'", (containing(str(param))[1:],)
    if operator == "ne":
        return f"({cell} IS NULL OR {cell} <> ?)", (param,)
    return f"{cell} {COMPARISONS[operator]} ?", (param,)


def filter_sql(where: RowFilter) -> tuple[str, tuple[Any, ...]]:
    """Return the SQL of a filter with its parameters; "" if it has no conditions."""
    parts = [condition_sql(condition) for condition in where.conditions]
    joined = (" OR " if where.is_any else " AND ").join(sql for sql, _ in parts)
    return (f"({joined})" if parts else ""), tuple(value for _, values in parts for value in values)


def make_condition(columns: Mapping[str, TableColumn], name: str, operator: str, value: Any) -> Condition:
    """Return the condition of a caller. Raises: BadInput if the column, the operator or the value is wrong."""
    column = find_column(columns, name)
    if operator not in OPERATORS:
        raise BadInput(f"{operator!r} is not an operator; use one of {', '.join(OPERATORS)}")
    if operator in ("empty", "not_empty"):
        return Condition(column, operator)
    if column.type == "json" and operator not in ("contains", "eq", "ne"):
        raise BadInput(f"{name}: a JSON column can only be compared with contains, empty and not_empty")
    if operator in ("contains", "starts_with"):
        if column.type in ("number", "boolean") or column.id in ("created_at", "updated_at"):
            raise BadInput(f"{name}: {operator} is for columns with text")
        return Condition(column, operator, _to_text(value) if isinstance(value, str | int | float) else "")
    cell = to_cell(column, value, is_lenient=True)
    if cell is None and operator not in ("eq", "ne"):
        raise BadInput(f"{name}: {operator} needs a value")
    return Condition(column, operator, cell)


def make_filter(columns: Mapping[str, TableColumn], where: Where) -> RowFilter:
    """Return the filter of a caller. Raises: BadInput."""
    conditions, is_any = where
    if len(conditions) > MAX_CONDITIONS:
        raise BadInput(f"A filter has at most {MAX_CONDITIONS} conditions")
    return RowFilter(tuple(make_condition(columns, *each) for each in conditions), is_any)


def make_order(columns: Mapping[str, TableColumn], sort: str) -> RowOrder:
    """Return the order of a text such as `total` or, descending, `-total`. Raises: BadInput."""
    name = sort.removeprefix("-") if sort.startswith("-") and sort not in columns else sort
    return RowOrder(find_column(columns, name), is_descending=name != sort) if sort else RowOrder()


def find_column(columns: Mapping[str, TableColumn], name: str) -> TableColumn:
    """Return the column of this name, or one of SYSTEM_COLUMNS. Raises: BadInput if there is none."""
    found = columns.get(name) or SYSTEM_COLUMNS.get(name)
    if found is None:
        known = ", ".join(map(repr, [*columns][:20])) or "none"
        raise BadInput(f"The table has no column {str(name)[:80]!r}; its columns: {known}")
    return found


def show_time(at_ms: int) -> str:
    """Return a time of a row as ISO 8601 text."""
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec='milliseconds')[:-6]}Z"
