"""Requests of gunicorn, made of bytes that the loop has read, and the start of its responses."""

from __future__ import annotations

import io
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

from gunicorn.config import Config
from gunicorn.http.body import Body, ChunkedReader, LengthReader
from gunicorn.http.errors import InvalidChunkSize, LimitRequestHeaders, NoMoreData
from gunicorn.http.message import Request
from gunicorn.http.unreader import IterUnreader
from gunicorn.http.wsgi import Response

from .body import LiveBody
from .connection import Connection, Exchange

MAX_HEAD = 64 * 1024  # bytes
# As much of them as it takes to check headers.
ANY_REQUEST = SimpleNamespace(method="POST", version=(1, 1))
PLAIN = SimpleNamespace(protocol="http")


def parse_head(cfg: Any, head: bytes, connection: Connection) -> Any:
    """Return gunicorn's request for this head. Raises one of gunicorn's errors if it is not valid or has no end."""
    if len(head) > MAX_HEAD:
        raise LimitRequestHeaders(f"the head is larger than {MAX_HEAD} bytes")
    try:
        return Request(cfg, IterUnreader([head]), connection.client, connection.requests + 1)
    except NoMoreData:
        raise LimitRequestHeaders("the head has no end") from None


def body_of(connection: Connection, exchange: Exchange) -> Any:
    """Return the file that the app reads the body from."""
    data = exchange.body
    if exchange.length is not None and not exchange.is_live:
        return io.BytesIO(data)
    source = LiveBody(connection.sock, data, connection.since) if exchange.is_live else IterUnreader([data])
    if exchange.length is None:
        return Body(ChunkedReader(exchange.request, source))
    return Body(LengthReader(source, exchange.length))


def decode_chunks(body: Body) -> bytes:
    """Return what a complete chunked body holds. Raises one of gunicorn's errors if its framing is not valid."""
    try:
        data: bytes = body.read()
    except NoMoreData:
        raise InvalidChunkSize(b"larger than what follows") from None
    return data


def begin_response(response: Any, status: str, headers: tuple[tuple[str, str], ...], length: int) -> None:
    """`start_response` with a body of so many bytes, for which the headers have no Content-Length if it is not empty.

    gunicorn looks at each header in each response. Most responses have the same ones.
    """
    if not length:
        response.start_response(status, headers)
        return
    response.status = status
    response.status_code, checked = check_headers(status, headers)
    response.headers = [*checked, ("Content-Length", str(length))]
    response.response_length = length


@lru_cache(64)
def check_headers(status: str, headers: tuple[tuple[str, str], ...]) -> tuple[int, list[tuple[str, str]]]:
    """Return the code of the status, and the headers as gunicorn sends them. Raises one of its errors for a bad one."""
    response = Response(ANY_REQUEST, None, PLAIN)
    response.start_response(status, headers)
    return response.status_code, response.headers


def keep_settings(config: Any) -> None:
    """Have gunicorn's config give its settings as plain attributes.

    It looks each up by a call, and a request asks for fifteen: a third of the time of its head.
    """
    settings = config.settings.items()
    config.__dict__.update({name: setting.get() for name, setting in settings if not hasattr(Config, name)})
