"""A document of somebody else, JSON or YAML, as bounded JSON data; and what its `$ref`s point to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeGuard
from urllib.parse import unquote

import orjson

from errors import BadInput, NodeError, TooLarge
from importing.notes import Notes, shown
from nodes.data import yaml_format

MAX_BYTES = 5 * 2**20
MAX_DEPTH = 100
MAX_REF = 1_000
MAX_HOPS = 20  # from one `$ref` to the next


def loaded(document: bytes | dict[str, Any]) -> dict[str, Any]:
    """The document as JSON data. BadInput where it is none, is nested too deeply or grows by aliases; TooLarge."""
    if isinstance(document, bytes):
        if len(document) > MAX_BYTES:
            raise TooLarge(f"A document may have {MAX_BYTES:,} bytes")
        value = _parsed(document.removeprefix(b"\xef\xbb\xbf"))
    else:
        value = document
    if is_deep(value, MAX_DEPTH):
        raise BadInput(f"The document is nested more than {MAX_DEPTH} deep")
    if not isinstance(value, dict):
        raise BadInput("The document must be an object, such as OpenAPI has it")
    return value


def _parsed(document: bytes) -> Any:
    try:
        return orjson.loads(document)
    except orjson.JSONDecodeError as error:
        if document.lstrip()[:1] == b"{" and b"\n" not in document:
            raise BadInput(f"The document is not JSON: {error.msg} (column {error.colno})") from None
    try:
        found = yaml_format.parse(document.decode(), several=True)
    except UnicodeDecodeError:
        raise BadInput("The document is not UTF-8 text") from None
    except NodeError as error:
        problem = error.message.removeprefix("data is not YAML: ")
        raise BadInput(f"The document is neither JSON nor YAML: {problem}") from None
    if len(found) > 1:
        raise BadInput("The text holds several documents of YAML: import one at a time")
    return found[0] if found else None


def is_deep(value: Any, most: int) -> bool:
    """Return True if the data has more than `most` levels."""
    level = [value]
    for _ in range(most):
        inner = [item.values() if isinstance(item, dict) else item for item in level if isinstance(item, dict | list)]
        level = [child for children in inner for child in children]
        if not level:
            return False
    return True


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


def is_name(value: Any) -> TypeGuard[str]:
    """Whether it is a name that can be kept: text, not empty and not long, for it is kept with each operation."""
    return isinstance(value, str) and 0 < len(value) <= 200


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
