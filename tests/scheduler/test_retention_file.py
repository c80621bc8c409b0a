"""Retention and the file of the database: full disks, how it shrinks, and the job."""

import logging
import resource
import sqlite3
import time
from contextlib import contextmanager
from itertools import islice, pairwise

import pytest
import world
from peewee import OperationalError
from retention_world import A_LEASE, NOW, OLD, RECENT, check_consistent, kept, log_size, strays, tick

import database
from database import execute
from database.queries import retention as rows
from models import ServerFact
from scheduler import Scheduler
from scheduler.retention import LEASE_MS

# Disks that are full


@contextmanager
def files_up_to(size):
    """Every write beyond this size of a file fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("more", [0, 10_000, 100_000])
@pytest.mark.sqlite_only("the process limits the size of the database file")
def test_a_full_disk_stops_it_and_leaves_all_consistent(make, keep, payloads, path, more):
    for number in range(400):
        make(OLD + number, steps=3, text="t" * 500, large=1_001)
    database.empty_log()
    database.disconnect()
    part = keep(days=30)
    list(islice(part.steps(NOW), 1))
    with files_up_to(log_size(path) + more), pytest.raises(OperationalError):
        part.work()
    left = kept()
    assert len(left) == 400 or more
    assert strays() == {} or ServerFact.find(rows.REMOVING) is not None
    assert set(left) <= set(payloads.run_ids())
    assert keep(days=30, wall=lambda: NOW + LEASE_MS).work() and kept() == []
    check_consistent(payloads)
    assert list(payloads.run_ids()) == []


# The file


def fill(make, at):
    for number in range(100):
        make(at + number, steps=4, text="t" * 2_000)


@pytest.mark.sqlite_only("PostgreSQL gives space back itself")
def test_the_file_shrinks_and_its_log_is_emptied(make, keep, path):
    fill(make, OLD)
    stays = make(RECENT)
    database.empty_log()
    before = path.stat().st_size
    assert keep(days=30).work() and kept() == [stays]
    assert path.stat().st_size < before / 2 and log_size(path) <= A_LEASE
    left = database.space()
    assert left.free <= before / 100 and left.total == path.stat().st_size


@pytest.mark.sqlite_only("PostgreSQL gives space back itself")
def test_the_file_shrinks_in_small_steps(make, keep, path):
    fill(make, OLD)
    list(islice(keep(days=30).steps(NOW), 200))
    fill(make, OLD)
    for page in iter(lambda: rows.runs_over("", "run_z", NOW, NOW).ids, []):
        rows.remove_runs(page, lambda: True)
    sizes = [database.space().total]
    for _ in keep(monotonic=tick(0.015)).steps(NOW):
        sizes.append(database.space().total)
    steps = [before - after for before, after in pairwise(sizes) if before > after]
    assert len(steps) > 3 and max(steps) <= 2 * database.sqlite.PAGES_AT_ONCE * 4096


@pytest.mark.sqlite_only("PostgreSQL keeps its own log")
def test_a_reader_delays_only_the_truncation_of_the_log(make, keep, path):
    fill(make, OLD)
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT COUNT(*) FROM runs").fetchone()
    began = time.monotonic()
    assert keep(days=30).work()
    assert time.monotonic() - began < database.sqlite.BUSY_MS / 1000 and kept() == []
    assert reader.execute("SELECT COUNT(*) FROM runs").fetchone() == (100,)
    assert log_size(path) > A_LEASE
    reader.close()
    assert keep(days=30).work() and log_size(path) <= A_LEASE
    assert execute("PRAGMA busy_timeout").fetchone() == (database.sqlite.BUSY_MS,)


@pytest.mark.sqlite_only("it is about a file")
def test_a_file_of_the_old_format_cannot_shrink_and_a_warning_is_logged_once(tmp_path, payloads, keep, caplog):
    old_file = tmp_path / "old.sqlite3"
    old = sqlite3.connect(old_file)
    old.execute("CREATE TABLE first (a)")
    old.executemany("INSERT INTO first VALUES (?)", [("x" * 3_000,)] * 300)
    old.commit()
    old.execute("DELETE FROM first")
    old.commit()
    old.close()
    database.connect(old_file, "normal")
    database.migrate()
    with caplog.at_level(logging.WARNING):
        assert not database.can_shrink()
        part, before = keep(days=30), old_file.stat().st_size
        assert part.work() and part.work()
        assert caplog.text.count("cannot shrink") == 1 and old_file.stat().st_size >= before
    database.disconnect()


def test_a_new_database_can_shrink(path):
    assert database.can_shrink()


# The job


def test_every_process_runs_retention_each_hour_and_not_at_once(path, tmp_path):
    with world.process(tmp_path) as dispatcher:
        scheduler = Scheduler(dispatcher)
        scheduler.start()
        try:
            jobs = [job for job in scheduler._scheduler.get_jobs() if job.executor == "retention"]
            assert len(jobs) == 2, "this, and the sums of days that are over"
            for job in jobs:
                first = job.next_run_time.timestamp() - time.time()
                assert 45 < first < 120 and job.trigger.interval.total_seconds() == 3600
        finally:
            scheduler.stop()
        assert not scheduler.retention.work()
