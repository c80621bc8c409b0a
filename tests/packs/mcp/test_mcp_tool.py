"""Tools of MCP servers, offered as tools of an agent."""

import json
import time

import pytest
from mcp_servers import TOKEN, credential, running
from node_contexts import Spec, called
from werkzeug import Response

from errors import NodeError
from packs.agents.tools.base import find_issues
from packs.mcp import agent_tools as mcp
from packs.mcp.agent_tools import describe_problem

WEATHER = Spec("mcp", {"credential": "weather"})


@pytest.fixture(scope="module")
def server():
    with running(json_response=True) as server:
        yield server


@pytest.fixture
def weather(tools, server):
    """The toolbox of an agent with the tools of the server."""
    server.calls.clear()
    return tools(WEATHER, credentials=credential(server.url))


def creation_fails(tools, *specs, **context):
    with pytest.raises(NodeError) as caught:
        tools(*specs, **context)
    return caught.value


def fails(toolbox, name, **arguments):
    with pytest.raises(NodeError) as caught:
        toolbox[name].call(arguments, "call:1")
    return caught.value


# The tools of a real server


def test_each_server_tool_becomes_an_agent_tool(weather):
    assert list(weather)[:3] == ["weather_forecast", "weather_say", "weather_both"]
    made = weather["weather_forecast"]
    assert made.parameters["properties"]["city"]["type"] == "string" and made.parameters["required"] == ["city"]
    assert made.description == "The tool forecast of weather."
    assert not made.approval and not made.may_repeat({"city": "a"})


def test_a_call_reaches_the_server_and_returns_its_result(weather, server):
    assert called(weather, "weather_forecast", city="Lübeck") == {"celsius": 12.5, "rain": True}
    assert called(weather, "weather_say", text="höre") == "höre"
    assert server.calls == [("forecast", "Lübeck", 1), ("say", "höre")]


def test_arguments_are_validated_before_the_server_is_called(weather, server):
    assert find_issues(weather["weather_forecast"], {"days": "many"}) != []
    assert server.calls == []


def test_the_model_gets_the_error_of_a_failed_tool(weather):
    assert "no such city" in fails(weather, "weather_fail", why="no such city").message


def test_image_data_is_not_shown(weather):
    shown = called(weather, "weather_picture")
    assert shown == {"type": "image", "mimeType": "image/png", "data": "(4 characters of base64, not shown)"}
    assert called(weather, "weather_both", text="a")[1]["data"] == "(4 characters of base64, not shown)"


def test_a_large_result_is_truncated(weather):
    shown = called(weather, "weather_large", size=300_000)
    assert len(shown) < 20_000 and "more characters were cut" in shown


def test_a_call_without_an_answer_ends_at_the_run_deadline(tools, server):
    toolbox = tools(WEATHER, credentials=credential(server.url), seconds=1)
    began = time.monotonic()
    assert "did not answer in time" in fails(toolbox, "weather_never").message
    assert time.monotonic() - began < 20


def test_a_spec_can_select_tools(tools, server):
    spec = Spec("mcp", {"credential": "weather", "tools": ["say", "forecast", "say"]})
    assert list(tools(spec, credentials=credential(server.url))) == ["weather_say", "weather_forecast"]
    spec = Spec("mcp", {"credential": "weather", "tools": ["sing"]})
    error = creation_fails(tools, spec, credentials=credential(server.url))
    assert "weather has no usable tool 'sing'; usable tools: forecast, say" in error.message


def test_approval_accepts_the_server_name_or_the_agent_name_of_a_tool(tools, server):
    spec = Spec("mcp", {"credential": "weather"}, approval=("say", "weather_forecast"))
    toolbox = tools(spec, credentials=credential(server.url))
    assert {name for name, made in toolbox.items() if made.approval} == {"weather_say", "weather_forecast"}
    error = creation_fails(
        tools, Spec("mcp", {"credential": "weather"}, approval=("sing",)), credentials=credential(server.url)
    )
    assert "approval: mcp has no tool 'sing'" in error.message


def test_two_servers_can_offer_tools_of_the_same_name(tools, server):
    both = {**credential(server.url), "Wetter & mehr": credential(server.url)["weather"]}
    toolbox = tools(WEATHER, Spec("mcp", {"credential": "Wetter & mehr", "tools": ["say"]}), credentials=both)
    assert called(toolbox, "weather_say", text="a") == called(toolbox, "wetter_mehr_say", text="a") == "a"
    alike = {**credential(server.url), "WEATHER": credential(server.url)["weather"]}
    error = creation_fails(tools, WEATHER, Spec("mcp", {"credential": "WEATHER"}), credentials=alike)
    assert error.message == "two tools are named weather_forecast: one of mcp and one of mcp"


def test_the_caller_of_an_agent_can_supply_the_server(tools, server):
    toolbox = tools(Spec("mcp"), credentials=credential(server.url), lent={"mcp": "weather"})
    assert "weather_say" in toolbox
    assert "the tool mcp needs a credential of the type mcp" in creation_fails(tools, Spec("mcp")).message


def test_a_resumed_agent_reuses_the_recorded_tool_list(tools, server):
    first = tools(WEATHER, credentials=credential(server.url))
    listings = json.dumps(tools.listings)
    server.app.seen.clear()
    again = tools(WEATHER, credentials=credential(server.url), listings=json.loads(listings))
    assert server.app.seen == [] and tools.listings == json.loads(listings)
    shape = [(made.name, made.description, made.parameters, made.repeatable) for made in first.values()]
    assert [(made.name, made.description, made.parameters, made.repeatable) for made in again.values()] == shape
    assert called(again, "weather_say", text="a") == "a"


def test_the_error_for_a_wrong_token_does_not_contain_it(tools, server):
    error = creation_fails(tools, WEATHER, credentials=credential(server.url, token="falsch"))
    assert "answered 401" in error.message and "falsch" not in error.message


def test_a_server_at_a_forbidden_or_unbound_host_is_not_called(tools, server):
    server.app.seen.clear()
    error = creation_fails(tools, WEATHER, credentials=credential(f"http://127.0.0.2:{server.port}/mcp"))
    assert "may not be reached" in error.message
    type_, data = credential(server.url)["weather"]
    error = creation_fails(tools, WEATHER, credentials={"weather": (type_, data, ("a.example",))})
    assert "may not be sent to" in error.message and server.app.seen == []


# Misbehaving servers


@pytest.fixture
def fake_server(httpserver):
    """`fake_server(*pages)` starts a server with these pages of tools and returns its credential.

    `fake_server.requested` lists the pages that were requested.
    """

    def fake_server(*pages, respond=None):
        fake_server.requested = []

        def answer(request):
            message = json.loads(request.data) if request.data else {}
            if message.get("method") == "initialize":
                info = {"serverInfo": {"name": "odd", "version": "1"}, "capabilities": {"tools": {}}}
                return reply(message, {"protocolVersion": "2025-06-18", **info})
            if message.get("method") == "tools/list":
                number = int((message.get("params") or {}).get("cursor", 0))
                fake_server.requested.append(number)
                last = number + 1 == len(pages)
                more = {} if last else {"nextCursor": str((number + 1) % len(pages))}
                return reply(message, {"tools": pages[number], **more})
            if message.get("method") == "tools/call":
                return reply(message, respond(message["params"]))
            return Response(status=202 if "id" not in message else 400)

        httpserver.expect_request("/mcp").respond_with_handler(answer)
        return credential(f"http://127.0.0.1:{httpserver.port}/mcp")

    return fake_server


def reply(message, result):
    return Response(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), mimetype="application/json")


def listed(name, schema=None, **more):
    return {"name": name, "inputSchema": {"type": "object"} if schema is None else schema, **more}


def test_all_pages_of_the_tool_list_are_read(tools, fake_server):
    toolbox = tools(WEATHER, credentials=fake_server([listed("a")], [listed("b")], [listed("c")]))
    assert list(toolbox) == ["weather_a", "weather_b", "weather_c"] and fake_server.requested == [0, 1, 2]


def test_the_number_of_tool_list_pages_is_limited(tools, fake_server, monkeypatch):
    monkeypatch.setattr(mcp, "MAX_LIST_PAGES", 3)
    pages = [[listed(f"t{number}")] for number in range(9)]
    assert len(tools(WEATHER, credentials=fake_server(*pages))) == 3 and fake_server.requested == [0, 1, 2]


def test_the_size_of_the_tool_list_is_limited(tools, fake_server):
    large = {"type": "object", "description": "x" * 30_000}
    toolbox = tools(WEATHER, credentials=fake_server([listed(f"t{number}", large) for number in range(90)]))
    assert len(toolbox) == 16 and len(json.dumps(tools.listings)) < 520_000
    assert any("the rest is left out" in line for _, line, _ in tools.lines)


def test_only_the_first_100_tools_or_the_selected_ones_are_offered(tools, fake_server):
    credentials = fake_server([listed(f"t{number}") for number in range(300)])
    assert len(tools(WEATHER, credentials=credentials)) == 100
    assert any("weather has 300 tools; only the first 100" in line for _, line, _ in tools.lines)
    chosen = tools(Spec("mcp", {"credential": "weather", "tools": ["t299"]}), credentials=credentials)
    assert list(chosen) == ["weather_t299"]


def test_only_a_read_only_tool_may_be_repeated(tools, fake_server):
    hints = {"a": {"readOnlyHint": True}, "b": {"readOnlyHint": False, "idempotentHint": True}, "c": {}}
    credentials = fake_server([listed(name, annotations=hint) for name, hint in hints.items()] + [listed("d")])
    toolbox = tools(WEATHER, credentials=credentials)
    assert [made.may_repeat({}) for made in toolbox.values()] == [True, False, False, False]


def test_a_description_is_limited_and_has_no_control_characters(tools, fake_server):
    toolbox = tools(WEATHER, credentials=fake_server([listed("a", description="x\x1b[2K\u202e" + "y" * 9_000)]))
    description = toolbox["weather_a"].description
    assert len(description) == 2_000 and description.startswith("x [2K y")


def test_secrets_in_the_tool_list_are_redacted(tools, fake_server):
    schema = {"type": "object", "properties": {"a": {"description": f"for {TOKEN}"}}}
    toolbox = tools(WEATHER, credentials=fake_server([listed("a", schema, description=f"the token is {TOKEN}")]))
    assert TOKEN not in json.dumps(tools.listings) and "the token is ***" in toolbox["weather_a"].description


def test_tool_names_are_made_valid_for_a_model(tools, fake_server):
    names = ["files.read", "größe", "x" * 100 + "1", "x" * 100 + "2", "a b"]
    toolbox = tools(WEATHER, credentials=fake_server([listed(name) for name in names]))
    made = list(toolbox)
    assert made[:2] == ["weather_files_read", "weather_gr_e"] and made[4] == "weather_a_b"
    assert len(set(made)) == 5 and max(map(len, made)) == 64


def test_tool_names_that_become_equal_are_an_error(tools, fake_server):
    error = creation_fails(tools, WEATHER, credentials=fake_server([listed("a.b"), listed("a b")]))
    assert "two tools are named weather_a_b" in error.message


def nested(levels):
    schema = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "object", "properties": {"a": {"type": "nothing"}}}, "is not a JSON Schema"),
        ({"type": "object", "description": "x" * 33_000}, "exceeds the limit"),
        ({"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:1/a.json"}}}, "outside of the schema"),
        ({"type": "object", "properties": {"a": {"$ref": "file:///etc/passwd"}}}, "outside of the schema"),
        ({"type": "object", "properties": {"a": {"pattern": "(a{1000}){1000}"}}}, "regex"),
    ],
)
def test_a_tool_with_an_unusable_schema_is_left_out(tools, fake_server, schema, reason):
    credentials = fake_server([listed("bad", schema), listed("good")])
    assert list(tools(WEATHER, credentials=credentials)) == ["weather_good"]
    (line,) = [line for _, line, _ in tools.lines]
    assert line.startswith("the tool 'bad' of weather is left out: ") and reason in line
    error = creation_fails(tools, Spec("mcp", {"credential": "weather", "tools": ["bad"]}), credentials=credentials)
    assert "has no usable tool 'bad'; usable tools: good" in error.message


@pytest.mark.parametrize("schema", [{"type": "string"}, {}, nested(150)])
def test_a_tool_list_that_violates_the_protocol_is_an_error(tools, fake_server, schema):
    error = creation_fails(tools, WEATHER, credentials=fake_server([listed("bad", schema)]))
    assert error.message.startswith("127.0.0.1: ") and len(error.message) < 2_500


@pytest.mark.parametrize("schema", [{"type": "string"}, {}, [], None, {"type": ["object", "null"]}])
def test_a_schema_must_have_the_type_object(schema):
    assert describe_problem(schema) == "its schema must have the type object"


@pytest.mark.slow
def test_many_large_patterns_in_a_schema_do_not_exhaust_memory(tools, fake_server):
    """Each pattern takes some megabytes: together more than the memory limit of the process that checks them."""
    bomb = {f"p{number}": {"pattern": f"[\\w\\W]{{{number + 1}}}\\w{{300}}"} for number in range(700)}
    credentials = fake_server([listed("bomb", {"type": "object", "properties": bomb}), listed("good")])
    toolbox = tools(WEATHER, credentials=credentials)
    assert "weather_good" in toolbox


def test_a_tool_with_an_exponential_schema_is_not_offered(tools, fake_server):
    twice = {f"d{level}": {"anyOf": [{"$ref": f"#/$defs/d{level + 1}"}] * 2} for level in range(40)}
    schema = {
        "type": "object",
        "$defs": {**twice, "d40": {"type": "null"}},
        "properties": {"a": {"$ref": "#/$defs/d0"}},
    }
    assert "references" in describe_problem(schema)
    assert set(tools(WEATHER, credentials=fake_server([listed("a", schema), listed("b")]))) == {"weather_b"}


@pytest.mark.slow
def test_arguments_that_take_exponential_time_to_validate_are_rejected(tools, fake_server):
    """Each level of the data doubles the number of paths through the schema."""
    ways = [{"properties": {"a": {"$ref": "#/$defs/way"}}, "required": [name]} for name in ("b", "c")]
    schema = {"type": "object", "$defs": {"way": {"anyOf": ways}}, "properties": {"a": {"$ref": "#/$defs/way"}}}
    toolbox = tools(WEATHER, credentials=fake_server([listed("a", schema)]))
    arguments = {}
    for _ in range(60):
        arguments = {"a": arguments}
    (issue,) = find_issues(toolbox["weather_a"], arguments)
    assert issue.startswith("the data cannot be validated by this schema: ")


def test_an_oversized_tool_list_response_is_rejected(tools, fake_server, monkeypatch):
    monkeypatch.setattr("packs.mcp.node.MAX_BYTES", 200_000)
    error = creation_fails(tools, WEATHER, credentials=fake_server([listed("a", description="x" * 300_000)]))
    assert "sent more than" in error.message


def test_a_deeply_nested_result_is_truncated(tools, fake_server):
    deep = nested(70)
    toolbox = tools(
        WEATHER,
        credentials=fake_server([listed("a")], respond=lambda message: {"content": [], "structuredContent": deep}),
    )
    assert "nested too deeply" in json.dumps(called(toolbox, "weather_a"))


def test_an_empty_tool_list_is_valid(tools, fake_server):
    assert len(tools(WEATHER, credentials=fake_server([]))) == 0
