"""The fields and base schemas of which requests, responses and the settings of nodes are made (see schemas.py)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence, Set
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from operator import attrgetter, itemgetter
from typing import Any, ClassVar, NamedTuple

import marshmallow
import orjson
from marshmallow import EXCLUDE, RAISE, ValidationError, fields, pre_load, validate
from marshmallow.fields import Field
from marshmallow.schema import SchemaMeta

# Invisible characters, and characters that reorder others: with them, a text can look like another or like nothing.

# Letters that look like spaces, and invisible marks: the grapheme joiner and all variation selectors, which can hide
# whole texts behind one letter. All other invisible characters count as not printable.
UNSEEN = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
    + "".join(map(chr, (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))
)
# Invisible characters required by some scripts and emoji; and line breaks, for multi-line texts.
JOINERS = "\u200c\u200d\ufe0e\ufe0f"
OF_TEXTS = f"\n\r\t{JOINERS}"


def visible(text: str, but: str = "") -> str:
    """Return the text with invisible and reordering characters as JSON escapes, except those in `but`."""
    if text.isprintable() and UNSEEN.isdisjoint(text):
        return text
    return "".join(letter if letter in but or is_seen(letter) else json.dumps(letter)[1:-1] for letter in text)


def is_seen(letter: str) -> bool:
    """Return True for a visible character or a space."""
    return letter.isprintable() and letter not in UNSEEN


def first_unseen(text: str, but: str = "") -> str | None:
    """Return the first invisible or reordering character not in `but`, as `U+202E`, or None."""
    if text.isprintable() and UNSEEN.isdisjoint(text):
        return None
    found = next((letter for letter in text if letter not in but and not is_seen(letter)), None)
    return None if found is None else f"U+{ord(found):04X}"


# A marshmallow schema whose classes are created in a tenth of the time.


class _Meta(SchemaMeta):
    # Those of `abc` ask and remember for each class whether each type that was ever compared is one of it: 0.7 MB.
    __instancecheck__ = type.__instancecheck__
    __subclasscheck__ = type.__subclasscheck__

    def resolve_hooks(cls) -> dict[str, list[tuple[str, bool, dict[str, Any]]]]:
        """Return the methods that are hooks. marshmallow looks at every attribute of every class, 25 ms at each start.

        A class without hooks of its own has those of its one base.
        """
        base = cls.__base__
        inherited = getattr(base, "_hooks", None)
        names = {name for hooks in (inherited or {}).values() for name, _, _ in hooks}
        own = vars(cls)
        has_own = any(hasattr(value, "__marshmallow_hook__") for value in own.values())
        if inherited is None or has_own or len(cls.__bases__) > 1 or not names.isdisjoint(own):
            return super().resolve_hooks()
        return inherited


class Schema(marshmallow.Schema, metaclass=_Meta):
    """Base of all schemas of requests, responses and settings."""


# Rows as JSON data, fast: a schema's properties are evaluated once, not for every value.
#
# marshmallow is not used for this; `Out.flat` decides which schemas are simple enough.

MILLISECONDS = [f".{ms:03d}Z" for ms in range(1000)]


def iso(ms: int) -> str:
    """Return a time in milliseconds as `2026-01-01T00:00:00.000Z`."""
    return _format_seconds(ms // 1000) + MILLISECONDS[ms % 1000]


@lru_cache(1024)
def _format_seconds(seconds: int) -> str:
    # Cached, since most times of a row and of its neighbours are in the same second.
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:19]


def fragment(value: Any) -> Any:
    """Return JSON text as a fragment that orjson writes without parsing; other data unchanged."""
    return orjson.Fragment(value) if isinstance(value, str | bytes) else value


class JsonColumn(NamedTuple):
    """One value of a row: its key in JSON, its attribute, and the function that writes it; None: unchanged.

    `from_row` computes the value from an object; a dict has it.
    """

    key: str
    attribute: str
    write: Callable[[Any], Any] | None
    from_row: Callable[[Any], Any] | None = None


class RowWriter:
    """Writes rows, objects or dicts, with at least two columns, in column order. None stays None."""

    def __init__(self, columns: Sequence[JsonColumn]) -> None:
        names = [column.attribute for column in columns]
        self.keys = [column.key for column in columns]
        self.computed = [(column.key, column.from_row) for column in columns if column.from_row is not None]
        # Another attribute holds the place of a value that is computed afterwards.
        first = next((column.attribute for column in columns if column.from_row is None), "__class__")
        stored = [column.attribute if column.from_row is None else first for column in columns]
        self.of_dict, self.of_object = itemgetter(*names), attrgetter(*stored)
        self.written = [(column.key, column.write) for column in columns if column.write is not None]

    def dump(self, row: Any) -> dict[str, Any]:
        """Return the row as data for JSON. Raises: KeyError or AttributeError if a value is missing."""
        is_dict = isinstance(row, dict)
        found = dict(zip(self.keys, self.of_dict(row) if is_dict else self.of_object(row), strict=True))
        if not is_dict:
            for key, from_row in self.computed:
                found[key] = from_row(row)
        for key, write in self.written:
            if found[key] is not None:
                found[key] = write(found[key])
        return found


# marshmallow's fields with three more options.
#
# `help` describes the value in the documentation of the API. An `optional` field of a response may be absent.
# `from_row` is a function that computes the value from a row; a dict has it under the name of the field.


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


# Schema fields and base schemas of requests and responses (see schemas.py).

MAX_NAME = 200
MAX_TIME = 253_402_300_799_999


def password(**options: Any) -> String:
    """Return a field for a new password: 8 to 1,000 characters."""
    return String(validate=validate.Length(8, 1000), metadata={"format": "password"}, **options)


class Time(FieldOptions, Field[int]):
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


class Json(FieldOptions, Field[Any]):
    """Any JSON. JSON text from the database is sent without parsing it."""

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        return fragment(value)


class OneOrMore(FieldOptions, Field[Any]):
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


class Milliseconds(Integer):
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
    **dict.fromkeys((String, Integer, Float)),
    Boolean: bool,  # SQLite has 0 and 1
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


class Items(List):
    """List of nested objects, dumped in one call instead of one for each item."""

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        nested: Any = self.inner
        return nested.schema.dump(value, many=True)


class Whole(Integer):
    """A whole number; in a query, plain digits."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        if isinstance(value, str) and not re.fullmatch(r"-?[0-9]{1,15}", value, re.ASCII):
            raise self.make_error("invalid", input=value)
        number: int = super()._deserialize(value, attr, data, **kwargs)
        return number


def text(max_length: int, min_length: int = 1, is_stored: bool = True, **options: Any) -> String:
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

    return String(validate=[validate.Length(min_length, max_length), check], **options)


def choice(options: tuple[str, ...], **more: Any) -> String:
    """Return a field for one of a few words."""
    return String(validate=validate.OneOf(options), **more)


# Labels of a flow: fields for its folder and its tags.
#
# A folder is a path of names, such as `Billing/Invoices`, and exists as long as it contains a flow.

MAX_PATH = 200
MAX_DEPTH = 4
MAX_FOLDER_NAME = 60
MAX_TAG = 40
MAX_TAGS = 20  # of a flow
PATH_HELP = f"Path of a folder, up to {MAX_DEPTH} names separated by slashes: `Billing/Invoices`"
TAGS_HELP = f"Up to {MAX_TAGS} tags"


def normalize_path(path: str) -> str:
    """Return the path without spaces around its names. Raises: ValidationError if it is not a path of a folder."""
    names = [name.strip() for name in path.split("/")]
    if not all(names):
        raise ValidationError("must be names separated by single slashes, such as Billing/Invoices")
    if len(names) > MAX_DEPTH:
        raise ValidationError(f"must have at most {MAX_DEPTH} levels")
    if any(len(name) > MAX_FOLDER_NAME for name in names):
        raise ValidationError(f"must have names of at most {MAX_FOLDER_NAME} characters")
    path = "/".join(names)
    if len(path) > MAX_PATH:
        raise ValidationError(f"must have at most {MAX_PATH} characters")
    return path


class FolderPath(String):
    """The path of a folder."""

    def __init__(self, **options: Any) -> None:
        super().__init__(validate=text(MAX_PATH).validators, **{"help": PATH_HELP, **options})

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        path: str = super()._deserialize(value, attr, data, **kwargs)
        if not path.strip():
            raise ValidationError("must not be blank; for no folder, give null")
        return normalize_path(path)


class Tag(String):
    """A tag; without commas, which separate tags in a query."""

    def __init__(self, **options: Any) -> None:
        super().__init__(validate=text(MAX_TAG).validators, **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        tag: str = super()._deserialize(value, attr, data, **kwargs).strip()
        if "," in tag:
            raise ValidationError("must not contain a comma")
        return tag


def tag_list(max_length: int = MAX_TAGS, **options: Any) -> List:
    """Return a field for tags of a flow."""
    return List(Tag(), validate=validate.Length(max=max_length), **{"help": TAGS_HELP, **options})


class TagsArg(String):
    """Tags in a query, separated by commas; internally a tuple."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        tag = Tag()
        tags = tuple(dict.fromkeys(tag.deserialize(one, attr, data, **kwargs) for one in str(value).split(",")))
        if len(tags) > MAX_TAGS:
            raise ValidationError(f"must have at most {MAX_TAGS} tags")
        return tags
