"""A migration that has landed never changes, and a database from a newer version is refused."""

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
from errors import ConfigError

ROOT = Path(__file__).parents[2]
FROZEN = Path(__file__).with_name("frozen.sha256")
PATTERNS = ("migrations/0*.py", "migrations/postgres/*.py")
TOMORROW = "0999_of_tomorrow"
COMMANDS = [
    ["export", "--all"], ["import", "flow.json"], ["user", "list"], ["user", "add", "a@example.org"],
    ["user", "password", "a@example.org"], ["backup", "copy"], ["rotate-key"],
]  # fmt: skip


def frozen():
    """Return the checksum of each landed migration by its path."""
    lines = (line.split() for line in FROZEN.read_text(encoding="ascii").splitlines())
    return {path: checksum for checksum, path in lines}


def landed():
    """Return the paths of all migrations."""
    return sorted(file.relative_to(ROOT).as_posix() for pattern in PATTERNS for file in ROOT.glob(pattern))


@for_each("path", landed())
def test_a_landed_migration_is_unchanged(path):
    freeze = f"sha256sum {' '.join(PATTERNS)} > tests/migrations/frozen.sha256"
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


@pytest.mark.slow
@pytest.mark.parametrize("command", [[], *COMMANDS], ids=lambda command: " ".join(command) or "serve")
def test_every_start_and_command_refuses_a_newer_database_in_one_line(newer, tmp_path, command):
    (tmp_path / "flow.json").write_text('{"name": "Flow", "definition": {"nodes": []}}')
    before = rows(newer.database_path)
    env = {**os.environ, "HEADRACE_DATA_DIR": str(newer.data_dir), "PORT": "1"}
    done = subprocess.run(
        [sys.executable, str(ROOT / "workflow_server.py"), *command],
        cwd=tmp_path, env=env, stdin=subprocess.DEVNULL, text=True, capture_output=True, timeout=120,
    )  # fmt: skip
    assert done.returncode not in (0, None) and done.stdout == ""
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("[") or "Error" in line]
    assert line.startswith("Error: The database ") and "Headrace 9.9.0" in line and "restore a backup" in line
    assert rows(newer.database_path) == before
