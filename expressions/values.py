"""What an expression works on: plain JSON, datetimes and durations; how they are read, written as text and bounded.

No parsing here, and nothing that looks at a Python attribute by a name out of an expression.
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from operator import attrgetter
from typing import Any

import orjson

from errors import ExpressionError

MAX_TEXT = 1_000_000  # characters of a text that an expression makes
MAX_ITEMS = 100_000  # items of a list that an expression makes or walks
MAX_BITS = 2_048  # of an integer
MAX_DEPTH = 100  # of nested values and of the expression itself
MAX_WORK = 1_000_000  # units an evaluation: an item is one, and so are 8 characters made or 64 characters searched

_BIGGEST = 1 << MAX_BITS
_KINDS: dict[type, str] = {
    str: "text", bool: "boolean", int: "number", float: "number", type(None): "null", list: "list", tuple: "list",
    dict: "object", datetime: "datetime", timedelta: "duration",
}  # fmt: skip
_NO_CHECK = frozenset({bool, int, type(None)})

FIELDS: dict[str, dict[str, Callable[[Any], Any]]] = {
    "datetime": {name: attrgetter(name) for name in ("year", "month", "day", "hour", "minute", "second")},
    "duration": {"days": attrgetter("days")},
}


class Missing(Exception):
    """A name, key or index that is not there. The sentence is made only if nobody catches it: `default` often does."""

    def __init__(self, explain: Callable[[], str]) -> None:
        super().__init__()
        self.explain = explain


class Work:
    """What one evaluation may still spend, so that many bounded operations cannot add up to seconds."""

    left = MAX_WORK

    def spend(self, units: int) -> None:
        self.left -= units
        if self.left < 0:
            raise ExpressionError("the expression does too much work")

    def chars(self, count: int) -> None:
        self.spend(count >> 3)

    def scan(self, count: int) -> None:
        self.spend(count >> 6)


def kind(value: Any) -> str:
    """The JSON word for a value's type."""
    known = _KINDS.get(type(value))
    if known is None:
        known = next((word for base, word in _KINDS.items() if isinstance(value, base)), None)
    if known is None:
        known = "object" if isinstance(value, Mapping) else f"a {type(value).__name__}"
    return known


def some(names: Any, near: str = "") -> str:
    """Up to eight of the names, those nearest to `near` first."""
    known = [str(name)[:60] for name in islice(names, 200)]
    close = difflib.get_close_matches(near[:60], known, n=3)
    shown = list(dict.fromkeys(close + known))
    return ", ".join(shown[:8]) + (", …" if len(shown) > 8 else "")


# -- bounds


def fits_text(length: int) -> None:
    if length > MAX_TEXT:
        raise ExpressionError(f"the text would be longer than {MAX_TEXT:,} characters")


def fits_items(count: int) -> None:
    if count > MAX_ITEMS:
        raise ExpressionError(f"the list would be longer than {MAX_ITEMS:,} items")


def number(value: Any) -> Any:
    """The number itself, if it is finite and not too large."""
    if isinstance(value, int):
        if not -_BIGGEST < value < _BIGGEST:
            raise ExpressionError(f"the integer would be larger than {MAX_BITS:,} bits")
    elif not isinstance(value, float | complex):
        raise ExpressionError(f"{kind(value)} is no JSON value")
    elif isinstance(value, complex) or not math.isfinite(value):
        raise ExpressionError("the result is not a finite number")
    return value


# -- what a function expects


def need_text(value: Any, what: str = "it") -> str:
    if not isinstance(value, str):
        raise ExpressionError(f"{what} must be text, not {kind(value)}")
    return value


def need_number(value: Any, what: str = "it") -> Any:
    if not isinstance(value, int | float):
        raise ExpressionError(f"{what} must be a number, not {kind(value)}")
    return value


def need_int(value: Any, what: str = "it") -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ExpressionError(f"{what} must be a whole number, not {kind(value)}")
    return value


def need_items(work: Work, value: Any) -> list[Any]:
    """The items to walk: of a list, the keys of an object, the characters of a text. Not to be changed."""
    if not isinstance(value, list | tuple | str | Mapping):
        raise ExpressionError(f"it must be a list, not {kind(value)}")
    if len(value) > MAX_ITEMS:
        raise ExpressionError(f"it has more than {MAX_ITEMS:,} items")
    work.spend(len(value))
    return value if isinstance(value, list) else list(value)


# -- reading


def member(value: Any, key: Any, label: str) -> Any:
    """`value.key` or `value[key]`: a key of an object, an index of a list or a text, a field of a datetime."""
    if isinstance(value, Mapping):
        if isinstance(key, str):
            try:
                return value[key]
            except KeyError:
                pass
    elif isinstance(value, list | tuple | str):
        if isinstance(key, int) and not isinstance(key, bool):
            try:
                return value[key]
            except IndexError:
                pass
    elif isinstance(key, str):
        field = FIELDS.get(kind(value), {}).get(key)
        if field is not None:
            return field(value)
    raise Missing(lambda: _no_member(value, key, label))


def _no_member(value: Any, key: Any, label: str) -> str:
    shown = repr(key)[:100] if isinstance(key, str | int) else f"that is {kind(key)}"
    if isinstance(value, Mapping):
        has = f"it has: {some(value, key if isinstance(key, str) else '')}" if value else "it is empty"
        return f"{label} has no key {shown} ({has})"
    if isinstance(value, list | tuple | str) and isinstance(key, int):
        return f"{label} has no index {shown} (its length is {len(value)})"
    fields = FIELDS.get(kind(value))
    has = f" (it has: {some(fields)})" if fields else ""
    return f"{label} is {kind(value)} and has no {shown}{has}"


def cut(work: Work, value: Any, start: Any, stop: Any, step: Any) -> Any:
    """`value[start:stop:step]` of a list or a text."""
    if not isinstance(value, list | tuple | str):
        raise ExpressionError(f"only a list or text can be sliced, not {kind(value)}")
    for bound in (start, stop, step):
        if bound is not None:
            need_int(bound, "a slice bound")
    part = slice(start, stop, step)
    size = len(range(*part.indices(len(value))))
    if isinstance(value, str):
        fits_text(size)
        work.chars(size)
        return value[part]
    fits_items(size)
    work.spend(size)
    return list(value[part])


# -- writing


def iso(value: datetime) -> str:
    """ISO 8601 in UTC with milliseconds; a datetime without a zone counts as UTC."""
    aware = value if value.tzinfo else value.replace(tzinfo=UTC)
    return aware.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def plain(work: Work, value: Any, depth: int = 0) -> Any:
    """The value as JSON. What needs no change is the same object; all of it is walked and paid for, each alias anew."""
    if isinstance(value, str):
        work.chars(len(value))
        return value
    if type(value) in _NO_CHECK:
        return value
    if isinstance(value, list | tuple | Mapping):
        if depth >= MAX_DEPTH:
            raise ExpressionError(f"the value is nested more than {MAX_DEPTH} deep")
        work.spend(len(value))
        if isinstance(value, Mapping):
            return _plain_object(work, value, depth + 1)
        return _plain_list(work, value, depth + 1)
    if isinstance(value, datetime):
        work.spend(10)
        return iso(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    return number(value)


def _plain_list(work: Work, value: Any, depth: int) -> list[Any]:
    items = [item if type(item) in _NO_CHECK else plain(work, item, depth) for item in value]
    if isinstance(value, list) and all(new is old for new, old in zip(items, value, strict=True)):
        return value
    return items


def _plain_object(work: Work, value: Mapping[str, Any], depth: int) -> dict[str, Any]:
    work.chars(sum(len(need_text(key, "an object's key")) for key in value))
    items = {key: item if type(item) in _NO_CHECK else plain(work, item, depth) for key, item in value.items()}
    if isinstance(value, dict) and all(new is value[key] for key, new in items.items()):
        return value
    return items


def json_text(work: Work, value: Any, indent: bool = False) -> str:
    """Compact JSON, or indented by two."""
    bare = plain(work, value)
    try:
        result = orjson.dumps(bare, option=orjson.OPT_INDENT_2 if indent else None).decode()
    except TypeError:  # integers over 64 bits and lone surrogates
        separators = (",", ": ") if indent else (",", ":")
        result = json.dumps(bare, ensure_ascii=False, indent=2 if indent else None, separators=separators)
    fits_text(len(result))
    return result


def text(work: Work, value: Any) -> str:
    """A value as it appears inside a text."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    bare = value if isinstance(value, list | tuple | Mapping) else plain(work, value)
    if isinstance(bare, str):
        return bare
    return str(bare) if isinstance(bare, int | float) else json_text(work, bare)
