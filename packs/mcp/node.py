"""MCP node: calls the tools of Model Context Protocol servers, by the library `mcp`.

Offers a server nothing: no model, no questions to people, no files. Does not validate results by the server's schema,
whose patterns could take any time. Limits all data from a server.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from errors import ErrorKind, LimitExceeded, NodeError, TimedOut
from fields import Schema
from net.library_sockets import guard_connections, run_in_time
from nodes.base import Context, Node, check_installed
from nodes.credentials.base import CredentialType, check_url, secret
from nodes.credentials.base import text as credential_text
from nodes.credentials.keyring import DecryptedCredential
from nodes.credentials.types import checks
from nodes.fields import anything, credential, number, text, texts
from nodes.http.body import is_permanent, kind_of_status

MAX_BYTES = 16 * 2**20  # of everything that a server sends during one call
MAX_EVENT = 8 * 2**20
MAX_SHOWN, MAX_NAMES = 2_000, 20


class McpCredential(CredentialType):
    """A server that speaks the Model Context Protocol over HTTP."""

    title = "MCP server"
    url_field = "url"
    url = credential_text("The URL of the server: https://mcp.example.com/mcp", check_url, required=True, title="URL")
    token = secret("The bearer token, if the server requires one", title="Token")


class McpNode(Node):
    """Calls a tool of a server that speaks the Model Context Protocol and returns its result."""

    type = "mcp"
    category = "integration"
    title = "MCP tool"
    icon = "plug-connected"
    also = ("mcp client", "model context protocol")
    pure = False
    extra = "mcp"
    requires = ("mcp",)
    examples = (
        {
            "config": {"credential": "weather", "tool": "forecast", "arguments": {"city": "{{ input.city }}"}},
            "input": {"city": "Lübeck"},
            "output": {"celsius": 12.5, "rain": False},
        },
    )

    class Config(Schema):
        credential = credential("The MCP server", "mcp", required=True, title="Credential")
        tool = text("The name of the tool", most=200, required=True, title="Tool")
        arguments = anything(
            'The arguments of the tool, an object: {"city": "{{ input.city }}"}', lines="json", title="Arguments"
        )
        timeout = number("Seconds until the call fails", 0.1, 3_600, load_default=60.0, title="Timeout (seconds)")

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        check_installed(type(self))
        end = time.monotonic() + ctx.seconds_left(config["timeout"])
        arguments = {} if config.get("arguments") is None else config["arguments"]
        if not isinstance(arguments, dict):
            raise NodeError("arguments must be an object", permanent=True)
        found = ctx.credential(config["credential"], "mcp")
        ctx.check_secrets(host_of(found), [config["tool"], *texts([arguments])])

        async def call(client: Any) -> Any:
            return await client.call_tool(config["tool"], arguments)

        return get_result(ask(found, ctx, end, call), config["tool"])


def host_of(found: DecryptedCredential) -> str:
    """Return the host of the server."""
    return urlsplit(found.data["url"]).hostname or ""


def get_result(answer: Any, tool: str) -> Any:
    """Return the structured result if there is one, else the text, else the content blocks. Raises: NodeError."""
    blocks = [block.model_dump(mode="json", by_alias=True, exclude_none=True) for block in answer.content]
    if answer.is_error:
        said = " ".join(block["text"] for block in blocks if block.get("type") == "text").strip()
        raise NodeError(f"the tool {tool!r} failed: {said[:MAX_SHOWN] or 'the server gave no reason'}", kind="refused")
    if answer.structured_content is not None:
        return answer.structured_content
    if len(blocks) != 1:
        return blocks or None
    (block,) = blocks
    return block["text"] if block.get("type") == "text" else block


def ask(found: DecryptedCredential, ctx: Context, end: float, question: Any) -> Any:
    """Return the result of `question` with a connected client. Raises: NodeError if anything fails."""
    from net.http_transport import LimitedTransport

    for name, level in (("mcp", logging.CRITICAL), ("httpx2", logging.WARNING), ("httpcore2", logging.WARNING)):
        logging.getLogger(name).setLevel(level)
    host, services = host_of(found), ctx.need_services()
    found.check_host(host)
    wire = LimitedTransport(services.tls("mcp"), MAX_BYTES)
    url = urlsplit(found.data["url"])

    async def asked() -> Any:
        async with _connect(found, wire, end) as client:
            return await question(client)

    try:
        with guard_connections(services.egress, end - time.monotonic()):
            # Resolve the name in this thread, as the guard requires; the event loop would use another one.
            services.egress.addresses(host, url.port or (443 if url.scheme == "https" else 80))
            return run_in_time(asked(), end, f"{host} did not answer in time")
    except NodeError:
        raise
    except Exception as error:
        if time.monotonic() >= end:
            raise TimedOut(f"{host} did not answer in time") from None
        raise to_node_error(error, host, wire) from None


@asynccontextmanager
async def _connect(found: DecryptedCredential, wire: Any, end: float) -> AsyncIterator[Any]:
    import httpx2
    from mcp import Client
    from mcp.client.streamable_http import streamable_http_client

    left = max(0.1, end - time.monotonic())
    token = found.data.get("token")
    headers = {"Accept-Encoding": "identity", **({"Authorization": f"Bearer {token}"} if token else {})}
    http = httpx2.AsyncClient(transport=wire, headers=headers, timeout=left, trust_env=False)
    async with http:
        transport = streamable_http_client(found.data["url"], http_client=http, max_sse_event_size=MAX_EVENT)
        async with Client(transport, cache=None, read_timeout_seconds=left) as client:
            client.session.validate_tool_result = _accept_result  # type: ignore[method-assign]
            yield client


async def _accept_result(name: str, result: Any) -> None:
    """Accept every result without validation."""


def to_node_error(error: Exception, host: str, wire: Any) -> NodeError:
    """Convert an error of the library, which may be a group."""
    from httpx2 import ConnectError, HTTPError
    from mcp import MCPError
    from mcp_types import INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, PARSE_ERROR

    causes = list(flatten_group(error))
    if wire.too_large:
        return LimitExceeded(f"{host} sent more than {MAX_BYTES // 2**20} MB")
    first = next((one for one in causes if isinstance(one, HTTPError | MCPError)), causes[0])
    text = " ".join(str(getattr(first, "message", None) or first).split())[:MAX_SHOWN] or type(first).__name__
    if isinstance(first, MCPError) and first.message == "Server returned an error response":
        return NodeError(f"{host} answered {wire.status}", is_permanent(wire.status), kind=kind_of_status(wire.status))
    if isinstance(first, MCPError):
        lasting = {INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, PARSE_ERROR}
        kind: ErrorKind = "refused" if first.code in lasting else "remote"
        return NodeError(f"{host}: {text} ({first.code})", first.code in lasting, kind=kind)
    refused = isinstance(first, ConnectError) and "CERTIFICATE_VERIFY_FAILED" in text
    return NodeError(f"{host}: {text}", refused or not isinstance(first, HTTPError | OSError), kind="remote")


def flatten_group(error: BaseException) -> Iterator[BaseException]:
    """Yield the errors in a group, recursively; or the error itself if it is not a group."""
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from flatten_group(one)
    else:
        yield error


@checks("mcp")
def check(found: DecryptedCredential, ctx: Context, asked: Mapping[str, Any]) -> str:
    """Connect, and return the names of the tools."""
    check_installed(McpNode)

    async def names(client: Any) -> list[str]:
        return [tool.name for tool in (await client.list_tools()).tools]

    tools = ask(found, ctx, time.monotonic() + ctx.seconds_left(15), names)
    shown = ", ".join(name[:100] for name in tools[:MAX_NAMES]) + (", …" if len(tools) > MAX_NAMES else "")
    return f"{host_of(found)} has {len(tools)} tool{'' if len(tools) == 1 else 's'}" + (f": {shown}" if tools else "")
