"""Flat rows as data for JSON, quickly: what a schema says about its fields is worked out once, not for every value.

No marshmallow here: schemas.py decides which of its fields are this simple.
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
    """`2026-01-01T00:00:00.000Z`."""
    return _format_seconds(ms // 1000) + MILLISECONDS[ms % 1000]


@lru_cache(1024)
def _format_seconds(seconds: int) -> str:
    # The times of a row are mostly of the same second, and so are those of rows that stand side by side.
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:19]


def fragment(value: Any) -> Any:
    """JSON text as what orjson puts through without parsing it; other data as it is."""
    return orjson.Fragment(value) if isinstance(value, str | bytes) else value


class Column(NamedTuple):
    """One value of a row: its key in the answer, its attribute, and what writes it; None for as it is."""

    key: str
    attribute: str
    write: Callable[[Any], Any] | None


class RowWriter:
    """Writes rows, objects or dicts, of these columns, at least two, in their order; None stays None."""

    def __init__(self, columns: Sequence[Column]) -> None:
        names = [column.attribute for column in columns]
        self.keys = [column.key for column in columns]
        self.of_dict, self.of_object = itemgetter(*names), attrgetter(*names)
        self.written = [(column.key, column.write) for column in columns if column.write is not None]

    def dump(self, row: Any) -> dict[str, Any]:
        """The row as data for JSON; KeyError or AttributeError where it lacks a value."""
        values = self.of_dict(row) if isinstance(row, dict) else self.of_object(row)
        found = dict(zip(self.keys, values, strict=True))
        for key, write in self.written:
            if found[key] is not None:
                found[key] = write(found[key])
        return found
