"""The node `mcp` with the protocol's own server, and with servers that do not behave."""

import base64
import gzip
import json
import socket
import threading
import time

import pytest
from contract import Case, Contract
from marshmallow import ValidationError
from mcp_servers import TOKEN, Guarded, credential, running, serve, tools
from werkzeug import Response

from errors import NodeError
from net.egress import Rule
from nodes import REGISTRY
from nodes.remote import mcp


@pytest.fixture(scope="module", params=["stream", "json"])
def server(request):
    """`server.calls` are those of the tools; it answers in both of the ways that there are."""
    with running(request.param == "json") as server:
        yield server


@pytest.fixture
def call(run, server):
    def call(tool, arguments=None, credentials=None, context=None, **config):
        config |= {"credential": "weather", "tool": tool} | ({} if arguments is None else {"arguments": arguments})
        return run("mcp", config, credentials=credentials or credential(server.url), **(context or {}))

    return call


@pytest.fixture
def fails(call):
    def fails(*args, **config):
        with pytest.raises(NodeError) as caught:
            call(*args, **config)
        return caught.value

    return fails


def test_a_structured_result_is_the_output(call, server):
    server.calls.clear()
    assert call("forecast", {"city": "Lübeck"}) == {"celsius": 12.5, "rain": True}
    assert server.calls == [("forecast", "Lübeck", 1)]


@pytest.mark.parametrize("text", ["höre", "", '{"a": 1}', "{{ 1 }}"])
def test_a_text_stays_text(call, text):
    assert call("say", {"text": text}) == text


def test_other_content_is_handed_on_as_it_is(call):
    picture = {"type": "image", "data": base64.b64encode(b"\x00\xff").decode(), "mimeType": "image/png"}
    assert call("picture") == picture
    assert call("both", {"text": "a"}) == [{"type": "text", "text": "a"}, picture]
    assert call("nothing") is None


def test_a_tool_that_fails_fails_the_node_with_what_it_says(fails):
    error = fails("fail", {"why": "no such city"})
    assert "the tool 'fail' failed" in error.message and "no such city" in error.message
    assert len(fails("fail", {"why": "x" * 100_000}).message) < 3_000


@pytest.mark.parametrize(
    ("tool", "arguments", "part"),
    [("nowhere", {}, "nowhere"), ("forecast", {}, "city"), ("forecast", {"city": "a", "days": "many"}, "days")],
)
def test_a_call_that_cannot_be_is_named(fails, tool, arguments, part):
    assert part in fails(tool, arguments).message


@pytest.mark.parametrize("arguments", ["x", [1], 5])
def test_arguments_are_an_object(fails, arguments):
    error = fails("say", arguments)
    assert error.message == "arguments must be an object" and error.permanent


@pytest.mark.parametrize("config", [{"tool": ""}, {"timeout": 0}, {"tool": "x" * 201}])
def test_a_bad_setting_is_refused(config):
    with pytest.raises(ValidationError) as caught:
        REGISTRY["mcp"].Config().load({"credential": "a", "tool": "b", **config})
    assert caught.value.messages.keys() == config.keys()


def test_a_server_is_lent_no_model(fails, server):
    error = fails("ask_for_a_model", timeout=10)
    assert "failed" in error.message or "sampling" in error.message.lower()


def test_nothing_packed_is_asked_for_and_the_session_is_ended(call, server):
    server.app.seen.clear()
    call("say", {"text": "a"})
    assert {headers["accept-encoding"] for headers in server.app.seen} == {"identity"}
    began = [headers for headers in server.app.seen if "mcp-session-id" in headers]
    assert not began or server.app.seen[-1][":method"] == "DELETE"


def test_a_token_that_is_not_known_is_permanent(fails, server):
    for changes in ({"token": "falsch"}, {"token": None}):
        error = fails("say", {"text": "a"}, credentials=credential(server.url, **changes))
        assert error.permanent and "answered 401" in error.message and "falsch" not in error.message


def test_time_is_up_when_it_is_up(fails):
    began = time.monotonic()
    error = fails("never", timeout=0.6)
    assert time.monotonic() - began < 15
    assert "in time" in error.message and not error.permanent


def test_what_is_too_large_is_refused(fails, call, monkeypatch):
    monkeypatch.setattr(mcp, "MAX_BYTES", 100_000)
    assert len(call("large", {"size": 50_000})) == 50_000
    error = fails("large", {"size": 200_000})
    assert error.permanent and "sent more than" in error.message


def test_nobody_at_home_passes(fails):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert not fails("say", credentials=credential(f"http://127.0.0.1:{port}/mcp")).permanent


def test_a_server_that_says_nothing_holds_nobody(fails):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        began = time.monotonic()
        known = credential(f"http://127.0.0.1:{listener.getsockname()[1]}/mcp")
        error = fails("say", credentials=known, timeout=0.4)
        assert time.monotonic() - began < 15
        assert "in time" in error.message and not error.permanent


def test_a_server_that_may_not_be_reached_is_not(fails, server):
    server.app.seen.clear()
    error = fails("say", credentials=credential(f"http://127.0.0.2:{server.port}/mcp"))
    assert "may not be reached" in error.message and error.permanent and server.app.seen == []


def test_the_rule_holds_in_the_event_loop_too(fails, server, monkeypatch):
    """The name leads to a permitted address when it is looked at, and to another one when it is connected to."""
    real, asked = socket.getaddrinfo, []

    def resolve(host, *args, **kwargs):
        if host not in ("weather.example", b"weather.example"):
            return real(host, *args, **kwargs)
        asked.append(threading.current_thread())
        return real("127.0.0.1" if len(asked) == 1 else "127.0.0.2", *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    error = fails("say", credentials=credential(f"http://weather.example:{server.port}/mcp"))
    assert len(asked) > 1 and asked[0] is threading.current_thread()
    assert error.message == "127.0.0.2 may not be reached; HEADRACE_EGRESS_ALLOW can permit it" and error.permanent


def test_a_host_that_is_permitted_by_name_can_be_reached(call, server):
    known = credential(f"http://localhost:{server.port}/mcp")
    assert call("say", {"text": "a"}, credentials=known, context={"rule": Rule(["localhost"])}) == "a"


def test_a_host_that_the_credential_is_not_bound_to_is_told_nothing(fails, server):
    type_, data = credential(server.url)["weather"]
    error = fails("say", credentials={"weather": (type_, data, ("a.example",))})
    assert "may not be sent to" in error.message


@pytest.mark.parametrize("arguments", [{"text": "{}"}, {"{}": 1}, {"a": [{"b": "x {}"}]}])
def test_a_secret_goes_to_no_server_that_may_not_have_it(make_ctx, server, arguments):
    other = ("http_bearer", {"token": "other-s3cret"}, ("a.example",))
    ctx, _ = make_ctx(credentials={**credential(server.url), "other": other})
    arguments = json.loads(json.dumps(arguments).replace("{}", ctx.keyring["other"]))
    node = REGISTRY["mcp"]
    with pytest.raises(NodeError) as caught:
        node.run(node.Config().load({"credential": "weather", "tool": "say", "arguments": arguments}), None, ctx)
    assert "'other' may not be sent to 127.0.0.1" in caught.value.message


# Servers that do not behave


@pytest.fixture
def odd(httpserver):
    """`odd(respond)` is a server that answers the first questions as it should, and a call as the test says."""

    def odd(respond):
        def answer(request):
            asked = json.loads(request.data) if request.data else {}
            if asked.get("method") == "initialize":
                result = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}}
                result["serverInfo"] = {"name": "odd", "version": "1"}
                return Response(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}), mimetype=JSON)
            if asked.get("method") == "tools/call":
                return respond(asked)
            return Response(status=202 if "id" not in asked else 400)

        httpserver.expect_request("/mcp").respond_with_handler(answer)
        return credential(f"http://127.0.0.1:{httpserver.port}/mcp")

    return odd


JSON = "application/json"


def result(asked, **result):
    return Response(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}), mimetype=JSON)


def test_a_result_is_not_checked_by_the_server_s_own_schema(call, odd):
    assert call("a", credentials=odd(lambda asked: result(asked, content=[], structuredContent={"a": 1}))) == {"a": 1}


@pytest.mark.parametrize(
    ("respond", "permanent", "part"),
    [
        (lambda asked: Response(status=503), False, "answered 503"),
        (lambda asked: Response(status=403), True, "answered 403"),
        (lambda asked: Response("nothing", mimetype="text/plain"), True, "content type"),
        (lambda asked: Response("{", mimetype=JSON), True, "parse"),
        (lambda asked: result(asked, nothing=1), True, ""),
        (lambda asked: Response(status=202), True, "202"),
        (lambda asked: Response(status=307, headers={"Location": "http://127.0.0.2/mcp"}), True, "not followed"),
        (lambda asked: Response("", mimetype="text/event-stream"), False, "without a response"),
        (
            lambda asked: Response(
                json.dumps({"jsonrpc": "2.0", "id": asked["id"], "error": {"code": -32603, "message": "Oh no"}}),
                mimetype=JSON,
            ),
            False,
            "Oh no (-32603)",
        ),
    ],
)
def test_an_answer_that_is_none_says_whether_it_passes(fails, odd, respond, permanent, part):
    error = fails("a", credentials=odd(respond), timeout=10)
    assert (error.permanent, part in error.message) == (permanent, True)


@pytest.mark.slow
def test_what_unzips_to_something_large_is_refused(fails, odd):
    packed = gzip.compress(b" " * 100_000_000)
    respond = odd(lambda asked: Response(packed, mimetype=JSON, headers={"Content-Encoding": "gzip"}))
    assert "compressed" in fails("a", credentials=respond, timeout=10).message


def test_a_server_that_talks_without_end_is_cut_off(fails, odd, monkeypatch):
    monkeypatch.setattr(mcp, "MAX_BYTES", 1_000_000)
    endless = (b": still here\n\n" for _ in range(10_000_000))
    error = fails("a", credentials=odd(lambda asked: Response(endless, mimetype="text/event-stream")), timeout=20)
    assert error.permanent and "sent more than" in error.message


def test_a_server_has_to_prove_who_it_is(call, fails, authority):
    authority.server("localhost")
    pem = str(authority.folder / "localhost.pem")
    app = Guarded(tools([], threading.Event()).streamable_http_app())
    server, thread, port = serve(app, ssl_certfile=pem, ssl_keyfile=pem)
    known, context = credential(f"https://localhost:{port}/mcp"), {"rule": Rule(["localhost"])}
    try:
        error = fails("say", {"text": "a"}, credentials=known, context=context)
        assert error.permanent and "certificate" in error.message
        assert call("say", {"text": "a"}, credentials=known, context={**context, "ca_file": authority.file}) == "a"
    finally:
        server.should_exit = True
        thread.join(60)


def check(make_ctx, credentials):
    ctx, _ = make_ctx(credentials=credentials)
    return mcp.check(ctx.credential("weather"), ctx, {})


def test_a_credential_that_works_says_which_tools_there_are(make_ctx, server):
    said = check(make_ctx, credential(server.url))
    assert said.startswith("127.0.0.1 has 9 tools: forecast, say, both, picture")


def test_a_credential_that_does_not_work_says_why(make_ctx, server):
    with pytest.raises(NodeError) as caught:
        check(make_ctx, credential(server.url, token="falsch"))
    assert "answered 401" in caught.value.message


@pytest.fixture
def case_mcp():
    with running(json_response=False) as server:
        yield Case(
            config={"credential": "weather", "tool": "say", "arguments": {"text": f"the token is {TOKEN}"}},
            credentials=credential(server.url),
            secret=TOKEN,
            stalled={"tool": "never", "arguments": {}},
            count=lambda: len(server.calls),
        )


class TestMcpKeepsTheContract(Contract):
    type_ = "mcp"
