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
def test_a_schedule_fires_and_its_runs_are_executed_while_the_scheduler_runs(dispatcher):
    ended = threading.Event()
    dispatcher.on_step = lambda run, step: ended.set()
    made = schedule(now_ms(), every=1)
    scheduler = Scheduler(dispatcher)
    scheduler.start()
    try:
        assert ended.wait(PATIENCE)
        assert Lease.find(RIGHT) is not None
    finally:
        scheduler.stop()
    dispatcher.stop()
    assert len(fires(made)) == len(runs(made))
    assert Run.select().where(Run.status == "success").count() >= 1
    assert Lease.find(RIGHT) is None


@pytest.mark.slow
def test_no_thread_is_left_when_the_scheduler_has_stopped(dispatcher):
    before = set(threading.enumerate())
    scheduler = Scheduler(dispatcher)
    scheduler.start()
    scheduler.stop()
    assert set(threading.enumerate()) == before
