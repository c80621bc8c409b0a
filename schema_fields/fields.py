"""marshmallow's fields with two more options: `help` describes the value in the documentation of the API, and an
`optional` field of a response may be absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import fields


class FieldOptions:
    """Mixin with the options."""

    def __init__(
        self, *args: Any, help: str = "", optional: bool = False, metadata: Mapping[str, Any] | None = None, **more: Any
    ) -> None:
        self.is_optional = optional
        described = {**(metadata or {}), "description": help} if help else metadata
        super().__init__(*args, metadata=described, **more)  # type: ignore[call-arg]


class Boolean(FieldOptions, fields.Boolean):
    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> bool | None:
        """Return True or False also for the 0 and 1 of SQLite."""
        return None if value is None else bool(value)


class Dict(FieldOptions, fields.Dict): ...


class Email(FieldOptions, fields.Email): ...


class Float(FieldOptions, fields.Float): ...


class Integer(FieldOptions, fields.Integer): ...


class List(FieldOptions, fields.List[Any]): ...


class Nested(FieldOptions, fields.Nested): ...


class Raw(FieldOptions, fields.Raw): ...


class String(FieldOptions, fields.String): ...
