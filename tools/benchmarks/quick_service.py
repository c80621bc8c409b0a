"""A service for scale.py: it answers every POST at once, unless its gate is closed.

    python tools/benchmarks/quick_service.py PORT

GET /close and /open close and open the gate; while it is closed, requests are held. Every GET returns the numbers of
held and of all requests. It costs little of the processor, since the measured processes need that.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys

ANSWER = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n{"ok":true}'
LENGTH = re.compile(rb"content-length: *(\d+)", re.I)


class Gate:
    """The state of the service."""

    is_open = True
    requests = 0

    def __init__(self) -> None:
        self.held: list[asyncio.Transport] = []

    def command(self, path: str) -> bytes:
        """Execute a GET and return its response."""
        if path == "/open":
            self.is_open = True
            for transport in self.held:
                transport.write(ANSWER)
            self.held.clear()
        elif path == "/close":
            self.is_open = False
        body = json.dumps({"held": len(self.held), "requests": self.requests}).encode()
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


class Connection(asyncio.Protocol):
    """One connection of a client, which sends a request after the response to the last one."""

    def __init__(self, gate: Gate) -> None:
        self.gate, self.data = gate, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.data += data
        head, separator, body = self.data.partition(b"\r\n\r\n")
        length = LENGTH.search(head)
        if not separator or (length and len(body) < int(length[1])):
            return
        self.data = b""
        method, path = head.split(None, 2)[:2]
        if method == b"GET":
            self.transport.write(self.gate.command(path.decode()))
            return
        self.gate.requests += 1
        if self.gate.is_open:
            self.transport.write(ANSWER)
        else:
            self.gate.held.append(self.transport)


async def serve(port: int) -> None:
    gate = Gate()
    server = await asyncio.get_running_loop().create_server(lambda: Connection(gate), "127.0.0.1", port, backlog=256)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
