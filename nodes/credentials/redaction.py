"""Redaction: the forms in which a secret may appear in a text, and the search for them.

`Keyring` (keyring.py) knows the secrets that a run has used, and redacts them in its steps, logs and errors.
"""

from __future__ import annotations

import base64
import json
import re
import sys
from collections.abc import Iterable
from html import escape
from os.path import commonprefix
from urllib.parse import quote, quote_plus

import orjson

HIDDEN = "***"
# Shorter values are likely parts of words; they are redacted only if they stand alone.
MIN_LENGTH = 4
# From this length on, a value is also found within longer base64, and in upper or lower case.
WIDE = 8
# This many characters at the beginning or end of a value identify it in a message, which may have been truncated.
FRAGMENT = 12
LONG_LINE = 16
ESCAPED = re.compile("%[0-9A-F]{2}")
# Characters not escaped in a URL, and the maximum length of a value for the search in URLs.
UNESCAPED, MAX_IN_URLS = re.compile("[A-Za-z0-9_.~-]+"), 2_000
FOR_URLS = str.maketrans("+/", "-_")


def redact_beginnings(text: str, form: str) -> str:
    """Redact beginnings of the form, as far as each matches."""
    head, at = form[:FRAGMENT], 0
    kept: list[str] = []
    while (found := text.find(head, at)) >= 0:
        kept += text[at:found], HIDDEN
        at = found + len(commonprefix((form, text[found : found + len(form)])))
    return "".join((*kept, text[at:])) if kept else text


class Needles:
    """Searches for many texts at once; otherwise, large data would be read once for each of a hundred needles.

    Any seven bytes contain four at an offset that is a multiple of four. So only the four-byte words of the text have
    to be compared with those at the beginning of the needles; for the few that match, the whole needle is searched.
    """

    FEW, SMALL, HEAD = 16, 4096, 7

    def __init__(self, needles: Iterable[bytes]) -> None:
        self.all = sorted(set(needles), key=len)
        self.short = [needle for needle in self.all if len(needle) < self.HEAD]
        self.words: dict[int, set[bytes]] = {}
        for needle in self.all[len(self.short) :]:
            for at in range(self.HEAD - 3):
                self.words.setdefault(int.from_bytes(needle[at : at + 4], sys.byteorder), set()).add(needle)

    def are_in(self, text: bytes) -> bool:
        """Return True if any needle is in the text."""
        if len(self.all) <= self.FEW or len(text) < self.SMALL:
            return any(needle in text for needle in self.all)
        if any(needle in text for needle in self.short):
            return True
        words = memoryview(text)[: len(text) & ~3].cast("I")
        found = {needle for word in self.words.keys() & words for needle in self.words[word]}
        return any(needle in text for needle in found)


NO_NEEDLES = Needles(())


def keep_minimal(needles: Iterable[bytes]) -> list[bytes]:
    """Return the needles that contain no other: if none of these is in a text, none of the others is."""
    kept: list[bytes] = []
    for needle in sorted(set(needles), key=len):
        if not any(other in needle for other in kept):
            kept.append(needle)
    return kept


def whole_values(form: str) -> list[bytes]:
    """Return a short form as a whole value in JSON: as text, and as a number if it may be one."""
    written = in_json(form)
    return [b'"%b"' % written, *([written] if any(map(str.isdecimal, form)) else [])]


def is_in(value: str, text: str) -> bool:
    """Return True if the value is in the text in one of its forms."""
    return any(form in text for form in forms(value)) or any(
        part in text and pattern.search(text) for part, pattern in in_urls(value)
    )


def forms(value: str) -> set[str]:
    """Return the forms of the value: as it is, stripped, in URLs, JSON, HTML, Python's repr, base64 and hexadecimal;
    and the long lines of a key.
    """
    found = {line for line in value.splitlines() if len(line) >= LONG_LINE}
    for text in {value, value.strip()} - {""}:
        raw = text.encode("utf-8", "surrogatepass")
        ascii_json = json.dumps(text)[1:-1]
        found |= {
            text,
            in_json(text).decode(),
            ascii_json,
            ascii_json.replace("/", "\\/"),
            repr(text)[1:-1],
            repr(raw)[2:-1],
        }
        found |= {escape(text), escape(text, quote=False)}
        # The forms in URLs, as Python and browsers escape them, in upper and lower case.
        urls = {quote(raw, safe=""), quote_plus(raw), quote(raw), quote(raw, safe="!'()*")}
        found |= urls | {ESCAPED.sub(lambda escaped: escaped[0].lower(), url) for url in urls} | _in_base64(raw)
        # The digits of a shorter value would match many other numbers.
        found |= {raw.hex(), raw.hex().upper()} if len(raw) >= MIN_LENGTH else set()
        found |= {text.lower(), text.upper()} if len(text) >= WIDE else set()
    return found


def in_urls(value: str) -> list[tuple[str, re.Pattern[str]]]:
    """Return a pattern for the value in a URL, with any of its characters escaped, and its longest part that is never
    escaped; empty if no character, or every character, may be escaped.
    """
    text = value.strip()
    part = max(UNESCAPED.findall(text), key=len, default="")
    if not MIN_LENGTH <= len(part) < len(text) <= MAX_IN_URLS:
        return []
    return [(part, re.compile("".join(map(_escaped_or_not, text))))]


def _escaped_or_not(letter: str) -> str:
    if UNESCAPED.match(letter):
        return re.escape(letter)
    escaped = "".join(f"%{byte:02X}" for byte in letter.encode("utf-8", "surrogatepass"))
    ways = {letter, escaped, escaped.lower(), *({"+"} if letter == " " else ())}
    return f"(?:{'|'.join(map(re.escape, sorted(ways)))})"


def _in_base64(raw: bytes) -> set[str]:
    """Return the forms in both alphabets: alone, and the constant part within longer data."""
    if len(raw) < MIN_LENGTH:
        return set()
    whole = base64.b64encode(raw).decode()
    found = {whole, whole.rstrip("=")}
    for before in range(3 if len(raw) >= WIDE else 0):
        shifted = base64.b64encode(bytes(before) + raw).decode()
        found.add(shifted[(8 * before + 5) // 6 : 8 * (before + len(raw)) // 6])
    return found | {text.translate(FOR_URLS) for text in found}


def in_json(value: str) -> bytes:
    return orjson.dumps(value.encode("utf-8", "replace").decode())[1:-1]
