"""What a command line says in headers: which a node sends, and which are a credential's business."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from typing import NamedTuple

from errors import BadInput
from expressions import escape
from importing.curl_address import Address
from importing.notes import Notes, shown
from importing.secret_detection import Suggestions, is_secret_header
from nodes.fields import CONTROL, TOKEN

LONGEST, MOST = 8_000, 100
# The client's own business: the node's refuses them, or would get an answer that it does not read.
_OURS = {"connection", "content-length", "transfer-encoding", "upgrade", "accept-encoding", "expect", "te"}
# What browsers tell of themselves, and old ones copy of HTTP/2.
_OF_BROWSERS = re.compile(
    r"sec-(?:ch-|fetch-|gpc\Z).*|dnt\Z|priority\Z|upgrade-insecure-requests\Z|(?:authority|method|path|scheme)\Z"
)
_FROM_OPTIONS = {"user-agent": "User-Agent", "referer": "Referer", "range": "Range", "cookie": "Cookie"}


class Header(NamedTuple):
    """A header. `value` None: curl would have sent one by itself and is told not to. `source` is where it stands."""

    name: str
    value: str | None
    source: str
    is_expression: bool = False


Headers = dict[str, Header]


def headers_of(given: Iterable[tuple[str, str]], notes: Notes) -> Headers:
    """The headers that the options ask for, by their name in lower case. BadInput for one that cannot be."""
    by_options: Headers = {}
    by_hand: Headers = {}
    for option, value in given:
        if option == "header":
            _add_line(by_hand, value, notes)
        elif option == "json":
            for name in ("Content-Type", "Accept"):
                by_options[name.lower()] = Header(name, "application/json", "--json")
        elif option == "oauth2-bearer":
            by_options["authorization"] = Header("Authorization", f"Bearer {value}", "--oauth2-bearer")
        elif option == "cookie" and "=" not in value:
            notes.add("The file of cookies that -b names is not read")
        else:
            _add_option(by_options, option, value)
    found = by_options | by_hand
    if len(found) > MOST:
        raise BadInput(f"The command has more than {MOST} headers")
    for header in found.values():
        _check(header)
    return found


def _add_option(found: Headers, option: str, value: str) -> None:
    name = _FROM_OPTIONS[option]
    value = {"referer": value.removesuffix(";auto"), "range": f"bytes={value}"}.get(option, value)
    before = found.get(name.lower())
    if before is not None and option == "cookie":
        value = f"{before.value}; {value}"
    found[name.lower()] = Header(name, value, f"--{option}")


def _add_line(found: Headers, line: str, notes: Notes) -> None:
    """`Name: value`; `Name;` has an empty value, `Name:` says that curl should send none by itself."""
    if line.startswith("@"):
        notes.add("The file of headers that -H names is not read")
        return
    name, colon, value = line.removeprefix(":").partition(":")
    if not colon and not line.rstrip().endswith(";"):
        notes.add("A header without a colon is left out, as curl does")
        return
    name, value = (name if colon else name.rstrip().removesuffix(";")).strip(), value.strip()
    before = found.get(name.lower())
    if before is not None and before.value and value:
        value = f"{before.value}{'; ' if name.lower() == 'cookie' else ', '}{value}"
    found[name.lower()] = Header(name, None if colon and not value else value, "-H")


def _check(header: Header) -> None:
    """BadInput for a header that HTTP does not have. The name is shown only if it is one, lest it be a value."""
    if not TOKEN.match(header.name):
        raise BadInput("The command has a header with a name that HTTP does not have")
    if CONTROL.search(header.value or ""):
        raise BadInput(f"The header {shown(header.name)} has control characters in its value")
    if len(header.value or "") > LONGEST and not is_secret_header(header.name):
        raise BadInput(f"The header {shown(header.name)} is longer than {LONGEST:,} characters")


def sent_by_node(headers: Headers, notes: Notes) -> dict[str, str]:
    """The headers of the config: without those that the node sends by itself, or that only a browser has."""
    kept: dict[str, str] = {}
    for name, header in headers.items():
        if name in _OURS or header.value is None:
            continue
        if _OF_BROWSERS.match(name):
            notes.add("Headers that browsers tell of themselves with (sec-fetch-…, sec-ch-…) are left out")
        elif name.endswith("idempotency-key"):
            notes.add(f"The header {shown(header.name)} is left out: the node sends a key of its own for each run")
        else:
            kept[header.name] = header.value if header.is_expression else escape(header.value)
    return kept


# Credentials


def credential_of(
    headers: Headers, user: str | None, address: Address, secrets: Suggestions, notes: Notes
) -> str | None:
    """The name of the credential that the node should have, if there is a secret in the headers: none is left in them.

    A node has one: another header reads its secret by an expression, and cookies beside another proof are left out.
    """
    name = None
    authorization = headers.pop("authorization", None)
    if authorization is not None and authorization.value is not None:
        name = _of_authorization(secrets, authorization)
    elif user is not None or address.user is not None:
        source, text = ("the URL, before the @", address.user or "") if user is None else ("-u", user)
        name = _basic(secrets, source, ":" in text)
    keys = [key for key, header in headers.items() if header.value and is_secret_header(key)]
    for key in sorted(keys, key=_rank):
        header = headers.pop(key)
        if name is None:
            name = _of_header(secrets, header)
        elif key == "cookie":
            notes.add("The cookies are left out: they look like a second secret, and a node has one credential")
        else:
            expression = secrets.stand_in(header.name, _source(header))
            headers[key] = header._replace(value=expression, is_expression=True)
    return name


def _rank(key: str) -> int:
    """A key of its own proves more than cookies, and what only protects these from forgery proves nothing."""
    return 2 if "csrf" in key or "xsrf" in key else int(key == "cookie")


def _source(header: Header) -> str:
    return f"-H {header.name}" if header.source == "-H" else header.source


def _of_authorization(secrets: Suggestions, header: Header) -> str:
    scheme, _, rest = (header.value or "").partition(" ")
    if scheme.lower() == "bearer" and rest:
        return secrets.add(secrets.base, "http_bearer", {}, {"token": f"{_source(header)}, behind Bearer"})
    if scheme.lower() == "basic" and _is_basic(rest):
        return _basic(secrets, f"{_source(header)}, behind Basic and decoded from base64", has_colon=True)
    return _of_header(secrets, header)


def _is_basic(text: str) -> bool:
    try:
        return b":" in base64.b64decode(text.strip(), validate=True)
    except (ValueError, binascii.Error):
        return False


def _basic(secrets: Suggestions, source: str, has_colon: bool) -> str:
    sources = {"username": source, "password": "not in the command; curl would ask for it"}
    if has_colon:
        sources = {"username": f"{source}: before the colon", "password": f"{source}: behind the colon"}
    return secrets.add(secrets.base, "http_basic", {}, sources)


def _of_header(secrets: Suggestions, header: Header) -> str:
    return secrets.add(secrets.base, "http_header", {"name": header.name}, {"value": _source(header)})
