"""A server whose agents use a scripted model, over real HTTP."""

import dataclasses

import pytest
from llm_server import LlmServer
from written import list_tables

from database import execute


@pytest.fixture(autouse=True)
def no_complaints_of_loops(caplog):
    """Fail a test that leaves tasks or errors behind in an event loop without awaiting them."""
    yield
    complaints = [record.getMessage() for record in caplog.get_records("call") if record.name == "asyncio"]
    assert not complaints


@pytest.fixture
def llm():
    """The model: `llm.then(say("hello"))` adds to its script."""
    with LlmServer() as server:
        yield server


@pytest.fixture
def config(config, llm):
    """Settings with the scripted model as the server's default."""
    return dataclasses.replace(config, openai_base_url=llm.openai_url, llm_model="openai:gpt-4o-mini")


@pytest.fixture
def add_agent(owner):
    """`add_agent(tools=["store"])` creates an agent of the workspace, by default with the id `helper`."""

    def add(**values):
        usual = {"id": "helper", "name": "Helper", "instructions": "You help.", "limits": {"steps": 6}}
        answer = owner.post("/api/agents", usual | values)
        assert answer.status_code == 201, answer.text
        return answer.json

    return add


@pytest.fixture
def ask(owner):
    """`ask("do it")` returns the response of POST /api/agent/run for the agent `helper`, which must be 200 or 202."""

    def give(task="Do it.", expect=200, **values):
        answer = owner.post("/api/agent/run", {"agent_id": "helper", "task": task, **values})
        assert answer.status_code == expect, answer.text
        return answer.json

    return give


@pytest.fixture
def log_of(owner):
    """`log_of(answer)` returns the agent's run with its steps."""
    return lambda answer: owner.get(f"/api/agent/runs/{answer['id']}").json


@pytest.fixture
def all_text(app):
    """`all_text()` returns the content of all tables as text, for searching."""

    def read():
        tables = [name for name in list_tables() if name != "credentials"]
        return "\n".join(str(row) for name in tables for row in execute(f'SELECT * FROM "{name}"').fetchall())

    return read


@pytest.fixture
def client(app):
    """Somebody who is not logged in, as in tests/conftest.py, and not the client of nodes."""
    return app.test_client()


@pytest.fixture
def run(make_run):
    """A finished run, as in tests/conftest.py, and not the function that executes a node."""
    return make_run(input=1)
