"""HTTP transport of libraries of coroutines: httpx2's, with limits on responses.

It reads no settings from the environment and can be restricted to addresses. Import it at first use, since httpx2 is
slow to load.
"""

from __future__ import annotations

import asyncio
import math
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpcore2
import httpx2

from errors import NodeError

# Returns the addresses to connect to for a host and a port, best first. Raises: NodeError if none may be reached.
Addresses = Callable[[str, int], list[str]]


class LimitedTransport(httpx2.AsyncHTTPTransport):
    """Accepts `room` bytes of uncompressed responses in total.

    `too_large` is True if there were more, or a line longer than `max_line`; `status` is the last error. With
    `addresses`, it connects only to those.
    """

    max_line = math.inf

    def __init__(self, tls: ssl.SSLContext, room: int, addresses: Addresses | None = None) -> None:
        super().__init__(verify=tls, trust_env=False)
        if addresses is not None:
            self._pool = httpcore2.AsyncConnectionPool(ssl_context=tls, network_backend=_Backend(addresses))
        self.room, self.too_large, self.status = room, False, 0

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await super().handle_async_request(request)
        if response.status_code >= 400 and request.method == "POST":
            self.status = response.status_code
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            await response.aclose()
            raise httpx2.DecodingError("the answer is compressed, which was not asked for")
        response.stream = _CountedStream(response.stream, self)
        return response


class _CountedStream(httpx2.AsyncByteStream):
    """A body that raises if all bodies together, or one of its lines, are too large."""

    def __init__(self, inner: Any, wire: LimitedTransport) -> None:
        self.inner, self.wire = inner, wire

    async def __aiter__(self) -> AsyncIterator[bytes]:
        line = 0
        async for piece in self.inner:
            self.wire.room -= len(piece)
            line = line + len(piece) if b"\n" not in piece else len(piece) - piece.rindex(b"\n") - 1
            if self.wire.room < 0 or line > self.wire.max_line:
                self.wire.too_large = True
                raise httpx2.ReadError("the answers are too large")
            yield piece
            # A reader may do much work for each piece. If the next piece has already arrived, neither the timeout nor a
            # cancellation would run without this.
            await asyncio.sleep(0)

    async def aclose(self) -> None:
        await self.inner.aclose()


class _Backend(httpcore2.AsyncNetworkBackend):
    """Connects to the first address of a host that responds."""

    def __init__(self, addresses: Addresses) -> None:
        self.addresses, self.inner = addresses, httpcore2.AnyIOBackend()

    async def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, *args: Any, **options: Any
    ) -> httpcore2.AsyncNetworkStream:
        # In a thread, since it may take long.
        looking = asyncio.get_running_loop().run_in_executor(None, self.addresses, host, port)
        try:
            found = await asyncio.wait_for(looking, timeout)
        except TimeoutError:
            raise httpcore2.ConnectTimeout(f"{host} was not resolved in time") from None
        except (OSError, UnicodeError, OverflowError) as error:
            raise httpcore2.ConnectError(f"{host} cannot be resolved: {error}") from None
        for address in found[:-1]:
            try:
                return await self.inner.connect_tcp(address, port, timeout, *args, **options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                continue
        return await self.inner.connect_tcp(found[-1], port, timeout, *args, **options)

    async def connect_unix_socket(self, *args: Any, **options: Any) -> httpcore2.AsyncNetworkStream:
        raise NodeError("a socket of this machine may not be reached", permanent=True, kind="egress")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
