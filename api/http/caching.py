"""Caching: ETags and compression of API responses.

A page polls every second or two, so an unchanged response is a 304 without a body; all other API responses are
`no-store`. The ETag is a digest of the body. If the body depends on the database alone, the digest is remembered until
the next commit (see database/shared.py), and the 304 is sent without making the body.

Responses are compressed here, since not every server has a proxy that does. The size of a compressed text leaks its
secrets to an eavesdropper who can add text to it (BREACH). So nothing with a secret is compressed: no response to
another method than GET, such as a login or a new token; nothing marked `no-store`, such as the signature of a link;
and no response of a flow.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple, TypeVar

from flask import Response, g, make_response, request

from api.http.json_io import get_server
from database import commits
from database.base import now_ms
from database.shared import QueryCache

NO_ETAG = ("webhooks.fire", "webhooks.fire_test")  # a flow sets its own headers
MIN_COMPRESSED = 2_000  # bytes; compressing less is not worth the time
GZIP_LEVEL = 1  # 100 KB take a millisecond
# As in link_signatures.py, except that an upper-case signature need not be found: it is not valid.
SIGNATURE = re.compile(rb"token(?:=|%3[Dd]|\\+u003[Dd])[\w-]{20,}")

MINUTE_MS = 60_000

_digests: QueryCache[bytes, str] = QueryCache(commits)

View = TypeVar("View", bound=Callable[..., Any])


class CachedAnswer(NamedTuple):
    """A cached response: its body plain and by gzip."""

    plain: bytes
    packed: bytes
    digest: str


def cache_response(view: View) -> View:
    """Cache the view's JSON response to requests without a query. It must depend on nothing else."""

    @wraps(view)
    def cached(*args: Any, **options: Any) -> Any:
        if request.args:
            return view(*args, **options)
        return respond_once(str(request.endpoint), lambda: make_response(view(*args, **options)).get_data())

    return cached


def respond_once(name: str, make: Callable[[], bytes], mimetype: str = "application/json") -> Response:
    """Respond with the body that `make` returns. It is called once for each name, and its result is cached.

    The body is sent in an encoding that the client accepts, or as a 304 if the client has it already.
    """
    answers: dict[str, CachedAnswer] = get_server().cached_answers
    if name not in answers:
        plain = make()
        answers[name] = CachedAnswer(plain, gzip.compress(plain, 9, mtime=0), compute_digest(plain))
    found = answers[name]
    response = Response(found.plain, mimetype=mimetype)
    if not set_etag(response, found.digest) and accepts_gzip():
        send_compressed(response, found.packed)
    return response


def respond_if_unchanged(count: int, *request_parts: str) -> Response | None:
    """Return a 304 if the client already has the body that this request would get, else None.

    `request_parts` is everything but the database that the body depends on, and `count` the commit counter, read before
    all other data. The minute counts too, for time-dependent data such as overdue schedules.
    """
    parts = (str(now_ms() // MINUTE_MS), *request_parts)
    key = hashlib.blake2b("\0".join(parts).encode(), digest_size=16).digest()
    g.cache_key = key, count
    if "If-None-Match" not in request.headers or (digest := _digests.find(key, count)) is None:
        return None
    response = Response(mimetype="application/json")
    return response if set_etag(response, digest) else None


def add_etag(response: Response) -> Response:
    """Add an ETag to a JSON response to GET and compress it, or make it a 304 if the request names that ETag.

    A browser may store it but must revalidate it each time, so that access can be withdrawn. All other responses, and
    those with a secret, are `no-store`.
    """
    if request.endpoint in NO_ETAG or "Cache-Control" in response.headers:
        return response
    is_json = response.status_code == 200 and response.mimetype == "application/json" and not response.is_streamed
    body = response.get_data() if is_json and request.method in ("GET", "HEAD") else None
    # A secret is such as the links that answer a waiting step.
    if body is None or (b"token" in body and SIGNATURE.search(body) is not None):
        response.headers["Cache-Control"] = "no-store"
        return response
    digest = compute_digest(body)
    if "cache_key" in g:
        key, count = g.cache_key
        _digests.store(key, count, digest)
    if not set_etag(response, digest) and len(body) >= MIN_COMPRESSED and accepts_gzip():
        send_compressed(response, gzip.compress(body, GZIP_LEVEL, mtime=0))
    return response


def compute_digest(body: bytes) -> str:
    """Return the digest that is the ETag of this body, compressed or not."""
    return hashlib.sha256(body).hexdigest()[:32]


def set_etag(response: Response, digest: str) -> bool:
    """Set the response's ETag. If the request names it, make the response a 304 and return True."""
    response.headers["Cache-Control"] = "private, no-cache"
    response.headers["Vary"] = "Accept-Encoding"
    response.headers["ETag"] = f'"{digest}"'
    if not request.if_none_match.contains_weak(digest):  # proxies that compress make the ETag a weak one
        return False
    response.status_code = 304
    response.set_data(b"")
    return True


def accepts_gzip() -> bool:
    """Return True if the client accepts gzip."""
    return "Accept-Encoding" in request.headers and request.accept_encodings["gzip"] > 0


def send_compressed(response: Response, body: bytes) -> None:
    """Set this gzip text as the body of a response that has an ETag."""
    response.set_data(body)
    response.headers["Content-Encoding"] = "gzip"
    response.headers["ETag"] = f"W/{response.headers['ETag']}"
