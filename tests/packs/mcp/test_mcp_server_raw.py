"""POST /mcp byte by byte: invalid messages, authentication, and both styles of the protocol."""

import base64
import json
import time

import pytest

from constants import VERSION
from database import DatabaseRefused
from database.queries import workflows
from models import Workflow
from packs.mcp import server
from packs.mcp import server as mcp

pytestmark = pytest.mark.usefixtures("shared_server")

LATEST = "2026-07-28"
CALLED = {"nodes": [{"id": "begin", "type": "called"}]}
NOTED = {"jsonrpc": "2.0", "method": "notifications/initialized"}
META = {
    "io.modelcontextprotocol/protocolVersion": LATEST,
    "io.modelcontextprotocol/clientCapabilities": {},
}


def message(method="tools/list", id=1, **params):
    return {"jsonrpc": "2.0", "id": id, "method": method, "params": params}


@pytest.fixture
def ask(token_client):
    """`ask(message, version)` posts the message; bytes are sent unchanged."""
    client = token_client("operator")

    def ask(body, version=None, **headers):
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if version is not None:
            headers["MCP-Protocol-Version"] = version
        return client.open("/mcp", method="POST", data=raw, content_type="application/json", headers=headers)

    return ask


@pytest.fixture
def latest(ask):
    """`latest(method, **params)` sends a request of version 2026-07-28; `headers` are added or replaced."""

    def latest(method, headers=None, meta=META, version=LATEST, **params):
        sent = {"Mcp-Method": method} | ({"Mcp-Name": params["name"]} if "name" in params else {}) | (headers or {})
        body = message(method, **params, **({} if meta is None else {"_meta": meta}))
        return ask(body, version, **{name: value for name, value in sent.items() if value is not None})

    return latest


def error_of(answer, status, code):
    """Check the shape of the error and return its text."""
    assert (answer.status_code, answer.json["error"]["code"]) == (status, code), answer.text
    assert answer.mimetype == "application/json" and answer.json["jsonrpc"] == "2.0" and "id" in answer.json
    return answer.json["error"]["message"]


# HTTP


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT", "OPTIONS", "HEAD"])
def test_there_is_neither_a_stream_nor_a_session(token_client, method):
    answer = token_client("owner").open("/mcp", method=method)
    assert answer.status_code == 405 and answer.headers["Allow"] == "POST"


@pytest.mark.parametrize("token", [None, "Bearer hr_wrong", "Basic b3duZXI6eA=="])
def test_without_a_token_the_response_has_the_authentication_scheme(client, token):
    answer = client.post("/mcp", message(), headers={} if token is None else {"Authorization": token})
    assert "There is no valid API token" in error_of(answer, 401, -32600)
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="Headrace"'


def test_a_session_is_not_accepted(owner):
    assert "There is no valid API token" in error_of(owner.post("/mcp", message()), 401, -32600)


def test_another_sites_page_may_not_ask(ask):
    assert "Origin" in error_of(ask(message(), Origin="https://evil.example"), 403, -32600)
    assert ask(message(), Origin="http://localhost").status_code == 200


def test_a_body_without_the_json_content_type_is_not_read(token_client):
    answer = token_client("owner").open("/mcp", method="POST", data=json.dumps(message()), content_type="text/plain")
    assert "application/json" in error_of(answer, 415, -32600)


def test_a_body_that_is_too_large_is_refused(ask, server):
    large = b'"' + b"x" * server.config.max_body_bytes + b'"'
    assert "too large" in error_of(ask(large), 413, -32600)


# JSON-RPC


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b'{"jsonrpc": NaN}'])
def test_malformed_json_is_a_parse_error(ask, raw):
    assert "not JSON" in error_of(ask(raw), 400, -32700)


def test_a_message_that_is_nested_too_deeply_is_refused(ask):
    assert "nested" in error_of(ask(b"[" * 200 + b"]" * 200), 400, -32600)


@pytest.mark.parametrize(
    "body",
    [
        1,
        "tools/list",
        None,
        [],
        {},
        {"id": 1, "method": "ping"},
        {"jsonrpc": "1.0", "id": 1, "method": "ping"},
        {"jsonrpc": "2.0", "id": 1},
        {"jsonrpc": "2.0", "id": 1, "method": 7},
        {"jsonrpc": "2.0", "id": None, "method": "ping"},
        {"jsonrpc": "2.0", "id": 1.5, "method": "ping"},
        {"jsonrpc": "2.0", "id": True, "method": "ping"},
        {"jsonrpc": "2.0", "id": [], "method": "ping"},
    ],
)
@pytest.mark.parametrize("version", [None, "2025-11-25", LATEST])
def test_a_malformed_message_is_an_invalid_request(ask, body, version):
    error_of(ask(body, version), 400, -32600)


def test_an_unknown_method_is_named(ask):
    assert "'prompts/list'" in error_of(ask(message("prompts/list")), 200, -32601)


@pytest.mark.parametrize("params", [[], 1, "x"])
def test_params_are_an_object(ask, params):
    error_of(ask({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": params}), 200, -32602)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"name": 1},
        {"name": "list_flows", "arguments": []},
        {"name": "no_such_tool"},
        {"name": "flow_no_such"},
        {"name": "list_flows", "_meta": {"idempotency-key": 1}},
        {"name": "list_flows", "_meta": {"idempotency-key": "x" * 201}},
    ],
)
def test_params_of_a_call_that_cannot_be_are_an_error(ask, params):
    error_of(ask(message("tools/call", **params)), 200, -32602)


@pytest.mark.parametrize("id_", [0, -1, "a", "", 2**53])
def test_the_answer_has_the_id_of_the_request(ask, id_):
    assert ask(message("ping", id=id_)).json == {"jsonrpc": "2.0", "id": id_, "result": {}}


@pytest.mark.parametrize("body", [NOTED, {"jsonrpc": "2.0", "id": 3, "result": {}}, [NOTED, NOTED]])
def test_notifications_get_no_reply(ask, body):
    answer = ask(body)
    assert answer.status_code == 202 and answer.data == b""


def test_a_batch_is_answered_message_by_message(ask):
    answer = ask([message("ping", id=1), NOTED, message("nothing", id=2), 7, message("ping", id="c")], "2025-03-26")
    assert answer.status_code == 200
    assert [(reply["id"], reply.get("error", {}).get("code")) for reply in answer.json] == [
        (1, None),
        (2, -32601),
        (None, -32600),
        ("c", None),
    ]


@pytest.mark.parametrize("version", ["2024-11-05", "2025-06-18", "2025-11-25", LATEST])
def test_versions_that_have_no_batches_take_none(ask, version):
    error_of(ask([message("ping")], version), 400, -32600)


def test_a_batch_has_a_bound(ask):
    assert len(ask([message("ping", id=number) for number in range(50)]).json) == 50
    error_of(ask([message("ping", id=number) for number in range(51)]), 400, -32600)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RuntimeError("a detail"), "Internal error; the server's log has the details"),
        (DatabaseRefused("a detail"), "The database cannot take this write at the moment; try again soon"),
    ],
)
def test_an_internal_error_is_reported_without_details(ask, monkeypatch, caplog, error, told):
    def fail(*args):
        raise error

    monkeypatch.setattr(workflows, "select_where", fail)
    answer = ask(message("tools/call", name="list_flows"))
    assert error_of(answer, 200, -32603) == told and "a detail" in caplog.text


def test_calls_of_a_batch_share_the_time_that_a_request_may_wait(ask, gate, make_flow, monkeypatch):
    monkeypatch.setattr(mcp, "MAX_SECONDS", 0.2)
    flow = make_flow({"nodes": [{"id": "g", "type": "gate"}]})
    call = message("tools/call", name="run_flow", arguments={"workflow_id": flow["id"], "wait": 60})
    began = time.monotonic()
    replies = ask([call, call, call]).json
    assert time.monotonic() - began < 10
    assert ["has not finished" in reply["result"]["structuredContent"]["note"] for reply in replies] == [True] * 3


# The handshake


@pytest.mark.parametrize(
    ("asked", "agreed"),
    [(version, version) for version in mcp.HANDSHAKE] + [("2023-01-01", "2025-11-25"), (LATEST, "2025-11-25")],
)
def test_the_handshake_agrees_on_a_version(ask, asked, agreed):
    client = {"name": "test", "version": "1"}
    found = ask(message("initialize", protocolVersion=asked, capabilities={}, clientInfo=client)).json["result"]
    assert found["protocolVersion"] == agreed and found["capabilities"] == {"tools": {}}
    assert found["serverInfo"]["name"] == "headrace" and "get_run" in found["instructions"]


def test_a_handshake_needs_a_version(ask):
    error_of(ask(message("initialize")), 200, -32602)


def test_the_server_info_has_the_version_of_the_project():
    assert mcp.SERVER["version"] == VERSION


@pytest.mark.parametrize("version", ["2023-01-01", "2027-01-01", "", "x" * 300])
@pytest.mark.parametrize("body", [message("ping"), message("tools/list", _meta=META), NOTED])
def test_an_unknown_version_is_refused_with_the_supported_ones(ask, version, body):
    answer = ask(body, version, Mcp_Method=body["method"])
    if "_meta" in body.get("params", {}):
        error_of(answer, 400, -32020)
    else:
        error_of(answer, 400, -32022)
        assert answer.json["error"]["data"] == {"supported": [*mcp.HANDSHAKE, LATEST], "requested": version[:100]}


# The way of 2026-07-28


def test_a_server_is_discovered(latest):
    found = latest("server/discover").json["result"]
    assert found["supportedVersions"] == [LATEST] and found["resultType"] == "complete"
    assert found["_meta"] == {"io.modelcontextprotocol/serverInfo": mcp.SERVER}
    assert found["ttlMs"] > 0 and found["cacheScope"] == "private" and found["capabilities"] == {"tools": {}}


def test_a_list_of_tools_is_not_to_be_kept(latest):
    found = latest("tools/list").json["result"]
    assert (found["ttlMs"], found["cacheScope"]) == (0, "private") and found["tools"]


def test_a_call_is_answered_with_its_kind(latest):
    found = latest("tools/call", name="list_flows", arguments={}).json["result"]
    assert found["resultType"] == "complete" and found["structuredContent"] == {"flows": [], "next_cursor": None}


@pytest.mark.parametrize("method", ["initialize", "ping", "subscriptions/listen"])
def test_methods_missing_in_the_latest_version_are_404(latest, method):
    error_of(latest(method), 404, -32601)


def test_server_discover_is_not_a_method_of_handshake_versions(ask):
    error_of(ask(message("server/discover"), "2025-11-25"), 200, -32601)


@pytest.mark.parametrize("meta", [None, 1, {}, {"io.modelcontextprotocol/protocolVersion": LATEST}])
def test_a_request_without_its_envelope_is_refused(latest, meta):
    assert "io.modelcontextprotocol/clientCapabilities" in error_of(latest("tools/list", meta=meta), 400, -32602)


@pytest.mark.parametrize(
    ("method", "params", "headers", "meta"),
    [
        ("tools/list", {}, {"Mcp-Method": "tools/call"}, META),
        ("tools/list", {}, {"Mcp-Method": None}, META),
        ("tools/list", {}, {}, META | {"io.modelcontextprotocol/protocolVersion": "2025-11-25"}),
        ("tools/call", {"name": "list_flows"}, {"Mcp-Name": "list_runs"}, META),
        ("tools/call", {"name": "list_flows"}, {"Mcp-Name": None}, META),
        ("tools/call", {"name": "list_flows"}, {"Mcp-Name": "=?base64?!!?="}, META),
        ("tools/call", {"name": "list_flows"}, {"Mcp-Name": "=?base64?/w==?="}, META),
    ],
)
def test_headers_that_say_something_else_than_the_message_are_refused(latest, method, params, headers, meta):
    assert "Mcp-" in error_of(latest(method, headers, meta, **params), 400, -32020).replace("MCP-", "Mcp-")


def test_a_name_may_be_in_base64(latest):
    name = f"=?base64?{base64.b64encode(b'list_flows').decode()}?="
    assert latest("tools/call", {"Mcp-Name": name}, name="list_flows").status_code == 200
    unknown = f"=?base64?{base64.b64encode('größe'.encode()).decode()}?="
    assert "größe" in error_of(latest("tools/call", {"Mcp-Name": unknown}, name="größe"), 400, -32602)


def test_a_notification_of_the_latest_version_needs_no_answer(ask):
    assert ask({"jsonrpc": "2.0", "method": "notifications/cancelled"}, LATEST).status_code == 202


# Tools


def test_every_tool_of_ours_is_called_by_its_own_schema(ask):
    for tool in ask(message()).json["result"]["tools"]:
        found = ask(message("tools/call", name=tool["name"], arguments={"no_such": 1})).json["result"]
        assert found["isError"] and f"{tool['name']} does not accept these arguments" in found["content"][0]["text"]


def test_hints_say_which_tools_only_look(ask):
    tools = ask(message()).json["result"]["tools"]
    acting = {tool["name"] for tool in tools if not tool["annotations"]["readOnlyHint"]}
    assert acting == {"run_flow", "cancel_run"} == {tool.name for tool in server.TOOLS if tool.role != "viewer"}
    assert all(tool["annotations"]["destructiveHint"] for tool in tools if tool["name"] in acting)


def test_many_tools_are_listed_page_by_page(ask, workspace):
    made = [
        Workflow.add(
            workspace_id=workspace.id,
            name=f"F{number}",
            status="active",
            version=1,
            definition_json=json.dumps(CALLED),
            updated_at=0,
        ).id
        for number in range(205)
    ]
    names, cursor, sizes = [], None, []
    while cursor is not None or not sizes:
        page = ask(message(**({} if cursor is None else {"cursor": cursor}))).json["result"]
        names += [tool["name"] for tool in page["tools"]]
        sizes.append(len(page["tools"]))
        cursor = page.get("nextCursor")
    assert sizes == [100, 100, len(server.TOOLS) + 5]
    assert names == [tool.name for tool in server.TOOLS] + [f"flow_f{number}" for number in range(len(made))]


@pytest.mark.parametrize("cursor", [1, "", "%%%", "d2Y"])
def test_a_cursor_that_is_none_of_ours_is_refused(ask, cursor):
    assert "cursor" in error_of(ask(message(cursor=cursor)), 200, -32602)
