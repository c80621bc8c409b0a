"""Retention over real files: deleted and kept rows and values, and the size of the database."""

import logging
import os
import resource
import sqlite3
import time
from contextlib import contextmanager
from itertools import islice, pairwise, product

import pytest
import world
from peewee import OperationalError
from seeding import A_LEASE, DAY, NOW, OLD, RECENT, check_consistent, kept, log_size, strays, tick
from world import add_flow, flow

import database
import models
from config import Config
from database import execute, write
from database.base import Write, first_id, now_ms
from database.queries import metrics, runs
from database.queries import retention as rows
from database.queries import runs as run_queries
from database.queries.audit import NewAuditEntry
from dispatch import Start
from dispatch.payloads import Kept, Payloads
from models import AuditEntry, IdempotencyKey, Lease, LogEntry, Poll, Run, ServerFact, Step
from packs.agents import agent_runs
from packs.polls import queries as polls
from scheduler import Scheduler
from scheduler.retention import FRESH_MS, LEASE_MS, Retention

# By age


def test_runs_older_than_the_days_are_deleted_with_all_their_rows(make, keep, payloads):
    gone = make(OLD, steps=3, large=5_000, key="k")
    models.Wait.create(run_id=gone, node_id="a", created_at=OLD)
    models.RunOptions.create(run_id=gone, value="{}")
    stays = make(RECENT, steps=2, large=5_000, key="l")
    assert keep(days=30).work()
    assert kept() == [stays] and len(world.steps_of(stays)) == 2 and IdempotencyKey.get().run_id == stays
    assert list(payloads.run_ids()) == [stays]
    check_consistent(payloads)


@pytest.mark.parametrize(("bound", "left"), [({"days": 0}, 2), ({"days": 60}, 2), ({"days": 30}, 1), ({"days": 29}, 0)])
def test_the_setting_limits_the_days(make, keep, bound, left):
    make(OLD), make(RECENT)
    keep(wall=lambda: NOW + 1, **bound).work()
    assert len(kept()) == left


def test_a_clock_set_far_ahead_deletes_nothing(make, keep, caplog):
    """A process that starts with that clock takes it for right."""
    clock = [NOW]
    part = keep(days=30, wall=lambda: clock[0])
    clock[0] += 400 * DAY
    stays = make(RECENT)
    assert part.work() and kept() == [stays]
    assert "set forward" in caplog.text
    assert keep(days=30, wall=lambda: clock[0]).work() and kept() == []


@pytest.mark.pack("polls")
def test_the_state_of_triggers_not_polled_for_a_month_is_pruned(path, keep):
    clock = [NOW]
    part = keep(days=0, wall=lambda: clock[0])
    polls.sync(add_flow(flow("a")), [("a", {"type": "x", "every": 60, "source": "here"})], NOW)
    Poll.update(next_at=None, idle_since=RECENT).execute()
    assert part.work() and Poll.select().count() == 1
    clock[0] += 400 * DAY
    assert part.work() and Poll.select().count() == 1, "the clock was set"
    assert keep(days=0, wall=lambda: clock[0]).work() and Poll.select().count() == 0


@pytest.mark.parametrize("status", ["success", "failed"])
def test_the_age_of_a_run_counts_from_its_end(make, keep, status):
    make(OLD, status, finished_at=OLD)
    waited = make(OLD, status, finished_at=RECENT)
    keep(days=30).work()
    assert kept() == [waited]


@pytest.mark.parametrize("status", ["pending", "running", "success", "failed"])
def test_runs_executed_elsewhere_are_deleted_in_any_status(make, keep, status):
    make(OLD, status, recorded=True, finished_at=None)
    stays = make(RECENT, status, recorded=True, finished_at=OLD)
    keep(days=30).work()
    assert kept() == [stays]


def test_log_entries_without_a_run_are_deleted_by_age(make, keep):
    run = make(OLD, "running")
    ages = {"old": OLD, "recent": RECENT}
    owners = {"alone": None, "left": "run_gone", "needed": run}
    for number, (age, owner) in enumerate(product(ages, owners)):
        values = {"workspace_id": "ws_1", "run_id": owners[owner], "level": "info", "message": f"{age} {owner}"}
        LogEntry.add(id=f"{first_id('log', ages[age])[:-1]}{number}", **values)
    LogEntry.delete().where(LogEntry.message == "m").execute()
    keep(days=30).work()
    assert {entry.message for entry in LogEntry.select()} == {
        "old needed", "recent alone", "recent left", "recent needed"
    }  # fmt: skip


def audited(at):
    """An entry of the audit trail of that time."""
    entry = NewAuditEntry("flow.created", "ws_1").target("flow", "wf_1", f"{at}")
    AuditEntry.create(**vars(entry) | {"id": first_id("aud", at), "created_at": at, "changes": "{}"})


def test_the_audit_log_has_its_own_age_limit(path, keep):
    for at in (NOW - 366 * DAY, NOW - 364 * DAY, OLD):
        audited(at)
    keep(days=30, runs=1).work()
    assert [entry.created_at for entry in AuditEntry.select()] == [NOW - 364 * DAY, OLD]
    keep(audit=30).work()
    assert AuditEntry.select().count() == 0


def test_the_audit_log_can_be_kept_forever(path, keep):
    audited(1)
    keep(days=30, audit=0).work()
    assert AuditEntry.select().count() == 1


def test_a_clock_set_ahead_deletes_nothing_of_the_audit_log(path, keep):
    clock = [OLD]
    part = keep(audit=1, wall=lambda: clock[0])
    audited(OLD)
    clock[0] = NOW
    part.work()
    assert AuditEntry.select().count() == 1


def test_agent_runs_are_deleted_with_their_run(make, keep):
    for run_id in (make(OLD), make(RECENT)):
        run = Run.get_by_id(run_id)
        values = {"agent_id": "a", "node_id": "n", "item_index": -1, "task": "t", "session": ""}
        execute(*agent_runs.accepted(run, f"arun_{run_id}", **values))
        for seq in range(3):
            step = {"kind": "tool", "name": "t", "status": "success", "started_at": 1}
            models.AgentStep.create(agent_run_id=f"arun_{run_id}", seq=seq, **step)
    keep(days=30).work()
    assert [run.id for run in models.AgentRun.select()] == [f"arun_{kept()[0]}"]
    assert {step.agent_run_id for step in models.AgentStep.select()} == {f"arun_{kept()[0]}"}


def test_the_counts_are_of_all_runs_ever(make, keep):
    for run in [Run.get_by_id(make(OLD)) for _ in range(3)]:
        with write():
            runs.execute_units([[run_queries.counted(run)]])
    before = metrics.totals()
    keep(days=30).work()
    assert kept() == [] and before["success"] == 3 and metrics.totals() == before


# By number


def test_the_newest_of_many_runs_are_kept(make, keep):
    made = [make(NOW - DAY + number) for number in range(7)]
    keep(runs=3).work()
    assert kept() == made[-3:]


@pytest.mark.parametrize("bound", [7, 8, 1_000])
def test_the_allowed_number_of_runs_is_kept(make, keep, bound):
    made = [make(NOW - DAY + number) for number in range(7)]
    keep(runs=bound).work()
    assert kept() == made


def test_unfinished_runs_are_counted_but_not_deleted(make, keep):
    waits = make(NOW - 9 * DAY, "pending")
    gone, stays, runs = make(NOW - 8 * DAY), make(NOW - 7 * DAY), make(NOW - 6 * DAY, "running")
    keep(runs=2).work()
    assert kept() == [waits, stays, runs] and gone not in kept()


def test_runs_that_have_just_ended_are_kept(make, keep):
    ended, last = make(NOW - 2), make(NOW - 1)
    keep(runs=1).work()
    assert kept() == [ended, last]
    keep(wall=lambda: NOW + FRESH_MS, runs=1).work()
    assert kept() == [last]


# By size


OF_A_FILE = pytest.mark.sqlite_only("PostgreSQL keeps the space of deleted rows, so size is no limit there")


def used(payloads):
    return database.space().used + sum(payloads.size_of(id_) for id_ in payloads.run_ids())


@OF_A_FILE
def test_the_oldest_runs_are_deleted_down_to_nine_tenths_of_the_size(make, keep, payloads):
    made = [make(NOW - DAY + number, text="t" * 900, large=20_000) for number in range(60)]
    bound = used(payloads) - 1
    keep(bytes=bound).work()
    assert used(payloads) <= 0.9 * bound
    left = kept()
    assert left == made[-len(left) :] and 0.85 * bound < used(payloads)
    check_consistent(payloads)


def test_nothing_is_deleted_below_the_size(make, keep, payloads):
    made = [make(NOW - DAY + number, large=20_000) for number in range(10)]
    keep(bytes=used(payloads)).work()
    assert kept() == made


@OF_A_FILE
def test_a_warning_is_logged_if_undeletable_runs_exceed_the_size(make, keep, payloads, caplog):
    made = [make(NOW - DAY + number, "pending", large=20_000) for number in range(10)]
    keep(bytes=100_000).work()
    assert kept() == made and "no more runs can be deleted" in caplog.text


def test_shared_values_are_counted_once(make, keep, payloads):
    first, retry = make(NOW - 2 * DAY, large=50_000), make(NOW - DAY)
    payloads.share(first, retry, [])
    assert payloads.size_of(first) + payloads.size_of(retry) == 50_000
    assert payloads.remove(first) == 0 and payloads.size_of(retry) == 50_000
    assert payloads.remove(retry) == 50_000 and payloads.remove(retry) == 0


# Kept runs


BOUNDS = {"age": {"days": 1}, "number": {"runs": 1}, "size": {"bytes": 1}}
BY_SIZE = pytest.param("size", marks=OF_A_FILE)


@pytest.mark.parametrize("bound", ["age", "number", BY_SIZE])
def test_unfinished_runs_are_not_deleted(make, keep, bound):
    waiting = {"waiting": "a callback"}
    unfinished = [make(OLD, "pending"), make(OLD, "running"), make(OLD, "pending", **waiting)]
    ended = [make(OLD), make(OLD, "failed"), make(OLD, "failed", cancelled=True)]
    make(NOW, "running")
    keep(**BOUNDS[bound]).work()
    assert kept()[:-1] == unfinished and not set(kept()) & set(ended)


@pytest.mark.parametrize("bound", ["age", "number", BY_SIZE])
def test_an_ended_run_is_kept_while_its_parent_waits_for_it(make, keep, bound):
    parent, over = make(OLD, "pending"), make(OLD, "success")
    child = make(OLD, parent_run_id=parent, parent_node_id="call")
    loose = make(OLD, parent_run_id=parent)
    late = make(OLD, parent_run_id=over, parent_node_id="call")
    make(NOW, "running")
    keep(**BOUNDS[bound]).work()
    assert kept()[:-1] == [parent, child] and not set(kept()) & {loose, late, over}


@pytest.mark.parametrize("bound", ["number", BY_SIZE])
def test_a_run_is_kept_for_the_day_of_its_idempotency_key(make, keep, bound):
    at = NOW - DAY + 2
    lapsed, named = make(at, key="a", key_at=NOW - DAY - 1), make(at, key="b", key_at=NOW - DAY)
    make(NOW, "running")
    keep(**BOUNDS[bound]).work()
    assert kept()[:-1] == [named] and lapsed not in kept()
    keep(wall=lambda: NOW + 1, **BOUNDS[bound]).work()
    assert len(kept()) == 1 and IdempotencyKey.select().count() == 0


def test_a_retry_has_its_values_after_deletion_of_the_first_run(path, tmp_path, keep):
    text = "large " * 1_000
    with world.Types(), world.process(tmp_path, inline=True, inline_value_bytes=1_000) as dispatcher:
        made = add_flow(world.chain(world.node("a", "act"), world.node("b", "fail")))
        first = dispatcher.submit(Start(made, text, "manual")).run
        retry = dispatcher.retry(world.run_of(first.id), "failed", "same").run
        assert keep(wall=lambda: now_ms() + 2 * FRESH_MS, runs=1).work() and kept() == [retry.id]
        again = dispatcher.retry(world.run_of(retry.id), "failed", "same").run
        for id_ in (retry.id, again.id):
            assert world.run_of(id_).error_node_id == "b" and world.run_of(id_).retry_of not in (None, again.id)
            for name in ("input", "step_0"):
                value = dispatcher.resources.payloads.load(id_, name, Kept(None, len(text) + 2))
                assert value == f'"{text}"'.encode()


# Small steps


def test_no_transaction_takes_more_than_its_time(make, keep):
    for number in range(100):
        make(OLD + number)
    part = keep(days=30, monotonic=tick(0.005))
    numbers = [len(kept()), *(len(kept()) for _ in part.steps(NOW))]
    # The clock moves on twice for each group: four fit into the time of one transaction at the most.
    assert numbers[-1] == 0 and max(before - after for before, after in pairwise(numbers)) <= 4 * rows.RUNS_AT_ONCE
    assert len(set(numbers)) >= 3


def test_a_large_run_is_deleted_in_many_transactions_and_never_seen_in_part(make, keep, payloads):
    make(OLD, steps=1_000), make(OLD, steps=7)
    part, sizes = keep(days=30, monotonic=tick(0.005)), []
    for _ in part.steps(NOW):
        sizes.append(Step.select().count())
        whole = {steps: Run.find(id_) is not None for id_, steps in _steps_by_run()}
        assert not whole.get(1_000, False) or sizes[-1] == 1_007
        assert all(number in (1_000, 7) for number, there in whole.items() if there)
    assert max(before - after for before, after in pairwise(sizes)) <= 500 and len(set(sizes)) >= 3
    assert sizes[-1] == 0
    check_consistent(payloads)


def _steps_by_run():
    return execute("SELECT run_id, COUNT(*) FROM steps GROUP BY run_id").fetchall()


def test_a_run_deleted_by_a_user_is_deleted_at_once_with_all_rows(make, payloads):
    run_queries.remove(Run.get_by_id(make(OLD, steps=500, key="k")))
    assert kept() == [] and strays() == {}


def test_other_writers_do_not_wait_long(make, keep, payloads):
    for number in range(1_500):
        make(OLD + number, steps=3)
    waited, flow_id = [], Run.get().workflow_id
    part = keep(days=30, pause=lambda seconds: time.sleep(seconds / 10))
    with world.started_recorder() as recorder:
        work = world.Background(part.work)
        while work.thread.is_alive():
            began = time.monotonic()
            insert = "INSERT INTO store_entries (workspace_id, key, value, updated_at) VALUES (?, ?, '1', 1)"
            recorder.commit([Write(insert, (flow_id, str(len(waited))))])
            waited.append(time.monotonic() - began)
        assert work.result()
    assert kept() == []
    assert execute("SELECT COUNT(*) FROM store_entries").fetchone()[0] == len(waited) > 10
    assert sorted(waited)[len(waited) // 2] < 0.2, sorted(waited)[-5:]
    check_consistent(payloads)


# Processes that die, and others that continue


def test_an_interrupted_pass_is_completed_by_the_next(make, keep, payloads):
    stays = make(RECENT, steps=2, large=2_000)
    for steps in range(1, 30):
        for number in range(3):
            make(OLD + number, steps=150, large=2_000)
        done = sum(1 for _ in islice(keep(days=30, monotonic=tick(0.005)).steps(NOW), steps))
        if done < steps:
            break
        keep(days=30).work()
        assert kept() == [stays]
        check_consistent(payloads)
    assert steps > 5
    assert list(payloads.run_ids()) == [stays]


def test_files_left_by_a_crash_are_deleted_a_day_later(make, keep, payloads):
    gone, stays = make(OLD, large=5_000), make(RECENT, large=5_000)
    # As after a crash here: the row is deleted, the files are not.
    rows.remove_runs([gone], lambda: True)
    payloads.keep("run_new", "input", b"x" * 5_000)
    (payloads.folder / "notes.txt").write_text("not ours")
    os.utime(payloads.folder / "run_new", (0, (now_ms() - DAY) / 1000 + 60))
    keep(wall=now_ms).work()
    assert set(payloads.run_ids()) == {gone, stays, "run_new"}
    keep(wall=lambda: now_ms() + 120_000).work()
    assert set(payloads.run_ids()) == {gone, stays}
    keep(wall=lambda: now_ms() + DAY + 60_000).work()
    assert set(payloads.run_ids()) == {stays} and (payloads.folder / "notes.txt").exists()


def test_a_pass_checks_some_folders_and_the_next_pass_others(make, keep, payloads, monkeypatch):
    monkeypatch.setattr("scheduler.retention.FOLDERS_PER_PASS", 4)
    monkeypatch.setattr("scheduler.retention.FOLDERS_PER_STEP", 2)
    stay = {make(RECENT, large=2_000) for _ in range(9)}
    payloads.keep("run_orphan", "input", b"x" * 5_000)
    part = keep(wall=lambda: now_ms() + 2 * DAY)
    for _ in range(3):
        part.work()
    assert set(payloads.run_ids()) == stay


HOLDS = """
import sys
from pathlib import Path
import database
from chosen_engine import connect, database_of
from config import Config
from dispatch.payloads import Payloads
from scheduler.retention import Retention

folder, now = Path(sys.argv[1]), int(sys.argv[2])
connect(folder)

def pause(seconds):
    print("at it", flush=True)
    sys.stdin.readline()

config = Config(data_dir=folder, **database_of(folder), retention_days=30)
Retention(config, Payloads(folder / "values", 1000), lambda: now, pause=pause).work()
"""


@pytest.mark.slow
def test_one_process_works_and_another_takes_over_from_a_dead_one(make, keep, payloads, tmp_path):
    for number in range(3):
        make(OLD + number, large=2_000)
    stays = make(RECENT)
    first = world.start_python(HOLDS, tmp_path, NOW)
    try:
        assert first.stdout.readline() == "at it\n"
        steps = []
        second = keep(days=30, wall=lambda: NOW + LEASE_MS - 1, pause=steps.append)
        assert not second.work()
        first.kill()
        first.wait(60)
        assert not second.work() and not steps and len(kept()) == 4
        assert keep(days=30, wall=lambda: NOW + LEASE_MS).work() and kept() == [stays]
    finally:
        first.kill()
        first.communicate(timeout=60)
    check_consistent(payloads)


def test_the_lease_is_renewed_during_a_pass_and_released_at_its_end(make, keep):
    for number in range(1_000):
        make(OLD + number)
    clock, until = iter(range(NOW, NOW + 10**9, LEASE_MS // 3)), []

    def pause(seconds):
        until.append(Lease.get_by_id("retention").until)
        return False

    assert keep(days=30, wall=lambda: next(clock), pause=pause).work()
    assert until == sorted(until) and until[-1] > until[0] + LEASE_MS
    assert Lease.find("retention") is None


def test_a_process_that_lost_the_lease_stops(make, keep):
    for number in range(300):
        make(OLD + number)

    def pause(seconds):
        Lease.update(owner="another", until=NOW + 3 * LEASE_MS // 2).where(Lease.name == "retention").execute()
        clock[0] = NOW + LEASE_MS
        return False

    clock = [NOW]
    assert not keep(days=30, wall=lambda: clock[0], pause=pause).work()
    assert kept() and Lease.find("retention").owner == "another"


def test_a_stopped_process_ends_after_the_step(make, keep):
    for number in range(300):
        make(OLD + number)
    asked = []
    assert not keep(days=30, pause=lambda seconds: asked.append(seconds) or len(asked) == 2).work()
    assert len(asked) == 2 and Lease.find("retention") is None
    stopped = Retention(Config(retention_days=30), Payloads(None, 1), lambda: NOW)
    stopped.stop()
    assert not stopped.work()


# Retention and the file of the database: full disks, how it shrinks, and the job


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
