"""JSON Schemas: whether something is one, and what one finds wrong with data. Every schema that people write goes here.

The Rust engine is used because Python's `re` can take hours over a pattern such as `^(a+)+$`, which any caller of a
webhook could provoke. In exchange, patterns have no look-around and no back-references. Nothing is ever fetched.

While the engine works, no other thread of the process does anything. So it is used here only where it is known to take
little (`costs.py`), as with most schemas; else in a process of its own, with a bound on its time and memory.
"""

from __future__ import annotations

import functools
import itertools
import math
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import orjson

from errors import NodeError
from parsers.formats import FORMATS
from parsers.process import Unreadable, read_apart

from .costs import DEEPEST, PATTERNS, Costs, Work, costs_of, pattern_options

MAX_ISSUES, MAX_ISSUE_TEXT = 50, 300
MAX_LOOKED_AT = 30_000  # of a message, for secrets: more than the longest has, so that none is half in what is shown
MOST_HERE = 100_000_000  # nanoseconds
# Apart: processor time, with more for each byte that is read, and how much longer it may take by the clock.
SECONDS, SECONDS_A_BYTE, PATIENCE = 0.4, 0.4e-6, 5.0
# What would take longer than this many nanoseconds, if all were wrong, is not tried to be told whole.
MOST_TOLD = 100_000_000_000
MOST_KEPT = 128 * 2**20  # bytes, about
JSON_ONLY = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS


class _Known(NamedTuple):
    """A schema; where it may be used here, what it can cost and the engine's validator. `sizes` are bytes of any data
    of which it is checked, and told all that is wrong with it, within MOST_HERE.
    """

    text: bytes
    costs: Costs | None = None
    validator: Any = None
    sizes: tuple[int, int] = (0, 0)


def check(schema: Mapping[str, Any]) -> None:
    """ValueError where this is no JSON Schema (draft 2020-12 unless it names another), or none that can be used."""
    known = _known(schema)
    problem = "" if known.costs is not None else _problem_apart(known.text)
    if problem:
        raise ValueError(f"is not a JSON Schema: {problem}")


# For how much a schema counts that is not looked at in this process; a pattern of as many bytes takes it some 10 ms.
APART = 5 * PATTERNS[-1]


def weight_of(schema: Mapping[str, Any]) -> int:
    """What it took to check this schema, as the bytes to which patterns are compiled: what takes long is these."""
    try:
        known = _known(schema)
    except ValueError:
        return APART
    return APART if known.costs is None else known.costs.compiled


def issues_of(schema: Mapping[str, Any], data: Any, clean: Callable[[str], str] = str) -> list[dict[str, str]]:
    """What the schema finds wrong with the data, as `{"path", "message"}`, MAX_ISSUES at most.

    Of much data only the first issue may be told. NodeError where it cannot be found out: the schema is none, the data
    is no JSON, or it would take too much. `clean` takes secrets out of a message.
    """
    try:
        known = _known(schema)
        text = orjson.dumps(data, option=JSON_ONLY)
        if len(text) <= known.sizes[1]:
            return _issues(known.validator.iter_errors(data), clean)
        small = len(text) <= known.sizes[0]
        if small and known.validator.is_valid(data):
            return []
        work = _work(known.costs, text, data)
        if work.tell <= MOST_HERE:
            return _issues(known.validator.iter_errors(data), clean)
        if not small and work.check <= MOST_HERE and known.validator.is_valid(data):
            return []
    except (ValueError, TypeError) as error:
        raise NodeError(f"the data cannot be checked: {error}", permanent=True) from None
    return _issues_apart(known.text, text, work.tell <= MOST_TOLD, clean)


def path_of(parts: Iterable[str | int]) -> str:
    """`["orders", 0, "id"]` as `orders[0].id`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).lstrip(".")


def _issues(errors: Iterable[Any], clean: Callable[[str], str]) -> list[dict[str, str]]:
    return [_issue(error.instance_path, error.message, clean) for error in itertools.islice(errors, MAX_ISSUES)]


def _issue(path: Iterable[str | int], message: str, clean: Callable[[str], str]) -> dict[str, str]:
    return {"path": path_of(path), "message": _short(clean(message[:MAX_LOOKED_AT]))}


def _short(message: str) -> str:
    return message if len(message) <= MAX_ISSUE_TEXT else message[: MAX_ISSUE_TEXT - 1] + "…"


def _located(path: Iterable[str | int], message: str) -> str:
    where = path_of(path)
    return f"{where + ': ' if where else ''}{_short(message)}"


# What is done here


class _Kept:
    """What was learnt of schemas last, as long as it takes no more than MOST_KEPT together."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[bytes, _Known] = {}
        self._size = 0

    def get(self, text: bytes) -> _Known | None:
        return self._known.get(text)

    def put(self, known: _Known) -> None:
        with self._lock:
            if known.text not in self._known:
                self._known[known.text] = known
                self._size += _size(known)
            while self._size > MOST_KEPT:
                self._size -= _size(self._known.pop(next(iter(self._known))))


def _size(known: _Known) -> int:
    return 500 + len(known.text) + (0 if known.costs is None else known.costs.memory)


_kept = _Kept()


def _known(schema: Mapping[str, Any]) -> _Known:
    text = _text(schema)
    known = _kept.get(text)
    if known is None:
        known = _learnt(text)
        _kept.put(known)
    return known


def _text(schema: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(schema, option=orjson.OPT_SORT_KEYS)
    except TypeError as error:
        raise ValueError(f"is not a JSON Schema: {error}") from None


def _learnt(text: bytes) -> _Known:
    """What there is to know of a schema; ValueError."""
    import jsonschema_rs

    try:
        schema = orjson.loads(text)
        costs = costs_of(schema, len(text))
        if costs is None:
            return _Known(text)
        return _Known(text, costs, jsonschema_rs.validator_for(schema, **_options()), _sizes(costs))
    except jsonschema_rs.ValidationError as error:
        raise ValueError(f"is not a JSON Schema: {_located(error.instance_path, error.message)}") from None
    except ValueError as error:
        raise ValueError(f"is not a JSON Schema: {error}") from None


def _options() -> dict[str, Any]:
    def refuse(uri: str) -> Any:
        raise ValueError(f"{uri} is elsewhere, and schemas are not fetched")

    return {
        "retriever": refuse,
        "pattern_options": pattern_options(),
        "validate_formats": True,
        "formats": FORMATS,
    }


def _sizes(costs: Costs) -> tuple[int, int]:
    def size(kind: int) -> int:
        bits = range(1, 31)
        # The most values that may be in so many bytes are a list of digits.
        return max(
            (2**bit for bit in bits if costs.of(2 ** (bit - 1) + 1, 2**bit, DEEPEST)[kind] <= MOST_HERE), default=0
        )

    return size(0), size(1)


def _work(costs: Costs | None, text: bytes, data: Any) -> Work:
    """What it takes to check this data, counted quickly: commas and brackets in texts are counted too."""
    if costs is None:
        return Work(math.inf, math.inf)
    opened = text.count(b"[") + text.count(b"{")
    values, depth = 1 + opened + text.count(b","), min(opened, DEEPEST)
    if costs.deep:
        depth = _depth(data)
    return costs.of(values, len(text), depth)


def _depth(data: Any) -> int:
    """How many levels are below the topmost."""
    deepest, todo = 0, [(data, 0)]
    while todo:
        part, depth = todo.pop()
        deepest = max(deepest, depth)
        inner = part.values() if isinstance(part, dict) else part if isinstance(part, list | tuple) else ()
        todo += [(one, depth + 1) for one in inner]
    return deepest


# What is done apart


@functools.lru_cache(maxsize=16)
def _problem_apart(schema: bytes) -> str:
    """Why this is no schema; empty where it is one."""
    try:
        found = _found_apart(schema, b"", whole=False)
    except NodeError as error:
        raise ValueError(f"cannot be used as a JSON Schema: {_why(error)}") from None
    return _located(found["path"], found["problem"]) if "problem" in found else ""


def _issues_apart(schema: bytes, data: bytes, whole: bool, clean: Callable[[str], str]) -> list[dict[str, str]]:
    try:
        found = _found_apart(schema, data, whole)
    except NodeError as error:
        raise NodeError(f"the data cannot be checked by this schema: {_why(error)}", error.permanent) from None
    if "problem" in found:
        raise NodeError(f"the data cannot be checked: is not a JSON Schema: {clean(found['problem'])}", permanent=True)
    return [_issue(issue["path"], issue["message"], clean) for issue in found["issues"]]


def _why(error: NodeError) -> str:
    return error.message.removeprefix("the schema cannot be read: ")


def _found_apart(schema: bytes, data: bytes, whole: bool) -> dict[str, Any]:
    """What `parsers/json_schema.py` finds; where telling all is too much, the first issue. NodeError."""
    seconds = SECONDS + SECONDS_A_BYTE * (len(schema) + len(data))
    options = {"schema": orjson.Fragment(schema), "seconds": seconds, "whole": whole}
    try:
        return read_apart("json_schema", options, data, PATIENCE + seconds)
    except Unreadable:
        if not whole:
            raise
    return read_apart("json_schema", {**options, "whole": False}, data, PATIENCE + seconds)
