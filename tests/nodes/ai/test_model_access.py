"""How nodes come to a language model: which one, by whose key, where it may be; and how a key is tried out."""

import asyncio
import time
from contextlib import closing

import pytest
from llm_server import LlmServer, say
from marshmallow import ValidationError
from pydantic_ai.messages import ModelRequest, UserPromptPart
from pydantic_ai.models import ModelRequestParameters

from agent import open_model
from agent.model_choice import Choice, ModelFailed, Models, NoModel
from errors import NodeError
from net.egress import Client, Rule
from nodes.ai.model_access import VERSION, choose, model_access
from nodes.credentials.checks import CHECKS
from nodes.credentials.types import TYPES

HERE, NOWHERE = Rule(["127.0.0.1"]), Rule([])
KEY, OTHER = "sk-test-0123456789abcdef", "sk-of-the-server-0123456789"


def said_by(choice, models, ctx):
    """What the model says, asked as a node would."""

    async def asked():
        async with open_model(choice, models, model_access(ctx, choice), time.monotonic() + 20) as model:
            messages = [ModelRequest([UserPromptPart("Hello?")])]
            return (await model.request(messages, None, ModelRequestParameters())).text

    return asyncio.run(asked())


def mine(server, provider="openai", **more):
    url = server.anthropic_url if provider == "anthropic" else server.openai_url
    return {"mine": ("llm", {"provider": provider, "base_url": url, "api_key": KEY, **more})}


# Being asked


def test_the_server_s_own_model_may_be_where_the_rule_lets_nobody_go(make_ctx):
    with LlmServer([say("hello")], api_key=OTHER) as server:
        models = Models("openai:own", {"openai": OTHER}, {"openai": server.openai_url})
        ctx, _ = make_ctx(rule=NOWHERE)
        assert said_by(choose(ctx, models), models, ctx) == "hello"
    assert OTHER not in ctx.clean(f"the key is {OTHER}")


def test_the_address_of_a_credential_obeys_the_rule(make_ctx):
    with LlmServer([say("hello")], api_key=KEY) as server:
        models = Models("openai:own", {"openai": OTHER}, {"openai": server.openai_url})
        ctx, _ = make_ctx(rule=NOWHERE, credentials=mine(server))
        with pytest.raises(ModelFailed, match="127.0.0.1 is at an address that may not be reached") as caught:
            said_by(choose(ctx, models, credential="mine"), models, ctx)
        assert caught.value.permanent and not server.requests
        ctx, _ = make_ctx(credentials=mine(server))
        assert said_by(choose(ctx, models, credential="mine"), models, ctx) == "hello"
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in ctx.clean(f"the key is {KEY}")


def test_a_name_that_leads_to_this_machine_is_no_way_around_the_rule(make_ctx, names):
    names["llm.example"] = ["127.0.0.1"]
    with LlmServer([say("hello")]) as server:
        known = {"mine": ("llm", {"base_url": f"http://llm.example:{server.port}/v1", "model": "m"})}
        ctx, _ = make_ctx(rule=NOWHERE, credentials=known)
        with pytest.raises(ModelFailed, match="llm.example is at an address that may not be reached"):
            said_by(choose(ctx, Models(), credential="mine"), Models(), ctx)
        ctx, _ = make_ctx(rule=Rule(["llm.example"]), credentials=known)
        assert said_by(choose(ctx, Models(), credential="mine"), Models(), ctx) == "hello"


def test_a_credential_goes_to_no_host_that_it_is_not_bound_to(make_ctx):
    data = {"base_url": "http://127.0.0.1:9/v1", "api_key": KEY, "model": "m"}
    ctx, _ = make_ctx(credentials={"mine": ("llm", data, ["api.openai.com"])})
    with pytest.raises(NodeError, match="may not be sent to 127.0.0.1: it is bound to api.openai.com"):
        choose(ctx, Models(), credential="mine")
    assert choose(ctx, Models(), "test", "mine") == Choice("test", "test")


def test_what_cannot_be_chosen_is_told(make_ctx):
    known = {"mine": ("llm", {"api_key": KEY}), "mail": ("smtp", {"host": "smtp.example.com"})}
    ctx, _ = make_ctx(credentials=known)
    with pytest.raises(NoModel, match="HEADRACE_LLM_MODEL"):
        choose(ctx, Models())
    with pytest.raises(NoModel, match="'mine' has no default model"):
        choose(ctx, Models(), credential="mine")
    with pytest.raises(NodeError, match="is for openai"):
        choose(ctx, Models(), "ollama:llama3", "mine")
    with pytest.raises(NodeError, match="must be llm"):
        choose(ctx, Models(), "m", "mail")
    with pytest.raises(NodeError, match="there is no credential 'none'"):
        choose(ctx, Models(), "m", "none")


def test_a_server_is_known_by_its_certificate(make_ctx, authority):
    with LlmServer([say("hello")], tls=authority.server("127.0.0.1")) as server:
        models = Models("openai:own", {}, {"openai": server.openai_url})
        ctx, _ = make_ctx(rule=NOWHERE)
        with pytest.raises(ModelFailed, match="CERTIFICATE_VERIFY_FAILED") as caught:
            said_by(choose(ctx, models), models, ctx)
        assert caught.value.permanent
        ctx, _ = make_ctx(rule=NOWHERE, ca_file=authority.file)
        assert said_by(choose(ctx, models), models, ctx) == "hello"


# Being tried out


@pytest.fixture
def tried(make_ctx):
    """`tried(credentials)` is what comes of trying out the one named `mine`."""

    def outcome(credentials, **context):
        ctx, _ = make_ctx(credentials=credentials, **context)
        return ctx.clean(CHECKS["llm"](ctx.credential("mine"), ctx, {}))

    return outcome


@pytest.mark.parametrize("provider", ["openai", "anthropic", "ollama"])
def test_a_key_is_tried_out_by_a_look_at_the_models(tried, provider):
    with LlmServer(api_key=KEY, models=["big", "small"]) as server:
        assert tried(mine(server, provider)) == "127.0.0.1 has 2 models"
        assert tried(mine(server, provider, model="small")) == "127.0.0.1 has 2 models; small is among them"
        assert tried(mine(server, provider, model="tiny")) == "127.0.0.1 has 2 models; tiny is not among them"
    asked = server.others[0]
    assert asked.path == ("/v1/models?limit=1000" if provider == "anthropic" else "/v1/models")
    assert asked.headers.get("anthropic-version") == (VERSION if provider == "anthropic" else None)
    assert not server.requests


def test_the_version_is_the_one_of_the_library():
    from anthropic._constants import ANTHROPIC_API_VERSION  # takes seconds

    assert VERSION == ANTHROPIC_API_VERSION


def test_a_wrong_key_is_told_without_telling_it(make_ctx):
    with LlmServer(api_key="another") as server:
        ctx, _ = make_ctx(credentials=mine(server))
        with pytest.raises(NodeError, match="127.0.0.1 answered 401: ") as caught:
            CHECKS["llm"](ctx.credential("mine"), ctx, {})
    assert caught.value.permanent and KEY not in caught.value.message and "***" in caught.value.message


@pytest.mark.parametrize(
    ("data", "rule", "said"),
    [
        ({"provider": "openai"}, HERE, "has no api_key"),
        ({"provider": "ollama"}, NOWHERE, "localhost is at an address that may not be reached"),
        ({"base_url": "http://127.0.0.1:9/v1"}, NOWHERE, "127.0.0.1 is at an address that may not be reached"),
        ({"base_url": "http://127.0.0.1:9/v1"}, HERE, "refused"),
    ],
)
def test_what_is_not_to_be_had_is_told(tried, data, rule, said):
    with closing(Client(rule)) as client, pytest.raises(NodeError, match=said):
        tried({"mine": ("llm", data)}, http=client)


def test_a_key_is_not_tried_out_at_another_host(tried):
    with LlmServer() as server:
        known = {"mine": ("llm", {"base_url": server.openai_url, "api_key": KEY}, ["api.openai.com"])}
        with pytest.raises(NodeError, match="it is bound to api.openai.com"):
            tried(known)
        assert not server.others


def test_what_lists_no_models_is_told(tried, httpserver):
    def said(text, code=200):
        httpserver.clear()
        httpserver.expect_request("/v1/models").respond_with_data(text, code, content_type="application/json")
        with pytest.raises(NodeError) as caught:
            tried({"mine": ("llm", {"base_url": httpserver.url_for("/v1").replace("localhost", "127.0.0.1")})})
        return caught.value

    assert "does not list models" in said('{"models": 3}').message and "does not list models" in said("[]").message
    assert "not JSON" in said("<html>").message
    busy = said('{"error": {"message": "later"}}', 503)
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
def test_a_credential_that_cannot_be_is_refused(data):
    with pytest.raises(ValidationError):
        TYPES["llm"].load(data)
