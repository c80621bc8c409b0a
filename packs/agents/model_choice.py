"""The choice of a language model with its address and key, the type of credential, and the egress rule.

A model is named `provider:name`, such as openai:gpt-5. Address and key come either from the server's settings or
from a credential of type `llm`, never mixed: a key is sent only to the address it was configured for.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

import orjson
from marshmallow import validate

from errors import NodeError
from net.egress import RequestOptions
from nodes.base import Context
from nodes.credentials.base import CredentialType, check_ascii, check_url, host_of, secret, text
from nodes.credentials.keyring import DecryptedCredential
from nodes.credentials.types import checks
from nodes.fields import choice
from nodes.http.body import ERROR_BYTES, is_permanent, parse_json, quote_body
from parsers.json_schema import issues_of

if TYPE_CHECKING:
    from ssl import SSLContext

    from config import Config


TEST = "test"
# Default address of each provider.
OWN = {
    "openai": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com",
    "ollama": "http://localhost:11434/v1",
}
NEEDS_KEY = ("openai", "anthropic")
# The model of a key for which none is named: inexpensive, since nobody has chosen it.
DEFAULT_MODELS = {"openai": "gpt-6-luna", "anthropic": "claude-haiku-5-5"}
ANTHROPIC_VERSION = "2026-10-21"  # of its API
MAX_NAME = 200
CONFIGURE = (
    "No language model is set up: add a credential of the type Language model (llm) with the key of a provider to this "
    "workspace, or start the server with OPENAI_API_KEY, ANTHROPIC_API_KEY or HEADRACE_LLM_MODEL (ollama:llama3.2)."
)
SEVERAL = (
    "This workspace has several credentials of the type Language model (llm): name one of them in the agent's "
    "credential, or with the task."
)


class NoModel(NodeError):
    """No model is configured, or the server has no key for it. The message says what to set."""


class ModelFailed(NodeError):
    """The model gave no answer; `permanent` if a retry cannot help."""


@dataclass(frozen=True, slots=True)
class Models:
    """Model settings of a process, by provider. `default` is the model used if none is named.

    `timeout` is in seconds: for a whole answer, or with `stream` for its next piece.
    """

    default: str = ""
    keys: Mapping[str, str] = field(default_factory=dict, repr=False)
    base_urls: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 120.0
    stream: bool = True

    @classmethod
    def of(cls, config: Config) -> Models:
        """Return the models of a server with these settings."""
        keys = {"openai": config.openai_api_key, "anthropic": config.anthropic_api_key}
        urls = {"openai": config.openai_base_url, "anthropic": config.anthropic_base_url}
        urls["ollama"] = config.ollama_base_url
        return cls(config.llm_model, keys, urls, config.llm_timeout, config.llm_stream)

    def has_access(self, provider: str) -> bool:
        """Return True if there is a key or an address of the provider."""
        return bool(self.keys.get(provider) or self.base_urls.get(provider))

    def find_default(self) -> str:
        """Return the model that is used if none is named: the one that is set, or of a provider that has a key."""
        known = (f"{provider}:{model}" for provider, model in DEFAULT_MODELS.items() if self.has_access(provider))
        return self.default or next(known, "")


@dataclass(frozen=True, slots=True)
class Choice:
    """One model: its address, and its key, if any.

    `trusted`: the address comes from the server's settings, so it is exempt from the egress rule.
    """

    provider: str
    model: str
    base_url: str = ""
    key: str = field(default="", repr=False)
    trusted: bool = False

    @property
    def name(self) -> str:
        """Return the full name: `openai:gpt-5`."""
        return self.provider if self.provider == TEST else f"{self.provider}:{self.model}"

    @property
    def host(self) -> str:
        """Return the host; empty for the test model."""
        return urlsplit(self.base_url).hostname or ""


class ModelAccess(NamedTuple):
    """Network access to a model: the TLS context, and the permitted addresses of a host and port (None: all).

    `addresses` raises NodeError if there are none. `clean` redacts a server's error message.
    """

    tls: SSLContext
    addresses: Callable[[str, int], list[str]] | None = None
    clean: Callable[[str], str] = str


def find_credential(models: Models, name: str | None, find_names: Callable[[], Sequence[str]]) -> str | None:
    """Return the name of the credential for a model for which none is named; None: use the server's settings.

    It is the only credential of type `llm` of the workspace, unless the settings say which model to use, or have access
    to the named one. `find_names()` returns the names of such credentials, at least two if there are several.

    Raises: NoModel if there are several, and no settings.
    """
    named = name or models.default
    provider = named.partition(":")[0]
    if named and (provider not in NEEDS_KEY or models.has_access(provider)):
        return None
    names = find_names()
    if len(names) > 1 and not models.find_default():
        raise NoModel(SEVERAL, permanent=True)
    return names[0] if len(names) == 1 else None


def resolve(
    models: Models, name: str | None = None, credential: Mapping[str, Any] | None = None, label: str = ""
) -> Choice:
    """Return the model of this name, or by default the credential's or the server's.

    `credential` has the values of a credential of type `llm`, `label` is its name for messages.

    Raises: NoModel; NodeError for an invalid name: its provider is unknown, or differs from the credential's.
    """
    if credential is not None:
        return _of_credential(models, name, credential, label)
    name = name or models.find_default()
    if not name:
        raise NoModel(CONFIGURE, permanent=True)
    if name == TEST:
        return Choice(TEST, TEST)
    provider, _, model = name.partition(":")
    if provider not in OWN or not _is_name(model):
        text = f"must be named provider:name, with one of the providers {', '.join(OWN)}; or {TEST} for the test model"
        raise NodeError(f"the model {name[:MAX_NAME]!r} {text}", permanent=True)
    base_url, key = models.base_urls.get(provider, ""), models.keys.get(provider, "")
    if provider in NEEDS_KEY and not models.has_access(provider):
        setting = f"{provider.upper()}_API_KEY"
        raise NoModel(f"there is no key for {provider}:{model}: set {setting}, or use a credential of type llm", True)
    return Choice(provider, model, _address(provider, base_url), key, trusted=True)


def _of_credential(models: Models, name: str | None, data: Mapping[str, Any], label: str) -> Choice:
    if name == TEST:
        return Choice(TEST, TEST)
    provider = data["provider"]
    base_url, key = data.get("base_url") or "", data.get("api_key") or ""
    default = models.default if models.default.startswith(f"{provider}:") else ""
    named = name or data.get("model") or default or DEFAULT_MODELS.get(provider)
    if not named:
        text = f"the credential {label!r} has no default model: set it in the credential, such as llama3.2"
        raise NoModel(text, permanent=True)
    before, _, after = named.partition(":")
    if before in OWN and before != provider:
        text = f"the credential {label!r} is for {provider}, so it cannot be used with the model {named!r}"
        raise NodeError(text, permanent=True)
    model = after if before == provider else named
    if not _is_name(model):
        raise NodeError(f"the model {named[:MAX_NAME]!r} must be named {provider}:name", permanent=True)
    if provider in NEEDS_KEY and not (base_url or key):
        raise NoModel(f"the credential {label!r} has no api_key, which {provider} requires", permanent=True)
    return Choice(provider, model, _address(provider, base_url), key)


def _is_name(model: str) -> bool:
    return 0 < len(model) <= MAX_NAME and model.isprintable() and " " not in model


def _address(provider: str, base_url: str) -> str:
    """Return the base URL for the provider's library. Users write it with and without the version."""
    base_url = (base_url or OWN[provider]).rstrip("/")
    if provider == "anthropic":
        return base_url.removesuffix("/v1")
    return base_url if provider == "openai" or urlsplit(base_url).path else f"{base_url}/v1"


def list_url(choice: Choice) -> str:
    """Return the URL of the provider's list of models."""
    return f"{choice.base_url}/v1/models?limit=1000" if choice.provider == "anthropic" else f"{choice.base_url}/models"


def cost_of(response: Any) -> float | None:
    """Return the cost of an answer in US dollars by the library's price list; None if the model is not in it."""
    if not response.model_name:
        return None
    try:
        return float(response.cost().total_price)
    except (LookupError, ValueError):
        return None


ANY_MODEL = "any"
FREE_PROVIDERS = (TEST, "ollama")
MAX_ISSUE = 500  # characters
GRACE = 2.0  # seconds, to tell correctly whether the run or the model timed out


def choose(ctx: Context, models: Models, name: str | None = None, credential: str | None = None) -> Choice:
    """Return the model of this name, or by default the credential's or the server's.

    Its key is redacted in the run. Raises: NodeError; NoModel if no model is configured.
    """
    found = ctx.credential(credential, "llm") if credential else None
    choice = resolve(models, name, found.data if found else None, found.name if found else "")
    if found is not None and choice.provider != TEST:
        found.check_host(choice.host)
    ctx.hide(choice.key)
    return choice


def model_access(ctx: Context, choice: Choice) -> ModelAccess:
    """Return the network access for `open_model`: only the server's own address is exempt from the egress rule."""
    services = ctx.need_services()
    return ModelAccess(services.tls("llm"), None if choice.trusted else services.egress.addresses, ctx.clean)


def price_of(choice: Choice) -> Callable[[Any], float | None]:
    """Return a function for the price of an answer in US dollars; None if it is unknown."""
    return (lambda response: 0.0) if choice.provider in FREE_PROVIDERS else cost_of


def find_issues(ctx: Context, schema: Mapping[str, Any], data: Any) -> list[str]:
    """Return the issues of an answer as redacted text for the model."""
    try:
        to_json(data)
        found = issues_of(schema, data, ctx.clean, ctx.workspace_id)
        return [f"{issue['path'] or 'the answer'}: {issue['message']}"[:MAX_ISSUE] for issue in found]
    except NodeError as error:
        return [error.message[:MAX_ISSUE]]


def to_json(value: Any) -> bytes:
    """Return the value as JSON for the record. Raises: NodeError if it is not JSON."""
    try:
        written = json.dumps(value, ensure_ascii=False, allow_nan=False, default=str).encode("utf-8", "replace")
        # Values that orjson reads differently, such as numbers beyond 64 bits, must be the same from here on.
        return orjson.dumps(orjson.loads(written))
    except (TypeError, ValueError, RecursionError) as error:
        raise NodeError(f"the value is not JSON: {error}", permanent=True) from None


def redact(ctx: Context, value: Any) -> Any:
    """Return the value as JSON without secrets, for the model and the record."""
    written = to_json(value)
    return orjson.loads(written if ctx.keyring is None else ctx.keyring.clean(written))


@checks("llm")
def check(found: DecryptedCredential, ctx: Context, asked: Mapping[str, Any]) -> str:
    """Request the list of models, which is free."""
    given = found.data.get("model")
    choice = resolve(Models(), given or ANY_MODEL, found.data, found.name)
    found.check_host(choice.host)
    names = list_models(choice, ctx)
    known = f"{choice.host} has {len(names)} model{'' if len(names) == 1 else 's'}"
    if given is None:
        return known
    return f"{known}; {choice.model} is {'' if choice.model in names else 'not '}among them"


def list_models(choice: Choice, ctx: Context) -> set[str]:
    """Return the names of a provider's models. Raises: NodeError if it does not list them."""
    headers = [("Accept", "application/json")]
    if choice.key:
        headers.append(("Authorization", f"Bearer {choice.key}"))
    if choice.provider == "anthropic":
        headers.append(("anthropic-version", ANTHROPIC_VERSION))
    http, seconds, options = ctx.need_services().http(), ctx.seconds_left(15), RequestOptions(error_bytes=ERROR_BYTES)
    answer = http.fetch(
        "GET", list_url(choice), seconds=seconds, headers=headers, follow_redirects=False, options=options
    )
    if not 200 <= answer.status < 300:
        said = quote_body(answer, ctx.clean)
        raise NodeError(
            f"{choice.host} answered {answer.status}" + (f": {said}" if said else ""), is_permanent(answer.status)
        )
    body = parse_json(answer)
    listed = body.get("data") if isinstance(body, dict) else None
    if not isinstance(listed, list):
        raise NodeError(f"{choice.host} does not list models: the response has no data", permanent=True)
    return {str(entry.get("id")) for entry in listed if isinstance(entry, dict)}


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
