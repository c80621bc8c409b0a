"""Agents that are disturbed while they run: timeouts, changed and deleted agents, credentials and flows."""

import dataclasses
import json
import threading
import time

import orjson
import pytest
from agent_ends import ended
from llm_server import call, calls, raw, say, stall

import models
import packs.agents.nodes.agent_turn  # noqa: F401 - this takes longer than some of the timeouts here
from database import write
from database.queries import runs
from database.queries.store import WorkspaceStore
from models import AgentRun, AgentStep, Run, Wait
from packs.agents.api import show_run

ASKING = {"type": "store", "approval": ["store_set"]}
SET = call("store_set", {"key": "a", "value": 1})


@pytest.fixture
def config(config):
    """Settings that allow agents requests to the scripted model's server."""
    return dataclasses.replace(config, egress_allow=("127.0.0.1",))


@pytest.fixture
def run(owner, make_flow):
    """`run(node)` runs a flow of this one node and returns the run."""

    def give(*nodes, edges=(), input=None, wait=20):
        flow = make_flow({"nodes": list(nodes), "edges": list(edges)})
        return owner.post(f"/api/workflows/{flow['id']}/run?wait={wait}", {"input": input}).json

    return give


@pytest.fixture
def resume(owner, server):
    """`resume(run_id, node_id, answer)` answers its question and returns when the run has ended."""

    def give(run_id, node_id="agent", answer="approved"):
        question = Wait.get(Wait.run_id == run_id, Wait.node_id == node_id).question
        given = owner.post(f"/api/runs/{run_id}/resume", {"node_id": node_id, "answer": answer, "question": question})
        assert given.status_code == 200, given.text
        server.dispatcher.waiting.wait(server.dispatcher.ticket_of(Run.get_by_id(run_id)), 20)
        return owner.get(f"/api/runs/{run_id}").json

    return give


def agent(id_="agent", task="Do it.", agent_id="helper", **more):
    config = {"agent_id": agent_id, "task": task, **more.pop("config", {})}
    return {"id": id_, "type": "agent", "config": config, **more}


def post(url):
    return call("http_request", {"method": "POST", "url": url, "body": {"model": "other", "messages": []}})


# Time


def test_an_attempt_that_timed_out_is_followed_by_one_that_resumes(add_agent, run, llm):
    never = threading.Event()
    add_agent(tools=["store"])
    llm.then(SET, stall(never), say("Done."))
    made = run(agent(timeout=1, retry={"attempts": 2, "delay": 0}))
    assert made["status"] == "success" and made["output"]["text"] == "Done.", made
    assert len(llm.requests) == 3 and llm.requests[1].messages == llm.requests[2].messages
    assert llm.requests[1].hung_up.wait(60)
    never.set()


def test_a_timeout_of_the_node_is_not_reported_as_the_agents(add_agent, run, llm):
    never = threading.Event()
    add_agent()
    llm.then(stall(never))
    made = run(agent(timeout=0.2))
    assert made["status"] == "failed" and "timed out" in made["error_text"] and "limit" not in made["error_text"]
    never.set()


def test_no_tool_takes_longer_than_the_agents_time_limit(add_agent, ask, llm):
    never, began = threading.Event(), time.monotonic()
    add_agent(tools=[{"type": "http", "methods": ["POST"]}], limits={"seconds": 1})
    llm.then(post(f"{llm.openai_url}/chat/completions"), stall(never))
    answer = ask()
    assert answer["status"] == "failed" and "time limit of 1 s" in answer["error_text"]
    assert len(llm.requests) == 2 and time.monotonic() - began < 10
    assert answer["tool_calls"][0]["status"] == "failed"
    never.set()


def test_the_request_during_the_timeout_is_shown_as_failed(add_agent, ask, llm, log_of):
    never = threading.Event()
    add_agent(limits={"seconds": 1})
    llm.then(stall(never))
    answer = ask()
    step = log_of(answer)["steps"][1]
    assert step["status"] == "failed" and step["error_text"] == answer["error_text"] and step["duration_ms"] > 500
    never.set()


# Cancellation


def test_a_task_cancelled_by_another_process_takes_no_further_step(add_agent, ask, llm, server, log_of, workspace):
    go_on = threading.Event()
    add_agent(tools=["store"])
    llm.then(stall(go_on, then=SET), say("never"))
    answer = ask(expect=202, wait=0)
    llm.wait_for_requests(1)
    run = Run.get_by_id(answer["run_id"])
    assert runs.cancel(run, "cancelled elsewhere")
    go_on.set()
    server.dispatcher.waiting.wait(server.dispatcher.ticket_of(run), 10)
    log = log_of(answer)
    assert (log["status"], log["error_text"]) == ("failed", "cancelled elsewhere")
    # The step in progress is recorded as cancelled.
    assert [(step["kind"], step["status"]) for step in log["steps"]] == [("start", "success"), ("model", "failed")]
    assert "ended" in log["steps"][1]["error_text"] and len(llm.requests) == 1
    assert WorkspaceStore(workspace.id).get("a") is None


def test_a_row_read_just_before_the_end_is_not_shown_as_unfinished(add_agent, ask, llm, server):
    go_on = threading.Event()
    add_agent()
    llm.then(stall(go_on, then=say("Done.")))
    answer = ask(expect=202, wait=0)
    llm.wait_for_requests(1)
    read = AgentRun.get_by_id(answer["id"])
    go_on.set()
    ended(server, answer)
    told = show_run(read)
    assert (told["status"], told["error_text"]) == ("success", None) and read.output == '{"text":"Done."}'


def test_a_question_of_a_cancelled_run_is_shown_as_ended(add_agent, ask, owner, llm, log_of):
    add_agent(tools=[ASKING])
    llm.then(SET)
    answer = ask(expect=202, wait=5)
    owner.post(f"/api/agent/runs/{answer['id']}/cancel")
    log = log_of(answer)
    assert log["status"] == "failed" and "waiting" not in log and "question" not in log
    assert [step["status"] for step in log["steps"]] == ["success", "success", "failed"]
    assert log["tool_calls"][0]["status"] == "failed"
    # Its usage is still known.
    assert log["usage"]["requests"] == 1 and log["usage"]["cost"] > 0 and log["duration_ms"] >= 0


# Changes by others


def test_an_agent_resumes_with_the_definition_of_its_start(add_agent, ask, owner, llm, resume, workspace):
    add_agent(tools=[ASKING], instructions="You are the first.")
    llm.then(SET, say("Written."))
    answer = ask(expect=202, wait=5)
    changed = owner.put("/api/agents/helper", {"name": "X", "instructions": "You are the second.", "tools": []})
    assert changed.status_code == 200, changed.text
    resume(answer["run_id"])
    assert WorkspaceStore(workspace.id).get("a") == 1
    assert llm.requests[1].messages[0] == llm.requests[0].messages[0] and llm.requests[1].tools == llm.requests[0].tools


def test_an_agent_with_a_deleted_definition_continues(add_agent, ask, owner, llm, resume, workspace):
    add_agent(tools=[ASKING])
    llm.then(SET, say("Written."))
    answer = ask(expect=202, wait=5)
    assert owner.delete("/api/agents/helper").status_code == 204
    assert resume(answer["run_id"])["status"] == "success" and WorkspaceStore(workspace.id).get("a") == 1


def test_an_agent_with_a_deleted_key_fails_with_the_reason(add_agent, ask, owner, llm, resume, log_of):
    values = {"name": "mine", "type": "llm", "data": {"base_url": llm.openai_url, "api_key": "k", "model": "gpt-4o"}}
    made = owner.post("/api/credentials", values)
    assert made.status_code == 201, made.text
    add_agent(tools=[ASKING])
    llm.then(SET)
    answer = ask(expect=202, wait=5, credentials={"llm": "mine"})
    assert owner.delete(f"/api/credentials/{made.json['id']}").status_code in (200, 204)
    run = resume(answer["run_id"])
    assert run["status"] == "failed" and "there is no credential 'mine'" in run["error_text"]
    assert log_of(answer)["status"] == "failed"


def test_the_model_is_told_of_a_flow_deleted_before_the_call(add_agent, ask, owner, llm, resume, make_flow):
    made = make_flow({"nodes": [{"id": "called", "type": "called"}], "edges": []}, name="Order", status="active")
    add_agent(tools=[{"type": "run_flow", "approval": True}])
    llm.then(call("flow_order", {}), say("It is gone."))
    answer = ask(expect=202, wait=5)
    assert owner.delete(f"/api/workflows/{made['id']}").status_code == 204
    assert resume(answer["run_id"])["output"]["text"] == "It is gone."
    assert "deactivated or deleted" in llm.requests[1].messages[-1]["content"]


def test_the_model_is_told_of_a_deleted_run_that_it_waits_for(add_agent, ask, owner, llm, server, make_flow, gate):
    nodes = [{"id": "called", "type": "called"}, {"id": "gate", "type": "gate"}]
    make_flow({"nodes": nodes, "edges": [["called", "gate"]]}, name="Order", status="active")
    add_agent(tools=["run_flow"])
    llm.then(call("flow_order", {}), say("It is gone."))
    answer = ask(expect=202, wait=1)
    (child,) = Run.select().where(Run.parent_run_id == answer["run_id"])
    assert owner.post(f"/api/runs/{child.id}/cancel").status_code == 200
    gate.set()
    log = ended(server, answer)
    assert json.loads(log.output) == {"text": "It is gone."}
    assert "cancelled by" in llm.requests[1].messages[-1]["content"]


# Unusual models and servers


def test_a_server_that_does_not_count_tokens_works(add_agent, ask, llm):
    about = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    events = [
        {**about, "choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hello."}}]},
        {**about, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    ]
    text = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
    add_agent(limits={"tokens": 1000, "steps": 3})
    llm.then(raw(text.encode()))
    answer = ask()
    assert answer["text"] == "Hello." and answer["usage"]["input_tokens"] > 10


def test_a_call_rejected_by_a_tool_is_recorded_and_does_not_count(add_agent, ask, llm, log_of):
    add_agent(tools=["store"])
    llm.then(call("store_get", {"kee": "a"}), say("I give up."))
    answer = ask()
    assert answer["tool_calls"] == [] and answer["usage"]["tool_calls"] == 0
    step = log_of(answer)["steps"][2]
    assert step["status"] == "refused" and "kee" in step["error_text"] and step["arguments"] == {"kee": "a"}


def test_long_arguments_are_truncated_in_the_nodes_output(add_agent, run, llm):
    add_agent(tools=["store"])
    llm.then(call("store_set", {"key": "a", "value": "x" * 50_000}), say("Done."))
    (made,) = run(agent())["output"]["tool_calls"]
    assert made["arguments"]["key"] == "a" and len(json.dumps(made)) < 3_000


def test_calls_with_the_same_id_stay_separate(add_agent, ask, llm, workspace):
    made = [
        {
            "index": at,
            "id": "call_0",
            "function": {"name": "store_set", "arguments": json.dumps({"key": k, "value": 1})},
        }
        for at, k in enumerate("ab")
    ]
    about = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    events = [
        {**about, "choices": [{"index": 0, "delta": {"tool_calls": made}}]},
        {**about, "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]},
    ]
    text = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
    add_agent(tools=["store"])
    llm.then(raw(text.encode()), say("Done."))
    assert ask()["text"] == "Done."
    assert WorkspaceStore(workspace.id).get("a") == WorkspaceStore(workspace.id).get("b") == 1


# Several agents at once


@pytest.mark.parametrize("order", ["abab", "bbaa", "baba"])
def test_two_agents_of_one_run_wait_for_approval_at_the_same_time(add_agent, run, llm, resume, workspace, order):
    add_agent(tools=[ASKING])

    def turn(request):
        name = request.messages[1]["content"][0].lower()
        if sum(message["role"] == "assistant" for message in request.messages):
            return say(f"{name} is done.")
        return calls([("store_set", {"key": f"{name}{number}", "value": 1}) for number in (1, 2)])

    llm.then(*[turn] * 4)
    end = {"id": "end", "type": "noop"}
    made = run(agent("a", "A."), agent("b", "B."), end, edges=[["a", "end"], ["b", "end"]])
    assert made["status"] == "pending" and Wait.select().count() == 2
    for number, name in enumerate(order):
        made = resume(made["id"], name)
        assert (made["status"] == "pending") == (number < 3)
    assert made["output"]["a"]["text"] == "a is done." and made["output"]["b"]["text"] == "b is done."
    assert all(WorkspaceStore(workspace.id).get(key) == 1 for key in ("a1", "a2", "b1", "b2"))
    assert len(llm.requests) == 4


def test_an_agent_of_a_deleted_run_leaves_nothing_behind(add_agent, ask, llm, owner):
    add_agent(tools=["store"])
    llm.then(SET, say("Done."))
    answer = ask()
    assert owner.delete(f"/api/runs/{answer['run_id']}").status_code == 204
    assert AgentRun.select().count() == AgentStep.select().count() == 0


def test_the_record_of_an_older_server_is_resumed(add_agent, ask, llm, resume, workspace):
    """The older server had neither sessions nor the newer limits."""
    add_agent(tools=[ASKING])
    llm.then(SET, say("Written."))
    answer = ask(expect=202, wait=5)
    request = orjson.loads(AgentStep.get(seq=0).request)
    for part, key in ((request, "session"), *((request["agent"], name) for name in ("memory", "approval"))):
        del part[key]
    del request["agent"]["limits"]["cost"]
    with write():
        AgentStep.update(request=orjson.dumps(request).decode()).where(AgentStep.seq == 0).execute()
    assert resume(answer["run_id"])["status"] == "success" and WorkspaceStore(workspace.id).get("a") == 1
    assert models.AgentRun.get().status == "success"
