"""Config fields shared by several node families, and the conversion of values to text."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from marshmallow import Schema, ValidationError, fields, validate

from parsers.json_schema import check as check_json_schema
from parsers.json_schema import weight_of

# An expression that reads a name of its scope, in a text that may have braces of its own.
EXPRESSION = re.compile(r"\{\{-?\s{0,10}(input|steps|trigger|item|index|vars|secrets|run|workflow|now)\b")
NOT_EVALUATED = "expressions ({{ … }}) are not evaluated here"
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}\Z")
CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
MAX_TEXT = 100_000
# Languages of a setting, for an editor.
LANGUAGES = ("python", "sql", "json", "markdown", "jinja", "html")
# The kinds of names in settings: the id of a workflow or an agent, the name of a table, or of a column of the table in
# the setting `table`, a key of the store, the path of a file or a folder of the workspace, or a list of files.
NAMES = ("workflow", "agent", "table", "column", "store_key", "file", "files", "folder")
# Options of `setting` that are stored in the field's metadata, with their keys there.
METADATA = {
    "title": "title", "names": "x-names", "braces": "braces", "instead": "instead", "condition": "x-condition",
    "rules": "x-rules", "fields_of": "x-fields",
}  # fmt: skip


def kind_of(value: Any) -> str:
    """Return the type of a value for messages: `an object`, `null`."""
    if value is None:
        return "null"
    names = {bool: "a boolean", int: "a number", float: "a number", str: "text", list: "a list", dict: "an object"}
    return names.get(type(value), type(value).__name__)


def text_of(value: Any) -> str:
    """Return a value as text: `true`, `null`, `2` for 2.0, ISO 8601 for a time, JSON for a list or an object."""
    if isinstance(value, str):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return json.dumps(value, ensure_ascii=False, default=str)


class Text(fields.String):
    """Text. Numbers, booleans, times, lists and objects from an expression are converted."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, bool | int | float | datetime | list | dict):
            value = text_of(value)
        return super()._deserialize(value, attr, data, **kwargs)


class Number(fields.Float):
    """A finite number."""

    def _validated(self, value: Any) -> Any:
        number = super()._validated(value)
        if number is not None and not math.isfinite(number):
            raise ValidationError("Must be a finite number.")
        return number


class NamedValues(fields.Dict):
    """An object with free keys. Its issues are reported under the key: `X-Key`, not `X-Key.value`."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        try:
            return super()._deserialize(value, attr, data, **kwargs)
        except ValidationError as error:
            if not isinstance(error.messages, dict):
                raise
            issues = error.messages
            for name, wrong in issues.items():
                if isinstance(wrong, dict):  # the issues of a key and, if that is valid, of its value
                    issues[name] = wrong.get("key", wrong.get("value", wrong))
            raise ValidationError(issues) from None


class Values(fields.Dict):
    """An object of any values with text keys. Checks the keys at once: one by one would be slower than creating it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(keys=fields.String(), **options)

    def deserialize(self, value: Any, attr: str | None = None, data: Any = None, **kwargs: Any) -> Any:
        if type(value) is dict and {*map(type, value)} == {str} and not self.validators:
            return dict(value)
        return super().deserialize(value, attr, data, **kwargs)


def no_expression(instead: str) -> Callable[[str], None]:
    """Return a check for text with braces of its own: it rejects expressions."""

    def check(value: str) -> None:
        if EXPRESSION.search(value):
            raise ValidationError(f"{NOT_EVALUATED}; {instead}.")

    return check


def header_name(name: str) -> None:
    """Reject text that is not a token of HTTP."""
    if not TOKEN.match(name):
        raise ValidationError("Is not a valid HTTP header name.")


def header_value(value: str) -> None:
    """Reject control characters, which could inject another header."""
    if CONTROL.search(value):
        raise ValidationError("Must not contain line breaks or other control characters.")


def setting(
    kind: type[fields.Field[Any]] | fields.Field[Any],
    help: str,
    *,
    labels: Mapping[Any, str] | None = None,
    literal: bool = False,
    lines: str | None = None,
    **options: Any,
) -> Any:
    """Return a config field with its help. In `literal` values expressions are not evaluated, and so rejected.

    `kind` is a marshmallow field class, or a field (such as `fields.List(fields.String())`). `labels` has a label for
    each value of a choice, `lines` is for forms: the text may have several lines, in one of LANGUAGES, or "" for any
    text. Other options: `title` is the label of the field in forms; `names` is one of NAMES, and forms list what is
    there; `instead` is the hint for a rejected expression; `braces` is the reason why braces are accepted: the text
    has braces with another meaning; `condition`: True if forms offer rows of field, operator and value; `rules`: forms
    offer conditions that lead to the cases in the setting of this name; `fields_of`: forms offer the fields of the
    table or the flow in the setting of this name; `metadata` is added to the field's; the rest are those of the class.
    """
    metadata: dict[str, Any] = {"description": help, **options.pop("metadata", {})}
    if literal:
        metadata["x-literal"] = True
    if labels:
        metadata["x-enum-labels"] = {str(value): label for value, label in labels.items()}
    if lines is not None:
        metadata |= {"x-multiline": True} | ({"x-language": lines} if lines else {})
    for option, key in METADATA.items():
        if value := options.pop(option, ""):
            metadata[key] = value
    if isinstance(kind, fields.Field):
        kind.metadata = {**kind.metadata, **metadata}
        return kind
    return kind(metadata=metadata, **options)


def is_literal(field_: fields.Field[Any]) -> bool:
    """Return True if expressions in the config field are not evaluated."""
    return bool(field_.metadata.get("x-literal"))


def text(help: str, *checks: Any, most: int = MAX_TEXT, least: int = 0, literal: bool = False, **options: Any) -> Any:
    """Return a field of text with `least` to `most` characters that passes these checks. A required one is not empty.

    The other options are those of `setting` and of marshmallow.
    """
    least = max(least, 1 if options.get("required") else 0)
    return setting(Text, help, literal=literal, validate=[validate.Length(least, most), *checks], **options)


def web_address(value: str) -> None:
    """Reject text that is not a web URL."""
    if not value.strip().lower().startswith(("http://", "https://")):
        raise ValidationError("Must start with http:// or https://.")


def anything(help: str, **options: Any) -> Any:
    """Return a field that accepts every value, including null."""
    return setting(fields.Raw, help, allow_none=True, **options)


def choice(help: str, names: Iterable[str], *, literal: bool = True, **options: Any) -> Any:
    """Return a field that takes one of `names`; a mapping has the label of each name."""
    if isinstance(names, Mapping):
        options.setdefault("labels", names)
    return setting(fields.String, help, literal=literal, validate=validate.OneOf(tuple(names)), **options)


def line(help: str, *checks: Any, most: int, least: int = 1, **options: Any) -> Any:
    """Return a literal field of text with `least` to `most` characters that passes these checks."""
    length = validate.Length(least or None, most)
    return setting(fields.String, help, literal=True, validate=[length, *checks], **options)


def labels_of(table: Mapping[str, tuple[Any, ...]]) -> dict[str, str]:
    """Return the names of a table with their labels, the first column."""
    return {name: row[0] for name, row in table.items()}


def flag(help: str, default: bool, *, literal: bool = True, **options: Any) -> Any:
    """Return a field that is true or false."""
    return setting(fields.Boolean, help, literal=literal, load_default=default, **options)


def whole(help: str, least: int, most: int, *, literal: bool = True, **options: Any) -> Any:
    """Return a field of an integer from `least` to `most`."""
    in_range = validate.Range(least, most)
    return setting(fields.Integer, help, literal=literal, strict=True, validate=in_range, **options)


def number(help: str, least: float, most: float, *, literal: bool = True, **options: Any) -> Any:
    """Return a field of a number from `least` to `most`."""
    return setting(Number, help, literal=literal, validate=validate.Range(least, most), **options)


def check_schema(schema: Mapping[str, Any]) -> None:
    """Reject a JSON Schema that is invalid, refers to another document, or is too complex."""
    try:
        check_json_schema(schema)
    except ValueError as error:
        raise ValidationError(str(error)) from None


def weight_of_schemas(schema: Schema, loaded: Mapping[str, Any]) -> int:
    """Return the weight of the JSON Schemas in a config loaded by `schema`."""
    held = [name for name, field in schema.fields.items() if field.metadata.get("x-holds") == "json-schema"]
    return sum(weight_of(loaded[name]) for name in held if isinstance(loaded.get(name), dict))


def json_schema(help: str, *, title: str = "", **options: Any) -> Any:
    """Return a literal field for a JSON Schema. A form shows the fields of a simple one."""
    kind = fields.Dict(keys=fields.String(), validate=check_schema, metadata={"x-holds": "json-schema"}, **options)
    return setting(kind, help, title=title, literal=True, lines="json")


def headers(help: str, *, title: str = "Headers") -> Any:
    """Return a field for HTTP headers, an object of text by name."""
    name = fields.String(validate=header_name)
    value = Text(validate=[validate.Length(max=8_000), header_value])
    return setting(NamedValues(keys=name, values=value, validate=validate.Length(max=100)), help, title=title)


def credential(help: str, *types: str, **options: Any) -> Any:
    """Return a field for the name of a credential of one of these types."""
    metadata, length = {"x-credential": list(types)}, validate.Length(1, 200)
    return setting(fields.String, help, literal=True, validate=length, metadata=metadata, **options)


def path(help: str, *, names: str = "file", **options: Any) -> Any:
    """Return a field for the path of a file of the workspace, or of a `folder` if `names` says so."""
    return text(help, most=1_000, names=names, **options)


def texts(values: Sequence[Any]) -> Iterator[str]:
    """Yield all texts in the values, at any depth."""
    todo = list(values)
    while todo:
        value = todo.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, Mapping):
            todo += [*value.keys(), *value.values()]
        elif isinstance(value, list | tuple):
            todo += value


def to_objects(rows: list[list[Any]]) -> list[dict[str, Any]]:
    """Return rows as objects by the names in the first row; unnamed is `column 3`, a duplicate `a` is `a 2`."""
    if not rows:
        return []
    width = max(map(len, rows))
    names: dict[str, None] = {}
    for number, title in enumerate([*rows[0], *[None] * (width - len(rows[0]))], 1):
        base = name = f"column {number}" if title is None or not str(title).strip() else text_of(title).strip()
        again = 2
        while name in names:
            name, again = f"{base} {again}", again + 1
        names[name] = None
    return [dict(zip(names, [*row, *[None] * (width - len(row))], strict=False)) for row in rows[1:]]


def to_json_schema(schema: Schema) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the data that the schema loads, with the metadata of its fields."""
    plugin = MarshmallowPlugin(schema_name_resolver=lambda schema: "")
    APISpec(title="", version="", openapi_version="3.1.0", plugins=[plugin])
    assert plugin.converter is not None
    made = plugin.converter.schema2jsonschema(schema)
    return {"type": "object", "properties": {}, **made, "additionalProperties": False}
