"""Paths of webhooks with parameters, such as `orders/:id`: their shape, their overlaps, and the search for a match.

The shape of a path is the path without the names of its parameters: `orders/:`. The table
stores shapes, so its primary key rejects two paths that match the same calls. Paths are compared part by part, without
regular expressions from user input.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

PARAM = ":"
MAX_CALLED = 4_096  # characters of a called path that are compared; a request line is not longer


def shape_of(path: str) -> str:
    """Return the path without the names of its parameters."""
    if PARAM not in path:
        return path
    return "/".join(PARAM if part.startswith(PARAM) else part for part in path.split("/"))


def read_params(path: str, called: str) -> dict[str, str]:
    """Return the parameters of a call by name: those of `orders/:id` for a called path that matches it."""
    pairs = zip(path.split("/"), called.split("/"), strict=False)
    return {name[1:]: value for name, value in pairs if name.startswith(PARAM)}


def is_match(shape: str, called: str) -> bool:
    """Return True if a call of this path belongs to the shape. A parameter is never empty."""
    parts, given = shape.split("/"), called.split("/")
    return len(parts) == len(given) and all(
        part == value or (part == PARAM and value != "") for part, value in zip(parts, given, strict=True)
    )


def do_overlap(shape: str, other: str) -> bool:
    """Return True if a called path could belong to both shapes."""
    parts, others = shape.split("/"), other.split("/")
    return len(parts) == len(others) and all(
        part == another or PARAM in (part, another) for part, another in zip(parts, others, strict=True)
    )


class Patterns:
    """The shapes with parameters, indexed by their first part, which is always fixed, and by their number of parts."""

    def __init__(self, shapes: Iterable[str]) -> None:
        found: dict[tuple[str, int], list[str]] = {}
        for shape in sorted(shapes, key=_precedence):
            parts = shape.split("/")
            found.setdefault((parts[0], len(parts)), []).append(shape)
        self._shapes: Mapping[tuple[str, int], list[str]] = found

    def find(self, called: str) -> list[str]:
        """Return the shapes that match the called path. A fixed part takes precedence over a parameter."""
        if not self._shapes or len(called) > MAX_CALLED:
            return []
        key = called.partition("/")[0], called.count("/") + 1
        return [shape for shape in self._shapes.get(key, ()) if is_match(shape, called)]


def _precedence(shape: str) -> tuple[list[bool], str]:
    return [part == PARAM for part in shape.split("/")], shape
