"""The scheduler as a process has it: real threads, real time."""

import threading

import pytest
from moments import fires, runs, schedule
from world import PATIENCE, process

from models import Lease, Run, now_ms
from scheduler import Scheduler, Steady
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


@pytest.mark.parametrize("hours", [-1, 1])
def test_jobs_go_on_when_the_clock_on_the_wall_is_set(hours):
    shift, done, again = [0.0], threading.Event(), threading.Event()
    scheduler = Steady(lambda: shift[0], timezone="UTC")
    job = scheduler.add_job(lambda: (again if done.is_set() else done).set(), "interval", hours=1)
    scheduler.start()
    try:
        assert not done.is_set()
        shift[0] += hours * 3600
        assert done.wait(PATIENCE)
        assert job.next_run_time is not None and not again.is_set(), "once, not once for every look"
    finally:
        scheduler.shutdown()
