"""Kinds of values of settings: the parser of each, and the text about its allowed values in the documentation."""

from __future__ import annotations

import ipaddress
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3}
SQLITE, POSTGRES = "sqlite:///", ("postgresql://", "postgres://")


class ValueKind(NamedTuple):
    """A type of value: `parse` converts text or raises ValueError; `allowed` describes the allowed values.

    A `secret` can be in a file, and is never shown. `has_empty`: a variable that is set and empty has a value of its
    own, other than the default.
    """

    allowed: str
    parse: Callable[[str], Any]
    secret: bool = False
    has_empty: bool = False


def matching(allowed: str, pattern: str, secret: bool = False) -> ValueKind:
    """Return the kind of texts that match this pattern as a whole."""
    compiled = re.compile(pattern)

    def parse(text: str) -> str:
        if not compiled.fullmatch(text):
            raise ValueError
        return text

    return ValueKind(allowed, parse, secret)


def number(low: int, high: int) -> ValueKind:
    """Return the kind of whole numbers from `low` to `high`."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,15}", text) or not low <= int(text) <= high:
            raise ValueError
        return int(text)

    return ValueKind(f"a whole number from {low} to {high}", parse)


def _parse_size(text: str) -> int:
    match = re.fullmatch(r"([0-9]{1,15})([KMG]?)", text.upper())
    if not match:
        raise ValueError
    return int(match[1]) * UNITS[match[2]]


def size(high: str, low: int = 1) -> ValueKind:
    """Return the kind of numbers of bytes, with or without a unit."""

    def parse(text: str) -> int:
        if not low <= _parse_size(text) <= _parse_size(high):
            raise ValueError
        return _parse_size(text)

    return ValueKind(f"bytes, or a number with K, M or G (multiples of 1024), from {low} to {high}", parse)


def or_empty(kind: ValueKind) -> ValueKind:
    """Return the kind of a value that may be missing: None."""
    return ValueKind(f"empty, or {kind.allowed}", lambda text: kind.parse(text) if text else None, kind.secret)


def one_of(*choices: str) -> ValueKind:
    """Return the kind of these words."""
    return matching(" or ".join(f"`{choice}`" for choice in choices), "|".join(choices))


# Each part is checked, since the driver would take the rest of a wrong password for a host, and name it in an error.
ESCAPE = "%(?!00)[0-9A-Fa-f]{2}"
POSTGRES_HOST = rf"(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9_.-]|{ESCAPE})*)(?::[0-9]{{1,5}})?"
POSTGRES_USER = rf"(?:[^\s@/?#:%]|{ESCAPE})+(?::(?:[^\s@/?#:%]|{ESCAPE})*)?@"
POSTGRES_URL = re.compile(
    rf"postgres(?:ql)?://(?:{POSTGRES_USER})?{POSTGRES_HOST}(?:,{POSTGRES_HOST})*/(?:[^\s@/?#%]|{ESCAPE})+"
    rf"(?:\?(?:[^\s@#%]|{ESCAPE})*)?"
)


def _parse_database_url(text: str) -> str:
    if POSTGRES_URL.fullmatch(text):
        return text
    path = unquote(text.removeprefix(SQLITE))
    if text and (not text.startswith(SQLITE) or not path or path.startswith(":") or re.search(r"[?\0]", path)):
        raise ValueError
    return text


def _parse_broker(text: str) -> str:
    parts = urlsplit(text)
    if text and (parts.scheme not in ("amqp", "amqps", "redis", "rediss") or not parts.hostname or parts.port == 0):
        raise ValueError
    return text


BUCKET_URL = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](?:/[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}){0,8}")


def _parse_bucket(text: str) -> str:
    text = text.rstrip("/")
    if text and not BUCKET_URL.fullmatch(text):
        raise ValueError
    return text


def _parse_packs(text: str) -> tuple[str, ...] | None:
    names = [part.strip() for part in text.split(",") if part.strip()]
    if not all(re.fullmatch(r"[a-z][a-z0-9_]{0,63}", name) for name in names):
        raise ValueError
    return None if names == ["all"] else tuple(names)


def _parse_egress(text: str) -> tuple[str, ...]:
    return tuple(_parse_host_or_network(part.strip().lower()) for part in text.split(",") if part.strip())


def _parse_host_or_network(text: str) -> str:
    if re.fullmatch(r"[0-9.]+|.*[/:].*", text):
        return str(ipaddress.ip_network(text))
    if not re.fullmatch(r"[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9])?", text):
        raise ValueError
    return text


def _parse_authorities(text: str) -> Path:
    path = Path(text).expanduser().absolute()
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except OSError:
        raise ValueError from None
    return path


def _parse_address(text: str) -> str:
    if text:
        parts = urlsplit(text)
        plain = parts.username is None and not parts.query and not parts.fragment and text.isprintable()
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0 or not plain or " " in text:
            raise ValueError
    return text


def address(example: str) -> ValueKind:
    """Return the kind of a setting that is an address of HTTP, or empty. Its description shows `example`."""
    return ValueKind(f"empty or an address such as {example}", _parse_address)


@dataclass(frozen=True, slots=True)
class MailServer:
    """The server that Headrace's own mail goes through. `security` is tls, starttls or none; `sender` is an address."""

    host: str
    port: int
    security: str
    sender: str
    username: str = ""
    password: str = field(default="", repr=False)


MAIL_PORTS = {"tls": 465, "starttls": 587, "none": 25}


def _parse_mail_server(text: str) -> MailServer:
    parts = urlsplit(text)
    options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True))
    sender, starttls = options.pop("from", ""), FLAG.parse(options.pop("starttls", "true"))
    security = "tls" if parts.scheme == "smtps" else "starttls" if starttls else "none"
    username, password = (unquote(given or "") for given in (parts.username, parts.password))
    is_whole = bool(username) == bool(password) and not parts.path.strip("/") and not parts.fragment and not options
    name, _, domain = sender.partition("@")
    is_address = bool(name and domain) and sender.isprintable() and not set(sender) & set(' <>,"') and "@" not in domain
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname or parts.port == 0 or not (is_whole and is_address):
        raise ValueError
    return MailServer(parts.hostname, parts.port or MAIL_PORTS[security], security, sender, username, password)


PASSWORD = ValueKind("any text", str, secret=True)
KEY = matching("empty or a key of printable ASCII characters without spaces", "[!-~]*", secret=True)
FLAG = ValueKind("`true` or `false`", lambda text: ("false", "true").index(text) == 1)
SWITCH = ValueKind("`1` or `0`, or `true` or `false`", lambda text: ("0", "false", "1", "true").index(text) > 1)
MODEL = matching(
    "empty, `test`, or `openai:`, `anthropic:` or `ollama:` with the name of a model",
    r"(test|(openai|anthropic|ollama):[!-~]{1,200})?",
)
HOST = matching("a host name or address", r"[A-Za-z0-9_.:-]+")
FOLDER = ValueKind("a path", lambda text: Path(text).expanduser().absolute())
DATABASE = ValueKind(
    "`sqlite:///path/to/file` or `postgresql://user:password@host/database`, with special characters of the user name "
    "or password written as in any URL (`@` is `%40`)",
    _parse_database_url,
    secret=True,
)
BROKER = ValueKind(
    "empty, or an address such as amqp://user:password@host or redis://host/0", _parse_broker, secret=True
)
BUCKET = ValueKind("empty, or an S3 bucket with or without a prefix, such as s3://bucket/headrace", _parse_bucket)
AUTHORITIES = ValueKind("the path of a file with certificates in PEM format", _parse_authorities)
MAIL_SERVER = ValueKind(
    "an address such as smtp://user:password@mail.example.org:587?from=flows@example.org; `smtps://` encrypts from the "
    "start, `smtp://` by STARTTLS, unless `&starttls=false` follows",
    _parse_mail_server,
    secret=True,
)
PACKS = ValueKind("`all`, or names of packs separated by commas, or empty: none", _parse_packs, has_empty=True)
EGRESS = ValueKind("host names, addresses and CIDR networks without host bits, separated by commas", _parse_egress)
