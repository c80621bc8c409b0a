"""The kinds of fields and schemas that everything on the wire is made of (see schemas.py)."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, ClassVar

from marshmallow import EXCLUDE, RAISE, Schema, ValidationError, fields, validate

from parsers.invisible_characters import JOINERS, first_unseen
from schema_fields.row_json import Column, RowWriter, fragment, iso

MAX_NAME = 200
MAX_TIME = 253_402_300_799_999
# What a cursor holds: an id, or the number of a version or step.
CURSOR = re.compile(r"([a-z]+_[0-9A-HJKMNP-TV-Z]{26}|[0-9]{1,9})\Z")


def password(**options: Any) -> fields.String:
    """Return the field of a password to set: 8 to 1,000 characters."""
    told = {"format": "password", **options.pop("metadata", {})}
    return fields.String(validate=validate.Length(8, 1000), metadata=told, **options)


class Time(fields.Field[int]):
    """Milliseconds since 1970 inside; ISO 8601 in UTC with milliseconds and Z outside."""

    default_error_messages = {"invalid": "must be a time such as 2026-01-01T00:00:00Z"}

    def __init__(self, **options: Any) -> None:
        shape = {"type": "string", "format": "date-time"}
        super().__init__(metadata={**shape, **options.pop("metadata", {})}, **options)

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


class Json(fields.Field[Any]):
    """Any JSON. Text of the database goes out as it is, without being parsed."""

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        return fragment(value)


class Cursor(fields.String):
    """Where a page begins: opaque to clients, the id before it inside."""

    inside: ClassVar[re.Pattern[str]] = CURSOR
    default_error_messages = {"invalid": "is not a cursor that this server gave"}

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        return self.encode(value)

    @staticmethod
    def encode(value: Any) -> str | None:
        """What a client is given for this place; None for the end."""
        return None if value is None else base64.urlsafe_b64encode(str(value).encode()).decode().rstrip("=")

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        try:
            text = base64.b64decode(value + "=" * (-len(value) % 4), altchars=b"-_", validate=True).decode()
        except (TypeError, ValueError, binascii.Error):
            raise self.make_error("invalid") from None
        if not self.inside.match(text):
            raise self.make_error("invalid")
        return text


class OneOrMore(fields.Field[Any]):
    """Some of a few words, separated by commas; a tuple of them inside."""

    default_error_messages = {"invalid": "must be some of {words}, separated by commas"}

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
    """A whole number of milliseconds; a stored duration may have a fraction, which is rounded."""

    def _format_num(self, value: Any) -> int:
        return round(value) if isinstance(value, float) else int(value)


# Of `duration_us`, beside a `duration_ms`.
PRECISE = {"description": "The same duration in microseconds"}


class Shape(Schema):
    """Base of all schemas of the wire. Nothing changes one once it is made, so all may share it."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Shape:
        # Each decorator of flask-smorest copies what those before it noted of the view.
        return self


class Strict(Shape):
    """Base of what comes in: a key that is not known is an error, so that a slip of the pen is found."""

    class Meta:
        unknown = RAISE


# Fields whose values need nobody but this to go out; None for as they are.
PLAIN: dict[type[fields.Field[Any]], Callable[[Any], Any] | None] = {
    **dict.fromkeys((fields.String, fields.Integer, fields.Float, fields.Boolean)),
    Time: iso,
    Json: fragment,
    Milliseconds: round,
}


class Out(Shape):
    """Base of what goes out: later versions may say more, so nothing promises that there is no more."""

    class Meta:
        unknown = EXCLUDE

    @cached_property
    def flat(self) -> RowWriter | None:
        """The quick way, for a schema of plain fields alone: marshmallow makes seven calls for each value of a row."""
        given = self.dump_fields.items()
        dotted = any("." in (field.attribute or "") for _, field in given)
        if len(given) < 2 or dotted or any(type(field) not in PLAIN for _, field in given):
            return None
        return RowWriter(
            [Column(field.data_key or name, field.attribute or name, PLAIN[type(field)]) for name, field in given]
        )

    def _serialize(self, obj: Any, *, many: bool = False) -> Any:
        if many:
            return [self._serialize(item) for item in obj]
        if self.flat is None:
            return super()._serialize(obj)
        try:
            return self.flat.dump(obj)
        except (KeyError, AttributeError):
            # What an object lacks is left out, which marshmallow does.
            return super()._serialize(obj)


class Items(fields.List[Any]):
    """A list of nested objects that goes out as one, without asking the field for each."""

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        nested: Any = self.inner
        return nested.schema.dump(value, many=True)


class Whole(fields.Integer):
    """A whole number, in a query written in plain digits."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        if isinstance(value, str) and not re.fullmatch(r"-?[0-9]{1,15}", value, re.ASCII):
            raise self.make_error("invalid", input=value)
        number: int = super()._deserialize(value, attr, data, **kwargs)
        return number


def text(longest: int, shortest: int = 1, is_kept: bool = True, **options: Any) -> fields.String:
    """A bounded text without NUL, which no database takes everywhere; not of blanks alone, unless it may be empty.

    One that is kept and no longer than a name has no characters that nobody sees, or that move others.
    """

    def good(value: str) -> None:
        if "\0" in value:
            raise ValidationError("must not contain the character NUL")
        if shortest and not value.strip():
            raise ValidationError("must not be blank")
        if is_kept and longest <= MAX_NAME and (hidden := first_unseen(value, but=JOINERS)) is not None:
            raise ValidationError(f"must not contain {hidden}, a character that nobody sees")

    return fields.String(validate=[validate.Length(shortest, longest), good], **options)


def choice(options: tuple[str, ...], **more: Any) -> fields.String:
    """One of a few words."""
    return fields.String(validate=validate.OneOf(options), **more)
