"""The address /mcp, whose code is loaded by its first request."""

from __future__ import annotations

from flask import Flask, Response

from api.http import auth


def install(app: Flask) -> None:
    """Add the address to the app."""
    app.add_url_rule("/mcp", "mcp", _answer, methods=["POST"], provide_automatic_options=False)


@auth.require_role("viewer", by_token=True)
def _answer() -> Response:
    """Answer a message of an MCP client."""
    from packs.mcp import server

    return server.answer()


def _answer_error(error: Exception) -> Response:
    from packs.mcp import server

    return server.answer_error(error)


setattr(_answer, "answer_error", _answer_error)  # noqa: B010 - functions have no declared attributes
