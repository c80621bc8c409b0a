"""marshmallow's fields with two more options: `help` describes the value in the documentation of the API, and an
`optional` field of a response may be absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import fields


class Options:
    """Mixin with the options."""

    def __init__(
        self, *args: Any, help: str = "", optional: bool = False, metadata: Mapping[str, Any] | None = None, **more: Any
    ) -> None:
        self.is_optional = optional
        described = {**(metadata or {}), "description": help} if help else metadata
        super().__init__(*args, metadata=described, **more)  # type: ignore[call-arg]


class Boolean(Options, fields.Boolean):
    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> bool | None:
        """Return True or False also for the 0 and 1 of SQLite."""
        return None if value is None else bool(value)


class Dict(Options, fields.Dict): ...


class Email(Options, fields.Email): ...


class Float(Options, fields.Float): ...


class Integer(Options, fields.Integer): ...


class List(Options, fields.List[Any]): ...


class Nested(Options, fields.Nested): ...


class Raw(Options, fields.Raw): ...


class String(Options, fields.String): ...
