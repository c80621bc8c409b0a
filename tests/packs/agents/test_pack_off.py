"""A server without the pack of agents: the contract's resources answer, and what is stored stays."""

import pytest
from llm_server import LlmServer, call, say
from servers import Server, until

pytestmark = pytest.mark.slow
TOOL = {"type": "store", "approval": ["store_set"]}


@pytest.fixture
def llm():
    with LlmServer() as server:
        yield server


@pytest.fixture
def start(tmp_path, llm):
    """`start(**settings)` returns a server over the same data as the one before, which it ends."""
    made = []

    def begin(**settings):
        for server in made:
            server.close()
        server = Server(tmp_path, OPENAI_BASE_URL=llm.openai_url, HEADRACE_LLM_MODEL="openai:gpt-4o-mini", **settings)
        made.append(server)
        server.start()
        server.log_in()
        return server

    yield begin
    for server in made:
        server.close()


def refused(server, method, path, body=None):
    status, answer = server.request(method, path, body)
    return status, answer["error"]


def test_without_the_pack_lists_are_empty_and_a_run_is_refused(start):
    server = start(HEADRACE_PACKS="")
    assert server.call("GET", "/api/ready")["packs"] == []
    for path in ("/api/agents", "/api/agent/logs?agent_id=helper&limit=5", "/api/agent/memory?search=x"):
        assert server.call("GET", path) == {"items": [], "next_cursor": None}
    for path, body in (
        ("/api/agent/run", {"agent_id": "summarizer", "task": "x"}),
        ("/api/agent/memory", {"agent_id": "a", "key": "k", "content": "c"}),
    ):
        status, error = refused(server, "POST", path, body)
        assert status == 503 and "HEADRACE_PACKS leaves out the pack agents" in error
    status, error = refused(server, "POST", "/mcp", {"jsonrpc": "2.0", "id": 1, "method": "ping"})
    assert status == 404, error
    definition = {"nodes": [{"id": "ask", "type": "agent", "config": {"agent_id": "summarizer", "task": "x"}}]}
    status, error = refused(server, "POST", "/api/flows", {"name": "F", "status": "active", "definition": definition})
    assert status == 400 and "agents" in error


def test_a_task_that_waits_outlives_a_server_without_the_pack(start, llm):
    server = start()
    agent = {"id": "helper", "name": "Helper", "instructions": "You help.", "tools": [TOOL]}
    server.call("POST", "/api/agents", agent)
    server.call("POST", "/api/credentials", {"name": "key", "type": "llm", "data": {"api_key": "sk-0123456789"}})
    llm.then(call("store_set", {"key": "a", "value": 1}), say("Done."))
    asked = server.call("POST", "/api/agent/run", {"agent_id": "helper", "task": "Do it.", "wait": 30})
    assert asked["status"] == "waiting"
    server = start(HEADRACE_PACKS="mcp")
    assert [row["name"] for row in server.call("GET", "/api/credentials")["items"]] == ["key"]
    assert server.call("GET", f"/api/runs/{asked['run_id']}")["status"] == "pending"
    assert server.call("GET", "/api/runs")["items"][0]["id"] == asked["run_id"]
    status, error = refused(server, "POST", f"/api/runs/{asked['run_id']}/retry", {"from": "start"})
    assert status == 409, error
    status, error = refused(server, "POST", "/mcp", {"jsonrpc": "2.0", "id": 1, "method": "ping"})
    assert status == 503 and "the pack agents" in error
    server = start()
    answer = {"node_id": "agent", "answer": "approved", "question": asked["question"]}
    server.call("POST", f"/api/runs/{asked['run_id']}/resume", answer)
    path = f"/api/agent/runs/{asked['id']}"
    assert until(lambda: (got := server.call("GET", path))["finished_at"] and got, "the end")["text"] == "Done."


def test_a_task_that_is_resumed_without_the_pack_fails_and_says_why(start, llm):
    server = start()
    server.call("POST", "/api/agents", {"id": "helper", "name": "H", "instructions": "You help.", "tools": [TOOL]})
    llm.then(call("store_set", {"key": "a", "value": 1}))
    asked = server.call("POST", "/api/agent/run", {"agent_id": "helper", "task": "Do it.", "wait": 30})
    server = start(HEADRACE_PACKS="")
    body = {"node_id": "agent", "answer": "approved", "question": asked["question"]}
    status, error = refused(server, "POST", f"/api/runs/{asked['run_id']}/resume", body)
    assert status == 409 and "agents" in error
    assert server.call("GET", f"/api/runs/{asked['run_id']}")["status"] == "pending"
