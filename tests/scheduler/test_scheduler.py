"""The scheduler as a process has it: real threads, real time."""

import threading

import pytest
from moments import fires, runs, schedule
from world import PATIENCE, process

from models import Lease, Run, now_ms
from scheduler import Scheduler
from scheduler.leader import RIGHT


@pytest.fixture
def dispatcher(path, tmp_path):
    with process(tmp_path) as dispatcher:
        yield dispatcher


@pytest.mark.slow
def test_a_schedule_fires_while_the_scheduler_runs(dispatcher):
    fired, ids = threading.Event(), []

    def on_fired(new):
        ids.extend(new)
        fired.set()

    made = schedule(now_ms(), every=1)
    scheduler = Scheduler(dispatcher, on_fired)
    scheduler.start()
    try:
        assert fired.wait(PATIENCE)
        assert Lease.find(RIGHT) is not None
    finally:
        scheduler.stop()
    assert [run.id for run in runs(made)] == ids and len(fires(made)) == len(ids)
    assert Lease.find(RIGHT) is None


@pytest.mark.slow
def test_without_a_hook_the_dispatcher_takes_the_runs_up_at_once(dispatcher):
    ended = threading.Event()
    dispatcher.on_step = lambda run, step: ended.set()
    schedule(now_ms(), every=1)
    scheduler = Scheduler(dispatcher)
    scheduler.start()
    try:
        assert ended.wait(PATIENCE)
    finally:
        scheduler.stop()
    dispatcher.stop()
    assert Run.select().where(Run.status == "success").count() >= 1


@pytest.mark.slow
def test_no_thread_is_left_when_the_scheduler_has_stopped(dispatcher):
    before = set(threading.enumerate())
    scheduler = Scheduler(dispatcher)
    scheduler.start()
    scheduler.stop()
    assert set(threading.enumerate()) == before
