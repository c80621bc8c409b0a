"""Connection of a client with its current request, read and written without waiting."""

from __future__ import annotations

import fcntl
import select
import socket
import struct
import termios
import threading
from collections import deque
from collections.abc import Iterator
from datetime import datetime
from enum import Enum
from itertools import islice
from typing import Any

from gunicorn.http.body import LengthReader

from .body import Chunks

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
