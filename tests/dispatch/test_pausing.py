"""A paused server starts nothing, refuses new runs, and continues within seconds of `resume`."""

import pytest
from world import PATIENCE, add_flow, flow, node, run_of

import database
from database.base import now_ms
from database.queries import runs, server_state, waits
from dispatch import Start
from errors import Unavailable
from models import Run
from scheduler import Scheduler


def add_run(made):
    """Record a pending run that no process executes, and return its id."""
    run = runs.accept(made, triggered_by="manual")
    with database.write():
        database.execute(*runs.insertion(run))
    return run.id


def finished(dispatcher, id_):
    ended = dispatcher.waiting.wait(dispatcher.ticket_of(run_of(id_)), PATIENCE)
    assert ended.finished_at is not None, "the run did not end in time"
    return ended


@pytest.mark.parametrize("paused", ["by the setting", "by a restore"])
def test_a_paused_server_starts_no_pending_run_and_refuses_new_ones(start, paused):
    if paused == "by a restore":
        server_state.pause("restored")
    dispatcher = start(paused=paused == "by the setting", inline=True)
    id_ = add_run(add_flow(flow("a")))
    dispatcher.sweep()
    dispatcher.wake()
    dispatcher.pick_up()
    with pytest.raises(Unavailable, match="paused") as refused:
        dispatcher.submit(Start(add_flow(flow("a")), None, "manual"))
    assert refused.value.retry_after == 60
    assert run_of(id_).status == "pending" and Run.select().count() == 1


def test_a_paused_server_wakes_no_run_until_it_is_resumed(start):
    before = start(inline=True)
    id_ = before.submit(Start(add_flow(flow(node("a", "ask", {"value": now_ms() - 1}))), None, "manual")).run.id
    before.stop()
    server_state.pause("restored")
    dispatcher = start(inline=True)
    dispatcher.wake()
    assert run_of(id_).waiting is not None and waits.find_next_wake(id_) is not None
    server_state.resume()
    dispatcher.sweep()
    dispatcher.wake()
    assert finished(dispatcher, id_).status == "success"


def test_an_answer_is_kept_while_paused_and_used_after_resume(start):
    before = start(inline=True)
    id_ = before.submit(Start(add_flow(flow(node("a", "ask"))), None, "manual")).run.id
    server_state.pause("restored")
    dispatcher = start(inline=True)
    dispatcher.answer(run_of(id_), "a", "yes", 1, "ann")
    assert run_of(id_).finished_at is None
    server_state.resume()
    dispatcher.sweep()
    assert finished(dispatcher, id_).status == "success"


def test_a_server_that_cannot_read_its_paused_state_is_paused(start, monkeypatch):
    def unreadable():
        raise OSError("disk I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(server_state, "is_paused", unreadable)
        dispatcher = start(inline=True)
        assert dispatcher.is_paused
    dispatcher.sweep()
    assert not dispatcher.is_paused


def test_resume_does_not_override_the_setting(start):
    dispatcher = start(paused=True, inline=True)
    server_state.pause("restored")
    server_state.resume()
    dispatcher.sweep()
    assert dispatcher.is_paused


def test_the_scheduler_does_nothing_while_the_server_is_paused(start):
    dispatcher = start(paused=True, inline=True)
    scheduler, done = Scheduler(dispatcher), []
    scheduler.unless_paused(lambda: done.append("paused"))()
    dispatcher.is_paused = False
    scheduler.unless_paused(lambda: done.append("resumed"))()
    assert done == ["resumed"]
