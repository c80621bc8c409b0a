"""Library of expressions: the closed tables FILTERS, TESTS, FUNCTIONS and METHODS.

Each function takes the `WorkBudget`, the value, and the arguments of the expression. Nothing else can be called. To
add one, write a function, a row in its table and a row in docs/expressions.md (a test compares them).
"""

from __future__ import annotations

import base64
import html
import inspect
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

import orjson

from errors import ExpressionError

from .values import (
    COMPARISONS,
    MAX_ITEMS,
    Function,
    Missing,
    WorkBudget,
    add,
    check_count,
    check_number,
    check_text_size,
    contains,
    get_kind,
    json_text,
    need_int,
    need_items,
    need_number,
    need_text,
    pay_for_search,
    percent,
    read_member,
    slice_value,
    to_json,
    to_text,
)

# Scalars in expressions: filters, functions and methods that return numbers, datetimes and durations.

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


# Lists and objects in expressions: filters and methods that iterate or create them, spending work beforehand.

ABSENT: Any = object()


def pluck(work: WorkBudget, value: Any, attribute: Any, default: Any = ABSENT) -> list[Any]:
    """Return the items, or one attribute of each: a key, an index, or a path of them joined by dots."""
    items = need_items(work, value)
    if attribute is None:
        return items
    path: list[str | int]
    if isinstance(attribute, int):
        path = [need_int(attribute, "the attribute")]
    else:
        parts = need_text(attribute, "the attribute").split(".")
        path = [int(part) if part.isdecimal() and len(part) < 9 else part for part in parts]
    work.spend(len(items) * len(path))
    return [_follow(item, path, default) for item in items]


def _follow(item: Any, path: list[str | int], default: Any = ABSENT) -> Any:
    try:
        for key in path:
            named = str(key) if isinstance(item, Mapping) else key
            item = read_member(item, named, "an item")
    except Missing:
        if default is ABSENT:
            raise
        return default
    return item


def _sort_keys(work: WorkBudget, values: list[Any], case_sensitive: Any = False) -> list[Any]:
    """Return the keys to sort or compare by. The values must be all numbers, text, datetimes or durations."""
    kinds = {"number" if isinstance(value, bool) else get_kind(value) for value in values}
    if len(kinds) > 1:
        raise ExpressionError(f"cannot compare {' and '.join(sorted(kinds))}")
    if not kinds <= {"number", "text", "datetime", "duration"}:
        raise ExpressionError(f"cannot sort values of type {kinds.pop()}")
    if kinds == {"text"}:
        work.chars(sum(map(len, values)))
        if not case_sensitive:
            return [value.lower() for value in values]
    return values


def _in_order(work: WorkBudget, items: list[Any], keys: list[Any], reverse: Any) -> list[Any]:
    rounds = len(items).bit_length()
    work.spend((len(items) * rounds) >> 3)
    if keys and isinstance(keys[0], str):
        work.scan(sum(map(len, keys)) * rounds)
    order = sorted(range(len(items)), key=keys.__getitem__, reverse=bool(reverse))
    return [items[index] for index in order]


def sort(
    work: WorkBudget, value: Any, reverse: Any = False, case_sensitive: Any = False, attribute: Any = None
) -> list[Any]:
    keys = _sort_keys(work, pluck(work, value, attribute), case_sensitive)
    return _in_order(work, need_items(work, value), keys, reverse)


def dictsort(
    work: WorkBudget, value: Any, case_sensitive: Any = False, by: Any = "key", reverse: Any = False
) -> list[Any]:
    if by not in ("key", "value"):
        raise ExpressionError('by must be "key" or "value"')
    found = to_pairs(work, value)
    keys = _sort_keys(work, [pair[by == "value"] for pair in found], case_sensitive)
    return _in_order(work, found, keys, reverse)


def extreme(choose: Callable[..., int]) -> Function:
    def extreme(work: WorkBudget, value: Any, case_sensitive: Any = False, attribute: Any = None) -> Any:
        items = need_items(work, value)
        if not items:
            raise Missing(lambda: "an empty list has no minimum or maximum")
        keys = _sort_keys(work, pluck(work, value, attribute), case_sensitive)
        return items[choose(range(len(items)), key=keys.__getitem__)]

    return extreme


def total(work: WorkBudget, value: Any, attribute: Any = None, start: Any = 0) -> Any:
    total = start
    for item in pluck(work, value, attribute):
        total = add(work, total, item)
    return total


def _identity(work: WorkBudget, value: Any, case_sensitive: Any) -> Any:
    """Return a hashable value, equal for equal values."""
    if isinstance(value, str):
        return value if case_sensitive else value.lower()
    if isinstance(value, list | tuple | Mapping):
        work.spend(1)
        return (json_text(work, value),)
    return value


def unique(work: WorkBudget, value: Any, case_sensitive: Any = False, attribute: Any = None) -> list[Any]:
    kept: dict[Any, Any] = {}
    for item, by in zip(need_items(work, value), pluck(work, value, attribute), strict=True):
        work.scan(len(by) if isinstance(by, str) else 0)
        kept.setdefault(_identity(work, by, case_sensitive), item)
    return list(kept.values())


def groupby(
    work: WorkBudget, value: Any, attribute: Any, default: Any = ABSENT, case_sensitive: Any = False
) -> list[Any]:
    """Return `[{"grouper": …, "list": […]}]`, sorted by the grouper."""
    values = pluck(work, value, attribute, default)
    groups: dict[Any, dict[str, Any]] = {}
    for item, by in zip(need_items(work, value), values, strict=True):
        group = groups.setdefault(_identity(work, by, case_sensitive), {"grouper": by, "list": []})
        group["list"].append(item)
    found = list(groups.values())
    return _in_order(work, found, _sort_keys(work, [group["grouper"] for group in found], case_sensitive), False)


def batch(work: WorkBudget, value: Any, linecount: Any, fill_with: Any = None) -> list[Any]:
    size = need_int(linecount, "the batch size")
    if size < 1:
        raise ExpressionError("the batch size must be at least 1")
    items = need_items(work, value)
    rows = [items[start : start + size] for start in range(0, len(items), size)]
    if rows and fill_with is not None:
        lacking = size - len(rows[-1])
        check_count(lacking)
        work.spend(lacking)
        rows[-1] = rows[-1] + [fill_with] * lacking
    return rows


def end_item(index: int) -> Function:
    def end(work: WorkBudget, value: Any) -> Any:
        if not isinstance(value, list | tuple | str | Mapping):
            raise ExpressionError(f"the value must be a list, not {get_kind(value)}")
        if not value:
            raise Missing(lambda: f"an empty {get_kind(value)} has no {'last' if index else 'first'} item")
        return need_items(work, value)[index] if isinstance(value, Mapping) else value[index]

    return end


def length(work: WorkBudget, value: Any) -> int:
    if not isinstance(value, list | tuple | str | Mapping):
        raise ExpressionError(f"the value must be text, a list or an object, not {get_kind(value)}")
    return len(value)


def _object(work: WorkBudget, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ExpressionError(f"the value must be an object, not {get_kind(value)}")
    work.spend(len(value))
    check_count(len(value))
    return value


def to_pairs(work: WorkBudget, value: Any) -> list[Any]:
    return [[key, item] for key, item in _object(work, value).items()]


def get(work: WorkBudget, value: Mapping[str, Any], key: Any, default: Any = None) -> Any:
    return value.get(need_text(key, "the key"), default)


def index(work: WorkBudget, value: list[Any], item: Any) -> int:
    pay_for_search(work, item, len(value))
    if item not in value:
        raise ExpressionError("the item is not in the list")
    return value.index(item)


def count(work: WorkBudget, value: list[Any], item: Any) -> int:
    pay_for_search(work, item, len(value))
    return value.count(item)


def of_several(extreme: Function) -> Function:
    return lambda work, *values: extreme(work, values[0] if len(values) == 1 else list(values), True)


def values(work: WorkBudget, value: Any) -> list[Any]:
    return list(_object(work, value).values())


# Text in expressions: filters and methods that read or return text, each spending work beforehand.

_TAG = re.compile(r"<[^<>]*>")


def read_text(work: WorkBudget, value: Any) -> str:
    """Return the value as text, spending work for its length."""
    result = to_text(work, value)
    work.chars(len(result))
    return result


def check_text(work: WorkBudget, value: str) -> str:
    check_text_size(len(value))
    return value


def change(change: Callable[[str], str]) -> Function:
    return lambda work, value: check_text(work, change(read_text(work, value)))


def question(ask: Callable[[str], bool]) -> Function:
    return lambda work, value: ask(read_text(work, value))


def stripper(strip: Callable[[str, str | None], str]) -> Function:
    def stripped(work: WorkBudget, value: Any, chars: Any = None) -> str:
        if chars is not None and len(need_text(chars, "the characters")) > 100:
            raise ExpressionError("strip accepts at most 100 characters")
        return strip(read_text(work, value), chars)

    return stripped


def affix_test(act: Callable[[str, str], Any]) -> Function:
    return lambda work, value, affix: act(read_text(work, value), need_text(affix, "the affix"))


def padder(pad: Callable[[str, int, str], str]) -> Function:
    def padded(work: WorkBudget, value: Any, width: Any = 80, fill: Any = " ") -> str:
        check_text_size(need_int(width, "the width"))
        work.chars(width)
        return pad(read_text(work, value), width, need_text(fill, "the fill"))

    return padded


def zfill(work: WorkBudget, value: str, width: Any) -> str:
    check_text_size(need_int(width, "the width"))
    work.chars(width)
    return read_text(work, value).zfill(width)


def splitter(cut_up: Callable[[str, str | None, int], list[str]], backwards: bool = False) -> Function:
    def split(work: WorkBudget, value: Any, separator: Any = None, maximum: Any = -1) -> list[str]:
        whole = read_text(work, value)
        if separator is not None:
            need_text(separator, "the separator")
        if backwards and separator:
            work.chars(len(whole) * len(separator))  # Python searches backwards in quadratic time
        most = need_int(maximum, "the maximum")
        parts = cut_up(whole, separator, min(most, MAX_ITEMS) if most >= 0 else MAX_ITEMS)
        check_count(len(parts))
        work.spend(len(parts))
        return parts

    return split


def splitlines(work: WorkBudget, value: Any) -> list[str]:
    lines = read_text(work, value).splitlines()
    check_count(len(lines))
    work.spend(len(lines))
    return lines


def replace(work: WorkBudget, value: Any, old: Any, new: Any, count: Any = -1) -> str:
    whole = read_text(work, value)
    found = whole.count(need_text(old, "the text to replace"))
    most = -1 if count is None else need_int(count, "the count")
    times = found if most < 0 else min(found, most)
    size = len(whole) + times * (len(need_text(new, "the replacement")) - len(old))
    check_text_size(size)
    work.chars(size)
    return whole.replace(old, new, times)


def searcher(search: Callable[[str, str], int], backwards: bool = False) -> Function:
    def searched(work: WorkBudget, value: Any, part: Any) -> int:
        whole = to_text(work, value)
        work.scan(len(whole))
        if backwards:
            work.chars(len(whole) * len(need_text(part, "the text to search for")))
        return search(whole, need_text(part, "the text to search for"))

    return searched


def join(work: WorkBudget, value: Any, separator: Any = "", attribute: Any = None) -> str:
    between = need_text(separator, "the separator")
    parts: list[str] = []
    size = 0
    for item in pluck(work, value, attribute):
        part = to_text(work, item)
        size += len(part) + len(between)
        check_text_size(size - len(between))
        parts.append(part)
    work.chars(size)
    return between.join(parts)


def format_text(work: WorkBudget, value: Any, /, *values: Any, **named: Any) -> str:
    if values and named:
        raise ExpressionError("pass values in order or by name, not both")
    return percent(work, need_text(value), named or list(values))


def indent(work: WorkBudget, value: Any, width: Any = 4, first: Any = False, blank: Any = False) -> str:
    whole = read_text(work, value)
    if not isinstance(width, str) and not 0 <= need_int(width, "the width") <= 1_000:
        raise ExpressionError("the width must be between 0 and 1,000")
    margin = width if isinstance(width, str) else " " * width
    lines = whole.count("\n") + 1
    size = len(whole) + len(margin) * lines
    check_text_size(size)
    work.spend(lines)
    work.chars(size)
    head, *tail = whole.split("\n")
    indented = [margin + line if blank or line.strip() else line for line in tail]
    return "\n".join([margin + head if first else head, *indented])


def truncate(
    work: WorkBudget, value: Any, length: Any = 255, killwords: Any = False, end: Any = "…", leeway: Any = 0
) -> str:
    whole = read_text(work, value)
    most = need_int(length, "the length")
    keep = most - len(need_text(end, "the end"))
    if keep < 0:
        raise ExpressionError("the length must not be less than the length of end")
    if len(whole) <= most + need_int(leeway, "the leeway"):
        return whole
    return (whole[:keep] if killwords else whole[:keep].rsplit(" ", 1)[0]) + str(end)


def url_encode(work: WorkBudget, value: Any) -> str:
    if isinstance(value, Mapping | list):
        pairs = list(value.items()) if isinstance(value, Mapping) else need_items(work, value)
        written = [(to_text(work, key), to_text(work, item)) for key, item in pairs]
        work.spend(sum(len(key) + len(item) for key, item in written))
        return check_text(work, urlencode(written))
    whole = to_text(work, value)
    work.spend(len(whole))
    return check_text(work, quote(whole))


def striptags(work: WorkBudget, value: Any) -> str:
    return " ".join(html.unescape(_TAG.sub("", read_text(work, value))).split())


def b64encode(work: WorkBudget, value: Any) -> str:
    return check_text(work, base64.b64encode(read_text(work, value).encode()).decode())


def b64decode(work: WorkBudget, value: Any) -> str:
    return base64.b64decode(read_text(work, need_text(value)), validate=True).decode()


def fromjson(work: WorkBudget, value: Any) -> Any:
    return to_json(work, orjson.loads(read_text(work, need_text(value))))


_CALL = 4  # work units per call of a filter, which takes microseconds even on a small item


@lru_cache(maxsize=1_024)
def find_mismatch(function: Function, count: int, names: tuple[str, ...] = ()) -> str | None:
    """Return why `count` values (with the one before `|` or the dot) and named arguments do not fit, or None."""
    try:
        inspect.signature(function).bind(None, *[None] * count, **dict.fromkeys(names))
    except TypeError as error:
        return str(error)
    return None


# -- filters that apply another filter or a test


def _default(work: WorkBudget, value: Any, default_value: Any = "", boolean: Any = False) -> Any:
    """Return the default for an empty value, as in `map('default', 0, true)`; the compiler handles missing values."""
    return default_value if boolean and not value else value


def _map(work: WorkBudget, value: Any, *arguments: Any, attribute: Any = None, default: Any = ABSENT) -> list[Any]:
    if attribute is not None and not arguments:
        return pluck(work, value, attribute, default)
    if not arguments or attribute is not None or default is not ABSENT:
        raise ExpressionError("map needs attribute= (and optionally default=), or a filter name and its arguments")
    apply = _look_up(FILTERS, "filter", arguments[0], len(arguments))
    items = need_items(work, value)
    work.spend(len(items) * _CALL)
    return [apply(work, item, *arguments[1:]) for item in items]


def _look_up(table: Mapping[str, Function], what: str, name: Any, count: int) -> Function:
    """Return the filter or test to apply to each item with `count` arguments, including the item."""
    if not isinstance(name, str) or name not in table:
        raise ExpressionError(f"there is no {what} {name[:60]!r}" if isinstance(name, str) else f"pass a {what} name")
    if wrong := find_mismatch(table[name], count):
        raise ExpressionError(f"invalid call of {what} '{name}': {wrong}")
    return table[name]


def _find_test(test: Any, count: int) -> Function:
    return _look_up(TESTS, "test", test, count + 1) if test is not None else lambda work, value: bool(value)


def _select(keep: bool) -> Function:
    def chosen(work: WorkBudget, value: Any, test: Any = None, *arguments: Any) -> list[Any]:
        passes = _find_test(test, len(arguments))
        work.spend(len(need_items(work, value)))
        return [item for item in need_items(work, value) if bool(passes(work, item, *arguments)) is keep]

    return chosen


# Tests of an attribute that may be missing.
_PRESENCE: dict[str, Function] = {
    "defined": lambda work, value: value is not Missing,
    "undefined": lambda work, value: value is Missing,
}


def _select_by(keep: bool) -> Function:
    def chosen(work: WorkBudget, value: Any, attribute: Any, test: Any = None, *arguments: Any) -> list[Any]:
        passes = _find_test(test, len(arguments))
        passes = _PRESENCE.get(test, passes)
        values = pluck(work, value, attribute, Missing if test in _PRESENCE else ABSENT)
        items = need_items(work, value)
        return [item for item, by in zip(items, values, strict=True) if bool(passes(work, by, *arguments)) is keep]

    return chosen


# -- the tables


def _wrap_each(wrap: Callable[[Any], Function], *names: str) -> dict[str, Function]:
    """Return a function for each of these methods of `str`."""
    return {name: wrap(getattr(str, name)) for name in names}


FILTERS: dict[str, Function] = {
    **_wrap_each(change, "capitalize", "lower", "title", "upper"),
    "abs": lambda work, value: abs(need_number(value)),
    "b64decode": b64decode,
    "b64encode": b64encode,
    "batch": batch,
    "center": padder(str.center),
    "count": length,
    "d": _default,
    "default": _default,
    "dictsort": dictsort,
    "e": change(html.escape),
    "escape": change(html.escape),
    "first": end_item(0),
    "float": to_float,
    "format": format_text,
    "fromjson": fromjson,
    "groupby": groupby,
    "indent": indent,
    "int": to_int,
    "items": to_pairs,
    "join": join,
    "last": end_item(-1),
    "length": length,
    "list": need_items,
    "map": _map,
    "max": extreme(max),
    "min": extreme(min),
    "reject": _select(False),
    "rejectattr": _select_by(False),
    "replace": replace,
    "reverse": lambda work, value: slice_value(work, value, None, None, -1),
    "round": round_number,
    "select": _select(True),
    "selectattr": _select_by(True),
    "sort": sort,
    "split": splitter(str.split),
    "string": to_text,
    "striptags": striptags,
    "sum": total,
    "tojson": lambda work, value, indent=None: json_text(work, value, bool(indent)),
    "trim": stripper(str.strip),
    "truncate": truncate,
    "unique": unique,
    "urlencode": url_encode,
    "wordcount": lambda work, value: len(read_text(work, value).split()),
}

TESTS: dict[str, Function] = {
    "boolean": lambda work, value: isinstance(value, bool),
    "defined": lambda work, value: True,
    "divisibleby": lambda work, value, other: need_number(value) % need_number(other, "the divisor") == 0,
    "eq": COMPARISONS["eq"],
    "equalto": COMPARISONS["eq"],
    "even": lambda work, value: need_number(value) % 2 == 0,
    "false": lambda work, value: value is False,
    "float": lambda work, value: isinstance(value, float),
    "ge": COMPARISONS["gteq"],
    "gt": COMPARISONS["gt"],
    "in": contains,
    "integer": lambda work, value: isinstance(value, int) and not isinstance(value, bool),
    "iterable": lambda work, value: isinstance(value, str | list | tuple | Mapping),
    "le": COMPARISONS["lteq"],
    "lower": question(str.islower),
    "lt": COMPARISONS["lt"],
    "mapping": lambda work, value: isinstance(value, Mapping),
    "ne": COMPARISONS["ne"],
    "none": lambda work, value: value is None,
    "number": lambda work, value: isinstance(value, int | float) and not isinstance(value, bool),
    "odd": lambda work, value: need_number(value) % 2 == 1,
    "sequence": lambda work, value: isinstance(value, str | list | tuple | Mapping),
    "string": lambda work, value: isinstance(value, str),
    "true": lambda work, value: value is True,
    "undefined": lambda work, value: False,
    "upper": question(str.isupper),
}

FUNCTIONS: dict[str, Function] = {
    "datetime": to_datetime,
    "float": to_float,
    "int": to_int,
    "len": length,
    "max": of_several(extreme(max)),
    "min": of_several(extreme(min)),
    "range": make_range,
    "str": to_text,
    "timedelta": to_timedelta,
}

METHODS: dict[str, dict[str, Function]] = {
    "text": {
        **_wrap_each(change, "capitalize", "lower", "title", "upper"),
        **_wrap_each(question, "isalnum", "isalpha", "isdigit"),
        **_wrap_each(affix_test, "endswith", "removeprefix", "removesuffix", "startswith"),
        **_wrap_each(stripper, "lstrip", "rstrip", "strip"),
        **_wrap_each(padder, "center", "ljust", "rjust"),
        **_wrap_each(searcher, "count", "find"),
        "join": lambda work, value, items: join(work, items, value),
        "replace": replace,
        "rfind": searcher(str.rfind, backwards=True),
        "rsplit": splitter(str.rsplit, backwards=True),
        "split": splitter(str.split),
        "splitlines": splitlines,
        "zfill": zfill,
    },
    "list": {"count": count, "index": index},
    "object": {"get": get, "items": to_pairs, "keys": need_items, "values": values},
    "datetime": {
        "astimezone": astimezone,
        "date": lambda work, value: value.date().isoformat(),
        "isoformat": lambda work, value: value.isoformat(),
        "strftime": strftime,
        "timestamp": lambda work, value: make_aware(value).timestamp(),
        "weekday": lambda work, value: value.weekday(),
    },
    "duration": {"total_seconds": lambda work, value: value.total_seconds()},
}
