"""Inputs of a preset: each a property of a JSON Schema, and the expression that reads it from the input."""

from __future__ import annotations

import re
from typing import Any

from expressions import quote
from importing.form_schemas import Form
from importing.json_document import Document, is_small, read_line, read_list
from importing.notes import quote_name
from importing.openapi import get_schema

MAX_PROPERTIES = 50  # of an object written to the query
_PLAIN = re.compile(r"(?!__)[A-Za-z_][A-Za-z0-9_]*\Z")
_SEPARATORS = {"form": ",", "simple": ",", "spaceDelimited": " ", "pipeDelimited": "|"}


def input_path(*keys: str) -> str:
    """Return the path `input.a.b`, or `input["a-b"]` for a key that is not an identifier."""
    return "input" + "".join(f".{key}" if _PLAIN.match(key) else f"[{quote(key)}]" for key in keys)


def expression(text: str) -> str:
    """Return `{{ text }}`."""
    return f"{{{{ {text} }}}}"


class Inputs:
    """The properties added so far, and which of them are required."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.form = Form(document)
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
