"""A migration that has landed never changes. A database of a newer version is refused, and one that is too old."""

import hashlib
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from each import for_each

import database
from constants import VERSION
from database.migration_runner import FORMER, LAST_WITH_FORMER
from errors import ConfigError

ROOT = Path(__file__).parents[2]
FROZEN = Path(__file__).with_name("frozen.sha256")
TOMORROW = "0999_of_tomorrow"
COMMANDS = [
    ["export", "--all"], ["import", "flow.json"], ["user", "list"], ["user", "add", "a@example.org"],
    ["user", "password", "a@example.org"], ["backup", "copy"], ["rotate-key"],
]  # fmt: skip

EACH_COMMAND = pytest.mark.parametrize("command", [[], *COMMANDS], ids=lambda command: " ".join(command) or "serve")


def frozen():
    """Return the checksum of each landed migration by its path."""
    lines = (line.split() for line in FROZEN.read_text(encoding="ascii").splitlines())
    return {path: checksum for checksum, path in lines}


def landed():
    """Return the paths of all migrations."""
    return sorted(file.relative_to(ROOT).as_posix() for file in database.MIGRATIONS.glob("0*.py"))


@for_each("path", landed())
def test_a_landed_migration_is_unchanged(path):
    freeze = "sha256sum database/migrations/0*.py > tests/migrations/frozen.sha256"
    assert path in frozen(), f"{path} is new: freeze it with `{freeze}`, and from then on never change it"
    found = hashlib.sha256((ROOT / path).read_bytes()).hexdigest()
    changed = (
        f"{path} has landed, and databases exist that it was applied to: undo the change, and write a new migration"
    )
    assert found == frozen()[path], changed


def test_no_landed_migration_is_missing():
    assert [path for path in frozen() if not (ROOT / path).is_file()] == []


@pytest.fixture
def newer(config):
    """The database of a server, as a newer version leaves it."""
    with closing(sqlite3.connect(config.database_path)) as connection:
        connection.execute("INSERT INTO schema_migration (name, applied) VALUES (?, '2030-01-01')", (TOMORROW,))
        connection.execute("INSERT OR REPLACE INTO server_facts (name, value) VALUES ('version', '9.9.0')")
        connection.commit()
    return config


@pytest.fixture
def older(config):
    """The database of a server, with the record of a version that lacked one of the former migrations."""
    names = ["0001_initial", *sorted(FORMER - {"0034_registered_hooks"})]
    with closing(sqlite3.connect(config.database_path)) as connection:
        connection.execute("DELETE FROM schema_migration")
        insert = "INSERT INTO schema_migration (name, applied) VALUES (?, '2026-11-30')"
        connection.executemany(insert, [(name,) for name in names])
        connection.execute("INSERT OR REPLACE INTO server_facts (name, value) VALUES ('version', '0.1.0')")
        connection.commit()
    return config


def rows(path):
    """Return all rows of the database."""
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def test_a_start_records_its_version_in_the_database(config):
    database.connect(config.database_path)
    assert database.written_by() == VERSION
    database.execute("UPDATE server_facts SET value = '0.0.1' WHERE name = 'version'")
    database.migrate()
    assert database.written_by() == VERSION
    database.disconnect()


def test_a_newer_database_is_refused_and_stays_unchanged(newer):
    before = rows(newer.database_path)
    database.connect(newer.database_path)
    with pytest.raises(ConfigError, match=f"written by Headrace 9.9.0 and this is {VERSION}.*{TOMORROW}"):
        database.migrate()
    database.disconnect()
    assert rows(newer.database_path) == before


def test_a_newer_database_without_a_version_is_refused(newer):
    with closing(sqlite3.connect(newer.database_path)) as connection:
        connection.execute("DROP TABLE server_facts")
    database.connect(newer.database_path)
    with pytest.raises(ConfigError, match="written by a newer version of Headrace and this is"):
        database.migrate()
    database.disconnect()


def test_an_older_database_is_refused_and_stays_unchanged(older):
    before = rows(older.database_path)
    database.connect(older.database_path)
    with pytest.raises(ConfigError, match=f"made by Headrace 0.1.0, with a schema that this version, {VERSION}, no "):
        database.migrate()
    database.disconnect()
    assert rows(older.database_path) == before


@pytest.mark.slow
@EACH_COMMAND
def test_every_start_and_command_refuses_a_newer_database_in_one_line(newer, tmp_path, command):
    line = refusal(newer, tmp_path, command)
    assert line.startswith("Error: The database ") and "Headrace 9.9.0" in line and "restore a backup" in line


@pytest.mark.slow
@EACH_COMMAND
def test_every_start_and_command_refuses_an_older_database_in_one_line(older, tmp_path, command):
    line = refusal(older, tmp_path, command)
    assert line.startswith("Error: The database ") and "Headrace 0.1.0" in line and '"Upgrading" in docs/' in line
    assert LAST_WITH_FORMER in line and LAST_WITH_FORMER in (ROOT / "docs" / "operations.md").read_text("utf-8")


def refusal(config, tmp_path, command):
    """Return the line of a start or a command on this database, which it must not change."""
    (tmp_path / "flow.json").write_text('{"name": "Flow", "definition": {"nodes": []}}')
    before = rows(config.database_path)
    env = {**os.environ, "HEADRACE_DATA_DIR": str(config.data_dir), "PORT": "1"}
    done = subprocess.run(
        [sys.executable, str(ROOT / "workflow_server.py"), *command],
        cwd=tmp_path, env=env, stdin=subprocess.DEVNULL, text=True, capture_output=True, timeout=120,
    )  # fmt: skip
    assert done.returncode not in (0, None) and done.stdout == ""
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("[") or "Error" in line]
    assert rows(config.database_path) == before
    return line
