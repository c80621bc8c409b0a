"""The library of app triggers: files in `packs/connectors/data/triggers/`, described by `_schema.json` there.

`github.json` defines the node type `github_trigger`. Nothing but the names is read before a type is used.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import orjson

from nodes import entry_of

if TYPE_CHECKING:
    from packs.connectors.app_triggers.app_trigger import AppTrigger

FOLDER = Path(__file__).parents[1] / "data" / "triggers"
SUFFIX = "_trigger"


@cache
def types() -> frozenset[str]:
    """Return the node types of all files."""
    return frozenset(path.stem + SUFFIX for path in FOLDER.glob("*.json") if not path.name.startswith("_"))


def find(type_: str) -> AppTrigger | None:
    """Return the node type of this name, or None if there is no file for it."""
    return _make(type_) if type_ in types() else None


@cache
def list_entries() -> tuple[dict[str, Any], ...]:
    """Return the entries of all app triggers by name."""
    found = [{**entry_of(cast(Any, type(node))), "mark": node.preset["icon"]} for node in map(_make, types())]
    return tuple(sorted(found, key=lambda entry: str(entry["name"]).casefold()))


def describe(type_: str) -> None:
    """Return None: the entry in the catalogue has all."""


def list_broken() -> tuple[()]:
    """Return no files: the tests check all."""
    return ()


def read(type_: str) -> dict[str, Any]:
    """Return the content of the file of this type, which is one of `types`. The tests check all files."""
    return dict(orjson.loads((FOLDER / f"{type_.removesuffix(SUFFIX)}.json").read_bytes()))


@cache
def _make(type_: str) -> AppTrigger:
    from packs.connectors.app_triggers.app_trigger import make

    return make(type_, read(type_))
