"""Filters, and methods of text, that read or make text. Each pays before it does the work."""

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
from .operators import percent
from .values import MAX_ITEMS, Work, fits_items, fits_text, json_text, need_int, need_items, need_text, plain, text

Function = Callable[..., Any]

_TAG = re.compile(r"<[^<>]*>")


def read(work: Work, value: Any) -> str:
    """The text to work on; other values are written as they would be in a text."""
    result = text(work, value)
    work.chars(len(result))
    return result


def made(work: Work, value: str) -> str:
    fits_text(len(value))
    return value


def change(change: Callable[[str], str]) -> Function:
    return lambda work, value: made(work, change(read(work, value)))


def question(ask: Callable[[str], bool]) -> Function:
    return lambda work, value: ask(read(work, value))


def stripper(strip: Callable[[str, str | None], str]) -> Function:
    def stripped(work: Work, value: Any, chars: Any = None) -> str:
        if chars is not None and len(need_text(chars, "the characters")) > 100:
            raise ExpressionError("at most 100 characters to strip")
        return strip(read(work, value), chars)

    return stripped


def affix_test(act: Callable[[str, str], Any]) -> Function:
    return lambda work, value, affix: act(read(work, value), need_text(affix, "the affix"))


def padder(pad: Callable[[str, int, str], str]) -> Function:
    def padded(work: Work, value: Any, width: Any = 80, fill: Any = " ") -> str:
        fits_text(need_int(width, "the width"))
        work.chars(width)
        return pad(read(work, value), width, need_text(fill, "the fill"))

    return padded


def zfill(work: Work, value: str, width: Any) -> str:
    fits_text(need_int(width, "the width"))
    work.chars(width)
    return read(work, value).zfill(width)


def splitter(cut_up: Callable[[str, str | None, int], list[str]], backwards: bool = False) -> Function:
    def split(work: Work, value: Any, separator: Any = None, maximum: Any = -1) -> list[str]:
        whole = read(work, value)
        if separator is not None:
            need_text(separator, "the separator")
        if backwards and separator:
            work.chars(len(whole) * len(separator))  # Python searches backwards in quadratic time
        most = need_int(maximum, "the maximum")
        parts = cut_up(whole, separator, min(most, MAX_ITEMS) if most >= 0 else MAX_ITEMS)
        fits_items(len(parts))
        work.spend(len(parts))
        return parts

    return split


def splitlines(work: Work, value: Any) -> list[str]:
    lines = read(work, value).splitlines()
    fits_items(len(lines))
    work.spend(len(lines))
    return lines


def replace(work: Work, value: Any, old: Any, new: Any, count: Any = -1) -> str:
    whole = read(work, value)
    found = whole.count(need_text(old, "what is replaced"))
    most = -1 if count is None else need_int(count, "the count")
    times = found if most < 0 else min(found, most)
    size = len(whole) + times * (len(need_text(new, "the replacement")) - len(old))
    fits_text(size)
    work.chars(size)
    return whole.replace(old, new, times)


def searcher(search: Callable[[str, str], int], backwards: bool = False) -> Function:
    def searched(work: Work, value: Any, part: Any) -> int:
        whole = text(work, value)
        work.scan(len(whole))
        if backwards:
            work.chars(len(whole) * len(need_text(part, "what is looked for")))
        return search(whole, need_text(part, "what is looked for"))

    return searched


def join(work: Work, value: Any, separator: Any = "", attribute: Any = None) -> str:
    between = need_text(separator, "the separator")
    parts: list[str] = []
    size = 0
    for item in lists.each(work, value, attribute):
        part = text(work, item)
        size += len(part) + len(between)
        fits_text(size - len(between))
        parts.append(part)
    work.chars(size)
    return between.join(parts)


def formatted(work: Work, value: Any, /, *values: Any, **named: Any) -> str:
    if values and named:
        raise ExpressionError("it takes values in order or by name, not both")
    return percent(work, need_text(value), named or list(values))


def indent(work: Work, value: Any, width: Any = 4, first: Any = False, blank: Any = False) -> str:
    whole = read(work, value)
    if not isinstance(width, str) and not 0 <= need_int(width, "the width") <= 1_000:
        raise ExpressionError("the width is at most 1,000")
    margin = width if isinstance(width, str) else " " * width
    lines = whole.count("\n") + 1
    size = len(whole) + len(margin) * lines
    fits_text(size)
    work.spend(lines)
    work.chars(size)
    head, *tail = whole.split("\n")
    indented = [margin + line if blank or line.strip() else line for line in tail]
    return "\n".join([margin + head if first else head, *indented])


def truncate(work: Work, value: Any, length: Any = 255, killwords: Any = False, end: Any = "…", leeway: Any = 0) -> str:
    whole = read(work, value)
    most = need_int(length, "the length")
    keep = most - len(need_text(end, "the end"))
    if keep < 0:
        raise ExpressionError("the length is shorter than the end")
    if len(whole) <= most + need_int(leeway, "the leeway"):
        return whole
    return (whole[:keep] if killwords else whole[:keep].rsplit(" ", 1)[0]) + str(end)


def wordcount(work: Work, value: Any) -> int:
    return len(read(work, value).split())


def url_encoded(work: Work, value: Any) -> str:
    if isinstance(value, Mapping | list):
        pairs = list(value.items()) if isinstance(value, Mapping) else need_items(work, value)
        written = [(text(work, key), text(work, item)) for key, item in pairs]
        work.spend(sum(len(key) + len(item) for key, item in written))
        return made(work, urlencode(written))
    whole = text(work, value)
    work.spend(len(whole))
    return made(work, quote(whole))


def striptags(work: Work, value: Any) -> str:
    return " ".join(html.unescape(_TAG.sub("", read(work, value))).split())


def b64encode(work: Work, value: Any) -> str:
    return made(work, base64.b64encode(read(work, value).encode()).decode())


def b64decode(work: Work, value: Any) -> str:
    return base64.b64decode(read(work, need_text(value)), validate=True).decode()


def fromjson(work: Work, value: Any) -> Any:
    return plain(work, orjson.loads(read(work, need_text(value))))


def tojson(work: Work, value: Any, indent: Any = None) -> str:
    return json_text(work, value, bool(indent))
