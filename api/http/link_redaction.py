"""Redaction of signed links in responses to users who may not answer waiting runs.

A waiting step is shown to them without its links (see runs.py). But a flow may put a link into any message or log
entry, and all members may read those.
"""

from __future__ import annotations

from flask import Response

from api.http.auth import must_redact_links
from database.link_signatures import without_signatures


def redact_links(response: Response) -> Response:
    """Replace the signature of every link in the response by dots if the caller may not answer runs."""
    if not must_redact_links() or response.is_streamed or "Content-Encoding" in response.headers:
        return response  # compressed bodies are cached and public
    text = response.get_data()
    if (hidden := without_signatures(text)) != text:
        response.set_data(hidden)
    return response
