"""The node `mcp` with the server of the official SDK, and with misbehaving servers."""

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
from packs.mcp import node as mcp


@pytest.fixture(scope="module", params=["stream", "json"])
def server(request):
    """A server with streamed or with JSON responses; `server.calls` lists the calls of its tools."""
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
def test_a_text_result_is_returned_as_text(call, text):
    assert call("say", {"text": text}) == text


def test_other_content_is_returned_unchanged(call):
    picture = {"type": "image", "data": base64.b64encode(b"\x00\xff").decode(), "mimeType": "image/png"}
    assert call("picture") == picture
    assert call("both", {"text": "a"}) == [{"type": "text", "text": "a"}, picture]
    assert call("nothing") is None


def test_a_failed_tool_fails_the_node_with_its_message(fails):
    error = fails("fail", {"why": "no such city"})
    assert "the tool 'fail' failed" in error.message and "no such city" in error.message
    assert len(fails("fail", {"why": "x" * 100_000}).message) < 3_000


@pytest.mark.parametrize(
    ("tool", "arguments", "part"),
    [("nowhere", {}, "nowhere"), ("forecast", {}, "city"), ("forecast", {"city": "a", "days": "many"}, "days")],
)
def test_the_error_names_the_unknown_tool_or_the_invalid_argument(fails, tool, arguments, part):
    assert part in fails(tool, arguments).message


@pytest.mark.parametrize("arguments", ["x", [1], 5])
def test_arguments_must_be_an_object(fails, arguments):
    error = fails("say", arguments)
    assert error.message == "arguments must be an object" and error.permanent


@pytest.mark.parametrize("config", [{"tool": ""}, {"timeout": 0}, {"tool": "x" * 201}])
def test_an_invalid_setting_is_rejected(config):
    with pytest.raises(ValidationError) as caught:
        REGISTRY["mcp"].Config().load({"credential": "a", "tool": "b", **config})
    assert caught.value.messages.keys() == config.keys()


def test_a_server_cannot_use_a_model_by_sampling(fails, server):
    error = fails("ask_for_a_model", timeout=10)
    assert "failed" in error.message or "sampling" in error.message.lower()


def test_no_compression_is_requested_and_the_session_is_deleted(call, server):
    server.app.seen.clear()
    call("say", {"text": "a"})
    assert {headers["accept-encoding"] for headers in server.app.seen} == {"identity"}
    began = [headers for headers in server.app.seen if "mcp-session-id" in headers]
    assert not began or server.app.seen[-1][":method"] == "DELETE"


def test_a_missing_or_wrong_token_is_a_permanent_error(fails, server):
    for changes in ({"token": "falsch"}, {"token": None}):
        error = fails("say", {"text": "a"}, credentials=credential(server.url, **changes))
        assert error.permanent and "answered 401" in error.message and "falsch" not in error.message


def test_a_call_without_an_answer_times_out(fails):
    began = time.monotonic()
    error = fails("never", timeout=0.6)
    assert time.monotonic() - began < 15
    assert "in time" in error.message and not error.permanent


def test_an_oversized_result_is_rejected(fails, call, monkeypatch):
    monkeypatch.setattr(mcp, "MAX_BYTES", 100_000)
    assert len(call("large", {"size": 50_000})) == 50_000
    error = fails("large", {"size": 200_000})
    assert error.permanent and "sent more than" in error.message


def test_a_refused_connection_is_a_temporary_error(fails):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert not fails("say", credentials=credential(f"http://127.0.0.1:{port}/mcp")).permanent


def test_a_silent_server_times_out(fails):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        began = time.monotonic()
        credentials = credential(f"http://127.0.0.1:{listener.getsockname()[1]}/mcp")
        error = fails("say", credentials=credentials, timeout=0.4)
        assert time.monotonic() - began < 15
        assert "in time" in error.message and not error.permanent


def test_a_server_at_a_forbidden_address_is_not_contacted(fails, server):
    server.app.seen.clear()
    error = fails("say", credentials=credential(f"http://127.0.0.2:{server.port}/mcp"))
    assert "may not be reached" in error.message and error.permanent and server.app.seen == []


def test_the_egress_rule_also_applies_in_the_event_loop(fails, server, monkeypatch):
    """The name resolves to a permitted address when it is checked, and to another one when it is connected to."""
    real, lookups = socket.getaddrinfo, []

    def resolve(host, *args, **kwargs):
        if host not in ("weather.example", b"weather.example"):
            return real(host, *args, **kwargs)
        lookups.append(threading.current_thread())
        return real("127.0.0.1" if len(lookups) == 1 else "127.0.0.2", *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    error = fails("say", credentials=credential(f"http://weather.example:{server.port}/mcp"))
    assert len(lookups) > 1 and lookups[0] is threading.current_thread()
    assert error.message == "127.0.0.2 may not be reached; HEADRACE_EGRESS_ALLOW can permit it" and error.permanent


def test_a_host_permitted_by_name_can_be_reached(call, server):
    credentials = credential(f"http://localhost:{server.port}/mcp")
    assert call("say", {"text": "a"}, credentials=credentials, context={"rule": Rule(["localhost"])}) == "a"


def test_nothing_is_sent_to_a_host_outside_the_credential_binding(fails, server):
    type_, data = credential(server.url)["weather"]
    error = fails("say", credentials={"weather": (type_, data, ("a.example",))})
    assert "may not be sent to" in error.message


@pytest.mark.parametrize("arguments", [{"text": "{}"}, {"{}": 1}, {"a": [{"b": "x {}"}]}])
def test_a_secret_is_not_sent_to_a_server_outside_its_binding(make_ctx, server, arguments):
    other = ("http_bearer", {"token": "other-s3cret"}, ("a.example",))
    ctx, _ = make_ctx(credentials={**credential(server.url), "other": other})
    arguments = json.loads(json.dumps(arguments).replace("{}", ctx.keyring["other"]))
    node = REGISTRY["mcp"]
    with pytest.raises(NodeError) as caught:
        node.run(node.Config().load({"credential": "weather", "tool": "say", "arguments": arguments}), None, ctx)
    assert "'other' may not be sent to 127.0.0.1" in caught.value.message


# Misbehaving servers


@pytest.fixture
def fake_server(httpserver):
    """`fake_server(respond)` starts a server that initializes correctly and answers a call with `respond`."""

    def fake_server(respond):
        def answer(request):
            message = json.loads(request.data) if request.data else {}
            if message.get("method") == "initialize":
                result = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}}
                result["serverInfo"] = {"name": "odd", "version": "1"}
                return Response(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), mimetype=JSON)
            if message.get("method") == "tools/call":
                return respond(message)
            return Response(status=202 if "id" not in message else 400)

        httpserver.expect_request("/mcp").respond_with_handler(answer)
        return credential(f"http://127.0.0.1:{httpserver.port}/mcp")

    return fake_server


JSON = "application/json"


def result(message, **result):
    return Response(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), mimetype=JSON)


def test_a_result_is_not_validated_by_the_schema_of_the_server(call, fake_server):
    assert call(
        "a", credentials=fake_server(lambda message: result(message, content=[], structuredContent={"a": 1}))
    ) == {"a": 1}


@pytest.mark.parametrize(
    ("respond", "permanent", "part"),
    [
        (lambda message: Response(status=503), False, "answered 503"),
        (lambda message: Response(status=403), True, "answered 403"),
        (lambda message: Response("nothing", mimetype="text/plain"), True, "content type"),
        (lambda message: Response("{", mimetype=JSON), True, "parse"),
        (lambda message: result(message, nothing=1), True, ""),
        (lambda message: Response(status=202), True, "202"),
        (lambda message: Response(status=307, headers={"Location": "http://127.0.0.2/mcp"}), True, "not followed"),
        (lambda message: Response("", mimetype="text/event-stream"), False, "without a response"),
        (
            lambda message: Response(
                json.dumps({"jsonrpc": "2.0", "id": message["id"], "error": {"code": -32603, "message": "Oh no"}}),
                mimetype=JSON,
            ),
            False,
            "Oh no (-32603)",
        ),
    ],
)
def test_an_invalid_answer_is_a_permanent_or_temporary_error(fails, fake_server, respond, permanent, part):
    error = fails("a", credentials=fake_server(respond), timeout=10)
    assert (error.permanent, part in error.message) == (permanent, True)


@pytest.mark.slow
def test_a_decompression_bomb_is_rejected(fails, fake_server):
    packed = gzip.compress(b" " * 100_000_000)
    respond = fake_server(lambda message: Response(packed, mimetype=JSON, headers={"Content-Encoding": "gzip"}))
    assert "compressed" in fails("a", credentials=respond, timeout=10).message


def test_an_endless_event_stream_is_rejected(fails, fake_server, monkeypatch):
    monkeypatch.setattr(mcp, "MAX_BYTES", 1_000_000)
    endless = (b": still here\n\n" * 100 for _ in range(10_000_000))
    error = fails(
        "a", credentials=fake_server(lambda message: Response(endless, mimetype="text/event-stream")), timeout=20
    )
    assert error.permanent and "sent more than" in error.message


def test_the_certificate_of_the_server_is_verified(call, fails, authority):
    authority.server("localhost")
    pem = str(authority.folder / "localhost.pem")
    app = Guarded(tools([], threading.Event()).streamable_http_app())
    server, thread, port = serve(app, ssl_certfile=pem, ssl_keyfile=pem)
    credentials, context = credential(f"https://localhost:{port}/mcp"), {"rule": Rule(["localhost"])}
    try:
        error = fails("say", {"text": "a"}, credentials=credentials, context=context)
        assert error.permanent and "certificate" in error.message
        assert (
            call("say", {"text": "a"}, credentials=credentials, context={**context, "ca_file": authority.file}) == "a"
        )
    finally:
        server.should_exit = True
        thread.join(60)


def check(make_ctx, credentials):
    ctx, _ = make_ctx(credentials=credentials)
    return mcp.check(ctx.credential("weather"), ctx, {})


def test_the_check_of_a_working_credential_lists_the_tools(make_ctx, server):
    report = check(make_ctx, credential(server.url))
    assert report.startswith("127.0.0.1 has 9 tools: forecast, say, both, picture")


def test_the_check_of_a_wrong_credential_reports_the_reason(make_ctx, server):
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
