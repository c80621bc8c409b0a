"""The schema: made once from an empty file, with the columns of the models."""

import hashlib
import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from each import for_each
from peewee import SqliteDatabase
from world import fresh_database, raced

import database
import models
from constants import VERSION
from database.base import Base
from database.migration_runner import FORMER, LAST_WITH_FORMER
from errors import ConfigError

# `Step` is read from a view over two tables.
VIEWS = {"all_steps"}
MODELS = {model._meta.table_name: model for model in Base.__subclasses__()}
TABLES = {name: model for name, model in MODELS.items() if name not in VIEWS}
# Columns that no model reads.
APART = {"runs": {("packed_steps", "TEXT", 0, 0)}}


@pytest.fixture
def path(tmp_path):
    with fresh_database(tmp_path) as path:
        yield path


def rows(path, sql):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def schema(path):
    return rows(path, "SELECT type, name, sql FROM sqlite_master ORDER BY type, name")


def test_every_model_is_known_by_its_table():
    assert {model.__name__ for model in MODELS.values()} <= set(vars(models))


def test_a_new_database_has_a_table_for_every_model(path):
    found = {name for (name,) in rows(path, "SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert set(TABLES) <= found


@pytest.fixture
def from_models(tmp_path):
    """A database with the tables that Peewee makes from the models."""
    other = SqliteDatabase(tmp_path / "models.sqlite3")
    with other.bind_ctx(TABLES.values(), bind_refs=False, bind_backrefs=False):
        other.create_tables(TABLES.values())
    other.close()
    return tmp_path / "models.sqlite3"


@for_each("table", sorted(TABLES))
def test_a_table_has_the_columns_of_its_model(path, from_models, table):
    columns = f"SELECT name, type, \"notnull\", pk FROM pragma_table_info('{table}')"
    found, wanted = rows(path, columns), rows(from_models, columns)
    assert [column for column in found if column not in APART.get(table, ())] == wanted
    assert len(found) == len(wanted) + len(APART.get(table, ()))


def test_the_view_of_steps_has_the_columns_of_the_table_and_of_the_model(path):
    columns = "SELECT name, type FROM pragma_table_info('{}')"
    assert rows(path, columns.format("all_steps")) == rows(path, columns.format("steps"))
    assert [name for name, _ in rows(path, columns.format("steps"))] == [
        field.column_name for field in MODELS["all_steps"]._meta.sorted_fields
    ]


@for_each("table", sorted(TABLES))
def test_unique_fields_of_a_model_are_unique(path, table):
    unique = set()
    for (index,) in rows(path, f"SELECT name FROM pragma_index_list('{table}') WHERE \"unique\""):
        unique.add(tuple(name for (name,) in rows(path, f"SELECT name FROM pragma_index_info('{index}')")))
    for field in TABLES[table]._meta.sorted_fields:
        if field.unique:
            assert (field.column_name,) in unique, field.name


def test_migrating_again_does_nothing(path):
    before = schema(path)
    assert database.migrate() == []
    assert schema(path) == before


def test_migrate_returns_the_applied_migrations(tmp_path):
    database.connect(tmp_path / "new.sqlite3")
    done = database.migrate()
    database.disconnect()
    assert done == sorted(database.migrations())


def test_rows_survive_a_second_migration(path):
    models.Workspace.add(name="Mine")
    database.migrate()
    assert [row.name for row in models.Workspace.select()] == ["Mine"]


def test_the_folder_of_a_new_database_is_created(tmp_path):
    database.connect(tmp_path / "a" / "b" / "new.sqlite3")
    database.migrate()
    database.disconnect()
    assert (tmp_path / "a" / "b" / "new.sqlite3").exists()


@pytest.mark.slow
def test_processes_that_start_together_migrate_once(tmp_path):
    source = """
import sys, pathlib, database
database.connect(pathlib.Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
print(*database.migrate())
database.disconnect()
"""
    done = raced(4, source, tmp_path / "new.sqlite3")
    assert done == sorted(database.migrations())


def test_a_migration_imports_no_models():
    for file in database.MIGRATIONS.glob("[0-9]*.py"):
        assert "import models" not in file.read_text() and "from tables" not in file.read_text()


def test_a_new_database_shrinks_when_rows_are_deleted(path):
    assert rows(path, "PRAGMA auto_vacuum") == [(2,)]
    assert rows(path, "PRAGMA journal_mode") == [("wal",)]


def test_one_log_line_reports_all_migrations(tmp_path, caplog):
    caplog.set_level("INFO")
    database.connect(tmp_path / "new.sqlite3")
    database.migrate()
    database.migrate()
    database.disconnect()
    assert caplog.messages == ["database made"]


# A migration that has landed never changes. A database of a newer version is refused, and one that is too old


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


def rows_of(path):
    """Return all rows_of of the database."""
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
    before = rows_of(newer.database_path)
    database.connect(newer.database_path)
    with pytest.raises(ConfigError, match=f"written by Headrace 9.9.0 and this is {VERSION}.*{TOMORROW}"):
        database.migrate()
    database.disconnect()
    assert rows_of(newer.database_path) == before


def test_a_newer_database_without_a_version_is_refused(newer):
    with closing(sqlite3.connect(newer.database_path)) as connection:
        connection.execute("DROP TABLE server_facts")
    database.connect(newer.database_path)
    with pytest.raises(ConfigError, match="written by a newer version of Headrace and this is"):
        database.migrate()
    database.disconnect()


def test_an_older_database_is_refused_and_stays_unchanged(older):
    before = rows_of(older.database_path)
    database.connect(older.database_path)
    with pytest.raises(ConfigError, match=f"made by Headrace 0.1.0, with a schema that this version, {VERSION}, no "):
        database.migrate()
    database.disconnect()
    assert rows_of(older.database_path) == before


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
    before = rows_of(config.database_path)
    env = {**os.environ, "HEADRACE_DATA_DIR": str(config.data_dir), "PORT": "1"}
    done = subprocess.run(
        [sys.executable, str(ROOT / "workflow_server.py"), *command],
        cwd=tmp_path, env=env, stdin=subprocess.DEVNULL, text=True, capture_output=True, timeout=120,
    )  # fmt: skip
    assert done.returncode not in (0, None) and done.stdout == ""
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("[") or "Error" in line]
    assert rows_of(config.database_path) == before
    return line
