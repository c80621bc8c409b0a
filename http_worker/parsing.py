"""Requests of gunicorn, made of bytes that the loop has read: the head, and the body for the app."""

from __future__ import annotations

import io
from typing import Any

from gunicorn.http.body import Body, ChunkedReader, LengthReader
from gunicorn.http.errors import InvalidChunkSize, LimitRequestHeaders, NoMoreData
from gunicorn.http.message import Request
from gunicorn.http.unreader import IterUnreader

from .body import LiveBody
from .connection import Connection, Exchange

MAX_HEAD = 64 * 1024  # bytes


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
