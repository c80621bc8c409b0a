"""Body fields: `a=1&b=2` and JSON as config that the node sends back unchanged, without expressions and secrets."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

from expressions import escape
from packs.importing.json_document import is_deep
from packs.importing.notes import quote_name
from packs.importing.secret_detection import Suggestions, is_secret_field

MAX_DEPTH = 50
Fields = dict[str, str | list[str]]


def parse_fields(text: str) -> Fields | None:
    """Return the fields by name, with a list for a repeated one; None if the node would send something else."""
    if not text or not all("=" in part for part in text.split("&")):
        return None
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=True, errors="strict")
    except ValueError:
        return None
    grouped: dict[str, list[str]] = {}
    for name, value in pairs:
        grouped.setdefault(name, []).append(value)
    if [(name, value) for name, values in grouped.items() for value in values] != pairs:
        return None
    return {name: values[0] if len(values) == 1 else values for name, values in grouped.items()}


def guard_fields(fields: Fields, secrets: Suggestions, in_query: bool = False) -> dict[str, Any]:
    """Return the fields as config: text is escaped, and likely secrets become references to a credential."""
    guarded: dict[str, Any] = {}
    for name, value in fields.items():
        if is_secret_field(name, in_query):
            guarded[name] = secrets.add_secret(name, _source(name, in_query))
        else:
            guarded[name] = [escape(item) for item in value] if isinstance(value, list) else escape(value)
    return guarded


def guard_text(text: str, secrets: Suggestions, in_query: bool = False) -> str:
    """Do the same for a text that cannot be written as fields."""
    parts = []
    for part in text.split("&"):
        name, equals, _ = part.partition("=")
        if equals and is_secret_field(name, in_query):
            parts.append(escape(f"{name}=") + secrets.add_secret(name, _source(name, in_query)))
        else:
            parts.append(escape(part))
    return "&".join(parts)


def _source(name: str, in_query: bool) -> str:
    return f"the {'query' if in_query else 'body'}, {quote_name(name)}"


class NotReproducible(ValueError):
    """JSON that would change when it is read and written."""


def parse_json(text: str) -> Any:
    """Parse a JSON text. Raises: NotReproducible if it is not JSON, or a node would not send the same data again."""
    try:
        value = json.loads(text, parse_int=_integer)
        written = json.dumps(value, ensure_ascii=False, allow_nan=False)
        written.encode()  # fails on half a surrogate pair
        # Repeated keys, and numbers with more digits than a float has, are lost.
        is_same = _load_exactly(written) == _load_exactly(text)
    except (ValueError, ArithmeticError, RecursionError):
        raise NotReproducible from None
    if not is_same or is_deep(value, MAX_DEPTH):
        raise NotReproducible
    return value


def _load_exactly(text: str) -> Any:
    """Parse a JSON text without loss: objects as pairs, numbers as decimals."""
    return json.loads(text, object_pairs_hook=tuple, parse_float=Decimal)


def _integer(text: str) -> int:
    number = int(text)
    if not -(2**63) <= number < 2**63:
        raise NotReproducible
    return number


def guard_json(value: Any, secrets: Suggestions) -> Any:
    """Return the data as config: text is escaped, and likely secrets become references to a credential."""
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, list):
        return [guard_json(item, secrets) for item in value]
    if not isinstance(value, dict):
        return value
    guarded = {}
    for name, item in value.items():
        if isinstance(item, str) and item and is_secret_field(name):
            guarded[name] = secrets.add_secret(name, _source(name, in_query=False))
        else:
            guarded[name] = guard_json(item, secrets)
    return guarded
