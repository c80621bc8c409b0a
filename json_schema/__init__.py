"""JSON Schemas: whether something is one, and what one finds wrong with data. Every schema that people write goes here.

The Rust engine is used because Python's `re` can take hours over a pattern such as `^(a+)+$`, which any caller of a
webhook could provoke. In exchange, patterns have no look-around and no back-references. Nothing is ever fetched.

While the engine works, no other thread of the process does anything. So it is used here only for a schema whose size is
known (`size.py`) and for data of a length that takes it less than about a second, which is nearly always; else in a
process of its own, with a bound on its time and memory, which costs some 150 ms.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import orjson

from errors import NodeError
from parsers.formats import compile_schema
from parsers.process import Unreadable, read_apart

from .size import MAX_BYTES, PATTERN_SIZES, Size, Unbounded, expanded_parts, pattern_options, size_of

MAX_ISSUES, MAX_ISSUE_TEXT = 50, 300
MAX_LOOKED_AT = 30_000  # of a message, for secrets: more than the longest has, so that none is half in what is shown
# In this process: parts of the schema times values of the data, each a tenth of a microsecond; all complaints, of which
# there is one at most for each of these, and which copy what they are about, of less data.
MAX_WORK, MAX_COMPLAINTS, MAX_TOLD_VALUES, MAX_TOLD_BYTES = 5_000_000, 20_000, 500, 16 * 1024
# Apart: processor time, with more for each byte that is read, and how much longer it may take by the clock.
SECONDS, SECONDS_A_BYTE, PATIENCE = 0.4, 0.4e-6, 5.0
# Libraries that ask models replace references by what they lead to.
MAX_EXPANDED = 1_000_000
JSON_ONLY = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS
# For how much a schema counts that is checked apart; a pattern of as many bytes takes it some 10 ms.
APART = 5 * PATTERN_SIZES[-1]


class _Checker(NamedTuple):
    """A validator for this process, bytes of data that it may check, and how large its schema is."""

    validator: Any
    max_bytes: int
    size: Size


def check(schema: Mapping[str, Any]) -> None:
    """Check a schema, of draft 2020-12 unless it names another. Raises: ValueError if it is none, or takes too much."""
    text = _text(schema)
    if expanded_parts(schema, MAX_EXPANDED) > MAX_EXPANDED:
        raise ValueError(f"leads to more than {MAX_EXPANDED:,} parts through its references; refer to fewer of them")
    problem = "" if _checker(text) else _problem_apart(text)
    if problem:
        raise ValueError(f"is not a JSON Schema: {problem}")


def weight_of(schema: Mapping[str, Any]) -> int:
    """Return what it took to check this schema, as the bytes to which patterns are compiled: these take long."""
    try:
        checker = _checker(_text(schema))
    except ValueError:
        return APART
    return APART if checker is None else checker.size.compiled


def issues_of(schema: Mapping[str, Any], data: Any, clean: Callable[[str], str] = str) -> list[dict[str, str]]:
    """Return what the schema finds wrong with the data, as `{"path", "message"}`, MAX_ISSUES at most.

    Of much data only the first issue may be told. `clean` takes secrets out of a message.

    Raises: NodeError if the schema is none, the data is no JSON, or checking it would take too much.
    """
    try:
        schema_text = _text(schema)
        checker = _checker(schema_text)
        text = orjson.dumps(data, option=JSON_ONLY)
        if checker is not None and len(text) <= checker.max_bytes:
            if checker.validator.is_valid(data):
                return []
            values = 1 + text.count(b",") + text.count(b"[") + text.count(b"{")  # those in texts too
            if values <= min(MAX_COMPLAINTS // checker.size.parts, MAX_TOLD_VALUES) and len(text) <= MAX_TOLD_BYTES:
                errors = itertools.islice(checker.validator.iter_errors(data), MAX_ISSUES)
                return [_issue(error.instance_path, error.message, clean) for error in errors]
    except (ValueError, TypeError) as error:
        raise NodeError(f"the data cannot be checked: {error}", permanent=True) from None
    return _issues_apart(schema_text, text, clean)


def path_of(parts: Iterable[str | int]) -> str:
    """Return `["orders", 0, "id"]` as `orders[0].id`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).lstrip(".")


def _issue(path: Iterable[str | int], message: str, clean: Callable[[str], str]) -> dict[str, str]:
    return {"path": path_of(path), "message": _short(clean(message[:MAX_LOOKED_AT]))}


def _short(message: str) -> str:
    return message if len(message) <= MAX_ISSUE_TEXT else message[: MAX_ISSUE_TEXT - 1] + "…"


def _located(path: Iterable[str | int], message: str) -> str:
    where = path_of(path)
    return f"{where + ': ' if where else ''}{_short(message)}"


def _text(schema: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(schema, option=orjson.OPT_SORT_KEYS)
    except TypeError as error:
        raise ValueError(f"is not a JSON Schema: {error}") from None


# What is done here


@functools.lru_cache(maxsize=128)
def _checker(text: bytes) -> _Checker | None:
    """Return what checks data by this schema; None if only a process may. Raises: ValueError if it is no schema."""
    import jsonschema_rs

    if len(text) > MAX_BYTES:
        return None
    try:
        schema = orjson.loads(text)
        size = size_of(schema)
        validator = compile_schema(schema, pattern_options())
    except Unbounded:
        return None
    except jsonschema_rs.ValidationError as error:
        raise ValueError(f"is not a JSON Schema: {_located(error.instance_path, error.message)}") from None
    except ValueError as error:
        raise ValueError(f"is not a JSON Schema: {error}") from None
    # The most values that so many bytes may have are a list of digits: half as many.
    return _Checker(validator, MAX_WORK // (size.parts // 2 + size.reading + 1), size)


# What is done apart


@functools.lru_cache(maxsize=64)
def _problem_apart(schema: bytes) -> str:
    """Return why this is no schema; empty if it is one. Raises: ValueError if that takes too much."""
    try:
        found = _found_apart(schema, b"", whole=False)
    except NodeError as error:
        raise ValueError(f"cannot be used as a JSON Schema: {_why(error)}") from None
    return _located(found["path"], found["problem"]) if "problem" in found else ""


def _issues_apart(schema: bytes, data: bytes, clean: Callable[[str], str]) -> list[dict[str, str]]:
    try:
        try:
            found = _found_apart(schema, data, whole=True)
        except Unreadable:
            found = _found_apart(schema, data, whole=False)  # the first issue alone may be within the bounds
    except NodeError as error:
        raise NodeError(f"the data cannot be checked by this schema: {_why(error)}", error.permanent) from None
    if "problem" in found:
        raise NodeError(f"the data cannot be checked: is not a JSON Schema: {clean(found['problem'])}", permanent=True)
    return [_issue(issue["path"], issue["message"], clean) for issue in found["issues"]]


def _why(error: NodeError) -> str:
    return error.message.removeprefix("the schema cannot be read: ")


def _found_apart(schema: bytes, data: bytes, whole: bool) -> dict[str, Any]:
    """Return what `parsers/json_schema.py` finds. Raises: NodeError."""
    seconds = SECONDS + SECONDS_A_BYTE * (len(schema) + len(data))
    options = {"schema": orjson.Fragment(schema), "seconds": seconds, "whole": whole}
    return read_apart("json_schema", options, data, PATIENCE + seconds)
