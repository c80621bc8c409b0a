"""Signed links are for those who may answer anyway: who may only look sees them without what makes them good.

A step that waits is shown without any (see runs.py). But a flow may put a link wherever it likes, into a message or the
log, and all of that is on record for everybody.
"""

from __future__ import annotations

import re

from flask import Response

from api.access import only_looks

# As dispatch/links.py writes it, also inside another address or another JSON text. What comes before it in a link is
# looked for afterwards: as one pattern with this, it would be tried from each of its beginnings in a text full of them.
SIGNATURE = re.compile(rb"(token(?:=|%3D|\\+u003D))[\w-]{43}(?![\w-])", re.IGNORECASE)
BEFORE, FAR = b"resume", 500  # bytes
DOTS = "…".encode()


def hide(response: Response) -> Response:
    """Put dots for the signature of every link in an answer for who may not answer runs."""
    if not only_looks() or response.is_streamed or "Content-Encoding" in response.headers:
        return response  # what is kept compressed is for everybody
    text = response.get_data()
    if b"token" in text and (hidden := SIGNATURE.sub(_hidden, text)) != text:
        response.set_data(hidden)
    return response


def _hidden(found: re.Match[bytes]) -> bytes:
    before = found.string[max(0, found.start() - FAR) : found.start()]
    return found[1] + DOTS if BEFORE in before else found[0]
