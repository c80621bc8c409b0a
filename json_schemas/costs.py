"""How much work a JSON Schema can make of data: found out from the schema alone, before anything is compiled.

A validator looks at a value once for each way that leads from the root of the schema to a part of it that is for this
value. With each line references can double these ways, so they are counted without being gone: what a part takes is
its own share and that of the parts behind it, one level of the data after the other. The numbers are bounds; the
nanoseconds behind them were measured with the engine.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any, NamedTuple
from urllib.parse import unquote

import orjson

MOST_BYTES, MOST_PARTS = 512 * 1024, 5_000  # of a schema that is compiled in this process
MOST_WAY = 3_000  # parts that may be inside each other while data is checked: each takes a piece of the thread's stack
MOST_STEPS = 200_000  # parts times levels that are looked at here
GREATEST = 10**12  # more is not told apart
DEEPEST = 254  # levels of data, which is what orjson writes
HOPELESS = 1_000_000  # checks of one value

# The words with schemas: for the value itself; for one inside it, of which each takes only one such schema; and for one
# inside it beside those.
SAME = ("$ref", "allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "dependencies")
EITHER = ("properties", "additionalProperties", "prefixItems", "items", "additionalItems")
ALSO = ("patternProperties", "propertyNames", "contains", "unevaluatedProperties", "unevaluatedItems")
MAPS = {"properties", "patternProperties", "dependentSchemas", "dependencies"}
NOTHING = {
    *("$schema", "$id", "id", "$anchor", "$comment", "$defs", "definitions", "title", "description", "default"),
    *("examples", "example", "deprecated", "readOnly", "writeOnly"),
}
NEVER: dict[str, Any] = {"not": {}}  # what false stands for
UNKNOWN = {"$dynamicRef", "$recursiveRef"}  # where these lead depends on the way to them
# To know what is left over, the parts are asked once more, and asked by each around them what these have left over.
LEFT_OVER = {"unevaluatedProperties", "unevaluatedItems"}
AGAIN = 3
MOST_LEFT_OVER = 200_000

# Nanoseconds.
CHECK, COMPLAINT, STEP, COPY = 100, 25_000, 50, 400  # for each value; a step of the way to it
TOLD, COPIED = 30, 5  # for each byte
# For each character of the data.
FORMAT, UNIQUE, CONTENT, MULTIPLE, FRACTION, COMPARED, LOOKED_UP = 100, 250, 10, 250, 6_000, 20, 8
# Bytes that the engine may compile a pattern to. For each of them, a character takes it so long at worst.
PATTERNS = (2**10, 2**13, 2**16, 2**19)
PATTERN_BYTE = 0.2
MOST_PATTERN = 500  # characters
CACHE = 2**16  # bytes that a pattern may take beside
MOST_PATTERNS = 8 * 2**20
KEPT = 80  # bytes of memory for each of a schema


class Work(NamedTuple):
    """Nanoseconds at most: until it is known whether data is right, and until all that is wrong with it is told."""

    check: float
    tell: float


class _Levels(NamedTuple):
    """The most for one value, in data of no level, of one, and so on; without `known`, deeper data has no bound."""

    numbers: tuple[int, ...]
    known: bool

    def of(self, depth: int) -> float:
        if depth < len(self.numbers):
            return self.numbers[depth]
        return self.numbers[-1] if self.known else float("inf")


@dataclass(frozen=True, slots=True)
class Costs:
    """What a schema can make of a value: checks, bytes of it in complaints, nanoseconds for each character. How many
    levels of data it looks at, how many parts of it in a row are for the same value, whether it looks at keys, how many
    bytes of memory it takes, and to how many its patterns are compiled.
    """

    checks: _Levels
    told: _Levels
    reading: _Levels
    levels: int
    longest: int
    of_keys: bool
    memory: int
    compiled: int

    @property
    def deep(self) -> bool:
        """Whether it matters how deep the data is."""
        return not self.checks.known

    def of(self, values: int, size: int, depth: int) -> Work:
        """For so many values, so many bytes of JSON, so many levels."""
        checks = self.checks.of(depth)
        check = CHECK * checks * values + (self.reading.of(depth) + checks) * size
        # Each complaint has a copy of what it is about; one of a key, of the whole object.
        levels = min(depth + 1, self.levels)
        copies = checks * (levels + (values if self.of_keys else 0))
        complaints = checks * (COMPLAINT + STEP * levels * self.longest) + TOLD * self.told.of(depth)
        tell = values * complaints + copies * (COPY * values + COPIED * size)
        return Work(check, check + tell)


class Hopeless(ValueError):
    """A schema by which a single value could be checked more than HOPELESS times."""


class _Unknown(Exception):
    """No bound is known."""


class _Share(NamedTuple):
    """What one part of a schema takes itself, without those behind it."""

    checks: int = 0
    told: int = 0
    reading: int = 0


def costs_of(schema: Mapping[str, Any], size: int) -> Costs | None:
    """What a schema of so many bytes, with no part in it twice, can make of data; None where no bound is known, or
    compiling it is too much already. Hopeless.
    """
    if size > MOST_BYTES:
        return None
    try:
        graph = _Graph(schema)
        order = tuple(TopologicalSorter(graph.same).static_order())
        checks, told, reading = (_levels(graph, order, kind) for kind in range(3))
    except (_Unknown, CycleError):
        return None
    # Where it leads back to itself, only deep data can be too much.
    if not graph.left_over and checks.numbers[0 if graph.leads_back else -1] > HOPELESS:
        raise Hopeless(f"by its references, one value would be checked more than {HOPELESS:,} times")
    levels = DEEPEST if graph.leads_back else len(checks.numbers)
    longest = _longest(graph, order)
    if longest * levels > MOST_WAY:
        return None
    return Costs(checks, told, reading, levels, longest, graph.of_keys, KEPT * size + graph.patterns, graph.compiled)


class _Graph:
    """The parts of a schema, and which lead to which: by `id`, since none is in it twice."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self.root, self.first = root, id(root)
        self.shares: dict[int, _Share] = {}
        self.same: dict[int, list[int]] = {}
        self.either: dict[int, list[int]] = {}
        self.also: dict[int, list[int]] = {}
        self.left_over = self.of_keys = False
        self.patterns = self.compiled = 0
        todo = [root]
        while todo:
            part = todo.pop()
            if id(part) not in self.shares:
                todo += self._add(part)

    @property
    def times(self) -> int:
        """How often a part is asked by one for the same value."""
        return AGAIN if self.left_over else 1

    @functools.cached_property
    def leads_back(self) -> bool:
        """Whether a part leads to itself again, deeper in the data."""
        parts = {part: [*self.same[part], *self.either[part], *self.also[part]] for part in self.shares}
        try:
            TopologicalSorter(parts).prepare()
        except CycleError:
            return True
        return False

    def _add(self, part: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        if len(self.shares) >= MOST_PARTS or not UNKNOWN.isdisjoint(part):
            raise _Unknown
        if part is not self.root:
            _check_base(part)
        self.left_over |= not LEFT_OVER.isdisjoint(part)
        self.of_keys |= "propertyNames" in part
        self.shares[id(part)] = _share(part)
        self._add_patterns(part)
        found: list[Mapping[str, Any]] = []
        for words, behind in ((SAME, self.same), (EITHER, self.either), (ALSO, self.also)):
            parts = [inner for word in words if word in part for inner in _schemas(self.root, word, part[word])]
            behind[id(part)] = [id(inner) for inner in parts]
            found += parts
        return found

    def _add_patterns(self, part: Mapping[str, Any]) -> None:
        for pattern in _patterns(part):
            self.compiled += pattern_bytes(pattern)
            self.patterns += pattern_bytes(pattern) + CACHE
        if self.patterns > MOST_PATTERNS:
            raise _Unknown


def _check_base(part: Mapping[str, Any]) -> None:
    """_Unknown where references inside this part are not from the root of the schema."""
    if any(isinstance(part.get(word), str) and not part[word].startswith("#") for word in ("$id", "id")):
        raise _Unknown


def _schemas(root: Mapping[str, Any], word: str, value: Any) -> Iterator[Mapping[str, Any]]:
    """The schemas that stand at a word. What is none is left out: the engine refuses or ignores it."""
    if word == "$ref":
        value = _target(root, value)
    if word in MAPS:
        value = list(value.values()) if isinstance(value, dict) else []
    for part in value if isinstance(value, list) else [value]:
        if isinstance(part, dict):
            yield part
        elif part is False:
            yield NEVER


def _target(root: Mapping[str, Any], reference: Any) -> Any:
    """What a reference leads to; None if there is nothing. _Unknown for one that is no path from the root."""
    if not isinstance(reference, str) or not re.match(r"#(/|\Z)", reference):
        raise _Unknown
    part: Any = root
    for step in unquote(reference[1:]).split("/")[1:]:
        step = step.replace("~1", "/").replace("~0", "~")
        if isinstance(part, dict):
            part = part.get(step)
        else:
            part = part[int(step)] if isinstance(part, list) and re.fullmatch("[0-9]{1,6}", step) else None
        if isinstance(part, dict):
            _check_base(part)
    return part


def _share(part: Mapping[str, Any]) -> _Share:
    shares = [_share_of(word, value) for word, value in part.items() if word not in NOTHING]
    return _Share(*map(sum, zip(*shares, strict=True))) if shares else _Share()


def _share_of(word: str, value: Any) -> _Share:
    """Of one word: how often it can complain of a value, what it says then, and how long it takes for a character."""
    if word == "required" and isinstance(value, list):
        return _Share(1 + len(value))
    if word == "dependentRequired" and isinstance(value, dict):
        return _Share(1 + sum(len(names) for names in value.values() if isinstance(names, list)))
    if word in ("const", "not"):
        return _Share(1, len(orjson.dumps(value)))
    if word == "enum" and isinstance(value, list):
        size = len(orjson.dumps(value))
        # Texts and numbers are looked up, all else is compared one by one.
        return _Share(1, size, COMPARED * size if any(isinstance(one, dict | list) for one in value) else 0)
    if word in ("dependentSchemas", "dependencies") and isinstance(value, dict):
        return _Share(1 + len(value), 0, LOOKED_UP * len(value))
    return _Share(1, 0, _reading(word, value))


def _reading(word: str, value: Any) -> int:
    if word in ("pattern", "patternProperties"):
        return sum(int(pattern_bytes(pattern) * PATTERN_BYTE) for pattern in _patterns({word: value}))
    if word == "multipleOf":
        return MULTIPLE if isinstance(value, int) else FRACTION
    known = {"format": FORMAT, "uniqueItems": UNIQUE, "contentMediaType": CONTENT, "contentEncoding": CONTENT}
    return known.get(word, 0)


def _patterns(part: Mapping[str, Any]) -> Iterator[str]:
    if isinstance(part.get("pattern"), str):
        yield part["pattern"]
    if isinstance(part.get("patternProperties"), dict):
        yield from part["patternProperties"]


@functools.lru_cache(maxsize=4_096)
def pattern_bytes(pattern: str) -> int:
    """How large the engine makes a pattern, at most; _Unknown where it is too large, or none that it knows."""
    import jsonschema_rs

    if len(pattern) > MOST_PATTERN:
        raise _Unknown
    for most in PATTERNS:
        try:
            jsonschema_rs.validator_for({"pattern": pattern}, pattern_options=pattern_options(most))
            return most
        except ValueError:
            continue
    raise _Unknown


def pattern_options(most: int = PATTERNS[-1]) -> Any:
    """The engine's options for patterns of so many bytes at most: they take time linear in the text."""
    import jsonschema_rs

    return jsonschema_rs.RegexOptions(size_limit=most, dfa_size_limit=CACHE)


def _levels(graph: _Graph, order: tuple[int, ...], kind: int) -> _Levels:
    """The bound for data of no level, of one, and so on until nothing new comes."""
    own = {part: graph.shares[part][kind] for part in order}
    if not any(own.values()):
        return _Levels((0,), True)
    met = _with_same(graph, order, own)
    if kind == 0 and graph.left_over and sum(met.values()) > MOST_LEFT_OVER:
        raise _Unknown
    numbers, seen = [met[graph.first]], set[tuple[int, ...]]()
    while (state := tuple(met.values())) not in seen:
        if numbers[-1] >= GREATEST or len(numbers) > DEEPEST or len(numbers) * len(order) > MOST_STEPS:
            return _Levels(tuple(numbers), len(numbers) > DEEPEST)
        seen.add(state)
        below = {part: max(_of(met, graph.either[part]), default=0) + sum(_of(met, graph.also[part])) for part in order}
        met = _with_same(graph, order, below)
        numbers.append(max(numbers[-1], met[graph.first]))
    return _Levels(tuple(numbers), True)


def _with_same(graph: _Graph, order: tuple[int, ...], own: dict[int, int]) -> dict[int, int]:
    """What each part takes together with those that are for the same value."""
    met: dict[int, int] = {}
    for part in order:
        met[part] = min(GREATEST, own[part] + graph.times * sum(_of(met, graph.same[part])))
    return met


def _of(met: dict[int, int], parts: Iterable[int]) -> Iterator[int]:
    return (met[part] for part in parts)


def _longest(graph: _Graph, order: tuple[int, ...]) -> int:
    """How many parts that are for the same value are inside each other at most."""
    chains: dict[int, int] = {}
    for part in order:
        chains[part] = 1 + max(_of(chains, graph.same[part]), default=0)
    return max(chains.values())
