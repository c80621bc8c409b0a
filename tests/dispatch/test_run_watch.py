"""Threads that wait for runs of other processes: one query for all of them."""

import threading
import time

import pytest
from world import PATIENCE, Background, add_flow, chain, node

from database import execute
from database.queries import runs as run_queries
from dispatch.waiting import RunWatch


@pytest.fixture
def runs():
    """Three pending runs."""
    made = add_flow(chain(node("a", "act")))
    found = [run_queries.accept(made, triggered_by="manual") for _ in range(3)]
    for run in found:
        execute(*run_queries.insertion(run))
    return found


def end(run):
    execute("UPDATE runs SET status = 'success', finished_at = 1 WHERE id = ?", (run.id,))


def test_each_thread_wakes_when_its_run_has_changed(runs):
    watch = RunWatch()
    waits = [Background(watch.wait, run, PATIENCE) for run in runs]
    end(runs[1])
    waits[1].result()
    assert waits[0].thread.is_alive() and waits[2].thread.is_alive()
    execute("UPDATE runs SET waiting = 'an answer' WHERE id = ?", (runs[0].id,))
    execute("DELETE FROM runs WHERE id = ?", (runs[2].id,))
    for wait in (waits[0], waits[2]):
        wait.result()


def test_a_change_before_the_wait_is_seen(runs):
    end(runs[0])
    began = time.monotonic()
    RunWatch().wait(runs[0], PATIENCE)
    assert time.monotonic() - began < PATIENCE / 2


def test_a_wait_ends_after_its_time(runs):
    began = time.monotonic()
    RunWatch().wait(runs[0], 0.01)
    assert 0.01 <= time.monotonic() - began < PATIENCE / 2


def test_one_query_asks_for_all_and_none_without_waiting_threads(runs, monkeypatch):
    asked, read = [], run_queries.read_states
    monkeypatch.setattr(run_queries, "read_states", lambda ids: asked.append(set(ids)) or read(ids))
    watch = RunWatch()
    waits = [Background(watch.wait, run, PATIENCE) for run in runs]
    everything = {run.id for run in runs}
    deadline = time.monotonic() + PATIENCE
    while everything not in asked:
        assert time.monotonic() < deadline
    for run in runs:
        end(run)
    for wait in waits:
        wait.result()
    while any(thread.name == "run-watch" for thread in threading.enumerate()):
        assert time.monotonic() < deadline


def test_threads_look_themselves_if_the_watch_cannot_read(runs, monkeypatch):
    def fail(ids):
        raise OSError("no disk")

    monkeypatch.setattr(run_queries, "read_states", fail)
    RunWatch().wait(runs[0], PATIENCE)
