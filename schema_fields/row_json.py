"""Rows as JSON data, fast: a schema's properties are evaluated once, not for every value.

marshmallow is not used here: schema_fields decides which schemas are simple enough.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple

import orjson

MILLISECONDS = [f".{ms:03d}Z" for ms in range(1000)]


def iso(ms: int) -> str:
    """Return a time in milliseconds as `2026-01-01T00:00:00.000Z`."""
    return _format_seconds(ms // 1000) + MILLISECONDS[ms % 1000]


@lru_cache(1024)
def _format_seconds(seconds: int) -> str:
    # Cached, since most times of a row and of its neighbours are in the same second.
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:19]


def fragment(value: Any) -> Any:
    """Return JSON text as a fragment that orjson writes without parsing; other data unchanged."""
    return orjson.Fragment(value) if isinstance(value, str | bytes) else value


class JsonColumn(NamedTuple):
    """One value of a row: its key in JSON, its attribute, and the function that writes it; None: unchanged.

    `from_row` computes the value from an object; a dict has it.
    """

    key: str
    attribute: str
    write: Callable[[Any], Any] | None
    from_row: Callable[[Any], Any] | None = None


class RowWriter:
    """Writes rows, objects or dicts, with at least two columns, in column order. None stays None."""

    def __init__(self, columns: Sequence[JsonColumn]) -> None:
        names = [column.attribute for column in columns]
        self.keys = [column.key for column in columns]
        self.computed = [(column.key, column.from_row) for column in columns if column.from_row is not None]
        # Another attribute holds the place of a value that is computed afterwards.
        first = next((column.attribute for column in columns if column.from_row is None), "__class__")
        stored = [column.attribute if column.from_row is None else first for column in columns]
        self.of_dict, self.of_object = itemgetter(*names), attrgetter(*stored)
        self.written = [(column.key, column.write) for column in columns if column.write is not None]

    def dump(self, row: Any) -> dict[str, Any]:
        """Return the row as data for JSON. Raises: KeyError or AttributeError if a value is missing."""
        is_dict = isinstance(row, dict)
        found = dict(zip(self.keys, self.of_dict(row) if is_dict else self.of_object(row), strict=True))
        if not is_dict:
            for key, from_row in self.computed:
                found[key] = from_row(row)
        for key, write in self.written:
            if found[key] is not None:
                found[key] = write(found[key])
        return found
