"""Content security policies: allowing inline scripts and styles of our pages by their hashes."""

from __future__ import annotations

import base64
import hashlib

from flask import Response


class FullPolicyResponse(Response):
    """A response with a complete policy and all security headers of its own: nothing is added to them."""


def hash_inline(page: str, tag: str) -> str:
    """Return the sources that allow the page's inline elements of this tag, in a policy: `'sha256-…' 'sha256-…'`."""
    texts = [part.partition(f"</{tag}>")[0] for part in page.split(f"<{tag}>")[1:]]
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts]
    return " ".join(f"'sha256-{digest}'" for digest in digests)
