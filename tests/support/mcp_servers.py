"""Servers for the Model Context Protocol, built with its official library."""

import asyncio
import socket
import threading
from contextlib import contextmanager
from types import SimpleNamespace

import uvicorn
from mcp.server.mcpserver import Context, Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import BaseModel

TOKEN = "s3cret-token"


class Weather(BaseModel):
    celsius: float
    rain: bool


def tools(calls, release):
    """Return a server with tools that have every kind of result."""
    server = MCPServer("Tests")

    @server.tool()
    def forecast(city: str, days: int = 1) -> Weather:
        calls.append(("forecast", city, days))
        return Weather(celsius=12.5, rain=city == "Lübeck")

    @server.tool(structured_output=False)
    def say(text: str) -> str:
        calls.append(("say", text))
        return text

    @server.tool(structured_output=False)
    def both(text: str) -> list:
        return [text, Image(data=b"\x00\xff", format="png")]

    @server.tool(structured_output=False)
    def picture() -> Image:
        return Image(data=b"\x00\xff", format="png")

    @server.tool(structured_output=False)
    def nothing() -> None:
        calls.append(("nothing",))

    @server.tool()
    def fail(why: str) -> str:
        raise ToolError(why)

    @server.tool()
    async def never() -> str:
        await asyncio.to_thread(release.wait, 60)
        return "too late"

    @server.tool(structured_output=False)
    def large(size: int) -> str:
        return "x" * size

    @server.tool(structured_output=False)
    async def ask_for_a_model(ctx: Context) -> str:
        from mcp_types import SamplingMessage, TextContent

        message = SamplingMessage(role="user", content=TextContent(type="text", text="hello"))
        answer = await ctx.session.create_message(messages=[message], max_tokens=10)
        return str(answer)

    return server


class Guarded:
    """Refuses requests without the token; `seen` has the headers of all requests."""

    def __init__(self, app):
        self.app, self.seen = app, []

    async def __call__(self, scope, receive, send):
        if scope["type"] == "http":
            headers = {name.decode(): value.decode() for name, value in scope["headers"]}
            self.seen.append(headers | {":method": scope["method"]})
            if headers.get("authorization") != f"Bearer {TOKEN}":
                await send({"type": "http.response.start", "status": 401, "headers": []})
                await send({"type": "http.response.body", "body": b"who are you?"})
                return
        await self.app(scope, receive, send)


def serve(app, **options):
    sock = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="on", **options))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
    thread.start()
    return server, thread, sock.getsockname()[1]


@contextmanager
def running(json_response):
    calls, release = [], threading.Event()
    app = Guarded(tools(calls, release).streamable_http_app(json_response=json_response))
    uvicorn_, thread, port = serve(app)
    yield SimpleNamespace(calls=calls, app=app, port=port, url=f"http://127.0.0.1:{port}/mcp")
    release.set()
    uvicorn_.should_exit = True
    thread.join(60)


def credential(url, **changes):
    data = {"url": url, "token": TOKEN} | changes
    return {"weather": ("mcp", {key: value for key, value in data.items() if value is not None})}
