"""Parsing of requests by gunicorn from bytes that the loop has read, and the start of its responses."""

from __future__ import annotations

import io
import time
from functools import lru_cache
from operator import itemgetter
from types import SimpleNamespace
from typing import Any

from gunicorn.config import Config
from gunicorn.http.body import Body, ChunkedReader, LengthReader
from gunicorn.http.errors import (
    InvalidChunkSize,
    LimitRequestHeaders,
    NoMoreData,
    ParseException,
    UnsupportedTransferCoding,
)
from gunicorn.http.message import Request
from gunicorn.http.unreader import IterUnreader
from gunicorn.http.wsgi import Response
from gunicorn.util import http_date

from .body import StreamedBody
from .connection import ClientConnection, HttpExchange

MAX_HEAD = 64 * 1024  # bytes
get_name = itemgetter(0)
# The attributes that header checks need.
ANY_REQUEST = SimpleNamespace(method="POST", version=(1, 1))
PLAIN = SimpleNamespace(protocol="http")


class HeadRequest(Request):
    """gunicorn's request, which judges the address of a client only once: it has many requests."""

    def _peer_is_trusted_proxy(self) -> bool:
        if isinstance(self.peer_addr, tuple):
            return is_trusted_proxy(self.cfg, self.peer_addr[0])
        return bool(super()._peer_is_trusted_proxy())


@lru_cache(1_024)
def is_trusted_proxy(cfg: Any, address: str) -> bool:
    """Return True if gunicorn's `forwarded_allow_ips` has this address."""
    return bool(Request._peer_is_trusted_proxy(SimpleNamespace(cfg=cfg, peer_addr=(address, 0))))


class DatedResponse(Response):
    """A gunicorn response that formats its date once a second: that takes as long as the rest of the head."""

    def default_headers(self) -> list[str]:
        connection = "upgrade" if self.upgrade else "close" if self.should_close() else "keep-alive"
        major, minor = self.req.version
        return [
            f"HTTP/{major}.{minor} {self.status}\r\nServer: {self.version}\r\nDate: {format_date(int(time.time()))}\r\n"
            f"Connection: {connection}\r\n",
            *(["Transfer-Encoding: chunked\r\n"] if self.chunked else []),
        ]


@lru_cache(1)
def format_date(seconds: int) -> str:
    """Return the date of HTTP for a time since 1970."""
    return str(http_date(seconds))


def parse_head(cfg: Any, head: bytes, connection: ClientConnection) -> Any:
    """Return gunicorn's request for this head. Raises: an error of gunicorn if it is invalid or incomplete."""
    if len(head) > MAX_HEAD:
        raise LimitRequestHeaders(f"the head is larger than {MAX_HEAD} bytes")
    try:
        request = HeadRequest(cfg, IterUnreader([head]), connection.client, connection.requests + 1)
    except NoMoreData:
        raise LimitRequestHeaders("the head has no end") from None
    names = [*map(get_name, request.headers)]
    if (hosts := names.count("HOST")) != 1 and (hosts or request.version >= (1, 1)):
        raise ParseException("it must have one Host header")
    if "TRANSFER-ENCODING" in names:
        check_codings(request)
    return request


def check_codings(request: Any) -> None:
    """Raise UnsupportedTransferCoding if the body has a coding other than `chunked`: gunicorn undoes no other one."""
    for name, value in request.headers:
        if name == "TRANSFER-ENCODING" and value.strip(" \t").lower() != "chunked":
            raise UnsupportedTransferCoding(value)


def make_body(connection: ClientConnection, exchange: HttpExchange) -> Any:
    """Return the file object from which the app reads the body."""
    data = exchange.body
    if exchange.length is not None and not exchange.is_streamed:
        return io.BytesIO(data)
    source = StreamedBody(connection.sock, data, connection.since) if exchange.is_streamed else IterUnreader([data])
    if exchange.length is None:
        return Body(ChunkedReader(exchange.request, source))
    return Body(LengthReader(source, exchange.length))


def decode_chunks(body: Body) -> bytes:
    """Return the data of a complete chunked body. Raises: an error of gunicorn if its framing is invalid."""
    try:
        data: bytes = body.read()
    except NoMoreData:
        raise InvalidChunkSize(b"larger than what follows") from None
    return data


def begin_response(response: Any, status: str, headers: tuple[tuple[str, str], ...], length: int) -> None:
    """Call `start_response` for a body of this length, and add its Content-Length if it is not empty.

    gunicorn checks each header of each response; most responses have the same headers, so the checks are cached.
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
    """Return the status code, and the headers as gunicorn sends them. Raises: an error of gunicorn for a bad one."""
    response = Response(ANY_REQUEST, None, PLAIN)
    response.start_response(status, headers)
    return response.status_code, response.headers


def keep_settings(config: Any) -> None:
    """Store gunicorn's settings as plain attributes of its config.

    Each lookup is a call otherwise, and a request needs fifteen: a third of the time for its head.
    """
    settings = config.settings.items()
    config.__dict__.update({name: setting.get() for name, setting in settings if not hasattr(Config, name)})
