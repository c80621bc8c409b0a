"""Full-text search queries (SQLite FTS5), made from user input."""

from __future__ import annotations

import re

MAX_WORDS = 100  # of a query that requires all words
# Used of a long text: its start, its first distinct words, and the longest of these. Shorter words match as a whole.
MAX_TEXT, MAX_FIRST_WORDS, MAX_ANY_WORDS, MIN_PREFIX = 20_000, 200, 16, 4
BETWEEN_WORDS = re.compile(r"[\s\0-/:-@\[-`{-\x7f]+")


def all_words(text: str) -> str:
    """Return the MATCH query (FTS5) for rows with all words of the text; empty if the text has none.

    Each word is quoted, so nothing in it is FTS5 syntax, and matches all words that begin with it.
    """
    return " ".join(map(_beginning, text.replace("\0", " ").split()[:MAX_WORDS]))


def any_word(text: str) -> str:
    """Return the query for rows with any of the words. Of many words, the longest are used, as the most specific.

    Words of one or two letters are used only if there are no others, and short words match only whole words: almost
    every text has `in`, or a word that begins with it.
    """
    found = dict.fromkeys(word.lower() for word in BETWEEN_WORDS.split(text[:MAX_TEXT]) if word)
    first = list(found)[:MAX_FIRST_WORDS]
    telling = [word for word in first if len(word) > 2 or not word.isascii()] or first
    words = sorted(telling, key=len, reverse=True)[:MAX_ANY_WORDS]
    return " OR ".join(f'"{word}"' if word.isascii() and len(word) < MIN_PREFIX else _beginning(word) for word in words)


def _beginning(word: str) -> str:
    quoted = word.replace('"', '""')
    return f'"{quoted}"*'
