"""Limits of nodes that transform data, and the checks of their input.

A value can be small in memory and huge when it is written, because a part of it may occur many times. So nodes measure
repeated values by their written size before creating them.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping
from typing import Any

import orjson

from errors import LimitExceeded, NodeError
from nodes.fields import kind_of

# Characters of a text: the default limit of a step's value.
MAX_TEXT = 16 * 2**20
# Up to this many values of limited size are combined without measuring the result.
MAX_UNMEASURED = 8
# Items of a list. Sorting so many takes a second or two, blocking all other threads of the process.
MAX_ITEMS = 250_000
# Lists and objects in JSON text, which take up to a hundred times its size in memory; in a larger text, one for each
# BYTES_EACH.
MAX_CONTAINERS, BYTES_EACH = 200_000, 25
# A string in JSON, or the start of an unterminated one: one pattern, so that each byte is scanned only once.
QUOTED = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
# Levels of a nested value. The recorder fails at 254, and other nodes wrap values.
MAX_DEPTH = 200
# Range of integers in recorded JSON: from the smallest signed to the largest unsigned one of 64 bits.
MIN_INTEGER, MAX_INTEGER = -(2**63), 2**64 - 1
OUTPUT_OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_SUBCLASS
# Common keys of a text in an object from another node.
TEXT_KEYS = ("body", "content", "text", "data", "html")


def has_too_many_parts(raw: bytes) -> bool:
    """Return True if JSON text has so many lists and objects that they would take far more memory than the text."""
    most = max(MAX_CONTAINERS, len(raw) // BYTES_EACH)
    if raw.count(b"{") + raw.count(b"[") <= most:
        return False
    bare = QUOTED.sub(b"", raw)  # braces in strings do not count
    return bare.count(b"{") + bare.count(b"[") > most


def refusal(message: str) -> NodeError:
    """Return a permanent NodeError, for an error that a retry cannot fix."""
    return NodeError(message, permanent=True)


def text_of_config(config: Mapping[str, Any], input: Any, key: str = "data") -> str:
    """Return the text under this config key, or the input. Raises: NodeError with a hint if it is not text."""
    value = config.get(key, input)
    if isinstance(value, str):
        return check_text(value, key)
    if key in config:
        raise refusal(f"{key} must be text, but is {kind_of(value)}")
    named = sorted(value, key=lambda name: name not in TEXT_KEYS) if isinstance(value, dict) else []
    found = next((name for name in named if isinstance(value[name], str) and name.isidentifier()), "body")
    raise refusal(f'{key} must be text, but the input is {kind_of(value)}; set "{key}": "{{{{ input.{found} }}}}"')


def check_text(text: str, what: str) -> str:
    """Return the text. Raises: NodeError if it is too long."""
    if len(text) > MAX_TEXT:
        raise LimitExceeded(f"{what} has {len(text):,} characters; the limit is {MAX_TEXT:,}")
    return text


def list_of_config(config: Mapping[str, Any], input: Any, key: str = "items") -> list[Any]:
    """Return the list under this config key, or the input. Raises: NodeError with a hint if it is not a list."""
    value = config.get(key, input)
    if isinstance(value, list):
        return check_items(value, key)
    if key in config or not isinstance(value, dict):
        raise refusal(f"{key} must be a list, but is {kind_of(value)}")
    found = next((name for name, part in value.items() if isinstance(part, list) and name.isidentifier()), "items")
    raise refusal(f'{key} must be a list, but the input is an object; set "{key}": "{{{{ input.{found} }}}}"')


def encode(value: Any, max_bytes: int) -> bytes:
    """Return the value as JSON. Raises: NodeError if it is not JSON, nested too deeply or too large."""
    try:
        encoded = orjson.dumps(value, option=OUTPUT_OPTIONS)
    except (TypeError, ValueError, RecursionError) as error:
        raise NodeError(f"the output is not JSON: {error}", permanent=True) from None
    if len(encoded) > max_bytes:
        raise LimitExceeded(f"the output has {len(encoded):,} bytes; the limit is {max_bytes:,}")
    return encoded


def check_items(items: list[Any], what: str) -> list[Any]:
    """Return the list. Raises: NodeError if it is too long."""
    if len(items) > MAX_ITEMS:
        raise LimitExceeded(f"{what} has {len(items):,} items; the limit is {MAX_ITEMS:,}")
    return items


class LimitedText(io.StringIO):
    """Text written piece by piece, with a limit."""

    def write(self, text: str) -> int:
        if self.tell() + len(text) > MAX_TEXT:
            raise LimitExceeded(f"the text would exceed the limit of {MAX_TEXT:,} characters")
        return super().write(text)


class Budget:
    """A budget in characters of JSON. Raises NodeError when it is used up."""

    def __init__(self, what: str, size: int = MAX_TEXT) -> None:
        self.what, self.size, self.left = what, size, size

    def spend(self, size: int) -> None:
        """Spend `size` characters."""
        self.left -= size
        if self.left < 0:
            raise LimitExceeded(f"{self.what} would exceed the limit of {self.size:,} characters of JSON")

    def spend_value(self, value: Any) -> None:
        """Spend the size of this value."""
        self.spend(size_of(value, self.what))


def size_of(value: Any, what: str, most: int = MAX_TEXT) -> int:
    """Return the approximate size of the value in characters of JSON, counting repeated parts each time.

    Raises: NodeError if it is nested too deeply or larger than `most`; stops there.
    """
    size, todo = 0, [([value], 0)]  # items are counted with their container, for speed
    while todo:
        part, depth = todo.pop()
        size += 2 + len(part)
        if isinstance(part, dict):
            size += sum(map(len, part)) + 3 * len(part)
        if size > most:
            raise LimitExceeded(f"{what} exceeds the limit of {most:,} characters of JSON")
        if depth > MAX_DEPTH:
            raise too_deep(what)
        for inner in part.values() if isinstance(part, dict) else part:
            kind = type(inner)
            if kind is str:
                size += len(inner) + 2
            elif kind is int:
                size += 1 + (inner.bit_length() >> 2)
            elif kind is list or kind is dict:
                todo.append((inner, depth + 1))
            else:
                size += 4
    if size > most:
        raise LimitExceeded(f"{what} exceeds the limit of {most:,} characters of JSON")
    return size


def too_deep(what: str) -> NodeError:
    """Return the error for a value that is nested too deeply."""
    return LimitExceeded(f"{what} is nested more than {MAX_DEPTH} levels deep")


def is_number(value: Any) -> bool:
    """Return True for a number, but not for true and false."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def check_json(value: Any, what: str) -> Any:
    """Return the value. Raises: NodeError with the path of a part that cannot be recorded."""
    found = _find_issue(value, 0)
    if found is not None:
        path, problem = found
        where = f"{what}, at {path.removeprefix('.')}" if path else what
        raise refusal(f"{where}: {problem}")
    return value


def check_data(value: Any, what: str) -> Any:
    """Do the same for a value that may be too large, because a part of it may occur many times."""
    size_of(value, what)
    return check_json(value, what)


def _find_issue(value: Any, depth: int) -> tuple[str, str] | None:
    """Return the path and the issue of a part that is not JSON or nested too deeply, or None."""
    if isinstance(value, str) or value is None:
        return None
    if not isinstance(value, list | dict):
        problem = find_scalar_issue(value)
        return ("", problem) if problem else None
    if depth >= MAX_DEPTH:
        return "", f"is nested more than {MAX_DEPTH} levels deep"
    for key, part in value.items() if isinstance(value, dict) else enumerate(value):
        kind = type(part)
        is_integer = kind is int and MIN_INTEGER <= part <= MAX_INTEGER
        if kind is str or is_integer or (kind is float and math.isfinite(part)):
            continue  # fast path for most values
        found = _find_issue(part, depth + 1)
        if found is not None:
            return (f".{key:.100}" if isinstance(key, str) else f"[{key}]") + found[0], found[1]
    return None


def find_scalar_issue(value: Any) -> str | None:
    """Return the issue of a number, boolean or other scalar except text, or None."""
    if isinstance(value, int):
        return None if MIN_INTEGER <= value <= MAX_INTEGER else "an integer of more than 64 bits; use text instead"
    if isinstance(value, float):
        return None if math.isfinite(value) else "a number that is not finite"
    return None if value is None else f"{type(value).__name__} is not JSON"
