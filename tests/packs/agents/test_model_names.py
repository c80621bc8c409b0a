"""The choice of a model by its name, the settings and the credential."""

# ruff: noqa: F811

import math

import pytest
from llm_server import LlmServer, say
from pydantic_ai.messages import ModelResponse
from pydantic_ai.usage import RequestUsage
from test_model_choice import (
    ask,  # noqa: F401  (fixtures)
    chosen,
)
from world import start_python

import packs.agents.runtime.model_client  # noqa: F401 - this takes seconds, which no test should measure
from config import Config
from errors import NodeError
from packs.agents.model_choice import DEFAULT_MODELS, Choice, Models, NoModel, cost_of, find_credential, resolve

# Choice


SETTINGS = Models(
    "openai:gpt-5",
    {"openai": "sk-openai", "anthropic": "sk-anthropic"},
    {"openai": "", "anthropic": "", "ollama": ""},
)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (None, Choice("openai", "gpt-5", "https://api.openai.com/v1", "sk-openai", True)),
        ("", Choice("openai", "gpt-5", "https://api.openai.com/v1", "sk-openai", True)),
        ("openai:ft:gpt-4o:org", Choice("openai", "ft:gpt-4o:org", "https://api.openai.com/v1", "sk-openai", True)),
        (
            "anthropic:claude-opus-5",
            Choice("anthropic", "claude-opus-5", "https://api.anthropic.com", "sk-anthropic", True),
        ),
        ("ollama:llama3:8b", Choice("ollama", "llama3:8b", "http://localhost:11434/v1", "", True)),
        ("test", Choice("test", "test")),
    ],
)
def test_a_model_is_found_by_its_name(name, expected):
    assert resolve(SETTINGS, name) == expected
    assert resolve(SETTINGS, name).name == (name or "openai:gpt-5")


@pytest.mark.parametrize(
    ("provider", "base_url", "expected"),
    [
        ("openai", "http://llm:8000/v1/", "http://llm:8000/v1"),
        ("openai", "http://llm:8000", "http://llm:8000"),
        ("anthropic", "http://llm:8000/v1", "http://llm:8000"),
        ("anthropic", "http://llm:8000/", "http://llm:8000"),
        ("ollama", "http://llm:11434", "http://llm:11434/v1"),
        ("ollama", "http://llm:11434/v1/", "http://llm:11434/v1"),
    ],
)
def test_a_server_at_another_address_needs_no_key(provider, base_url, expected):
    choice = resolve(Models(base_urls={provider: base_url}), f"{provider}:m")
    assert choice == Choice(provider, "m", expected, "", True)
    data = {"provider": provider, "base_url": base_url}
    assert resolve(Models(), "m", data) == Choice(provider, "m", expected, "", False)


def test_without_a_model_the_error_names_the_settings():
    with pytest.raises(NoModel) as caught:
        resolve(Models())
    names = ("HEADRACE_LLM_MODEL", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "Language model (llm)")
    assert caught.value.permanent and all(name in caught.value.message for name in names)
    assert caught.value.message.count(". ") == 0 and caught.value.message.endswith(".")


@pytest.mark.parametrize(("provider", "setting"), [("openai", "OPENAI_API_KEY"), ("anthropic", "ANTHROPIC_API_KEY")])
def test_without_a_key_the_error_names_its_setting(provider, setting):
    with pytest.raises(NoModel, match=f"no key for {provider}:m: set {setting}"):
        resolve(Models(keys={"ollama": "k"}), f"{provider}:m")
    with pytest.raises(NoModel, match=f"the credential 'mine' has no api_key, which {provider} requires"):
        resolve(SETTINGS, f"{provider}:m", {"provider": provider}, "mine")


@pytest.mark.parametrize(
    "name", ["gpt-5", "mistral:large", "openai:", "openai: gpt", "openai:a\nb", "test:x", "x" * 900]
)
def test_a_name_without_a_known_provider_is_rejected_with_the_providers(name):
    with pytest.raises(NodeError, match="one of the providers openai, anthropic, ollama") as caught:
        resolve(SETTINGS, name)
    assert len(caught.value.message) < 400 and caught.value.message.isprintable()


MINE = {"provider": "openai", "api_key": "sk-mine"}


@pytest.mark.parametrize(
    ("name", "credential", "expected"),
    [
        ("gpt-x", MINE, Choice("openai", "gpt-x", "https://api.openai.com/v1", "sk-mine")),
        ("openai:gpt-x", MINE, Choice("openai", "gpt-x", "https://api.openai.com/v1", "sk-mine")),
        (None, MINE, Choice("openai", "gpt-5", "https://api.openai.com/v1", "sk-mine")),
        (None, {**MINE, "model": "gpt-y"}, Choice("openai", "gpt-y", "https://api.openai.com/v1", "sk-mine")),
        ("gpt-x", {**MINE, "model": "gpt-y"}, Choice("openai", "gpt-x", "https://api.openai.com/v1", "sk-mine")),
        ("llama3:8b", {"provider": "ollama"}, Choice("ollama", "llama3:8b", "http://localhost:11434/v1")),
        ("test", MINE, Choice("test", "test")),
    ],
)
def test_a_credential_uses_only_its_own_address_and_key(name, credential, expected):
    settings = Models(SETTINGS.default, SETTINGS.keys, {"openai": "http://of.the.server/v1"})
    assert resolve(settings, name, credential, "mine") == expected


def test_a_credential_is_for_its_own_provider():
    with pytest.raises(NodeError, match="so it cannot be used with the model 'anthropic:claude-opus-5'"):
        resolve(SETTINGS, "anthropic:claude-opus-5", MINE, "mine")
    with pytest.raises(NoModel, match="'mine' has no default model"):
        resolve(SETTINGS, None, {"provider": "ollama"}, "mine")
    with pytest.raises(NodeError, match="must be named openai:name"):
        resolve(SETTINGS, "openai:", MINE, "mine")


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        (Models(keys={"openai": "k"}), "openai:gpt-6-luna"),
        (Models(keys={"anthropic": "k"}), "anthropic:claude-haiku-5-5"),
        (Models(keys={"openai": "k", "anthropic": "k"}), "openai:gpt-6-luna"),
        (Models(base_urls={"openai": "http://127.0.0.1:1234/v1"}), "openai:gpt-6-luna"),
        (Models("ollama:llama3.2", keys={"openai": "k"}), "ollama:llama3.2"),
    ],
)
def test_a_key_alone_is_enough_for_a_model(models, expected):
    assert resolve(models).name == expected


@pytest.mark.parametrize("provider", DEFAULT_MODELS)
def test_the_model_of_a_key_alone_has_a_price(provider):
    usage = RequestUsage(input_tokens=1)
    answer = ModelResponse([], usage=usage, model_name=DEFAULT_MODELS[provider], provider_name=provider)
    assert 0 < cost_of(answer) < 1e-5
    assert resolve(Models(), None, {"provider": provider, "api_key": "k"}).model == DEFAULT_MODELS[provider]


@pytest.mark.parametrize(
    ("models", "name", "names", "expected"),
    [
        (Models(), None, ["mine"], "mine"),
        (Models(), None, [], None),
        (Models(keys={"openai": "k"}), None, ["mine"], "mine"),
        (Models(keys={"openai": "k"}), None, ["mine", "yours"], None),
        (Models("ollama:llama3.2"), None, ["mine"], None),
        (Models("openai:m", {"openai": "k"}), None, ["mine"], None),
        (Models("openai:m"), None, ["mine"], "mine"),
        (Models(keys={"openai": "k"}), "openai:m", ["mine"], None),
        (Models(keys={"openai": "k"}), "anthropic:m", ["mine"], "mine"),
        (Models(), "test", ["mine"], None),
        (Models(), "ollama:m", ["mine"], None),
    ],
)
def test_the_only_credential_is_used_unless_the_settings_are_for_the_model(models, name, names, expected):
    assert find_credential(models, name, lambda: names) == expected


def test_of_several_credentials_one_must_be_named():
    with pytest.raises(NoModel, match="has several credentials of the type Language model"):
        find_credential(Models(), None, lambda: ["mine", "yours"])


def test_the_settings_of_a_server_define_its_models():
    environ = {
        "HEADRACE_LLM_MODEL": "anthropic:claude-opus-5",
        "OPENAI_API_KEY": "sk-1",
        "OPENAI_BASE_URL": "http://llm.internal:8000/v1",
        "ANTHROPIC_API_KEY": "sk-2",
        "OLLAMA_BASE_URL": "http://gpu:11434",
        "HEADRACE_LLM_TIMEOUT": "30",
        "HEADRACE_LLM_STREAM": "false",
    }
    models = Models.of(Config.from_env(environ))
    assert (models.timeout, models.stream) == (30, False)
    assert resolve(models) == Choice("anthropic", "claude-opus-5", "https://api.anthropic.com", "sk-2", True)
    assert resolve(models, "openai:x") == Choice("openai", "x", "http://llm.internal:8000/v1", "sk-1", True)
    assert resolve(models, "ollama:x") == Choice("ollama", "x", "http://gpu:11434/v1", "", True)
    assert "sk-" not in repr(models) + repr(resolve(models))


def test_choosing_a_model_loads_no_library():
    process = start_python(
        "import sys, packs.agents.model_choice\nprint(*{name.partition('.')[0] for name in sys.modules})"
    )
    loaded = set(process.communicate(timeout=60)[0].split())
    assert "packs" in loaded and process.returncode == 0
    assert not loaded & {
        "pydantic_ai",
        "openai",
        "anthropic",
        "httpx2",
        "httpcore2",
        "genai_prices",
        "pydantic",
        "net.http_transport",
    }


def test_a_request_without_an_end_is_possible(ask):
    with LlmServer([say("hello")]) as server:
        assert ask(chosen(server), seconds=math.inf).text == "hello"
