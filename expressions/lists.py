"""Lists and objects in expressions: filters and methods that iterate or create them, spending work beforehand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from errors import ExpressionError

from .operators import Function, add, pay_for_search
from .values import Missing, WorkBudget, check_count, get_kind, json_text, need_int, need_items, need_text, read_member

ABSENT: Any = object()


def pluck(work: WorkBudget, value: Any, attribute: Any, default: Any = ABSENT) -> list[Any]:
    """Return the items, or one attribute of each: a key, an index, or a path of them joined by dots."""
    items = need_items(work, value)
    if attribute is None:
        return items
    path = _path(attribute)
    work.spend(len(items) * len(path))
    return [_follow(item, path, default) for item in items]


def _path(attribute: Any) -> list[str | int]:
    if isinstance(attribute, int):
        return [need_int(attribute, "the attribute")]
    parts = need_text(attribute, "the attribute").split(".")
    return [int(part) if part.isdecimal() and len(part) < 9 else part for part in parts]


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
