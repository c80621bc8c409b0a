"""Headrace as an MCP server: a real server, and the protocol's own client in both styles."""

import asyncio
import os
import sys
from contextlib import asynccontextmanager

import httpx2
import pytest
from children import child
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from test_readme import ROOT, free_port, wait_for

from packs.mcp.server import MAX_OUTPUT, TOOLS

pytestmark = pytest.mark.slow
EMAIL, PASSWORD = "me@example.com", "change-me-please"
ORDER = {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}


def chain(*nodes, **config):
    """Return a flow with a call trigger of this config, followed by these nodes."""
    nodes = [{"id": "begin", "type": "called", "config": config}, *nodes]
    return {"nodes": nodes, "edges": [[a["id"], b["id"]] for a, b in zip(nodes, nodes[1:], strict=False)]}


LOOK_UP = chain(
    {"id": "find", "type": "set", "config": {"values": {"found": "{{ input.id }}"}}},
    input_schema=ORDER,
    description="Finds an order.",
)
REFUSE = chain({"id": "stop", "type": "stop", "config": {"message": "there is no order {{ input.id }}"}})
ASK = chain({"id": "ask", "type": "approval", "config": {"message": "Pay?"}})


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    port = free_port()
    env = {
        **{key: value for key, value in os.environ.items() if not key.startswith("HEADRACE")},
        "PORT": str(port),
        "HEADRACE_DATA_DIR": str(tmp_path_factory.mktemp("data")),
        "HEADRACE_ADMIN_EMAIL": EMAIL,
        "HEADRACE_ADMIN_PASSWORD": PASSWORD,
        "HEADRACE_EGRESS_ALLOW": "127.0.0.1",
        "HEADRACE_DURABILITY": "normal",
        "HEADRACE_MAX_WORKSPACES": "1000",
    }
    with child([sys.executable, "workflow_server.py"], seconds=None, cwd=ROOT, env=env) as process:
        wait_for(f"http://127.0.0.1:{port}/api/health", process)
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def session(address):
    with httpx2.Client(base_url=address, trust_env=False) as http:
        http.post("/api/auth/login", json={"email": EMAIL, "password": PASSWORD}).raise_for_status()
        yield http


class Place:
    """A new workspace on the server, and its MCP clients."""

    def __init__(self, session, mode):
        self.session, self.mode, self.url = session, mode, str(session.base_url).rstrip("/") + "/mcp"
        self.headers = {}
        self.headers["X-Workspace-Id"] = self.post("/api/workspaces", name="Place")["id"]

    def post(self, path, **body):
        answer = self.session.post(path, json=body, headers=self.headers)
        assert answer.is_success, answer.text
        return answer.json()

    def get(self, path):
        return self.session.get(path, headers=self.headers).json()

    def flow(self, name, definition, status="active"):
        return self.post("/api/flows", name=name, definition=definition, status=status)["id"]

    def switch(self, flow, status):
        self.session.put(f"/api/workflows/{flow}", json={"status": status}, headers=self.headers).raise_for_status()

    def token(self, role="operator"):
        return self.post("/api/tokens", name="test", role=role)["token"]

    def do(self, question, role="operator", token=None, **headers):
        """Return the result of the async function `question(client)`."""

        async def asked():
            async with self.connected(token or self.token(role), headers) as client:
                return await question(client)

        return asyncio.run(asked())

    @asynccontextmanager
    async def connected(self, token, headers):
        sent = {"Authorization": f"Bearer {token}", **headers}
        async with httpx2.AsyncClient(headers=sent, timeout=70, trust_env=False) as http:
            transport = streamable_http_client(self.url, http_client=http)
            async with Client(transport, mode=self.mode) as client:
                yield client

    def call(self, tool, arguments=None, meta=None, **options):
        return self.do(lambda client: client.call_tool(tool, arguments or {}, meta=meta), **options)

    def gives(self, tool, **arguments):
        """Return the data of a successful call."""
        found = self.call(tool, arguments)
        assert not found.is_error, found.content
        return found.structured_content

    def tools(self, role="operator"):
        return {tool.name: tool for tool in self.do(lambda client: client.list_tools(), role).tools}


@pytest.fixture(params=["auto", "legacy"])
def place(session, request):
    return Place(session, request.param)


def failure(found):
    """Return the error text of a failed call."""
    assert found.is_error
    return found.content[0].text


def refusal(ask):
    """Return code and text of a protocol error, which the client may wrap in exception groups."""
    with pytest.raises((MCPError, ExceptionGroup)) as caught:
        ask()
    error = caught.value
    while isinstance(error, ExceptionGroup):
        (error,) = error.exceptions
    return error.code, error.message


def test_a_client_connects_with_its_newest_version(place):
    async def question(client):
        return client.protocol_version, client.server_info.name, client.server_capabilities.tools is not None

    version = "2026-07-28" if place.mode == "auto" else "2025-11-25"
    assert place.do(question) == (version, "headrace", True)


def test_each_callable_flow_is_a_tool(place):
    place.flow("Find an order", LOOK_UP)
    place.flow("A draft", LOOK_UP, status="draft")
    tools = place.tools()
    assert [*tools] == [*(tool.name for tool in TOOLS), "flow_find_an_order"]
    tool = tools["flow_find_an_order"]
    assert (tool.title, tool.description, tool.input_schema) == ("Find an order", "Finds an order.", ORDER)
    assert (tool.annotations.read_only_hint, tool.annotations.destructive_hint) == (False, True)
    assert tools["get_run"].annotations.read_only_hint is True


def test_a_flow_is_called_with_typed_arguments_and_gives_its_output(place):
    flow = place.flow("Find", LOOK_UP)
    found = place.gives("flow_find", id=7)
    assert (found["status"], found["output"], found["error_text"]) == ("success", {"found": 7}, None)
    run = place.get(f"/api/runs/{found['run_id']}")
    assert (run["workflow_id"], run["triggered_by"], run["input"]) == (flow, "manual", {"id": 7})


def test_a_flow_begins_where_it_is_called(place):
    definition = LOOK_UP | {"nodes": [*LOOK_UP["nodes"], {"id": "hook", "type": "manual"}]}
    place.flow("Find", definition)
    steps = place.gives("get_run", run_id=place.gives("flow_find", id=7)["run_id"])["steps"]
    assert [step["node_id"] for step in steps if step["status"] == "success"] == ["begin", "find"]


def test_a_failed_flow_is_an_error_with_its_reason_and_run(place):
    place.flow("Refuse", REFUSE)
    found = place.call("flow_refuse", {"id": 7})
    assert "there is no order 7" in failure(found)
    assert found.structured_content["status"] == "failed"
    told = place.gives("get_run", run_id=found.structured_content["run_id"])
    assert (told["error_text"], told["error_node_id"]) == ("there is no order 7", "stop")


def test_arguments_that_the_schema_does_not_take_start_no_run(place):
    place.flow("Find", LOOK_UP)
    for arguments, place_of_it in (({"id": "x"}, "id: "), ({}, "input: ")):
        assert f"The input does not match the input schema: {place_of_it}" in failure(
            place.call("flow_find", arguments)
        )
    assert "get_run does not accept these arguments" in failure(place.call("get_run", {"run": 1}))
    assert place.gives("list_runs")["runs"] == []


def test_a_flow_for_people_accepts_the_same_input_from_clients(place):
    start = {"id": "start", "type": "manual", "config": {"input_schema": ORDER}}
    flow = place.flow("By hand", {"nodes": [start], "edges": []})
    told = failure(place.call("run_flow", {"workflow_id": flow, "input": {"id": "x"}}))
    assert told.startswith("The input does not match the input schema: id: ")
    assert place.gives("list_runs")["runs"] == []
    assert place.gives("run_flow", workflow_id=flow, input={"id": 7})["output"] == {"id": 7}


def test_a_flow_that_takes_no_object_has_its_input_under_a_key(place):
    place.flow("Sum", chain(input_schema={"type": "array", "items": {"type": "integer"}}))
    assert place.tools()["flow_sum"].input_schema["properties"]["input"]["type"] == "array"
    assert place.gives("flow_sum", input=[1, 2])["output"] == [1, 2]
    assert "input schema: [0]: " in failure(place.call("flow_sum", {"input": ["x"]}))


def test_a_wrong_token_is_an_error(place):
    told = refusal(lambda: place.do(lambda client: client.list_tools(), token="hr_wrong"))
    assert "There is no valid API token" in told[1]


def test_a_viewer_looks_and_does_not_run(place):
    flow = place.flow("Find", LOOK_UP)
    assert not {"run_flow", "cancel_run", "flow_find"} & place.tools("viewer").keys()
    for tool, arguments in (("flow_find", {"id": 1}), ("run_flow", {"workflow_id": flow})):
        assert "This needs the role operator; your role is viewer" in failure(
            place.call(tool, arguments, role="viewer")
        )
    assert not place.call("get_flow", {"workflow_id": flow}, role="viewer").is_error
    assert place.gives("list_runs")["runs"] == []


def test_nothing_of_another_workspace_is_there(place):
    theirs = Place(place.session, place.mode)
    flow = theirs.flow("Find", LOOK_UP)
    run = theirs.gives("flow_find", id=1)["run_id"]
    assert "flow_find" not in place.tools()
    assert place.gives("list_flows")["flows"] == place.gives("list_runs")["runs"] == []
    for tool, key, id_ in (
        ("get_flow", "workflow_id", flow),
        ("run_flow", "workflow_id", flow),
        ("get_run", "run_id", run),
        ("get_run_log", "run_id", run),
        ("cancel_run", "run_id", run),
    ):
        assert failure(place.call(tool, {key: id_})) in (f"There is no flow {id_!r}", f"There is no run {id_!r}")


def test_an_inactive_flow_is_not_a_tool(place):
    flow = place.flow("Find", LOOK_UP)

    async def question(client):
        before = {tool.name for tool in (await client.list_tools()).tools}
        place.switch(flow, "draft")
        after = {tool.name for tool in (await client.list_tools()).tools}
        with pytest.raises(MCPError) as caught:
            await client.call_tool("flow_find", {"id": 1})
        return before - after, caught.value.code, caught.value.message

    assert place.do(question) == ({"flow_find"}, -32602, "There is no tool 'flow_find'")


def test_an_unknown_tool_is_an_error_of_the_protocol(place):
    assert refusal(lambda: place.call("größe")) == (-32602, "There is no tool 'größe'")


def test_the_list_has_more_than_one_page(place):
    for number in range(100):
        place.flow(f"F{number}", chain())

    async def question(client):
        first = await client.list_tools()
        return first.tools, (await client.list_tools(cursor=first.next_cursor)).tools

    first, second = place.do(question)
    assert len(first) == 100 and [tool.name for tool in second] == [f"flow_f{n}" for n in range(100 - len(TOOLS), 100)]


def test_any_flow_runs_with_any_input(place):
    flow = place.flow("By hand", {"nodes": [{"id": "a", "type": "manual"}]}, status="draft")
    assert place.gives("run_flow", workflow_id=flow, input=[1])["output"] == [1]
    place.switch(flow, "archived")
    assert "archived" in failure(place.call("run_flow", {"workflow_id": flow}))


def test_an_unfinished_run_is_named_and_can_be_cancelled(place):
    place.flow("Ask", ASK)
    found = place.gives("flow_ask")
    assert found["status"] == "pending" and found["output"] is None
    assert found["run_id"] in found["note"] and "approval: Pay?" in found["note"]
    assert place.gives("list_runs", status="pending")["runs"][0]["waiting"] == "approval: Pay?"
    cancelled = place.gives("cancel_run", run_id=found["run_id"])
    assert cancelled["status"] == "failed" and cancelled["error_text"] == f"cancelled by {EMAIL}"
    assert "ended already" in failure(place.call("cancel_run", {"run_id": found["run_id"]}))


def test_a_call_can_return_without_waiting(place):
    flow = place.flow("Slow", chain({"id": "nap", "type": "wait", "config": {"seconds": 30}}))
    found = place.gives("run_flow", workflow_id=flow, wait=0)
    assert found["status"] in ("pending", "running") and found["run_id"] in found["note"]


def test_a_flow_that_pauses_is_waited_for(place):
    place.flow("Pause", chain({"id": "nap", "type": "wait", "config": {"seconds": 0.2}}))
    assert place.gives("flow_pause", a=1)["output"] == {"a": 1}


@pytest.mark.parametrize("by", ["meta", "header"])
def test_a_call_that_is_repeated_with_its_key_starts_no_second_run(place, by):
    place.flow("Find", LOOK_UP)
    mark = {"meta": {"idempotency-key": "k1"}} if by == "meta" else {"Idempotency-Key": "k1"}
    ids = {place.call("flow_find", {"id": n}, **mark).structured_content["run_id"] for n in (1, 2)}
    assert len(ids) == 1 and len(place.gives("list_runs")["runs"]) == 1


def test_a_large_output_is_cut_and_marked(place):
    place.flow("Large", chain({"id": "s", "type": "set", "config": {"values": {"a": "x" * 200_000}}}))
    cut = place.gives("flow_large")["output"]["$cut"]
    assert cut["bytes"] > 200_000 and len(cut["start"]) == MAX_OUTPUT


def test_a_run_is_looked_at_with_its_log(place):
    place.flow("Note", chain({"id": "note", "type": "log", "config": {"message": "hello {{ input.a }}"}}))
    run = place.gives("flow_note", a=1)["run_id"]
    (entry,) = place.gives("get_run_log", run_id=run)["entries"]
    assert (entry["message"], entry["node_id"]) == ("hello 1", "note")
    assert [step["node_id"] for step in place.gives("get_run", run_id=run)["steps"]] == ["begin", "note"]


def test_nodes_are_found_and_definitions_validated(place):
    assert place.gives("search_nodes", query="web request")["nodes"]
    assert place.gives("describe_node", type="http")["config_schema"]["required"] == ["url"]
    assert place.gives("validate_flow", definition=LOOK_UP) == {"ok": True, "issues": []}
    wrong = {"nodes": [{"id": "a", "type": "htpp"}]}
    (issue,) = place.gives("validate_flow", definition=wrong)["issues"]
    assert issue["path"] == "nodes[0].type" and "did you mean 'http'" in issue["message"]


def test_one_headrace_calls_the_flows_of_another(place):
    theirs = Place(place.session, place.mode)
    theirs.flow("Find", LOOK_UP)
    data = {"url": place.url, "token": theirs.token()}
    place.post("/api/credentials", name="theirs", type="mcp", data=data)
    config = {"credential": "theirs", "tool": "flow_find", "arguments": {"id": "{{ input }}"}}
    flow = place.flow("Relay", {"nodes": [{"id": "call", "type": "mcp", "config": config}]})
    assert place.gives("run_flow", workflow_id=flow, input=7)["output"]["output"] == {"found": 7}
    failed = failure(place.call("run_flow", {"workflow_id": flow, "input": "x"}))
    assert "the tool 'flow_find' failed: The input does not match the input schema" in failed
