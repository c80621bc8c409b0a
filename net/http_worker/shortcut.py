"""The contract of a shortcut: code that answers some requests in the loop, without a thread and without the app."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias

# Sends an answer: the status line's text ("200 OK"), the headers, the body. From any thread, once. The length of a body
# that is not empty is added to the headers.
Reply: TypeAlias = Callable[[str, Sequence[tuple[str, str]], bytes], None]


class Shortcut(Protocol):
    """Answers requests in the loop. It must not wait for anything: all other clients would wait with it."""

    def take(self, request: Any, body: bytes, reply: Reply) -> bool:
        """Return True if `reply` will be called for this request (gunicorn's); False leaves it to the app."""

    def end_turn(self) -> None:
        """Go on with what was taken since the last call. It comes at least twice a second."""
