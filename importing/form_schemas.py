"""Form schemas: the schemas of an OpenAPI document as bounded, self-contained JSON Schema (draft 2020-12)."""

from __future__ import annotations

from typing import Any

import orjson

from importing.json_document import Document, is_name, is_small, read_line, read_list

MAX_SIZE = 12_000  # characters of one form, estimated
MAX_LEVELS = 8
MAX_TEXT = 300
MAX_NAMES = 200  # properties of an object

_NUMBERS = ("minimum", "maximum", "multipleOf")
_COUNTS = ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")
_TYPES = ("string", "number", "integer", "boolean", "array", "object", "null")


class Form:
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
