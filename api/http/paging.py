"""Pages of lists: the arguments `limit` and `cursor`, and the response with `next_cursor`."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, ClassVar

from marshmallow import Schema, validate
from marshmallow.fields import Field

import fields
from fields import Items, Out, Shape, String, Whole

# The content of a cursor: an id, or the number of a version or step.
CURSOR = re.compile(r"([a-z]+_[0-9A-HJKMNP-TV-Z]{26}|[0-9]{1,9})\Z")


class Cursor(String):
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


class PageArgs(Shape):
    limit = Whole(load_default=50, validate=validate.Range(1, 200))
    cursor = Cursor(load_default=None)


MAX_WHOLE = 1_000


class WholeArgs(Shape):
    """Arguments of lists that return up to MAX_WHOLE items unless a limit is given."""

    limit = Whole(load_default=None, validate=validate.Range(1, 200), help=f"Without it, up to {MAX_WHOLE}")
    cursor = Cursor(load_default=None)


class Place(Cursor):
    """Cursor with the number of items before the page."""

    pattern = re.compile(r"[0-9]{1,9}\Z")


class SliceArgs(Shape):
    """Arguments of short lists, which `slice_of` cuts if a limit is given."""

    limit = Whole(load_default=None, validate=validate.Range(1, 200), help="Default: all")
    cursor = Place(load_default=None)


def slice_of(items: Sequence[Any], args: Mapping[str, Any]) -> dict[str, Any]:
    """Return the page of a whole list for its SliceArgs: items and next cursor."""
    first = int(args["cursor"] or 0)
    end = len(items) if args["limit"] is None else first + args["limit"]
    return {"items": items[first:end], "next_cursor": str(end) if end < len(items) else None}


@cache
def listed(item: type[Shape], **more: Field[Any]) -> Schema:
    """Return the schema of a list response: `{"items": […], "next_cursor": text or null}`, and `more` fields."""
    shape: dict[str, Field[Any]] = {
        "items": Items(fields.Nested(item)),
        "next_cursor": Cursor(allow_none=True, optional=True),
        **more,
    }
    return Out.from_dict(shape, name=f"{item.__name__}{'Found' if more else ''}List")()
