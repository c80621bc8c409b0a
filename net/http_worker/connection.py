"""Connections of clients: reads heads and bodies of requests, and sends responses in turn."""

from __future__ import annotations

import fcntl
import io
import re
import select
import socket
import struct
import termios
import threading
import time
from collections import deque
from collections.abc import Iterator
from datetime import datetime
from enum import Enum
from functools import lru_cache
from itertools import islice
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
from gunicorn.http.unreader import IterUnreader, Unreader
from gunicorn.http.wsgi import Response
from gunicorn.util import http_date

# Bodies of requests: the end of a chunked one, and bodies too large for the loop.

MAX_LINE = 64 * 1024  # bytes of a line of chunk framing, and of all trailers
READ_SIZE = 64 * 1024
FREE_SECONDS = 10.0  # for a body or a response before MIN_RATE counts; the longest pause of a reading client
MIN_RATE = 16 * 1024  # bytes a second


class Chunks:
    """Progress of a chunked body, by its framing. gunicorn's reader checks whether that is valid."""

    SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;|$)")

    def __init__(self) -> None:
        self.at = 0  # start of the next chunk
        self.size = 0  # bytes of all chunks until there
        self.is_valid = True

    def end(self, data: bytearray) -> int | None:
        """Return the length of the whole body at the start of `data`; None if incomplete. `data` must only grow."""
        while (line := data.find(b"\r\n", self.at)) >= 0:
            found = self.SIZE.match(data[self.at : line])
            size = int(found[1], 16) if found else -1
            if size < 0:
                return self._broken(data)
            if size == 0:
                trailers = line + 2
                if data.startswith(b"\r\n", trailers):
                    return trailers + 2
                end = data.find(b"\r\n\r\n", trailers)
                if end >= 0:
                    return end + 4
                return self._broken(data) if len(data) - trailers > MAX_LINE else None
            self.at = line + 2 + size + 2
            self.size += size
        return self._broken(data) if len(data) - self.at > MAX_LINE else None

    def _broken(self, data: bytearray) -> int:
        self.is_valid = False
        return len(data)

    def are_tiny(self, data: bytearray) -> bool:
        """Return True if most of the received data is framing, which costs far more to read than its size suggests."""
        return len(data) > MAX_LINE + 4 * self.received(data)

    def received(self, data: bytearray) -> int:
        """Return the number of bytes in `data` that belong to the body, without framing."""
        return self.size - max(0, self.at - 2 - len(data))


class StreamedBody(Unreader):
    """Source of a body too large for the loop: its received part, then the socket, at MIN_RATE or faster.

    It ends early, as if the client had disconnected, if it is too slow.
    """

    def __init__(self, sock: socket.socket, received: bytes, since: float) -> None:
        super().__init__()
        self.sock, self.since = sock, since
        self.count = len(received)
        self.unread(received)

    def chunk(self, size_hint: int | None = None) -> bytes:
        """Return up to READ_SIZE bytes; empty at the end."""
        left = self.since + FREE_SECONDS + self.count / MIN_RATE - time.monotonic()
        if left <= 0:
            return b""
        self.sock.settimeout(left)
        try:
            data = self.sock.recv(READ_SIZE)
        except OSError:
            return b""
        finally:
            self.sock.setblocking(False)
        self.count += len(data)
        return data


HEAD_SECONDS = 10.0  # for a request's head, from the connection's start or, after another request, from its first byte


class ConnectionState(Enum):
    """State of a connection. The loop watches it for input in IDLE, HEAD, BODY and CLOSING."""

    IDLE = 1  # between two requests
    HEAD = 2
    BODY = 3
    BUSY = 4  # a thread is answering the request
    SENDING = 5  # the loop sends the rest of a response
    CLOSING = 6  # all is sent; the client may read the end before the connection closes
    CLOSED = 7


class HttpExchange:
    """A request and its response."""

    def __init__(self, request: Any) -> None:
        reader = request.body.reader
        self.request = request
        self.length: int | None = reader.length if isinstance(reader, LengthReader) else None
        self.chunks = Chunks() if self.length is None else None
        self.body = b""  # the part that the loop has read
        self.is_streamed = False  # its body is read by the answering thread
        self.is_cut_off = False
        self.began = datetime.now()
        self.is_shortcut = False  # answered by the shortcut
        self.environ: dict[str, Any] = {}
        self.response: Any = None  # gunicorn's
        self.answer: Any = None  # the app's return value
        self.items: Iterator[bytes] = iter(())  # its parts that are not sent yet


class ClientConnection:
    """A client's connection, which gunicorn's response uses as its socket."""

    def __init__(self, sock: socket.socket, client: Any, server: Any, now: float) -> None:
        self.sock, self.client, self.server = sock, client, server
        self.lock = threading.Lock()  # between a thread that ends BUSY and the loop that unwatches
        self.state = ConnectionState.HEAD
        self.watched = 0
        self.deadline = now + HEAD_SECONDS
        self.since = self.moved_at = now  # start of this state; when the client last sent or read something
        self.received = bytearray()  # data after the current exchange
        self.scanned = 0  # bytes of it without the end of a head
        self.requests = 0
        self.exchange: HttpExchange | None = None
        self.unsent: deque[Any] = deque()
        self.unsent_bytes = 0
        self.sent = self.taken = 0  # bytes since `begin_sending`: given to the system, received by the client's machine
        self.keep: bool | None = True  # after the unsent data; None: the response continues
        self.held = 0  # bytes, as counted in the worker's `held`

    # Socket methods for gunicorn's response

    def sendall(self, data: bytes) -> None:
        """Queue the data for the next `flush`."""
        self.unsent.append(data)
        self.unsent_bytes += len(data)

    def send(self, data: bytes) -> int:
        """Queue and flush the data."""
        self.sendall(data)
        self.flush()
        return len(data)

    def gettimeout(self) -> float:
        """Return 0, as a non-blocking socket does."""
        return 0.0

    def flush(self) -> None:
        """Send the data that the client accepts immediately. Raises: OSError if it has disconnected."""
        while self.unsent:
            try:
                sent = self.sock.sendmsg(list(islice(self.unsent, 64)))
            except (BlockingIOError, InterruptedError):
                return
            self.sent += sent
            self.unsent_bytes -= sent
            while sent:
                first = self.unsent.popleft()
                if sent < len(first):
                    self.unsent.appendleft(memoryview(first)[sent:])
                    return
                sent -= len(first)
            while self.unsent and not self.unsent[0]:
                self.unsent.popleft()

    def has_disconnected(self) -> bool:
        """Return True if the client has closed the connection. Reads nothing, so the answering thread may ask."""
        poll = select.poll()
        poll.register(self.sock, select.POLLRDHUP)
        return bool(poll.poll(0))

    def reset_on_close(self) -> None:
        """Make the system drop unsent data when the socket is closed."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def begin_sending(self) -> None:
        """Start counting the bytes that the client reads."""
        self.sent, self.taken = self._waiting(), 0

    def count_taken(self) -> int:
        """Return the number of bytes received by the client's machine since `begin_sending`."""
        self.taken = max(self.taken, self.sent - self._waiting())
        return self.taken

    def _waiting(self) -> int:
        """Return the number of bytes that the system holds for the client; 0 if unknown."""
        try:
            count: int = struct.unpack("i", fcntl.ioctl(self.sock, termios.TIOCOUTQ, bytes(4)))[0]
        except OSError:
            return 0
        return count


# Parsing of requests by gunicorn from bytes that the loop has read, and the start of its responses.

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
