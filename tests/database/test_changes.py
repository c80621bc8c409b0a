"""Counters of commits, shared by all processes, and the caches that they invalidate."""

import os
import signal

import pytest
from children import end_child
from world import start_python

import database
from database import commits, execute, settings_commits, shared, write, write_leases, write_runs
from database.shared import QueryCache

pytestmark = pytest.mark.sqlite_only("the counters are a file; test_postgres.py tests those of PostgreSQL")

SETTING = """
import sys, database
from pathlib import Path
database.connect(Path(sys.argv[1]), "normal")
for line in sys.stdin:
    if line == "begin\\n":
        with database.write():
            print("inside", flush=True)
            sys.stdin.readline()
    else:
        with database.write():
            database.execute("UPDATE settings SET value = ?", (int(line),))
    print("done", flush=True)
"""


@pytest.fixture
def path(tmp_path):
    """A database that is open, with a table of one row."""
    path = tmp_path / "one.sqlite3"
    database.connect(path, "normal")
    with write():
        execute("PRAGMA user_version")
        execute("CREATE TABLE settings (value INTEGER)")
        execute("INSERT INTO settings VALUES (0)")
    yield path
    database.disconnect()


@pytest.fixture
def other(path):
    """Another process, which writes the value of each line that it gets; `begin` has it wait inside a write."""
    process = start_python(SETTING, path)

    def tell(line):
        process.stdin.write(f"{line}\n")
        process.stdin.flush()
        return process.stdout.readline().strip()

    process.tell = tell
    yield process
    end_child(process)


def value():
    return execute("SELECT value FROM settings").fetchone()[0]


def test_each_commit_changes_the_counter_and_one_of_runs_only_the_first(path):
    all_, settings = commits(), settings_commits()
    with write_runs():
        assert commits() % 2 == 1
        assert settings_commits() == settings
    assert commits() == all_ + 2
    with write():
        assert (commits() % 2, settings_commits() % 2) == (1, 1)
        with write():
            pass
    assert (commits(), settings_commits()) == (all_ + 4, settings + 2)


def test_leases_are_counted_nowhere(path):
    before = commits(), settings_commits()
    with write_leases():
        execute("UPDATE settings SET value = 1")
        assert (commits(), settings_commits()) == before
    assert (commits(), settings_commits(), value()) == (*before, 1)


def test_a_write_that_fails_ends_with_an_even_counter(path):
    with pytest.raises(RuntimeError), write():
        raise RuntimeError
    assert settings_commits() % 2 == 0


def test_a_new_file_does_not_repeat_the_numbers_of_a_deleted_one(path):
    before = commits()
    database.disconnect()
    path.with_name(f"{path.name}.lock").unlink()
    database.connect(path, "normal")
    assert commits() == 0
    with write():
        pass
    assert commits() > before


def test_another_process_sees_what_is_committed_at_once(other):
    memory = QueryCache(settings_commits)
    for number in range(1, 3_001):
        assert other.tell(number) == "done"
        assert memory.get("value", value) == number
        assert memory.get("value", pytest.fail) == number


def test_a_result_read_during_a_write_is_not_cached(other):
    memory = QueryCache(settings_commits)
    assert other.tell("begin") == "inside"
    assert memory.get("value", lambda: 1) == 1
    assert memory.get("value", lambda: 2) == 2
    assert other.tell("") == "done"
    assert memory.get("value", lambda: 3) == 3
    assert memory.get("value", lambda: 4) == 3


def test_a_process_killed_during_a_write_leaves_no_wrong_cache(other):
    memory = QueryCache(settings_commits)
    memory.get("value", lambda: "old")
    assert other.tell("begin") == "inside"
    os.kill(other.pid, signal.SIGKILL)
    other.wait(20)
    assert settings_commits() % 2 == 1
    assert memory.get("value", lambda: "new") == "new"
    assert memory.get("value", lambda: "newer") == "newer"
    with write():
        pass
    assert settings_commits() % 2 == 0
    assert memory.get("value", lambda: "kept") == memory.get("value", pytest.fail) == "kept"


def test_a_result_cached_before_a_commit_is_not_found_after_it(path):
    memory, before = QueryCache(commits), commits()
    with write_runs():
        memory.store("odd", commits(), 1)
        assert memory.find("odd", commits()) is None
    memory.store("value", before, 1)
    assert (memory.find("value", before), memory.find("value", commits())) == (1, None)


def test_a_cache_is_bounded(path, monkeypatch):
    monkeypatch.setattr(shared, "MAX_CACHED", 10)
    memory = QueryCache(lambda: 2)
    for number in range(25):
        memory.get(number, lambda number=number: number)
    assert len(memory._found) <= 10


def test_without_a_file_nothing_is_remembered(tmp_path):
    counters = shared.Changes(str(tmp_path / "missing" / "file"))
    memory = QueryCache(lambda: counters.count(shared.ALL))
    assert (memory.get("a", lambda: 1), memory.get("a", lambda: 2)) == (1, 2)
