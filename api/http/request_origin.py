"""The origin of a request: the client's address, the page that sent it, and the session cookie's scope.

Headers of trusted proxies (`HEADRACE_TRUSTED_PROXIES`) are applied before: the addresses seen here are theirs.
"""

from __future__ import annotations

import ipaddress
import logging
from typing import NamedTuple
from urllib.parse import urlsplit

from flask import Response, request

from api.http.json_io import get_config, get_server
from errors import Forbidden
from net.egress import PORTS

log = logging.getLogger("headrace")

COOKIE = "headrace_session"
# A browser accepts a cookie of this name only from this host over HTTPS: no other host of the domain can set it.
SECURE_COOKIE = f"__Host-{COOKIE}"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


class Origin(NamedTuple):
    """Origin as in RFC 6454: scheme, host and port; `host` may be empty."""

    scheme: str
    host: str
    port: int | None


def parse_origin(address: str) -> Origin | None:
    """Return the origin of this address, or None if it is not an HTTP address."""
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in PORTS or not parts.hostname:
        return None
    return Origin(parts.scheme, parts.hostname, port or PORTS[parts.scheme])


def get_own_origin() -> Origin | None:
    """Return the origin at which this request reached the server.

    HTTPS is not visible behind an untrusted proxy; if the request is for the public URL, that URL's scheme counts.
    """
    public = parse_origin(get_config().public_url)
    if public is not None and parse_origin(f"{public.scheme}://{request.host}") == public:
        return public
    return parse_origin(f"{request.scheme}://{request.host}")


def is_secure() -> bool:
    """Return True if the browser used HTTPS, as far as can be seen here."""
    own = get_own_origin()
    return own is not None and own.scheme == "https"


def check_origin() -> None:
    """Check that a write comes from a page of our own: with a cookie, other sites must not write.

    Raises: Forbidden if the browser names another origin.
    """
    if request.method in SAFE_METHODS:
        return
    given = request.headers.get("Origin")
    if given is not None and not _is_own(parse_origin(given), get_own_origin()):
        raise Forbidden("This request was sent by a page of another site (Origin)")
    if given is None and request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
        raise Forbidden("This request was sent by a page of another site (Sec-Fetch-Site)")


def _is_own(page: Origin | None, own: Origin | None) -> bool:
    if page is None or own is None:
        return False
    # An HTTPS page while the server sees HTTP: an untrusted proxy in front ends the TLS. The page is ours, as forging
    # it takes the certificate. The reverse is refused: anyone on the network path can forge an HTTP page.
    behind_tls = Origin("https", own.host, PORTS["https"] if own.port == PORTS["http"] else own.port)
    return page in (own, behind_tls)


def get_session_token() -> str | None:
    """Return the token in the request's session cookie."""
    return request.cookies.get(SECURE_COOKIE if is_secure() else COOKIE)


def set_session_cookie(response: Response, token: str, days: int) -> None:
    """Set the session cookie for this number of days."""
    secure = is_secure()
    name = SECURE_COOKIE if secure else COOKIE
    response.set_cookie(name, token, max_age=days * 86_400, httponly=True, samesite="Lax", secure=secure)


def clear_session_cookie(response: Response) -> None:
    """Delete the session cookie in the browser."""
    secure = is_secure()
    response.delete_cookie(SECURE_COOKIE if secure else COOKIE, httponly=True, samesite="Lax", secure=secure)


class ClientAddress(NamedTuple):
    """The client's network address. `is_shared`: it may be that of an untrusted proxy, and so of many clients."""

    address: str
    is_shared: bool


def get_client() -> ClientAddress:
    """Return the client of this request. The first request through an untrusted proxy logs a warning.

    No header decides whether an address is shared: every client could send it.
    """
    address = request.remote_addr or ""
    server = get_server()
    if server.config.trusted_proxies or not _is_private(address):
        return ClientAddress(address, False)
    if not server.has_seen_proxy and ("X-Forwarded-For" in request.headers or "Forwarded" in request.headers):
        server.has_seen_proxy = True
        log.warning(
            "requests come through the untrusted proxy %s, so all clients appear to have its address, and limits count "
            "them together. Set HEADRACE_TRUSTED_PROXIES to the number of proxies in front of the server",
            address,
        )
    return ClientAddress(address, server.config.hides_clients)


def _is_private(address: str) -> bool:
    """Return True for an address of this machine or network: anyone else can forge a proxy's header."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return True  # a Unix socket
    return parsed.is_private
