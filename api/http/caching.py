"""Answers that have not changed since a page asked last are a 304 without a body: pages ask every second or two. All
other answers of the API say that nobody may keep them.

The tag of an answer is a digest of its body. Where that hangs on the database alone, the digest is remembered until
anybody commits anything (see database/changes.py): so long, whoever has the body is told so before it is made.

Those that are sent are compressed for whoever takes that, since not every server has a proxy before it that would. How
far a text shrinks tells of what is in it to who reads along and can put something there (BREACH). So nothing is
compressed that has a secret: neither what anything but GET answers, such as a login or a new token, nor what no cache
may keep, such as what has the signature of a link in it; nor is what a flow answers, which may have anything.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Callable
from functools import wraps
from typing import Any, NamedTuple, TypeVar

from flask import Response, current_app, g, make_response, request

from database.changes import Memory
from models import commits, now_ms

NOT_TAGGED = ("webhooks.fire",)  # what a flow answers is its own affair
LEAST = 2_000  # bytes that are worth the time
QUICK = 1  # the level at which 100 KB take a millisecond
# As in unsigned.py, but for what is good for nothing: in capitals, it opens nothing.
SIGNATURE = re.compile(rb"token(?:=|%3[Dd]|\\+u003[Dd])[\w-]{20,}")

MINUTE_MS = 60_000

_digests: Memory[bytes, str] = Memory(commits)


View = TypeVar("View", bound=Callable[..., Any])


class Kept(NamedTuple):
    """An answer as it is sent: plain and by gzip."""

    plain: bytes
    packed: bytes
    digest: str


def kept(view: View) -> View:
    """Keep the JSON that the view answers to a request without a query. What it says must hang on nothing else."""

    @wraps(view)
    def answered(*args: Any, **options: Any) -> Any:
        if request.args:
            return view(*args, **options)
        return once(str(request.endpoint), lambda: make_response(view(*args, **options)).get_data())

    return answered


def once(name: str, make: Callable[[], bytes]) -> Response:
    """Answer with the JSON that `make` gives: it is called for the first answer of this name, which is kept."""
    answers: dict[str, Kept] = current_app.extensions["headrace"].kept_answers
    if name not in answers:
        plain = make()
        answers[name] = Kept(plain, gzip.compress(plain, 9, mtime=0), digest_of(plain))
    return answer(answers[name])


def answer(found: Kept, mimetype: str = "application/json") -> Response:
    """Answer with what is kept, in the form that the client takes; 304 if it has that already."""
    response = Response(found.plain, mimetype=mimetype)
    if not is_known(response, found.digest) and takes_gzip():
        send_compressed(response, found.packed)
    return response


def unchanged(count: int, *asked: str) -> Response | None:
    """Return a 304 if the client has the body that this request would be answered with, and else None.

    `asked` is all that the answer hangs on beside the database, and `count` its counter of commits, read before all
    else of it. The minute counts too, for what tells of the time, such as what is overdue.
    """
    parts = (str(now_ms() // MINUTE_MS), *asked)
    key = hashlib.blake2b("\0".join(parts).encode(), digest_size=16).digest()
    g.asked = key, count
    if "If-None-Match" not in request.headers or (digest := _digests.recall(key, count)) is None:
        return None
    response = Response(mimetype="application/json")
    return response if is_known(response, digest) else None


def tag(response: Response) -> Response:
    """Put a tag on a JSON answer to GET and compress it, or answer 304 where the request names that tag.

    A browser may keep it, but must ask each time, so that nobody sees it who may not any more. Everything else, and
    what has a secret in it, nobody keeps.
    """
    if request.endpoint in NOT_TAGGED or "Cache-Control" in response.headers:
        return response
    if not _may_be_kept(response):
        response.headers["Cache-Control"] = "no-store"
        return response
    body = response.get_data()
    digest = digest_of(body)
    if "asked" in g:
        key, count = g.asked
        _digests.remember(key, count, digest)
    if not is_known(response, digest) and len(body) >= LEAST and takes_gzip():
        send_compressed(response, gzip.compress(body, QUICK, mtime=0))
    return response


def _may_be_kept(response: Response) -> bool:
    if request.method not in ("GET", "HEAD") or response.status_code != 200 or response.mimetype != "application/json":
        return False
    return not response.is_streamed and not has_signature(response.get_data())


def has_signature(body: bytes) -> bool:
    """Return True if the body has something like the signature of a link in it."""
    return b"token" in body and SIGNATURE.search(body) is not None


def digest_of(body: bytes) -> str:
    """What the tag of an answer with this body says, compressed or not."""
    return hashlib.sha256(body).hexdigest()[:32]


def is_known(response: Response, digest: str) -> bool:
    """Put the tag on the answer; where the request names it, that becomes a 304."""
    response.headers["Cache-Control"] = "private, no-cache"
    response.headers["Vary"] = "Accept-Encoding"
    response.headers["ETag"] = f'"{digest}"'
    if not request.if_none_match.contains_weak(digest):  # whatever compresses makes it a weak one
        return False
    response.status_code = 304
    response.set_data(b"")
    return True


def takes_gzip() -> bool:
    """Whether the client does."""
    return "Accept-Encoding" in request.headers and request.accept_encodings["gzip"] > 0


def send_compressed(response: Response, body: bytes) -> None:
    """Make this, which is by gzip, the body of an answer that has a tag."""
    response.set_data(body)
    response.headers["Content-Encoding"] = "gzip"
    response.headers["ETag"] = f"W/{response.headers['ETag']}"
