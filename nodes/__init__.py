"""Nodes: importing this package registers all node types. Also their catalog for the editor and the API."""

from __future__ import annotations

import functools
import inspect
from typing import Any

from nodes.base import CATEGORIES, REGISTRY, install_line
from nodes.core import logic, store, triggers, waits
from nodes.data import dates, lists
from nodes.fields import to_json_schema
from nodes.files import node as file_node
from nodes.http import request
from registry import registry

__all__ = ["FAMILIES", "REGISTRY", "catalogue", "categories", "describe", "search"]

# Importing a family registers its types, in the order of the catalog.
FAMILIES = (
    *(triggers, logic, waits, logic, lists, dates, request),
    *(file_node, store, logic),
)


def categories() -> list[dict[str, str]]:
    """Return the categories in order: `{category, name, icon}`."""
    return [{"category": key, "name": name, "icon": icon} for key, (name, icon) in CATEGORIES.items()]


def catalogue() -> list[dict[str, Any]]:
    """Return the entries of all node types, by category.

    Entries are `{type, category, name, also, icon, description, branches, trigger, pure, own, config_schema, examples,
    extra, install, mark, service, operations}`. `config_schema` is JSON Schema (draft 2020-12) with `x-literal`
    (expressions are not evaluated), `x-enum-labels` (labels of the values of a choice), `x-credential` (credential
    types of a key), `x-multiline` and `x-language` (one of LANGUAGES), `x-scope` (the names that code can read),
    `x-per-item` (evaluated for each item of the list in this setting), `x-condition` (forms offer rows of field,
    operator and value), `x-rules` (forms offer conditions that lead to the cases in this setting), `x-names` (what it
    names, one of NAMES), and `x-holds` (the kind of an object or a list: `json-schema`, `form-fields`). `icon` is a
    Tabler icon, empty for the category's; `branches` are those of an empty config. `own`: the type is from
    HEADRACE_NODES_DIR. `install` is the command that installs a missing package, or null. An app trigger has a `mark`
    (`{text, color}`), and its `path` has `x-address` and `x-steps`: what to enter where in the service. A connector, at
    the end, has a `mark` too, the `service` `{type, name}` that its trigger shares with it, and the names of its
    `operations`; its `config_schema` has what these share.
    """
    order = [family.__name__ for family in (*FAMILIES, *registry.node_modules)]

    def place(cls: Any) -> tuple[int, int]:
        module = cls.__module__
        return list(CATEGORIES).index(cls.category), order.index(module) if module in order else len(order)

    ours = [entry_of(cls) for cls in sorted(map(type, REGISTRY.values()), key=place)]
    made = [entry for finder in registry.node_finders for entry in finder.list_entries()]
    # Triggers come first.
    return sorted([*ours, *made], key=lambda entry: not entry["trigger"])


def describe(type_: str) -> dict[str, Any] | None:
    """Return all that is known of a node type: of a connector, its operations; else its entry. None: no such type."""
    told = next((found for each in registry.node_finders if (found := each.describe(type_)) is not None), None)
    node = REGISTRY.get(type_) if told is None else None
    cls: Any = type(node)
    return told if node is None else entry_of(cls)


def search(text: str = "", category: str = "") -> list[dict[str, Any]]:
    """Return the entries that contain every word of `text`, within `category` unless it is empty."""
    words = text.lower().split()
    found = []
    for entry in catalogue():
        names = (operation["name"] for operation in entry["operations"] or ())
        parts = (entry["type"], entry["name"], entry["category"], entry["description"], *entry["also"], *names)
        searched = " ".join(parts).lower()
        if category in ("", entry["category"]) and all(word in searched for word in words):
            found.append(entry)
    return found


@functools.cache
def entry_of(cls: Any) -> dict[str, Any]:
    """Return the entry of one node type."""
    return {
        "type": cls.type,
        "category": cls.category,
        "name": cls.title or cls.type.replace("_", " ").capitalize(),
        "also": list(cls.also),
        "icon": cls.icon,
        "description": " ".join((inspect.getdoc(cls) or "").split()),
        "branches": list(cls.branches({})),
        "trigger": cls.trigger,
        "collects": cls.collects(),
        "pure": cls.pure,
        "own": cls.own,
        "config_schema": to_json_schema(cls.Config()),
        "examples": list(cls.examples),
        "extra": cls.extra or None,
        "install": install_line(cls),
        "mark": None,
        "service": None,
        "operations": None,
    }
