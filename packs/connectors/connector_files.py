"""The library of connectors: files in `data/`, and a team's own in HEADRACE_CONNECTORS_DIR.

A file is named after the node type that it defines. Nothing but the names is read before a connector is used; a file of
the team replaces ours of the same name.
"""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from nodes.plugins import TYPE
from packs.connectors.inputs import POLL
from packs.oauth import settings as oauth_settings

if TYPE_CHECKING:
    from nodes.base import Node

log = logging.getLogger("headrace.connectors")
FOLDER = Path(__file__).parent / "data"
MAX_BYTES = 2 * 2**20
MAX_REASON = 500


class BrokenConnector(NamedTuple):
    """A file of the team that is not a connector, and why, in one line."""

    file: str
    reason: str


_broken: list[BrokenConnector] = []
_own: dict[str, Any] = {}


def load_own(folder: Path | None) -> list[BrokenConnector]:
    """Replace the team's connectors by those in the folder (None: remove them). Return the files that are not valid."""
    _own.clear()
    _broken.clear()
    oauth_settings.load_own(None)
    forget()
    if folder is None:
        return []
    log.info("Loading the connectors in %s", folder)
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".json" and path.name[0] not in "_.")
    except OSError as error:
        paths = []
        _refuse(str(folder), f"it cannot be read: {error.strerror}")
    for path in paths:
        try:
            if path.stem == PROVIDERS:
                oauth_settings.load_own(path)
            else:
                _own[path.stem] = read_valid(path)
        except (OSError, ValueError) as error:
            _refuse(path.name, str(error))
    return list(_broken)


def list_broken() -> list[BrokenConnector]:
    """Return the files of the team that are not valid."""
    return list(_broken)


def _refuse(file: str, reason: str) -> None:
    _broken.append(BrokenConnector(file, reason[:MAX_REASON]))
    log.error("Could not load the connector %s: %s", file, _broken[-1].reason)


def read_valid(path: Path) -> dict[str, Any]:
    """Return the content of a connector's file. Raises: ValueError with what is wrong and where; OSError."""
    from packs.connectors.file_schema import check

    if not TYPE.fullmatch(path.stem):
        raise ValueError("its name must have lower-case letters, digits and _ only, such as our_shop.json")
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES:,} bytes")
    try:
        data = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise ValueError(f"it is not JSON: {error}") from None
    check(data)
    return dict(data)


def forget() -> None:
    """Forget the node types made so far, because the files have changed."""
    _make.cache_clear()
    types.cache_clear()
    list_entries.cache_clear()


@cache
def types() -> frozenset[str]:
    """Return the node types of all connectors."""
    return frozenset({path.stem for path in FOLDER.glob("*.json")} | _own.keys())


PROVIDERS = "oauth_providers"  # the name of a team's file that is no connector


def read(type_: str) -> dict[str, Any]:
    """Return the content of the file of this type, which is one of `types`. Ours are checked by the tests."""
    found: dict[str, Any] = _own.get(type_) or orjson.loads((FOLDER / f"{type_}.json").read_bytes())
    return found


def find(type_: str) -> Node | None:
    """Return the node type of this connector, or its trigger `<type>_poll`; None if there is none."""
    return _make(type_) if type_ in types() or type_.removesuffix(POLL) in types() else None


@cache
def _make(type_: str) -> Node | None:
    from packs.connectors.node import make, make_trigger

    if type_ in types():
        return make(type_, read(type_))
    return make_trigger(type_, read(type_.removesuffix(POLL)))


@cache
def list_entries() -> tuple[dict[str, Any], ...]:
    """Return the catalog entries of all connectors by name, as `nodes.catalogue` describes them."""
    from packs.connectors.forms import make_entries

    found = [entry for type_ in types() for entry in make_entries(type_, read(type_), is_own(type_))]
    return tuple(sorted(found, key=lambda entry: str(entry["name"]).casefold()))


def describe(type_: str) -> dict[str, Any] | None:
    """Return all that a form needs, see `forms.describe_node`; None if there is no such connector."""
    from packs.connectors.forms import describe_node

    node: Any = find(type_)
    return None if node is None else describe_node(node, is_own(type_.removesuffix(POLL)))


def is_own(type_: str) -> bool:
    """Return True if the connector is one of the team's."""
    return type_ in _own
