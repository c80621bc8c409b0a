"""Operators of expressions: `+ - * / // % **`, comparisons and `in`, each limited before it does the work."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from errors import ExpressionError

from .values import (
    MAX_BITS,
    WorkBudget,
    check_count,
    check_number,
    check_text_size,
    get_kind,
    need_number,
    need_text,
    read_member,
    to_json,
    to_text,
)

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
        return _repeat(work, left, max(right, 0))
    raise _clash("*", left, right)


def _repeat(work: WorkBudget, value: str | list[Any], times: int) -> Any:
    size = len(value) * times
    if isinstance(value, str):
        check_text_size(size)
        work.chars(size)
    else:
        check_count(size)
        work.spend(size)
    return value * times if size else value[:0]


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
