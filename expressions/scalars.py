"""Scalars in expressions: filters, functions and methods that return numbers, datetimes and durations."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from errors import ExpressionError

from .values import WorkBudget, check_count, check_number, need_int, need_number, need_text

_ABSENT = object()
_STRFTIME = re.compile(r"(?:[^%]|%-?[aAbBcdDeFgGHIjklmMnpPrRsStTuUVwWxXyYzZf%])*")
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]{0,30}(?:/[A-Za-z0-9_+-]{1,30}){0,2}")


def to_int(work: WorkBudget, value: Any, default: Any = _ABSENT, base: Any = 10) -> Any:
    try:
        if isinstance(value, str):
            if len(value) > 1_000:
                raise ValueError
            if base != 10:
                return check_number(int(value, need_int(base, "the base")))
            return check_number(int(value) if "." not in value and "e" not in value.lower() else int(float(value)))
        return check_number(int(need_number(value)))
    except (ValueError, OverflowError):
        return or_default(default, "the value is not a whole number")
    except ExpressionError as error:
        return or_default(default, str(error))


def to_float(work: WorkBudget, value: Any, default: Any = _ABSENT) -> Any:
    try:
        if isinstance(value, str):
            if len(value) > 1_000:
                raise ValueError
            return check_number(float(value))
        return check_number(float(need_number(value)))
    except (ValueError, OverflowError):
        return or_default(default, "the value is not a number")
    except ExpressionError as error:
        return or_default(default, str(error))


def or_default(default: Any, message: str) -> Any:
    if default is _ABSENT:
        raise ExpressionError(message)
    return default


def round_number(work: WorkBudget, value: Any, precision: Any = 0, method: Any = "common") -> Any:
    digits = need_int(precision, "the precision")
    if abs(digits) > 20:
        raise ExpressionError("the precision must be between -20 and 20")
    if method == "common":
        return check_number(round(need_number(value), digits))
    if method not in ("floor", "ceil"):
        raise ExpressionError("the method must be common, floor or ceil")
    scale = 10.0**digits
    scaled = need_number(value) * scale
    return check_number((scaled // 1 if method == "floor" else -(-scaled // 1)) / scale)


def make_range(work: WorkBudget, start: Any, stop: Any = None, step: Any = 1) -> list[int]:
    first, last = (0, start) if stop is None else (start, stop)
    if need_int(step, "the step") == 0:
        raise ExpressionError("the step must not be 0")
    gap = (need_int(last, "the end") - need_int(first, "the start")) // step
    check_count(gap)
    numbers = range(first, last, step)
    work.spend(len(numbers))
    return list(numbers)


def to_datetime(work: WorkBudget, value: Any) -> datetime:
    """Parse ISO 8601 text or seconds since 1970; without a time zone it is UTC."""
    if isinstance(value, datetime):
        return value
    if isinstance(value, int | float):
        return datetime.fromtimestamp(check_number(value), UTC)
    if len(need_text(value)) > 100:
        raise ExpressionError("the value is not an ISO 8601 date and time")
    try:
        parsed = datetime.fromisoformat(value.strip())
    except ValueError:
        raise ExpressionError("the value is not an ISO 8601 date and time") from None
    return make_aware(parsed)


def make_aware(value: datetime) -> datetime:
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def to_timedelta(
    work: WorkBudget, *, weeks: Any = 0, days: Any = 0, hours: Any = 0, minutes: Any = 0, seconds: Any = 0
) -> timedelta:
    given = {"weeks": weeks, "days": days, "hours": hours, "minutes": minutes, "seconds": seconds}
    return timedelta(**{name: need_number(value, name) for name, value in given.items()})


def strftime(work: WorkBudget, value: datetime, format: Any) -> str:
    if len(need_text(format, "the format")) > 200 or not _STRFTIME.fullmatch(format):
        raise ExpressionError("the format has an unsupported directive, or more than 200 characters")
    return str(value.strftime(format))


def astimezone(work: WorkBudget, value: datetime, zone: Any) -> datetime:
    try:
        if not _ZONE.fullmatch(need_text(zone, "the zone")):
            raise ValueError
        return make_aware(value).astimezone(ZoneInfo(zone))
    except (LookupError, ValueError, OSError):
        raise ExpressionError(f"there is no time zone {zone[:60]!r}") from None
