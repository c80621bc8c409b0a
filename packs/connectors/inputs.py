"""Inputs of operations: the settings of a connector's node, and the schema that they make together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError, fields, validate

from nodes.fields import MAX_TEXT, Number, Text, Values, credential, number, path, setting, text, web_address

POLL = "_poll"  # at the end of the type of a connector's trigger
MAX_LINE = 8_000
MAX_LIST = 10_000  # values of a list
MAX_ITEMS, MOST_ITEMS = 100, 100_000  # of the result of an operation: the default, and what may be set
# Settings of every node of a connector, besides the inputs of its operation.
RESERVED = ("operation", "credential", "address", "timeout", "max_items", "save_to")


class ListOf(fields.List):
    """A list. A single value counts as a list of one, because expressions often give that."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        return super()._deserialize(value if isinstance(value, list) else [value], attr, data, **kwargs)


class Day(Text):
    """A date as text: 2026-01-05. Of a time, its date."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        text_ = super()._deserialize(value, attr, data, **kwargs)
        return text_[:10] if isinstance(value, datetime) else text_


def _not_empty(value: Any) -> None:
    if value in ("", [], {}):
        raise ValidationError("Must not be empty.")


def _list(told: Mapping[str, Any], **options: Any) -> Any:
    names = told.get("choices")
    item = Text(validate=validate.OneOf(tuple(names)), metadata={"x-enum-labels": dict(names)}) if names else Text()
    return ListOf(item, **options)


def _choice(told: Mapping[str, Any], **options: Any) -> Any:
    checks = [validate.OneOf(tuple(told["choices"])), *options.pop("validate")]
    return Text(validate=checks, **options)


def _kind(cls: Callable[..., Any], **always: Any) -> Callable[..., Any]:
    return lambda told, **options: cls(**always, **options)


def _limits(told: Mapping[str, Any]) -> list[Any]:
    """Return the checks of an input by its type: its length, or its range."""
    type_ = told.get("type", "string")
    if type_ in ("integer", "number"):
        return [validate.Range(told.get("min"), told.get("max"))]
    most = {"string": MAX_LINE, "text": MAX_TEXT, "list": MAX_LIST, "items": MAX_LIST}.get(type_)
    return [*([validate.Length(max=most)] if most else []), *([_not_empty] if told.get("required") else [])]


# The field of each type of input.
KINDS: dict[str, Callable[..., Any]] = {
    "string": _kind(Text),
    "text": _kind(Text),
    "date": _kind(Day),
    "datetime": _kind(Text),
    "integer": _kind(fields.Integer, strict=True),
    "number": _kind(Number),
    "boolean": _kind(fields.Boolean),
    "choice": _choice,
    "list": _list,
    "items": _kind(ListOf, cls_or_instance=fields.Raw(allow_none=True)),
    "object": _kind(Values),
    "any": _kind(fields.Raw),
    "file": _kind(fields.Raw),
}
# The JSON Schema of each type that a field of a service can have, for forms.
FIELDS: dict[str, dict[str, Any]] = {
    "string": {"type": "string"},
    "text": {"type": "string", "x-multiline": True},
    "date": {"type": "string", "format": "date"},
    "datetime": {"type": "string", "format": "date-time"},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "choice": {"type": "string"},
    "list": {"type": "array", "items": {"type": "string"}},
    "object": {"type": "object"},
    "any": {},
}
LINES = {"text": "", "items": "json", "object": "json", "any": "json"}


def make_field(told: Mapping[str, Any]) -> Any:
    """Return the config field of an input as its file tells it. One that is not required may be null: not given."""
    type_ = told.get("type", "string")
    metadata = {"x-input": type_} | ({"x-names": "file"} if type_ == "file" else {})
    metadata |= {"x-advanced": True} if told.get("advanced") else {}
    metadata |= {"x-options": told["options"]} if "options" in told else {}
    metadata |= {"x-fields": told["fields_from"]} if "fields_from" in told else {}
    metadata |= {"examples": [told["example"]]} if "example" in told else {}
    options: dict[str, Any] = {"required": True} if told.get("required") else {"allow_none": True}
    options |= {"load_default": told["default"]} if "default" in told else {}
    field = KINDS[type_](told, validate=_limits(told), **options)
    labels = told.get("choices") if type_ == "choice" else None
    return setting(
        field, told.get("help", ""), title=told["title"], lines=LINES.get(type_), labels=labels, metadata=metadata
    )


def _name_needs(connector: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    """Return an input whose sources have `needs`: the inputs that must have a value before the service is asked."""
    found, operations = dict(told), connector.get("sources", connector["operations"])
    for key in {"options", "fields_from"} & set(told):
        ours = told[key].get("inputs", {})
        operation = next(each for each in operations if each["id"] == told[key]["operation"])
        theirs = [name for name, input_ in operation.get("inputs", {}).items() if input_.get("required")]
        found[key] = {**told[key], "needs": [ours[name] for name in theirs if isinstance(ours.get(name), str)]}
    return found


def make_schema(connector: Mapping[str, Any], operation: Mapping[str, Any] | None) -> Schema:
    """Return the schema of a node's config under this operation; without one, of what all operations share.

    Then other settings are ignored, so that the missing operation is the only problem.
    """
    names = {each["id"]: each["name"] for each in connector["operations"]}
    options: dict[str, Any] = {"literal": True, "title": "Operation", "required": True, "labels": names}
    is_known = validate.OneOf(tuple(names))
    made = {"operation": setting(fields.String, "The operation of the service", validate=is_known, **options)}
    if types := list_credential_types(connector):
        must = not connector.get("auth_optional")
        made["credential"] = credential(f"The account at {connector['name']}", *types, title="Account", required=must)
    inputs = {**connector.get("inputs", {}), **(operation or {}).get("inputs", {})} if operation else {}
    made |= {name: make_field(_name_needs(connector, told)) for name, told in inputs.items()}
    if operation and operation.get("list"):
        made["max_items"] = setting(
            fields.Integer(strict=True, validate=validate.Range(1, MOST_ITEMS), load_default=MAX_ITEMS),
            "Maximum number of items to return", title="Max items",
        )  # fmt: skip
    if operation and operation.get("response") == "file":
        made["save_to"] = path(
            "The path of the saved file; with a slash at the end, its folder. Default: downloads/", title="Save to",
            names="folder",
        )  # fmt: skip
    made["address"] = text(
        "The address of the service's API, if it is another one: of your own server", web_address, most=8_000,
        title="Address", metadata={"x-advanced": True},
    )  # fmt: skip
    made["timeout"] = number(
        "Seconds until a request fails", 0.1, 300, literal=True, title="Timeout (seconds)", load_default=30.0,
        metadata={"x-advanced": True},
    )  # fmt: skip
    schema = Schema.from_dict(made, name=f"{connector['name']} {operation['id'] if operation else ''}")
    return schema() if operation else schema(unknown=EXCLUDE)


def list_credential_types(connector: Mapping[str, Any]) -> list[str]:
    """Return the credential types that the connector accepts, the preferred first."""
    return list(dict.fromkeys(way["type"] for way in connector.get("auth", ())))
