"""Bodies of requests: the end of a chunked one, and bodies too large for the loop."""

from __future__ import annotations

import re
import socket
import time

from gunicorn.http.unreader import Unreader

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
                return self._end_of_trailers(data, line + 2)
            self.at = line + 2 + size + 2
            self.size += size
        return self._broken(data) if len(data) - self.at > MAX_LINE else None

    def _end_of_trailers(self, data: bytearray, start: int) -> int | None:
        if data.startswith(b"\r\n", start):
            return start + 2
        end = data.find(b"\r\n\r\n", start)
        if end < 0:
            return self._broken(data) if len(data) - start > MAX_LINE else None
        return end + 4

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
