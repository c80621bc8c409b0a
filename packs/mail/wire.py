"""Wire: a connection to a mail server, with a deadline for everything and a limit on the data received."""

from __future__ import annotations

import io
import socket
import ssl
import time
from typing import Any

PIECE = 64 * 1024


class TooMuchData(OSError):
    """The server sent more data than permitted."""


class Wire:
    """A connection until `end`, on the clock of `time.monotonic`. Serves as the socket of `smtplib`."""

    def __init__(self, sock: socket.socket, end: float, max_bytes: int) -> None:
        self.sock, self.end, self.max_bytes = sock, end, max_bytes
        self.received = 0

    def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        """Start TLS with a server that has a certificate for `host`."""
        self._wait()
        self.sock = context.wrap_socket(self.sock, server_hostname=host)

    def sendall(self, data: bytes) -> None:
        """Send all data."""
        for start in range(0, len(data), PIECE):
            self._wait()
            self.sock.sendall(data[start : start + PIECE])

    def receive(self, buffer: Any) -> int:
        """Fill the buffer with received data; return the number of bytes, 0 at the end."""
        self._wait()
        count = self.sock.recv_into(buffer)
        self.received += count
        if self.received > self.max_bytes:
            raise TooMuchData(f"the server sent more than {self.max_bytes:,} bytes")
        return count

    def makefile(self, mode: str) -> io.BufferedReader:
        """Return a reader of the received data, also after TLS is started. Closing it closes nothing else."""
        return io.BufferedReader(_Received(self), PIECE)

    def close(self) -> None:
        """Close the connection."""
        self.sock.close()

    def _wait(self) -> None:
        left = self.end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.sock.settimeout(left)


class _Received(io.RawIOBase):
    """The raw stream behind `Wire.makefile`."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self.wire.receive(buffer)
