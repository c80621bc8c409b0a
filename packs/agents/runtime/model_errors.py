"""Errors of a model: the message for a failed request, and whether a retry can help."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from httpx2 import DecodingError, HTTPError, TimeoutException
from pydantic_ai.exceptions import AgentRunError, ContentFilterError

from errors import ErrorKind, NodeError
from packs.agents.runtime.model_choice import Choice, ModelFailed

MAX_MESSAGE = 300
# Status codes below 500 that do not depend on the request itself: timeout, conflict, rate limit.
TRANSIENT = {408, 409, 425, 429}
# Codes of an account without credit, which some servers send with 429 like a rate limit.
NO_CREDIT = {"insufficient_quota", "billing_error"}
# Statuses of errors within a stream, whose own status is 200 already.
STATUS_OF_TYPE = {
    **{"invalid_request_error": 400, "authentication_error": 401, "billing_error": 402, "permission_error": 403},
    **{"not_found_error": 404, "request_too_large": 413, "rate_limit_error": 429, "overloaded_error": 529},
}
SECONDS = re.compile(r"\d{1,9}(\.\d{1,9})?")
ERRNO = re.compile(r"^\[Errno -?\d+\] ")


class IncompleteAnswer(AgentRunError):
    """An answer that ended without a finish reason."""

    def __init__(self) -> None:
        super().__init__("the answer broke off")


class WrongAnswer(AgentRunError):
    """An answer that is not one of a language model."""


class ModelServerError(AgentRunError):
    """An error of the server: its status and body, and what its headers say of a retry."""

    def __init__(self, status: int, body: Any, headers: Mapping[str, str]) -> None:
        super().__init__(f"status {status}")
        self.status, self.body = status, body
        asked = headers.get("retry-after", "")
        self.retry_after = float(asked) if SECONDS.fullmatch(asked) else None
        self.may_retry = headers.get("x-should-retry") != "false"

    @classmethod
    def in_stream(cls, event: Mapping[str, Any]) -> ModelServerError:
        """Return the error that an event of a stream reports."""
        return cls(STATUS_OF_TYPE.get(_code(event, "type"), 500), event, {})

    @property
    def permanent(self) -> bool:
        """Return True if a retry cannot help."""
        no_credit = NO_CREDIT & {_code(self.body, "code"), _code(self.body, "type")}
        return bool(no_credit) or (self.status < 500 and self.status not in TRANSIENT)


def to_failure(
    error: Exception, choice: Choice, timeout: float, too_large: bool, media: str, clean: Callable[[str], str]
) -> ModelFailed:
    """Convert an error of the library to a ModelFailed.

    `timeout` is in seconds. `too_large`: the answer exceeded the size limit. `media` is its media type. `clean` redacts
    the server's text.
    """
    who, causes = f"{choice.name} at {choice.host}", list(_causes(error))
    if too_large:
        return ModelFailed(f"{who}: the answer is too large", permanent=True, kind="limit")
    refused = next((cause for cause in causes if isinstance(cause, NodeError)), None)
    if refused is not None:
        return ModelFailed(f"{choice.name}: {refused.message}", refused.permanent, kind=refused.kind)
    answered = next((cause for cause in causes if isinstance(cause, ModelServerError)), None)
    if answered is not None:
        return _from_status(answered, who, clean)
    if any(isinstance(cause, TimeoutError | TimeoutException) for cause in causes):
        return ModelFailed(f"{who} did not answer in time (HEADRACE_LLM_TIMEOUT is {timeout:g} s)", kind="timeout")
    lost = next((cause for cause in causes if isinstance(cause, HTTPError)), None)
    if lost is not None:
        text = ERRNO.sub("", clean_line(str(lost), clean)) or type(lost).__name__
        return ModelFailed(
            f"{who}: {text}", isinstance(lost, DecodingError) or "CERTIFICATE_VERIFY" in text, kind="remote"
        )
    return ModelFailed(
        f"{who}: {_describe_wrong_answer(error, media, clean)}", isinstance(error, ContentFilterError), kind="data"
    )


def _describe_wrong_answer(error: Exception, media: str, clean: Callable[[str], str]) -> str:
    """Return why an answer is not one of a language model."""
    if "html" in media:
        return "it answered with an HTML page, unlike a language model; check its address"
    if isinstance(error, AgentRunError):
        return clean_line(error.message.partition("\n")[0], clean)
    return f"the answer cannot be parsed ({type(error).__name__})"


def _from_status(error: ModelServerError, who: str, clean: Callable[[str], str]) -> ModelFailed:
    text, status = clean_line(_message(error.body), clean), error.status
    kind: ErrorKind = "credential" if status == 401 else "refused" if error.permanent else "remote"
    said = f"{who} answered {status}" + (f": {text}" if text else "")
    return ModelFailed(said, error.permanent, error.retry_after or 0.0, kind)


def _code(body: Any, name: str) -> str:
    """Return the code or type in the body of an error; empty if there is none."""
    error = body.get("error") if isinstance(body, dict) else None
    found = error.get(name) if isinstance(error, dict) else None
    return found if isinstance(found, str) else ""


def _message(body: Any) -> str:
    """Return the error message in a response body, in any of its common shapes."""
    if isinstance(body, dict):
        inner = next((body[name] for name in ("error", "message", "detail") if body.get(name)), "")
        return _message(inner) if isinstance(inner, dict) else str(inner)
    return body if isinstance(body, str) else ""


def clean_line(text: str, clean: Callable[[str], str]) -> str:
    """Return a server's text as one line, redacted and truncated."""
    text = clean(text[: 10 * MAX_MESSAGE])
    text = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return text if len(text) <= MAX_MESSAGE else f"{text[:MAX_MESSAGE]}…"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the error, its causes, and the members of exception groups."""
    seen: set[int] = set()
    left = [error]
    while left:
        one = left.pop(0)
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        left += [*getattr(one, "exceptions", ()), one.__cause__, one.__context__]
