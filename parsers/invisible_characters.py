"""Invisible characters, and characters that reorder others: with them, a text can look like another or like nothing."""

from __future__ import annotations

import json

# Letters that look like spaces, and invisible marks: the grapheme joiner and all variation selectors, which can hide
# whole texts behind one letter. All other invisible characters count as not printable.
UNSEEN = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0"
    + "".join(map(chr, (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))
)
# Invisible characters required by some scripts and emoji; and line breaks, for multi-line texts.
JOINERS = "\u200c\u200d\ufe0e\ufe0f"
OF_TEXTS = f"\n\r\t{JOINERS}"


def visible(text: str, but: str = "") -> str:
    """Return the text with invisible and reordering characters as JSON escapes, except those in `but`."""
    if text.isprintable() and UNSEEN.isdisjoint(text):
        return text
    return "".join(letter if letter in but or is_seen(letter) else json.dumps(letter)[1:-1] for letter in text)


def is_seen(letter: str) -> bool:
    """Return True for a visible character or a space."""
    return letter.isprintable() and letter not in UNSEEN


def first_unseen(text: str, but: str = "") -> str | None:
    """Return the first invisible or reordering character not in `but`, as `U+202E`, or None."""
    if text.isprintable() and UNSEEN.isdisjoint(text):
        return None
    found = next((letter for letter in text if letter not in but and not is_seen(letter)), None)
    return None if found is None else f"U+{ord(found):04X}"
