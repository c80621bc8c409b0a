"""Descriptions of connectors for the catalog, the app's forms and the documents, and the values that forms offer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, ValidationError

from errors import NodeError
from nodes.base import Context
from nodes.data.jmespath_query import search
from nodes.fields import text_of, to_json_schema
from packs.connectors.inputs import POLL, make_schema
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

    It is `{type, name, description, docs, mark, service, own, auth, rate, operations}`; each operation is `{id, name,
    group, description, docs, list, config_schema, example}`, whose `config_schema` is that of the node's whole config
    under this operation, with the inputs in order. In it, `x-advanced` marks settings that few need, `x-input` is the
    type of an input, and `x-options` names the list operation that offers its values.
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
        "config_schema": to_json_schema(schema),
        "example": make_example(operation),
    }


MAX_OPTIONS = 500
MAX_LABEL = 200


def list_options(
    node: ConnectorNode, operation_id: str, name: str, config: Mapping[str, Any], ctx: Context
) -> tuple[list[dict[str, str]], bool]:
    """Return the values `{"value", "label"}` offered for the input `name`, and whether there are more.

    `config` is the node's, as far as it is filled in. Raises: NodeError if the service refuses, or a setting that the
    list needs is missing.
    """
    operation = node.operations.get(operation_id)
    told = {**node.connector.get("inputs", {}), **(operation or {}).get("inputs", {})}.get(name, {}).get("options")
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


def _show(told: Mapping[str, Any], item: Any) -> dict[str, str]:
    value = text_of(search(told["value"], item)).removeprefix(told.get("prefix", ""))
    label = search(told["label"], item) if "label" in told else None
    return {"value": value, "label": (text_of(label) if label not in (None, "") else value)[:MAX_LABEL]}
