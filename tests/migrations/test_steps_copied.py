"""Steps of an older database are copied into a table with rowids: either all of them are, or nothing changes."""

import re
import shutil
import signal
import sqlite3
from collections import namedtuple
from contextlib import closing

import pytest
from children import end_child
from playhouse.migrations import Runner
from world import said, start_python

import database
from errors import ConfigError

BEFORE = "0014_logins"
MIGRATION = "0015_steps_with_rowids"
COLUMNS = (
    "run_id, seq, node_id, node_type, node_name, status, attempt, item_index, inputs, item, output, output_bytes, "
    "same_as, branch, error_text, started_at, finished_at, duration_ms, final"
)
STEPS = 1_234  # not a multiple of the rows of a transaction
Usage = namedtuple("Usage", "total used free")

DYING = """
import os, pathlib, signal, sys
import database
path, statement, number = sys.argv[1:]
database.connect(pathlib.Path(path))
execute, seen = database.db.execute_sql, []

def dying(sql, *args, **more):
    seen.append(sql.startswith(statement))
    if sum(seen) == int(number):
        os.kill(os.getpid(), signal.SIGKILL)
    return execute(sql, *args, **more)

database.db.execute_sql = dying
database.migrate()
"""
MIGRATE = """
import pathlib, sys
import database
database.connect(pathlib.Path(sys.argv[1]))
print(*database.migrate())
"""


def step(number):
    """Return the values of a step; every seventh is large, and some columns are null."""
    output = "ü" * 30_000 if number % 7 == 0 else '{"n":1}' if number % 2 else None
    return (
        f"run_{number // 10:026d}", number % 10, "a", "set", "A", "success", 1, None, '["b"]', None, output,
        None, None, "true" if number % 3 else None, None, 1_000 + number, 2_000 + number, 0.25, number % 9 == 0,
    )  # fmt: skip


@pytest.fixture
def old(tmp_path):
    """The path of a database of the previous version, with steps."""
    path = tmp_path / "old.sqlite3"
    database.connect(path, "normal")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA auto_vacuum = incremental")
        connection.execute("PRAGMA journal_mode = wal")
    Runner(database.db, directory=str(database.MIGRATIONS)).up(BEFORE)
    marks = ", ".join("?" * 19)
    with database.db.atomic():
        for number in range(STEPS):
            database.execute(f"INSERT INTO steps ({COLUMNS}) VALUES ({marks})", step(number))
    yield path
    database.disconnect()


def rows(path, sql):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def steps(path):
    return rows(path, f"SELECT {COLUMNS} FROM steps ORDER BY run_id, seq")


def check_copied(path):
    """Check that all steps are in a table with rowids, in the order of their runs, and nothing else is left."""
    assert steps(path) == [step(number) for number in range(STEPS)]
    assert [rowid for (rowid,) in rows(path, "SELECT rowid FROM steps ORDER BY run_id, seq")] == [*range(1, STEPS + 1)]
    assert rows(path, "SELECT name FROM sqlite_master WHERE tbl_name LIKE 'steps%' ORDER BY name") == [
        ("sqlite_autoindex_steps_1",), ("steps",),
    ]  # fmt: skip
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]


def check_unchanged(path):
    """Check that the table is the old one, and that the previous version can use it."""
    assert steps(path) == [step(number) for number in range(STEPS)]
    ((sql,),) = rows(path, "SELECT sql FROM sqlite_master WHERE name = 'steps'")
    assert "WITHOUT ROWID" in sql
    assert rows(path, f"SELECT 1 FROM schema_migration WHERE name = '{MIGRATION}'") == []


def test_all_steps_are_copied_and_the_log_says_how_long_it_takes(old, caplog):
    caplog.set_level("INFO")
    assert MIGRATION in database.migrate()
    check_copied(old)
    told = [message for message in caplog.messages if "steps" in message]
    assert told[0] == f"copying {STEPS} steps of runs into a new table; it takes about 1 s"
    assert told[1].startswith(f"{STEPS} steps were copied in ")


@pytest.mark.slow
def test_pragmas_of_the_connection_are_as_before(old):
    pragmas = ("synchronous", "secure_delete", "foreign_keys")
    before = [database.execute(f"PRAGMA {name}").fetchone() for name in pragmas]
    database.migrate()
    assert [database.execute(f"PRAGMA {name}").fetchone() for name in pragmas] == before


@pytest.mark.slow
def test_too_little_space_is_reported_before_anything_is_copied(old, monkeypatch):
    pages = rows(old, "PRAGMA page_count")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(2**40, 2**40, 60 * 2**20))
    with pytest.raises(ConfigError, match=rf"the {STEPS} steps .* needs \d+ MiB .* there are 60 MiB") as no:
        database.migrate()
    (needed,) = map(int, re.findall(r"needs (\d+)", str(no.value)))
    taken = sum(len(text.encode()) for (text,) in rows(old, "SELECT output FROM steps WHERE output IS NOT NULL"))
    assert taken < (needed - 64) * 2**20 < 2 * taken
    check_unchanged(old)
    assert rows(old, "PRAGMA page_count") == pages
    monkeypatch.undo()
    database.migrate()
    check_copied(old)


@pytest.mark.slow
def test_free_pages_of_the_file_count_as_space(old, monkeypatch):
    database.execute("CREATE TABLE large (text TEXT)")
    database.execute("INSERT INTO large (text) VALUES (zeroblob(90000000))")
    database.execute("DROP TABLE large")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(2**40, 2**40, 60 * 2**20))
    database.migrate()
    check_copied(old)


@pytest.mark.slow
def test_a_disk_that_becomes_full_keeps_the_old_table(old):
    ((pages,),) = rows(old, "PRAGMA page_count")
    database.execute(f"PRAGMA max_page_count = {pages + 500}")
    with pytest.raises(ConfigError, match="MiB of free space on its disk, which became full"):
        database.migrate()
    check_unchanged(old)
    assert rows(old, "SELECT 1 FROM sqlite_master WHERE name = 'steps_copy'") == []
    database.execute("PRAGMA max_page_count = 1000000")
    database.migrate()
    check_copied(old)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("statement", "number"),
    [("INSERT INTO steps_copy", 2), ("DROP TABLE steps", 1), ("ALTER TABLE steps_copy", 1)],
    ids=["among the copies", "before the swap", "in the swap"],
)
def test_a_killed_migration_keeps_the_old_table(old, statement, number):
    die(old, statement, number)
    check_unchanged(old)
    database.migrate()
    check_copied(old)


@pytest.mark.slow
def test_a_migration_killed_before_its_record_has_copied_all(old):
    die(old, 'INSERT INTO "schema_migration"', 1)
    check_copied(old)
    assert MIGRATION in said(start_python(MIGRATE, old))
    check_copied(old)


def die(path, statement, number):
    """Run the migration in a process that is killed when it begins this statement for the nth time."""
    database.disconnect()
    process = start_python(DYING, path, statement, number)
    try:
        _, error = process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL, error
    finally:
        end_child(process)
    database.connect(path, "normal")
