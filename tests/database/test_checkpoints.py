"""A thread brings the write-ahead log into the file, so no commit waits for that, and the log stays short."""

import signal
import sqlite3
from contextlib import closing, contextmanager

import pytest
from children import end_child
from servers import until
from world import PATIENCE, Background, said, start_python

import database
from database import LockTimeout, checkpoints, execute, lock_wait, write_runs
from database.checkpoints import Checkpoints, step
from database.sqlite import CHECKPOINT_COMMITS, FALLBACK_PAGES

pytestmark = pytest.mark.sqlite_only("PostgreSQL makes its checkpoints itself")

PAGE = 4096 + 24  # bytes of a page in the log
ROW_PAGES = 20  # that a commit of these tests adds to the log at the most
COMMITS = 40 * CHECKPOINT_COMMITS

WRITE = f"""
import pathlib, sys
import database
from database.checkpoints import Checkpoints
database.connect(pathlib.Path(sys.argv[1]))
thread = Checkpoints()
thread.start()
print("ready", flush=True)
sys.stdin.readline()
for number in range({COMMITS} // 2):
    with database.write_runs():
        database.execute("INSERT INTO large VALUES (randomblob({ROW_PAGES - 3} * 4000))")
        database.execute("DELETE FROM large WHERE rowid < (SELECT MAX(rowid) - 300 FROM large)")
thread.stop()
database.disconnect()
"""
# Killed in the middle of its nth checkpoint: the log is in the file, and not restarted yet.
DYING = """
import os, signal, database
made, count = database.checkpoint, []
def checkpoint():
    found = made()
    count.append(found)
    if len(count) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return found
database.checkpoint = checkpoint
"""
HOLD = """
import pathlib, sys
import database
database.connect(pathlib.Path(sys.argv[1]), "normal")
with database.write():
    print("writing", flush=True)
    sys.stdin.readline()
"""
# The database's file must not grow, so the log cannot go into it; then it may.
FULL = f"""
import logging, os, pathlib, resource, sys, threading, time
import database
from database.checkpoints import Checkpoints
path = pathlib.Path(sys.argv[1])
database.connect(path, "normal")

def commit(count, size):
    for _ in range(count):
        with database.write_runs():
            database.execute(f"INSERT INTO large VALUES (randomblob({{size}}))")

commit(1, 6_000_000)
database.empty_log()
size = os.stat(path).st_size
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 4096, resource.RLIM_INFINITY))
told = threading.Event()

class Heard(logging.Handler):
    def emit(self, record):
        print(record.getMessage().rpartition(": ")[2].replace(" ", "_"), flush=True)
        told.set()

logging.getLogger("headrace.checkpoints").addHandler(Heard())
thread = Checkpoints()
thread.start()
commit({CHECKPOINT_COMMITS}, 16_000)
assert told.wait({PATIENCE})
assert os.stat(path).st_size <= size + 4096
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
commit({CHECKPOINT_COMMITS}, 16_000)
ends = time.monotonic() + {PATIENCE}
while database.is_checkpoint_due() and time.monotonic() < ends:
    pass
thread.stop()
print(os.stat(path).st_size > size + 1_000_000)
database.disconnect()
"""


@pytest.fixture
def path(tmp_path):
    """A database that is open, with an empty table and an empty log."""
    path = tmp_path / "one.sqlite3"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = wal")
        connection.execute("CREATE TABLE large (value BLOB)")
    database.connect(path, "normal")
    database.empty_log()
    yield path
    database.disconnect()


def commit(count=1, pages=ROW_PAGES):
    """Make so many commits of so many pages."""
    for _ in range(count):
        with write_runs():
            execute(f"INSERT INTO large VALUES (randomblob({pages - 3} * 4000))")


def log_pages(path):
    """How many pages the file of the log has room for. It is never cut."""
    return path.with_name(f"{path.name}-wal").stat().st_size // PAGE


def check_whole(path, rows=None):
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        found = connection.execute("SELECT COUNT(*) FROM large").fetchone()[0]
        assert rows in (None, found)


@contextmanager
def a_reader(path):
    """A reader of the present state."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT COUNT(*) FROM large").fetchone()
        yield


def test_the_next_write_after_a_checkpoint_restarts_the_log(path):
    for _ in range(10):
        commit(30)
        step()
    assert 15 * ROW_PAGES < log_pages(path) <= 30 * ROW_PAGES
    check_whole(path, 300)


def test_a_checkpoint_copies_the_log_and_blocks_no_thread(path):
    commit(30)
    writer = Background(lambda: database.shared.lock.__enter__())
    writer.result()  # and it keeps the lock
    step()
    assert path.stat().st_size > 30 * (ROW_PAGES - 3) * 4000


def test_a_log_in_use_grows_and_is_restarted_later(path, monkeypatch):
    monkeypatch.setattr(checkpoints, "RESTART_PAGES", 100)
    with a_reader(path):
        for _ in range(5):
            commit(30)
            step()
        grown = log_pages(path)
        assert grown > 5 * 15 * ROW_PAGES
    step()
    for _ in range(5):
        commit(30)
        step()
    assert log_pages(path) == grown
    check_whole(path, 300)


def test_a_log_is_restarted_unless_a_reader_uses_it(path):
    commit(30)
    assert database.restart_log()
    grown = log_pages(path)
    commit(20)
    with a_reader(path):
        assert not database.restart_log()
    assert log_pages(path) == grown
    check_whole(path, 50)


def test_a_step_waits_for_writers_no_longer_than_its_thread_may(path, monkeypatch):
    monkeypatch.setattr(checkpoints, "RESTART_PAGES", 100)
    commit(30)
    process = start_python(HOLD, path)
    try:
        assert process.stdout.readline() == "writing\n"

        def hasty():
            lock_wait.limit(0.01)
            step()

        with pytest.raises(LockTimeout):
            Background(hasty).result()
        process.communicate("\n", timeout=PATIENCE)
    finally:
        end_child(process)
    step()


@pytest.fixture
def thread(path):
    made = Checkpoints()
    made.start()
    yield made
    made.stop()


def test_the_thread_makes_a_checkpoint_when_one_is_due(path, thread):
    commit()
    database.checkpoint()
    commit(CHECKPOINT_COMMITS - 1)
    assert not database.is_checkpoint_due()
    small = path.stat().st_size
    commit()
    until(lambda: path.stat().st_size > small, "the log goes into the file")
    until(lambda: not database.is_checkpoint_due(), "a checkpoint is noted")


def test_the_thread_survives_a_failed_checkpoint(path, thread, monkeypatch, caplog):
    asked = []

    def refused():
        asked.append(1)
        database.sqlite._changes.note_checkpoint()
        raise OSError("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(database, "checkpoint", refused)
        commit(CHECKPOINT_COMMITS)
        until(lambda: asked, "the thread tries")
    commit(CHECKPOINT_COMMITS)
    until(lambda: not database.is_checkpoint_due(), "a checkpoint is made")
    assert ["the write-ahead log grows for now: no space left" in line for line in caplog.messages] == [True]


def test_without_such_a_thread_commits_keep_the_log_short(path):
    commit(2 * FALLBACK_PAGES // ROW_PAGES)
    assert FALLBACK_PAGES - ROW_PAGES <= log_pages(path) < FALLBACK_PAGES + 3 * ROW_PAGES
    check_whole(path)


# Real processes


@pytest.mark.slow
def test_processes_under_constant_writes_keep_the_log_short(path):
    with both(path, WRITE, WRITE) as (one, other):
        assert said(one) == said(other) == []
    # Both write more than twice as much; writes during a checkpoint on a slow disk add to the bound.
    assert log_pages(path) < 2 * FALLBACK_PAGES < COMMITS * ROW_PAGES // 3
    check_whole(path)


@pytest.mark.slow
def test_after_a_kill_during_a_checkpoint_another_process_makes_it(path):
    with both(path, DYING + WRITE, WRITE) as (dying, other):
        assert dying.wait(PATIENCE) == -signal.SIGKILL
        assert said(other) == []
    # Both write more than twice as much; writes during a checkpoint on a slow disk add to the bound.
    assert log_pages(path) < 2 * FALLBACK_PAGES < COMMITS * ROW_PAGES // 3
    check_whole(path)


@contextmanager
def both(path, *sources):
    """Two processes that begin together."""
    processes = [start_python(source, path) for source in sources]
    try:
        for one in processes:
            assert one.stdout.readline() == "ready\n"
        for one in processes:
            one.stdin.write("\n")
            one.stdin.flush()
        yield processes
    finally:
        for one in processes:
            end_child(one)


@pytest.mark.slow
def test_a_full_disk_ends_no_thread(path):
    error, recovered = said(start_python(FULL, path))
    assert error in ("disk_I/O_error", "database_or_disk_is_full") and recovered == "True"
    check_whole(path, 1 + 2 * CHECKPOINT_COMMITS)
