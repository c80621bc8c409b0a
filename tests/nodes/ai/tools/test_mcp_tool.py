"""Tools of servers that speak the Model Context Protocol, as tools of an agent."""

import json
import time

import pytest
from mcp_servers import TOKEN, credential, running
from toolboxes import Spec, called
from werkzeug import Response

from errors import NodeError
from nodes.ai.tools import find_issues, mcp
from nodes.ai.tools.mcp import describe_problem

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


def refused(tools, *specs, **context):
    with pytest.raises(NodeError) as caught:
        tools(*specs, **context)
    return caught.value


def fails(toolbox, name, **arguments):
    with pytest.raises(NodeError) as caught:
        toolbox[name].call(arguments, "call:1")
    return caught.value


# The tools of a real server


def test_each_tool_of_the_server_is_a_tool(weather):
    assert list(weather)[:3] == ["weather_forecast", "weather_say", "weather_both"]
    made = weather["weather_forecast"]
    assert made.parameters["properties"]["city"]["type"] == "string" and made.parameters["required"] == ["city"]
    assert made.description == "The tool forecast of weather."
    assert not made.approval and not made.may_repeat({"city": "a"})


def test_a_call_goes_through_and_its_result_comes_back(weather, server):
    assert called(weather, "weather_forecast", city="Lübeck") == {"celsius": 12.5, "rain": True}
    assert called(weather, "weather_say", text="höre") == "höre"
    assert server.calls == [("forecast", "Lübeck", 1), ("say", "höre")]


def test_arguments_are_checked_before_the_server_is_asked(weather, server):
    assert find_issues(weather["weather_forecast"], {"days": "many"}) != []
    assert server.calls == []


def test_a_failure_of_the_tool_is_told_to_the_model(weather):
    assert "no such city" in fails(weather, "weather_fail", why="no such city").message


def test_a_picture_is_not_shown_as_text(weather):
    shown = called(weather, "weather_picture")
    assert shown == {"type": "image", "mimeType": "image/png", "data": "(4 characters of base64, not shown)"}
    assert called(weather, "weather_both", text="a")[1]["data"] == "(4 characters of base64, not shown)"


def test_a_large_result_is_cut(weather):
    shown = called(weather, "weather_large", size=300_000)
    assert len(shown) < 20_000 and "more characters were cut" in shown


def test_a_tool_that_never_answers_ends_with_the_run(tools, server):
    toolbox = tools(WEATHER, credentials=credential(server.url), seconds=2)
    began = time.monotonic()
    assert "did not answer in time" in fails(toolbox, "weather_never").message
    assert time.monotonic() - began < 20


def test_tools_may_be_chosen(tools, server):
    spec = Spec("mcp", {"credential": "weather", "tools": ["say", "forecast", "say"]})
    assert list(tools(spec, credentials=credential(server.url))) == ["weather_say", "weather_forecast"]
    spec = Spec("mcp", {"credential": "weather", "tools": ["sing"]})
    error = refused(tools, spec, credentials=credential(server.url))
    assert "weather has no usable tool 'sing'; usable tools: forecast, say" in error.message


def test_approval_is_by_the_server_s_name_of_a_tool_or_by_ours(tools, server):
    spec = Spec("mcp", {"credential": "weather"}, approval=("say", "weather_forecast"))
    toolbox = tools(spec, credentials=credential(server.url))
    assert {name for name, made in toolbox.items() if made.approval} == {"weather_say", "weather_forecast"}
    error = refused(
        tools, Spec("mcp", {"credential": "weather"}, approval=("sing",)), credentials=credential(server.url)
    )
    assert "approval: mcp has no tool 'sing'" in error.message


def test_two_servers_may_have_tools_of_the_same_name(tools, server):
    both = {**credential(server.url), "Wetter & mehr": credential(server.url)["weather"]}
    toolbox = tools(WEATHER, Spec("mcp", {"credential": "Wetter & mehr", "tools": ["say"]}), credentials=both)
    assert called(toolbox, "weather_say", text="a") == called(toolbox, "wetter_mehr_say", text="a") == "a"
    alike = {**credential(server.url), "WEATHER": credential(server.url)["weather"]}
    error = refused(tools, WEATHER, Spec("mcp", {"credential": "WEATHER"}), credentials=alike)
    assert error.message == "two tools are named weather_forecast: one of mcp and one of mcp"


def test_who_runs_an_agent_may_give_the_server(tools, server):
    toolbox = tools(Spec("mcp"), credentials=credential(server.url), lent={"mcp": "weather"})
    assert "weather_say" in toolbox
    assert "the tool mcp needs a credential of the type mcp" in refused(tools, Spec("mcp")).message


def test_a_resumed_agent_has_the_tools_with_which_it_began_and_asks_nobody(tools, server):
    first = tools(WEATHER, credentials=credential(server.url))
    listings = json.dumps(tools.listings)
    server.app.seen.clear()
    again = tools(WEATHER, credentials=credential(server.url), listings=json.loads(listings))
    assert server.app.seen == [] and tools.listings == json.loads(listings)
    shape = [(made.name, made.description, made.parameters, made.repeatable) for made in first.values()]
    assert [(made.name, made.description, made.parameters, made.repeatable) for made in again.values()] == shape
    assert called(again, "weather_say", text="a") == "a"


def test_a_token_that_is_wrong_is_an_error_without_it(tools, server):
    error = refused(tools, WEATHER, credentials=credential(server.url, token="falsch"))
    assert "answered 401" in error.message and "falsch" not in error.message


def test_a_server_that_may_not_be_reached_or_told_the_token_is_not_asked(tools, server):
    server.app.seen.clear()
    error = refused(tools, WEATHER, credentials=credential(f"http://127.0.0.2:{server.port}/mcp"))
    assert "may not be reached" in error.message
    type_, data = credential(server.url)["weather"]
    error = refused(tools, WEATHER, credentials={"weather": (type_, data, ("a.example",))})
    assert "may not be sent to" in error.message and server.app.seen == []


# Servers that do not behave


@pytest.fixture
def odd(httpserver):
    """`odd(*pages)` is a server whose list of tools has these pages; `odd.asked` are their cursors."""

    def odd(*pages, respond=None):
        odd.asked = []

        def answer(request):
            asked = json.loads(request.data) if request.data else {}
            if asked.get("method") == "initialize":
                info = {"serverInfo": {"name": "odd", "version": "1"}, "capabilities": {"tools": {}}}
                return said(asked, {"protocolVersion": "2025-06-18", **info})
            if asked.get("method") == "tools/list":
                number = int((asked.get("params") or {}).get("cursor", 0))
                odd.asked.append(number)
                last = number + 1 == len(pages)
                more = {} if last else {"nextCursor": str((number + 1) % len(pages))}
                return said(asked, {"tools": pages[number], **more})
            if asked.get("method") == "tools/call":
                return said(asked, respond(asked["params"]))
            return Response(status=202 if "id" not in asked else 400)

        httpserver.expect_request("/mcp").respond_with_handler(answer)
        return credential(f"http://127.0.0.1:{httpserver.port}/mcp")

    return odd


def said(asked, result):
    return Response(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}), mimetype="application/json")


def listed(name, schema=None, **more):
    return {"name": name, "inputSchema": {"type": "object"} if schema is None else schema, **more}


def test_pages_of_tools_are_put_together(tools, odd):
    toolbox = tools(WEATHER, credentials=odd([listed("a")], [listed("b")], [listed("c")]))
    assert list(toolbox) == ["weather_a", "weather_b", "weather_c"] and odd.asked == [0, 1, 2]


def test_pages_without_end_are_not_followed_for_ever(tools, odd, monkeypatch):
    monkeypatch.setattr(mcp, "MAX_PAGES", 3)
    pages = [[listed(f"t{number}")] for number in range(9)]
    assert len(tools(WEATHER, credentials=odd(*pages))) == 3 and odd.asked == [0, 1, 2]


def test_a_server_that_says_very_much_of_its_tools_is_cut_off(tools, odd):
    large = {"type": "object", "description": "x" * 30_000}
    toolbox = tools(WEATHER, credentials=odd([listed(f"t{number}", large) for number in range(90)]))
    assert len(toolbox) == 16 and len(json.dumps(tools.listings)) < 520_000
    assert any("the rest is left out" in line for _, line, _ in tools.lines)


def test_of_many_tools_the_first_are_there_or_those_that_are_named(tools, odd):
    known = odd([listed(f"t{number}") for number in range(300)])
    assert len(tools(WEATHER, credentials=known)) == 100
    assert any("weather has 300 tools; only the first 100" in line for _, line, _ in tools.lines)
    chosen = tools(Spec("mcp", {"credential": "weather", "tools": ["t299"]}), credentials=known)
    assert list(chosen) == ["weather_t299"]


def test_only_a_tool_that_says_it_reads_may_be_repeated(tools, odd):
    hints = {"a": {"readOnlyHint": True}, "b": {"readOnlyHint": False, "idempotentHint": True}, "c": {}}
    known = odd([listed(name, annotations=hint) for name, hint in hints.items()] + [listed("d")])
    toolbox = tools(WEATHER, credentials=known)
    assert [made.may_repeat({}) for made in toolbox.values()] == [True, False, False, False]


def test_a_description_has_a_bound_and_nothing_that_hides(tools, odd):
    toolbox = tools(WEATHER, credentials=odd([listed("a", description="x\x1b[2K\u202e" + "y" * 9_000)]))
    description = toolbox["weather_a"].description
    assert len(description) == 2_000 and description.startswith("x [2K y")


def test_a_secret_that_a_server_puts_into_its_list_is_struck_out(tools, odd):
    schema = {"type": "object", "properties": {"a": {"description": f"for {TOKEN}"}}}
    toolbox = tools(WEATHER, credentials=odd([listed("a", schema, description=f"the token is {TOKEN}")]))
    assert TOKEN not in json.dumps(tools.listings) and "the token is ***" in toolbox["weather_a"].description


def test_names_become_such_as_a_model_can_take(tools, odd):
    names = ["files.read", "größe", "x" * 100 + "1", "x" * 100 + "2", "a b"]
    toolbox = tools(WEATHER, credentials=odd([listed(name) for name in names]))
    made = list(toolbox)
    assert made[:2] == ["weather_files_read", "weather_gr_e"] and made[4] == "weather_a_b"
    assert len(set(made)) == 5 and max(map(len, made)) == 64


def test_names_that_become_the_same_are_an_error_that_names_it(tools, odd):
    error = refused(tools, WEATHER, credentials=odd([listed("a.b"), listed("a b")]))
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
def test_a_schema_that_cannot_be_used_leaves_its_tool_out(tools, odd, schema, reason):
    known = odd([listed("bad", schema), listed("good")])
    assert list(tools(WEATHER, credentials=known)) == ["weather_good"]
    (line,) = [line for _, line, _ in tools.lines]
    assert line.startswith("the tool 'bad' of weather is left out: ") and reason in line
    error = refused(tools, Spec("mcp", {"credential": "weather", "tools": ["bad"]}), credentials=known)
    assert "has no usable tool 'bad'; usable tools: good" in error.message


@pytest.mark.parametrize("schema", [{"type": "string"}, {}, nested(150)])
def test_a_list_that_the_protocol_does_not_know_is_an_error(tools, odd, schema):
    error = refused(tools, WEATHER, credentials=odd([listed("bad", schema)]))
    assert error.message.startswith("127.0.0.1: ") and len(error.message) < 2_500


@pytest.mark.parametrize("schema", [{"type": "string"}, {}, [], None, {"type": ["object", "null"]}])
def test_a_schema_is_of_an_object(schema):
    assert describe_problem(schema) == "its schema must have the type object"


@pytest.mark.slow
def test_a_schema_of_many_large_patterns_costs_the_server_s_memory_nothing(tools, odd):
    """Each takes some megabytes: together more than the process that looks at them may have."""
    bomb = {f"p{number}": {"pattern": f"[\\w\\W]{{{number + 1}}}\\w{{300}}"} for number in range(700)}
    known = odd([listed("bomb", {"type": "object", "properties": bomb}), listed("good")])
    toolbox = tools(WEATHER, credentials=known)
    assert "weather_good" in toolbox


def test_a_schema_that_would_take_years_to_check_is_not_offered(tools, odd):
    twice = {f"d{level}": {"anyOf": [{"$ref": f"#/$defs/d{level + 1}"}] * 2} for level in range(40)}
    schema = {
        "type": "object",
        "$defs": {**twice, "d40": {"type": "null"}},
        "properties": {"a": {"$ref": "#/$defs/d0"}},
    }
    assert "references" in describe_problem(schema)
    assert set(tools(WEATHER, credentials=odd([listed("a", schema), listed("b")]))) == {"weather_b"}


@pytest.mark.slow
def test_arguments_that_would_take_years_are_an_answer_to_the_model(tools, odd):
    """Each level of the data doubles the ways through the schema."""
    ways = [{"properties": {"a": {"$ref": "#/$defs/way"}}, "required": [name]} for name in ("b", "c")]
    schema = {"type": "object", "$defs": {"way": {"anyOf": ways}}, "properties": {"a": {"$ref": "#/$defs/way"}}}
    toolbox = tools(WEATHER, credentials=odd([listed("a", schema)]))
    arguments = {}
    for _ in range(60):
        arguments = {"a": arguments}
    (issue,) = find_issues(toolbox["weather_a"], arguments)
    assert issue.startswith("the data cannot be validated by this schema: ")


def test_a_server_that_lists_without_end_is_cut_off(tools, odd, monkeypatch):
    monkeypatch.setattr("nodes.remote.mcp.MAX_BYTES", 200_000)
    error = refused(tools, WEATHER, credentials=odd([listed("a", description="x" * 300_000)]))
    assert "sent more than" in error.message


def test_a_result_that_is_nested_without_end_is_shown_to_some_depth(tools, odd):
    deep = nested(70)
    toolbox = tools(
        WEATHER, credentials=odd([listed("a")], respond=lambda asked: {"content": [], "structuredContent": deep})
    )
    assert "nested too deeply" in json.dumps(called(toolbox, "weather_a"))


def test_an_empty_list_is_no_error(tools, odd):
    assert len(tools(WEATHER, credentials=odd([]))) == 0
