"""The one APScheduler of a process: what has to happen again and again. It keeps no job store; its jobs are these."""

from __future__ import annotations

import logging
from collections.abc import Callable

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from database import disconnect_thread
from dispatch import Dispatcher
from models import IdempotencyKey, Lease, Session, StoreEntry

BEATS_IN_A_LEASE = 3
SWEEP_SECONDS = 2
PRUNE_SECONDS = 3600


class Scheduler:
    """Start it once a process, after the fork."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        jobs: list[tuple[Callable[[], object], float]] = [
            (dispatcher.beat, dispatcher.config.lease / BEATS_IN_A_LEASE),
            (dispatcher.sweep, SWEEP_SECONDS),
            (prune, PRUNE_SECONDS),
        ]
        logging.getLogger("apscheduler").setLevel(logging.WARNING)
        # Two threads, so that a slow sweep never delays the heartbeat.
        self._scheduler = BackgroundScheduler(
            timezone="UTC",
            executors={"default": ThreadPoolExecutor(2)},
            job_defaults={"coalesce": True, "max_instances": 1},
        )
        for job, seconds in jobs:
            self._scheduler.add_job(_closing(job), "interval", seconds=seconds, misfire_grace_time=None)

    def start(self) -> None:
        """Begin."""
        self._scheduler.start()

    def stop(self) -> None:
        """End, after the jobs that run."""
        self._scheduler.shutdown(wait=True)


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
    for table in (Session, IdempotencyKey, StoreEntry, Lease):
        table.prune()
