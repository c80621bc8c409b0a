"""Signing of resume links: URLs that answer a waiting run without an account. `api/resume_links.py` takes the answers.

A link consists of the run, the node and a signature of both, so it needs no row and exists from the start of the run.
The row of the wait limits it to a single use and to the time of the wait.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from urllib.parse import urlencode

from nodes.base import Node

PURPOSE = "resume"


class Links:
    """Makes and checks links. `sign(*parts)` returns a signature; `base` is the server's URL without a final slash."""

    def __init__(self, sign: Callable[..., str], base: str) -> None:
        self._sign = sign
        self._base = base

    def of(self, run_id: str, node_id: str, node: Node, question: str | None = None) -> dict[str, str]:
        """Return `{"url"}`, and for a node with several answers also one URL for each: `approved_url`.

        Links for a `question` are valid for that question only.
        """
        asked = {} if question is None else {"question": question}
        query = {"node": node_id, **asked, "token": self._sign(PURPOSE, run_id, node_id, *asked.values())}
        url = f"{self._base}/api/runs/{run_id}/resume?{urlencode(query)}"
        each = node.answers if len(node.answers) > 1 else ()
        return {"url": url, **{f"{name}_url": f"{url}&answer={name}" for name in each}}

    def is_good(self, token: str, run_id: str, node_id: str, question: str | None = None) -> bool:
        """Return True if the token is the signature of this link."""
        asked = () if question is None else (question,)
        return hmac.compare_digest(self._sign(PURPOSE, run_id, node_id, *asked).encode(), token.encode())
