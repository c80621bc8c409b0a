"""Link signatures in stored text, and their removal for users who may not answer runs.

A flow may put a link into any message or error. Such text is cut anywhere and searched by its letters, and any visible
part of a signature would help to guess the rest.
"""

from __future__ import annotations

import re

from database import db

# As dispatch/resources.py writes it, also inside another URL or JSON text, and cut anywhere. The part of the link
# before it is searched afterwards: in one pattern with this, it would be tried at each of its beginnings in the text.
SIGNATURE = re.compile(rb"(token(?:=|%(?:25)*3D|\\+u003D))[\w-]+", re.IGNORECASE)
BEFORE, FAR = b"resume", 500  # bytes
DOTS = "…".encode()


def without_signatures(text: bytes) -> bytes:
    """Return the text with dots in place of each signature or part of one."""
    return SIGNATURE.sub(_hidden, text) if b"token" in text else text


def _hidden(found: re.Match[bytes]) -> bytes:
    before = found.string[max(0, found.start() - FAR) : found.start()]
    return found[1] + DOTS if BEFORE in before else found[0]


def in_sql(text: str | None) -> str | None:
    """Return `without_signatures(text)`, as an SQL function."""
    if text is None or "token" not in text:
        return text
    return without_signatures(text.encode()).decode()


db.register_function(in_sql, "without_signatures", 1)
