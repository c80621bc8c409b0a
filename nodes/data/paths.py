"""Paths into data, such as `customer.address.city` or `lines.0.price`, in configs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from marshmallow import ValidationError, fields

from nodes.fields import setting

MAX_PATHS, MAX_PATH = 50, 500
MISSING: Any = type("Missing", (), {"__repr__": lambda self: "MISSING"})()


class Path(NamedTuple):
    """A path as written, and its parts."""

    whole: str
    parts: tuple[str, ...]

    @property
    def last(self) -> str:
        """Return the last part."""
        return self.parts[-1] if self.parts else ""


def path(written: str) -> Path:
    """Return the path of this text; the empty path is the value itself."""
    return Path(written, tuple(written.split(".")) if written else ())


def read(value: Any, path: Path) -> Any:
    """Return the value at the path, or MISSING.

    A number is an index of a list, from 0. A key with dots (`Inv. no.`) is found by its whole name.
    """
    if isinstance(value, dict) and path.whole in value and path.parts:
        return value[path.whole]
    for part in path.parts:
        if isinstance(value, dict):
            value = value.get(part, MISSING)
        elif isinstance(value, list) and part.isdecimal() and len(part) < 10 and int(part) < len(value):
            value = value[int(part)]
        else:
            return MISSING
    return value


def replace(value: Any, path: Path, new: Any) -> Any:
    """Return the value with the existing path replaced, sharing everything else."""
    if isinstance(value, dict) and path.whole in value and path.parts:
        return {**value, path.whole: new}
    return _replace(value, path.parts, new)


def _replace(value: Any, parts: tuple[str, ...], new: Any) -> Any:
    if not parts:
        return new
    if isinstance(value, dict):
        return {**value, parts[0]: _replace(value[parts[0]], parts[1:], new)}
    place = int(parts[0])
    return [*value[:place], _replace(value[place], parts[1:], new), *value[place + 1 :]]


def names_of(paths: Iterable[Path]) -> list[str]:
    """Return a name for each path: its last part, or the whole path if two would be equal."""
    paths = list(paths)
    lasts = [path.last for path in paths]
    return [path.last if lasts.count(path.last) == 1 else path.whole for path in paths]


class PathField(fields.Field[Path]):
    """One path."""

    default_error_messages = {"invalid": "Must be a path such as customer.name."}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Path:
        if not isinstance(value, str) or not 1 <= len(value) <= MAX_PATH:
            raise self.make_error("invalid")
        return path(value)


class PathsField(fields.Field[list[Path]]):
    """Paths: a list of texts, or one text with commas."""

    default_error_messages = {"invalid": "Must be a path such as customer.name, or a list of such."}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[Path]:
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",") if part.strip()]
        if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
            raise self.make_error("invalid")
        if len(value) > MAX_PATHS or any(not 1 <= len(part) <= MAX_PATH for part in value):
            raise ValidationError(f"Must be at most {MAX_PATHS} paths of 1 to {MAX_PATH} characters.")
        if twice := sorted({part for part in value if value.count(part) > 1}):
            raise ValidationError(f"Must differ from each other; remove the second {twice[0]}.")
        return [path(part) for part in value]


def one_path(help: str, **options: Any) -> Any:
    """Return a literal field for one path."""
    return setting(PathField, help, literal=True, metadata={"type": "string"}, **options)


def many_paths(help: str, kind: type[PathsField] = PathsField, **options: Any) -> Any:
    """Return a literal field for paths; none by default."""
    metadata = {"type": ["array", "string"], "items": {"type": "string"}}
    return setting(kind, help, literal=True, load_default=[], metadata=metadata, **options)
