"""Chat completions: the API of OpenAI, and of most other servers of language models, each with its own deviations."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic_ai import InlineDefsJsonSchemaTransformer
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequestPart,
    ModelResponse,
    ModelResponsePart,
    SystemPromptPart,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.profiles.openai import OpenAIModelProfile, openai_model_profile
from pydantic_ai.settings import ModelSettings

from packs.agents.model_choice import Choice
from packs.agents.runtime.chat_model import (
    AnswerStream,
    ChatModel,
    IncompleteAnswer,
    WrongAnswer,
    instructions_of,
    list_of,
    must_call,
    text_of,
)

AZURE = ".openai.azure.com"
OPENAI = "api.openai.com"
# Fields in which servers send thoughts; some require them back with calls of tools.
THOUGHTS = ("reasoning", "reasoning_content")
TEXTS = (*THOUGHTS, "refusal")
THOUGHTS_IN_TEXT = re.compile(r"\s*<think>(.*?)</think>\s*", re.DOTALL)
FINISH = {
    **{"stop": "stop", "length": "length", "content_filter": "content_filter"},
    **{"tool_calls": "tool_call", "function_call": "tool_call"},
}


def profile_of(choice: Choice) -> Any:
    """Return the library's profile of the model."""
    if choice.provider == "ollama":
        return OpenAIModelProfile(json_schema_transformer=InlineDefsJsonSchemaTransformer)
    return openai_model_profile(choice.model)


class _OpenAIStream(AnswerStream):
    def __init__(self) -> None:
        self.about: dict[str, Any] = {}
        self.texts: dict[str, list[str]] = {}
        self.calls: list[dict[str, Any]] = []
        self.finish = ""

    def add(self, event: Mapping[str, Any]) -> None:
        self.about |= {key: event[key] for key in ("id", "model", "usage") if event.get(key)}
        for choice in list_of(event, "choices")[:1]:
            self.finish = text_of(choice, "finish_reason") or self.finish
            delta = choice.get("delta") or {}
            for field, text in (("content", _content_of(delta)), *((key, text_of(delta, key)) for key in TEXTS)):
                if text:
                    self.texts.setdefault(field, []).append(text)
            for call in list_of(delta, "tool_calls"):
                self._add_call(call)

    def _add_call(self, delta: Any) -> None:
        """Add a piece of a call: of the one with its index, unless it begins another, as servers without indexes do."""
        index, id_ = delta.get("index"), text_of(delta, "id")
        function = delta.get("function") or {}
        name, arguments = text_of(function, "name"), function.get("arguments")
        known = next((call for call in self.calls if call["index"] == index), None)
        if known is None or (name and id_ and known["id"] and id_ != known["id"]):
            known = {"index": index, "id": id_, "name": name, "arguments": [], "extra_content": None}
            self.calls.insert(0, known)  # found first by the next piece
        known["id"], known["name"] = known["id"] or id_, known["name"] or name
        known["extra_content"] = delta.get("extra_content") or known["extra_content"]
        if arguments:
            known["arguments"].append(arguments if isinstance(arguments, str) else json.dumps(arguments))

    def count(self) -> int:
        return len(self.texts) + len(self.calls)

    def whole(self) -> dict[str, Any]:
        if not self.finish and "refusal" not in self.texts:
            raise IncompleteAnswer
        message: dict[str, Any] = {field: "".join(pieces) for field, pieces in self.texts.items()}
        message["tool_calls"] = [
            {
                **{"id": call["id"], "extra_content": call["extra_content"]},
                "function": {"name": call["name"], "arguments": "".join(call["arguments"])},
            }
            for call in reversed(self.calls)
        ]
        return {**self.about, "choices": [{"message": message, "finish_reason": self.finish}]}


class OpenAIChat(ChatModel):
    """A model of OpenAI, or of a compatible server."""

    path = "/chat/completions"
    stream_options = {"stream": True, "stream_options": {"include_usage": True}}
    stream_class = _OpenAIStream
    api_flavor = "chat"

    def write(
        self, messages: list[ModelMessage], settings: ModelSettings, parameters: ModelRequestParameters
    ) -> dict[str, Any]:
        profile: Mapping[str, Any] = self.profile
        body: dict[str, Any] = {"model": self.choice.model, "messages": list(self._messages(messages)), "stream": False}
        tools = [
            {
                "type": "function",
                "function": {
                    **{"name": tool.name, "description": tool.description or ""},
                    "parameters": tool.parameters_json_schema,
                    **({"strict": True} if tool.strict and self._is_openai() else {}),
                },
            }
            for tool in (*parameters.function_tools, *parameters.output_tools)
        ]
        if tools:
            body |= {"tools": tools, "tool_choice": "required" if must_call(profile, parameters) else "auto"}
        reasons = profile.get("openai_supports_reasoning", False)
        if "max_tokens" in settings:
            # Other servers than OpenAI's often ignore the newer name; its reasoning models accept no other.
            newer = reasons or self._is_openai() or self.choice.host.endswith(AZURE)
            body["max_completion_tokens" if newer else "max_tokens"] = settings["max_tokens"]
        if "temperature" in settings and not (reasons and profile.get("thinking_enabled_by_default", False)):
            body["temperature"] = settings["temperature"]
        return body

    def _is_openai(self) -> bool:
        return self.choice.host == OPENAI or self.choice.host.endswith("." + OPENAI)

    def _messages(self, messages: list[ModelMessage]) -> Iterator[dict[str, Any]]:
        told: Mapping[str, Any] = self.profile
        if instructions := instructions_of(messages):
            yield {"role": told.get("openai_system_prompt_role") or "system", "content": instructions}
        for message in messages:
            if not isinstance(message, ModelResponse):
                yield from map(_request_part, message.parts)
                continue
            texts = [part.content for part in message.parts if isinstance(part, TextPart)]
            calls = [_call(part) for part in message.parts if isinstance(part, ToolCallPart)]
            thoughts = {
                part.id: part.content
                for part in message.parts
                if isinstance(part, ThinkingPart) and part.id in THOUGHTS and part.provider_name == self.choice.provider
            }
            content = "\n\n".join(texts) if texts or not calls else None
            yield {"role": "assistant", "content": content, **thoughts, **({"tool_calls": calls} if calls else {})}

    def read(self, answer: Mapping[str, Any]) -> tuple[list[ModelResponsePart], str | None, str | None]:
        choices = list_of(answer, "choices")
        if not choices or not isinstance(choices[0], dict) or not isinstance(choices[0].get("message"), dict):
            raise WrongAnswer("the answer is not one of a language model: it has no message")
        message = choices[0]["message"]
        if text_of(message, "refusal"):
            return [], "content_filter", None
        parts: list[ModelResponsePart] = []
        for field in THOUGHTS:
            if (thought := text_of(message, field)) and not parts:
                parts.append(ThinkingPart(thought, id=field, provider_name=self.choice.provider))
        content = _content_of(message)
        if in_text := THOUGHTS_IN_TEXT.match(content):
            # Many models write their thoughts at the beginning of the text.
            parts.append(ThinkingPart(in_text[1], id="content"))
            content = content[in_text.end() :]
        if content:
            parts.append(TextPart(content))
        parts += [self._read_call(call) for call in list_of(message, "tool_calls")]
        word = text_of(choices[0], "finish_reason")
        return parts, FINISH.get(word) if word else "stop", word or None

    def _read_call(self, call: Any) -> ToolCallPart:
        function = call.get("function") if isinstance(call, dict) else None
        name = text_of(function, "name")
        if not isinstance(function, dict) or not name:
            raise WrongAnswer("the answer is not one of a language model: a call of a tool has no name")
        arguments = function.get("arguments")
        if not isinstance(arguments, str | dict | None):
            raise WrongAnswer(f"the answer is not one of a language model: the arguments of {name} are not an object")
        made = ToolCallPart(name, arguments, tool_call_id=text_of(call, "id"))
        if isinstance(extra := call.get("extra_content"), dict):
            # Gemini's signature of its thoughts, which it requires back.
            made.provider_name, made.provider_details = self.choice.provider, {"extra_content": extra}
        return made


def _call(part: ToolCallPart) -> dict[str, Any]:
    function = {"name": part.tool_name, "arguments": part.args_as_json_str()}
    extra = (part.provider_details or {}).get("extra_content")
    made = {"id": part.tool_call_id, "type": "function", "function": function}
    return {**made, "extra_content": extra} if extra else made


def _request_part(part: ModelRequestPart) -> dict[str, Any]:
    if isinstance(part, ToolReturnPart):
        return {"role": "tool", "tool_call_id": part.tool_call_id, "content": part.model_response_str()}
    if isinstance(part, SystemPromptPart):
        return {"role": "system", "content": part.content}
    assert isinstance(part, UserPromptPart) and isinstance(part.content, str), part
    return {"role": "user", "content": part.content}


def _content_of(message: Mapping[str, Any]) -> str:
    """Return the text of a message; some servers send a list of parts."""
    content = message.get("content")
    if isinstance(content, list):
        return "".join(text_of(part, "text") for part in content if isinstance(part, dict))
    return text_of(message, "content")
