"""Which language model an agent asks, where it is, and with which key. The libraries that ask it load at first use.

A model is named `provider:name`, such as openai:gpt-5. Its address and key come from the settings of the server, or
both from a credential of type `llm`, never one from here and one from there: a key goes only where it was given for.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from errors import NodeError

if TYPE_CHECKING:
    from ssl import SSLContext

    from config import Config

TEST = "test"
# Where each provider is, unless it is said otherwise.
OWN = {
    "openai": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com",
    "ollama": "http://localhost:11434/v1",
}
NEEDS_KEY = ("openai", "anthropic")
LONGEST_NAME = 200
CONFIGURE = (
    "set HEADRACE_LLM_MODEL (such as openai:gpt-5, anthropic:claude-opus-5 or ollama:llama3) and what it needs of "
    "OPENAI_API_KEY, OPENAI_BASE_URL, ANTHROPIC_API_KEY, ANTHROPIC_BASE_URL and OLLAMA_BASE_URL, "
    "or use a credential of type llm"
)


class NoModel(NodeError):
    """There is no model to ask: none is named, or the server has no key for it. The message says what to set."""

    def __init__(self, message: str) -> None:
        super().__init__(message, permanent=True)


class WrongModel(NodeError):
    """The name of a model that cannot be: of no provider that there is, or of another one than the credential's."""

    def __init__(self, message: str) -> None:
        super().__init__(message, permanent=True)


class ModelFailed(NodeError):
    """The model gave no answer; `permanent` says that it would give none if it was asked again."""


@dataclass(frozen=True, slots=True)
class Models:
    """What a process knows of models: its settings, by provider. `default` is the model of who names none.

    `timeout` is in seconds: for a whole answer, or with `stream`, for the next piece of it.
    """

    default: str = ""
    keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    base_urls: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 120.0
    stream: bool = True

    @classmethod
    def of(cls, config: Config) -> Models:
        """Those of a server with these settings."""
        return cls(
            config.llm_model,
            {"openai": config.openai_api_key, "anthropic": config.anthropic_api_key},
            {
                "openai": config.openai_base_url,
                "anthropic": config.anthropic_base_url,
                "ollama": config.ollama_base_url,
            },
            config.llm_timeout,
            config.llm_stream,
        )


@dataclass(frozen=True, slots=True)
class Choice:
    """One model: where it is asked, and with which key, if any.

    `trusted` says that the address is the server's own setting, so that the egress rule does not have to permit it.
    """

    provider: str
    model: str
    base_url: str = ""
    key: str = field(default="", repr=False)
    trusted: bool = False

    @property
    def name(self) -> str:
        """As it is written: `openai:gpt-5`."""
        return self.provider if self.provider == TEST else f"{self.provider}:{self.model}"

    @property
    def host(self) -> str:
        """The host that is asked; none for the model for tests."""
        return urlsplit(self.base_url).hostname or ""


@dataclass(frozen=True, slots=True)
class Access:
    """How a model is reached: whom to believe, and for a host and port, the addresses that may be connected to.

    `addresses` raises NodeError where there are none; without it, all may. `clean` takes secrets out of what a server
    says of an error.
    """

    tls: SSLContext
    addresses: Callable[[str, int], list[str]] | None = None
    clean: Callable[[str], str] = str


def resolve(
    models: Models, name: str | None = None, credential: Mapping[str, Any] | None = None, label: str = ""
) -> Choice:
    """The model of this name, or else the credential's or the server's own.

    `credential` has the values of one of type `llm`, and `label` is its name, for messages. Raises NoModel, WrongModel.
    """
    if credential is not None:
        return _of_credential(models, name, credential, label)
    if not (name or models.default):
        raise NoModel(f"No model is configured: {CONFIGURE}")
    provider, model = _parts(name or models.default)
    if provider == TEST:
        return Choice(TEST, model)
    base_url, key = models.base_urls.get(provider, ""), models.keys.get(provider, "")
    if provider in NEEDS_KEY and not (base_url or key):
        setting = f"{provider.upper()}_API_KEY"
        raise NoModel(f"There is no key for {provider}:{model}: set {setting}, or use a credential of type llm")
    return Choice(provider, model, _address(provider, base_url), key, trusted=True)


def _of_credential(models: Models, name: str | None, data: Mapping[str, Any], label: str) -> Choice:
    if name == TEST:
        return Choice(TEST, TEST)
    provider = data["provider"]
    base_url, key = data.get("base_url") or "", data.get("api_key") or ""
    named = name or data.get("model") or _default_of(models, provider)
    if not named:
        raise NoModel(f"The credential {label!r} names no model, nor does who uses it: name one, such as openai:gpt-5")
    before, _, after = named.partition(":")
    if before in OWN and before != provider:
        raise WrongModel(f"the model {named!r} cannot be asked with the credential {label!r}, which is for {provider}")
    model = after if before == provider else named
    if not _is_name(model):
        raise WrongModel(f"the model {named[:LONGEST_NAME]!r} is not named as {provider}:name")
    if provider in NEEDS_KEY and not (base_url or key):
        raise NoModel(f"The credential {label!r} has no api_key, which {provider} asks for")
    return Choice(provider, model, _address(provider, base_url), key)


def _default_of(models: Models, provider: str) -> str:
    """The server's own model where it is of this provider."""
    return models.default if models.default.startswith(f"{provider}:") else ""


def _parts(name: str) -> tuple[str, str]:
    if name == TEST:
        return TEST, TEST
    provider, _, model = name.partition(":")
    if provider not in OWN or not _is_name(model):
        raise WrongModel(
            f"the model {name[:LONGEST_NAME]!r} is not named as provider:name; providers are {', '.join(OWN)}; "
            f"and {TEST} is a model by itself"
        )
    return provider, model


def _is_name(model: str) -> bool:
    return 0 < len(model) <= LONGEST_NAME and model.isprintable() and " " not in model


def _address(provider: str, base_url: str) -> str:
    """Where the provider's library is to begin. People write it with and without the version's part."""
    base_url = (base_url or OWN[provider]).rstrip("/")
    if provider == "anthropic":
        return base_url.removesuffix("/v1")
    return base_url if provider == "openai" or urlsplit(base_url).path else f"{base_url}/v1"


def list_url(choice: Choice) -> str:
    """Where a provider lists its models."""
    return f"{choice.base_url}/v1/models?limit=1000" if choice.provider == "anthropic" else f"{choice.base_url}/models"


def open_model(
    choice: Choice,
    models: Models,
    access: Access,
    end: float,
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] | None = None,
) -> AbstractAsyncContextManager[Any]:
    """A context that gives a model of Pydantic AI, connected; it is for one event loop, and one request at a time.

    Its requests end at `end`, on the clock `now`, at the latest. What fails and may pass is tried again, after a
    `sleep`; what fails for good is a ModelFailed.
    """
    from .model_client import opened  # loads the libraries

    return opened(choice, models, access, end, now, sleep)


def cost_of(response: Any) -> float | None:
    """What an answer of a model cost, in US dollars, by the prices that come with the library; None if it has none."""
    if not response.model_name:
        return None
    try:
        return float(response.cost().total_price)
    except (LookupError, ValueError):
        return None
