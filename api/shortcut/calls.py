"""Calls as the shortcut receives them, and the replies to them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from werkzeug.http import HTTP_STATUS_CODES
from werkzeug.wrappers import Response

from api.run_answer import Headers, MakeAnswer, make_json_answer
from engine import Outcome
from models import Run

log = logging.getLogger("headrace.api")

MAX_BODY = 32 * 1024  # bytes; reading a larger body would hold up the loop
RETRY_AFTER = ("Retry-After", "5")
INTERNAL = "Internal error; the server's log has the details"
STATUSES = {status: f"{status} {text.upper()}" for status, text in HTTP_STATUS_CODES.items()}

Reply: TypeAlias = Callable[[str, Sequence[tuple[str, str]], bytes], None]


class ShortcutCall(NamedTuple):
    """A request: unescaped path, raw query, headers with unique names, body, and the address of its socket.

    `headers` has upper-case names; `pairs` has the headers in their original order.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    pairs: Sequence[tuple[str, str]]
    body: bytes
    peer: Any

    @property
    def is_json(self) -> bool:
        """Return True if the content type is JSON."""
        return self.headers.get("CONTENT-TYPE", "").partition(";")[0].strip().lower() == "application/json"


class ReplyPolicy(NamedTuple):
    """How requests of one kind are answered: `protect` adds the security headers, and `refusal` returns the error text
    for callers if the run could not be recorded.
    """

    protect: Callable[[Headers], Headers]
    refusal: Callable[[BaseException], str]


def send_answer(
    reply: Reply,
    policy: ReplyPolicy,
    make_answer: MakeAnswer,
    run: Run,
    outcome: Outcome,
    output: bytes | None,
    error: BaseException | None,
) -> None:
    """Send the response to the request that started this run."""
    try:
        if error is None:
            answer = make_answer(run, outcome, output)
        else:
            log.error("run %s could not be recorded: %s", run.id, error, extra={"run_id": run.id})
            answer = make_json_answer({"error": policy.refusal(error)}, 503, RETRY_AFTER)
        status, headers, body = answer
        if not body:
            # Such as 204, which has fewer headers.
            headers = list(Response(body, status, headers).get_wsgi_headers({}))
        headers = policy.protect(headers)
    except Exception:
        # The client is waiting, and nothing else would send a response.
        log.exception("the response to run %s could not be made", run.id, extra={"run_id": run.id})
        status, headers, body = make_json_answer({"error": INTERNAL}, 500)
    reply(STATUSES.get(status) or f"{status} UNKNOWN", headers, body)
