"""Security schemes of an OpenAPI document as ways to authenticate with its API."""

from __future__ import annotations

from itertools import islice
from typing import Any

from importing.connector_inputs import make_title
from importing.json_document import read_line
from importing.notes import quote_name
from importing.openapi import OpenApi

MAX_WAYS = 10
MAX_HELP = 400


def find_ways(document: OpenApi, hosts: list[str]) -> tuple[list[dict[str, Any]], bool]:
    """Return the ways, first those of the whole document, and True if some operation needs none of them."""
    schemes = document.schemes()
    named, is_optional = _names_in_use(document)
    ways: list[dict[str, Any]] = []
    for name in [name for name in named if name in schemes] or list(islice(schemes, MAX_WAYS)):
        way = _way(document, name, document.resolve(schemes[name]))
        if way is not None and not any(_is_same(way, other) for other in ways):
            ways.append({**way, "hosts": hosts})
    return ways[:MAX_WAYS], is_optional or not named


def _is_same(way: dict[str, Any], other: dict[str, Any]) -> bool:
    """Return True if both need the same credential, even if their names differ."""
    keys = ("type", "header", "names")
    return [way.get(key) for key in keys] == [other.get(key) for key in keys]


def _names_in_use(document: OpenApi) -> tuple[list[str], bool]:
    """Return the schemes that requirements name, in order, and whether one of them allows to use none."""
    names: dict[str, None] = {}
    optional = False
    holders = [document.root]
    for item in document.at(document.root, "paths").values():
        holders += [one for one in islice(document.resolve(item).values(), 100) if isinstance(one, dict)]
    for holder in holders:
        if not isinstance(holder.get("security"), list):
            continue
        listed = document.requirements(holder)
        optional = optional or not listed or {} in listed
        for one in listed:
            names.update(dict.fromkeys(one))
    return list(names), optional


def _way(document: OpenApi, name: str, scheme: dict[str, Any]) -> dict[str, Any] | None:
    """Return the way of a scheme; None, with a note, if no credential has it."""
    told = {"title": make_title(name)}
    if help_ := read_line(scheme, "description", MAX_HELP):
        told["help"] = help_
    type_ = document.credential_type(scheme)
    if type_ is None or type_ == "cookie":
        document.notes.add(f"The security scheme {quote_name(name)} is left out: no credential has it")
        return None
    if type_ == "http_bearer" and scheme["type"] != "http":
        document.notes.add(
            f"{quote_name(name)} needs a log-in at the service: it is imported as an access token, to be made there"
        )
    if type_ == "http_header":
        return {"type": type_, "header": scheme["name"], **told}
    if type_ == "http_query":
        return {"type": type_, "names": [scheme["name"]], **told}
    scopes = [str(scope)[:300] for scope in islice(document.at(document.client_flow(scheme), "scopes"), 50)]
    return {"type": type_, **told, **({"scopes": scopes} if type_ == "oauth2_client_credentials" and scopes else {})}
