"""Feeds, all versions of RSS and Atom, as plain JSON; their HTML is sanitized."""

from __future__ import annotations

import calendar
import html
import io
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urljoin, urlsplit
from xml.sax import SAXException

import feedparser
import nh3

MAX_ENTRIES = 10_000
MAX_TEXT, MAX_HTML, MAX_ALL = 2_000, 500_000, 32 * 2**20
MAX_TAGS, MAX_ENCLOSURES = 50, 20


def read(options: dict[str, Any], data: bytes) -> tuple[dict[str, Any], tuple[bytes, ...]]:
    """Return `{entries, whole}`, with the entries in the order of the feed; `{problem}` if it is not a feed.

    `options` are the `content_type` from the server and the `url`, the base of relative URLs.
    """
    # feedparser must not sanitize HTML: it takes quadratic time for some texts, and is 20 times slower for all. It does
    # not get the URL: relative ids would then depend on it, and it may contain a key.
    headers = {"content-type": options["content_type"]}
    parsed = feedparser.parse(
        io.BytesIO(data), response_headers=headers, sanitize_html=False, resolve_relative_uris=False
    )
    version = parsed.get("version", "")
    if not version and not parsed.entries:
        return {"problem": "is not an RSS or Atom feed"}, ()
    says_type = version.startswith("atom")
    entries = [_entry(entry, options["url"], says_type) for entry in parsed.entries[:MAX_ENTRIES]]
    if sum(len(entry["summary"]) + len(entry["content"]) for entry in entries) > MAX_ALL:
        return {"problem": f"has more than {MAX_ALL} characters of content"}, ()
    broken = isinstance(parsed.get("bozo_exception"), SAXException)
    return {"entries": entries, "whole": not broken and len(parsed.entries) <= MAX_ENTRIES}, ()


def _entry(entry: Any, url: str, says_type: bool) -> dict[str, Any]:
    """Return the entry. `says_type`: its texts declare whether they are HTML, as in Atom; other texts count as HTML."""
    content = next(iter(entry.get("content") or ()), None) or {}
    text = _cut(entry.get("title"), 4 * MAX_TEXT)
    if not (says_type and _is_text(entry.get("title_detail"))):
        text = html.unescape(nh3.clean(text, tags=set()))
    return {
        "id": _cut(entry.get("id")),
        "title": " ".join(_cut(text).split()),
        "link": _address(entry.get("link"), url),
        "summary": _safe(entry.get("summary"), entry.get("summary_detail"), url),
        "content": _safe(content.get("value"), content, url),
        "author": _cut(entry.get("author")) or None,
        # `get` would substitute one date for the other if it is missing.
        "published": _time(dict.get(entry, "published_parsed")),
        "updated": _time(dict.get(entry, "updated_parsed")),
        "tags": [_cut(tag.get("term")) for tag in (entry.get("tags") or ())[:MAX_TAGS] if tag.get("term")],
        "enclosures": [_enclosure(found, url) for found in (entry.get("enclosures") or ())[:MAX_ENCLOSURES]],
    }


def _enclosure(found: Any, url: str) -> dict[str, Any]:
    length = str(found.get("length") or "")
    return {
        "url": _address(found.get("href"), url),
        "type": _cut(found.get("type")) or None,
        "length": int(length) if length.isdecimal() and len(length) < 16 else None,
    }


def _cut(value: Any, most: int = MAX_TEXT) -> str:
    """Return text of limited length; half a surrogate pair, valid only in Python, becomes a question mark."""
    return str(value or "").strip()[:most].encode("utf-8", "replace").decode()


def _is_text(detail: Any) -> bool:
    return bool(detail) and detail.get("type") == "text/plain"


def _safe(value: Any, detail: Any, url: str) -> str:
    """Return sanitized HTML with absolute URLs."""
    text = _cut(value, MAX_HTML)
    if _is_text(detail):
        return html.escape(text, quote=False)
    base = _address((detail or {}).get("base"), url) or url
    return nh3.clean(text, url_relative=("rewrite_with_base", base)).strip()


def _address(value: Any, url: str) -> str | None:
    """Return an absolute http(s) URL; None for any other, such as `javascript:`."""
    text = _cut(value)
    try:
        found = urljoin(url, text) if text else ""
        return found if urlsplit(found).scheme in ("http", "https") else None
    except ValueError:
        return None


def _time(parsed: Any) -> str | None:
    """Return feedparser's date as ISO 8601 in UTC."""
    if parsed is None:
        return None
    try:
        return f"{datetime.fromtimestamp(calendar.timegm(parsed), UTC):%Y-%m-%dT%H:%M:%SZ}"
    except (ValueError, OverflowError, OSError, TypeError):
        return None
