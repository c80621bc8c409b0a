"""Validation by JSON Schema, of schemas and of data. All schemas from users are handled here.

The Rust engine is used because Python's `re` can take hours over a pattern such as `^(a+)+$`, which any caller of a
webhook could provoke. In exchange, patterns have no look-around and no back-references. Nothing is ever fetched.

The engine blocks all other threads of the process. So it runs here only if it takes less than about a second for the
size of the schema and of the data, which is nearly always; else in a separate process with limits on time
and memory, which costs some 150 ms.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import time
from typing import Any, NamedTuple
from urllib.parse import unquote

import orjson

from errors import NodeError

from .process import Unreadable, read_apart

# Compilation of JSON Schemas. Some formats are checked differently from the library, for speed or common input.

MAX_TIME = 40  # characters


def _is_time(text: str) -> bool:
    """Return True if the text is a time of day, also without seconds or an offset, as forms send it."""
    try:
        time.fromisoformat(text if len(text) <= MAX_TIME and ":" in text else "")
    except ValueError:
        return False
    return True


def _accept(text: str) -> bool:
    """Return True for a format whose check would take too long for a long text."""
    return True


FORMATS: dict[str, Callable[[str], bool]] = {"time": _is_time, "regex": _accept, "idn-hostname": _accept}


def compile_schema(schema: Any, patterns: Any) -> Any:
    """Return a validator for the schema, with these options for patterns. Raises: ValueError if it is invalid."""
    import jsonschema_rs

    return jsonschema_rs.validator_for(
        schema, retriever=_refuse, pattern_options=patterns, validate_formats=True, formats=FORMATS
    )


def _refuse(uri: str) -> Any:
    raise ValueError(f"{uri} is outside of the schema, and schemas are not fetched")


# Size of a JSON Schema: its cost for a validator, computed from the schema alone, before anything is compiled.
#
# A validator visits a value once for each part of the schema that applies to it, also through references. So
# references are followed here each time anew: a few lines of them can be millions of parts.

MAX_BYTES, MAX_PARTS = 128 * 1024, 2_500  # of a schema that is compiled in this process
MAX_PATTERN, MAX_REFERENCE = 500, 1_000  # characters
# Bytes of a compiled pattern, of the engine's cache for each, and of all patterns of a schema together.
PATTERN_SIZES, CACHE, MAX_MEMORY = (2**10, 2**13, 2**16, 2**19), 2**14, 2**20

ANNOTATIONS = {"$comment", "title", "description", "default", "examples", "example"}
DEFINITIONS = ("$defs", "definitions")
# Keywords whose value maps free names to schemas or lists of names.
MAPS = {*DEFINITIONS, "properties", "patternProperties", "dependentSchemas", "dependencies"}
# For these, the engine evaluates all parts again, and once more for each part with such a keyword.
UNEVALUATED, UNEVALUATED_FACTOR = ("unevaluatedProperties", "unevaluatedItems"), 3
# The cost of a keyword for each character of the data; the cost of a part for each value is 1.
CHARACTER_COSTS = {"format": 1, "uniqueItems": 3, "contentMediaType": 1, "contentEncoding": 1, "multipleOf": 50}
MIN_MULTIPLE = 1e-20  # a smaller one would divide numbers of very many digits


class Size(NamedTuple):
    """The size of a schema: its parts with references followed, the cost of its keywords for each character of the
    data, and the bytes of its compiled patterns.
    """

    parts: int
    reading: int
    compiled: int


class Unbounded(Exception):
    """A schema is too large, refers to itself, or has a reference of unknown cost."""


def measure(root: Mapping[str, Any]) -> Size:
    """Return the size of a schema. Raises: Unbounded."""
    parts = reading = compiled = caches = unevaluated = 0
    todo: list[tuple[Any, bool]] = [(root, False)]  # with True, a map of names to schemas
    while todo:
        part, is_map = todo.pop()
        parts += 1 + len(part)
        if is_map or isinstance(part, list):
            todo += [(inner, False) for inner in (part.values() if is_map else part) if isinstance(inner, dict | list)]
        else:
            if part is not root:
                _check_base(part)
            written = [part["pattern"]] if isinstance(part.get("pattern"), str) else []
            written += part["patternProperties"] if isinstance(part.get("patternProperties"), dict) else []
            patterns = [measure_pattern(pattern) for pattern in written]
            compiled, caches = compiled + sum(patterns), caches + CACHE * len(patterns)
            reading += sum(patterns) // 500 + sum(CHARACTER_COSTS.get(word, 0) for word in part)
            parts += sum(_count_alternatives(part[word]) for word in ("enum", "const") if word in part)
            unevaluated += any(word in part for word in UNEVALUATED)
            todo += _inner(root, part)
        if parts > MAX_PARTS or compiled + caches > MAX_MEMORY or unevaluated > 1:
            raise Unbounded
    return Size(parts * (UNEVALUATED_FACTOR if unevaluated else 1), reading, compiled)


def count_expanded_parts(root: Mapping[str, Any], most: int) -> int:
    """Return the number of parts with each reference replaced by its target, or a number over `most`.

    A part that refers to itself counts once. Each part is visited once, so this takes as long as reading the schema,
    while a library that replaces references takes time in proportion to the number.
    """
    counts: dict[int, int] = {}
    todo: list[tuple[Any, list[Any] | None]] = [(root, None)]
    while todo:
        part, children = todo.pop()
        if children is not None:
            counts[id(part)] = 1 + sum(counts[id(child)] for child in children)
            if counts[id(part)] > most:
                return counts[id(part)]
        elif id(part) not in counts:
            counts[id(part)] = 1  # for references back to it
            children = list(_children(root, part))
            todo.append((part, children))
            todo += [(child, None) for child in children if id(child) not in counts]
    return counts[id(root)]


def _children(root: Mapping[str, Any], part: Any) -> Iterator[Any]:
    """Yield the objects and lists in a part of a schema, and targets of references, but no unused definitions."""
    for word, value in part.items() if isinstance(part, dict) else enumerate(part):
        if word == "$ref":
            with suppress(Unbounded):
                value = _target(root, value)
        if isinstance(value, dict | list) and not (part is root and word in DEFINITIONS):
            yield value


def _inner(root: Mapping[str, Any], part: Mapping[str, Any]) -> Iterator[tuple[Any, bool]]:
    """Yield the schemas in a schema, and targets of references; True with maps of schemas. Raises: Unbounded."""
    for word, value in part.items():
        if word in ("$dynamicRef", "$recursiveRef"):
            raise Unbounded
        if word == "multipleOf" and isinstance(value, float) and value < MIN_MULTIPLE:
            raise Unbounded
        if word == "$ref":
            value = _target(root, value)
        elif word in ANNOTATIONS or word in ("enum", "const") or (part is root and word in DEFINITIONS):
            continue
        if isinstance(value, dict | list):
            yield value, word in MAPS and isinstance(value, dict)


def _count_alternatives(value: Any) -> int:
    """Return the number of parts that an enum counts as. Scalars are hashed, others are compared one by one."""
    is_flat = isinstance(value, list) and not any(isinstance(one, dict | list) for one in value)
    return len(orjson.dumps(value)) // (40 if is_flat else 4)


def _check_base(part: Mapping[str, Any]) -> None:
    """Raise Unbounded if references inside this part do not start at the root of the schema."""
    if any(isinstance(part.get(word), str) and not part[word].startswith("#") for word in ("$id", "id")):
        raise Unbounded


def _target(root: Mapping[str, Any], reference: Any) -> Any:
    """Return the target of a reference, or None. Raises: Unbounded if it is not a path from the root."""
    if not isinstance(reference, str) or len(reference) > MAX_REFERENCE or not re.match(r"#(/|\Z)", reference):
        raise Unbounded
    part: Any = root
    for step in unquote(reference[1:]).split("/")[1:]:
        step = step.replace("~1", "/").replace("~0", "~")
        if isinstance(part, list):
            part = part[int(step)] if re.fullmatch("[0-9]{1,4}", step) and int(step) < len(part) else None
        else:
            part = part.get(step) if isinstance(part, dict) else None
        if isinstance(part, dict):
            _check_base(part)
    return part


@functools.lru_cache(maxsize=4_096)
def measure_pattern(pattern: str) -> int:
    """Return the maximum size of the compiled pattern in bytes. Raises: Unbounded if it is too large or unknown."""
    import jsonschema_rs

    for size in PATTERN_SIZES if len(pattern) <= MAX_PATTERN else ():
        with suppress(ValueError):
            jsonschema_rs.validator_for({"pattern": pattern}, pattern_options=pattern_options(size))
            return size
    raise Unbounded


def pattern_options(size: int = PATTERN_SIZES[-1]) -> Any:
    """Return the engine's options for patterns of at most so many bytes, which take time linear in the text."""
    import jsonschema_rs

    return jsonschema_rs.RegexOptions(size_limit=size, dfa_size_limit=CACHE)


# Validation by JSON Schema, of schemas and of data. All schemas from users are handled here.
#
# The Rust engine is used because Python's `re` can take hours over a pattern such as `^(a+)+$`, which any caller of a
# webhook could provoke. In exchange, patterns have no look-around and no back-references. Nothing is ever fetched.
#
# The engine blocks all other threads of the process. So it runs here only if it takes less than about a second for
# the size of the schema (`size.py`) and of the data, which is nearly always; else in a separate process with limits
# on time and memory, which costs some 150 ms.

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
    """Return the result of `json_schema_process.py`. Raises: NodeError."""
    seconds = SECONDS + SECONDS_A_BYTE * (len(schema) + len(data))
    options = {"schema": orjson.Fragment(schema), "seconds": seconds, "whole": whole}
    return read_apart("parsers.json_schema_process", options, data, PATIENCE + seconds, workspace_id)
