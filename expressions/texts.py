"""Text in expressions: filters and methods that read or return text, each spending work beforehand."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

import orjson

from errors import ExpressionError

from . import lists
from .operators import Function, percent
from .values import (
    MAX_ITEMS,
    WorkBudget,
    check_count,
    check_text_size,
    need_int,
    need_items,
    need_text,
    to_json,
    to_text,
)

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
    for item in lists.pluck(work, value, attribute):
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
