"""Notes of an import for the user: each only once, with a limit on their number and length."""

from __future__ import annotations

from collections.abc import Iterator

MAX_NOTES, MAX_LENGTH = 50, 400


class Notes:
    """Sentences in the order in which they were added. None may contain a secret."""

    def __init__(self) -> None:
        self._texts: dict[str, None] = {}
        self._left_out = 0

    def add(self, text: str) -> None:
        """Add a note, unless it exists."""
        text = text if len(text) <= MAX_LENGTH else f"{text[: MAX_LENGTH - 1]}…"
        if text in self._texts:
            return
        if len(self._texts) >= MAX_NOTES:
            self._left_out += 1
        else:
            self._texts[text] = None

    def __iter__(self) -> Iterator[str]:
        yield from self._texts
        if self._left_out:
            yield f"{self._left_out} more notes of these kinds are not listed"


def quote_name(name: object) -> str:
    """Return an imported name for a note: quoted and truncated."""
    text = str(name)
    return repr(text if len(text) <= 80 else f"{text[:79]}…")
