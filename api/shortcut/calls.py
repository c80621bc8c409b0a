"""Requests as the shortcut looks at them, and how it answers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from werkzeug.http import HTTP_STATUS_CODES
from werkzeug.wrappers import Response

from api.run_answer import Answer, Headers, json_answer
from engine import Outcome
from models import Run

log = logging.getLogger("headrace.api")

LARGEST_BODY = 32 * 1024  # bytes; to read a larger one takes its time
RETRY_AFTER = ("Retry-After", "5")
INTERNAL = "Internal error; the server's log has the details"
STATUSES = {status: f"{status} {text.upper()}" for status, text in HTTP_STATUS_CODES.items()}

Reply: TypeAlias = Callable[[str, Sequence[tuple[str, str]], bytes], None]
# Makes an answer of a run that is on the disk, how it ended, and its output as JSON text.
Answering: TypeAlias = Callable[[Run, Outcome, bytes | None], Answer]


class Call(NamedTuple):
    """A request: its path without escapes, its query as it was sent, its headers, of which no name comes twice.

    `headers` has the names in capitals, `pairs` the headers in the order in which they came.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    pairs: Sequence[tuple[str, str]]
    body: bytes

    @property
    def is_json(self) -> bool:
        """Return True if the body is said to be JSON."""
        return self.headers.get("CONTENT-TYPE", "").partition(";")[0].strip().lower() == "application/json"


class Manner(NamedTuple):
    """How requests of one kind are answered: `protect` adds the headers that all of their answers have, `refusal` says
    what callers are told if the run could not be recorded, of this error.
    """

    protect: Callable[[Headers], Headers]
    refusal: Callable[[BaseException], str]


def tell(
    reply: Reply,
    manner: Manner,
    answering: Answering,
    run: Run,
    outcome: Outcome,
    output: bytes | None,
    error: BaseException | None,
) -> None:
    """Answer the request that asked for this run."""
    try:
        if error is None:
            answer = answering(run, outcome, output)
        else:
            log.error("run %s could not be recorded: %s", run.id, error)
            answer = json_answer({"error": manner.refusal(error)}, 503, RETRY_AFTER)
        status, headers, body = answer
        if not body:
            # Such as 204, which has other headers.
            headers = list(Response(body, status, headers).get_wsgi_headers({}))
        headers = manner.protect(headers)
    except Exception:
        # The client waits, and nobody else would answer it.
        log.exception("the answer of run %s could not be made", run.id)
        status, headers, body = json_answer({"error": INTERNAL}, 500)
    reply(STATUSES.get(status) or f"{status} UNKNOWN", headers, body)
