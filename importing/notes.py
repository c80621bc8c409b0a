"""What an import has to say to people: each thing once, and not more than they would read."""

from __future__ import annotations

from collections.abc import Iterator

MOST, LONGEST = 50, 400


class Notes:
    """Sentences, in the order in which they were added. None may hold a secret."""

    def __init__(self) -> None:
        self._texts: dict[str, None] = {}
        self._left_out = 0

    def add(self, text: str) -> None:
        """Say this, unless it has been said."""
        text = text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
        if text in self._texts:
            return
        if len(self._texts) >= MOST:
            self._left_out += 1
        else:
            self._texts[text] = None

    def __iter__(self) -> Iterator[str]:
        yield from self._texts
        if self._left_out:
            yield f"There are {self._left_out} more notes of the same kinds"


def shown(name: object) -> str:
    """A name out of what is imported, as a note shows it: quoted and cut."""
    text = str(name)
    return repr(text if len(text) <= 80 else f"{text[:79]}…")
