"""Inputs of a connector's operation, made from the parameters and the body of an OpenAPI operation."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from packs.connectors.file_schema import MAX_INPUTS
from packs.connectors.inputs import RESERVED
from packs.importing.json_document import Document, is_name, is_small, read_line, read_list
from packs.importing.notes import quote_name
from packs.importing.openapi import find_free, get_schema

MAX_SHOWN = 8  # optional inputs beyond these are below "More settings"
MAX_HELP, MAX_TITLE, MAX_CHOICES = 300, 100, 300
LONG_TEXT = 500  # characters: a text that may be longer has several lines
SEVERAL_LINES = {"body", "content", "description", "message", "notes", "text", "comment"}
FORMATS = {"date": "date", "date-time": "datetime", "binary": "file"}
SIMPLE = {"integer": "integer", "number": "number", "boolean": "boolean", "object": "object"}
MORE = "more_fields"


def make_id(name: str, fallback: str = "input") -> str:
    """Return the name in our form: `petId` and `Pet-Id` become `pet_id`."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", plain)
    made = re.sub(r"[^a-z0-9]+", "_", split.lower()).strip("_")[:60].strip("_")
    return made if made[:1].isalpha() else f"{fallback}_{made}".strip("_")


def make_title(name: str) -> str:
    """Return the name as words: `petId` becomes `Pet id`."""
    words = make_id(name, "").strip("_").replace("_", " ")
    return (words[:1].upper() + words[1:])[:MAX_TITLE] or name[:MAX_TITLE]


def read_text(value: Any, most: int) -> str:
    """Return the description under this value as plain text: its first sentences, without the marks of Markdown."""
    line = read_line(value, "description", 4 * most)
    line = re.sub(r"\[([^\[\]]{1,200})\]\([^()\s]{1,500}\)", r"\1", line).replace("**", "")
    if len(line) <= most:
        return line
    end = max(line.rfind(mark, 0, most) for mark in (". ", "! ", "? "))
    return line[: end + 1] if end > 0 else f"{line[: most - 1]}…"


class ConnectorInputs:
    """The inputs of one operation, in order. Unsupported parameters are left out, with a note."""

    def __init__(self, document: Document, place: str) -> None:
        self.document, self.notes, self.place = document, document.notes, place
        self.found: dict[str, dict[str, Any]] = {}

    def add(self, name: str, place: str, told: dict[str, Any]) -> str | None:
        """Add an input for the service's `name`; return its id, or None if there are too many already."""
        if len(self.found) >= MAX_INPUTS - 1:
            self.notes.add(f"{self.place}: only the first {MAX_INPUTS - 1} inputs are imported")
            return None
        id_ = make_id(name)
        id_ = find_free(f"{place}_{id_}" if id_ in (*RESERVED, MORE) else id_, self.found)
        if id_ != name and place != "path":
            told["name"] = name
        self.found[id_] = told
        return id_

    def add_parameter(self, parameter: dict[str, Any]) -> str | None:
        """Add a parameter in the path, query or headers; return its id, or None if it is left out."""
        name, place = str(parameter["name"]), str(parameter["in"])
        schema = self.resolve(get_schema(parameter))
        required = parameter.get("required") is True or place == "path"
        told = self.describe(name, schema, required, parameter)
        if place == "header":
            told["in"] = "header"
        elif place == "query":
            if not self._fits_query(name, told, parameter):
                return None
            told["in"] = "query"
        elif told.get("type") in ("list", "items", "object", "any"):
            told.pop("type")  # a part of the path is text
        return self.add(name, place, told)

    def _fits_query(self, name: str, told: dict[str, Any], parameter: dict[str, Any]) -> bool:
        type_ = told.get("type")
        if type_ in ("object", "items") or (type_ == "any" and "content" in parameter):
            self.notes.add(f"{self.place}: the query parameter {quote_name(name)} is an object, and left out")
            return False
        style = read_line(parameter, "style", 20) or "form"
        if type_ == "list" and (style != "form" or parameter.get("explode") is False):
            if style in ("spaceDelimited", "pipeDelimited"):
                self.notes.add(
                    f"{self.place}: the query parameter {quote_name(name)} has another style, and is left out"
                )
                return False
            told["style"] = "comma"
        return True

    def add_body(self, schema: dict[str, Any], required: bool, allows_files: bool) -> None:
        """Add the writable properties of a body, each as an input; those beyond the limit as one object."""
        needed = set(map(str, read_list(schema, "required"))) if required else set()
        properties = self.document.at(schema, "properties")
        left = False
        for name, value in properties.items():
            inner = self.resolve(value)
            if not is_name(name) or inner.get("readOnly") is True:
                continue
            if "." in name or len(self.found) >= MAX_INPUTS - 1:
                left = True
                continue
            told = self.describe(name, inner, name in needed, inner)
            if told.get("type") == "file":
                if not allows_files:
                    told["type"] = "string"
            else:
                told["in"] = "body"
            self.add(name, "body", told)
        if left or schema.get("additionalProperties") not in (None, False):
            help_ = "Other fields of the body, with their names in the API"
            self.found[MORE] = {
                "title": "More fields", "type": "object", "help": help_, "name": "", "in": "body", "advanced": True,
            }  # fmt: skip

    def fold(self) -> dict[str, dict[str, Any]]:
        """Return the inputs; optional ones beyond the first are marked as advanced."""
        shown = 0
        for told in self.found.values():
            if told.get("required"):
                continue
            shown += 1
            if shown > MAX_SHOWN or told.get("in") == "header":
                told["advanced"] = True
        return self.found

    # Schemas

    def resolve(self, value: Any) -> dict[str, Any]:
        """Return a schema with its reference resolved and the parts of its `allOf` merged, one level deep."""
        found = self.document.resolve(value)
        parts = read_list(found, "allOf", 20)
        if not parts:
            return found
        merged = {key: item for key, item in found.items() if key != "allOf"}
        properties: dict[str, Any] = {}
        required: list[Any] = []
        for part in parts:
            inner = self.document.resolve(part)
            # One more level, because schemas often extend a schema that extends another.
            for each in (inner, *(self.document.resolve(deep) for deep in read_list(inner, "allOf", 20))):
                properties.update(self.document.at(each, "properties"))
                required += read_list(each, "required")
                merged = {**{key: item for key, item in each.items() if key != "allOf"}, **merged}
        if properties:
            properties.update(self.document.at(found, "properties"))
            merged |= {"properties": properties, "required": required + read_list(found, "required")}
        return merged

    def describe(self, name: str, schema: dict[str, Any], required: bool, told_by: dict[str, Any]) -> dict[str, Any]:
        """Return an input in the form of a connector's file. `told_by` has the description and the example."""
        told: dict[str, Any] = {"title": read_line(schema, "title", MAX_TITLE) or make_title(name)}
        told |= self._type_of(name, schema)
        if required:
            told["required"] = True
        if help_ := self._help(schema, told_by):
            told["help"] = help_
        for example in (told_by.get("example"), schema.get("example"), *read_list(schema, "examples", 1)):
            if example is not None and is_small(example, 150):
                told["example"] = example
                break
        return told

    def _help(self, schema: dict[str, Any], told_by: dict[str, Any]) -> str:
        text = read_text(told_by, MAX_HELP - 60) or read_text(schema, MAX_HELP - 60)
        default = schema.get("default")
        if isinstance(default, str | int | float) and default != "" and len(str(default)) <= 40:
            text = f"{text.rstrip('.')}. Default: {default}" if text else f"Default: {default}"
        return text

    def _type_of(self, name: str, schema: dict[str, Any]) -> dict[str, Any]:
        choices = self._choices(schema)
        if choices is not None:
            return {"type": "choice", "choices": choices}
        type_ = self._plain_type(schema)
        if type_ == "array":
            return self._list_type(self.resolve(schema.get("items")))
        if type_ in SIMPLE:
            limits = {
                ours: schema[theirs]
                for ours, theirs in (("min", "minimum"), ("max", "maximum"))
                if _is_number(schema.get(theirs))
            }
            return {"type": SIMPLE[type_], **(limits if type_ in ("integer", "number") else {})}
        if type_ == "string":
            if found := FORMATS.get(str(schema.get("format"))):
                return {"type": found}
            longest = schema.get("maxLength")
            is_long = name.lower() in SEVERAL_LINES or (isinstance(longest, int) and longest > LONG_TEXT)
            return {"type": "text"} if is_long else {}
        return {"type": "object"} if "properties" in schema else {"type": "any"}

    def _list_type(self, item: dict[str, Any]) -> dict[str, Any]:
        if (choices := self._choices(item)) is not None:
            return {"type": "list", "choices": choices}
        if item.get("format") == "binary":
            return {"type": "any"}
        return {"type": "list" if self._plain_type(item) in ("string", "integer", "number", "boolean") else "items"}

    def _plain_type(self, schema: dict[str, Any]) -> str | None:
        """Return the type, without null; None if there are several. Of alternatives, the one that all have."""
        named = [name for name in (read_list(schema, "type", 7) or [schema.get("type")]) if isinstance(name, str)]
        found = {name for name in named if name != "null"}
        if not found:
            alternatives = (*read_list(schema, "anyOf", 20), *read_list(schema, "oneOf", 20))
            found = {str(self.document.resolve(one).get("type")) for one in alternatives} - {"null"}
        if found <= {"string", "integer", "number"} and "string" in found:
            return "string"  # typed text stands for either
        return found.pop() if len(found) == 1 else None

    def _choices(self, schema: dict[str, Any]) -> dict[str, str] | None:
        """Return the values of an enumeration of texts with their labels; None if it is not one."""
        listed = [schema["const"]] if "const" in schema else read_list(schema, "enum", MAX_CHOICES + 1)
        values = [value for value in listed if value is not None]
        if not values or len(values) > MAX_CHOICES:
            return None
        if not all(isinstance(value, str) and 0 < len(value) <= 100 for value in values):
            return None
        return {value: value.replace("_", " ").capitalize() if value.islower() else value for value in values}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
