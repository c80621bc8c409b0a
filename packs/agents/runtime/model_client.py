"""Client of language models, by Pydantic AI, with limits. Loaded at first use, because the library is large.

The transport sends only known headers, and adds the key itself, which no library sees.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pydantic_ai
from genai_prices import data  # noqa: F401 - prices of models, which pydantic_ai would load within the time limit
from pydantic_ai.exceptions import UserError
from pydantic_ai.messages import ModelMessage, ModelMessagesTypeAdapter, ModelResponse
from pydantic_ai.models import Model
from pydantic_ai.models.test import TestModel
from pydantic_ai.models.wrapper import WrapperModel
from pydantic_ai.tools import ToolDefinition
from pydantic_ai.usage import RequestUsage

from net.http_transport import LimitedTransport
from packs.agents.model_choice import TEST, Choice, ModelAccess, ModelFailed, Models
from packs.agents.runtime import anthropic_messages, openai_chat
from packs.agents.runtime.chat_model import ChatModel, to_failure

MAX_TRIES = 3
MAX_BYTES = 8 * 2**20  # of one answer
# A piece received at once is parsed at once, which cannot be interrupted.
MAX_PIECE = 2 * 2**20
CONNECT_SECONDS = 10.0
FIRST_PAUSE, MAX_PAUSE = 0.5, 60.0  # seconds
CHARACTERS = 4  # per token, estimated
MAX_TOKENS = 10**12  # of one answer, whatever a server reports: exceeds every limit, and fits into a row
# The headers that providers need, except the key.
HEADERS = {
    *("accept", "anthropic-beta", "anthropic-version", "connection", "content-length", "content-type", "host"),
    "transfer-encoding",
}


@asynccontextmanager
async def open_model(
    choice: Choice,
    models: Models,
    access: ModelAccess,
    end: float,
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> AsyncIterator[Model]:
    """Yield a connected Pydantic AI model, for one event loop and one request at a time.

    Requests end by `end`, on the clock `now`. Transient failures are retried after a `sleep`.

    Raises: ModelFailed on a permanent failure, or if the retries fail.
    """
    pydantic_ai.BANNER_ENABLED = False
    if choice.provider == TEST:
        yield FakeModel()
        return
    for name in ("httpx2", "httpcore2"):
        logging.getLogger(name).setLevel(logging.WARNING)
    line = Transport(choice, access)
    seconds = httpx2.Timeout(models.timeout, connect=min(CONNECT_SECONDS, models.timeout))
    async with httpx2.AsyncClient(transport=line, timeout=seconds, trust_env=False) as http:
        model: ChatModel
        if choice.provider == "anthropic":
            profile = anthropic_messages.profile_of(choice)
            model = anthropic_messages.AnthropicMessages(choice, models, http, profile)
        else:
            model = openai_chat.OpenAIChat(choice, models, http, openai_chat.profile_of(choice))
        yield RetryingModel(model, choice, models, line, end, now, sleep)


class FakeModel(TestModel):
    """The model for tests, which makes up its answers."""

    def gen_tool_args(self, tool_def: ToolDefinition) -> Any:
        """Return arguments that match the schema; only the first of several types, as the library needs one."""
        schema = _of_one_type(tool_def.parameters_json_schema)
        return super().gen_tool_args(dataclasses.replace(tool_def, parameters_json_schema=schema))


def _of_one_type(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_of_one_type(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    types = schema.get("type")
    one = {"type": types[0]} if isinstance(types, list) and types else {}
    return {key: _of_one_type(part) for key, part in schema.items()} | one


class Transport(LimitedTransport):
    """Transport to a provider: adds the key, removes unknown headers, and limits the size of each answer."""

    max_line = MAX_PIECE

    def __init__(self, choice: Choice, access: ModelAccess) -> None:
        super().__init__(access.tls, MAX_BYTES, access.addresses)
        self.media = ""  # media type of the last answer
        self.key, self.clean_text = choice.key, access.clean
        self.own = {"Accept-Encoding": "identity", "User-Agent": "Headrace"}
        if choice.key:
            self.own["Authorization"] = f"Bearer {choice.key}"

    def clean(self, text: str) -> str:
        """Redact the server's text, including our own key."""
        return self.clean_text(text.replace(self.key, "***") if self.key else text)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        self.room, self.too_large, self.media = MAX_BYTES, False, ""
        known = {name: value for name, value in request.headers.items() if name.lower() in HEADERS}
        request.headers = httpx2.Headers({**known, **self.own})
        response = await super().handle_async_request(request)
        self.media = response.headers.get("content-type", "")
        if "event-stream" not in self.media:
            self.room = MAX_PIECE
        return response


class RetryingModel(WrapperModel):
    """A model that retries transient failures as long as there is time."""

    def __init__(
        self,
        model: Model,
        choice: Choice,
        models: Models,
        line: Transport,
        end: float,
        now: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        super().__init__(model)
        self.choice, self.models, self.line = choice, models, line
        self.end, self.now, self.sleep = end, now, sleep

    async def request(self, messages: list[ModelMessage], *args: Any, **options: Any) -> ModelResponse:
        """Return the answer. Raises: ModelFailed."""
        number = 1
        while True:
            try:
                return _count_tokens(await self._once(messages, *args, **options), messages)
            except (ModelFailed, UserError):
                raise
            except Exception as error:
                line = self.line
                failed = to_failure(error, self.choice, self.models.timeout, line.too_large, line.media, line.clean)
                pause = self._pause(error, failed, number)
            if pause is None:
                times = f" (after {number} attempts)" if number > 1 else ""
                raise ModelFailed(failed.message + times, failed.permanent, failed.retry_after, failed.kind)
            await self.sleep(pause)
            number += 1

    def _pause(self, error: Exception, failed: ModelFailed, number: int) -> float | None:
        """Return the seconds until the next attempt; None if there is none."""
        if failed.permanent or number >= MAX_TRIES or not getattr(error, "may_retry", True):
            return None
        asked: float | None = getattr(error, "retry_after", None)
        pause = FIRST_PAUSE * 2 ** (number - 1) * (1 + random.random()) if asked is None else asked
        return None if pause > MAX_PAUSE or self.now() + pause >= self.end else pause

    async def _once(self, *args: Any, **options: Any) -> ModelResponse:
        left = self.end - self.now()
        if left <= 0:
            raise ModelFailed(f"there is no time left for a request to {self.choice.name}", kind="timeout")
        try:
            async with asyncio.timeout(left) as rest:
                return await self.wrapped.request(*args, **options)
        except TimeoutError:
            if not rest.expired():
                raise
            raise ModelFailed(f"the time ran out before {self.choice.name} answered", kind="timeout") from None


def _count_tokens(response: ModelResponse, messages: list[ModelMessage]) -> ModelResponse:
    """Return the answer with valid token counts, estimated if the server reports none, so that limits apply."""
    usage = response.usage
    if usage.input_tokens or usage.output_tokens:
        for name, value in vars(usage).items():
            if isinstance(value, int):
                setattr(usage, name, max(0, min(value, MAX_TOKENS)))
        usage.details = {}  # numbers of the server's own, of any size
        return response
    # Counts as a request: the library would warn about usage that it takes for missing.
    response.usage = RequestUsage(input_tokens=_tokens(messages), output_tokens=_tokens([response]))
    return response


def _tokens(messages: list[ModelMessage]) -> int:
    return len(ModelMessagesTypeAdapter.dump_json(messages)) // CHARACTERS + 1
