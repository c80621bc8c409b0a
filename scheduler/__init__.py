"""Scheduler: the one APScheduler of a process, for all periodic jobs. Without a job store.

`cron` computes the times of a schedule, `firing` fires it; `leader` decides which process does so, and polls the
triggers of the pack polls; `retention` deletes expired data. Drafts are published at their time here.
"""

from __future__ import annotations

import concurrent.futures
import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from apscheduler.executors.base import BaseExecutor, MaxInstancesReachedError
from apscheduler.executors.pool import BasePoolExecutor, ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.util import undefined

from database import DatabaseRefused, LockTimeout, closing_connection, disconnect_thread, execute, is_postgres, write
from database.base import now_ms
from database.queries import drafts, leases, logs, partitions, schedules
from database.queries.metrics import settle_days
from dispatch import Dispatcher
from dispatch.publishing import publish_scheduled
from errors import HeadraceError
from fields import iso
from models import (
    DataWrite,
    IdempotencyKey,
    Invitation,
    LoginAddress,
    OAuthAttempt,
    Presence,
    RateLimit,
    ScheduledPublish,
    Session,
    StoreEntry,
    Workflow,
)
from registry import registry
from scheduler.firing import watch
from scheduler.leader import Leader
from scheduler.retention import Retention

# Scheduled publishes: each due one is published once, or its failure is recorded and logged.

log = logging.getLogger("headrace.scheduler")
PAGE = 100
INTERNAL = "An internal error occurred; the log of the server has the details"


def publish_due(now: int, max_nodes: int) -> int:
    """Publish what is due; return the number of new versions. Several processes may call this at the same time."""
    published = 0
    for due in drafts.find_due(now, PAGE):
        try:
            published += publish_scheduled(due, max_nodes)
        except (DatabaseRefused, LockTimeout):
            raise  # tried again at the next call
        except HeadraceError as error:
            if error.status >= 500:
                raise
            _fail(due, error.message, now)
        except Exception:
            # One flow must not hold up those of the others.
            log.exception("Could not publish the draft of the flow %s, which was scheduled", due.workflow_id)
            _fail(due, INTERNAL, now)
    return published


def _fail(due: ScheduledPublish, reason: str, now: int) -> None:
    """Record why it was not published: for the people who open the flow, and in the log of its workspace."""
    flow = Workflow.find(due.workflow_id)
    if flow is None:
        return
    with write():
        if not drafts.fail_scheduled(due, reason, now):
            return
        text = f"The draft of the flow {flow.name} was not published at {iso(due.publish_at)}, as scheduled: {reason}"
        data = orjson.dumps({"workflow_id": flow.id, "publish_at": iso(due.publish_at)}).decode()
        execute(*logs.entry(flow.workspace_id, None, None, "error", text, data))
    log.warning("%s", text)


# Rate limit for APScheduler's warnings: under load it would log the same one at every tick.

QUIET_SECONDS = 60.0


class RateLimitFilter(logging.Filter):
    """Passes one message of a kind in QUIET_SECONDS, and counts the suppressed ones in the next.

    Messages are of one kind if they have the same logger and the same template.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._lock = threading.Lock()
        self._told: dict[tuple[str, str], tuple[float, int]] = {}  # kind to time of the last message, suppressed since

    def filter(self, record: logging.LogRecord) -> bool:
        """Return True if the record is to be logged."""
        kind, now = (record.name, str(record.msg)), self._clock()
        with self._lock:
            told_at, left_out = self._told.get(kind, (-QUIET_SECONDS, 0))
            if now - told_at < QUIET_SECONDS:
                self._told[kind] = (told_at, left_out + 1)
                return False
            self._told[kind] = (now, 0)
        if left_out:
            record.msg = f"{record.getMessage()} ({left_out} similar messages were suppressed)"
            record.args = ()
        return True


RATE_LIMIT = RateLimitFilter()


def limit_logging(names: Iterable[str]) -> None:
    """Limit these loggers of APScheduler to warnings and errors, at the rate of `RateLimitFilter`."""
    for name in names:
        logger = logging.getLogger(name)
        logger.setLevel(logging.WARNING)
        logger.addFilter(RATE_LIMIT)  # no effect if it is there already


SWEEP_SECONDS = 2
WAKE_SECONDS = 0.5
TICK_SECONDS = 0.5
WATCH_SECONDS = 30
PUBLISH_SECONDS = 1
OFFER_SECONDS = 5
PRUNE_SECONDS = 3600
CUT_SECONDS = 1800
RETAIN_SECONDS = 3600
SETTLE_SECONDS = 3600
FIRST_SECONDS = 75  # delay of the first retention and settling, to keep the start fast
JUMP_SECONDS = 1.0
LOOK_SECONDS = 0.5


def get_clock_shift() -> float:
    """Return by how many seconds the wall clock is ahead of the monotonic clock."""
    return time.time() - time.monotonic()


class OneAtATime(BaseExecutor):
    """Skips a call of a job that is still running. Each call does all work that is due, so none is lost."""

    def submit_job(self, job: Any, run_times: list[datetime]) -> None:
        """Submit the call, or skip it. APScheduler itself would log a warning about each skipped one."""
        with suppress(MaxInstancesReachedError):
            super().submit_job(job, run_times)


class Threads(OneAtATime, ThreadPoolExecutor):
    """A pool of threads."""


class SingleThread(OneAtATime, BasePoolExecutor):
    """A single thread that keeps its database connection, because opening one costs more than a tick."""

    def __init__(self) -> None:
        super().__init__(concurrent.futures.ThreadPoolExecutor(1))

    def shutdown(self, wait: bool = True) -> None:
        """Close the connection and end the thread."""
        self._pool.submit(disconnect_thread)
        super().shutdown(wait)


class ClockAwareScheduler(BackgroundScheduler):
    """Keeps working when the wall clock, which APScheduler uses, is changed.

    Otherwise, a clock set back would pause all jobs until it reaches its old time; set forward, APScheduler would count
    all skipped runs.
    """

    def __init__(self, shift: Callable[[], float] = get_clock_shift, **options: Any) -> None:
        super().__init__(**options)
        self._shift = shift
        self._shifted = shift()

    def _process_jobs(self) -> float:
        before, self._shifted = self._shifted, self._shift()
        if abs(self._shifted - before) > JUMP_SECONDS:
            for job in self.get_jobs():
                job.modify(next_run_time=datetime.now(self.timezone))
        wait = super()._process_jobs()
        # Limit the wait, because the clock may change during it; the next check will notice.
        return LOOK_SECONDS if wait is None else min(LOOK_SECONDS, wait)


class Scheduler:
    """Starts and stops all periodic jobs. Start it once for each process, after the fork.

    `more` are further jobs, each with the seconds between two of its calls.
    """

    def __init__(self, dispatcher: Dispatcher, more: Mapping[Callable[[], object], float] | None = None) -> None:
        self.dispatcher, self.more = dispatcher, more or {}
        self.leader: Leader | None = None
        self.poller: Any = None
        self.retention: Retention | None = None
        # Separate executors: sweeps must not delay ticks, and retention can take minutes.
        executors = {"ticks": SingleThread(), "default": Threads(2), "retention": Threads(1)}
        limit_logging(["apscheduler.scheduler", *(f"apscheduler.executors.{name}" for name in executors)])
        self._scheduler = ClockAwareScheduler(
            timezone="UTC",
            executors=executors,
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )

    def start(self) -> None:
        """Start all jobs."""
        dispatcher, unless_paused, with_room = self.dispatcher, self.unless_paused, self.with_room

        def when_leading(job: Callable[[], object]) -> Callable[[], object]:
            return lambda: job() if leader.leads() else None

        def publish() -> None:  # not with the ticks: it may take seconds
            publish_due(now_ms(), dispatcher.config.max_nodes)

        self.leader = Leader(lambda runs: dispatcher.pick_up(), dispatcher.may_start)
        self.poller = registry.polls.make_poller(dispatcher, self.leader.owner, self.leader.leads)
        leader = self.leader
        self.retention = Retention(dispatcher.config, dispatcher.resources.payloads)
        now = datetime.now(UTC)
        later = now + timedelta(seconds=FIRST_SECONDS)
        jobs: list[tuple[str, Callable[[], object], float, Any]] = [
            ("default", dispatcher.sweep, SWEEP_SECONDS, now),  # at once, to recover the runs of a crash
            ("default", unless_paused(lambda: watch(now_ms())), WATCH_SECONDS, undefined),
            ("default", when_leading(dispatcher.offer_again), OFFER_SECONDS, undefined),
            ("default", unless_paused(with_room(when_leading(publish))), PUBLISH_SECONDS, undefined),
            ("default", prune, PRUNE_SECONDS, undefined),
            *([("default", unless_paused(self._cut_partitions), CUT_SECONDS, now)] if is_postgres() else []),
            ("ticks", unless_paused(with_room(self.leader.tick)), TICK_SECONDS, undefined),
            *([("ticks", unless_paused(with_room(self.poller.tick)), TICK_SECONDS, undefined)] if self.poller else []),
            ("ticks", unless_paused(dispatcher.wake), WAKE_SECONDS, undefined),
            ("retention", unless_paused(self.retention.work), RETAIN_SECONDS, later),
            ("retention", lambda: settle_days(now_ms()), SETTLE_SECONDS, later),
            *(("default", job, seconds, undefined) for job, seconds in self.more.items()),
            *(("default", job.call, job.seconds, now) for job in registry.jobs if job.everywhere),
            *(
                ("default", unless_paused(when_leading(job.call)), job.seconds, undefined)
                for job in registry.jobs
                if not job.everywhere
            ),
        ]
        for executor, job, seconds, first in jobs:
            # Threads of the pools end without notice; that of the ticks closes its connection itself.
            work = job if executor == "ticks" else closing_connection(job)
            self._scheduler.add_job(work, "interval", seconds=seconds, executor=executor, next_run_time=first)
        self._scheduler.start()

    def unless_paused(self, job: Callable[[], object]) -> Callable[[], object]:
        """Return the job, which does nothing while the server is paused."""
        return lambda: None if self.dispatcher.is_paused else job()

    def with_room(self, tick: Callable[[], object]) -> Callable[[], object]:
        """Return the tick, which does nothing until the disk has space again."""
        return lambda: None if self.dispatcher.free_space.is_low() else tick()

    def leads(self) -> bool:
        """Return True if this process leads."""
        return self.leader is not None and self.leader.leads()

    def _cut_partitions(self) -> None:
        """Add partitions for the next days. Any process may; if the tables are in use, a later call goes on."""
        with suppress(LockTimeout):
            partitions.cut_ahead(now_ms(), self.dispatcher.config.retention_days)

    def stop(self) -> None:
        """Stop after the running jobs."""
        if self.retention is not None:
            self.retention.stop()
        self._scheduler.shutdown(wait=True)
        if self.poller is not None:
            self.poller.stop()
        if self.leader is not None:
            self.leader.stop()


def prune() -> None:
    """Delete expired rows."""
    people = (Session, Invitation, LoginAddress, Presence, OAuthAttempt)
    for table in (*people, IdempotencyKey, StoreEntry, DataWrite, RateLimit):
        table.prune()
    leases.prune()
    schedules.prune_fires()
