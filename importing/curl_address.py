"""The one address that a command line asks for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from errors import BadInput
from importing.notes import Notes
from importing.secret_detection import is_host

LONGEST = 8_000
_PARTS = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<host>[^/?#]*)(?P<path>[^?#]*)(?:\?(?P<query>[^#]*))?")
_RANGE = re.compile(r"\[(?:[0-9]+-[0-9]+|[A-Za-z]-[A-Za-z])(?::[0-9]+)?\]")
_ALTERNATIVES = re.compile(r"\{[^{},]*,[^{}]*\}")
_PLACEHOLDER = re.compile(r"\{[^{},]+\}|(?<=/):[A-Za-z_]+(?=/|\Z)")


class Address(NamedTuple):
    """`base` is what comes before the query; `user` what stands before the `@`, with its password."""

    base: str
    host: str
    query: str
    user: str | None

    @property
    def host_name(self) -> str:
        """The host without its port, in lower case; empty where it is none, such as a placeholder."""
        name = re.sub(r":[0-9]{1,5}\Z", "", self.host.lower())
        return name if is_host(name) else ""


def address_of(urls: Sequence[str], globs: bool, notes: Notes) -> Address:
    """The parts of the address. BadInput where there is not exactly one, or none that the node could call.

    `globs` says that `[1-3]` and `{a,b}` in it stand for several, and a backslash takes that from them.
    """
    if not urls:
        raise BadInput("The command has no URL")
    if len(urls) > 1:
        raise BadInput("The command has several URLs (or words outside of quotes): import one request at a time")
    url = _one(urls[0]) if globs else urls[0]
    if _PLACEHOLDER.search(url.partition("?")[0].partition("://")[2] or url):
        notes.add("The URL has a placeholder, which is taken as text: put a value or an expression in its place")
    match = _PARTS.match(url if "://" in url.partition("?")[0] else f"http://{url}")
    if match is None or not match["host"]:
        raise BadInput("The URL has no host")
    scheme = match["scheme"].lower()
    if scheme not in ("http", "https"):
        raise BadInput(f"The URL begins with {scheme[:20]}://; only http:// and https:// can be imported")
    user, _, host = match["host"].rpartition("@")
    base = f"{scheme}://{host}{match['path']}".replace(" ", "%20")
    if len(url) > LONGEST:
        raise BadInput(f"The URL is longer than {LONGEST:,} characters")
    if re.search(r"[\x00-\x1f\x7f]", url):
        raise BadInput("The URL has control characters")
    return Address(base, host, match["query"] or "", user or None)


def _one(url: str) -> str:
    """The URL of a pattern that stands for one only."""
    bare = re.sub(r"\\[\[\]{}]", "", url)
    if _RANGE.search(bare) or _ALTERNATIVES.search(bare):
        raise BadInput("The URL is a pattern, such as [1-3] or {a,b}, for several requests: import one at a time")
    return re.sub(r"\\([\[\]{}])", r"\1", url)
