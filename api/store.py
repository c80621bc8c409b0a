"""The workspace's key-value store, which the node `store` reads and writes."""

from __future__ import annotations

import re
from typing import Any

import orjson
from marshmallow.validate import Range

import fields
from api.audit import begin_entry
from api.http.auth import get_workspace_id, require_role
from api.http.json_io import Resource
from api.http.paging import Cursor, PageArgs, listed
from database.queries import store
from database.queries.store import WorkspaceStore
from errors import NotFound, TooLarge
from fields import Json, Out, Strict, Time, text
from nodes.core.store import MAX_KEY, MAX_VALUE

blueprint = Resource("store", "Key-value store of the workspace")


class KeyCursor(Cursor):
    """Cursor of a list of keys: the last key of the page before."""

    pattern = re.compile(r"\A[^\0]{1,1000}\Z")


class StoreArgs(PageArgs):
    prefix = text(MAX_KEY, 0, is_stored=False, load_default="", help="Beginning of the keys")
    cursor = KeyCursor(load_default=None)


class EntryIn(Strict):
    value = fields.Raw(required=True, allow_none=True, help="Any JSON")
    ttl = fields.Float(
        load_default=None,
        allow_none=True,
        validate=Range(1, 3_660 * 86_400),
        help="Seconds until it is deleted; default: never",
    )


class EntryOut(Out):
    key = fields.String()
    value = Json(help="Any JSON")
    expires_at = Time(allow_none=True)
    updated_at = Time()


@blueprint.get("/store")
@require_role("operator")
@blueprint.arguments(StoreArgs, location="query")
@blueprint.response(200, listed(EntryOut))
def list_entries(args: dict[str, Any]) -> Any:
    """List the entries by key.

    Viewers cannot: the API hides signatures of answer links from them, and a value may contain such a link.
    """
    rows = store.page(get_workspace_id(), args["prefix"], args["cursor"], args["limit"] + 1)
    items = rows[: args["limit"]]
    return {"items": items, "next_cursor": items[-1].key if len(rows) > len(items) else None}


@blueprint.put("/store/<path:key>")
@require_role("operator")
@blueprint.arguments(EntryIn)
@blueprint.response(200, EntryOut)
def put(body: dict[str, Any], key: str) -> Any:
    """Store a value under a key, replacing an earlier one."""
    if len(key) > MAX_KEY:
        raise TooLarge(f"The key has more than {MAX_KEY} characters")
    if len(orjson.dumps(body["value"])) > MAX_VALUE:
        raise TooLarge(f"The value has more than {MAX_VALUE:,} bytes as JSON")
    with begin_entry("store.written").target("key", None, key).written():
        WorkspaceStore(get_workspace_id()).set(key, body["value"], body["ttl"])
    return store.find_live(get_workspace_id(), key)


@blueprint.delete("/store/<path:key>")
@require_role("operator")
@blueprint.response(204)
def delete(key: str) -> None:
    """Delete an entry."""
    with begin_entry("store.deleted").target("key", None, key).written():
        if not WorkspaceStore(get_workspace_id()).delete(key):
            raise NotFound(f"The store has no key {key[:200]!r}")
