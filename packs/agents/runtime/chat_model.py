"""Requests to a language model over HTTP: an answer, whole or as a stream of events, within limits of time and size.

The APIs of providers differ only in how a request is written and an answer is read: `openai_chat.py` and
`anthropic_messages.py`. Their own libraries would need 65 MB more on disk.
"""

from __future__ import annotations

import asyncio
import json
import re
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, ClassVar

import httpx2
from httpx2 import DecodingError, HTTPError, TimeoutException
from pydantic_ai.exceptions import AgentRunError, ContentFilterError
from pydantic_ai.messages import ModelMessage, ModelRequest, ModelResponse, ModelResponsePart
from pydantic_ai.models import Model, ModelRequestParameters
from pydantic_ai.profiles import ModelProfile
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import RequestUsage

from errors import ErrorKind, NodeError
from packs.agents.model_choice import Choice, ModelFailed, Models

# Errors: the message for a failed request, and whether a retry can help

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
    who = f"{choice.name} at {choice.host}"
    # The error, its causes, and the members of exception groups.
    causes: list[BaseException] = []
    left: list[BaseException | None] = [error]
    while left:
        one = left.pop(0)
        if one is not None and not any(one is known for known in causes):
            causes.append(one)
            left += [*getattr(one, "exceptions", ()), one.__cause__, one.__context__]
    if too_large:
        return ModelFailed(f"{who}: the answer is too large", permanent=True, kind="limit")
    refused = next((cause for cause in causes if isinstance(cause, NodeError)), None)
    if refused is not None:
        return ModelFailed(f"{choice.name}: {refused.message}", refused.permanent, kind=refused.kind)
    answered = next((cause for cause in causes if isinstance(cause, ModelServerError)), None)
    if answered is not None:
        text, status = clean_line(_message(answered.body), clean), answered.status
        kind: ErrorKind = "credential" if status == 401 else "refused" if answered.permanent else "remote"
        said = f"{who} answered {status}" + (f": {text}" if text else "")
        return ModelFailed(said, answered.permanent, answered.retry_after or 0.0, kind)
    if any(isinstance(cause, TimeoutError | TimeoutException) for cause in causes):
        return ModelFailed(f"{who} did not answer in time (HEADRACE_LLM_TIMEOUT is {timeout:g} s)", kind="timeout")
    lost = next((cause for cause in causes if isinstance(cause, HTTPError)), None)
    if lost is not None:
        text = ERRNO.sub("", clean_line(str(lost), clean)) or type(lost).__name__
        return ModelFailed(
            f"{who}: {text}", isinstance(lost, DecodingError) or "CERTIFICATE_VERIFY" in text, kind="remote"
        )
    if "html" in media:
        text = "it answered with an HTML page, unlike a language model; check its address"
    elif isinstance(error, AgentRunError):
        text = clean_line(error.message.partition("\n")[0], clean)
    else:
        text = f"the answer cannot be parsed ({type(error).__name__})"
    return ModelFailed(f"{who}: {text}", isinstance(error, ContentFilterError), kind="data")


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


MAX_PARTS = 200  # texts, thoughts and calls of an answer


class AnswerStream:
    """The events of a stream, collected into the same object that a whole answer is."""

    @abstractmethod
    def add(self, event: Mapping[str, Any]) -> None:
        """Add the next event."""

    @abstractmethod
    def count(self) -> int:
        """Return the number of parts so far."""

    @abstractmethod
    def whole(self) -> dict[str, Any]:
        """Return the answer. Raises: IncompleteAnswer if the last event has not come."""


class ChatModel(Model):
    """A model that is asked over HTTP. Subclasses write the request and read the answer."""

    path: ClassVar[str]
    headers: ClassVar[Mapping[str, str]] = {}
    stream_options: ClassVar[Mapping[str, Any]] = {}
    stream_class: ClassVar[type[AnswerStream]]
    api_flavor: ClassVar[str]

    def __init__(self, choice: Choice, models: Models, http: httpx2.AsyncClient, profile: ModelProfile) -> None:
        super().__init__(profile=profile)
        self.choice, self.models, self.http = choice, models, http

    @property
    def model_name(self) -> str:
        return self.choice.model

    @property
    def system(self) -> str:
        return self.choice.provider

    @abstractmethod
    def write(
        self, messages: list[ModelMessage], settings: ModelSettings, parameters: ModelRequestParameters
    ) -> dict[str, Any]:
        """Return the body of a request."""

    @abstractmethod
    def read(self, answer: Mapping[str, Any]) -> tuple[list[ModelResponsePart], str | None, str | None]:
        """Return the parts of an answer, its finish reason, and the provider's word for that."""

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Return the answer. Raises: an error that `to_failure` converts."""
        settings, parameters = self.prepare_request(model_settings, model_request_parameters)
        body = self.write(messages, settings or ModelSettings(), parameters)
        answer = await self._send({**body, **(self.stream_options if self.models.stream else {})})
        parts, finish, word = self.read(answer)
        return ModelResponse(
            parts,
            usage=self._usage(answer),
            model_name=text_of(answer, "model") or self.choice.model,
            provider_name=self.choice.provider,
            provider_url=self.choice.base_url,
            provider_details={"finish_reason": word} if word else None,
            provider_response_id=text_of(answer, "id") or None,
            finish_reason=finish,  # type: ignore[arg-type]
        )

    def _usage(self, answer: Mapping[str, Any]) -> RequestUsage:
        """Return the reported usage; none if it is not reported, or cannot be read."""
        known = _whole_numbers(answer.get("usage"))
        if not known:
            return RequestUsage()
        return RequestUsage.extract(
            {"model": self.choice.model, "usage": known},
            provider=self.choice.provider,
            provider_url=self.choice.base_url,
            provider_fallback=self.choice.provider if self.choice.provider == "anthropic" else "openai",
            api_flavor=self.api_flavor,
        )

    async def _send(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the answer to this request as an object."""
        request = self.http.build_request(
            "POST", self.choice.base_url + self.path, json=body, headers={"Accept": "application/json", **self.headers}
        )
        async with asyncio.timeout(self.models.timeout):
            response = await self.http.send(request, stream=True)
        try:
            # A server that cannot stream answers with JSON.
            is_json = response.headers.get("content-type", "").startswith("application/json")
            if response.status_code == 200 and self.models.stream and not is_json:
                return await self._collect(response)
            async with asyncio.timeout(self.models.timeout):
                raw = await response.aread()
        finally:
            await response.aclose()
        if response.status_code == 200:
            return _check_object(json.loads(raw))
        try:
            error = json.loads(raw)
        except ValueError:
            error = raw.decode("utf-8", "replace")
        raise ModelServerError(response.status_code, error, response.headers)

    async def _collect(self, response: httpx2.Response) -> dict[str, Any]:
        """Return the answer of a stream; each event may take as long as the timeout."""
        stream, events, over = self.stream_class(), _events(response), object()
        while True:
            async with asyncio.timeout(self.models.timeout):
                event: Any = await anext(events, over)
            if event is over:
                return stream.whole()
            if event.get("error"):
                raise ModelServerError.in_stream(event)
            stream.add(event)
            if stream.count() > MAX_PARTS:
                raise ModelFailed(f"{self.choice.name}: the answer has more than {MAX_PARTS} parts", True, kind="limit")


async def _events(response: httpx2.Response) -> AsyncIterator[dict[str, Any]]:
    """Yield the objects of server-sent events. Providers write each on one line, and tell its type within it."""
    begun: list[bytes] = []
    async for piece in response.aiter_raw():
        first, *others = piece.split(b"\n")
        begun.append(first)
        for line in others:
            for event in _parse_line(b"".join(begun)):
                yield event
            begun = [line]
    for event in _parse_line(b"".join(begun)):
        yield event


def _parse_line(line: bytes) -> list[dict[str, Any]]:
    data = line.removeprefix(b"data:").strip()
    return [] if data in (b"", b"[DONE]") or not line.startswith(b"data:") else [_check_object(json.loads(data))]


def _whole_numbers(usage: Any) -> dict[str, Any]:
    """Return the reported counts that are whole numbers, and those within them."""
    given = usage if isinstance(usage, dict) else {}
    found = {key: _whole_numbers(value) if isinstance(value, dict) else value for key, value in given.items()}
    return {key: value for key, value in found.items() if isinstance(value, int | dict)}


def _check_object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise WrongAnswer("the answer is not one of a language model: it is not a JSON object")
    return value


def text_of(value: Any, key: str) -> str:
    """Return the text under this key; empty if it is missing or null. Raises: WrongAnswer if it is something else."""
    found = value.get(key) if isinstance(value, Mapping) else None
    if not isinstance(found, str | None):
        raise WrongAnswer(f"the answer is not one of a language model: {key} is not text")
    return found or ""


def list_of(value: Any, key: str) -> list[Any]:
    """Return the list under this key; empty if it is missing or null. Raises: WrongAnswer if it is something else."""
    found = value.get(key) if isinstance(value, Mapping) else None
    if not isinstance(found, list | None):
        raise WrongAnswer(f"the answer is not one of a language model: {key} is not a list")
    return found or []


def instructions_of(messages: list[ModelMessage]) -> str:
    """Return the instructions of the last request that has some."""
    found = (one.instructions for one in reversed(messages) if isinstance(one, ModelRequest) and one.instructions)
    return next(found, "")


def must_call(profile: Mapping[str, Any], parameters: ModelRequestParameters) -> bool:
    """Return True if the model has to call a tool, and can be told so: some could not think then."""
    forced = profile.get("supports_forced_tool_choice", True)
    thinks = profile.get("thinking_enabled_by_default", False) or profile.get("thinking_always_enabled", False)
    if thinks and not profile.get("supports_forced_tool_choice_with_thinking", True):
        forced = False
    if thinks and profile.get("forced_tool_choice_disables_thinking", False):
        forced = False
    return bool(forced) and not parameters.allow_text_output
