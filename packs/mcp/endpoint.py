"""The address /mcp, whose code is loaded by its first request."""

from __future__ import annotations

from flask import Flask, Response

from api.http import auth
from errors import Unavailable
from registry import registry


def install(app: Flask) -> None:
    """Add the address to the app. The server has its view of the workspace from the pack of agents."""
    view = _answer if "agents" in registry.packs else _refuse
    app.add_url_rule("/mcp", "mcp", view, methods=["POST"], provide_automatic_options=False)


@auth.require_role("viewer", by_token=True)
def _answer() -> Response:
    """Answer a message of an MCP client."""
    from packs.mcp import server

    return server.answer()


@auth.require_role("viewer", by_token=True)
def _refuse() -> Response:
    """Answer 503."""
    raise Unavailable("The MCP server needs the pack agents, which HEADRACE_PACKS leaves out")


def _answer_error(error: Exception) -> Response:
    from packs.mcp import server

    return server.answer_error(error)


setattr(_answer, "answer_error", _answer_error)  # noqa: B010 - functions have no declared attributes
