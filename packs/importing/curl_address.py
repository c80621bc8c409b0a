"""Address of a cURL command: its single URL, in parts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from errors import BadInput
from packs.importing.notes import Notes
from packs.importing.secret_detection import is_host

MAX_URL = 8_000
_PARTS = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<host>[^/?#]*)(?P<path>[^?#]*)(?:\?(?P<query>[^#]*))?")
_RANGE = re.compile(r"\[(?:[0-9]+-[0-9]+|[A-Za-z]-[A-Za-z])(?::[0-9]+)?\]")
_ALTERNATIVES = re.compile(r"\{[^{},]*,[^{}]*\}")
_PLACEHOLDER = re.compile(r"\{[^{},]+\}|(?<=/):[A-Za-z_]+(?=/|\Z)")


class CurlAddress(NamedTuple):
    """The parts of a URL: `base` is everything before the query, `user` the user and password before the `@`."""

    base: str
    host: str
    query: str
    user: str | None

    @property
    def host_name(self) -> str:
        """Return the host without port, in lower case; empty if it is not a host, such as a placeholder."""
        name = re.sub(r":[0-9]{1,5}\Z", "", self.host.lower())
        return name if is_host(name) else ""


def parse_address(urls: Sequence[str], globs: bool, notes: Notes) -> CurlAddress:
    """Parse the URL. `globs`: `[1-3]` and `{a,b}` are patterns for several requests, unless escaped by a backslash.

    Raises: BadInput if there is not exactly one URL, or the node cannot call it.
    """
    if not urls:
        raise BadInput("The command has no URL")
    if len(urls) > 1:
        raise BadInput("The command has several URLs (or unquoted words): import one request at a time")
    url = _unescape(urls[0]) if globs else urls[0]
    if _PLACEHOLDER.search(url.partition("?")[0].partition("://")[2] or url):
        notes.add("The URL has a placeholder, which is imported as text: replace it by a value or an expression")
    match = _PARTS.match(url if "://" in url.partition("?")[0] else f"http://{url}")
    if match is None or not match["host"]:
        raise BadInput("The URL has no host")
    scheme = match["scheme"].lower()
    if scheme not in ("http", "https"):
        raise BadInput(f"The URL starts with {scheme[:20]}://; only http:// and https:// can be imported")
    user, _, host = match["host"].rpartition("@")
    base = f"{scheme}://{host}{match['path']}".replace(" ", "%20")
    if len(url) > MAX_URL:
        raise BadInput(f"The URL is longer than {MAX_URL:,} characters")
    if re.search(r"[\x00-\x1f\x7f]", url):
        raise BadInput("The URL contains control characters")
    return CurlAddress(base, host, match["query"] or "", user or None)


def _unescape(url: str) -> str:
    """Unescape a URL. Raises: BadInput if it is a pattern for several URLs."""
    bare = re.sub(r"\\[\[\]{}]", "", url)
    if _RANGE.search(bare) or _ALTERNATIVES.search(bare):
        raise BadInput("The URL is a pattern, such as [1-3] or {a,b}, for several requests: import one at a time")
    return re.sub(r"\\([\[\]{}])", r"\1", url)
