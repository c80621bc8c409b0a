"""Comparison of JSON values of any kind: order and equality."""

from __future__ import annotations

import json
import re
from hashlib import blake2b
from typing import Any

import orjson

from nodes.data.paths import MISSING
from nodes.limits import MAX_INTEGER, MIN_INTEGER, too_deep

# The kinds in order. Null and missing are not values, and come last in both directions.
NUMBER, TEXT, BOOLEAN, LIST, OBJECT, NULL, ABSENT = range(7)
DIGITS = re.compile(r"([0-9]+)")


class Comparison:
    """Creates keys that sort JSON values: numbers, texts, booleans, lists, objects, null, missing.

    Texts are compared by their characters, ignoring case unless `case_sensitive`; with `natural`, digits in them count
    as numbers, so that `file2` comes before `file10`. Lists are compared by their items, objects by keys and values.
    """

    def __init__(self, case_sensitive: bool = True, natural: bool = False) -> None:
        self.case_sensitive, self.natural = case_sensitive, natural

    def key(self, value: Any) -> tuple[Any, ...]:
        """Return the sort key of a value; comparisons of keys never raise TypeError."""
        if isinstance(value, str):
            return TEXT, self.text(value)
        if isinstance(value, bool):
            return BOOLEAN, value
        if isinstance(value, int | float):
            return (NUMBER, value) if value == value else (NULL,)  # NaN has no order
        if isinstance(value, list):
            return LIST, [self.key(item) for item in value]
        if isinstance(value, dict):
            return OBJECT, [(name, self.key(value[name])) for name in sorted(value)]
        return (ABSENT,) if value is MISSING else (NULL,)

    def text(self, value: str) -> Any:
        text = value if self.case_sensitive else value.casefold()
        if not self.natural:
            return text
        # Text and digits alternate, so equal kinds compare. Digits stay text: converting many is slow.
        parts: list[Any] = DIGITS.split(text)
        for at in range(1, len(parts), 2):
            digits = parts[at].lstrip("0")
            parts[at] = len(digits), digits
        return parts

    def sorted(self, places: list[int], values: list[Any], descending: bool) -> list[int]:
        """Return the places sorted by their values, stable, with null and missing ones at the end."""
        try:
            keys = [self.key(value) for value in values]
            if descending:
                # Reversed, the last ones would be first; so they get the lowest keys.
                keys = [(-key[0],) if key[0] >= NULL else key for key in keys]
            return sorted(places, key=keys.__getitem__, reverse=descending)
        except RecursionError:
            raise too_deep("an item") from None


def identity(values: list[Any]) -> bytes:
    """Return a short hashable value, equal for equal values: 1 and 1.0 are equal; 1, true and the text 1 are not.

    It is a digest, because Python's hashes of numbers are predictable: many colliding ones would block the process.
    """
    try:
        bare = [value if isinstance(value, str) else _normalize(value) for value in values]
        try:
            written = orjson.dumps(bare, option=orjson.OPT_SORT_KEYS)
        except TypeError:  # integers of more than 64 bits, half surrogate pairs
            written = json.dumps(bare, sort_keys=True).encode()
    except RecursionError:
        raise too_deep("an item") from None
    return blake2b(written, digest_size=20).digest()


def _normalize(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and MIN_INTEGER <= value <= MAX_INTEGER:
        return int(value)
    if isinstance(value, list):
        return [_normalize(item) for item in value]
    if isinstance(value, dict):
        return {name: _normalize(item) for name, item in value.items()}
    return value
