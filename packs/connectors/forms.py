"""Descriptions of connectors for the catalog, the app's forms and the documents, and the values that forms offer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from marshmallow import Schema, ValidationError

from errors import NodeError
from nodes.base import Context
from nodes.data.jmespath_query import search
from nodes.fields import text_of, to_json_schema
from packs.connectors.inputs import FIELDS, POLL, make_schema
from packs.connectors.node import ConnectorNode, make, make_example, make_trigger
from packs.connectors.operation import ConnectorExchange
from packs.connectors.refusals import explain


def make_entries(type_: str, connector: Mapping[str, Any], is_own: bool) -> list[dict[str, Any]]:
    """Return the catalog entries of a connector: of its operations, and of its trigger, if it has one."""
    nodes = (make(type_, connector), make_trigger(type_ + POLL, connector))
    return [make_entry(node, is_own) for node in nodes if node is not None]


def make_entry(node: ConnectorNode, is_own: bool) -> dict[str, Any]:
    """Return one entry, like `nodes.entry_of`, with the names of the operations."""
    cls = type(node)
    # What all operations share. The operations' names are in the entry.
    shared = to_json_schema(node.schema({}))
    shared["properties"]["operation"] = {
        key: value for key, value in shared["properties"]["operation"].items() if key not in ("enum", "x-enum-labels")
    }
    return {
        "type": node.type,
        "category": node.category,
        "name": node.title,
        "also": list(node.also),
        "icon": "",
        "description": " ".join((cls.__doc__ or "").split()),
        "branches": [],
        "trigger": node.trigger,
        "collects": node.collects(),
        "pure": node.pure,
        "own": is_own,
        "config_schema": shared,
        "examples": [],  # `describe_node` has one for each operation
        "extra": None,
        "install": None,
        "mark": node.connector["icon"],
        "service": _name_service(node),
        "operations": [
            {"id": each["id"], "name": each["name"], "group": each.get("group", ""), "also": each.get("also", [])}
            for each in node.offered
        ],
    }


def _name_service(node: ConnectorNode) -> dict[str, str]:
    """Return the connector itself, which its trigger has in common with it."""
    return {"type": node.service_type, "name": node.connector["name"]}


def describe_node(node: ConnectorNode, is_own: bool) -> dict[str, Any]:
    """Return all that a form needs.

    It is `{type, name, description, docs, mark, service, own, auth, apis, rate, operations}`; each operation is `{id,
    name, group, description, docs, list, scopes, config_schema, example}`, whose `config_schema` is that of the node's
    whole config under this operation, with the inputs in order. In it, `x-advanced` marks settings that few need,
    `x-input` is the type of an input, and `x-options` names the list operation that offers its values.
    """
    connector = node.connector
    return {
        "type": node.type,
        "name": node.title,
        "description": " ".join((type(node).__doc__ or "").split()),
        "docs": connector.get("docs"),
        "mark": connector["icon"],
        "service": _name_service(node),
        "own": is_own,
        "auth": connector.get("auth", []),
        "apis": connector.get("apis", {}),
        "rate": connector.get("rate"),
        "operations": [_describe(each, node.schema({"operation": each["id"]})) for each in node.offered],
    }


def describe_operation(connector: Mapping[str, Any], operation: Mapping[str, Any]) -> dict[str, Any]:
    """Return one operation of `describe_node`, of the connector itself."""
    return _describe(operation, make_schema(connector, operation))


def _describe(operation: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    return {
        "id": operation["id"],
        "name": operation["name"],
        "group": operation.get("group", ""),
        "description": operation["description"],
        "docs": operation.get("docs"),
        "list": bool(operation.get("list")),
        "scopes": operation.get("scopes", []),
        "config_schema": to_json_schema(schema),
        "example": make_example(operation),
    }


MAX_OPTIONS = 500
MAX_CHOICES = 300  # of a field
MAX_LABEL, MAX_NAME, MAX_HELP = 200, 500, 300


def list_options(
    node: ConnectorNode, operation_id: str, name: str, config: Mapping[str, Any], ctx: Context
) -> tuple[list[dict[str, Any]], bool]:
    """Return the values `{"value", "label"}` offered for the input `name`, and whether there are more.

    For an input whose fields the service tells, these are the fields: `value` is the name of one, `required` and
    `schema` tell of its values. `config` is the node's, as far as it is filled in. Raises: NodeError if the service
    refuses, or a setting that the list needs is missing.
    """
    operation = node.operations.get(operation_id)
    input_ = {**node.connector.get("inputs", {}), **(operation or {}).get("inputs", {})}.get(name, {})
    return list_values(node, name, input_, config, ctx)


def list_values(
    node: ConnectorNode, name: str, input_: Mapping[str, Any], config: Mapping[str, Any], ctx: Context
) -> tuple[list[dict[str, Any]], bool]:
    """Return the same for an input that is described so, such as one of an app trigger."""
    told = input_.get("options") or input_.get("fields_from")
    if told is None:
        raise NodeError(f"there are no values to choose from for {name!r}", permanent=True)
    # The values of the list's inputs: each that of the setting of a name, or a constant in an object.
    given = {
        theirs: ours["constant"] if isinstance(ours, dict) and "constant" in ours else config.get(str(ours))
        for theirs, ours in told.get("inputs", {}).items()
    }
    asked = {
        "operation": told["operation"], "max_items": MAX_OPTIONS,
        **{key: config[key] for key in ("credential", "address") if config.get(key)},
        **{key: config[key] for key in node.connector.get("inputs", {}) if config.get(key)},
        **{key: value for key, value in given.items() if value is not None},
    }  # fmt: skip
    found = _run(node, asked, ctx)
    if "options" not in input_:
        return _list_fields(node.operations[told["operation"]]["fields"], told, found)
    items = found if isinstance(found, list) else []
    return [_show(told, item) for item in items if search(told["value"], item) is not None], len(items) >= MAX_OPTIONS


def _run(node: ConnectorNode, asked: dict[str, Any], ctx: Context) -> Any:
    # Not the node's own schema: a trigger has fewer operations than its connector.
    operation = node.operations[asked["operation"]]
    schema = make_schema(node.connector, operation)
    try:
        loaded = schema.load({key: value for key, value in asked.items() if key in schema.fields})
    except ValidationError as error:
        missing = ", ".join(str(schema.fields[key].metadata.get("title", key)) for key in error.normalized_messages())
        raise NodeError(f"Fill in first: {missing}", permanent=True) from None
    exchange = ConnectorExchange(node.service_type, node.connector, operation, loaded, ctx)
    try:
        return exchange.result()
    except NodeError as error:
        raise explain(error, exchange) from None
    except (LookupError, TypeError, AttributeError):
        raise NodeError(f"{node.connector['name']} gave an answer of another form than it documents", True) from None


def _show(told: Mapping[str, Any], item: Any) -> dict[str, Any]:
    value = _read(told, "value", item).removeprefix(told.get("prefix", ""))
    return {"value": value, "label": (_read(told, "label", item) or value)[:MAX_LABEL]}


def _list_fields(parts: Mapping[str, Any], told: Mapping[str, Any], found: Any) -> tuple[list[dict[str, Any]], bool]:
    """Return the fields that the result of an operation describes and that can be set, required ones first."""
    listed = search(parts.get("items", "@"), found)
    items = listed if isinstance(listed, list) else []
    made: dict[str, dict[str, Any]] = {}
    for item in items:
        name, type_ = _read(parts, "name", item), parts.get("types", {}).get(_read(parts, "type", item), "string")
        if type_ and 0 < len(name) <= MAX_NAME and ("where" not in told or search(told["where"], item)):
            made.setdefault(name, _describe_field(parts, item, name, type_))
    if told.get("optional"):
        made = {name: {**field, "required": False} for name, field in made.items()}
    shown = sorted(made.values(), key=lambda field: not field["required"])
    return shown[:MAX_OPTIONS], len(items) >= MAX_OPTIONS


def _describe_field(parts: Mapping[str, Any], item: Any, name: str, type_: str) -> dict[str, Any]:
    """Return `{"value", "also", "label", "required", "schema"}` of a field: `also` is another name or empty, `schema`
    that of its values.
    """
    schema = {**FIELDS[type_]}
    if help_ := _read(parts, "help", item):
        schema["description"] = help_[:MAX_HELP]
    if type_ in ("choice", "list") and (choices := _list_choices(parts, item)):
        labels = {_key_of(value): label for value, label in choices}
        listed = {"enum": [value for value, _ in choices], "x-enum-labels": labels}
        schema = {**schema, "items": listed} if type_ == "list" else {**listed, **schema}
    return {
        "value": name,
        "also": _read(parts, "also", item),
        "label": (_read(parts, "label", item) or name)[:MAX_LABEL],
        "required": "required" in parts and bool(search(parts["required"], item)),
        "schema": schema,
    }


def _list_choices(parts: Mapping[str, Any], item: Any) -> list[tuple[Any, str]]:
    """Return the values of a field with their labels; none if there are too many to list, so that one is typed."""
    found = search(parts["choices"], item) if "choices" in parts else None
    given = found if isinstance(found, list) else []
    pairs = [each if isinstance(each, dict) and "value" in each else {"value": each} for each in given]
    shown = [(each["value"], text_of(each.get("label") or each["value"])[:MAX_LABEL]) for each in pairs]
    return shown if len(shown) <= MAX_CHOICES else []


def _key_of(value: Any) -> str:
    return orjson.dumps(value).decode() if isinstance(value, dict | list) else text_of(value)


def _read(parts: Mapping[str, Any], part: str, item: Any) -> str:
    """Return a part of a field as text; empty if there is none."""
    found = search(parts[part], item) if part in parts else None
    return "" if found is None else text_of(found)
