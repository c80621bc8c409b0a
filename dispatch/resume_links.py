"""The signed addresses at which a run that waits can be answered without an account.

A link is the run, the node and a signature of both, so it needs no row and is there from the start of the run. What
makes it good only once, and only so long, is the row of the wait.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from urllib.parse import urlencode

from nodes.base import Node

PURPOSE = "resume"


class Links:
    """`sign(*parts)` gives an unforgeable text for the parts; `base` is the address of the server, without a slash."""

    def __init__(self, sign: Callable[..., str], base: str) -> None:
        self._sign = sign
        self._base = base

    def of(self, run_id: str, node_id: str, node: Node, question: str | None = None) -> dict[str, str]:
        """`{"url"}`, and for a node with several answers one more for each: `approved_url`.

        The links to a `question` are good for that one alone.
        """
        asked = {} if question is None else {"question": question}
        query = {"node": node_id, **asked, "token": self._sign(PURPOSE, run_id, node_id, *asked.values())}
        url = f"{self._base}/api/runs/{run_id}/resume?{urlencode(query)}"
        each = node.answers if len(node.answers) > 1 else ()
        return {"url": url, **{f"{name}_url": f"{url}&answer={name}" for name in each}}

    def is_good(self, token: str, run_id: str, node_id: str, question: str | None = None) -> bool:
        """Whether the token is of such a link."""
        asked = () if question is None else (question,)
        return hmac.compare_digest(self._sign(PURPOSE, run_id, node_id, *asked).encode(), token.encode())
