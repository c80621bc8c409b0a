"""`a=1&b=2` and JSON texts as data that a node writes back to the same, with no expression and no secret in it."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

from expressions import escape
from importing.documents import is_deep
from importing.notes import shown
from importing.secret_detection import Suggestions, is_secret_field

DEEPEST = 50
Fields = dict[str, str | list[str]]


def fields_of(text: str) -> Fields | None:
    """The fields by name, a list for one that comes several times; None where the node would send something else."""
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


def guarded_fields(fields: Fields, secrets: Suggestions, in_query: bool = False) -> dict[str, Any]:
    """The fields as a config has them: text is no expression, and what looks like a secret stays out."""
    guarded: dict[str, Any] = {}
    for name, value in fields.items():
        if is_secret_field(name, in_query):
            guarded[name] = secrets.stand_in(name, _source(name, in_query))
        else:
            guarded[name] = [escape(item) for item in value] if isinstance(value, list) else escape(value)
    return guarded


def guarded_text(text: str, secrets: Suggestions, in_query: bool = False) -> str:
    """The same for a text that cannot be written as fields."""
    parts = []
    for part in text.split("&"):
        name, equals, _ = part.partition("=")
        if equals and is_secret_field(name, in_query):
            parts.append(escape(f"{name}=") + secrets.stand_in(name, _source(name, in_query)))
        else:
            parts.append(escape(part))
    return "&".join(parts)


def _source(name: str, in_query: bool) -> str:
    return f"the {'query' if in_query else 'body'}, {shown(name)}"


class NotTheSame(ValueError):
    """JSON that would not survive being read and written."""


def json_of(text: str) -> Any:
    """The data of a JSON text. NotTheSame where a node would not send the same data again, or the text is no JSON."""
    try:
        value = json.loads(
            text, object_pairs_hook=_object, parse_int=_integer, parse_float=_number, parse_constant=_constant
        )
        json.dumps(value, ensure_ascii=False).encode()  # fails on half a surrogate pair
    except (ValueError, ArithmeticError, RecursionError):
        raise NotTheSame from None
    if is_deep(value, DEEPEST):
        raise NotTheSame
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise NotTheSame
    return made


def _integer(text: str) -> int:
    number = int(text)
    if not -(2**63) <= number < 2**63:
        raise NotTheSame
    return number


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number) or Decimal(repr(number)) != Decimal(text):
        raise NotTheSame
    return number


def _constant(name: str) -> Any:
    raise NotTheSame


def guarded_json(value: Any, secrets: Suggestions) -> Any:
    """The data as a config has it: text is no expression, and what looks like a secret stays out."""
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, list):
        return [guarded_json(item, secrets) for item in value]
    if not isinstance(value, dict):
        return value
    guarded = {}
    for name, item in value.items():
        if isinstance(item, str) and item and is_secret_field(name):
            guarded[name] = secrets.stand_in(name, _source(name, in_query=False))
        else:
            guarded[name] = guarded_json(item, secrets)
    return guarded
