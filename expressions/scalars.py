"""Filters, functions and methods that make numbers, datetimes and durations."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from errors import ExpressionError

from .values import Work, fits_items, need_int, need_number, need_text, number

_ABSENT = object()
_STRFTIME = re.compile(r"(?:[^%]|%-?[aAbBcdDeFgGHIjklmMnpPrRsStTuUVwWxXyYzZf%])*")
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]{0,30}(?:/[A-Za-z0-9_+-]{1,30}){0,2}")


def to_int(work: Work, value: Any, default: Any = _ABSENT, base: Any = 10) -> Any:
    try:
        if isinstance(value, str):
            if len(value) > 1_000:
                raise ValueError
            if base != 10:
                return number(int(value, need_int(base, "the base")))
            return number(int(value) if "." not in value and "e" not in value.lower() else int(float(value)))
        return number(int(need_number(value)))
    except (ValueError, OverflowError):
        return or_default(default, "it is not a whole number")
    except ExpressionError as error:
        return or_default(default, str(error))


def to_float(work: Work, value: Any, default: Any = _ABSENT) -> Any:
    try:
        if isinstance(value, str):
            if len(value) > 1_000:
                raise ValueError
            return number(float(value))
        return number(float(need_number(value)))
    except (ValueError, OverflowError):
        return or_default(default, "it is not a number")
    except ExpressionError as error:
        return or_default(default, str(error))


def or_default(default: Any, message: str) -> Any:
    if default is _ABSENT:
        raise ExpressionError(message)
    return default


def rounded(work: Work, value: Any, precision: Any = 0, method: Any = "common") -> Any:
    digits = need_int(precision, "the precision")
    if abs(digits) > 20:
        raise ExpressionError("the precision is at most 20")
    if method == "common":
        return number(round(need_number(value), digits))
    if method not in ("floor", "ceil"):
        raise ExpressionError("the method is common, floor or ceil")
    scale = 10.0**digits
    scaled = need_number(value) * scale
    return number((scaled // 1 if method == "floor" else -(-scaled // 1)) / scale)


def absolute(work: Work, value: Any) -> Any:
    return abs(need_number(value))


def counted(work: Work, start: Any, stop: Any = None, step: Any = 1) -> list[int]:
    first, last = (0, start) if stop is None else (start, stop)
    if need_int(step, "the step") == 0:
        raise ExpressionError("the step must not be 0")
    gap = (need_int(last, "the end") - need_int(first, "the start")) // step
    fits_items(gap)
    numbers = range(first, last, step)
    work.spend(len(numbers))
    return list(numbers)


def to_datetime(work: Work, value: Any) -> datetime:
    """From ISO 8601 text or from seconds since 1970; without a zone it is UTC."""
    if isinstance(value, datetime):
        return value
    if isinstance(value, int | float):
        return datetime.fromtimestamp(number(value), UTC)
    if len(need_text(value)) > 100:
        raise ExpressionError("it is not an ISO 8601 date and time")
    try:
        parsed = datetime.fromisoformat(value.strip())
    except ValueError:
        raise ExpressionError("it is not an ISO 8601 date and time") from None
    return aware(parsed)


def aware(value: datetime) -> datetime:
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def to_timedelta(
    work: Work, *, weeks: Any = 0, days: Any = 0, hours: Any = 0, minutes: Any = 0, seconds: Any = 0
) -> timedelta:
    given = {"weeks": weeks, "days": days, "hours": hours, "minutes": minutes, "seconds": seconds}
    return timedelta(**{name: need_number(value, name) for name, value in given.items()})


def strftime(work: Work, value: datetime, format: Any) -> str:
    if len(need_text(format, "the format")) > 200 or not _STRFTIME.fullmatch(format):
        raise ExpressionError("the format has a directive that is not offered, or is longer than 200 characters")
    return str(value.strftime(format))


def astimezone(work: Work, value: datetime, zone: Any) -> datetime:
    try:
        if not _ZONE.fullmatch(need_text(zone, "the zone")):
            raise ValueError
        return aware(value).astimezone(ZoneInfo(zone))
    except (LookupError, ValueError, OSError):
        raise ExpressionError("there is no time zone of that name") from None
