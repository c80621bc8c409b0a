"""Servers that are killed while an agent works: it resumes, and does nothing twice.

The model and the effects are servers of the test, so their requests are known.
"""

import threading

import agent_servers
import pytest
from agent_servers import POST, ask, ended, post, restart
from llm_server import call, calls, forever, say, stall
from servers import until

pytestmark = [pytest.mark.slow, pytest.mark.postgres]
llm, settings, server = agent_servers.llm, agent_servers.settings, agent_servers.server


def test_a_finished_call_is_not_made_again(server, llm, effects):
    never = threading.Event()
    llm.then(post(effects.url), stall(never), say("Both are done."))
    id_ = ask(server)
    llm.wait_for_requests(2)
    restart(server)
    answer = ended(server, id_)
    assert (answer["status"], answer["text"]) == ("success", "Both are done."), answer["error_text"]
    assert effects.count() == 1 and len(llm.requests) == 3
    # The model gets the same request again.
    assert llm.requests[2].messages == llm.requests[1].messages
    assert answer["usage"]["requests"] == 2 and len(answer["tool_calls"]) == 1
    never.set()


@pytest.mark.nightly
def test_of_several_calls_only_the_unfinished_ones_are_made(server, llm, effects):
    llm.then(
        calls(
            [
                ("http_request", {"method": "POST", "url": effects.url, "body": "a"}),
                ("store_set", {"key": "k", "value": 1}),
                ("http_request", {"method": "GET", "url": effects.held}),
            ]
        ),
        say("Done."),
    )  # fmt: skip
    id_ = ask(server)
    effects.wait_for(2)
    restart(server)
    effects.opened.set()
    answer = ended(server, id_)
    assert answer["text"] == "Done." and len(llm.requests) == 2, answer["error_text"]
    assert [made["status"] for made in answer["tool_calls"]] == ["success"] * 3
    # The GET was interrupted, and may be repeated; the POST was finished.
    assert effects.count() == 3


def test_an_interrupted_call_in_doubt_is_reported_to_the_model_and_not_repeated(server, llm, effects):
    llm.then(post(effects.held), say("I cannot know."))
    id_ = ask(server)
    effects.wait_for(1)
    restart(server)
    answer = ended(server, id_)
    assert answer["text"] == "I cannot know." and effects.count() == 1, answer["error_text"]
    assert answer["tool_calls"][0]["status"] == "failed"
    assert "may or may not have taken effect" in llm.requests[1].messages[-1]["content"]


@pytest.mark.nightly
def test_a_flow_that_an_agent_waits_for_runs_once(server, llm, effects):
    nodes = [
        {"id": "called", "type": "called"},
        {"id": "post", "type": "http", "config": {"method": "POST", "url": effects.held, "body": "{{ input }}"}},
    ]
    definition = {"nodes": nodes, "edges": [{"from": "called", "to": "post"}]}
    server.add_flow(definition, "Notify")
    llm.then(call("flow_notify", {"a": 1}), say("Told."))
    id_ = ask(server)
    effects.wait_for(1)
    restart(server)
    effects.opened.set()
    answer = ended(server, id_)
    assert (answer["status"], answer["text"]) == ("success", "Told.")
    # The flow's node was interrupted and is repeated with its key; there is one run of the flow.
    assert len(effects.seen()) == 1 and len(llm.requests) == 2
    runs = server.call("GET", "/api/runs")["items"]
    assert len([run for run in runs if run["workflow_name"] == "Notify"]) == 1


@pytest.mark.nightly
def test_a_question_and_its_answer_survive(server, llm, effects):
    spec = {**POST, "approval": True}
    server.call("POST", "/api/agents", {"id": "asker", "name": "Asker", "instructions": "x", "tools": [spec]})
    llm.then(post(effects.url), post(effects.url, "2"), say("Done."))
    id_ = server.call("POST", "/api/agent/run", {"agent_id": "asker", "task": "x", "wait": 0})["id"]

    def waiting():
        got = server.call("GET", f"/api/agent/runs/{id_}")
        return got if got["status"] == "waiting" and got["waiting"] else None

    first = until(waiting, "it asks")
    restart(server)
    assert server.call("GET", f"/api/agent/runs/{id_}")["waiting"] == first["waiting"] and effects.count() == 0
    server.call("POST", f"/api/runs/{first['run_id']}/resume", {"answer": "approved", "question": first["question"]})
    asked = until(lambda: (got := waiting()) and len(got["tool_calls"]) == 2 and got, "it asks again")
    restart(server)
    assert effects.count() == 1
    refusal = {"answer": "rejected", "comment": "no", "question": asked["question"]}
    server.call("POST", f"/api/runs/{first['run_id']}/resume", refusal)
    answer = ended(server, id_)
    assert answer["text"] == "Done." and effects.count() == 1
    assert [made["status"] for made in answer["tool_calls"]] == ["success", "failed"]


@pytest.mark.parametrize("lands", [pytest.param("before", marks=pytest.mark.nightly), "after"])
def test_an_approval_interrupted_by_a_kill_counts_once(server, llm, effects, lands):
    """The server is killed before or during the approved call, and the run resumes with it."""
    spec = {**POST, "approval": True}
    server.call("POST", "/api/agents", {"id": "asker", "name": "Asker", "instructions": "x", "tools": [spec]})
    llm.then(post(effects.held), say("Done."))
    id_ = server.call("POST", "/api/agent/run", {"agent_id": "asker", "task": "x", "wait": 0})["id"]
    first = until(lambda: (got := server.call("GET", f"/api/agent/runs/{id_}")).get("question") and got, "it asks")
    server.call("POST", f"/api/runs/{first['run_id']}/resume", {"answer": "approved", "question": first["question"]})
    if lands == "after":
        effects.wait_for(1)
    restart(server)
    effects.opened.set()
    answer = ended(server, id_)
    assert answer["text"] == "Done." and effects.count() <= 1, answer["error_text"]
    if lands == "after":
        assert answer["tool_calls"][0]["status"] == "failed"
    again = {"answer": "approved", "question": first["question"]}
    assert server.request("POST", f"/api/runs/{first['run_id']}/resume", again)[0] == 409


@pytest.mark.nightly
def test_agents_survive_kills_at_any_moment(server, llm, effects, seeded, rounds):
    turns = [post(effects.url), call("store_set", {"key": "k", "value": 1}), post(effects.url), say("Done.")]
    # By the length of the conversation, because a kill may lose an answer.
    llm.then(forever(lambda request: turns[sum(message["role"] == "tool" for message in request.messages)]))
    for _ in rounds(4):
        before = effects.count()
        id_ = ask(server)
        threading.Event().wait(seeded.uniform(0, 0.4))
        restart(server)
        answer = ended(server, id_)
        assert (answer["status"], answer["text"]) == ("success", "Done."), answer["error_text"]
        assert [made["name"] for made in answer["tool_calls"]] == ["http_request", "store_set", "http_request"]
        made = sum(made["status"] == "success" for made in answer["tool_calls"] if made["name"] == "http_request")
        # An interrupted call may have arrived or not; nothing was sent twice.
        assert made <= effects.count() - before <= 2
