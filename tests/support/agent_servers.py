"""A server whose agents have a model and effects of the test, for tests that kill or stop it.

A test imports the fixtures `llm`, `settings` and `server`, and uses `serve` and `effects` of tests/faults.
"""

import pytest
from llm_server import LlmServer, call
from servers import until

POST = {"type": "http", "methods": ["GET", "POST"]}


@pytest.fixture
def llm():
    with LlmServer() as server:
        yield server


@pytest.fixture
def settings(llm):
    return {"OPENAI_BASE_URL": llm.openai_url, "HEADRACE_LLM_MODEL": "openai:gpt-4o-mini"}


@pytest.fixture
def server(serve, settings):
    made = serve(**settings)
    add_agent(made)
    return made


def add_agent(server):
    agent = {"id": "helper", "name": "Helper", "instructions": "You help.", "tools": [POST, "store", "run_flow"]}
    server.call("POST", "/api/agents", agent)


def ask(server, task="Do it."):
    return server.call("POST", "/api/agent/run", {"agent_id": "helper", "task": task, "wait": 0})["id"]


def ended(server, id_):
    """Return the agent's run as soon as it has ended."""
    return until(lambda: (got := server.call("GET", f"/api/agent/runs/{id_}"))["finished_at"] and got, "it ends")


def post(url, body="1"):
    return call("http_request", {"method": "POST", "url": url, "body": body})


def restart(server):
    server.kill()
    server.start()
