"""The language model of a node: its choice, API key and permitted addresses; and the check of a credential."""

import asyncio
import time
from contextlib import closing

import pytest
from llm_server import LlmServer, say
from marshmallow import ValidationError
from pydantic_ai.messages import ModelRequest, UserPromptPart
from pydantic_ai.models import ModelRequestParameters

from errors import NodeError
from net.egress import HttpClient, Rule
from nodes.credentials.types import CHECKS, TYPES
from packs.agents.model_choice import ANTHROPIC_VERSION, Choice, ModelFailed, Models, NoModel, choose, model_access
from packs.agents.runtime.model_client import open_model

ALLOWS_LOCALHOST, ALLOWS_NOTHING = Rule(["127.0.0.1"]), Rule([])
KEY, SERVER_KEY = "sk-test-0123456789abcdef", "sk-of-the-server-0123456789"


def ask_model(choice, models, ctx):
    """Return the answer of the model, called as a node calls it."""

    async def ask():
        async with open_model(choice, models, model_access(ctx, choice), time.monotonic() + 20) as model:
            messages = [ModelRequest([UserPromptPart("Hello?")])]
            return (await model.request(messages, None, ModelRequestParameters())).text

    return asyncio.run(ask())


def make_credentials(server, provider="openai", **more):
    url = server.anthropic_url if provider == "anthropic" else server.openai_url
    return {"mine": ("llm", {"provider": provider, "base_url": url, "api_key": KEY, **more})}


# Access to a model


def test_the_egress_rule_does_not_apply_to_the_default_model(make_ctx):
    with LlmServer([say("hello")], api_key=SERVER_KEY) as server:
        models = Models("openai:own", {"openai": SERVER_KEY}, {"openai": server.openai_url})
        ctx, _ = make_ctx(rule=ALLOWS_NOTHING)
        assert ask_model(choose(ctx, models), models, ctx) == "hello"
    assert SERVER_KEY not in ctx.clean(f"the key is {SERVER_KEY}")


def test_the_egress_rule_applies_to_the_address_of_a_credential(make_ctx):
    with LlmServer([say("hello")], api_key=KEY) as server:
        models = Models("openai:own", {"openai": SERVER_KEY}, {"openai": server.openai_url})
        ctx, _ = make_ctx(rule=ALLOWS_NOTHING, credentials=make_credentials(server))
        with pytest.raises(ModelFailed, match="127.0.0.1 is at an address that may not be reached") as caught:
            ask_model(choose(ctx, models, credential="mine"), models, ctx)
        assert caught.value.permanent and not server.requests
        ctx, _ = make_ctx(credentials=make_credentials(server))
        assert ask_model(choose(ctx, models, credential="mine"), models, ctx) == "hello"
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in ctx.clean(f"the key is {KEY}")


def test_a_host_name_of_a_loopback_address_does_not_bypass_the_egress_rule(make_ctx, names):
    names["llm.example"] = ["127.0.0.1"]
    with LlmServer([say("hello")]) as server:
        credentials = {"mine": ("llm", {"base_url": f"http://llm.example:{server.port}/v1", "model": "m"})}
        ctx, _ = make_ctx(rule=ALLOWS_NOTHING, credentials=credentials)
        with pytest.raises(ModelFailed, match="llm.example is at an address that may not be reached"):
            ask_model(choose(ctx, Models(), credential="mine"), Models(), ctx)
        ctx, _ = make_ctx(rule=Rule(["llm.example"]), credentials=credentials)
        assert ask_model(choose(ctx, Models(), credential="mine"), Models(), ctx) == "hello"


def test_a_credential_is_not_sent_to_a_host_outside_its_binding(make_ctx):
    data = {"base_url": "http://127.0.0.1:9/v1", "api_key": KEY, "model": "m"}
    ctx, _ = make_ctx(credentials={"mine": ("llm", data, ["api.openai.com"])})
    with pytest.raises(NodeError, match="may not be sent to 127.0.0.1: it is bound to api.openai.com"):
        choose(ctx, Models(), credential="mine")
    assert choose(ctx, Models(), "test", "mine") == Choice("test", "test")


def test_the_error_says_why_no_model_can_be_chosen(make_ctx):
    credentials = {"mine": ("llm", {"provider": "ollama"}), "mail": ("smtp", {"host": "smtp.example.com"})}
    ctx, _ = make_ctx(credentials=credentials)
    with pytest.raises(NoModel, match="HEADRACE_LLM_MODEL"):
        choose(ctx, Models())
    with pytest.raises(NoModel, match="'mine' has no default model"):
        choose(ctx, Models(), credential="mine")
    with pytest.raises(NodeError, match="is for ollama"):
        choose(ctx, Models(), "openai:gpt-5", "mine")
    with pytest.raises(NodeError, match="must be llm"):
        choose(ctx, Models(), "m", "mail")
    with pytest.raises(NodeError, match="there is no credential 'none'"):
        choose(ctx, Models(), "m", "none")


def test_the_certificate_of_the_model_server_is_verified(make_ctx, authority):
    with LlmServer([say("hello")], tls=authority.server("127.0.0.1")) as server:
        models = Models("openai:own", {}, {"openai": server.openai_url})
        ctx, _ = make_ctx(rule=ALLOWS_NOTHING)
        with pytest.raises(ModelFailed, match="CERTIFICATE_VERIFY_FAILED") as caught:
            ask_model(choose(ctx, models), models, ctx)
        assert caught.value.permanent
        ctx, _ = make_ctx(rule=ALLOWS_NOTHING, ca_file=authority.file)
        assert ask_model(choose(ctx, models), models, ctx) == "hello"


# The check of a credential


@pytest.fixture
def check(make_ctx):
    """`check(credentials)` returns the result of checking the credential named `mine`."""

    def execute(credentials, **context):
        ctx, _ = make_ctx(credentials=credentials, **context)
        return ctx.clean(CHECKS["llm"](ctx.credential("mine"), ctx, {}))

    return execute


@pytest.mark.parametrize("provider", ["openai", "anthropic", "ollama"])
def test_a_credential_check_lists_the_models(check, provider):
    with LlmServer(api_key=KEY, models=["big", "small"]) as server:
        assert check(make_credentials(server, provider)) == "127.0.0.1 has 2 models"
        assert check(make_credentials(server, provider, model="small")) == "127.0.0.1 has 2 models; small is among them"
        assert (
            check(make_credentials(server, provider, model="tiny")) == "127.0.0.1 has 2 models; tiny is not among them"
        )
    request = server.others[0]
    assert request.path == ("/v1/models?limit=1000" if provider == "anthropic" else "/v1/models")
    assert request.headers.get("anthropic-version") == (ANTHROPIC_VERSION if provider == "anthropic" else None)
    assert not server.requests


def test_the_error_for_a_wrong_key_does_not_contain_it(make_ctx):
    with LlmServer(api_key="another") as server:
        ctx, _ = make_ctx(credentials=make_credentials(server))
        with pytest.raises(NodeError, match="127.0.0.1 answered 401: ") as caught:
            CHECKS["llm"](ctx.credential("mine"), ctx, {})
    assert caught.value.permanent and KEY not in caught.value.message and "***" in caught.value.message


@pytest.mark.parametrize(
    ("data", "rule", "reason"),
    [
        ({"provider": "openai"}, ALLOWS_LOCALHOST, "has no api_key"),
        ({"provider": "ollama"}, ALLOWS_NOTHING, "localhost is at an address that may not be reached"),
        ({"base_url": "http://127.0.0.1:9/v1"}, ALLOWS_NOTHING, "127.0.0.1 is at an address that may not be reached"),
        ({"base_url": "http://127.0.0.1:9/v1"}, ALLOWS_LOCALHOST, "refused"),
    ],
)
def test_the_check_reports_why_the_models_cannot_be_listed(check, data, rule, reason):
    with closing(HttpClient(rule)) as client, pytest.raises(NodeError, match=reason):
        check({"mine": ("llm", data)}, http=client)


def test_a_check_does_not_send_the_key_to_a_host_outside_its_binding(check):
    with LlmServer() as server:
        credentials = {"mine": ("llm", {"base_url": server.openai_url, "api_key": KEY}, ["api.openai.com"])}
        with pytest.raises(NodeError, match="it is bound to api.openai.com"):
            check(credentials)
        assert not server.others


def test_the_check_rejects_an_answer_that_is_not_a_list_of_models(check, httpserver):
    def check_answer(text, code=200):
        httpserver.clear()
        httpserver.expect_request("/v1/models").respond_with_data(text, code, content_type="application/json")
        with pytest.raises(NodeError) as caught:
            check({"mine": ("llm", {"base_url": httpserver.url_for("/v1").replace("localhost", "127.0.0.1")})})
        return caught.value

    assert "does not list models" in check_answer('{"models": 3}').message
    assert "does not list models" in check_answer("[]").message
    assert "not JSON" in check_answer("<html>").message
    busy = check_answer('{"error": {"message": "later"}}', 503)
    assert "answered 503" in busy.message and "later" in busy.message and not busy.permanent


@pytest.mark.parametrize(
    "data",
    [
        {"provider": "mistral"},
        {"base_url": "llm.example.com"},
        {"base_url": "https://llm.example.com/v1?key=1"},
        {"base_url": "https://llm.example.com/v1#x"},
        {"base_url": "https://user:password@llm.example.com"},
        {"api_key": "schlüssel"},
        {"api_key": "a\r\nb"},
        {"model": "gpt 5"},
        {"model": ""},
    ],
)
def test_an_invalid_credential_is_rejected(data):
    with pytest.raises(ValidationError):
        TYPES["llm"].load(data)
