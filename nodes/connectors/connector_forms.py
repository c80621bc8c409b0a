"""Descriptions of connectors for the catalog, the app's forms and the documents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nodes.catalogue_schema import json_schema
from nodes.connectors.inputs import make_schema
from nodes.connectors.node import make_example


def make_entry(type_: str, connector: Mapping[str, Any], is_own: bool) -> dict[str, Any]:
    """Return the catalog entry of a connector, like `nodes.entry_of`, with the names of its operations."""
    return {
        "type": type_,
        "category": "integration",
        "name": connector["name"],
        "also": connector.get("also", []),
        "icon": "",
        "description": connector["description"],
        "branches": [],
        "trigger": False,
        "pure": False,
        "own": is_own,
        "config_schema": _share(connector),
        "examples": [make_example(connector["operations"][0])],
        "extra": None,
        "install": None,
        "mark": connector["icon"],
        "operations": [
            {"id": each["id"], "name": each["name"], "group": each.get("group", ""), "also": each.get("also", [])}
            for each in connector["operations"]
        ],
    }


def _share(connector: Mapping[str, Any]) -> dict[str, Any]:
    """Return the JSON Schema of what all operations share. The operations' names are in the entry."""
    made = json_schema(make_schema(connector, None))
    made["properties"]["operation"] = {
        key: value for key, value in made["properties"]["operation"].items() if key not in ("enum", "x-enum-labels")
    }
    return made


def describe(type_: str, connector: Mapping[str, Any], is_own: bool) -> dict[str, Any]:
    """Return all that a form needs.

    It is `{type, name, description, docs, mark, own, auth, rate, operations}`; each operation is `{id, name, group,
    description, docs, list, config_schema, example}`, whose `config_schema` is that of the node's whole config under
    this operation, with the inputs in order. In it, `x-advanced` marks settings that few need, `x-input` is the type of
    an input, and `x-options` names the list operation that offers its values.
    """
    return {
        "type": type_,
        "name": connector["name"],
        "description": connector["description"],
        "docs": connector.get("docs"),
        "mark": connector["icon"],
        "own": is_own,
        "auth": connector.get("auth", []),
        "rate": connector.get("rate"),
        "operations": [describe_operation(connector, each) for each in connector["operations"]],
    }


def describe_operation(connector: Mapping[str, Any], operation: Mapping[str, Any]) -> dict[str, Any]:
    """Return one operation of `describe`."""
    return {
        "id": operation["id"],
        "name": operation["name"],
        "group": operation.get("group", ""),
        "description": operation["description"],
        "docs": operation.get("docs"),
        "list": bool(operation.get("list")),
        "config_schema": json_schema(make_schema(connector, operation)),
        "example": make_example(operation),
    }
