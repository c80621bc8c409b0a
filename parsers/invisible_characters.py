"""Which characters nobody sees, or move others: with them a text looks like another one, or like nothing."""

from __future__ import annotations

import json

# Letters that look like blanks, and marks that are not seen: the grapheme joiner and all variation selectors, with
# which whole texts can be hidden behind one letter. What else is not seen counts as not printable.
UNSEEN = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
    + "".join(map(chr, (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))
)
# What some scripts and emoji are written with, all the same; and lines, for texts that have some.
JOINERS = "\u200c\u200d\ufe0e\ufe0f"
OF_TEXTS = f"\n\r\t{JOINERS}"


def visible(text: str, but: str = "") -> str:
    """The text with every character that is not seen, or moves others, as JSON escapes it; those of `but` stay."""
    if text.isprintable() and UNSEEN.isdisjoint(text):
        return text
    return "".join(letter if letter in but or is_seen(letter) else json.dumps(letter)[1:-1] for letter in text)


def is_seen(letter: str) -> bool:
    """Return True for a character that people see, or a blank."""
    return letter.isprintable() and letter not in UNSEEN


def first_unseen(text: str, but: str = "") -> str | None:
    """The first character that is not seen, or moves others, as `U+202E`; None if there is none but those of `but`."""
    if text.isprintable() and UNSEEN.isdisjoint(text):
        return None
    found = next((letter for letter in text if letter not in but and not is_seen(letter)), None)
    return None if found is None else f"U+{ord(found):04X}"
