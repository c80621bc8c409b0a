"""The model of a task if neither the task nor the agent names one, on a server without settings of a model."""

import dataclasses

import pytest
from llm_server import say


@pytest.fixture
def config(config):
    """Settings without a model."""
    return dataclasses.replace(config, openai_base_url="", llm_model="", egress_allow=("127.0.0.1",))


@pytest.fixture
def add_credential(owner, llm):
    """`add_credential("mine")` adds a credential with the address of the scripted model, and returns it."""

    def add(name, **more):
        data = {"api_key": "sk-0123456789abcdef", "base_url": llm.openai_url, **more}
        answer = owner.post("/api/credentials", {"name": name, "type": "llm", "data": data})
        assert answer.status_code == 201, answer.text
        return answer.json

    return add


def test_the_only_credential_of_a_model_is_enough(add_agent, ask, llm, add_credential, log_of):
    add_agent()
    add_credential("mine")
    llm.then(say("With your own key."))
    answer = ask()
    assert (answer["status"], answer["text"]) == ("success", "With your own key.")
    assert answer["model"] == "openai:gpt-6-luna"
    assert llm.requests[0].headers["authorization"] == "Bearer sk-0123456789abcdef"


def test_the_nodes_use_the_only_credential_too(owner, make_flow, llm, add_credential):
    add_credential("mine", model="own-7b")
    llm.then(say("Hello."))
    flow = make_flow({"nodes": [{"id": "ask", "type": "llm", "config": {"prompt": "Hello?"}}]})
    output = owner.post(f"/api/workflows/{flow['id']}/run?wait=30", {}).json["output"]
    assert output["text"] == "Hello." and output["model"] == "openai:own-7b"


def test_of_several_credentials_a_task_must_name_one(add_agent, owner, ask, llm, add_credential):
    add_agent()
    add_credential("mine")
    add_credential("yours")
    answer = owner.post("/api/agent/run", {"agent_id": "helper", "task": "x"})
    assert answer.status_code == 503 and "has several credentials of the type Language model" in answer.json["error"]
    llm.then(say("Hello."))
    assert ask(credentials={"llm": "yours"})["text"] == "Hello."
