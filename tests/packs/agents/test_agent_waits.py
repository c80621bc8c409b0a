"""Agents that wait: for the approval of a call, and for flows that they have called."""

import json

import pytest
from llm_server import call, calls, say

from database.queries import waits
from database.queries.store import WorkspaceStore
from models import Run, Wait
from nodes.base import REGISTRY

ASKING = {"type": "store", "approval": ["store_set"]}
SET = call("store_set", {"key": "a", "value": 1})


@pytest.fixture
def asked(add_agent, ask, llm):
    """`asked(turns…)` returns the response of a task whose agent needs approval to write into the store."""

    def give(*turns, **values):
        add_agent(tools=[ASKING], **values)
        llm.then(*turns)
        answer = ask(expect=202, wait=5)
        assert answer["status"] == "waiting"
        return answer

    return give


@pytest.fixture
def resume(owner, server):
    """`resume(task, answer="approved")` answers the question of a task and returns the task when it has ended."""

    def give(task, expect=200, **body):
        path = f"/api/runs/{task['run_id']}"
        given = owner.post(f"{path}/resume", {"question": task["question"], **body})
        assert given.status_code == expect, given.text
        server.dispatcher.waiting.wait(server.dispatcher.ticket_of(Run.get_by_id(task["run_id"])), 10)
        return owner.get(f"/api/agent/runs/{task['id']}").json

    return give


def test_a_call_that_needs_approval_waits_for_it(asked, resume, workspace, llm):
    answer = asked(SET, say("Written."))
    assert answer["waiting"] == 'approval: Helper wants to call store_set with {"key": "a", "value": 1}'
    assert WorkspaceStore(workspace.id).get("a") is None and len(llm.requests) == 1
    log = resume(answer, answer="approved")
    assert (log["status"], log["text"]) == ("success", "Written.")
    assert WorkspaceStore(workspace.id).get("a") == 1 and len(llm.requests) == 2


def test_a_rejected_call_is_not_made_and_the_model_is_told_the_reason(asked, resume, workspace, llm):
    answer = asked(SET, say("Then not."))
    log = resume(answer, answer="rejected", comment="use another key")
    assert log["text"] == "Then not." and log["tool_calls"][0]["status"] == "failed"
    assert WorkspaceStore(workspace.id).get("a") is None
    assert "use another key" in llm.requests[1].messages[-1]["content"]


def test_a_call_without_approval_does_not_wait(add_agent, ask, llm):
    add_agent(tools=[ASKING])
    llm.then(call("store_get", {"key": "a"}), say("Nothing."))
    assert ask()["text"] == "Nothing."


def test_each_call_needs_its_own_approval(asked, resume, owner, workspace):
    two = calls([("store_set", {"key": "a", "value": 1}), ("store_set", {"key": "b", "value": 2})])
    answer = asked(two, say("Done."))
    first = answer["question"]
    assert first == Wait.get(Wait.run_id == answer["run_id"]).question
    log = resume(answer, answer="approved")
    assert log["status"] == "waiting" and '"b"' in log["waiting"]
    # A second answer to the first question, from a page that is still open, does not approve the second.
    again = owner.post(f"/api/runs/{answer['run_id']}/resume", {"answer": "approved", "question": first})
    assert again.status_code == 409 and "answered already" in again.json["error"]
    log = resume(log, answer="rejected")
    assert log["text"] == "Done." and [made["status"] for made in log["tool_calls"]] == ["success", "failed"]
    assert (WorkspaceStore(workspace.id).get("a"), WorkspaceStore(workspace.id).get("b")) == (1, None)


def test_an_answer_without_a_question_is_rejected_with_the_open_one(asked, owner, token_client, workspace):
    answer = asked(SET, say("Written."))
    for who in (owner, token_client("operator")):
        given = who.post(f"/api/runs/{answer['run_id']}/resume", {"answer": "approved"})
        assert given.status_code == 400 and repr(answer["question"]) in given.json["error"]
    assert WorkspaceStore(workspace.id).get("a") is None
    assert Wait.get(Wait.run_id == answer["run_id"]).answered_at is None


def test_a_link_without_its_question_is_rejected(asked, client, server):
    answer = asked(SET, say("Written."))
    node = REGISTRY["agent"]
    for question, status in ((None, 400), (answer["question"], 200)):
        link = server.dispatcher.resources.links.of(answer["run_id"], "agent", node, question)["url"].partition("/api")[
            2
        ]
        assert client.post(f"/api{link}", {"answer": "approved"}).status_code == status


def test_a_question_is_answered_once(asked, resume, owner):
    answer = asked(SET, say("Written."))
    resume(answer, answer="approved")
    again = owner.post(f"/api/runs/{answer['run_id']}/resume", {"answer": "approved", "node_id": "agent"})
    assert again.status_code == 409


def test_an_answer_before_the_question_is_rejected(add_agent, ask, llm, owner, gate, make_flow):
    add_agent(tools=[ASKING])
    nodes = [
        {"id": "gate", "type": "gate"},
        {"id": "agent", "type": "agent", "config": {"agent_id": "helper", "task": "x"}},
    ]
    flow = make_flow({"nodes": nodes, "edges": [{"from": "gate", "to": "agent"}]})
    run = owner.post(f"/api/workflows/{flow['id']}/run?wait=0", {}).json
    early = owner.post(f"/api/runs/{run['id']}/resume", {"node_id": "agent", "answer": "approved"})
    assert early.status_code == 409 and "no question" in early.json["error"]


def test_a_link_is_valid_only_for_its_question(asked, client, owner, resume, server):
    two = calls([("store_set", {"key": "a", "value": 1}), ("store_set", {"key": "b", "value": 2})])
    answer = asked(two, say("Done."))
    (step,) = owner.get(f"/api/runs/{answer['run_id']}/steps").json["items"]
    link = step["output"]["approved_url"].partition("/api")[2]
    page = client.get(f"/api{link}")
    assert page.status_code == 200 and "wants to call store_set" in page.text
    changed = link.replace("question=call+2", "question=call+3")
    assert changed != link and client.post(f"/api{changed}", {}).status_code == 403
    assert client.post(f"/api{link}", {}).status_code == 200
    server.dispatcher.waiting.wait(server.dispatcher.ticket_of(Run.get_by_id(answer["run_id"])), 10)
    assert Wait.get(Wait.run_id == answer["run_id"]).question == "call 3"
    assert client.post(f"/api{link}", {}).status_code == 409


def test_a_question_times_out(asked, server, llm, workspace, owner):
    answer = asked(SET, say("Nobody was there."), approval={"timeout": 60})
    wait = Wait.get(Wait.run_id == answer["run_id"])
    assert 50_000 < wait.wake_at - wait.created_at <= 60_000
    waits.wake(wait.wake_at)
    server.dispatcher.pick_up()
    server.dispatcher.waiting.wait(server.dispatcher.ticket_of(Run.get_by_id(answer["run_id"])), 10)
    log = owner.get(f"/api/agent/runs/{answer['id']}").json
    assert log["text"] == "Nobody was there." and WorkspaceStore(workspace.id).get("a") is None
    assert "timed out" in llm.requests[1].messages[-1]["content"]


def test_a_run_that_waits_for_approval_can_be_cancelled(asked, owner, llm):
    answer = asked(SET)
    cancelled = owner.post(f"/api/agent/runs/{answer['id']}/cancel").json
    assert cancelled["status"] == "failed" and len(llm.requests) == 1


# Flows as tools


@pytest.fixture
def add_callable(make_flow):
    """`add_callable("Double", nodes…)` creates an active flow that can be called."""

    def add(name, *nodes, schema=None):
        config = {} if schema is None else {"input_schema": schema}
        all_ = [{"id": "called", "type": "called", "config": config}, *nodes]
        edges = [{"from": all_[at]["id"], "to": all_[at + 1]["id"]} for at in range(len(nodes))]
        return make_flow({"nodes": all_, "edges": edges}, name=name, status="active")

    return add


NUMBER = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
DOUBLE = {"id": "double", "type": "set", "config": {"values": {"twice": "{{ input.n * 2 }}"}}}
FAIL = {"id": "fail", "type": "stop", "config": {"message": "the stock is empty"}}


def test_a_flow_is_a_typed_tool_that_returns_its_output(add_agent, add_callable, ask, llm, owner):
    flow = add_callable("Double it", DOUBLE, schema=NUMBER)
    add_agent(tools=["run_flow"])
    llm.then(call("flow_double_it", {"n": 4}), say("Eight."))
    answer = ask()
    assert (answer["status"], answer["text"]) == ("success", "Eight.")
    (tool,) = llm.requests[0].body["tools"]
    assert tool["function"]["parameters"]["required"] == ["n"]
    assert '"twice": 8' in llm.requests[1].messages[-1]["content"]
    (child,) = [run for run in owner.get("/api/runs").json["items"] if run["workflow_id"] == flow["id"]]
    assert child["parent_run_id"] == answer["run_id"] and child["input"] == {"n": 4}


def test_the_model_is_told_of_a_failing_flow(add_agent, add_callable, ask, llm):
    add_callable("Order", FAIL)
    add_agent(tools=["run_flow"])
    llm.then(call("flow_order", {}), say("It is out of stock."))
    answer = ask()
    assert answer["text"] == "It is out of stock." and answer["tool_calls"][0]["status"] == "failed"
    assert "the stock is empty" in llm.requests[1].messages[-1]["content"]


def test_an_agent_calls_flows_one_after_the_other(add_agent, add_callable, ask, llm):
    add_callable("Double", DOUBLE, schema=NUMBER)
    add_agent(tools=["run_flow"])
    llm.then(calls([("flow_double", {"n": 1}), ("flow_double", {"n": 2})]), call("flow_double", {"n": 3}), say("Done."))
    answer = ask()
    assert answer["text"] == "Done." and [made["status"] for made in answer["tool_calls"]] == ["success"] * 3
    told = [message["content"] for message in llm.requests[2].messages if message["role"] == "tool"]
    assert [json.loads(text.split("\n")[1])["twice"] for text in told] == [2, 4, 6]


def test_a_flow_can_need_approval_first(add_agent, add_callable, ask, llm, resume):
    add_callable("Double", DOUBLE, schema=NUMBER)
    add_agent(tools=[{"type": "run_flow", "approval": True}])
    llm.then(call("flow_double", {"n": 1}), say("Done."))
    answer = ask(expect=202, wait=5)
    assert "flow_double" in answer["waiting"]
    assert resume(answer, answer="approved")["text"] == "Done."


def test_deactivated_flows_are_not_tools(add_agent, add_callable, ask, llm, owner):
    flow = add_callable("Double", DOUBLE)
    assert owner.put(f"/api/workflows/{flow['id']}", {"status": "draft"}).status_code == 200
    add_agent(tools=["run_flow"])
    llm.then(say("I have nothing."))
    assert ask()["text"] == "I have nothing." and llm.requests[0].tools == []


def test_a_request_can_wait_for_the_end_of_a_run(asked, owner):
    answer = asked(SET, say("Written."))
    path = f"/api/agent/runs/{answer['id']}"
    assert owner.get(f"{path}?wait=30").json["status"] == "waiting"
    owner.post(f"/api/runs/{answer['run_id']}/resume", {"answer": "approved", "question": answer["question"]})
    assert owner.get(f"{path}?wait=30").json["text"] == "Written."
    assert owner.get(f"{path}?wait=61").status_code == 400


def test_a_cancelled_run_has_its_duration(asked, owner):
    answer = asked(SET)
    cancelled = owner.post(f"/api/agent/runs/{answer['id']}/cancel").json
    assert cancelled["duration_ms"] >= 0 and cancelled["finished_at"] is not None
