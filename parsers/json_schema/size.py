"""Size of a JSON Schema: its cost for a validator, computed from the schema alone, before anything is compiled.

A validator visits a value once for each part of the schema that applies to it, also through references. So references
are followed here each time anew: a few lines of them can be millions of parts.
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
            patterns = [measure_pattern(pattern) for pattern in _patterns(part)]
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


def _patterns(part: Mapping[str, Any]) -> Iterator[str]:
    if isinstance(part.get("pattern"), str):
        yield part["pattern"]
    if isinstance(part.get("patternProperties"), dict):
        yield from part["patternProperties"]


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
