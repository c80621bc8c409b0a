"""The one APScheduler of a process: what has to happen again and again. It keeps no job store; its jobs are these.

`rhythm` says when a schedule fires, `firing` fires it, `polls` asks for what is new elsewhere; `leader` decides which
process does both. `retention` deletes what has had its time.
"""

from __future__ import annotations

import concurrent.futures
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from apscheduler.executors.pool import BasePoolExecutor, ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.util import undefined

from database import disconnect_thread
from dispatch import Dispatcher
from models import (
    IdempotencyKey,
    Invitation,
    Lease,
    LoginAddress,
    ScheduleFire,
    Session,
    StoreEntry,
    now_ms,
    settle_days,
)
from scheduler.firing import watch
from scheduler.leader import Leader
from scheduler.polls import Poller
from scheduler.retention import Retention
from scheduler.warnings import quieten

SWEEP_SECONDS = 2
WAKE_SECONDS = 0.5
TICK_SECONDS = 0.5
WATCH_SECONDS = 30
PRUNE_SECONDS = 3600
RETAIN_SECONDS = 3600
SETTLE_SECONDS = 3600
FIRST_SECONDS = 75  # until the first of these two: a start has better things to do
JUMP_SECONDS = 1.0
LOOK_SECONDS = 0.5


def clock_shift() -> float:
    """By how many seconds the clock on the wall is ahead of the one that nobody sets."""
    return time.time() - time.monotonic()


class OneThread(BasePoolExecutor):
    """A single thread that keeps its connection to the database: to open one costs more than a tick does."""

    def __init__(self) -> None:
        super().__init__(concurrent.futures.ThreadPoolExecutor(1))

    def shutdown(self, wait: bool = True) -> None:
        """End it, and its connection before."""
        self._pool.submit(disconnect_thread)
        super().shutdown(wait)


class Steady(BackgroundScheduler):
    """Goes on when the clock on the wall is set, by which APScheduler goes.

    Set back, it would do nothing until the clock shows again what it showed; set forward, it would count every time
    that was skipped.
    """

    def __init__(self, shift: Callable[[], float] = clock_shift, **options: Any) -> None:
        super().__init__(**options)
        self._shift = shift
        self._shifted = shift()

    def _process_jobs(self) -> float:
        before, self._shifted = self._shifted, self._shift()
        if abs(self._shifted - before) > JUMP_SECONDS:
            for job in self.get_jobs():
                job.modify(next_run_time=datetime.now(self.timezone))
        wait = super()._process_jobs()
        # Not for longer, since the clock may have been set just now: the next look will notice.
        return LOOK_SECONDS if wait is None else min(LOOK_SECONDS, wait)


class Scheduler:
    """Start it once a process, after the fork."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self.dispatcher = dispatcher
        self.leader: Leader | None = None
        self.poller: Poller | None = None
        self.retention: Retention | None = None
        # No slow sweep delays a tick. What retention does can take minutes.
        executors = {"ticks": OneThread(), "default": ThreadPoolExecutor(2), "retention": ThreadPoolExecutor(1)}
        quieten(["apscheduler.scheduler", *(f"apscheduler.executors.{name}" for name in executors)])
        self._scheduler = Steady(
            timezone="UTC",
            executors=executors,
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        )

    def start(self) -> None:
        """Begin."""
        dispatcher = self.dispatcher
        self.leader = Leader(lambda runs: dispatcher.pick_up(), dispatcher.may_start)
        self.poller = Poller(dispatcher, self.leader.owner, self.leader.leads)
        jobs: list[tuple[Callable[[], object], float]] = [
            (dispatcher.sweep, SWEEP_SECONDS),
            (self._unless_paused(lambda: watch(now_ms())), WATCH_SECONDS),
            (prune, PRUNE_SECONDS),
        ]
        for job, seconds in jobs:
            # After a restart, what a crash left must not wait for the second round.
            first = datetime.now(UTC) if job == dispatcher.sweep else undefined
            self._scheduler.add_job(_closing(job), "interval", seconds=seconds, next_run_time=first)
        ticks = (
            (self._with_room(self.leader.tick), TICK_SECONDS),
            (self._with_room(self.poller.tick), TICK_SECONDS),
            (dispatcher.wake, WAKE_SECONDS),
        )
        for tick, seconds in ticks:
            self._scheduler.add_job(self._unless_paused(tick), "interval", seconds=seconds, executor="ticks")
        self.retention = Retention(dispatcher.config, dispatcher.resources.payloads)
        later: list[tuple[Callable[[], object], float]] = [
            (self._unless_paused(self.retention.work), RETAIN_SECONDS),
            (lambda: settle_days(now_ms()), SETTLE_SECONDS),
        ]
        for job, seconds in later:
            first = datetime.now(UTC) + timedelta(seconds=FIRST_SECONDS)
            self._scheduler.add_job(
                _closing(job), "interval", seconds=seconds, executor="retention", next_run_time=first
            )
        self._scheduler.start()

    def _with_room(self, tick: Callable[[], object]) -> Callable[[], None]:
        """The tick, unless the disk is nearly full: what is due then starts when there is room again."""

        def run() -> None:
            if not self.dispatcher.free_space.is_low():
                tick()

        return run

    def _unless_paused(self, job: Callable[[], object]) -> Callable[[], None]:
        """The job, which does nothing while the server is paused."""

        def run() -> None:
            if not self.dispatcher.is_paused:
                job()

        return run

    def stop(self) -> None:
        """End, after the jobs that run."""
        if self.retention is not None:
            self.retention.stop()
        self._scheduler.shutdown(wait=True)
        if self.poller is not None:
            self.poller.stop()
        if self.leader is not None:
            self.leader.stop()


def _closing(job: Callable[[], object]) -> Callable[[], None]:
    """The job, which closes the connection of the pool's thread: such a thread ends without a word."""

    def run() -> None:
        try:
            job()
        finally:
            disconnect_thread()

    return run


def prune() -> None:
    """Delete what has expired."""
    for table in (Session, Invitation, LoginAddress, IdempotencyKey, StoreEntry, Lease, ScheduleFire):
        table.prune()
