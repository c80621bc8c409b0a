"""What is said of a model that gave no answer, and whether it would give one if it was asked again."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from httpx2 import DecodingError, HTTPError, TimeoutException
from pydantic_ai.exceptions import AgentRunError, ContentFilterError, ModelQuotaExceededError

from agent.model_choice import Choice, ModelFailed
from errors import NodeError

MOST_SAID = 300
# Of those below 500, the ones that say nothing about the request itself: too slow, in each other's way, too many.
PASSING = {408, 409, 425, 429}


ERRNO = re.compile(r"^\[Errno -?\d+\] ")


class BrokenOff(AgentRunError):
    """An answer that ended without saying so."""

    def __init__(self) -> None:
        super().__init__("the answer breaks off")


def failure(
    error: Exception, choice: Choice, timeout: float, too_large: bool, media: str, clean: Callable[[str], str]
) -> ModelFailed:
    """The error of a run for the library's.

    `timeout` is in seconds. `too_large` says that the answer was, and `media` is the type that it was said to be of.
    `clean` takes secrets out of what the server says.
    """
    who, causes = f"{choice.name} at {choice.host}", list(_causes(error))
    if too_large:
        return ModelFailed(f"{who}: the answer is too large", permanent=True)
    refused = next((cause for cause in causes if isinstance(cause, NodeError)), None)
    if refused is not None:
        return ModelFailed(f"{choice.name}: {refused.message}", refused.permanent)
    status = next((found for cause in causes if isinstance(found := getattr(cause, "status_code", None), int)), None)
    if status is not None and status >= 300:
        return _answered(error, who, status, clean)
    if any(isinstance(cause, TimeoutError | TimeoutException) for cause in causes):
        return ModelFailed(f"{who} has not answered in time (HEADRACE_LLM_TIMEOUT is {timeout:g} s)")
    lost = next((cause for cause in causes if isinstance(cause, HTTPError)), None)
    if lost is not None:
        text = ERRNO.sub("", cleaned(str(lost), clean)) or type(lost).__name__
        return ModelFailed(f"{who}: {text}", isinstance(lost, DecodingError) or "CERTIFICATE_VERIFY" in text)
    return ModelFailed(f"{who}: {_unlike(error, media, clean)}", isinstance(error, ContentFilterError))


def _unlike(error: Exception, media: str, clean: Callable[[str], str]) -> str:
    """What is wrong with an answer that came, and is not like those that a language model gives."""
    if "html" in media:
        return "it answered with a page, as no language model does; is its address right?"
    if isinstance(error, AgentRunError):
        return cleaned(error.message.partition("\n")[0], clean)
    return f"the answer cannot be understood ({type(error).__name__})"


def _answered(error: Exception, who: str, status: int, clean: Callable[[str], str]) -> ModelFailed:
    text = cleaned(_message(getattr(error, "body", None)), clean)
    lasts = isinstance(error, ModelQuotaExceededError) or (status < 500 and status not in PASSING)
    asked = getattr(error, "retry_after", None) or 0.0
    return ModelFailed(f"{who} answered {status}" + (f": {text}" if text else ""), lasts, asked)


def _message(body: Any) -> str:
    """What the server says in the body of an error; there are several ways."""
    if isinstance(body, dict):
        inner = next((body[name] for name in ("error", "message", "detail") if body.get(name)), "")
        return _message(inner) if isinstance(inner, dict) else str(inner)
    return body if isinstance(body, str) else ""


def cleaned(text: str, clean: Callable[[str], str]) -> str:
    """A line of what a server said, without secrets, and not too long."""
    text = clean(text[: 10 * MOST_SAID])
    text = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return text if len(text) <= MOST_SAID else f"{text[:MOST_SAID]}…"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error, what it came from, and so on; of a group, all in it."""
    seen: set[int] = set()
    left = [error]
    while left:
        one = left.pop(0)
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        left += [*getattr(one, "exceptions", ()), one.__cause__, one.__context__]
