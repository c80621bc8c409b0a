"""Validation by JSON Schema, of schemas and of data. All schemas from users are handled here.

The Rust engine is used because Python's `re` can take hours over a pattern such as `^(a+)+$`, which any caller of a
webhook could provoke. In exchange, patterns have no look-around and no back-references. Nothing is ever fetched.

The engine blocks all other threads of the process. So it runs here only if it takes less than about a second for the
size of the schema (`size.py`) and of the data, which is nearly always; else in a separate process with limits on time
and memory, which costs some 150 ms.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import orjson

from errors import NodeError
from parsers.process import Unreadable, read_apart

from .compilation import compile_schema
from .size import MAX_BYTES, PATTERN_SIZES, Size, Unbounded, count_expanded_parts, measure, pattern_options

MAX_ISSUES, MAX_ISSUE_TEXT = 50, 300
MAX_REDACTED = 30_000  # characters of a message that are redacted: more than any has, so that no secret is cut in half
# In this process: parts of the schema times values of the data, each a tenth of a microsecond. All issues are collected
# only of less data, because each issue copies the value that it is about.
MAX_WORK, MAX_ISSUE_WORK, MAX_ISSUE_VALUES, MAX_ISSUE_BYTES = 5_000_000, 20_000, 500, 16 * 1024
# In a separate process: seconds of processor time, also for each byte, and additional seconds by the clock.
SECONDS, SECONDS_A_BYTE, PATIENCE = 0.4, 0.4e-6, 5.0
# Libraries of language models replace references by their targets.
MAX_EXPANDED = 1_000_000
JSON_ONLY = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS
# The weight of a schema that needs a separate process; compiling a pattern of as many bytes takes some 10 ms.
WEIGHT_APART = 5 * PATTERN_SIZES[-1]


class _Validator(NamedTuple):
    """A validator for this process, the maximum size of its data in bytes, and the size of its schema."""

    engine: Any
    max_bytes: int
    size: Size


def check(schema: Mapping[str, Any]) -> None:
    """Check a schema, of draft 2020-12 unless it names another. Raises: ValueError if it is invalid or too complex."""
    text = _encode(schema)
    if count_expanded_parts(schema, MAX_EXPANDED) > MAX_EXPANDED:
        raise ValueError(f"has more than {MAX_EXPANDED:,} parts with its references resolved; use fewer references")
    problem = "" if _get_validator(text) else _find_problem_apart(text)
    if problem:
        raise ValueError(f"is not a JSON Schema: {problem}")


def weight_of(schema: Mapping[str, Any]) -> int:
    """Return the cost of checking this schema, as the bytes of its compiled patterns, which take most of the time."""
    try:
        validator = _get_validator(_encode(schema))
    except ValueError:
        return WEIGHT_APART
    return WEIGHT_APART if validator is None else validator.size.compiled


def issues_of(
    schema: Mapping[str, Any], data: Any, clean: Callable[[str], str] = str, workspace_id: str | None = None
) -> list[dict[str, str]]:
    """Return the issues of the data under the schema, as `{"path", "message"}`, at most MAX_ISSUES; of large data
    perhaps only the first. `clean` redacts secrets in a message, `workspace_id` is that of the data.

    Raises: NodeError if the schema is invalid, the data is not JSON, or the validation would take too long.
    """
    try:
        schema_text = _encode(schema)
        validator = _get_validator(schema_text)
        text = orjson.dumps(data, option=JSON_ONLY)
        if validator is not None and len(text) <= validator.max_bytes:
            if validator.engine.is_valid(data):
                return []
            values = 1 + text.count(b",") + text.count(b"[") + text.count(b"{")  # counts those in texts, too
            if values <= min(MAX_ISSUE_WORK // validator.size.parts, MAX_ISSUE_VALUES) and len(text) <= MAX_ISSUE_BYTES:
                errors = itertools.islice(validator.engine.iter_errors(data), MAX_ISSUES)
                return [_issue(error.instance_path, error.message, clean) for error in errors]
    except (ValueError, TypeError) as error:
        raise NodeError(f"the data cannot be validated: {error}", permanent=True) from None
    return _find_issues_apart(schema_text, text, clean, workspace_id)


def _path(parts: Iterable[str | int]) -> str:
    """Return `["orders", 0, "id"]` as `orders[0].id`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).lstrip(".")


def _issue(path: Iterable[str | int], message: str, clean: Callable[[str], str]) -> dict[str, str]:
    return {"path": _path(path), "message": _shorten(clean(message[:MAX_REDACTED]))}


def _shorten(message: str) -> str:
    return message if len(message) <= MAX_ISSUE_TEXT else message[: MAX_ISSUE_TEXT - 1] + "…"


def _describe(path: Iterable[str | int], message: str) -> str:
    return f"{_path(path)}: {_shorten(message)}".removeprefix(": ")


def _encode(schema: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(schema, option=orjson.OPT_SORT_KEYS)
    except TypeError as error:
        raise ValueError(f"is not a JSON Schema: {error}") from None


@functools.lru_cache(maxsize=128)
def _get_validator(text: bytes) -> _Validator | None:
    """Return the validator of a schema; None if it needs a separate process. Raises: ValueError if it is invalid."""
    import jsonschema_rs

    if len(text) > MAX_BYTES:
        return None
    try:
        schema = orjson.loads(text)
        size = measure(schema)
        engine = compile_schema(schema, pattern_options())
    except Unbounded:
        return None
    except jsonschema_rs.ValidationError as error:
        raise ValueError(f"is not a JSON Schema: {_describe(error.instance_path, error.message)}") from None
    except ValueError as error:
        raise ValueError(f"is not a JSON Schema: {error}") from None
    # Data has at most half as many values as bytes: a list of digits.
    return _Validator(engine, MAX_WORK // (size.parts // 2 + size.reading + 1), size)


# In a separate process


@functools.lru_cache(maxsize=64)
def _find_problem_apart(schema: bytes) -> str:
    """Return why the schema is invalid; empty if it is valid. Raises: ValueError if the check would take too long."""
    try:
        found = _validate_apart(schema, b"", whole=False)
    except NodeError as error:
        raise ValueError(f"cannot be used as a JSON Schema: {_reason(error)}") from None
    return _describe(found["path"], found["problem"]) if "problem" in found else ""


def _find_issues_apart(
    schema: bytes, data: bytes, clean: Callable[[str], str], workspace_id: str | None
) -> list[dict[str, str]]:
    try:
        try:
            found = _validate_apart(schema, data, True, workspace_id)
        except Unreadable:
            found = _validate_apart(schema, data, False, workspace_id)  # the first issue alone may be within the limits
    except NodeError as error:
        raise NodeError(f"the data cannot be validated by this schema: {_reason(error)}", error.permanent) from None
    if "problem" in found:
        reason = f"is not a JSON Schema: {clean(found['problem'])}"
        raise NodeError(f"the data cannot be validated: {reason}", permanent=True)
    return [_issue(issue["path"], issue["message"], clean) for issue in found["issues"]]


def _reason(error: NodeError) -> str:
    return error.message.removeprefix("the schema cannot be read: ")


def _validate_apart(schema: bytes, data: bytes, whole: bool, workspace_id: str | None = None) -> dict[str, Any]:
    """Return the result of `separate_process.py`. Raises: NodeError."""
    seconds = SECONDS + SECONDS_A_BYTE * (len(schema) + len(data))
    options = {"schema": orjson.Fragment(schema), "seconds": seconds, "whole": whole}
    return read_apart("parsers.json_schema.separate_process", options, data, PATIENCE + seconds, workspace_id)
