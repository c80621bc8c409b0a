"""All node types: importing this fills the registry. Also the catalogue that the editor and the API show of them."""

from __future__ import annotations

import functools
import inspect
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin

from nodes import data, http, logic, output, storage, triggers, waits
from nodes.base import CATEGORIES, REGISTRY

__all__ = [
    "REGISTRY",
    "catalogue",
    "data",
    "entry_of",
    "http",
    "logic",
    "output",
    "search",
    "storage",
    "triggers",
    "waits",
]


def catalogue() -> list[dict[str, Any]]:
    """What there is, category by category.

    Entries are `{type, category, name, description, branches, trigger, pure, own, config_schema}`. `config_schema` is
    JSON Schema (draft 2020-12), where `x-literal` marks keys in which `{{ … }}` is no expression; `branches` are those
    of an empty config; `own` says that the type comes from HEADRACE_NODES_DIR.
    """
    classes: list[Any] = [type(node) for node in REGISTRY.values()]
    return [entry_of(cls) for cls in sorted(classes, key=lambda cls: CATEGORIES.index(cls.category))]


def search(text: str = "", category: str = "") -> list[dict[str, Any]]:
    """The entries of the catalogue in which every word of `text` occurs; all of `category` where there is none."""
    words = text.lower().split()
    return [
        entry
        for entry in catalogue()
        if category in ("", entry["category"]) and all(word in _searchable(entry) for word in words)
    ]


def _searchable(entry: dict[str, Any]) -> str:
    return " ".join((entry["type"], entry["name"], entry["category"], entry["description"])).lower()


@functools.cache
def entry_of(cls: Any) -> dict[str, Any]:
    """The entry of one node type."""
    return {
        "type": cls.type,
        "category": cls.category,
        "name": cls.title or cls.type.replace("_", " ").capitalize(),
        "description": " ".join((inspect.getdoc(cls) or "").split()),
        "branches": list(cls.branches({})),
        "trigger": cls.trigger,
        "pure": cls.pure,
        "own": cls.own,
        "config_schema": _json_schema(cls),
    }


def _json_schema(cls: Any) -> dict[str, Any]:
    plugin = MarshmallowPlugin(schema_name_resolver=lambda schema: "")
    APISpec(title="", version="", openapi_version="3.1.0", plugins=[plugin])
    assert plugin.converter is not None
    schema = plugin.converter.schema2jsonschema(cls.Config())
    return {"type": "object", "properties": {}, **schema, "additionalProperties": False}
