"""Language models over real HTTP: requests, retries and errors."""

import asyncio
import gzip
import json
import socket
import threading
import time
from contextlib import contextmanager

import pytest
from llm_server import (
    LlmServer,
    call,
    calls,
    data,
    drop_connection,
    forever,
    huge,
    raw,
    raw_tool_arguments,
    say,
    stall,
    status,
)
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.messages import ModelRequest, ModelResponse, TextPart, UserPromptPart
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.tools import ToolDefinition
from pydantic_ai.usage import RequestUsage

from net.egress import Rule, tls_context
from packs.agents.model_choice import Choice, ModelAccess, ModelFailed, Models, cost_of, resolve
from packs.agents.runtime.model_client import open_model

KEY = "sk-test-0123456789abcdef"
PROVIDERS = ("openai", "anthropic", "ollama")
MODEL = {"openai": "gpt-4o-mini", "anthropic": "claude-opus-5", "ollama": "llama3"}
TOOL = ToolDefinition(
    name="weather",
    description="The weather of a city.",
    parameters_json_schema={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
BOTH = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
EACH = pytest.mark.parametrize("provider", PROVIDERS)


class Weather(BaseModel):
    celsius: int


class Clock:
    """A clock for tests: sleeping moves it at once."""

    def __init__(self):
        self.time, self.slept = 1_000.0, []

    def now(self):
        return self.time

    async def sleep(self, seconds):
        self.slept.append(seconds)
        self.time += seconds


def chosen(server, provider="openai", key=KEY, trusted=True):
    url = server.anthropic_url if provider == "anthropic" else server.openai_url
    return Choice(provider, MODEL[provider], url, key, trusted)


def access(addresses=None, ca_file=None):
    return ModelAccess(tls_context(ca_file, "llm"), addresses)


@contextmanager
def nobody():
    """Yield the URL of a closed port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    yield f"http://127.0.0.1:{port}/v1"


@pytest.fixture
def ask():
    """`ask(choice)` returns a model's answer; `ask.clock` has the pauses."""

    def answer(choice, stream=True, timeout=10.0, seconds=60.0, way=None, tools=(), text="Hello?"):
        clock = answer.clock = Clock()

        async def asked():
            models = Models(timeout=timeout, stream=stream)
            way_there = way or access()
            async with open_model(choice, models, way_there, clock.now() + seconds, clock.now, clock.sleep) as model:
                messages = [ModelRequest([UserPromptPart(text)])]
                return await model.request(messages, None, ModelRequestParameters(function_tools=list(tools)))

        return asyncio.run(asked())

    return answer


@pytest.fixture
def fails(ask):
    """`fails(choice)` returns the error of a model that gives no answer."""

    def failure(choice, **options):
        with pytest.raises(ModelFailed) as caught:
            ask(choice, **options)
        assert KEY not in caught.value.message and caught.value.message.isprintable()
        return caught.value

    return failure


# Answers


@BOTH
@EACH
def test_a_model_answers_with_text(ask, provider, stream):
    with LlmServer([say("Good morning, world.", tokens=(20, 30))], api_key=KEY) as server:
        answer = ask(chosen(server, provider), stream=stream, text="Say hello.")
    (request,) = server.requests
    assert answer.text == "Good morning, world." and answer.finish_reason == "stop"
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (20, 30)
    assert request.body["model"] == MODEL[provider] and "Say hello." in request.text
    assert request.streams == stream


@BOTH
@EACH
def test_a_model_calls_tools(ask, provider, stream):
    turns = [calls([("weather", {"city": "Lübeck"}), ("weather", {"city": "Bonn"})], text="Let me see.")]
    with LlmServer(turns) as server:
        answer = ask(chosen(server, provider), stream=stream, tools=[TOOL])
    assert [part.args_as_dict() for part in answer.tool_calls] == [{"city": "Lübeck"}, {"city": "Bonn"}]
    assert len({part.tool_call_id for part in answer.tool_calls}) == 2 and answer.text == "Let me see."
    assert server.requests[0].tools == ["weather"]


@BOTH
def test_invalid_json_arguments_are_passed_to_the_loop(ask, stream):
    with LlmServer([raw_tool_arguments('{"city": ')]) as server:
        (part,) = ask(chosen(server), stream=stream, tools=[TOOL]).tool_calls
    assert (part.tool_name, part.args) == ("weather", '{"city": ')


@BOTH
@EACH
def test_an_answer_truncated_at_its_limit_says_so(ask, provider, stream):
    with LlmServer([say("Once upon a", finish="length")]) as server:
        assert ask(chosen(server, provider), stream=stream).finish_reason == "length"


@BOTH
@EACH
def test_an_agent_of_the_library_can_use_it(provider, stream):
    turns = [call("weather", {"city": "Bonn"}), data({"celsius": 12})]

    async def run(choice):
        async with open_model(choice, Models(stream=stream), access(), time.monotonic() + 30) as model:
            agent = Agent(model, output_type=Weather)

            @agent.tool_plain
            def weather(city: str) -> str:
                return f"12 degrees in {city}"

            return (await agent.run("How warm is it?")).output

    with LlmServer(turns) as server:
        assert asyncio.run(run(chosen(server, provider))) == Weather(celsius=12)
    assert "12 degrees in Bonn" in server.requests[1].text


def test_the_model_for_tests_needs_no_server(ask):
    assert ask(resolve(Models(default="test"))).text == "success (no tool calls)"
    (part,) = ask(resolve(Models(), "test"), tools=[TOOL]).tool_calls
    assert part.args == {"city": "a"}


@BOTH
def test_tokens_are_estimated_if_the_server_does_not_count_them(ask, stream):
    chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "own"}
    choice = {"index": 0, "finish_reason": "stop"}
    said = {"role": "assistant", "content": "x" * 400}
    if stream:
        body = b"data: " + json.dumps({**chunk, "choices": [{**choice, "delta": said}]}).encode() + b"\n\n"
    else:
        body = json.dumps({**chunk, "object": "chat.completion", "choices": [{**choice, "message": said}]}).encode()
    with LlmServer([raw(body)]) as server:
        answer = ask(chosen(server), stream=stream, text="y" * 4_000)
    assert 100 <= answer.usage.output_tokens < 400 and 1_000 <= answer.usage.input_tokens < 1_300
    assert cost_of(answer) is None


# Requests


@EACH
def test_nothing_from_the_environment_is_sent(ask, provider, monkeypatch):
    for name in ("OPENAI", "ANTHROPIC"):
        monkeypatch.setenv(f"{name}_CUSTOM_HEADERS", "X-Corp: from-the-environment\nAuthorization: Bearer other")
        monkeypatch.setenv(f"{name}_BASE_URL", "http://127.0.0.1:9/other")
        monkeypatch.setenv(f"{name}_API_KEY", "sk-of-the-environment")
    monkeypatch.setenv("OPENAI_ORG_ID", "org-from-the-environment")
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "token-of-the-environment")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with LlmServer(forever(say("hello"))) as server:
        ask(chosen(server, provider))
        ask(chosen(server, provider, key=""))
    with_key, without = (request.headers for request in server.requests)
    assert with_key["authorization"] == f"Bearer {KEY}" and "authorization" not in without
    assert "environment" not in str(with_key) and "x-corp" not in with_key
    expected = {"accept", "accept-encoding", "connection", "content-length", "content-type", "host", "user-agent"}
    assert set(without) - {"anthropic-version", "anthropic-beta"} == expected
    assert (with_key["accept-encoding"], with_key["user-agent"]) == ("identity", "Headrace")


def test_a_redirect_is_not_followed(fails):
    with LlmServer(forever(say("never"))) as other:
        turn = status(307, {"location": f"{other.openai_url}/chat/completions"}, message="gone there")
        with LlmServer([turn]) as server:
            error = fails(chosen(server))
    assert error.permanent and "answered 307" in error.message
    assert not other.requests and len(server.requests) == 1


def test_the_egress_rule_applies_to_addresses_from_credentials(fails, ask):
    with LlmServer([say("hello")]) as server:
        choice = chosen(server, trusted=False)
        error = fails(choice, way=access(Rule([]).addresses))
        assert error.permanent and "127.0.0.1 is at an address that may not be reached" in error.message
        assert "HEADRACE_EGRESS_ALLOW" in error.message and not server.requests
        assert ask(choice, way=access(Rule(["127.0.0.1"]).addresses)).text == "hello"


def test_the_rule_applies_to_the_connected_address(fails, ask):
    """The name resolves to a permitted address at the check, and to another one after that."""
    looked_up = []

    def addresses(host, port):
        looked_up.append((host, port))
        return ["127.0.0.2", "127.0.0.1"]  # the first address is closed

    with LlmServer([say("hello")]) as server:
        choice = Choice("openai", "own", f"http://llm.example:{server.port}/v1")
        assert ask(choice, way=access(addresses)).text == "hello"
    assert looked_up == [("llm.example", server.port)]
    assert server.requests[0].headers["host"] == f"llm.example:{server.port}"


def test_an_unknown_host_name_is_an_error(fails):
    def addresses(host, port):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    error = fails(Choice("openai", "own", "http://llm.example/v1"), way=access(addresses))
    assert "llm.example cannot be resolved" in error.message and not error.permanent


# Transient failures


@BOTH
@EACH
@pytest.mark.parametrize("code", [408, 429, 500, 502, 503, 504, 529])
def test_transient_failures_are_retried(ask, provider, stream, code):
    with LlmServer([status(code), say("here I am")]) as server:
        assert ask(chosen(server, provider), stream=stream).text == "here I am"
    assert len(server.requests) == 2 and server.requests[0].body == server.requests[1].body
    (pause,) = ask.clock.slept
    assert 0.5 <= pause <= 1.0


@pytest.mark.parametrize(("header", "pause"), [("0", 0.0), ("7", 7.0)])
def test_it_waits_as_long_as_the_server_asks(ask, header, pause):
    with LlmServer([status(429, {"retry-after": header}), say("here I am")]) as server:
        assert ask(chosen(server)).text == "here I am"
    assert ask.clock.slept == [pause]


def test_it_does_not_wait_for_longer_than_a_minute(fails, ask):
    with LlmServer([status(429, {"retry-after": "600"})]) as server:
        error = fails(chosen(server), seconds=3_600.0)
    assert (error.permanent, error.retry_after) == (False, 600.0)
    assert ask.clock.slept == [] and len(server.requests) == 1


def test_it_does_not_wait_beyond_the_deadline(fails, ask):
    with LlmServer([status(503, {"retry-after": "30"})]) as server:
        error = fails(chosen(server), seconds=20.0)
    assert not error.permanent and ask.clock.slept == []
    assert "answered 503: the script says 503" in error.message


def test_without_time_no_request_is_sent(fails):
    with LlmServer([say("never")]) as server:
        assert "no time left" in fails(chosen(server), seconds=0.0).message
    assert not server.requests


@BOTH
@EACH
def test_a_request_ends_at_the_deadline(fails, ask, provider, stream):
    with LlmServer([stall(threading.Event())]) as server:
        began = time.monotonic()
        error = fails(chosen(server, provider), stream=stream, seconds=0.3)
        assert 0.3 <= time.monotonic() - began < 15
        assert server.requests[0].hung_up.wait(60)
    assert not error.permanent and "the time ran out before" in error.message and len(server.requests) == 1


@BOTH
@EACH
def test_there_are_at_most_three_attempts(fails, ask, provider, stream):
    with LlmServer(forever(status(500, message="out of\norder"))) as server:
        error = fails(chosen(server, provider), stream=stream)
    assert not error.permanent and len(server.requests) == 3
    name = f"{provider}:{MODEL[provider]}"
    assert error.message == f"{name} at 127.0.0.1 answered 500: out of order (after 3 attempts)"
    first, second = ask.clock.slept
    assert 0.5 <= first <= 1.0 <= second <= 2.0


def test_a_server_can_forbid_retries(fails):
    with LlmServer([status(500, {"x-should-retry": "false"})]) as server:
        assert not fails(chosen(server)).permanent
    assert len(server.requests) == 1


@BOTH
@EACH
def test_a_dropped_connection_is_retried(ask, provider, stream):
    with LlmServer([drop_connection(), say("here I am")]) as server:
        assert ask(chosen(server, provider), stream=stream).text == "here I am"
    assert len(server.requests) == 2


@EACH
def test_a_connection_dropped_within_an_answer_is_retried(ask, provider):
    turn = drop_connection(after=3, then=say("half of what I had to say"))
    with LlmServer([turn, say("here I am")]) as server:
        assert ask(chosen(server, provider)).text == "here I am"
    assert len(server.requests) == 2


def test_a_refused_connection_is_retried(fails):
    with nobody() as url:
        error = fails(Choice("openai", "own", url, KEY, True))
    assert not error.permanent and error.message.startswith("openai:own at 127.0.0.1: ")


@EACH
def test_a_stream_without_its_last_event_is_not_an_answer(fails, provider):
    if provider == "anthropic":
        begun = {"id": "1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None}
        usage = {"input_tokens": 1, "output_tokens": 1}
        events = [
            {"type": "message_start", "message": {**begun, "usage": usage}},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "Half of"}},
        ]
    else:
        choice = {"index": 0, "delta": {"role": "assistant", "content": "Half of"}, "finish_reason": None}
        events = [{"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}]
    lines = [f"event: {event.get('type', 'x')}\ndata: {json.dumps(event)}\n\n".encode() for event in events]
    with LlmServer(forever(raw(b"".join(lines)))) as server:
        error = fails(chosen(server, provider))
    assert not error.permanent and len(server.requests) == 3


@BOTH
@EACH
def test_a_silent_server_times_out(fails, provider, stream):
    release = threading.Event()
    with LlmServer(forever(stall(release))) as server:
        began = time.monotonic()
        error = fails(chosen(server, provider), stream=stream, timeout=0.1)
        assert 0.3 <= time.monotonic() - began < 20
        assert "did not answer in time (HEADRACE_LLM_TIMEOUT is 0.1 s)" in error.message and not error.permanent
        # On a busy machine, not all of the three may have been sent.
        assert all(request.hung_up.wait(60) for request in server.wait_for_requests(1))


@pytest.mark.parametrize("comments", [False, True], ids=["silence", "comments"])
@EACH
def test_a_stream_that_stops_early_is_retried(ask, provider, comments):
    turns = [stall(threading.Event(), after=3, then=say("half of it"), comments=comments), say("here I am")]
    with LlmServer(turns) as server:
        assert ask(chosen(server, provider), timeout=0.3).text == "here I am"
        assert server.requests[0].hung_up.wait(60)


def test_a_stream_may_take_longer_than_the_timeout_while_data_arrives(ask):
    began = time.monotonic()
    with LlmServer([say("slow but steady", pause=0.1)]) as server:
        assert ask(chosen(server), timeout=0.5).text == "slow but steady"
    assert time.monotonic() - began > 0.5 and len(server.requests) == 1


# Permanent failures


@BOTH
@EACH
def test_a_wrong_key_is_neither_retried_nor_shown(fails, provider, stream):
    with LlmServer(forever(say("never")), api_key="another") as server:
        error = fails(chosen(server, provider), stream=stream)
    assert error.permanent and len(server.requests) == 1
    assert error.message.endswith("at 127.0.0.1 answered 401: Incorrect API key provided: ***.")


@BOTH
@EACH
def test_an_unknown_model_is_not_retried(fails, provider, stream):
    with LlmServer(forever(say("never")), models=["other"]) as server:
        error = fails(chosen(server, provider), stream=stream)
    assert error.permanent and len(server.requests) == 1
    assert f"answered 404: The model `{MODEL[provider]}` does not exist" in error.message


@EACH
@pytest.mark.parametrize("code", [400, 403, 413, 422])
def test_a_rejected_request_is_not_retried(fails, provider, code):
    with LlmServer(forever(status(code))) as server:
        assert fails(chosen(server, provider)).permanent
    assert len(server.requests) == 1


def test_an_account_without_credit_is_not_retried(fails):
    body = {"error": {"message": "You exceeded your quota", "code": "insufficient_quota", "type": "insufficient_quota"}}
    with LlmServer([raw(json.dumps(body).encode(), status=429)]) as server:
        error = fails(chosen(server))
    assert error.permanent and "answered 429: You exceeded your quota" in error.message


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"error": "no such thing"}', "no such thing"),
        (b'{"detail": "no such thing"}', "no such thing"),
        (b"<h1>no such\x00 thing</h1>", "<h1>no such thing</h1>"),
        (b'{"error": {"message": "' + b"far too long " * 1_000 + b'"}}', "far too long"),
        (b"", "answered 400"),
        (b"[]", "answered 400"),
    ],
)
def test_the_servers_error_message_is_shown_in_one_short_line(fails, body, said):
    with LlmServer([raw(body, status=400)]) as server:
        message = fails(chosen(server)).message
    assert said in message and len(message) < 400


@pytest.mark.slow
@BOTH
@EACH
def test_an_answer_that_is_too_large_is_not_parsed(fails, provider, stream):
    with LlmServer(forever(huge(9 * 2**20))) as server:
        error = fails(chosen(server, provider), stream=stream)
    assert error.permanent and "too large" in error.message and len(server.requests) == 1


def test_compressed_bodies_are_not_read(fails):
    bomb = gzip.compress(b" " * 50 * 2**20, compresslevel=1)
    for code in (200, 400, 500):
        with LlmServer(forever(raw(bomb, status=code, headers={"content-encoding": "gzip"}))) as server:
            error = fails(chosen(server))
        assert error.permanent and "compressed" in error.message and len(server.requests) == 1, code


@BOTH
@EACH
@pytest.mark.parametrize(
    "body",
    [
        b'{"id": "1", "choices": [{"in',
        b"<html>It works!</html>",
        b"",
        b"null",
        b"[]",
        b'{"choices": null}',
        b"\xff\xfe",
    ],
)
def test_an_invalid_body_is_a_readable_error(fails, provider, stream, body):
    with LlmServer(forever(raw(body, content_type="application/json"))) as server:
        error = fails(chosen(server, provider), stream=stream)
    assert error.message.startswith(f"{provider}:{MODEL[provider]} at 127.0.0.1: ") and len(error.message) < 600


@BOTH
@EACH
def test_an_html_page_instead_of_a_model_is_reported(fails, provider, stream):
    with LlmServer(forever(raw(b"<html>It works!</html>", content_type="text/html; charset=utf-8"))) as server:
        error = fails(chosen(server, provider), stream=stream)
    assert "it answered with an HTML page, unlike a language model; check its address" in error.message


@EACH
@pytest.mark.parametrize(
    "body",
    [
        b"data: {\n\n",
        b"data: [1]\n\n",
        b'data: {"choices": "none"}\n\n',
        b'event: content_block_delta\ndata: {"type": "content_block_delta", "index": 7}\n\n',
        b"\xff\xfe\n\n",
        b'event: error\ndata: {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}\n\n',
        b'data: {"error": {"message": "The server is overloaded", "type": "server_error"}}\n\n',
    ],
)
def test_an_invalid_stream_is_a_readable_error(fails, provider, body):
    with LlmServer(forever(raw(body))) as server:
        error = fails(chosen(server, provider))
    assert error.message.startswith(f"{provider}:{MODEL[provider]} at 127.0.0.1") and not error.permanent


# Cancellation


@BOTH
@EACH
def test_a_cancelled_request_closes_its_connection_immediately(provider, stream):
    async def cancelled(server):
        choice, models = chosen(server, provider), Models(stream=stream)
        async with open_model(choice, models, access(), time.monotonic() + 60) as model:
            messages = [ModelRequest([UserPromptPart("Hello?")])]
            task = asyncio.ensure_future(model.request(messages, None, ModelRequestParameters()))
            await asyncio.to_thread(server.wait_for_requests, 1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await asyncio.to_thread(server.requests[0].hung_up.wait, 15)

    began = time.monotonic()
    with LlmServer([stall(threading.Event(), after=2 if stream else 0)]) as server:
        asyncio.run(cancelled(server))
    assert time.monotonic() - began < 20 and len(server.requests) == 1


# Cost


def test_an_answer_of_a_known_model_has_a_price(ask):
    with LlmServer(forever(say("hello", tokens=(1_000_000, 1_000_000)))) as server:
        assert cost_of(ask(chosen(server))) == pytest.approx(0.15 + 0.60)
        assert cost_of(ask(chosen(server, "anthropic"))) == pytest.approx(5 + 25)


def test_an_answer_of_an_unknown_model_has_no_price(ask):
    with LlmServer(forever(say("hello"))) as server:
        assert cost_of(ask(chosen(server, "ollama"))) is None
        assert cost_of(ask(Choice("openai", "our-own-7b", server.openai_url, trusted=True))) is None
    assert cost_of(ask(Choice("test", "test"))) is None
    assert cost_of(ModelResponse([TextPart("hello")], usage=RequestUsage(input_tokens=1))) is None
