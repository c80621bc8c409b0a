"""What the nodes that make data of data allow themselves, and how they look at what they are given.

A value can be small in memory and huge when it is written out, since a part of it may appear many times. So whatever a
node repeats is measured as it will be written, before it is made.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping
from typing import Any

import orjson

from errors import NodeError
from nodes.core.logic import kind_of

# Characters of a text that is read or written: as much as a step's value may have, by default, on the record.
MAX_TEXT = 16 * 2**20
# So many values, each of a bounded size, are put together without a look at how large that becomes.
UNMEASURED = 8
# Items of a list. Sorting so many takes a second or two, in which no other thread of the process does anything.
MAX_ITEMS = 250_000
# Lists and objects in JSON text, which take up to a hundred times its size in memory; and how many bytes of a larger
# text there must be for each.
MAX_CONTAINERS, BYTES_EACH = 200_000, 25
# A text in JSON, or the start of one that does not end: as one pattern, so that each byte is looked at once.
QUOTED = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
# Levels of a nested value. What writes the record gives up at 254, and other nodes wrap what they get.
MAX_DEPTH = 200
# JSON on the record has integers from the least signed to the greatest unsigned one of 64 bits.
LEAST, GREATEST = -(2**63), 2**64 - 1
OUTPUT_OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_SUBCLASS
# Where a text usually is in an object that another node made.
USUAL = ("body", "content", "text", "data", "html")


def is_too_fine(raw: bytes) -> bool:
    """Return True if JSON text has so many lists and objects that they would take far more memory than the text."""
    most = max(MAX_CONTAINERS, len(raw) // BYTES_EACH)
    if raw.count(b"{") + raw.count(b"[") <= most:
        return False
    bare = QUOTED.sub(b"", raw)  # those in texts do not count
    return bare.count(b"{") + bare.count(b"[") > most


def refusal(message: str) -> NodeError:
    """The error for what no further attempt can mend."""
    return NodeError(message, permanent=True)


def text_of_config(config: Mapping[str, Any], input: Any, key: str = "data") -> str:
    """The text under this key of the config, else the input. NodeError says what to write where it is no text."""
    value = config.get(key, input)
    if isinstance(value, str):
        return fits_text(value, key)
    if key in config:
        raise refusal(f"{key} must be text, but is {kind_of(value)}")
    named = sorted(value, key=lambda name: name not in USUAL) if isinstance(value, dict) else []
    found = next((name for name in named if isinstance(value[name], str) and name.isidentifier()), "body")
    raise refusal(f'{key} must be text, but the input is {kind_of(value)}; write "{key}": "{{{{ input.{found} }}}}"')


def fits_text(text: str, what: str) -> str:
    """The text; NodeError where it is too long."""
    if len(text) > MAX_TEXT:
        raise refusal(f"{what} has {len(text):,} characters; at most {MAX_TEXT:,} are allowed")
    return text


def list_of_config(config: Mapping[str, Any], input: Any, key: str = "items") -> list[Any]:
    """The list under this key of the config, else the input. NodeError says what to write where it is no list."""
    value = config.get(key, input)
    if isinstance(value, list):
        return fits_items(value, key)
    if key in config or not isinstance(value, dict):
        raise refusal(f"{key} must be a list, but is {kind_of(value)}")
    found = next((name for name, part in value.items() if isinstance(part, list) and name.isidentifier()), "items")
    raise refusal(f'{key} must be a list, but the input is an object; write "{key}": "{{{{ input.{found} }}}}"')


def encode(value: Any, max_bytes: int) -> bytes:
    """The value as JSON text. NodeError where it is no JSON, nested too deeply or too large."""
    try:
        encoded = orjson.dumps(value, option=OUTPUT_OPTIONS)
    except (TypeError, ValueError, RecursionError) as error:
        raise NodeError(f"the output is not JSON: {error}", permanent=True) from None
    if len(encoded) > max_bytes:
        raise NodeError(f"the output has {len(encoded)} bytes; at most {max_bytes} are allowed", permanent=True)
    return encoded


def fits_items(items: list[Any], what: str) -> list[Any]:
    """The list; NodeError where it is too long."""
    if len(items) > MAX_ITEMS:
        raise refusal(f"{what} has {len(items):,} items; at most {MAX_ITEMS:,} are allowed")
    return items


class LimitedText(io.StringIO):
    """Text that is written piece by piece, and may not become too long."""

    def write(self, text: str) -> int:
        if self.tell() + len(text) > MAX_TEXT:
            raise refusal(f"the text would have more than {MAX_TEXT:,} characters")
        return super().write(text)


class Room:
    """How much may still be made of something, in characters of JSON; NodeError when that is used up."""

    def __init__(self, what: str, size: int = MAX_TEXT) -> None:
        self.what, self.size, self.left = what, size, size

    def take(self, size: int) -> None:
        """Use so much of it."""
        self.left -= size
        if self.left < 0:
            raise refusal(f"{self.what} would have more than {self.size:,} characters of JSON")

    def take_value(self, value: Any) -> None:
        """Use what this value takes."""
        self.take(size_of(value, self.what))


def size_of(value: Any, what: str, most: int = MAX_TEXT) -> int:
    """About how many characters of JSON the value is, a part that appears twice counted twice.

    NodeError where it is too large or nested too deeply; no more than `most` of it is looked at.
    """
    size, todo = 0, [([value], 0)]  # what is in lists and objects is counted there, which is quick
    while todo:
        part, depth = todo.pop()
        size += 2 + len(part)
        if isinstance(part, dict):
            size += sum(map(len, part)) + 3 * len(part)
        if size > most:
            raise refusal(f"{what} has more than {most:,} characters of JSON")
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
        raise refusal(f"{what} has more than {most:,} characters of JSON")
    return size


def too_deep(what: str) -> NodeError:
    """The error for what is nested too deeply."""
    return refusal(f"{what} is nested more than {MAX_DEPTH} deep")


def is_number(value: Any) -> bool:
    """Whether it is a number: true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def check_json(value: Any, what: str) -> Any:
    """The value; NodeError with the place where it holds what the record cannot."""
    found = _unfit(value, 0)
    if found is not None:
        path, problem = found
        where = f"{what}, at {path.removeprefix('.')}" if path else what
        raise refusal(f"{where}: {problem}")
    return value


def check_data(value: Any, what: str) -> Any:
    """The same for a value that others have made: it may be too large as well, as a part can be in it many times."""
    size_of(value, what)
    return check_json(value, what)


def _unfit(value: Any, depth: int) -> tuple[str, str] | None:
    """Where something is that is no JSON, or too much of it, and what."""
    if isinstance(value, str) or value is None:
        return None
    if not isinstance(value, list | dict):
        problem = unfit_scalar(value)
        return ("", problem) if problem else None
    if depth >= MAX_DEPTH:
        return "", f"is nested more than {MAX_DEPTH} deep"
    for key, part in value.items() if isinstance(value, dict) else enumerate(value):
        kind = type(part)
        if kind is str or (kind is int and LEAST <= part <= GREATEST) or (kind is float and math.isfinite(part)):
            continue  # most of what there is, quickly
        found = _unfit(part, depth + 1)
        if found is not None:
            return (f".{key:.100}" if isinstance(key, str) else f"[{key}]") + found[0], found[1]
    return None


def unfit_scalar(value: Any) -> str | None:
    """What is wrong with a number, a boolean or anything else that is neither list, object nor text, if anything is."""
    if isinstance(value, int):
        return None if LEAST <= value <= GREATEST else "an integer of more than 64 bits; keep it as text"
    if isinstance(value, float):
        return None if math.isfinite(value) else "a number that is not finite"
    return None if value is None else f"{type(value).__name__} is not JSON"
