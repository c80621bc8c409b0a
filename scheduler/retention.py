"""What is kept, and for how long: ended runs go by age, number and size, oldest first; then the database file shrinks.

Everything happens in steps of a few milliseconds with a pause after each, since whoever accepts and records runs
writes to the same file. One process is at it at a time; where it dies, the next pass of any goes on.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Generator, Iterator
from itertools import islice

import database
from config import Config
from dispatch.payloads import Payloads
from models import AgentMemory, Lease, Poll, first_id, new_id, now_ms
from models import retention as rows

log = logging.getLogger("headrace.retention")
RIGHT = "retention"
LEASE_MS = 60_000
STEP_SECONDS = 0.01  # that a transaction may take before it is ended
PAUSE_SECONDS = 0.08
DAY_MS = 86_400_000
FRESH_MS = 60_000  # since the end of a run, in which who started it may still ask what became of it
ALL_AGES_MS = 2**48  # later than any id
FOLDERS_A_STEP = 500
FOLDERS_A_PASS = 20_000
SLACK = 0.01  # of the file: what is deleted in an hour is needed again in the next, and is not worth moving pages for

Steps = Generator[None, None, None]
Pause = Callable[[float], bool]


class Retention:
    """One process's part in it. `work` from time to time; `stop` ends that after the step that is being done."""

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
        self.owner = new_id("keep")
        self._stopping = threading.Event()
        self._pause = self._stopping.wait if pause is None else pause
        self._until = 0
        self._shift = self._clock_shift()
        self._deleted = 0
        self._folders_seen = 0
        self._told = False

    def stop(self) -> None:
        """Let the process end."""
        self._stopping.set()

    def work(self) -> bool:
        """Delete what has had its time, and shrink the file; False where another process does, or this one ends."""
        if not self._leads():
            return False
        try:
            return all(not self._pause(PAUSE_SECONDS) and self._leads() for _ in self.steps(self.wall()))
        finally:
            self._tell()
            self._give_up()

    def steps(self, now: int) -> Steps:
        """A pass. After each step everything is consistent, and nothing is locked."""
        yield from self._remove([])  # what a crash has left
        if self.config.retention_days:
            yield from self._by_age(now)
        if self.config.retention_runs:
            yield from self._by_number(now)
        if self.config.retention_bytes:
            yield from self._by_size(now)
        if self.config.audit_days:
            yield from self._audit(now)
        yield from self._idle_polls(now)
        yield from self._expired_memories(now)
        yield from self._orphans(now)
        yield from self._shrink()

    def _leads(self) -> bool:
        """Whether this process is the one; asks the database when half of the time is over."""
        now = self.wall()
        if LEASE_MS // 2 < self._until - now <= LEASE_MS:
            return True
        leads = Lease.lead(RIGHT, self.owner, LEASE_MS, self.wall)
        self._until = now + LEASE_MS if leads else 0
        return leads

    def _tell(self) -> None:
        if self._deleted:
            size = database.space()
            log.info("%d runs had their time; the database has %d bytes, %d of them free", self._deleted, *size)
        self._deleted = 0

    def _give_up(self) -> None:
        self._until = 0
        try:
            Lease.drop(RIGHT, self.owner)
        except Exception as error:
            # What ended the pass, a full disk perhaps, is the better news.
            log.warning("the right to delete could not be given up; it lapses within %d ms: %s", LEASE_MS, error)

    # Runs

    def _clock_shift(self) -> int:
        """How far the clock on the wall is ahead of the one that nobody sets, in milliseconds."""
        return self.wall() - int(self.monotonic() * 1000)

    def _is_ahead(self) -> bool:
        """Whether the clock was set forward by so much that it must not decide what is old.

        One wrong minute of a clock must not delete a history; what is too old can wait for a restart.
        """
        return self._clock_shift() - self._shift > DAY_MS

    def _by_age(self, now: int) -> Steps:
        if self._is_ahead():
            log.warning("the clock was set forward by more than a day: nothing is deleted for its age until a restart")
            return
        before = now - self.config.retention_days * DAY_MS
        yield from self._remove_all(self._pages(first_id("run", before), before, now))
        yield from self._age("log_entries", before)

    def _by_number(self, now: int) -> Steps:
        oldest = rows.nth_newest(self.config.retention_runs)
        if oldest is not None:
            yield from self._remove_all(self._pages(oldest, now - FRESH_MS, now))

    def _by_size(self, now: int) -> Steps:
        most = self.config.retention_bytes
        values = 0
        for number, run_id in enumerate(self.payloads.run_ids(), start=1):
            values += self.payloads.size_of(run_id)
            if number % FOLDERS_A_STEP == 0:
                yield
        if database.space().used + values <= most:
            return
        goal = most * 9 // 10
        for ids in self._pages(first_id("run", ALL_AGES_MS), now - FRESH_MS, now):
            yield
            while ids and (surplus := database.space().used + values - goal) > 0:
                oldest = self._enough(ids, surplus)
                values -= yield from self._remove(oldest)
                ids = ids[len(oldest) :]
            if ids:
                return
        if (size := database.space().used + values) > goal:
            log.warning("%d bytes are in use, of %d that are allowed, and no more runs may go", size, most)

    def _enough(self, ids: list[str], surplus: int) -> list[str]:
        """The oldest of the runs, up to the one with whose files it is enough."""
        for number, id_ in enumerate(ids, start=1):
            surplus -= self.payloads.size_of(id_)
            if surplus <= 0:
                return ids[:number]
        return ids

    @staticmethod
    def _pages(below: str, ended_before: int, now: int) -> Iterator[list[str]]:
        """The runs that may go, a page at a time, oldest first."""
        last: str | None = ""
        while last is not None:
            ids, last = rows.runs_over(last, below, ended_before, now)
            yield ids

    def _remove_all(self, pages: Iterator[list[str]]) -> Steps:
        for ids in pages:
            if ids:
                yield from self._remove(ids)
            else:
                yield

    def _remove(self, ids: list[str]) -> Generator[None, None, int]:
        """Delete these runs and their files; how many bytes of files that freed."""
        freed, more = 0, True
        while ids or more:
            taken, gone, more = rows.remove_runs(ids, self._time())
            self._deleted += len(gone)
            # Rows first: files that no row speaks of are found again, a row must not speak of files that are gone.
            freed += sum(self.payloads.remove(id_) for id_ in gone)
            ids = ids[taken:]
            yield
        return freed

    def _time(self) -> Callable[[], bool]:
        """A function that tells whether the step has time left. That begins with the first call, at which it has.

        So waiting for other writers does not count, and every step gets something done.
        """
        began: list[float] = []

        def has_time() -> bool:
            now = self.monotonic()
            if not began:
                began.append(now)
            return now - began[0] < STEP_SECONDS

        return has_time

    # The rest

    def _audit(self, now: int) -> Steps:
        """Delete what the audit trail has kept for long enough."""
        if not self._is_ahead():
            yield from self._age("audit_entries", now - self.config.audit_days * DAY_MS)

    def _idle_polls(self, now: int) -> Steps:
        """Forget how far triggers had come that have not been polled for long."""
        if not self._is_ahead():
            Poll.prune(now)
        yield

    def _expired_memories(self, now: int) -> Steps:
        """Delete what agents were to remember for so long."""
        while not self._is_ahead() and not AgentMemory.remove_expired(now, self._time()):
            yield
        yield

    def _age(self, table: str, before: int) -> Steps:
        last: str | None = ""
        while last is not None:
            ids, last = rows.rows_over(table, last, before)
            yield
            while ids:
                ids = ids[rows.remove_rows(table, ids, self._time()) :]
                yield

    def _orphans(self, now: int) -> Steps:
        """Delete files of which no row speaks: of a crash, or of a run whose process died before it had deleted them.

        So many folders are looked at, from where the last pass of this process ended.
        """
        names = islice(self.payloads.run_ids(), self._folders_seen, self._folders_seen + FOLDERS_A_PASS)
        seen = 0
        while ids := list(islice(names, FOLDERS_A_STEP)):
            for id_ in rows.missing(ids):
                changed = self.payloads.changed_at(id_)
                if changed is not None and changed < now - DAY_MS:
                    log.info("the files of run %s are deleted, since there is no such run", id_)
                    self.payloads.remove(id_)
            seen += len(ids)
            yield
        self._folders_seen = self._folders_seen + seen if seen == FOLDERS_A_PASS else 0

    def _shrink(self) -> Steps:
        size = database.space()
        slack = int(size.total * SLACK)
        if size.free > slack and not database.can_shrink():
            if not self._told:
                log.warning("the database file cannot shrink, as it is an old one; see docs/operations.md")
            self._told = True
            return
        while not database.shrink(slack, self._time()):
            yield
        if not database.empty_log():
            log.info("the write-ahead log is being read; the file is cut off at a later time")
