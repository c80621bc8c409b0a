"""Shortcut interface: code that answers some requests in the loop, without a thread and without the app."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias

# Sends a response: status line ("200 OK"), headers, body. From any thread, once. It adds the Content-Length of a body
# that is not empty.
Reply: TypeAlias = Callable[[str, Sequence[tuple[str, str]], bytes], None]


class Shortcut(Protocol):
    """Answers requests in the loop. It must never wait: all other clients would wait with it."""

    def take(self, request: Any, body: bytes, reply: Reply) -> bool:
        """Return True if `reply` will be called for this request (gunicorn's); False leaves it to the app."""

    def end_turn(self) -> None:
        """Process the requests taken since the last call. Called at least twice a second."""
