"""Servers that are killed while an agent works: it resumes, and does nothing twice.

The model and the effects are servers of the test, so their requests are known.
"""

import threading

import pytest
from llm_server import LlmServer, call, calls, forever, say, stall
from record import ask as ask_database
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


def test_an_agent_is_released_when_its_server_stops_and_its_time_counts(server, llm, effects):
    never = threading.Event()
    llm.then(post(effects.url), stall(never), say("Done."))
    id_ = ask(server)
    llm.wait_for_requests(2)
    server.terminate()
    assert server.ended() == 0
    (step,) = ask_database(
        server.database, "SELECT * FROM agent_steps WHERE agent_run_id = ? AND status = 'running'", id_
    )
    # It had the grace period of one second to answer.
    assert step.kind == "model" and step.duration_ms > 500
    server.start()
    answer = ended(server, id_)
    assert (answer["status"], answer["text"], effects.count(), len(llm.requests)) == ("success", "Done.", 1, 3), answer[
        "error_text"
    ]
    assert llm.requests[2].messages == llm.requests[1].messages
    last = server.call("GET", f"/api/agent/runs/{id_}")["steps"][-1]
    assert last["status"] == "success" and last["duration_ms"] > step.duration_ms
    never.set()


def test_a_call_interrupted_by_a_stop_is_reported_to_the_model_and_not_repeated(server, llm, effects):
    llm.then(post(effects.held), say("I cannot know."))
    id_ = ask(server)
    effects.wait_for(1)
    server.terminate()
    assert server.ended() == 0
    server.start()
    answer = ended(server, id_)
    assert answer["text"] == "I cannot know." and effects.count() == 1, answer["error_text"]
    assert "may or may not have taken effect" in llm.requests[1].messages[-1]["content"]


def test_an_answer_within_the_grace_period_is_recorded(serve, settings, llm, effects):
    server = serve(HEADRACE_GRACE=10, **settings)
    add_agent(server)
    llm.then(post(effects.held), say("Done."))
    id_ = ask(server)
    effects.wait_for(1)
    server.terminate()
    effects.opened.set()
    assert server.ended() == 0
    server.start()
    answer = ended(server, id_)
    assert answer["text"] == "Done." and effects.count() == 1 and len(llm.requests) == 2, answer["error_text"]
    assert answer["tool_calls"][0]["status"] == "success"


@pytest.mark.parametrize("lands", ["before", "after"])
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


def test_a_task_cancelled_through_another_worker_takes_no_further_step(serve, settings, llm, effects):
    one, other = serve(WEB_CONCURRENCY=1, **settings), serve(WEB_CONCURRENCY=1, **settings)
    add_agent(one)
    go_on = threading.Event()
    llm.then(stall(go_on, then=post(effects.url)), say("never"))
    id_ = ask(one)
    (request,) = llm.wait_for_requests(1)
    assert other.call("POST", f"/api/agent/runs/{id_}/cancel")["status"] == "failed"
    assert request.hung_up.wait(60)
    go_on.set()
    answer = ended(one, id_)
    assert "cancelled by" in answer["error_text"] and effects.count() == 0 and len(llm.requests) == 1
    assert [step["status"] for step in answer["steps"]] == ["success", "failed"]


def test_a_worker_that_slept_takes_no_further_step(serve, settings, llm, effects):
    """Another worker took over its run; after waking up it gets the model's answer and must not act on it."""
    woken = threading.Event()
    sleeper = serve(WEB_CONCURRENCY=1, **settings)
    add_agent(sleeper)
    llm.then(stall(woken, then=post(effects.url)), say("Done."))
    id_ = ask(sleeper)
    llm.wait_for_requests(1)
    (pid,) = sleeper.workers()
    sleeper.freeze(pid)
    # Only now: a run accepted by one server may be started by another.
    other = serve(WEB_CONCURRENCY=1, **settings)
    answer = ended(other, id_)
    assert answer["text"] == "Done."
    woken.set()
    sleeper.thaw(pid)
    sleeper.said("no longer belongs to this process")
    assert effects.count() == 0 and ended(other, id_) == answer


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
