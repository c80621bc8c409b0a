"""Signed links are for those who may answer anyway: who may only look sees them without what makes them good.

A step that waits is shown without any (see runs.py). But a flow may put a link wherever it likes, into a message or the
log, and all of that is on record for everybody.
"""

from __future__ import annotations

from flask import Response

from api.http.auth import only_looks
from models import without_signatures


def hide(response: Response) -> Response:
    """Put dots for the signature of every link in an answer for who may not answer runs."""
    if not only_looks() or response.is_streamed or "Content-Encoding" in response.headers:
        return response  # what is kept compressed is for everybody
    text = response.get_data()
    if (hidden := without_signatures(text)) != text:
        response.set_data(hidden)
    return response
