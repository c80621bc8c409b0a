"""Feed nodes: read an RSS or Atom feed, or start a run for each new entry."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

from errors import MalformedData, NodeError
from fields import Schema
from net.egress import RequestOptions, get_host
from nodes.base import Context, Item, Node, Polled
from nodes.core.triggers import TriggerNode
from nodes.fields import flag, number, text, web_address, whole
from nodes.http.body import get_retry_after, is_permanent, kind_of_status
from packs.polls.node import MAX_MARK
from parsers.process import read_apart

FETCH_SECONDS, PARSE_SECONDS = 30.0, 20.0
ACCEPT = "application/atom+xml, application/rss+xml, application/xml;q=0.9, text/xml;q=0.9, */*;q=0.5"
URL_HELP = "The URL of the RSS or Atom feed: https://example.com/feed.xml"
EXAMPLE = {
    "id": "https://example.com/posts/7",
    "title": "Version 7 is out",
    "link": "https://example.com/posts/7",
    "summary": "<p>What is <b>new</b></p>",
    "content": "",
    "author": "Ada",
    "published": "2026-03-02T12:00:00Z",
    "updated": None,
    "tags": ["releases"],
    "enclosures": [],
}


class Feed(NamedTuple):
    """Entries in the order of the feed; `whole` if these are all. `marks` are the response's ETag and Last-Modified."""

    entries: list[dict[str, Any]]
    whole: bool
    marks: dict[str, str]


def fetch(url: str, ctx: Context, marks: Mapping[str, str]) -> Feed | None:
    """Return the feed; None if it has not changed since these marks. Raises: NodeError if there is no valid feed."""
    url = url.strip()
    host = get_host(url)

    def check(place: str, with_body: bool = False) -> None:
        ctx.check_secrets(get_host(place), [place])

    check(url)
    conditions = {"If-None-Match": marks.get("etag"), "If-Modified-Since": marks.get("modified")}
    headers = [("Accept", ACCEPT), *((name, value) for name, value in conditions.items() if value)]
    http, seconds = ctx.need_services().http(), ctx.seconds_left(FETCH_SECONDS)
    answer = http.fetch("GET", url, seconds=seconds, headers=headers, options=RequestOptions(allow=check))
    if answer.status == 304 and marks:
        return None
    if answer.status != 200:
        text = f"{answer.who} answered {answer.status} {answer.reason}".rstrip()
        kind = kind_of_status(answer.status)
        raise NodeError(text, is_permanent(answer.status), get_retry_after(answer) or 0.0, kind)
    options = {"url": url, "content_type": answer.headers.get("content-type", "")}
    found = read_apart("packs.feeds.feed", options, answer.content, ctx.seconds_left(PARSE_SECONDS), ctx.workspace_id)
    if "problem" in found:
        raise MalformedData(f"the response of {host} {found['problem']}")
    given = {"etag": answer.headers.get("etag", ""), "modified": answer.headers.get("last-modified", "")}
    # If a feed is cut off, the rest may come with the same marks.
    marks = {name: value for name, value in given.items() if 0 < len(value) <= MAX_MARK} if found["whole"] else {}
    return Feed(found["entries"], found["whole"], marks)


def sort_oldest_first(entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the entries by date if all have one, else in reverse order, because feeds start with the newest."""
    found = list(reversed(entries))
    dates = [entry["published"] or entry["updated"] for entry in found]
    if not all(dates):
        return found
    return [found[at] for at in sorted(range(len(found)), key=lambda at: dates[at])]


def identify(entries: Sequence[dict[str, Any]], updates: bool) -> Iterator[Item]:
    """Yield each entry with its key: the id, or link and title without one; with `updates`, also its content.

    Entries with equal ids but different links are distinguished by the link, except the oldest, which was there first.
    """
    links: dict[str, str | None] = {}
    for entry in entries:
        key = entry["id"] or _make_key(entry)
        if key is None:
            continue
        if links.setdefault(key, entry["link"]) != entry["link"]:
            key = _text([key, entry["link"]])
        if updates:
            said = entry["updated"] or [entry[name] for name in ("title", "link", "summary", "content", "enclosures")]
            key = _text([key, hashlib.sha256(_text(said).encode()).hexdigest()])
        yield Item(key, entry)


def _make_key(entry: dict[str, Any]) -> str | None:
    for names in (("link", "title"), ("summary", "content", "published")):
        if any(entry[name] for name in names):
            return _text([entry[name] for name in names])
    return None


def _text(value: Any) -> str:
    return orjson.dumps(value).decode()


class RssTrigger(TriggerNode):
    """Starts a run for each new entry of an RSS or Atom feed, with the entry as input. Each entry starts one run."""

    type = "rss_trigger"
    title = "New entry of a feed"
    icon = "rss"
    also = ("rss feed trigger", "poll", "atom")
    polls = True
    source = ("url", "updates")
    examples = ({"config": {"url": "https://example.com/feed.xml"}, "input": EXAMPLE, "output": EXAMPLE},)

    class Config(Schema):
        url = text(URL_HELP, web_address, most=8_000, required=True, title="Feed URL")
        every = number("Seconds between two checks", 30, 366 * 86_400, load_default=900.0, title="Interval (seconds)")
        backlog = flag(
            "Also start runs for entries that exist at the first check", False, title="Include existing entries"
        )
        updates = flag("Also start a run when an entry changes", False, title="Include updates")

    def poll(self, config: dict[str, Any], state: Any, ctx: Context) -> Polled:
        feed = fetch(config["url"], ctx, state or {})
        if feed is None:
            return Polled((), state)
        return Polled(list(identify(sort_oldest_first(feed.entries), config["updates"])), feed.marks, feed.whole)


class Rss(Node):
    """Reads an RSS or Atom feed and returns its entries in order; their HTML is safe to show."""

    type = "rss"
    category = "integration"
    title = "Read a feed"
    icon = "news"
    also = ("rss read", "atom", "news")
    pure = False
    examples = ({"config": {"url": "https://example.com/feed.xml", "limit": 10}, "input": None, "output": [EXAMPLE]},)

    class Config(Schema):
        url = text(URL_HELP, web_address, most=8_000, required=True, title="Feed URL")
        limit = whole("Maximum number of entries", 1, 10_000, load_default=100, title="Max entries")

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        feed = fetch(config["url"], ctx, {})
        return [] if feed is None else feed.entries[: config["limit"]]
