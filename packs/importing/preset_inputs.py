"""Inputs of a preset: each a property of a JSON Schema, and the expression that reads it from the input."""

from __future__ import annotations

import re
from typing import Any

import orjson

from expressions import quote
from packs.importing.json_document import Document, is_name, is_small, read_line, read_list
from packs.importing.notes import quote_name
from packs.importing.openapi import get_schema

MAX_PROPERTIES = 50  # of an object written to the query
_PLAIN = re.compile(r"(?!__)[A-Za-z_][A-Za-z0-9_]*\Z")
_SEPARATORS = {"form": ",", "simple": ",", "spaceDelimited": " ", "pipeDelimited": "|"}
MAX_SIZE = 12_000  # characters of one form, estimated
MAX_LEVELS = 8
MAX_TEXT = 300
MAX_NAMES = 200  # properties of an object

_NUMBERS = ("minimum", "maximum", "multipleOf")
_COUNTS = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")
_TYPES = ("string", "number", "integer", "boolean", "array", "object", "null")


def input_path(*keys: str) -> str:
    """Return the path `input.a.b`, or `input["a-b"]` for a key that is not an identifier."""
    return "input" + "".join(f".{key}" if _PLAIN.match(key) else f"[{quote(key)}]" for key in keys)


def expression(text: str) -> str:
    """Return `{{ text }}`."""
    return f"{{{{ {text} }}}}"


class PresetInputs:
    """The properties added so far, and which of them are required."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.form = FormSchema(document)
        self.properties: dict[str, Any] = {}
        self.required: list[str] = []

    def add(self, name: str, where: str, schema: dict[str, Any], required: bool) -> str:
        """Add a property; return its key in the input, which differs from `name` if that is taken."""
        key, number = name, 1
        while key in self.properties or (key == "body" and where != "body"):
            key = f"{where}_{name}" if number == 1 else f"{where}_{name}_{number}"
            number += 1
        self.properties[key] = {**schema, "x-in": where}
        if required:
            self.required.append(key)
        return key

    def add_parameter(self, parameter: dict[str, Any], where: str, required: bool) -> tuple[str, dict[str, Any]]:
        """Add a parameter of the document; return its key and its schema."""
        schema = self.form.schema(get_schema(parameter))
        if description := read_line(parameter, "description", 300):
            schema.setdefault("description", description)
        if "example" in parameter and is_small(parameter["example"], 300):
            schema.setdefault("examples", [parameter["example"]])
        return self.add(str(parameter["name"]), where, schema, required), schema

    def as_schema(self) -> dict[str, Any]:
        """Return the JSON Schema of all properties."""
        return {"type": "object", "properties": self.properties, "required": self.required}

    # Serialization of a parameter (OpenAPI 3.1, 4.8.12)

    def text(self, parameter: dict[str, Any], where: str, filters: str = "") -> str:
        """Return the expression of a required parameter serialized as one text."""
        key, schema = self.add_parameter(parameter, where, required=True)
        joined = ' | join(",")' if _has_type(schema, "array") else ""
        return expression(f"{input_path(key)}{joined}{filters}")

    def query(self, parameter: dict[str, Any]) -> dict[str, str]:
        """Return the query keys of a parameter; an optional one that is missing becomes null, and is not sent."""
        required = parameter.get("required") is True
        name, style = str(parameter["name"]), read_line(parameter, "style", 20) or "form"
        explode = parameter.get("explode", style in ("form", "deepObject"))
        key, schema = self.add_parameter(parameter, "query", required)
        read = input_path(key)
        if "content" in parameter:
            return {name: _with_filter(read, "tojson", required)}
        if _has_type(schema, "object"):
            return self._object(name, key, schema, style, explode is True)
        if _has_type(schema, "array") and not explode:
            return {name: _with_filter(read, f"join({quote(_SEPARATORS.get(style, ','))})", required)}
        return {name: expression(read if required else f"{read} | default(none)")}

    def _object(self, name: str, key: str, schema: dict[str, Any], style: str, explode: bool) -> dict[str, str]:
        names = list(schema.get("properties", {}))[:MAX_PROPERTIES]
        if not names or not explode:
            self.document.notes.add(f"The query parameter {quote_name(name)} is an object the node cannot serialize")
            del self.properties[key]
            self.required = [other for other in self.required if other != key]
            return {}
        return {
            f"{name}[{part}]" if style == "deepObject" else part: expression(f"{input_path(key, part)} | default(none)")
            for part in names
        }


def _with_filter(read: str, filter_: str, required: bool) -> str:
    if required:
        return expression(f"{read} | {filter_}")
    return expression(f"{read} | {filter_} if {read} is defined and {read} else none")


def _has_type(schema: dict[str, Any], type_: str) -> bool:
    types = schema.get("type")
    return types == type_ or type_ in read_list(schema, "type")


# Schemas


class FormSchema:
    """A form. Parts beyond the limits become `{}`, which accepts anything, and `is_cut` is set."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.left = MAX_SIZE
        self.is_cut = False

    def schema(self, value: Any, inside: tuple[int, ...] = ()) -> dict[str, Any]:
        """Return the schema with its `$ref`s resolved. `inside` has the ids of the schemas around it."""
        found = self.document.resolve(value)
        own = id(found)
        self.left -= 20 + len(found)
        if self.left <= 0 or len(inside) >= MAX_LEVELS or own in inside:
            self.is_cut = True
            return {}
        if isinstance(value, dict) and "$ref" in value:
            found = {**found, **{key: item for key, item in value.items() if key != "$ref"}}
        made = {**_get_type(found), **_texts(found), **_limits(found), **_values(found)}
        self.left -= len(orjson.dumps(made))
        for key, part in self._parts(found, (*inside, own)):
            made[key] = part
        return made

    def _parts(self, found: dict[str, Any], inside: tuple[int, ...]) -> Any:
        properties = found.get("properties")
        if isinstance(properties, dict):
            yield from self._properties(properties, read_list(found, "required"), inside)
        if isinstance(found.get("items"), dict):
            yield "items", self.schema(found["items"], inside)
        if isinstance(found.get("additionalProperties"), dict):
            yield "additionalProperties", self.schema(found["additionalProperties"], inside)
        elif found.get("additionalProperties") is False:
            yield "additionalProperties", False
        for key in ("allOf", "anyOf", "oneOf"):
            if parts := read_list(found, key, 20):
                yield key, [self.schema(part, inside) for part in parts]

    def _properties(self, properties: dict[str, Any], required: list[Any], inside: tuple[int, ...]) -> Any:
        """Yield the writable properties: `readOnly` ones come only from the server."""
        made: dict[str, Any] = {}
        for name, part in properties.items():
            self.left -= 10
            if self.left <= 0 or len(made) >= MAX_NAMES:
                self.is_cut = True
                break
            if is_name(name) and not self.document.resolve(part).get("readOnly"):
                self.left -= len(name)
                made[name] = self.schema(part, inside)
        yield "properties", made
        if needed := [name for name in required if isinstance(name, str) and name in made]:
            yield "required", needed


def _get_type(found: dict[str, Any]) -> dict[str, Any]:
    """Return the type; OpenAPI 3.0 allows null by a separate key."""
    types = found.get("type")
    named = [name for name in (read_list(found, "type", 7) or [types]) if name in _TYPES]
    if named and found.get("nullable") is True and "null" not in named:
        named.append("null")
    return {"type": named[0] if len(named) == 1 else named} if named else {}


def _texts(found: dict[str, Any]) -> dict[str, Any]:
    texts = {
        key: read_line(found, key, MAX_TEXT)
        for key in ("title", "description", "format", "pattern", "contentMediaType")
    }
    if texts["pattern"] != found.get("pattern"):
        del texts["pattern"]  # a truncated pattern would reject valid values
    return {key: text for key, text in texts.items() if text}


def _limits(found: dict[str, Any]) -> dict[str, Any]:
    limits = {key: found[key] for key in (*_NUMBERS, *_COUNTS) if _is_number(found.get(key))}
    for key, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if _is_number(found.get(key)):
            limits[key] = found[key]
        elif found.get(key) is True and bound in limits:  # the form of OpenAPI 3.0
            limits[key] = limits.pop(bound)
    return limits | ({"uniqueItems": True} if found.get("uniqueItems") is True else {})


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _values(found: dict[str, Any]) -> dict[str, Any]:
    """Return small enums, defaults and examples."""
    values: dict[str, Any] = {key: found[key] for key in ("const", "default") if key in found}
    if isinstance(found.get("enum"), list):
        values["enum"] = found["enum"]
    examples = read_list(found, "examples", 3) or ([found["example"]] if "example" in found else [])
    if examples:
        values["examples"] = examples
    return {key: value for key, value in values.items() if is_small(value, 2_000)}
