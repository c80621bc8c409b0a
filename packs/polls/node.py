"""Polling of lists: a run for each new entry of a list that a web service returns.

`poll_list` requests the list; `make_polled` finds the entries' keys in a list that somebody else requested.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from marshmallow import fields

from constants import HTTP_CREDENTIALS
from errors import NodeError
from fields import Schema
from nodes.base import Context, Item, Polled, setting
from nodes.core.triggers import TriggerNode
from nodes.data.jmespath_query import MAX_QUERY, search
from nodes.fields import choice, credential, flag, headers, kind_of, number, text, text_of, web_address
from nodes.http.body import append_query, parse_json
from nodes.http.client import HTTPClient
from nodes.http.pagination import PageLocation, PageRequests, Pagination, jmespath
from nodes.http.request import describe_limit, send, timeout

MAX_MARK = 1_000  # characters of an ETag or a Last-Modified
MAX_SINCE = 1_000
MARKS = {"etag": "If-None-Match", "last-modified": "If-Modified-Since"}
ORDERS = {"newest_first": "Newest first", "oldest_first": "Oldest first"}


class Entries(NamedTuple):
    """How to read a list. `key` is the JMESPath of an entry's key, `cursor` of a value that grows from entry to entry.

    With `updates`, an entry that has changed is a new one.
    """

    key: str = "id"
    cursor: str | None = None
    newest_first: bool = True
    updates: bool = False


def make_polled(found: Sequence[Any], how: Entries, state: Any, whole: bool) -> Polled:
    """Return the entries of a list with their keys, oldest first, and the state for the next poll, `{"since": …}`.

    `state` is that of the last poll, an object or None; its other keys stay. `whole`: these are all entries that the
    service has. Raises: NodeError if an entry has no key.
    """
    before = state if isinstance(state, dict) else {}
    entries = [Item(_key_of(entry, how, number), entry) for number, entry in enumerate(found, 1)]
    if how.newest_first:
        entries.reverse()
    if how.cursor is None:
        return Polled(entries, before, whole)
    marked = [(search(how.cursor, entry.value), entry) for entry in entries]
    known = [
        (mark, entry)
        for mark, entry in marked
        if type(mark) in (int, float) or (isinstance(mark, str) and len(mark) <= MAX_SINCE)
    ]
    if len({type(mark) is str for mark, _ in known}) == 1 and len(known) == len(marked):
        entries = [entry for _, entry in sorted(known, key=lambda pair: pair[0])]
    since = before.get("since")
    for mark, _ in known:
        if since is None or (type(mark) is str) is not (type(since) is str) or mark > since:
            since = mark
    return Polled(entries, {**before, "since": since}, whole)


def _key_of(entry: Any, how: Entries, number: int) -> str:
    """Return an entry's key as text, which tells 1 from "1"; with its content if updates are new entries."""
    value = search(how.key, entry)
    if value is None or value == "":
        keys = sorted(entry)[:10] if isinstance(entry, dict) else []
        hint = f"; it has: {', '.join(keys)[:200]}" if keys else f"; it is {kind_of(entry)}"
        raise NodeError(f"key: there is nothing at {how.key} in entry {number}{hint}", permanent=True)
    key = value if isinstance(value, str) else f"{kind_of(value)} {text_of(value)}"
    return f"{key} {hashlib.sha256(text_of(entry).encode()).hexdigest()}" if how.updates else key


def poll_list(config: Mapping[str, Any], items: str | None, how: Entries, state: Any, ctx: Context) -> Polled:
    """Request a list and return its entries. `config` has loaded settings of the node `http`, `method` and `url` at
    least; `items` is the JMESPath of the list in the body.

    Without pagination the service is asked for changes only, by the ETag or Last-Modified of the last response.

    Raises: NodeError if there is no list.
    """
    found = ctx.credential(config["credential"], *HTTP_CREDENTIALS) if "credential" in config else None
    before = state if isinstance(state, dict) else {}
    # A service that honours keys would answer each poll like the first one.
    ctx = dataclasses.replace(ctx, idempotency_key=f"{ctx.idempotency_key}:{ctx.now_ms()}")
    client = HTTPClient(ctx, found, may_wait=False)
    place = PageLocation(append_query(config["url"].strip(), config.get("query", {})), config.get("body"))
    if "pagination" in config:
        options = {**config["pagination"], **({} if items is None else {"items": items})}

        def ask(place: PageLocation, number: int) -> Any:
            return send(config, client, place, part=f":{number}")

        given = PageRequests(options, place, ask, client.egress_client.max_bytes, found).all()
        if given["truncated"]:
            limit = describe_limit(options)
            ctx.log("warning", f"{given['pages']} pages were read; there are more, but the limit is {limit}")
        return make_polled(given["body"], how, before, not given["truncated"])
    marks = before.get("marks") if before.get("marks_of") == _digest(place) else None
    conditions = {MARKS[name]: mark for name, mark in (marks or {}).items()}
    answer = send({**config, "headers": {**conditions, **config.get("headers", {})}}, client, place)
    if answer.status == 304 and marks:
        return Polled((), state)
    body = parse_json(answer)
    entries = body if items is None else search(items, body)
    if not isinstance(entries, list):
        where = "the body" if items is None else f"items: the value at {items}"
        raise NodeError(f"{where} is {kind_of(entries)}, not a list; set items to the path of the list", permanent=True)
    polled = make_polled(entries, how, before, whole=True)
    seen = {name: answer.headers[name] for name in MARKS if 0 < len(answer.headers.get(name, "")) <= MAX_MARK}
    return polled._replace(state={**polled.state, "marks": seen, "marks_of": _digest(place)})


def _digest(place: PageLocation) -> str:
    return hashlib.sha256(f"{place.url}\n{text_of(place.body)}".encode()).hexdigest()[:32]


def _path(help: str, **options: Any) -> Any:
    return text(help, jmespath, most=MAX_QUERY, literal=True, **options)


class PollTrigger(TriggerNode):
    """Starts a run for each new entry of a list that a web service returns, with the entry as input.

    Expressions can read `since`, the largest value at `cursor` so far, to request newer entries only; null at first.
    """

    type = "poll"
    title = "New item in a list"
    icon = "refresh-dot"
    also = ("http poll", "api trigger", "watch", "list", "rest", "polling trigger")
    polls = True
    source = ("method", "url", "query", "body", "items", "key", "updates")
    examples = (
        {
            "config": {
                "url": "https://api.example.com/orders",
                "credential": "shop",
                "items": "orders",
                "query": {"updated_after": "{{ since or '2026-01-01T00:00:00Z' }}"},
                "cursor": "updated_at",
            },
            "input": {"id": 7, "item": "tea", "updated_at": "2026-03-02T12:00:00Z"},
            "output": {"id": 7, "item": "tea", "updated_at": "2026-03-02T12:00:00Z"},
        },
    )

    class Config(Schema):
        method = choice("The HTTP method", {name: name for name in ("GET", "POST")}, load_default="GET", title="Method")
        url = text(
            "The URL of the list: https://api.example.com/orders", web_address, most=8_000, required=True, title="URL"
        )
        query = setting(
            fields.Dict(keys=fields.String()),
            'Parameters to append to the URL: {"after": "{{ since or 0 }}"}',
            title="Query parameters",
        )
        headers = headers('The headers: {"Accept-Language": "en"}', title="Headers")
        credential = credential("The credential to send with the request", *HTTP_CREDENTIALS, title="Authentication")
        body = setting(fields.Raw, "The body, sent as JSON, for POST", lines="json", title="Body")
        items = _path("JMESPath of the list in the body: data.items. Default: the body is the list", title="Items path")
        key = _path(
            "JMESPath of the key of an entry: id. With [id, status], each change of the status starts another run",
            load_default="id",
            least=1,
            title="Key path",
        )
        every = number("Seconds between two polls", 10, 366 * 86_400, load_default=300.0, title="Interval (seconds)")
        backlog = flag(
            "Also start runs for entries that exist at the first poll", False, title="Include existing entries"
        )
        updates = flag("Also start a run when an entry changes", False, title="Include updates")
        cursor = _path(
            "JMESPath of a value that grows from entry to entry: updated_at. Expressions read the largest as since",
            least=1,
            title="Cursor path",
        )
        order = choice("The order of the list", ORDERS, load_default="newest_first", title="Order")
        pagination = setting(
            fields.Nested(Pagination),
            "How to collect a list that spans several pages",
            literal=True,
            title="Pagination",
        )
        timeout = timeout()

    def poll(self, config: dict[str, Any], state: Any, ctx: Context) -> Polled:
        how = Entries(config["key"], config.get("cursor"), config["order"] == "newest_first", config["updates"])
        return poll_list(config, config.get("items"), how, state, ctx)
