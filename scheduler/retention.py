"""Retention: deletes ended runs by age, number and size, oldest first, then shrinks the database file.

Works in steps of a few milliseconds with pauses, because runs are accepted and recorded in the same file. One process
works at a time; if it dies, the next pass of any process continues.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Generator, Iterator
from itertools import islice

import database
from config import Config
from database.base import DAY_MS, STEP_SECONDS, first_id, new_id, now_ms
from database.queries import partitions
from database.queries import retention as rows
from dispatch.payloads import Payloads
from models import Run
from nodes.files.files import WorkspaceFiles
from nodes.files.staged import remove_unsent
from registry import registry
from scheduler.leader import Leadership

log = logging.getLogger("headrace.retention")
LEASE_NAME = "retention"
LEASE_MS = 60_000
PAUSE_SECONDS = 0.08
FRESH_MS = 60_000  # after the end of a run, while its caller may still ask for the result
ALL_AGES_MS = 2**48  # later than any id
FOLDERS_PER_STEP = 500
FOLDERS_PER_PASS = 20_000
SLACK = 0.01  # fraction of the file that stays free: space freed in an hour is needed again in the next

Steps = Generator[None, None, None]
Pause = Callable[[float], bool]


class Retention:
    """One process's part in retention. Call `work` from time to time; `stop` ends it after the current step."""

    def __init__(
        self,
        config: Config,
        payloads: Payloads,
        wall: Callable[[], int] = now_ms,
        monotonic: Callable[[], float] = time.monotonic,
        pause: Pause | None = None,
    ) -> None:
        self.config, self.payloads = config, payloads
        self.wall, self.monotonic = wall, monotonic
        self._lease = Leadership(LEASE_NAME, new_id("keep"), LEASE_MS, wall)
        self._stopping = threading.Event()
        self._pause = self._stopping.wait if pause is None else pause
        self._shift = self._clock_shift()
        self._deleted = 0
        self._folders_seen = 0
        self._told = False

    def stop(self) -> None:
        """Stop after the current step."""
        self._stopping.set()

    def work(self) -> bool:
        """Delete expired data and shrink the file. Return False if another process does, or this one stops."""
        if not self._lease.renew():
            return False
        try:
            return all(not self._pause(PAUSE_SECONDS) and self._lease.renew() for _ in self.steps(self.wall()))
        finally:
            if self._deleted:
                size = database.space()
                log.info("Deleted %d runs; the database has %d bytes, %d of them free", self._deleted, *size)
            self._deleted = 0
            self._lease.release()

    def steps(self, now: int) -> Steps:
        """Run one pass. After each step the data is consistent and nothing is locked."""
        yield from self._remove([])  # leftovers of a crash
        yield from self._clear_removed()
        # One minute of a wrong clock must not delete a history; expired data can wait for a restart.
        if self._clock_shift() - self._shift > DAY_MS:
            log.warning("The clock was set forward by more than a day: nothing is deleted by age until a restart")
        else:
            yield from self._by_age(now)
        if self.config.retention_runs:
            oldest = rows.nth_newest(self.config.retention_runs)
            if oldest is not None:
                yield from self._remove_partitions(oldest, now - FRESH_MS, now)
                yield from self._remove_all(self._pages("", oldest, now - FRESH_MS, now))
        # PostgreSQL keeps the space of deleted rows for new ones, so its size does not tell when to stop.
        if self.config.retention_bytes and not database.is_postgres():
            yield from self._by_size(now)
        yield from self._orphans(now)
        # Files of forms that were not sent, in the files of each workspace.
        folder = self.config.files_dir or self.config.data_dir / "files"
        for root in sorted(folder.iterdir()) if folder.is_dir() else ():
            files = WorkspaceFiles(root, self.config.file_max_bytes, self.config.files_quota)
            if count := remove_unsent(files, lambda run_id: Run.find(run_id) is not None, now / 1000):
                log.info("Deleted %d files of forms that were not sent", count)
            yield
        yield from self._shrink()

    def _clock_shift(self) -> int:
        """Return by how many milliseconds the wall clock is ahead of the monotonic clock."""
        return self.wall() - int(self.monotonic() * 1000)

    def _by_age(self, now: int) -> Steps:
        """Delete old runs, log entries and audit entries, states of triggers that are not polled, expired memories."""
        if self.config.retention_days:
            before = now - self.config.retention_days * DAY_MS
            below = first_id("run", before)
            crowded = yield from self._remove_partitions(below, before, now)
            for after, until in rows.find_ranges(below, self.config.retention_days, crowded):
                yield from self._remove_all(self._pages(after, until, before, now))
            yield from self._age("log_entries", before)
        if self.config.audit_days:
            yield from self._age("audit_entries", now - self.config.audit_days * DAY_MS)
        registry.polls.prune(now)
        yield
        while not rows.remove_expired_memories(now, self._time()):
            yield
        yield

    def _by_size(self, now: int) -> Steps:
        most = self.config.retention_bytes
        values = 0
        for number, run_id in enumerate(self.payloads.run_ids(), start=1):
            values += self.payloads.size_of(run_id)
            if number % FOLDERS_PER_STEP == 0:
                yield
        if database.space().used + values <= most:
            return
        goal = most * 9 // 10
        for ids in self._pages("", first_id("run", ALL_AGES_MS), now - FRESH_MS, now):
            yield
            while ids and (surplus := database.space().used + values - goal) > 0:
                oldest = []  # the oldest runs whose files add up to the surplus
                for id_ in ids:
                    oldest.append(id_)
                    surplus -= self.payloads.size_of(id_)
                    if surplus <= 0:
                        break
                values -= yield from self._remove(oldest)
                ids = ids[len(oldest) :]
            if ids:
                return
        if (size := database.space().used + values) > goal:
            log.warning("%d bytes are in use, %d are allowed, but no more runs can be deleted", size, most)

    @staticmethod
    def _pages(after: str, below: str, ended_before: int, now: int) -> Iterator[list[str]]:
        """Yield the deletable runs between two ids by pages, oldest first."""
        last: str | None = after
        while last is not None:
            ids, last = rows.runs_over(last, below, ended_before, now)
            yield ids

    def _remove_partitions(self, below: str, ended_before: int, now: int) -> Generator[None, None, list[str]]:
        """Remove the partitions of PostgreSQL before this id. Return the names of those with too many runs that stay.

        One that others use at the moment is left to the next pass.
        """
        while (removed := rows.remove_partition(below, ended_before, now)) is not None:
            name, result, count = removed
            if result is partitions.Result.CROWDED:
                return [name]
            if result is partitions.Result.BUSY:
                log.info("The partition %s of runs is in use; it will be removed later", name)
                return []
            self._deleted += count
            yield
            yield from self._clear_removed()
        return []

    def _clear_removed(self) -> Steps:
        """Delete rows and values of the runs of removed partitions."""
        for bounds in partitions.find_removed():
            while not rows.clear_removed(bounds, self._time()):
                yield
            ids = (id_ for id_ in self.payloads.run_ids() if bounds[0] <= id_ < bounds[1])
            while page := list(islice(ids, FOLDERS_PER_STEP)):
                for id_ in rows.missing(page):
                    self.payloads.remove(id_)
                yield
            partitions.forget_removed(bounds)

    def _remove_all(self, pages: Iterator[list[str]]) -> Steps:
        for ids in pages:
            if ids:
                yield from self._remove(ids)
            else:
                yield

    def _remove(self, ids: list[str]) -> Generator[None, None, int]:
        """Delete these runs and their files; return the bytes of files freed."""
        freed, more = 0, True
        while ids or more:
            taken, gone, more = rows.remove_runs(ids, self._time())
            self._deleted += len(gone)
            # Rows before files: files without a row are cleaned up later, but no row may refer to missing files.
            freed += sum(self.payloads.remove(id_) for id_ in gone)
            ids = ids[taken:]
            yield
        return freed

    def _time(self) -> Callable[[], bool]:
        """Return a function that returns True while the step has time left.

        The time starts at its first call, so waiting for other writers does not count, and every step makes progress.
        """
        began: list[float] = []

        def has_time() -> bool:
            now = self.monotonic()
            if not began:
                began.append(now)
            return now - began[0] < STEP_SECONDS

        return has_time

    def _age(self, table: str, before: int) -> Steps:
        last: str | None = ""
        while last is not None:
            ids, last = rows.rows_over(table, last, before)
            yield
            while ids:
                ids = ids[rows.remove_rows(table, ids, self._time()) :]
                yield

    def _orphans(self, now: int) -> Steps:
        """Delete files without a row, left by a crash or by a process that died while deleting a run.

        Checks FOLDERS_PER_PASS folders, starting where the last pass of this process ended.
        """
        names = islice(self.payloads.run_ids(), self._folders_seen, self._folders_seen + FOLDERS_PER_PASS)
        seen = 0
        while ids := list(islice(names, FOLDERS_PER_STEP)):
            for id_ in rows.missing(ids):
                changed = self.payloads.changed_at(id_)
                if changed is not None and changed < now - DAY_MS:
                    log.info("Deleting the files of run %s, which does not exist", id_)
                    self.payloads.remove(id_)
            seen += len(ids)
            yield
        self._folders_seen = self._folders_seen + seen if seen == FOLDERS_PER_PASS else 0

    def _shrink(self) -> Steps:
        size = database.space()
        slack = int(size.total * SLACK)
        if size.free > slack and not database.can_shrink():
            if not self._told:
                log.warning("The database file cannot shrink, because it has an old format; see docs/operations.md")
            self._told = True
            return
        while not database.shrink(slack, self._time()):
            yield
        if not database.empty_log():
            log.info("The write-ahead log is in use; the file will be truncated later")
