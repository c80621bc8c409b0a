"""A document of somebody else, JSON or YAML, as bounded JSON data; and what its `$ref`s point to."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import Any, ClassVar
from urllib.parse import unquote

import orjson
import yaml

from errors import BadInput, TooLarge
from importing.notes import Notes, shown

MAX_BYTES = 5 * 2**20
MAX_DEPTH = 100
MAX_PARTS = 1_000_000  # of YAML, whose aliases may stand for more than is written
MAX_REF = 1_000
MAX_HOPS = 20  # from one `$ref` to the next

_Reader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


_TAG = "tag:yaml.org,2002:"
# What plain text is, as YAML 1.2 has it: `yes`, dates and `1:30` are text.
_IMPLICIT = {
    "merge": (r"<<", "<"),
    "null": (r"~|null|Null|NULL|", "~nN\0"),
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "int": (r"[-+]?[0-9]{1,19}", "-+0123456789"),
    "float": (r"[-+]?(?:\.[0-9]{1,40}|[0-9]{1,40}(?:\.[0-9]{0,40})?)(?:[eE][-+]?[0-9]{1,4})?", "-+.0123456789"),
}
_SCALARS: dict[str, Callable[[str], Any]] = {
    "null": lambda text: None,
    "bool": lambda text: {"true": True, "false": False}[text.lower()],
    "int": int,
    "float": float,
    "str": str,
}


class _Loader(_Reader):
    """Makes JSON of YAML and nothing else. PyYAML's own numbers take quadratic time for `1:1:1:…`."""

    yaml_implicit_resolvers: ClassVar[dict[Any, Any]] = {}
    yaml_constructors: ClassVar[dict[Any, Any]] = {None: _Reader.construct_undefined}


def _scalar(make: Callable[[str], Any]) -> Callable[[Any, Any], Any]:
    return lambda loader, node: make(loader.construct_scalar(node))


for _name, (_pattern, _first) in _IMPLICIT.items():
    _starts = [("" if char == "\0" else char) for char in _first]
    _Loader.add_implicit_resolver(_TAG + _name, re.compile(f"(?:{_pattern})\\Z"), _starts)
for _name, _make in _SCALARS.items():
    _Loader.add_constructor(_TAG + _name, _scalar(_make))
_Loader.add_constructor(f"{_TAG}seq", _Reader.construct_yaml_seq)
_Loader.add_constructor(f"{_TAG}map", _Reader.construct_yaml_map)


def loaded(document: bytes | dict[str, Any]) -> dict[str, Any]:
    """The document as JSON data. BadInput where it is none, is nested too deeply or grows by aliases; TooLarge."""
    if isinstance(document, bytes):
        if len(document) > MAX_BYTES:
            raise TooLarge(f"A document may have {MAX_BYTES:,} bytes")
        value = _parsed(document.removeprefix(b"\xef\xbb\xbf"))
    else:
        value = document
    _check_depth(value)
    if not isinstance(value, dict):
        raise BadInput("The document must be an object, such as OpenAPI has it")
    return value


def _parsed(document: bytes) -> Any:
    if document.lstrip()[:1] == b"{":
        try:
            return orjson.loads(document)
        except orjson.JSONDecodeError as error:
            wrong = f"The document is not JSON: {error.msg} (line {error.lineno}, column {error.colno})"
        if b"\n" not in document:
            raise BadInput(wrong)
    try:
        _check_yaml(document)
        return _plain(yaml.load(document, _Loader))
    except (yaml.YAMLError, ValueError, KeyError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f" (line {mark.line + 1}, column {mark.column + 1})"
        problem = getattr(error, "problem", None) or "it cannot be read"
        raise BadInput(f"The document is neither JSON nor YAML: {str(problem)[:200]}{where}") from None


def _check_yaml(document: bytes) -> None:
    """BadInput for YAML that is nested too deeply, or is much more than it seems once its aliases are followed."""
    sizes: dict[str, int] = {}
    open_: list[tuple[str | None, int]] = []
    total = 0
    for event in yaml.parse(document, _Reader):
        size = 0
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in sizes:
                raise BadInput(f"The document has an alias {shown(event.anchor)} of something that is not complete")
            size = sizes[event.anchor]
        elif isinstance(event, yaml.NodeEvent):
            size = 1
            if isinstance(event, yaml.CollectionStartEvent):
                open_.append((event.anchor, total))
            elif event.anchor is not None:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_.pop()
            if anchor is not None:
                sizes[anchor] = total - before + 1
        total += size
        if total > MAX_PARTS:
            raise BadInput(f"The document has more than {MAX_PARTS:,} parts, those that its aliases repeat included")
        if len(open_) > MAX_DEPTH:
            raise BadInput(f"The document is nested more than {MAX_DEPTH} deep")


def _plain(value: Any) -> Any:
    """What YAML has and JSON has not, as JSON: keys are text, and so are numbers that are none."""
    if isinstance(value, dict):
        return {_key(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return float(value)
    return value


def _key(key: Any) -> str:
    if isinstance(key, bool):
        return "true" if key else "false"
    return "null" if key is None else str(key)


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [child for item in level for child in _children(item)]
        if not level:
            return
    raise BadInput(f"The document is nested more than {MAX_DEPTH} deep")


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


class Document:
    """A document and the notes on it. What is asked of it is of the right kind, or empty."""

    def __init__(self, root: dict[str, Any], notes: Notes) -> None:
        self.root, self.notes = root, notes

    # Lists are cut, since one that is pointed to may be walked once for each operation.

    def at(self, value: Any, key: str) -> dict[str, Any]:
        """The object under this key, with a `$ref` followed; an empty one where there is none."""
        return self.resolved(value.get(key)) if isinstance(value, dict) else {}

    def each(self, value: Any, key: str) -> Iterator[dict[str, Any]]:
        """The objects of the list under this key, with each `$ref` followed."""
        for item in items(value, key):
            yield self.resolved(item)

    def resolved(self, value: Any) -> dict[str, Any]:
        """The object, or what its `$ref` points to. BadInput for one that points out of the document."""
        for _ in range(MAX_HOPS):
            if not isinstance(value, dict):
                return {}
            ref = value.get("$ref")
            if not isinstance(ref, str):
                return value
            value = self.target(ref)
        self.notes.add("A $ref that leads to itself is taken as nothing")
        return {}

    def target(self, ref: str) -> Any:
        """What the `$ref` points to (RFC 6901); an empty object, and a note, where there is nothing."""
        if len(ref) > MAX_REF:
            self.notes.add(f"A $ref is longer than {MAX_REF:,} characters and taken as nothing")
            return {}
        if not ref.startswith("#"):
            raise BadInput(f"$ref {shown(ref)} is outside of the document: put everything into one file first")
        found: Any = self.root
        for part in ref[1:].split("/")[1:]:
            key = unquote(part).replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict) and key in found:
                found = found[key]
            elif isinstance(found, list) and key.isdecimal() and len(key) < 6 and int(key) < len(found):
                found = found[int(key)]
            else:
                self.notes.add(f"There is nothing at {shown(ref)}, which is taken as nothing")
                return {}
        return found


def items(value: Any, key: str, most: int = 200) -> list[Any]:
    """At most so many items of the list under this key; an empty one where there is none."""
    found = value.get(key) if isinstance(value, dict) else None
    return found[:most] if isinstance(found, list) else []


def words(value: Any, key: str, most: int) -> str:
    """The text under this key in one line of at most so many characters; empty where there is none."""
    found = value.get(key) if isinstance(value, dict) else None
    if not isinstance(found, str):
        return ""
    line = " ".join("".join(char if char.isprintable() else " " for char in found[: 4 * most]).split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def is_small(value: Any, most: int) -> bool:
    """Whether the value has at most so many characters, roughly; a large one is not looked at for long."""
    left, stack = most, [value]
    while stack:
        item = stack.pop()
        left -= len(item) + 2 if isinstance(item, str | list | dict) else 4
        if left < 0:
            return False
        if isinstance(item, dict):
            stack += (*item, *item.values())
        elif isinstance(item, list):
            stack += item
    return True
