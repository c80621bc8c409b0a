"""Documents from outside, JSON or YAML, as bounded JSON data; resolves their `$ref`s."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeGuard
from urllib.parse import unquote

import orjson

from errors import BadInput, NodeError, TooLarge
from nodes.data import yaml_format
from packs.importing.notes import Notes, quote_name

MAX_BYTES = 5 * 2**20
MAX_DEPTH = 100
MAX_REF = 1_000
MAX_HOPS = 20  # chained `$ref`s


def load_document(document: bytes | dict[str, Any], most: int = MAX_BYTES) -> dict[str, Any]:
    """Return the document, of at most `most` bytes, as JSON data.

    Raises: BadInput if it is neither JSON nor YAML, nested too deeply or expanded by aliases; TooLarge.
    """
    if isinstance(document, bytes):
        if len(document) > most:
            raise TooLarge(f"The document is too large: at most {most:,} bytes can be imported")
        value = _parse(document.removeprefix(b"\xef\xbb\xbf"))
    else:
        value = document
    if is_deep(value, MAX_DEPTH):
        raise BadInput(f"The document is nested more than {MAX_DEPTH} levels deep")
    if not isinstance(value, dict):
        raise BadInput("The document must be an object, as in OpenAPI")
    return value


def _parse(document: bytes) -> Any:
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
        raise BadInput("The text contains several YAML documents: import one at a time")
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
    """A document and the notes on it. Reads return a value of the expected type, or an empty one."""

    def __init__(self, root: dict[str, Any], notes: Notes) -> None:
        self.root, self.notes = root, notes

    def at(self, value: Any, key: str) -> dict[str, Any]:
        """Return the object under this key, with `$ref` resolved; empty if there is none."""
        return self.resolve(value.get(key)) if isinstance(value, dict) else {}

    def each(self, value: Any, key: str) -> Iterator[dict[str, Any]]:
        """Yield the objects of the list under this key, with each `$ref` resolved."""
        for item in read_list(value, key):
            yield self.resolve(item)

    def resolve(self, value: Any) -> dict[str, Any]:
        """Return the object, or the target of its `$ref`. Raises: BadInput if that is outside of the document."""
        for _ in range(MAX_HOPS):
            if not isinstance(value, dict):
                return {}
            ref = value.get("$ref")
            if not isinstance(ref, str):
                return value
            value = self.target(ref)
        self.notes.add("A $ref that refers to itself is ignored")
        return {}

    def target(self, ref: str) -> Any:
        """Return the target of the `$ref` (RFC 6901); an empty object, with a note, if there is none."""
        if len(ref) > MAX_REF:
            self.notes.add(f"A $ref longer than {MAX_REF:,} characters is ignored")
            return {}
        if not ref.startswith("#"):
            raise BadInput(
                f"The $ref {quote_name(ref)} is outside of the document: bundle everything into one file first"
            )
        found: Any = self.root
        for part in ref[1:].split("/")[1:]:
            key = unquote(part).replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict) and key in found:
                found = found[key]
            elif isinstance(found, list) and key.isdecimal() and len(key) < 6 and int(key) < len(found):
                found = found[int(key)]
            else:
                self.notes.add(f"The $ref {quote_name(ref)} has no target, and is ignored")
                return {}
        return found


# Lists are cut, because a list behind a `$ref` may be read again for every operation.
def read_list(value: Any, key: str, most: int = 200) -> list[Any]:
    """Return at most `most` items of the list under this key; empty if there is none."""
    found = value.get(key) if isinstance(value, dict) else None
    return found[:most] if isinstance(found, list) else []


def read_line(value: Any, key: str, most: int) -> str:
    """Return the text under this key in one line of at most `most` characters; empty if there is none."""
    found = value.get(key) if isinstance(value, dict) else None
    if not isinstance(found, str):
        return ""
    line = " ".join("".join(char if char.isprintable() else " " for char in found[: 4 * most]).split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def is_name(value: Any) -> TypeGuard[str]:
    """Return True if the value can be stored as a name: text of 1 to 200 characters, as every operation has a copy."""
    return isinstance(value, str) and 0 < len(value) <= 200


def is_small(value: Any, most: int) -> bool:
    """Return True if the value has at most about `most` characters; stops early for a large one."""
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
