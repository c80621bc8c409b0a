"""Messages: the API of Anthropic."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequestPart,
    ModelResponse,
    ModelResponsePart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.profiles import ModelProfile
from pydantic_ai.profiles.anthropic import anthropic_model_profile
from pydantic_ai.settings import ModelSettings

from packs.agents.model_choice import ANTHROPIC_VERSION, Choice
from packs.agents.runtime.chat_model import (
    AnswerStream,
    ChatModel,
    IncompleteAnswer,
    WrongAnswer,
    instructions_of,
    must_call,
    text_of,
)

# The API requires a maximum. Old models count it into their context window, so theirs is small.
MAX_TOKENS, OLD_MAX_TOKENS = 16_384, 4_096
FINISH = {
    **{"end_turn": "stop", "stop_sequence": "stop", "pause_turn": "stop", "tool_use": "tool_call"},
    **{"max_tokens": "length", "model_context_window_exceeded": "length", "refusal": "content_filter"},
}
REDACTED = "redacted_thinking"


def profile_of(choice: Choice) -> ModelProfile:
    """Return the library's profile of the model."""
    return anthropic_model_profile(choice.model) or ModelProfile()


class _AnthropicStream(AnswerStream):
    # The text that a delta appends to, by its type.
    TEXTS = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature"}

    def __init__(self) -> None:
        self.message: dict[str, Any] = {}
        self.usage: dict[str, Any] = {}
        self.blocks: dict[int, dict[str, Any]] = {}
        self.pieces: dict[tuple[int, str], list[str]] = {}

    def add(self, event: Mapping[str, Any]) -> None:
        kind = text_of(event, "type")
        if kind == "message_start":
            self.message = dict(event["message"])
            self.usage |= self.message.get("usage") or {}
        elif kind == "content_block_start":
            self.blocks[event["index"]] = dict(event["content_block"])
        elif kind == "content_block_delta":
            index, delta = event["index"], event["delta"]
            type_ = text_of(delta, "type")
            field = "partial_json" if type_ == "input_json_delta" else self.TEXTS.get(type_)
            if field is not None and index in self.blocks:
                self.pieces.setdefault((index, field), []).append(text_of(delta, field))
        elif kind == "message_delta":
            self.message |= event["delta"]
            self.usage |= {key: value for key, value in (event.get("usage") or {}).items() if value is not None}

    def count(self) -> int:
        return len(self.blocks)

    def whole(self) -> dict[str, Any]:
        if not text_of(self.message, "stop_reason"):
            raise IncompleteAnswer
        for (index, field), pieces in self.pieces.items():
            block, text = self.blocks[index], "".join(pieces)
            if field != "partial_json":
                block[field] = text_of(block, field) + text
                continue
            try:
                block["input"] = orjson.loads(text or "{}")
            except ValueError:
                block["input"] = text  # a limit cut it off
        return {**self.message, "content": list(self.blocks.values()), "usage": self.usage}


class AnthropicMessages(ChatModel):
    """A model of Anthropic."""

    path = "/v1/messages"
    headers = {"anthropic-version": ANTHROPIC_VERSION}
    stream_options = {"stream": True}
    stream_class = _AnthropicStream
    api_flavor = "default"

    def write(
        self, messages: list[ModelMessage], settings: ModelSettings, parameters: ModelRequestParameters
    ) -> dict[str, Any]:
        profile: Mapping[str, Any] = self.profile
        body = {"model": self.choice.model, "max_tokens": _max_tokens(profile, settings), "stream": False}
        written = [
            {"role": "assistant", "content": [block for part in message.parts for block in _answer_blocks(part)]}
            if isinstance(message, ModelResponse)
            else {"role": "user", "content": [_request_block(part) for part in message.parts]}
            for message in messages
        ]
        body["messages"] = [message for message in written if message["content"]]
        if instructions := instructions_of(messages):
            body["system"] = instructions
        tools = [
            {"name": tool.name, "description": tool.description or "", "input_schema": tool.parameters_json_schema}
            for tool in (*parameters.function_tools, *parameters.output_tools)
        ]
        if tools:
            body |= {"tools": tools, "tool_choice": {"type": "any" if must_call(profile, parameters) else "auto"}}
        if "temperature" in settings and not profile.get("anthropic_disallows_sampling_settings", False):
            body["temperature"] = settings["temperature"]
        return body

    def read(self, answer: Mapping[str, Any]) -> tuple[list[ModelResponsePart], str | None, str | None]:
        if not isinstance(answer.get("content"), list):
            raise WrongAnswer("the answer is not one of a language model: it has no content")
        word = text_of(answer, "stop_reason")
        return list(_parts(answer["content"])), FINISH.get(word) if word else "stop", word or None


def _max_tokens(profile: Mapping[str, Any], settings: ModelSettings) -> int:
    most: int | None = profile.get("anthropic_max_output_tokens")
    if "max_tokens" in settings:
        return min(settings["max_tokens"], most or settings["max_tokens"])
    small = profile.get("anthropic_rejects_max_tokens_beyond_context_window", False)
    return OLD_MAX_TOKENS if small else most or MAX_TOKENS


def _answer_blocks(part: ModelResponsePart) -> Iterator[dict[str, Any]]:
    """Yield the part of an earlier answer; thoughts only with their signature, without which they are refused."""
    if isinstance(part, TextPart) and part.content:
        yield {"type": "text", "text": part.content}
    elif isinstance(part, ThinkingPart) and part.signature and part.provider_name == "anthropic":
        if part.id == REDACTED:
            yield {"type": REDACTED, "data": part.signature}
        else:
            yield {"type": "thinking", "thinking": part.content, "signature": part.signature}
    elif isinstance(part, ToolCallPart):
        yield {"type": "tool_use", "id": part.tool_call_id, "name": part.tool_name, "input": part.args_as_dict()}


def _request_block(part: ModelRequestPart) -> dict[str, Any]:
    if isinstance(part, ToolReturnPart):
        content, failed = part.model_response_str(wrap_if_error=False), part.outcome in ("failed", "retried")
        return {"type": "tool_result", "tool_use_id": part.tool_call_id, "content": content, "is_error": failed}
    assert isinstance(part, UserPromptPart) and isinstance(part.content, str), part
    return {"type": "text", "text": part.content}


def _parts(content: list[Any]) -> Iterator[ModelResponsePart]:
    for block in content:
        kind = text_of(block, "type")
        if kind == "text" and text_of(block, "text"):
            yield TextPart(block["text"])
        elif kind == "thinking":
            thought, signature = text_of(block, "thinking"), text_of(block, "signature")
            yield ThinkingPart(thought, signature=signature, provider_name="anthropic")
        elif kind == REDACTED:
            yield ThinkingPart("", id=REDACTED, signature=text_of(block, "data"), provider_name="anthropic")
        elif kind == "tool_use":
            yield ToolCallPart(text_of(block, "name"), block.get("input"), tool_call_id=text_of(block, "id"))
