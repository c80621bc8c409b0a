"""Queries of full-text search (SQLite FTS5), made of what a person types."""

from __future__ import annotations

import re

MAX_WORDS = 100  # of those that all must be there
# The beginning of a text, its first words, and the longest of these count; a shorter word stands for itself alone.
MAX_TEXT, MAX_FIRST_WORDS, MAX_ANY_WORDS, MIN_PREFIX = 20_000, 200, 16, 4
BETWEEN_WORDS = re.compile(r"[\s\0-/:-@\[-`{-\x7f]+")


def all_words(text: str) -> str:
    """Return the MATCH query (FTS5) for rows with all words of the text; empty if it has none.

    Each word is quoted, so nothing in it is FTS5 syntax; its last letters may be missing.
    """
    return " ".join(map(_beginning, text.replace("\0", " ").split()[:MAX_WORDS]))


def any_word(text: str) -> str:
    """Return the query for rows with any of the words. Of many words the longest count, as they say most.

    Those of one or two letters count only where there are no others, and no short one stands for a beginning: there is
    hardly a text without `in`, or without a word that begins so.
    """
    found = dict.fromkeys(word.lower() for word in BETWEEN_WORDS.split(text[:MAX_TEXT]) if word)
    first = list(found)[:MAX_FIRST_WORDS]
    telling = [word for word in first if len(word) > 2 or not word.isascii()] or first
    words = sorted(telling, key=len, reverse=True)[:MAX_ANY_WORDS]
    return " OR ".join(f'"{word}"' if word.isascii() and len(word) < MIN_PREFIX else _beginning(word) for word in words)


def _beginning(word: str) -> str:
    quoted = word.replace('"', '""')
    return f'"{quoted}"*'
