"""Nodes: importing this package registers all node types. Also their catalog for the editor and the API."""

from __future__ import annotations

import functools
import inspect
from typing import Any, cast

from nodes.ai import agent, llm, memory, model_access  # noqa: F401  (model_access registers its check)
from nodes.app_triggers import trigger_files
from nodes.base import CATEGORIES, REGISTRY, install_line
from nodes.catalogue_schema import json_schema
from nodes.connectors import connector_files
from nodes.core import logic, output, store, table, triggers, waits
from nodes.data import crypto, dates, formats, joins, lists, transform
from nodes.files import documents
from nodes.files import node as file_node
from nodes.http import graphql, poll_trigger, request
from nodes.mail import send, trigger
from nodes.remote import mcp
from registry import registry

__all__ = ["FAMILIES", "REGISTRY", "catalogue", "categories", "search"]

registry.preparations.append(lambda config: connector_files.load_own(config.connectors_dir))
REGISTRY.find_more = lambda type_: trigger_files.find(type_) or connector_files.find(type_)
# Importing a family registers its types, in the order of the catalog.
FAMILIES = (
    *(triggers, logic, waits, transform, lists, joins, formats, dates, crypto, documents, request, graphql),
    *(send, trigger, poll_trigger, mcp, file_node),
    *(store, table, output, llm, agent, memory),
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
    `x-per-item` (evaluated for each item), `x-condition` (forms offer rows of field, operator and value), `x-rules`
    (forms offer conditions that lead to the cases in the setting of this name), `x-names` (what it names, one of
    NAMES), and `x-holds` (the kind of an object or a list: `json-schema`, `form-fields`). `icon` is a Tabler icon,
    empty for the category's; `branches` are those of an empty config. `own`: the type is from HEADRACE_NODES_DIR.
    `install` is the command that installs a missing package, or null. An app trigger has a `mark` (`{text, color}`),
    and its `path` has `x-address` and `x-steps`: what to enter where in the service. A connector, at the end, has a
    `mark` too, the `service` `{type, name}` that its trigger shares with it, and the names of its `operations`; its
    `config_schema` has what these share (see `nodes.connectors.connector_forms`).
    """
    order = [family.__name__ for family in (*FAMILIES, *registry.node_modules)]

    def place(cls: Any) -> tuple[int, int]:
        module = cls.__module__
        return list(CATEGORIES).index(cls.category), order.index(module) if module in order else len(order)

    ours = [entry_of(cls) for cls in sorted(map(type, REGISTRY.values()), key=place)]
    first = next((at for at, entry in enumerate(ours) if not entry["trigger"]), len(ours))
    return [*ours[:first], *list_app_triggers(), *ours[first:], *connector_files.list_entries()]


@functools.cache
def list_app_triggers() -> tuple[dict[str, Any], ...]:
    """Return the entries of all app triggers by name."""
    nodes = [node for type_ in trigger_files.types() if (node := trigger_files.find(type_)) is not None]
    found = [{**entry_of(cast(Any, type(node))), "mark": node.preset["icon"]} for node in nodes]
    return tuple(sorted(found, key=lambda entry: str(entry["name"]).casefold()))


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
        "config_schema": json_schema(cls.Config()),
        "examples": list(cls.examples),
        "extra": cls.extra or None,
        "install": install_line(cls),
        "mark": None,
        "service": None,
        "operations": None,
    }
