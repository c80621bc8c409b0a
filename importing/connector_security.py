"""Security schemes of an OpenAPI document as ways to authenticate with its API."""

from __future__ import annotations

from itertools import islice
from typing import Any

from importing.connector_inputs import make_title
from importing.json_document import Document, is_name, read_line, read_list
from importing.notes import quote_name
from nodes.fields import TOKEN

MAX_WAYS = 10
MAX_HELP = 400
HTTP = {"basic": "http_basic", "bearer": "http_bearer", "digest": "http_digest"}


def find_ways(document: Document, hosts: list[str]) -> tuple[list[dict[str, Any]], bool]:
    """Return the ways, first those of the whole document, and True if some operation needs none of them."""
    schemes = document.at(document.at(document.root, "components"), "securitySchemes")
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


def _names_in_use(document: Document) -> tuple[list[str], bool]:
    """Return the schemes that requirements name, in order, and whether one of them allows to use none."""
    names: dict[str, None] = {}
    optional = False
    holders = [document.root]
    for item in document.at(document.root, "paths").values():
        holders += [one for one in islice(document.resolve(item).values(), 100) if isinstance(one, dict)]
    for holder in holders:
        if not isinstance(holder.get("security"), list):
            continue
        listed = [one for one in read_list(holder, "security", 20) if isinstance(one, dict)]
        optional = optional or not listed or {} in listed
        for one in listed:
            names.update(dict.fromkeys(islice(one, 20)))
    return list(names), optional


def _way(document: Document, name: str, scheme: dict[str, Any]) -> dict[str, Any] | None:
    """Return the way of a scheme; None, with a note, if no credential has it."""
    told = {"title": make_title(name)}
    if help_ := read_line(scheme, "description", MAX_HELP):
        told["help"] = help_
    type_ = scheme.get("type")
    if type_ == "http" and (found := HTTP.get(str(scheme.get("scheme")).lower())):
        return {"type": found, **told}
    if type_ == "apiKey" and (way := _key(scheme)):
        return {**way, **told}
    if type_ == "oauth2" and document.at(document.at(scheme, "flows"), "clientCredentials"):
        return {"type": "oauth2_client_credentials", **told, **_scopes(document, scheme)}
    if type_ in ("oauth2", "openIdConnect"):
        document.notes.add(
            f"{quote_name(name)} needs a log-in at the service: it is imported as an access token, to be made there"
        )
        return {"type": "http_bearer", **told}
    if type_ == "mutualTLS":
        return {"type": "mtls", **told}
    document.notes.add(f"The security scheme {quote_name(name)} is left out: no credential has it")
    return None


def _key(scheme: dict[str, Any]) -> dict[str, Any] | None:
    place, key = scheme.get("in"), scheme.get("name")
    if place == "header" and is_name(key) and TOKEN.match(key):
        return {"type": "http_header", "header": key}
    return {"type": "http_query", "names": [key]} if place == "query" and is_name(key) else None


def _scopes(document: Document, scheme: dict[str, Any]) -> dict[str, Any]:
    flow = document.at(document.at(scheme, "flows"), "clientCredentials")
    scopes = [str(scope)[:300] for scope in islice(document.at(flow, "scopes"), 50)]
    return {"scopes": scopes} if scopes else {}
