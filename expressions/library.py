"""Library of expressions: the closed tables FILTERS, TESTS, FUNCTIONS and METHODS.

Each function takes the `WorkBudget`, the value, and the arguments of the expression. Nothing else can be called. To
add one, write a function, a row in its table and a row in docs/expressions.md (a test compares them).
"""

from __future__ import annotations

import html
import inspect
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from errors import ExpressionError

from . import lists, scalars, texts
from .operators import COMPARISONS, Function, contains
from .values import Missing, WorkBudget, json_text, need_items, need_number, slice_value, to_text

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


def _map(
    work: WorkBudget, value: Any, *arguments: Any, attribute: Any = None, default: Any = lists.ABSENT
) -> list[Any]:
    if attribute is not None and not arguments:
        return lists.pluck(work, value, attribute, default)
    if not arguments or attribute is not None or default is not lists.ABSENT:
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
        values = lists.pluck(work, value, attribute, Missing if test in _PRESENCE else lists.ABSENT)
        items = need_items(work, value)
        return [item for item, by in zip(items, values, strict=True) if bool(passes(work, by, *arguments)) is keep]

    return chosen


# -- the tables


def _wrap_each(wrap: Callable[[Any], Function], *names: str) -> dict[str, Function]:
    """Return a function for each of these methods of `str`."""
    return {name: wrap(getattr(str, name)) for name in names}


FILTERS: dict[str, Function] = {
    **_wrap_each(texts.change, "capitalize", "lower", "title", "upper"),
    "abs": lambda work, value: abs(need_number(value)),
    "b64decode": texts.b64decode,
    "b64encode": texts.b64encode,
    "batch": lists.batch,
    "center": texts.padder(str.center),
    "count": lists.length,
    "d": _default,
    "default": _default,
    "dictsort": lists.dictsort,
    "e": texts.change(html.escape),
    "escape": texts.change(html.escape),
    "first": lists.end_item(0),
    "float": scalars.to_float,
    "format": texts.format_text,
    "fromjson": texts.fromjson,
    "groupby": lists.groupby,
    "indent": texts.indent,
    "int": scalars.to_int,
    "items": lists.to_pairs,
    "join": texts.join,
    "last": lists.end_item(-1),
    "length": lists.length,
    "list": need_items,
    "map": _map,
    "max": lists.extreme(max),
    "min": lists.extreme(min),
    "reject": _select(False),
    "rejectattr": _select_by(False),
    "replace": texts.replace,
    "reverse": lambda work, value: slice_value(work, value, None, None, -1),
    "round": scalars.round_number,
    "select": _select(True),
    "selectattr": _select_by(True),
    "sort": lists.sort,
    "split": texts.splitter(str.split),
    "string": to_text,
    "striptags": texts.striptags,
    "sum": lists.total,
    "tojson": lambda work, value, indent=None: json_text(work, value, bool(indent)),
    "trim": texts.stripper(str.strip),
    "truncate": texts.truncate,
    "unique": lists.unique,
    "urlencode": texts.url_encode,
    "wordcount": lambda work, value: len(texts.read_text(work, value).split()),
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
    "lower": texts.question(str.islower),
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
    "upper": texts.question(str.isupper),
}

FUNCTIONS: dict[str, Function] = {
    "datetime": scalars.to_datetime,
    "float": scalars.to_float,
    "int": scalars.to_int,
    "len": lists.length,
    "max": lists.of_several(lists.extreme(max)),
    "min": lists.of_several(lists.extreme(min)),
    "range": scalars.make_range,
    "str": to_text,
    "timedelta": scalars.to_timedelta,
}

METHODS: dict[str, dict[str, Function]] = {
    "text": {
        **_wrap_each(texts.change, "capitalize", "lower", "title", "upper"),
        **_wrap_each(texts.question, "isalnum", "isalpha", "isdigit"),
        **_wrap_each(texts.affix_test, "endswith", "removeprefix", "removesuffix", "startswith"),
        **_wrap_each(texts.stripper, "lstrip", "rstrip", "strip"),
        **_wrap_each(texts.padder, "center", "ljust", "rjust"),
        **_wrap_each(texts.searcher, "count", "find"),
        "join": lambda work, value, items: texts.join(work, items, value),
        "replace": texts.replace,
        "rfind": texts.searcher(str.rfind, backwards=True),
        "rsplit": texts.splitter(str.rsplit, backwards=True),
        "split": texts.splitter(str.split),
        "splitlines": texts.splitlines,
        "zfill": texts.zfill,
    },
    "list": {"count": lists.count, "index": lists.index},
    "object": {"get": lists.get, "items": lists.to_pairs, "keys": need_items, "values": lists.values},
    "datetime": {
        "astimezone": scalars.astimezone,
        "date": lambda work, value: value.date().isoformat(),
        "isoformat": lambda work, value: value.isoformat(),
        "strftime": scalars.strftime,
        "timestamp": lambda work, value: scalars.make_aware(value).timestamp(),
        "weekday": lambda work, value: value.weekday(),
    },
    "duration": {"total_seconds": lambda work, value: value.total_seconds()},
}
