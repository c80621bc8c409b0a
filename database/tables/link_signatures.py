"""Signed links in what is on record, and what is left of them for those who may not answer: no part of the signature.

A flow may put a link wherever it likes, into a message or an error. What shows such text cuts it anywhere, and lists
are searched by its letters, so that any part of a signature that is shown or found would help to guess the rest.
"""

from __future__ import annotations

import re

from database import db

# As dispatch/resume_links.py writes it, also inside another address or another JSON text, and cut anywhere. What comes
# before it in a link is looked for afterwards: as one pattern with this, it would be tried from each of its beginnings
# in a text full of them.
SIGNATURE = re.compile(rb"(token(?:=|%(?:25)*3D|\\+u003D))[\w-]+", re.IGNORECASE)
BEFORE, FAR = b"resume", 500  # bytes
DOTS = "…".encode()


def without_signatures(text: bytes) -> bytes:
    """The text with dots for each signature, or what a cut has left of it."""
    return SIGNATURE.sub(_hidden, text) if b"token" in text else text


def _hidden(found: re.Match[bytes]) -> bytes:
    before = found.string[max(0, found.start() - FAR) : found.start()]
    return found[1] + DOTS if BEFORE in before else found[0]


def in_sql(text: str | None) -> str | None:
    """The same in SQL, `without_signatures(text)`."""
    if text is None or "token" not in text:
        return text
    return without_signatures(text.encode()).decode()


db.register_function(in_sql, "without_signatures", 1)
