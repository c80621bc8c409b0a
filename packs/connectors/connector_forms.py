"""Descriptions of connectors for the catalog, the app's forms and the documents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema

from nodes.catalogue_schema import json_schema
from packs.connectors.inputs import make_schema
from packs.connectors.node import ConnectorNode, make, make_example
from packs.connectors.poll_node import SUFFIX as POLL
from packs.connectors.poll_node import make as make_trigger


def make_entries(type_: str, connector: Mapping[str, Any], is_own: bool) -> list[dict[str, Any]]:
    """Return the catalog entries of a connector: of its operations, and of its trigger, if it has one."""
    nodes = (make(type_, connector), make_trigger(type_ + POLL, connector))
    return [make_entry(node, is_own) for node in nodes if node is not None]


def make_entry(node: ConnectorNode, is_own: bool) -> dict[str, Any]:
    """Return one entry, like `nodes.entry_of`, with the names of the operations."""
    cls = type(node)
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
        "config_schema": _share(node),
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


def _share(node: ConnectorNode) -> dict[str, Any]:
    """Return the JSON Schema of what all operations share. The operations' names are in the entry."""
    made = json_schema(node.schema({}))
    made["properties"]["operation"] = {
        key: value for key, value in made["properties"]["operation"].items() if key not in ("enum", "x-enum-labels")
    }
    return made


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
        "config_schema": json_schema(schema),
        "example": make_example(operation),
    }
