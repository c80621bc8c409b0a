"""Advice of an import to its user: notes, each only once, and credentials to create in place of likely secrets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

MAX_NOTES, MAX_LENGTH = 50, 400


class Notes:
    """Sentences in the order in which they were added. None may contain a secret."""

    def __init__(self) -> None:
        self._texts: dict[str, None] = {}
        self._left_out = 0

    def add(self, text: str) -> None:
        """Add a note, unless it exists."""
        text = text if len(text) <= MAX_LENGTH else f"{text[: MAX_LENGTH - 1]}…"
        if text in self._texts:
            return
        if len(self._texts) >= MAX_NOTES:
            self._left_out += 1
        else:
            self._texts[text] = None

    def __iter__(self) -> Iterator[str]:
        yield from self._texts
        if self._left_out:
            yield f"{self._left_out} more notes of these kinds are not listed"


def quote_name(name: object) -> str:
    """Return an imported name for a note: quoted and truncated."""
    text = str(name)
    return repr(text if len(text) <= 80 else f"{text[:79]}…")


_HEADERS = {"authorization", "proxyauthorization", "cookie", "xsessionid", "sessionid", "xauth"}
_NO_SECRETS = {"idempotencykey", "xidempotencykey", "secwebsocketkey"}
_HEADER_ENDS = ("key", "token", "secret", "password", "passwd", "signature", "credential", "credentials", "jwt")
_FIELD_ENDS = (
    *("apikey", "accesskey", "secretkey", "privatekey", "accesstoken", "refreshtoken", "authtoken", "sessiontoken"),
    *("apitoken", "bearertoken", "securitytoken", "password", "passwd", "secret"),
)
# Likely secrets in a query, but too common as names in a body.
_QUERY = {"key", "token", "sig", "signature", "appid", "auth"}

Texts = Mapping[str, str]


@dataclass(frozen=True)
class Suggestion:
    """A credential to create: `data` are its known values, `sources` says where to find each of the others.

    `hosts` are the hosts it may be sent to, None if they are not known. Completed by the values, it is a body for
    POST /api/credentials.
    """

    name: str
    type: str
    data: Texts = field(default_factory=dict)
    sources: Texts = field(default_factory=dict)
    hosts: tuple[str, ...] | None = None


class Suggestions:
    """The credentials to create for an import. `base` is the prefix of their names."""

    def __init__(self, base: str, hosts: tuple[str, ...]) -> None:
        self.base, self.hosts = base, hosts
        self.found: dict[str, Suggestion] = {}

    def add(self, name: str, type_: str, data: Texts, sources: Texts, more_hosts: tuple[str, ...] = ()) -> str:
        """Add a suggestion; return its name."""
        hosts = tuple(dict.fromkeys((*self.hosts, *more_hosts)))
        self.found[name] = Suggestion(name, type_, data, sources, hosts or None)
        return name

    def add_secret(self, name: str, source: str) -> str:
        """Suggest a secret as a credential; return the expression that reads it."""
        slug = re.sub(r"[^a-z0-9]+", "_", f"{self.base}_{name}".lower()).strip("_")[:150]
        slug = slug if slug[:1].isalpha() else f"secret_{slug}"
        self.add(slug, "secret", {}, {"value": source})
        return f"{{{{ secrets.{slug} }}}}"


def is_host(text: str) -> bool:
    """Return True if a credential can be bound to this lower-case host name or IPv4 address."""
    return re.fullmatch(r"[a-z0-9_]([a-z0-9_.-]{0,98}[a-z0-9])?", text) is not None


def get_hosts(url: str) -> tuple[str, ...]:
    """Return the host of an http or https URL, if a credential can be bound to it."""
    found = re.match(r"https?://([^/?#@:\[\]]+)(?:[:/?#]|\Z)", url.lower())
    return (found[1],) if found is not None and is_host(found[1]) else ()


def _bare(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def is_secret_header(name: str) -> bool:
    """Return True if a header of this name is likely a secret."""
    bare = _bare(name)
    return bare not in _NO_SECRETS and (bare in _HEADERS or bare.endswith(_HEADER_ENDS))


def is_secret_field(name: str, in_query: bool = False) -> bool:
    """Return True if a body field or query parameter of this name is likely a secret."""
    bare = _bare(name)
    return bare.endswith(_FIELD_ENDS) or (in_query and bare in _QUERY)
