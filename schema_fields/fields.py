"""marshmallow's fields with three more options.

`help` describes the value in the documentation of the API. An `optional` field of a response may be absent. `from_row`
is a function that computes the value from a row; a dict has it under the name of the field.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from marshmallow import fields


class FieldOptions:
    """Mixin with the options."""

    def __init__(
        self,
        *args: Any,
        help: str = "",
        optional: bool = False,
        from_row: Callable[[Any], Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> None:
        self.is_optional, self.from_row = optional, from_row
        described = {**(metadata or {}), "description": help} if help else metadata
        super().__init__(*args, metadata=described, **more)  # type: ignore[call-arg]

    def get_value(self, obj: Any, *args: Any, **options: Any) -> Any:
        """Return the value of this field of a row or a dict."""
        if self.from_row is None or isinstance(obj, dict):
            return super().get_value(obj, *args, **options)  # type: ignore[misc]
        return self.from_row(obj)


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
