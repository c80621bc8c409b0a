"""Schema fields and base schemas of requests and responses (see schemas.py)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Sequence, Set
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, ClassVar

from marshmallow import EXCLUDE, RAISE, ValidationError, pre_load, validate
from marshmallow.fields import Field

from parsers.invisible_characters import JOINERS, first_unseen
from schema_fields import fields
from schema_fields.quick_schema import Schema
from schema_fields.row_json import JsonColumn, RowWriter, fragment, iso

MAX_NAME = 200
MAX_TIME = 253_402_300_799_999
# The content of a cursor: an id, or the number of a version or step.
CURSOR = re.compile(r"([a-z]+_[0-9A-HJKMNP-TV-Z]{26}|[0-9]{1,9})\Z")


def password(**options: Any) -> fields.String:
    """Return a field for a new password: 8 to 1,000 characters."""
    return fields.String(validate=validate.Length(8, 1000), metadata={"format": "password"}, **options)


class Time(fields.FieldOptions, Field[int]):
    """Time: milliseconds since 1970 internally; ISO 8601 in UTC with milliseconds and Z in JSON."""

    default_error_messages = {"invalid": "must be a time such as 2026-01-01T00:00:00Z"}

    def __init__(self, **options: Any) -> None:
        super().__init__(metadata={"type": "string", "format": "date-time"}, **options)

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        return None if value is None else iso(value)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        try:
            moment = datetime.fromisoformat(value)
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=UTC)
            ms = int(moment.timestamp() * 1000)
        except (TypeError, ValueError, OverflowError):
            raise self.make_error("invalid") from None
        if not 0 <= ms <= MAX_TIME:
            raise self.make_error("invalid")
        return ms


class Json(fields.FieldOptions, Field[Any]):
    """Any JSON. JSON text from the database is sent without parsing it."""

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        return fragment(value)


class Cursor(fields.String):
    """Start of a page: opaque to clients; internally the id before it."""

    pattern: ClassVar[re.Pattern[str]] = CURSOR
    default_error_messages = {"invalid": "is not a cursor from this server; use the next_cursor of a response"}

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        return self.encode(value)

    @staticmethod
    def encode(value: Any) -> str | None:
        """Return the cursor for clients; None at the end."""
        return None if value is None else base64.urlsafe_b64encode(str(value).encode()).decode().rstrip("=")

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        try:
            text = base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True).decode()
        except (TypeError, ValueError, binascii.Error):
            raise self.make_error("invalid") from None
        if not self.pattern.match(text):
            raise self.make_error("invalid")
        return text


class OneOrMore(fields.FieldOptions, Field[Any]):
    """One or more of a few words, separated by commas; internally a tuple."""

    default_error_messages = {"invalid": "must be one or more of: {words}, separated by commas"}

    def __init__(self, words: Sequence[str], **options: Any) -> None:
        self.words = words
        one = f"({'|'.join(words)})"
        super().__init__(metadata={"type": "string", "pattern": f"^{one}(,{one})*$"}, **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> tuple[str, ...]:
        given = value.split(",") if isinstance(value, str) else []
        if not given or any(word not in self.words for word in given):
            raise self.make_error("invalid", words=", ".join(self.words))
        return tuple(dict.fromkeys(given))


class Milliseconds(fields.Integer):
    """Milliseconds as a whole number; a stored duration may have a fraction, which is rounded."""

    def _format_num(self, value: Any) -> int:
        return round(value) if isinstance(value, float) else int(value)


# For `duration_us`, beside a `duration_ms`.
PRECISE = "The same duration in microseconds"


class Shape(Schema):
    """Base of all schemas. They are immutable and shared."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Shape:
        # Each decorator of flask-smorest copies the notes of the previous ones.
        return self


class Strict(Shape):
    """Base of request schemas: unknown keys are errors, so that misspelt ones are found."""

    class Meta:
        unknown = RAISE


class Resendable(Shape):
    """Base of request schemas that accept the object as in a response: its `read_only` fields are ignored."""

    read_only: ClassVar[Set[str]] = frozenset()

    @pre_load
    def drop_read_only(self, data: Any, **kwargs: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {key: value for key, value in data.items() if key not in self.read_only}


# Fields that RowWriter can write, with their functions; None: unchanged.
PLAIN: dict[type[Field[Any]], Callable[[Any], Any] | None] = {
    **dict.fromkeys((fields.String, fields.Integer, fields.Float)),
    fields.Boolean: bool,  # SQLite has 0 and 1
    Time: iso,
    Json: fragment,
    Milliseconds: round,
}


class Out(Shape):
    """Base of response schemas: all fields are required except `optional` ones, and later versions may add some."""

    class Meta:
        unknown = EXCLUDE

    def on_bind_field(self, field_name: str, field_obj: Field[Any]) -> None:
        field_obj.required = not getattr(field_obj, "is_optional", False)

    @cached_property
    def flat(self) -> RowWriter | None:
        """Return the fast writer, if all fields are plain: marshmallow makes seven calls for each value of a row."""
        given = self.dump_fields.items()
        dotted = any("." in (field.attribute or "") for _, field in given)
        if len(given) < 2 or dotted or any(type(field) not in PLAIN for _, field in given):
            return None
        return RowWriter(
            [
                JsonColumn(
                    field.data_key or name,
                    field.attribute or name,
                    PLAIN[type(field)],
                    getattr(field, "from_row", None),
                )
                for name, field in given
            ]
        )

    def _serialize(self, obj: Any, *, many: bool = False) -> Any:
        if many:
            return [self._serialize(item) for item in obj]
        if self.flat is None:
            return super()._serialize(obj)
        try:
            return self.flat.dump(obj)
        except (KeyError, AttributeError):
            # marshmallow leaves out missing attributes.
            return super()._serialize(obj)


class Items(fields.List):
    """List of nested objects, dumped in one call instead of one for each item."""

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        nested: Any = self.inner
        return nested.schema.dump(value, many=True)


class Whole(fields.Integer):
    """A whole number; in a query, plain digits."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        if isinstance(value, str) and not re.fullmatch(r"-?[0-9]{1,15}", value, re.ASCII):
            raise self.make_error("invalid", input=value)
        number: int = super()._deserialize(value, attr, data, **kwargs)
        return number


def text(max_length: int, min_length: int = 1, is_stored: bool = True, **options: Any) -> fields.String:
    """Return a text field with length limits and without NUL, which not all databases store. Blank text is refused,
    unless it may be empty. Stored text of name length has no invisible or reordering characters.
    """

    def check(value: str) -> None:
        if "\0" in value:
            raise ValidationError("must not contain the character NUL")
        if min_length and not value.strip():
            raise ValidationError("must not be blank")
        if is_stored and max_length <= MAX_NAME and (hidden := first_unseen(value, but=JOINERS)) is not None:
            raise ValidationError(f"must not contain {hidden}, an invisible character")

    return fields.String(validate=[validate.Length(min_length, max_length), check], **options)


def choice(options: tuple[str, ...], **more: Any) -> fields.String:
    """Return a field for one of a few words."""
    return fields.String(validate=validate.OneOf(options), **more)
