"""Agents in flows, interrupted at every commit: another process resumes them from the disk with the same result."""

import json
import re

import orjson
import pytest
from crashes import crash_everywhere, first_run
from llm_server import LlmServer, calls, forever, say
from world import add_flow, chain, flow, node

from database.queries.store import WorkspaceStore
from dispatch import Start
from models import AgentRun, Run, Wait
from packs.agents import agent_runs, agent_store
from packs.agents.agent_runs import AgentTask
from packs.agents.definition import parse

pytestmark = [pytest.mark.slow, pytest.mark.pack("agents")]

ASKING = {"type": "store", "approval": ["store_set"]}


@pytest.fixture
def llm():
    with LlmServer() as server:
        yield server


@pytest.fixture
def settings(llm):
    return {"openai_base_url": llm.openai_url, "llm_model": "openai:gpt-4o-mini"}


def add_agent(id_, *tools, **more):
    raw = {"id": id_, "name": id_, "instructions": "You help.", "tools": list(tools), **more}
    definition = orjson.dumps(parse(raw).snapshot()).decode()
    agent_store.keep("ws_1", id_, id_, definition)


def agent(id_, agent_id="helper", task="Do it.", **more):
    return node(id_, "agent", {"agent_id": agent_id, "task": task}, **more)


def write(key):
    return "store_set", {"key": key, "value": 1}


def script(llm, **turns):
    """Script the model: each task has its own turns, chosen by the number of answers in the conversation."""

    def turn(request):
        task = request.messages[1]["content"].partition("\n")[0]
        number = sum(message["role"] == "assistant" for message in request.messages)
        mine = turns[task.removesuffix(".").replace(" ", "_").lower()]
        return calls(mine[number], tokens=(9, 3)) if number < len(mine) else say(f"{task} Done.", tokens=(9, 3))

    llm.then(forever(turn))


def answer(node_id, name="approved"):
    """Return an action that answers the node's current question."""

    def act(dispatcher):
        wait = Wait.one("run_id = ? AND node_id = ?", first_run().id, node_id)
        dispatcher.answer(first_run(), node_id, name, None, "kim", wait.question)

    return act


def check_asked(llm):
    """Check that each turn of a conversation sent an identical request, whichever process sent it."""
    by_turn = {}
    for request in llm.requests:
        mark = re.search("<data-([0-9a-f]{8})", request.messages[0]["content"])[1]
        key = mark, request.messages[1]["content"], len(request.messages)
        text = re.sub(r'"call_\d+', '"call', json.dumps(request.messages))  # the server numbers its calls
        assert by_turn.setdefault(key, text) == text, "a different request"


def submit(definition):
    return lambda dispatcher: dispatcher.submit(Start(add_flow(definition), [1, 2], "manual"))


def test_an_agent_that_runs_flows_and_asks_for_approval(tmp_path, types, llm, settings):
    add_flow(
        chain(node("called", "called"), node("work", "act")), name="Work", triggers=[],
    )  # fmt: skip
    add_agent("helper", ASKING, "run_flow", "memory")
    remember = "memory_write", {"key": "k", "content": "It went well"}
    script(llm, do_it=[[("flow_work", {"n": 1}), remember], [write("a"), ("flow_work", {"n": 2})], [write("b")]])
    actions = [submit(chain(agent("agent"), node("after", "act"))), answer("agent"), answer("agent", "rejected")]
    moments = crash_everywhere(tmp_path, types, actions, **settings)
    assert len(moments) > 25
    check_asked(llm)


@pytest.mark.parametrize("order", ["abab", "aabb", "baab"])
def test_two_agents_that_ask_at_the_same_time(tmp_path, types, llm, settings, order):
    add_agent("helper", ASKING)
    script(llm, first=[[write("a"), write("b")]], second=[[write("c")], [write("d")]])
    made = flow(
        agent("a", task="First."), agent("b", task="Second."), node("end", "act", {"value": 1}),
        edges=["a end", "b end"],
    )  # fmt: skip
    crash_everywhere(tmp_path, types, [submit(made), *map(answer, order)], **settings)
    check_asked(llm)
    assert {AgentRun.get(AgentRun.node_id == name).status for name in "ab"} == {"success"}


def test_an_agent_after_an_approval_for_each_item_of_a_list(tmp_path, types, llm, settings):
    add_agent("helper", "store")
    script(llm, item_1=[[write("a")], [write("b")]], item_2=[[write("c"), write("d")]])
    made = flow(
        node("gate", "approval", {"message": "Shall it?"}),
        node("list", "give", {"value": [1, 2]}),
        agent("agent", task="Item {{ item }}.", foreach="{{ input }}"),
        edges=["gate list approved", "list agent"],
    )
    crash_everywhere(tmp_path, types, [submit(made), answer("gate")], **settings)
    check_asked(llm)


def test_an_agent_that_fails_and_its_error_workflow(tmp_path, types, llm, settings):
    error = add_flow(chain(node("error", "error"), node("tell", "act", {"value": 1})), name="Tell")
    add_agent("helper", "store", limits={"steps": 2})
    script(llm, do_it=[[write("a")], [write("b")], [write("c")]])
    made = chain(agent("agent"), error_workflow_id=error.id)
    crash_everywhere(tmp_path, types, [submit(made)], **settings)
    check_asked(llm)
    assert Run.select().count() == 2 and AgentRun.get().status == "failed"


def test_an_agent_task_without_a_flow(tmp_path, types, llm, settings):
    add_agent("helper", ASKING)
    script(llm, do_it=[[write("a")]])
    body = {"agent_id": "helper", "task": "Do it.", "input": None, "session": "s", "credentials": {}}

    def give(dispatcher):
        dispatcher.submit(Start(AgentTask("ws_1", "helper", body), body, "manual"))

    crash_everywhere(tmp_path, types, [give, answer("agent")], **settings)
    check_asked(llm)
    (row,) = AgentRun.select()
    assert row.status == "success" and WorkspaceStore("ws_1").get("a") == 1
    assert [step.status for step in agent_runs.steps_of([row.id])[row.id]] == ["success"] * 4
