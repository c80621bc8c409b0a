"""The origin of a request: the client's address, the page that sent it, and the scope of the session's cookie.

Proxies that are trusted have been believed before (`HEADRACE_TRUSTED_PROXIES`): what is seen here is what they say.
"""

from __future__ import annotations

import ipaddress
import logging
from typing import NamedTuple
from urllib.parse import urlsplit

from flask import Response, current_app, request

from errors import Forbidden

log = logging.getLogger("headrace")

COOKIE = "headrace_session"
# A browser takes a cookie of such a name only from this very host, over HTTPS: no other host of its domain can set it.
SECURE_COOKIE = f"__Host-{COOKIE}"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
PORTS = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """An origin as in RFC 6454: scheme, host and port; `host` may be empty."""

    scheme: str
    host: str
    port: int | None


def origin_of(address: str) -> Origin | None:
    """The origin of this address; None for what is not one of HTTP."""
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in PORTS or not parts.hostname:
        return None
    return Origin(parts.scheme, parts.hostname, port or PORTS[parts.scheme])


def own_origin() -> Origin | None:
    """The origin at which this request has found the server.

    Behind a proxy that is not trusted, HTTPS is not seen; if the request is for the public address, its scheme counts.
    """
    public = origin_of(current_app.extensions["headrace"].config.public_url)
    if public is not None and origin_of(f"{public.scheme}://{request.host}") == public:
        return public
    return origin_of(f"{request.scheme}://{request.host}")


def is_secure() -> bool:
    """Return True if the browser has come by HTTPS, as far as is known here."""
    own = own_origin()
    return own is not None and own.scheme == "https"


def check_origin() -> None:
    """A browser says which page a write comes from: with a cookie, only our own may.

    Raises: Forbidden for the page of another origin.
    """
    if request.method in SAFE_METHODS:
        return
    given = request.headers.get("Origin")
    if given is not None and not _is_own(origin_of(given), own_origin()):
        raise Forbidden("This request comes from another site's page (Origin)")
    if given is None and request.headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none"):
        raise Forbidden("This request comes from another site's page (Sec-Fetch-Site)")


def _is_own(page: Origin | None, own: Origin | None) -> bool:
    if page is None or own is None:
        return False
    # A page by HTTPS of a server that seems to be reached by HTTP: a proxy in front, which nobody has told us to trust,
    # ends the TLS. Such a page is ours, since whoever can forge one has the certificate. The other way round, a page by
    # HTTP may be forged by whoever sits on the line.
    behind_tls = Origin("https", own.host, PORTS["https"] if own.port == PORTS["http"] else own.port)
    return page in (own, behind_tls)


def session_token() -> str | None:
    """The token in the request's session cookie."""
    return request.cookies.get(SECURE_COOKIE if is_secure() else COOKIE)


def set_session(response: Response, token: str, days: int) -> None:
    """Give the browser the session's cookie, for so many days."""
    secure = is_secure()
    name = SECURE_COOKIE if secure else COOKIE
    response.set_cookie(name, token, max_age=days * 86_400, httponly=True, samesite="Lax", secure=secure)


def end_session(response: Response) -> None:
    """Take the session's cookie from the browser."""
    secure = is_secure()
    response.delete_cookie(SECURE_COOKIE if secure else COOKIE, httponly=True, samesite="Lax", secure=secure)


class Client(NamedTuple):
    """The client's network address. `is_shared`: it is a proxy's address, which many clients share."""

    address: str
    is_shared: bool


def client() -> Client:
    """The client of this request. The first that comes by a proxy which is not trusted makes a warning in the log."""
    address = request.remote_addr or ""
    forwarded = "X-Forwarded-For" in request.headers or "Forwarded" in request.headers
    server = current_app.extensions["headrace"]
    if not forwarded or server.config.trusted_proxies or not _is_near(address):
        return Client(address, False)
    if not server.has_seen_proxy:
        server.has_seen_proxy = True
        log.warning(
            "requests come through a proxy at %s that is not trusted, so all clients seem to have its address: failed "
            "logins of one are counted for all. Set HEADRACE_TRUSTED_PROXIES to the number of proxies in front",
            address,
        )
    return Client(address, True)


def _is_near(address: str) -> bool:
    """Return True for an address of this machine or network: anybody else can send a header like a proxy's."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return True  # a socket of this machine
    return parsed.is_private
