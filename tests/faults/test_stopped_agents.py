"""Servers that are stopped, or sleep, while an agent works: it goes on later, and does nothing twice."""

import threading

import agent_servers
import pytest
from agent_servers import add_agent, ask, ended, post
from llm_server import say, stall
from record import ask as ask_database

pytestmark = [pytest.mark.slow, pytest.mark.postgres]
llm, settings, server = agent_servers.llm, agent_servers.settings, agent_servers.server


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


@pytest.mark.nightly
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


@pytest.mark.nightly
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


@pytest.mark.nightly
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
