"""The schema: made once from an empty file, with the columns of the models."""

import sqlite3
from contextlib import closing

import pytest
from each import for_each
from peewee import SqliteDatabase
from world import fresh_database, raced

import database
import models
from database.base import Base

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
