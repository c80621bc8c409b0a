"""Values of expressions: plain JSON, datetimes and durations, with their limits and conversions.

No parsing here, and no access to Python attributes by a name from an expression.
"""

from __future__ import annotations

import difflib
import json
import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from operator import attrgetter
from typing import Any

import orjson

from errors import ExpressionError

MAX_TEXT = 1_000_000  # characters of a text that an expression creates
MAX_ITEMS = 100_000  # items of a list that an expression creates or iterates
MAX_BITS = 2_048  # of an integer
MAX_DEPTH = 100  # levels of nested values, and of the expression itself
MAX_WORK = 1_000_000  # units per evaluation; one unit is an item, 8 characters created or 64 characters searched

_MAX_INT = 1 << MAX_BITS
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
    """A missing name, key or index. The message is built only if nobody catches it, because `default` often does."""

    def __init__(self, explain: Callable[[], str]) -> None:
        super().__init__()
        self.explain = explain


class WorkBudget:
    """The work budget of one evaluation, so that many limited operations cannot add up to seconds."""

    left = MAX_WORK

    def spend(self, units: int) -> None:
        self.left -= units
        if self.left < 0:
            raise ExpressionError("the expression does too much work; process less data, or split it up")

    def chars(self, count: int) -> None:
        self.spend(count >> 3)

    def scan(self, count: int) -> None:
        self.spend(count >> 6)


def get_kind(value: Any) -> str:
    """Return the JSON name of a value's type."""
    known = _KINDS.get(type(value))
    if known is None:
        known = next((word for base, word in _KINDS.items() if isinstance(value, base)), None)
    if known is None:
        known = "object" if isinstance(value, Mapping) else f"a {type(value).__name__}"
    return known


def list_names(names: Any, near: str = "") -> str:
    """Return up to eight names, those similar to `near` first."""
    known = [str(name)[:60] for name in islice(names, 200)]
    close = difflib.get_close_matches(near[:60], known, n=3)
    shown = list(dict.fromkeys(close + known))
    return ", ".join(shown[:8]) + (", …" if len(shown) > 8 else "")


# -- limits


def check_text_size(length: int) -> None:
    if length > MAX_TEXT:
        raise ExpressionError(f"the text would be longer than {MAX_TEXT:,} characters")


def check_count(count: int) -> None:
    if count > MAX_ITEMS:
        raise ExpressionError(f"the list would be longer than {MAX_ITEMS:,} items")


def check_number(value: Any) -> Any:
    """Return the number. Raises: ExpressionError if it is not finite or too large."""
    if isinstance(value, int):
        if not -_MAX_INT < value < _MAX_INT:
            raise ExpressionError(f"the integer would be larger than {MAX_BITS:,} bits")
    elif not isinstance(value, float | complex):
        raise ExpressionError(f"{get_kind(value)} is not a JSON value")
    elif isinstance(value, complex) or not math.isfinite(value):
        raise ExpressionError("the result is not a finite number")
    return value


# -- types of arguments


def need_text(value: Any, what: str = "the value") -> str:
    if not isinstance(value, str):
        raise ExpressionError(f"{what} must be text, not {get_kind(value)}")
    return value


def need_number(value: Any, what: str = "the value") -> Any:
    if not isinstance(value, int | float):
        raise ExpressionError(f"{what} must be a number, not {get_kind(value)}")
    return value


def need_int(value: Any, what: str = "the value") -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ExpressionError(f"{what} must be a whole number, not {get_kind(value)}")
    return value


def need_items(work: WorkBudget, value: Any) -> list[Any]:
    """Return the items of a list, the keys of an object or the characters of a text. Do not modify the result."""
    if not isinstance(value, list | tuple | str | Mapping):
        raise ExpressionError(f"the value must be a list, not {get_kind(value)}")
    if len(value) > MAX_ITEMS:
        raise ExpressionError(f"the value has more than {MAX_ITEMS:,} items")
    work.spend(len(value))
    return value if isinstance(value, list) else list(value)


# -- reading


def read_member(value: Any, key: Any, label: str) -> Any:
    """Return `value.key` or `value[key]`: a key of an object, an index of a list or text, a field of a datetime."""
    if type(value) is dict or isinstance(value, Mapping):  # the check of an abstract class takes ten times as long
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
        field = FIELDS.get(get_kind(value), {}).get(key)
        if field is not None:
            return field(value)
    raise Missing(lambda: _no_member(value, key, label))


def _no_member(value: Any, key: Any, label: str) -> str:
    shown = repr(key)[:100] if isinstance(key, str | int) else f"of type {get_kind(key)}"
    if isinstance(value, Mapping):
        has = f"available: {list_names(value, key if isinstance(key, str) else '')}" if value else "it is empty"
        return f"{label} has no key {shown} ({has})"
    if isinstance(value, list | tuple | str) and isinstance(key, int):
        return f"{label} has no index {shown} (its length is {len(value)})"
    fields = FIELDS.get(get_kind(value))
    has = f" (available: {list_names(fields)})" if fields else ""
    return f"{label} is {get_kind(value)} and has no {shown}{has}"


def slice_value(work: WorkBudget, value: Any, start: Any, stop: Any, step: Any) -> Any:
    """Return `value[start:stop:step]` of a list or a text."""
    if not isinstance(value, list | tuple | str):
        raise ExpressionError(f"only a list or text can be sliced, not {get_kind(value)}")
    for bound in (start, stop, step):
        if bound is not None:
            need_int(bound, "a slice bound")
    part = slice(start, stop, step)
    size = len(range(*part.indices(len(value))))
    if isinstance(value, str):
        check_text_size(size)
        work.chars(size)
        return value[part]
    check_count(size)
    work.spend(size)
    return list(value[part])


# -- writing


def iso(value: datetime) -> str:
    """Return ISO 8601 text in UTC with milliseconds; a datetime without a time zone counts as UTC."""
    aware = value if value.tzinfo else value.replace(tzinfo=UTC)
    return aware.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def to_json(work: WorkBudget, value: Any, depth: int = 0) -> Any:
    """Return the value as JSON. Unchanged parts stay the same object; the whole value costs work, every alias anew."""
    if isinstance(value, str):
        work.chars(len(value))
        return value
    if type(value) in _NO_CHECK:
        return value
    if isinstance(value, list | tuple | Mapping):
        if depth >= MAX_DEPTH:
            raise ExpressionError(f"the value is nested more than {MAX_DEPTH} levels deep")
        work.spend(len(value))
        if isinstance(value, Mapping):
            work.chars(sum(len(need_text(key, "an object's key")) for key in value))
            made = {
                key: item if type(item) in _NO_CHECK else to_json(work, item, depth + 1) for key, item in value.items()
            }
            return value if isinstance(value, dict) and all(new is value[key] for key, new in made.items()) else made
        items = [item if type(item) in _NO_CHECK else to_json(work, item, depth + 1) for item in value]
        is_same = isinstance(value, list) and all(new is old for new, old in zip(items, value, strict=True))
        return value if is_same else items
    if isinstance(value, datetime):
        work.spend(10)
        return iso(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    return check_number(value)


def json_text(work: WorkBudget, value: Any, indent: bool = False) -> str:
    """Return compact JSON, or JSON indented by two spaces."""
    bare = to_json(work, value)
    try:
        result = orjson.dumps(bare, option=orjson.OPT_INDENT_2 if indent else None).decode()
    except TypeError:  # integers over 64 bits and lone surrogates
        separators = (",", ": ") if indent else (",", ":")
        result = json.dumps(bare, ensure_ascii=False, indent=2 if indent else None, separators=separators)
    check_text_size(len(result))
    return result


def to_text(work: WorkBudget, value: Any) -> str:
    """Return a value as it appears within a text."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    is_json = isinstance(value, int | float | list | tuple | Mapping)
    bare = value if is_json else to_json(work, value)
    if isinstance(bare, str):
        return bare
    return str(bare) if isinstance(bare, int | float) else json_text(work, bare)


# Operators of expressions: `+ - * / // % **`, comparisons and `in`, each limited before it does the work.

Operator = Callable[[WorkBudget, Any, Any], Any]
Function = Callable[..., Any]  # a filter, test, function or method: takes WorkBudget, the value and arguments

_MAX_WIDTH, _MAX_PRECISION = 1_000, 100
_NUMBERS = (int, float)
_DIRECTIVE = re.compile(
    r"%(?:\((?P<key>[^()%]{0,100})\))?(?P<flags>[-+ 0#]{0,5})(?P<width>[0-9]{0,6})"
    r"(?:\.(?P<precision>[0-9]{0,6}))?(?P<type>[a-zA-Z%])?"
)


def _clash(sign: str, left: Any, right: Any) -> ExpressionError:
    return ExpressionError(f"'{sign}' is not supported between {get_kind(left)} and {get_kind(right)}")


def add(work: WorkBudget, left: Any, right: Any) -> Any:
    if isinstance(left, _NUMBERS) and isinstance(right, _NUMBERS):
        return check_number(left + right)
    if isinstance(left, str) and isinstance(right, str):
        check_text_size(len(left) + len(right))
        work.chars(len(left) + len(right))
        return left + right
    if isinstance(left, list) and isinstance(right, list):
        check_count(len(left) + len(right))
        work.spend(len(left) + len(right))
        return left + right
    if isinstance(left, datetime | timedelta) and isinstance(right, timedelta):
        return left + right
    if isinstance(left, timedelta) and isinstance(right, datetime):
        return left + right
    raise _clash("+", left, right)


def subtract(work: WorkBudget, left: Any, right: Any) -> Any:
    if isinstance(left, _NUMBERS) and isinstance(right, _NUMBERS):
        return check_number(left - right)
    if isinstance(left, datetime) and isinstance(right, datetime | timedelta):
        return left - right
    if isinstance(left, timedelta) and isinstance(right, timedelta):
        return left - right
    raise _clash("-", left, right)


def multiply(work: WorkBudget, left: Any, right: Any) -> Any:
    if isinstance(left, int) and isinstance(right, int):
        if left.bit_length() + right.bit_length() > MAX_BITS:
            raise ExpressionError(f"the integer would be larger than {MAX_BITS:,} bits")
        return left * right
    if isinstance(left, _NUMBERS) and isinstance(right, _NUMBERS):
        return check_number(left * right)
    if isinstance(right, str | list):
        left, right = right, left
    if isinstance(left, str | list) and isinstance(right, int):
        size = len(left) * max(right, 0)
        if isinstance(left, str):
            check_text_size(size)
            work.chars(size)
        else:
            check_count(size)
            work.spend(size)
        return left * right if size else left[:0]
    raise _clash("*", left, right)


def divide(work: WorkBudget, left: Any, right: Any) -> Any:
    if isinstance(left, _NUMBERS) and isinstance(right, _NUMBERS):
        return check_number(left / right)
    raise _clash("/", left, right)


def floor_divide(work: WorkBudget, left: Any, right: Any) -> Any:
    if isinstance(left, _NUMBERS) and isinstance(right, _NUMBERS):
        return check_number(left // right)
    raise _clash("//", left, right)


def modulo(work: WorkBudget, left: Any, right: Any) -> Any:
    if isinstance(left, str):
        return percent(work, left, right if isinstance(right, list | Mapping) else [right])
    if isinstance(left, _NUMBERS) and isinstance(right, _NUMBERS):
        return check_number(left % right)
    raise _clash("%", left, right)


def power(work: WorkBudget, left: Any, right: Any) -> Any:
    if not isinstance(left, _NUMBERS) or not isinstance(right, _NUMBERS):
        raise _clash("**", left, right)
    if isinstance(left, int) and isinstance(right, int) and (left.bit_length() - 1) * right > MAX_BITS:
        raise ExpressionError(f"the integer would be larger than {MAX_BITS:,} bits")
    return check_number(left**right)  # rejects a complex result


def negative(work: WorkBudget, value: Any) -> Any:
    return -value if isinstance(value, timedelta) else -need_number(value, "the operand of '-'")


def positive(work: WorkBudget, value: Any) -> Any:
    return +need_number(value, "the operand of '+'")


# -- comparisons


def equal(work: WorkBudget, left: Any, right: Any) -> bool:
    if isinstance(left, list | tuple | Mapping) and isinstance(right, list | tuple | Mapping):
        if len(left) != len(right):
            return False
        to_json(work, left)  # spends work for the walk, which aliases could make endless
    elif isinstance(left, str) and isinstance(right, str) and len(left) == len(right):
        work.scan(len(left))
    return bool(left == right)


def not_equal(work: WorkBudget, left: Any, right: Any) -> bool:
    return not equal(work, left, right)


def _ordered(sign: str, compare: Callable[[Any, Any], bool]) -> Operator:
    def ordered(work: WorkBudget, left: Any, right: Any) -> bool:
        if isinstance(left, _NUMBERS) and isinstance(right, _NUMBERS):
            return compare(left, right)
        if get_kind(left) != get_kind(right) or not isinstance(left, str | datetime | timedelta):
            raise _clash(sign, left, right)
        if isinstance(left, str):
            work.scan(min(len(left), len(right)))
        return compare(left, right)

    return ordered


def contains(work: WorkBudget, item: Any, container: Any) -> bool:
    """Return True if `item` is a substring of a text, an item of a list or a key of an object."""
    if isinstance(container, str):
        work.scan(len(container))
        return need_text(item, "the text to search for") in container
    if isinstance(container, Mapping):
        return isinstance(item, str) and item in container
    if isinstance(container, list | tuple):
        pay_for_search(work, item, len(container))
        return item in container
    raise _clash("in", item, container)


def pay_for_search(work: WorkBudget, item: Any, times: int) -> None:
    """Spend the work of comparing `item` with `times` other values."""
    before = work.left
    if isinstance(item, str):
        work.scan(len(item))
    else:
        to_json(work, item)
    work.spend(times + (before - work.left) * times)


COMPARISONS: dict[str, Operator] = {
    "eq": equal,
    "ne": not_equal,
    "lt": _ordered("<", operator.lt),
    "lteq": _ordered("<=", operator.le),
    "gt": _ordered(">", operator.gt),
    "gteq": _ordered(">=", operator.ge),
    "in": contains,
    "notin": lambda work, left, right: not contains(work, left, right),
}


# -- "%.2f" % x


def percent(work: WorkBudget, template: str, values: Any) -> str:
    """Format printf-style: the conversions d i x X o f F e E g G s %. A list has the arguments in order."""
    work.chars(len(template))
    rest = iter(() if isinstance(values, Mapping) else values)
    parts: list[str] = []
    size = done = 0
    for match in _DIRECTIVE.finditer(template):
        part = template[done : match.start()] + _directive(work, match, values, rest)
        done = match.end()
        size += len(part)
        check_text_size(size)
        parts.append(part)
    check_text_size(size + len(template) - done)
    if next(rest, work) is not work:
        raise ExpressionError("the format has fewer directives than values")
    return "".join(parts) + template[done:]


def _directive(work: WorkBudget, match: re.Match[str], values: Any, rest: Iterator[Any]) -> str:
    work.spend(1)
    key, flags, width, precision, conversion = match.group("key", "flags", "width", "precision", "type")
    if conversion == "%":
        return "%"
    if conversion not in tuple("dixXofFeEgGs"):
        raise ExpressionError(f"the format directive {match.group()!r} must be one of: d i x X o f F e E g G s %")
    if int(width or 0) > _MAX_WIDTH or int(precision or 0) > _MAX_PRECISION:
        limits = f"width up to {_MAX_WIDTH}, precision up to {_MAX_PRECISION}"
        raise ExpressionError(f"the format directive {match.group()!r} is too large: {limits}")
    if key is not None:
        value = read_member(values, key, "the object of values")
    elif (value := next(rest, work)) is work:
        raise ExpressionError("the format has more directives than values")
    spec = f"%{flags}{width}" + ("" if precision is None else f".{precision}") + conversion
    if conversion == "s":
        return spec % to_text(work, value)
    return str(spec % need_number(value, f"the value for {spec}"))
