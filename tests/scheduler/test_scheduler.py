"""The scheduler as a process has it: real threads, real time."""

import logging
import threading

import pytest
from apscheduler.events import EVENT_JOB_SUBMITTED
from moments import fires, runs, schedule
from servers import until
from world import PATIENCE, process

from database import commits, is_postgres, settings_commits
from database.base import now_ms
from models import Lease, Run
from packs.polls.poller import Poller
from registry import registry
from scheduler import QUIET_SECONDS, RATE_LIMIT, ClockAwareScheduler, RateLimitFilter, Scheduler
from scheduler.leader import LEASE_NAME, Leader


@pytest.fixture
def dispatcher(path, tmp_path):
    with process(tmp_path) as dispatcher:
        yield dispatcher


@pytest.mark.slow
def test_a_schedule_fires_and_its_runs_are_executed_while_the_scheduler_runs(dispatcher):
    ended = threading.Event()
    dispatcher.executor.on_step = lambda run, step: ended.set()
    made = schedule(now_ms(), every=1)
    scheduler = Scheduler(dispatcher)
    scheduler.start()
    try:
        assert ended.wait(PATIENCE)
        assert Lease.find(LEASE_NAME) is not None
    finally:
        scheduler.stop()
    dispatcher.stop()
    assert len(fires(made)) == len(runs(made))
    assert Run.select().where(Run.status == "success").count() >= 1
    assert Lease.find(LEASE_NAME) is None


def test_a_process_with_nothing_to_do_changes_no_counter(dispatcher):
    leader = Leader(lambda runs: None, dispatcher.may_start)
    poller = Poller(dispatcher, leader.owner, leader.leads)
    leader.tick()
    if is_postgres():
        until(settings_commits, "the counter was read")
    before = commits(), settings_commits()
    for job in (dispatcher.lease.beat, dispatcher.sweep, dispatcher.wake, leader.tick, poller.tick):
        job()
    leader.stop()
    assert (commits(), settings_commits()) == before


def test_a_job_of_each_process_is_called_at_its_start(dispatcher, monkeypatch):
    called, led = threading.Event(), threading.Event()
    monkeypatch.setattr(registry, "jobs", [])
    registry.add_job(called.set, 3600, everywhere=True)
    registry.add_job(led.set, 3600)
    scheduler = Scheduler(dispatcher)
    scheduler.start()
    try:
        assert called.wait(PATIENCE) and not led.is_set()
    finally:
        scheduler.stop()


@pytest.mark.slow
def test_a_stopped_scheduler_leaves_no_thread(dispatcher):
    before = set(threading.enumerate())
    scheduler = Scheduler(dispatcher)
    scheduler.start()
    scheduler.stop()
    assert set(threading.enumerate()) == before


@pytest.mark.parametrize("hours", [-1, 1])
def test_jobs_continue_after_a_change_of_the_wall_clock(hours):
    shift, done, again = [0.0], threading.Event(), threading.Event()
    scheduler = ClockAwareScheduler(lambda: shift[0], timezone="UTC")
    job = scheduler.add_job(lambda: (again if done.is_set() else done).set(), "interval", hours=1)
    scheduler.start()
    try:
        assert not done.is_set()
        shift[0] += hours * 3600
        assert done.wait(PATIENCE)
        assert job.next_run_time is not None and not again.is_set(), "once, not once for every look"
    finally:
        scheduler.shutdown()


def test_repeated_warnings_of_apscheduler_are_logged_once_a_minute_with_a_count(caplog):
    clock, logger = [0.0], logging.getLogger("tests.seldom")
    seldom = RateLimitFilter(lambda: clock[0])
    logger.addFilter(seldom)
    try:
        for _ in range(500):
            logger.warning("job %s skipped", "a")
        logger.warning("another thing")
        clock[0] += QUIET_SECONDS
        logger.warning("job %s skipped", "b")
        logger.warning("another thing")
    finally:
        logger.removeFilter(seldom)
    assert [record.getMessage() for record in caplog.records] == [
        "job a skipped",
        "another thing",
        "job b skipped (499 similar messages were suppressed)",
        "another thing",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["ticks", "default", "retention"])
def test_a_job_longer_than_its_interval_is_not_called_twice_and_logs_nothing(dispatcher, caplog, executor):
    opened, due, begun = threading.Event(), [], []

    def work():
        begun.append(1)
        opened.wait(PATIENCE)

    scheduler = Scheduler(dispatcher)
    RATE_LIMIT._told.clear()
    scheduler._scheduler.add_job(work, "interval", seconds=0.01, executor=executor)
    scheduler._scheduler.add_listener(due.append, EVENT_JOB_SUBMITTED)
    scheduler._scheduler.start()
    try:
        until(lambda: len(due) > 20, "the job is due many times")
        assert begun == [1]
        opened.set()
        until(lambda: len(begun) > 1, "the job is called again")
    finally:
        opened.set()
        scheduler._scheduler.shutdown(wait=True)
    assert not [record for record in caplog.records if record.name.startswith("apscheduler")]
