"""Pagination: requests the pages of a list until its end.

Each page has its own idempotency key, because a service that honours keys would otherwise return the first page again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from marshmallow import RAISE, ValidationError, fields, validate, validates_schema

from errors import LimitExceeded, NodeError
from fields import Schema
from net.egress import HttpResponse, get_host
from nodes.base import setting
from nodes.data.jmespath_query import MAX_QUERY, compile_query, search
from nodes.fields import choice, text, text_of
from nodes.http.body import parse_json, replace_query

if TYPE_CHECKING:
    from nodes.credentials.keyring import DecryptedCredential

LINK = re.compile(r"<([^<>]*)>([^<>]*)")
PARAM = re.compile(r';\s*([^\s=;,"]+)\s*(?:=\s*(?:"([^"]*)"|([^\s;,"]*)))?')
MAX_LINK = 8_000
DEFAULTS = {"cursor": ("cursor", None), "page": ("page", 1), "offset": ("offset", 0)}
COUNTED = {"param", "place", "start", "size", "size_param"}
# The keys of each type, besides those of all types.
KEYS = {"next_link": {"path"}, "cursor": {"path", "param", "place"}, "page": COUNTED, "offset": COUNTED}


def jmespath(value: str) -> None:
    """Reject text that is not JMESPath."""
    try:
        compile_query(value)
    except NodeError as error:
        raise ValidationError(error.message) from None


def _path(help: str, *, title: str) -> Any:
    return setting(fields.String, help, title=title, validate=[validate.Length(1, MAX_QUERY), jmespath])


def _whole(help: str, least: int, most: int, **options: Any) -> Any:
    return setting(fields.Integer, help, strict=True, validate=validate.Range(least, most), **options)


class Pagination(Schema):
    """The settings of an API's pagination."""

    class Meta:
        unknown = RAISE

    type = choice(
        "How to request the next page: by a link or a cursor of the previous page, by page number, or by offset",
        tuple(KEYS),
        required=True,
        title="Pagination type",
        labels={"next_link": "Next link", "cursor": "Cursor", "page": "Page number", "offset": "Offset"},
    )
    path = _path(
        "JMESPath of the link or the cursor in the body: meta.next. Default: the header Link",
        title="Link or cursor path",
    )
    param = text(
        "The parameter for the cursor, page number or offset. Default: the usual name of the type",
        most=200,
        title="Parameter",
    )
    place = choice("Where to send the parameter", {"query": "Query string", "body": "Body"}, title="Send parameter in")
    start = _whole("The first page number or offset. Default: 1 or 0", 0, 10**9, title="Start value")
    size = _whole(
        "The number of items on a full page; a page with fewer items is the last", 1, 100_000, title="Page size"
    )
    size_param = text("The parameter for the page size: limit", most=200, title="Page size parameter")
    items = _path("JMESPath of the list in the body: data.items. Default: the body is the list", title="Items path")
    max_pages = _whole("Maximum number of pages to request", 1, 1_000, load_default=100, title="Max pages")
    max_items = _whole("Maximum number of items to return", 1, 1_000_000, title="Max items")

    @validates_schema
    def fits_its_type(self, data: Mapping[str, Any], **kwargs: Any) -> None:
        """Reject keys that the type would ignore."""
        type_ = data.get("type")
        if type_ not in KEYS:
            return
        for key in (COUNTED | {"path"}) & set(data) - KEYS[type_]:
            raise ValidationError(f"Is not used by the type {type_}; remove it.", key)
        if type_ == "cursor" and "path" not in data:
            raise ValidationError("Is required for the type cursor.", "path")
        if "size_param" in data and "size" not in data:
            raise ValidationError("Is required with size_param.", "size")


class PageLocation(NamedTuple):
    """The location of a page: its URL and the request body."""

    url: str
    body: Any


class ResponsePage(NamedTuple):
    """A page: the response, its body as data, and its items."""

    answer: HttpResponse
    data: Any
    items: list[Any]


# Requests the page at a place, by its number.
Ask = Callable[[PageLocation, int], HttpResponse]


class PageRequests:
    """Requests one page after another, starting at `place`. `options` are those of `Pagination`."""

    def __init__(
        self,
        options: Mapping[str, Any],
        place: PageLocation,
        ask: Ask,
        max_bytes: int,
        credential: DecryptedCredential | None,
    ) -> None:
        self.options, self.first, self.ask = options, place, ask
        self.max_bytes, self.credential = max_bytes, credential
        self.type: str = options["type"]
        name, start = DEFAULTS.get(self.type, ("", None))
        self.param: str = options.get("param") or name
        self.at: int = options.get("start", start or 0)
        self.seen: set[str] = set()
        self.before = b""

    def all(self) -> dict[str, Any]:
        """Return `{"status", "headers", "body", "pages", "truncated"}` of the last page, with the items of all."""
        items: list[Any] = []
        number, size = 0, 0
        most_items = self.options.get("max_items")
        self.seen.add(self.first.url)
        place: PageLocation | None = self._add_number() if self.type in ("page", "offset") else self.first
        while place is not None and number < self.options["max_pages"]:
            number += 1
            try:
                page = self._page(place, number)
                size += len(page.answer.content)
                if size > self.max_bytes:
                    raise LimitExceeded(f"all pages together have more than {self.max_bytes} bytes; set max_items")
                place = self._next(place, page)
            except NodeError as error:
                raise error.at(f"page {number}") from None
            items += page.items
            if most_items is not None and len(items) >= most_items:
                break
        truncated = place is not None or len(items) > (most_items or len(items))
        return {
            "status": page.answer.status,
            "headers": page.answer.headers,
            "body": items[:most_items],
            "pages": number,
            "truncated": truncated,
        }

    def _page(self, place: PageLocation, number: int) -> ResponsePage:
        answer = self.ask(place, number)
        data = parse_json(answer)
        path = self.options.get("items")
        items = data if path is None else search(path, data)
        if items is None and number > 1:
            items = []  # some APIs omit an empty list
        if isinstance(items, list):
            return ResponsePage(answer, data, items)
        if path is not None:
            raise NodeError(f"pagination.items: there is no list at {path}", permanent=True)
        lists = [key for key, value in data.items() if isinstance(value, list)] if isinstance(data, dict) else []
        hint = f": {', '.join(sorted(lists)[:5])[:200]}" if lists else ""
        raise NodeError(f"the body is not a list; set pagination.items to the path of the list{hint}", True)

    def _next(self, place: PageLocation, page: ResponsePage) -> PageLocation | None:
        """Return the place of the next page; None if this is the last."""
        if self.type == "next_link":
            path = self.options.get("path")
            link = find_next_link(page.answer) if path is None else search(path, page.data)
            if link is None or link == "" or link is False:
                return None
            if not isinstance(link, str) or len(link) > MAX_LINK:
                raise NodeError("pagination.path: the value is not a link", permanent=True)
            url = self._resolve(page.answer.url or place.url, link)
            self._remember(url, "link")
            return PageLocation(url, place.body)
        if self.type == "cursor":
            cursor = search(self.options["path"], page.data)
            if cursor is None or cursor == "" or cursor is False:
                return None
            if not isinstance(cursor, str | int | float) or cursor is True or len(text_of(cursor)) > MAX_LINK:
                raise NodeError("pagination.path: the value is not a cursor", permanent=True)
            self._remember(text_of(cursor), "cursor")
            return self._with_params({self.param: cursor})
        size = self.options.get("size")
        if not page.items or (size is not None and len(page.items) < size):
            return None
        if page.answer.content == self.before:
            raise NodeError(f"the page equals the previous one: the API seems to ignore {self.param}", True)
        self.before = page.answer.content
        self.at += 1 if self.type == "page" else len(page.items)
        return self._add_number()

    def _resolve(self, base: str, link: str) -> str:
        """Return the link's URL. It must stay on the first page's host, or on a host of the credential."""
        import httpx2

        try:
            first, url = httpx2.URL(self.first.url), httpx2.URL(base).join(link.strip())
        except (httpx2.InvalidURL, ValueError):
            raise NodeError("the link to the next page is not valid", permanent=True) from None
        get_host(str(url))
        if url.host == first.host and first.scheme == "https" and url.scheme == "http" and url.port is None:
            url = url.copy_with(scheme="https")  # servers behind a proxy may not know that they are reached by https
        upgraded = (first.scheme, url.scheme, first.port, url.port) == ("http", "https", None, None)
        if url.host == first.host and (upgraded or (url.scheme, url.port) == (first.scheme, first.port)):
            return str(url if url.userinfo else url.copy_with(userinfo=first.userinfo))
        is_bound = self.credential is not None and self.credential.may_go_to(url.host)
        if not is_bound or url.scheme != "https":
            raise NodeError(f"the link to the next page leads from {first.host} to another host, {url.host}", True)
        return str(url)

    def _remember(self, step: str, what: str) -> None:
        if step in self.seen:
            raise NodeError(f"the {what} to the next page was used before: the pages repeat endlessly", True)
        self.seen.add(step)

    def _add_number(self) -> PageLocation:
        given: dict[str, Any] = {self.param: self.at}
        if "size_param" in self.options:
            given[self.options["size_param"]] = self.options["size"]
        return self._with_params(given)

    def _with_params(self, given: dict[str, Any]) -> PageLocation:
        """Return the first page's place with these parameters, in the query or the body, replacing equal names."""
        url, body = self.first
        if self.options.get("place") == "body":
            if not isinstance(body, dict | None):
                raise NodeError("pagination.place: the body must be an object", permanent=True)
            return PageLocation(url, {**(body or {}), **given})
        return PageLocation(replace_query(url, given), body)


def find_next_link(answer: HttpResponse) -> str | None:
    """Return the link to the next page in the header Link (RFC 8288)."""
    for link, params in LINK.findall(answer.headers.get("link", "")):
        for name, quoted, bare in PARAM.findall(params):
            if name.lower() == "rel" and "next" in (quoted or bare).lower().split():
                return str(link)
    return None
