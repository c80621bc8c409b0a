"""Paths of webhooks with parameters, such as `orders/:id`: their shape, their overlaps, and the search for a match.

The shape of a path is the path without the names of its parameters: `orders/:`. The table
stores shapes, so its primary key rejects two paths that match the same calls. Paths are compared part by part, without
regular expressions from user input.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

PARAM = ":"
MAX_CALLED = 4_096  # characters of a called path that are compared; a request line is not longer


def shape_of(path: str) -> str:
    """Return the path without the names of its parameters."""
    if PARAM not in path:
        return path
    return "/".join(PARAM if part.startswith(PARAM) else part for part in path.split("/"))


def read_params(path: str, called: Sequence[str]) -> dict[str, str]:
    """Return the parameters of a call by name: those of `orders/:id` for the parts of a path that matches it."""
    pairs = zip(path.split("/"), called, strict=False)
    return {name[1:]: value for name, value in pairs if name.startswith(PARAM)}


def is_match(shape: str, called: Sequence[str]) -> bool:
    """Return True if a call with these parts of its path belongs to the shape. A parameter is never empty."""
    parts = shape.split("/")
    return len(parts) == len(called) and all(
        part == value or (part == PARAM and value != "") for part, value in zip(parts, called, strict=True)
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

    def find(self, called: Sequence[str]) -> list[str]:
        """Return the shapes that match these parts of a path. A fixed part takes precedence over a parameter."""
        if not self._shapes or sum(map(len, called)) > MAX_CALLED:
            return []
        key = called[0], len(called)
        return [shape for shape in self._shapes.get(key, ()) if is_match(shape, called)]


def _precedence(shape: str) -> tuple[list[bool], str]:
    return [part == PARAM for part in shape.split("/")], shape
