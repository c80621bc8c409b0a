"""Headers of a cURL command: headers that the node sends, and secrets that become a credential."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from typing import NamedTuple

from errors import BadInput
from expressions import escape
from nodes.fields import CONTROL, TOKEN
from packs.importing.curl_address import CurlAddress
from packs.importing.notes import Notes, quote_name
from packs.importing.secret_detection import Suggestions, is_secret_header

MAX_VALUE, MAX_HEADERS = 8_000, 100
# Controlled by the HTTP client: it rejects them, or could not read the response.
_CLIENT_HEADERS = {"connection", "content-length", "transfer-encoding", "upgrade", "accept-encoding", "expect", "te"}
# Sent by browsers about themselves; older ones also copy pseudo-headers of HTTP/2.
_BROWSER_HEADERS = re.compile(
    r"sec-(?:ch-|fetch-|gpc\Z).*|dnt\Z|priority\Z|upgrade-insecure-requests\Z|(?:authority|method|path|scheme)\Z"
)
_FROM_OPTIONS = {"user-agent": "User-Agent", "referer": "Referer", "range": "Range", "cookie": "Cookie"}


class CurlHeader(NamedTuple):
    """A header from the option `source`. A `value` of None tells curl not to send its default."""

    name: str
    value: str | None
    source: str
    is_expression: bool = False


Headers = dict[str, CurlHeader]


def collect_headers(given: Iterable[tuple[str, str]], notes: Notes) -> Headers:
    """Return the headers of the options by lower-case name. Raises: BadInput if a header is invalid."""
    by_options: Headers = {}
    by_hand: Headers = {}
    for option, value in given:
        if option == "header":
            _add_line(by_hand, value, notes)
        elif option == "json":
            for name in ("Content-Type", "Accept"):
                by_options[name.lower()] = CurlHeader(name, "application/json", "--json")
        elif option == "oauth2-bearer":
            by_options["authorization"] = CurlHeader("Authorization", f"Bearer {value}", "--oauth2-bearer")
        elif option == "cookie" and "=" not in value:
            notes.add("The cookie file of -b is not imported")
        else:
            _add_option(by_options, option, value)
    found = by_options | by_hand
    if len(found) > MAX_HEADERS:
        raise BadInput(f"The command has more than {MAX_HEADERS} headers")
    for header in found.values():
        _check(header)
    return found


def _add_option(found: Headers, option: str, value: str) -> None:
    name = _FROM_OPTIONS[option]
    value = {"referer": value.removesuffix(";auto"), "range": f"bytes={value}"}.get(option, value)
    before = found.get(name.lower())
    if before is not None and option == "cookie":
        value = f"{before.value}; {value}"
    found[name.lower()] = CurlHeader(name, value, f"--{option}")


def _add_line(found: Headers, line: str, notes: Notes) -> None:
    """Add `Name: value`; `Name;` has an empty value, `Name:` suppresses curl's default header."""
    if line.startswith("@"):
        notes.add("The header file of -H is not imported")
        return
    name, colon, value = line.removeprefix(":").partition(":")
    if not colon and not line.rstrip().endswith(";"):
        notes.add("A header without a colon is not imported; curl ignores it, too")
        return
    name, value = (name if colon else name.rstrip().removesuffix(";")).strip(), value.strip()
    before = found.get(name.lower())
    if before is not None and before.value and value:
        value = f"{before.value}{'; ' if name.lower() == 'cookie' else ', '}{value}"
    found[name.lower()] = CurlHeader(name, None if colon and not value else value, "-H")


def _check(header: CurlHeader) -> None:
    """Raise BadInput if the header is invalid. The message shows its name only if valid: it might be a secret value."""
    if not TOKEN.match(header.name):
        raise BadInput("The command has a header with an invalid name")
    if CONTROL.search(header.value or ""):
        raise BadInput(f"The header {quote_name(header.name)} contains control characters")
    if len(header.value or "") > MAX_VALUE and not is_secret_header(header.name):
        raise BadInput(f"The header {quote_name(header.name)} is longer than {MAX_VALUE:,} characters")


def select_sent(headers: Headers, notes: Notes) -> dict[str, str]:
    """Return the headers for the config, without headers that only the HTTP client or a browser sends."""
    kept: dict[str, str] = {}
    for name, header in headers.items():
        if name in _CLIENT_HEADERS or header.value is None:
            continue
        if _BROWSER_HEADERS.match(name):
            notes.add("Headers that browsers add about themselves (sec-fetch-…, sec-ch-…) are not imported")
        elif name.endswith("idempotency-key"):
            notes.add(f"The header {quote_name(header.name)} is not imported: the node sends its own key for each run")
        else:
            kept[header.name] = header.value if header.is_expression else escape(header.value)
    return kept


# Credentials


def suggest_credential(
    headers: Headers, user: str | None, address: CurlAddress, secrets: Suggestions, notes: Notes
) -> str | None:
    """Move secrets from the headers to suggested credentials; return the name of the node's credential, or None.

    A node has one credential: further secrets become expressions, and cookies beside another credential are left out.
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
            notes.add("The cookies are not imported: they are likely a second secret, and a node has one credential")
        else:
            expression = secrets.add_secret(header.name, _source(header))
            headers[key] = header._replace(value=expression, is_expression=True)
    return name


def _rank(key: str) -> int:
    """Return the priority of a secret header: keys, then cookies, then CSRF tokens, which do not authenticate."""
    return 2 if "csrf" in key or "xsrf" in key else int(key == "cookie")


def _source(header: CurlHeader) -> str:
    return f"-H {header.name}" if header.source == "-H" else header.source


def _of_authorization(secrets: Suggestions, header: CurlHeader) -> str:
    scheme, _, rest = (header.value or "").partition(" ")
    if scheme.lower() == "bearer" and rest:
        return secrets.add(secrets.base, "http_bearer", {}, {"token": f"{_source(header)}, after Bearer"})
    if scheme.lower() == "basic" and _is_basic(rest):
        return _basic(secrets, f"{_source(header)}, after Basic, decoded from base64", has_colon=True)
    return _of_header(secrets, header)


def _is_basic(text: str) -> bool:
    try:
        return b":" in base64.b64decode(text.strip(), validate=True)
    except ValueError:
        return False


def _basic(secrets: Suggestions, source: str, has_colon: bool) -> str:
    sources = {"username": source, "password": "not in the command; curl asks for it"}
    if has_colon:
        sources = {"username": f"{source}: before the colon", "password": f"{source}: after the colon"}
    return secrets.add(secrets.base, "http_basic", {}, sources)


def _of_header(secrets: Suggestions, header: CurlHeader) -> str:
    return secrets.add(secrets.base, "http_header", {"name": header.name}, {"value": _source(header)})
