"""The type of credential for language models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marshmallow import validate

from nodes.credentials.base import CredentialType, check_ascii, check_url, host_of, secret, text
from nodes.fields import choice
from packs.agents.runtime.model_choice import OWN

NO_SPACE = validate.ContainsNoneOf(" ", error="Must not contain a space.")
NO_QUERY = validate.ContainsNoneOf("?#", error="Must be an address to which paths can be added: without ? and #.")


class LlmCredential(CredentialType):
    """The API key of a language model's provider."""

    title = "Language model"
    provider = choice(
        "The API that the endpoint implements",
        {"openai": "OpenAI", "anthropic": "Anthropic", "ollama": "Ollama"},
        literal=False,
        load_default="openai",
        title="API format",
    )
    base_url = text(
        "The URL of the API, if it is not the provider's own: https://llm.example.com/v1",
        check_url,
        NO_QUERY,
        title="Base URL",
    )
    api_key = secret("The API key", check_ascii, title="API key")
    model = text("The model of agents and nodes that name none: gpt-5", NO_SPACE, title="Default model")

    @classmethod
    def hosts(cls, data: Mapping[str, Any]) -> tuple[str, ...]:
        return host_of(data.get("base_url") or OWN[data["provider"]])
