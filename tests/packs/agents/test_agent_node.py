"""Agents as nodes of flows."""

import pytest
from llm_server import call, data, forever, say, status

from models import AgentRun, Wait

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def agent_node(id_="agent", task="Do it.", **config):
    more = {key: config.pop(key) for key in ("foreach", "on_error", "retry") if key in config}
    return {"id": id_, "type": "agent", "config": {"agent_id": "helper", "task": task, **config}, **more}


@pytest.fixture
def run(owner, make_flow):
    """`run(nodes…)` runs them one after the other and returns the run."""

    def give(*nodes, input=None, expect=200):
        edges = [{"from": nodes[at]["id"], "to": nodes[at + 1]["id"]} for at in range(len(nodes) - 1)]
        flow = make_flow({"nodes": list(nodes), "edges": edges})
        answer = owner.post(f"/api/workflows/{flow['id']}/run", {"input": input})
        assert answer.status_code == expect, answer.text
        return answer.json

    return give


def test_its_answer_is_the_input_of_the_next_node(add_agent, run, llm):
    add_agent()
    llm.then(say("Hello Ada."))
    made = run(
        agent_node(task="Greet {{ input.name }}."),
        {"id": "set", "type": "set", "config": {"values": {"said": "{{ steps.agent.text }}"}}},
        input={"name": "Ada"},
    )
    assert made["status"] == "success" and made["output"]["said"] == "Hello Ada."
    assert llm.requests[0].messages[1]["content"].startswith("Greet Ada.")
    assert '"name": "Ada"' in llm.requests[0].messages[1]["content"]


def test_with_a_schema_its_answer_is_data(add_agent, run, llm):
    add_agent()
    llm.then(data({"n": 3}))
    output = run(agent_node(output_schema=SCHEMA))["output"]
    assert output["data"] == {"n": 3} and "text" not in output and output["usage"]["requests"] == 1


def test_it_maps_over_a_list(add_agent, run, llm):
    add_agent()
    llm.then(say("a"), say("b"), say("c"))
    made = run(agent_node(task="Say {{ item }}", foreach="{{ input }}"), input=["x", "y", "z"])
    assert [item["text"] for item in made["output"]] == ["a", "b", "c"]
    assert [row.item_index for row in AgentRun.select().order_by(AgentRun.id)] == [0, 1, 2]
    assert len({row.run_id for row in AgentRun.select()}) == 1


def test_agents_work_in_several_branches(add_agent, owner, make_flow, llm):
    add_agent(tools=["store"])
    names = ["one", "two", "three"]
    nodes = [{"id": "start", "type": "manual"}, *(agent_node(name, task=f"Do {name}.") for name in names)]
    edges = [{"from": "start", "to": name} for name in names]
    llm.then(*[call("store_set", {"key": "a", "value": 7})] * 3, *[say("Done.")] * 3)
    flow = make_flow({"nodes": nodes, "edges": edges, "settings": {"parallel": 3}})
    made = owner.post(f"/api/workflows/{flow['id']}/run", {}).json
    assert {name: output["text"] for name, output in made["output"].items()} == dict.fromkeys(names, "Done.")
    rows = list(AgentRun.select())
    assert {(row.node_id, row.status) for row in rows} == {(name, "success") for name in names}
    assert sum(row.tool_calls for row in rows) == 3 and sum(row.requests for row in rows) == 6
    for row in rows:
        log = owner.get(f"/api/agent/runs/{row.id}").json
        assert [step["status"] for step in log["steps"]] == ["success"] * (1 + row.requests + row.tool_calls)


def test_in_a_list_it_cannot_wait_for_approval(add_agent, run, llm):
    add_agent(tools=[{"type": "store", "approval": True}])
    llm.then(forever(call("store_get", {"key": "a"})))
    made = run(agent_node(foreach="{{ input }}"), input=[1])
    assert made["status"] == "failed" and "cannot wait" in made["error_text"]


def test_a_failure_of_the_agent_fails_the_node(add_agent, run, llm):
    add_agent(limits={"steps": 1}, tools=["store"])
    llm.then(call("store_get", {"key": "a"}))
    made = run(agent_node(on_error="continue"))
    assert made["status"] == "success" and "limits" in made["output"]["error"]


def test_a_missing_agent_is_named(run):
    made = run(agent_node(agent_id="nobody"))
    assert made["status"] == "failed" and "'nobody'" in made["error_text"]


def test_another_attempt_resumes_where_the_first_one_failed(add_agent, run, llm, workspace):
    """A failed request to the model is repeated; completed calls are not."""
    add_agent(tools=["store"])
    llm.then(call("store_set", {"key": "a", "value": 1}), *[status(500, {"retry-after": "0"})] * 3, say("Done."))
    made = run(agent_node(retry={"attempts": 2, "delay": 0}))
    assert made["status"] == "success" and len(llm.requests) == 5
    assert made["output"]["usage"]["tool_calls"] == 1


def test_an_approval_delays_only_dependent_nodes(add_agent, run, llm, owner):
    add_agent(tools=[{"type": "store", "approval": True}])
    llm.then(call("store_get", {"key": "a"}), say("Nothing."))
    made = run(agent_node(), {"id": "end", "type": "noop"}, expect=202)
    assert made["status"] == "pending" and made["waiting"].startswith("approval: Helper")
    answer = owner.post(f"/api/runs/{made['id']}/resume", {"answer": "approved", "question": Wait.get().question})
    assert answer.status_code == 200


def test_expressions_in_a_persons_answer_are_text(add_agent, ask, llm):
    add_agent()
    llm.then(say("?"))
    ask("Explain {{ secrets.key }} and {{ 7 * 7 }}.")
    assert "{{ secrets.key }} and {{ 7 * 7 }}" in llm.requests[0].messages[1]["content"]
