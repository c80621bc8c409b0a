"""How large a JSON Schema is for a validator: counted from the schema alone, before anything is compiled.

A validator looks at a value once for each part of the schema that leads to it, by references too. So references are
followed here, each time anew: a few lines of them can be millions of parts.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import unquote

import orjson

MAX_BYTES, MAX_PARTS = 128 * 1024, 2_500  # of a schema that is compiled in this process
MAX_PATTERN, MAX_REFERENCE = 500, 1_000  # characters
# Bytes that the engine may compile a pattern to, that it may keep beside, and all patterns of a schema together.
PATTERN_SIZES, CACHE, MAX_MEMORY = (2**10, 2**13, 2**16, 2**19), 2**14, 2**20

ANNOTATIONS = {"$comment", "title", "description", "default", "examples", "example"}
# Keywords whose value has schemas, or lists of names, by any name.
MAPS = {"$defs", "definitions", "properties", "patternProperties", "dependentSchemas", "dependencies"}
# To know what is left over, all parts are asked again, and those of them that ask so too once more for each.
LEFT_OVER, AGAIN = ("unevaluatedProperties", "unevaluatedItems"), 3
# What a keyword takes for each character of the data, where a part takes 1 for each value.
READING = {"format": 1, "uniqueItems": 3, "contentMediaType": 1, "contentEncoding": 1, "multipleOf": 50}
LEAST_MULTIPLE = 1e-20  # for a smaller one, numbers of very many digits are divided


class Size(NamedTuple):
    """How many parts a schema has, references followed; what its keywords take for each character of the data; to how
    many bytes its patterns are compiled.
    """

    parts: int
    reading: int
    compiled: int


class Unbounded(Exception):
    """A schema is too large, refers to itself, or to what nobody knows."""


def size_of(root: Mapping[str, Any]) -> Size:
    """Return how large a schema is. Raises: Unbounded."""
    parts = reading = compiled = caches = left_over = 0
    todo: list[tuple[Any, bool]] = [(root, False)]  # with True, schemas by name
    while todo:
        part, is_map = todo.pop()
        parts += 1 + len(part)
        if is_map or isinstance(part, list):
            todo += [(inner, False) for inner in (part.values() if is_map else part) if isinstance(inner, dict | list)]
        else:
            if part is not root:
                _check_base(part)
            patterns = [pattern_bytes(pattern) for pattern in _patterns(part)]
            compiled, caches = compiled + sum(patterns), caches + CACHE * len(patterns)
            reading += sum(patterns) // 500 + sum(READING.get(word, 0) for word in part)
            parts += sum(_length(part[word]) for word in ("enum", "const") if word in part)
            left_over += any(word in part for word in LEFT_OVER)
            todo += _inner(root, part)
        if parts > MAX_PARTS or compiled + caches > MAX_MEMORY or left_over > 1:
            raise Unbounded
    return Size(parts * (AGAIN if left_over else 1), reading, compiled)


def expanded_parts(root: Mapping[str, Any], most: int) -> int:
    """Return how many parts a schema has with each reference replaced by its target, or a number over `most`.

    A part that refers to itself counts once. Each part is counted once, so this takes as long as reading the schema,
    while a library that replaces references takes as long as the number says.
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
    """Yield the objects and lists in a part of a schema, and what it refers to, but not what is only there by name."""
    for word, value in part.items() if isinstance(part, dict) else enumerate(part):
        if word == "$ref":
            with suppress(Unbounded):
                value = _target(root, value)
        if isinstance(value, dict | list) and not (part is root and word in ("$defs", "definitions")):
            yield value


def _inner(root: Mapping[str, Any], part: Mapping[str, Any]) -> Iterator[tuple[Any, bool]]:
    """Yield what is in a schema, and what it refers to."""
    for word, value in part.items():
        if word in ("$dynamicRef", "$recursiveRef"):
            raise Unbounded
        if word == "multipleOf" and isinstance(value, float) and value < LEAST_MULTIPLE:
            raise Unbounded
        if word == "$ref":
            value = _target(root, value)
        elif word in ANNOTATIONS or word in ("enum", "const") or (part is root and word in ("$defs", "definitions")):
            continue
        if isinstance(value, dict | list):
            yield value, word in MAPS and isinstance(value, dict)


def _length(value: Any) -> int:
    """Return for how many parts an enum counts. Texts and numbers are looked up, all else is compared one by one."""
    is_flat = isinstance(value, list) and not any(isinstance(one, dict | list) for one in value)
    return len(orjson.dumps(value)) // (40 if is_flat else 4)


def _check_base(part: Mapping[str, Any]) -> None:
    """Raise Unbounded if references inside this part are not from the root of the schema."""
    if any(isinstance(part.get(word), str) and not part[word].startswith("#") for word in ("$id", "id")):
        raise Unbounded


def _target(root: Mapping[str, Any], reference: Any) -> Any:
    """Return what a reference leads to, None if there is nothing. Raises: Unbounded if it is no path from the root."""
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


def _patterns(part: Mapping[str, Any]) -> Iterator[str]:
    if isinstance(part.get("pattern"), str):
        yield part["pattern"]
    if isinstance(part.get("patternProperties"), dict):
        yield from part["patternProperties"]


@functools.lru_cache(maxsize=4_096)
def pattern_bytes(pattern: str) -> int:
    """Return how large the engine makes a pattern at most. Raises: Unbounded if that is too large, or unknown."""
    import jsonschema_rs

    for most in PATTERN_SIZES if len(pattern) <= MAX_PATTERN else ():
        try:
            jsonschema_rs.validator_for({"pattern": pattern}, pattern_options=pattern_options(most))
            return most
        except ValueError:
            continue
    raise Unbounded


def pattern_options(most: int = PATTERN_SIZES[-1]) -> Any:
    """Return the engine's options for patterns of so many bytes at most: they take time linear in the text."""
    import jsonschema_rs

    return jsonschema_rs.RegexOptions(size_limit=most, dfa_size_limit=CACHE)
