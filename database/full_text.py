"""Full-text search of memories: FTS5 of SQLite, or text search of PostgreSQL. Only this module knows their difference.

Both find the same: words are runs of letters and digits, without regard to case and accents, as FTS5's `unicode61`
reads them. A search for `Köln`, `koln` or `KOL` finds "Köln"; `web.example` and `2024-05` are phrases of two words.
PostgreSQL's own parser would keep host names, paths and signed numbers whole, and its extension `unaccent` may be
missing. So `read_words` reads the words for PostgreSQL, both of a memory and of a search, and nothing depends on the
locale of the database. FTS5 drops only the accents of Latin letters, and does not know that ß is ss: PostgreSQL finds
a little more.

The order of the results is "best first", but not the same: FTS5 knows how rare a word is, PostgreSQL does not.

PostgreSQL needs, beside the columns that both have:

    ALTER TABLE agent_memories ADD COLUMN words tsvector NOT NULL DEFAULT '';
    CREATE INDEX agent_memories_words ON agent_memories USING gin (words);

`words` is not a generated column, because SQL cannot compute it: `save_words` writes it in the transaction of each
write. In SQLite, triggers keep the index.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from itertools import islice
from typing import NamedTuple, Protocol

from . import execute, is_postgres

MAX_WORDS = 100  # of a query that requires all words
# Used of a long text: its start, its first distinct words, and the longest of these. Shorter words match as a whole.
MAX_TEXT, MAX_FIRST_WORDS, MAX_ANY_WORDS, MIN_PREFIX = 20_000, 200, 16, 4
BETWEEN_WORDS = re.compile(r"[\s\0-/:-@\[-`{-\x7f]+")
MAX_PARTS = 200  # words of PostgreSQL in a query, in which `a.b.c` is three: it evaluates a query recursively
MAX_LETTERS = 255  # of a word of PostgreSQL, which takes 2,046 bytes
LETTERS_AND_DIGITS = re.compile(r"[^\W_]+")
ACCENTS = re.compile("[\u0300-\u036f]+")  # of Latin, Greek and Cyrillic; other marks separate words, as in FTS5
EXPIRED = "SELECT number FROM agent_memories WHERE expires_at <= ?"


class Word(NamedTuple):
    """A word of a search. If `is_beginning`, it matches all words that begin with it."""

    text: str
    is_beginning: bool


class Engine(Protocol):
    """The parts of memory search that depend on the kind of database."""

    def require_all(self, words: Iterable[Word]) -> str: ...
    def require_any(self, words: Iterable[Word]) -> str: ...
    def select(self, where: str) -> str: ...
    def save_words(self, number: int, texts: tuple[str, ...]) -> None: ...


def all_words(text: str) -> str:
    """Return the query for rows with all words of the text; empty if it cannot match a row.

    Nothing in a word is syntax, and it matches all words that begin with it.
    """
    return _engine().require_all(words_of(text))


def any_word(text: str) -> str:
    """Return the query for rows with any of the words; empty if it cannot match a row.

    Of many words, the longest are used, as the most specific. Words of one or two letters are used only if there are no
    others, and short words match only whole words: almost every text has `in`, or a word that begins with it.
    """
    return _engine().require_any(telling_words(text))


def select_matching(where: str) -> str:
    """Return the SELECT of `number` and `score` (the lowest is the best) of memories that match and satisfy `where`.

    Its parameters: the query of `all_words` or `any_word`, those of `where`, and the time at which none has expired.
    """
    return _engine().select(where)


def save_words(number: int, *texts: str) -> None:
    """Put the texts of the memory with this number into the index. Call in the transaction that writes them."""
    _engine().save_words(number, texts)


def words_of(text: str) -> list[Word]:
    """Return the words of a search for all of them."""
    return [Word(word, True) for word in text.replace("\0", " ").split()[:MAX_WORDS]]


def telling_words(text: str) -> list[Word]:
    """Return the words of a search for any of them."""
    found = dict.fromkeys(word.lower() for word in BETWEEN_WORDS.split(text[:MAX_TEXT]) if word)
    first = list(found)[:MAX_FIRST_WORDS]
    telling = [word for word in first if len(word) > 2 or not word.isascii()] or first
    words = sorted(telling, key=len, reverse=True)[:MAX_ANY_WORDS]
    return [Word(word, not word.isascii() or len(word) >= MIN_PREFIX) for word in words]


class Fts5:
    """SQLite: `agent_memories_fts`, whose row ids are the numbers."""

    def require_all(self, words: Iterable[Word]) -> str:
        return " ".join(map(self._quote, words))

    def require_any(self, words: Iterable[Word]) -> str:
        return " OR ".join(map(self._quote, words))

    def _quote(self, word: Word) -> str:
        quoted = word.text.replace('"', '""')
        return f'"{quoted}"*' if word.is_beginning else f'"{quoted}"'

    def select(self, where: str) -> str:
        # The plus keeps SQLite from asking the index for each number by itself, which takes a hundred times as long.
        # Memories are selected by indexes alone: reading a column stored after a long `content` reads all of that.
        return (
            "SELECT rowid AS number, bm25(agent_memories_fts) AS score FROM agent_memories_fts "
            "WHERE agent_memories_fts MATCH ? "
            f"AND +rowid IN (SELECT number FROM agent_memories WHERE {where}) AND +rowid NOT IN ({EXPIRED})"
        )

    def save_words(self, number: int, texts: tuple[str, ...]) -> None:
        """Do nothing: triggers have done it."""


class TextSearch:
    """PostgreSQL: the column `words`.

    A tsvector has no positions after 16,383, and 256 of a word: after them it finds words, but no phrases.
    """

    def require_all(self, words: Iterable[Word]) -> str:
        return " & ".join(self._phrases(words))

    def require_any(self, words: Iterable[Word]) -> str:
        return " | ".join(self._phrases(words))

    def _phrases(self, words: Iterable[Word]) -> list[str]:
        """Return the words in the form of a tsquery. Words without letters and digits are dropped, as in FTS5."""
        found, room = [], MAX_PARTS
        for word in words:
            parts = [f"'{part}'" for part in islice(read_words(word.text[:MAX_TEXT]), room)]
            if parts:
                room -= len(parts)
                found.append(f"({' <-> '.join(parts)}{':*' if word.is_beginning else ''})")
        return found

    def select(self, where: str) -> str:
        # Alternatives are why this is ts_rank: for ts_rank_cd, one word five times is more than two different ones. The
        # square, divided by the logarithm of the length (1): more words count more than brevity does.
        return (
            "SELECT number, -ts_rank(words, query) * ts_rank(words, query, 1) AS score "
            "FROM (SELECT CAST(? AS tsquery) AS query) AS asked JOIN agent_memories ON words @@ query "
            f"WHERE {where} AND (expires_at IS NULL OR expires_at > ?)"
        )

    def save_words(self, number: int, texts: tuple[str, ...]) -> None:
        sql = "UPDATE agent_memories SET words = CAST(? AS tsvector) WHERE number = ?"
        execute(sql, (self.vector(texts), number))

    def vector(self, texts: Iterable[str]) -> str:
        """Return the value of the column `words` for the key, the content and the tags of a memory."""
        found, last = [], 0
        for text in texts:
            first = last + 2  # a gap, so that no phrase spans two texts
            words = [f"'{word}':{position}" for position, word in enumerate(read_words(text), first)]
            found += words
            last = first + len(words)
        return " ".join(found)


def read_words(text: str) -> Iterable[str]:
    """Yield the words of the text in lower case without accents: letters and digits only."""
    folded = text.casefold()
    if not folded.isascii():
        folded = unicodedata.normalize("NFC", ACCENTS.sub("", unicodedata.normalize("NFD", folded)))
    return (found[0][:MAX_LETTERS] for found in LETTERS_AND_DIGITS.finditer(folded))


SQLITE, POSTGRES = Fts5(), TextSearch()


def _engine() -> Engine:
    return POSTGRES if is_postgres() else SQLITE
