"""The view of steps, the triggers of counts and the partitions of a new PostgreSQL database, and its migrations."""

import re
import sqlite3
from contextlib import closing

import psycopg
import pytest
from peewee import SqliteDatabase
from postgres import WithDriver
from world import fresh_database

import database
from database import migration_runner
from database.base import DAY_MS, first_id, now_ms
from database.migration_runner import BASELINE, FORMER, apply, migrations
from database.queries import steps
from errors import ConfigError

pytestmark = pytest.mark.slow

RUN = (
    "INSERT INTO runs (id, workspace_id, workflow_id, workflow_name, status, triggered_by, cancelled, recorded, "
    "created_at, claims, packed_steps) VALUES ('{}', 'ws', 'wf', 'A', 'success', 'manual', 0, 0, 1, 1, {})"
)
STEP = (
    "INSERT INTO steps (run_id, seq, node_id, node_type, node_name, status, attempt, started_at, final) "
    "VALUES ('run_2', 0, 'b', 'set', 'B', 'success', 1, 5, 0)"
)
READ_STEPS = "SELECT * FROM all_steps ORDER BY run_id, seq"
COUNTED = "total, success, failed, duration_ms) VALUES"


LATER = """
from peewee import BooleanField, CompositeKey, FloatField, IntegerField, Model, TextField

class Note(Model):
    run_id = TextField()
    at = IntegerField(index=True)
    weight = FloatField(null=True)
    is_read = BooleanField()

    class Meta:
        table_name = "notes"
        primary_key = CompositeKey("run_id", "at")

def up(migrator, db):
    with db.bind_ctx([Note], bind_refs=False, bind_backrefs=False):
        db.create_tables([Note], safe=False)
    migrator.migrate(
        migrator.add_column("runs", "note", TextField(null=True)),
        migrator.add_column("runs", "noted_at", IntegerField(null=True)),
    )
    db.execute_sql("CREATE INDEX runs_noted ON runs (workspace_id, noted_at) WHERE noted_at IS NOT NULL")
"""


def packed_steps():
    """Return steps with and without each value that may be null, with numbers and texts that are hard to convert."""
    head = ("run_1", 0, "a", "set", "Ä 'quoted' \\ {%}", "failed", 1)
    full = (*head, 7, '["b"]', '{"n":1.50}', '{"t":"line\\nü\\"?"}', 2**40, "a", "true", "no", 2**41, 2**42, 1e-05)
    bare = ("run_1", 1, "b", "noop", "", "success", 2, *[None] * 8, 1, None, None, False, None)
    return [(*full, True, "data"), bare, (*bare[:1], 2, *bare[2:17], 123456.789, *bare[18:])]


@pytest.fixture
def connection(fresh_url):
    """A connection to a new database with the schema."""
    with psycopg.connect(fresh_url(), autocommit=True) as connection:
        yield connection


def test_migrating_twice_applies_each_migration_once(fresh_url):
    db = WithDriver(fresh_url(empty=True))
    assert apply(db) == sorted(migrations()) and apply(db) == []
    db.close()


@pytest.fixture
def former(fresh_url):
    """The URL of a database with a run that has the former migrations, as the version before the baseline left it."""
    url = fresh_url(empty=True)
    db = WithDriver(url)
    assert apply(db, lambda: True) == [BASELINE]
    db.close()
    with psycopg.connect(url) as connection:
        connection.execute(RUN.format("run_2", "NULL"))
        connection.execute("DELETE FROM schema_migration")
        for name in ("0020_baseline", *FORMER):
            connection.execute("INSERT INTO schema_migration (name, applied) VALUES (%s, now())", (name,))
    yield url
    database.disconnect()


def test_a_database_with_the_former_migrations_is_at_the_baseline(former):
    database.connect(former)
    later = sorted(migrations() - {BASELINE})
    assert database.migrate() == later and database.migrate() == []
    with psycopg.connect(former) as connection:
        recorded = connection.execute("SELECT name FROM schema_migration ORDER BY name").fetchall()
        assert recorded == [(BASELINE,), *((name,) for name in later)]
        assert connection.execute("SELECT id FROM runs").fetchall() == [("run_2",)]


def test_a_database_without_some_of_the_former_migrations_is_refused(former):
    with psycopg.connect(former) as connection:
        connection.execute("DELETE FROM schema_migration WHERE name = '0034_registered_hooks'")
    database.connect(former)
    with pytest.raises(ConfigError, match="an older version of Headrace, with a schema that this version"):
        database.migrate()
    with psycopg.connect(former) as connection:
        assert connection.execute("SELECT count(*) FROM schema_migration").fetchone() == (len(FORMER),)


def test_a_later_migration_is_one_file_for_both(fresh_url, tmp_path, monkeypatch):
    (tmp_path / "later").mkdir()
    (tmp_path / "later" / "0999_notes.py").write_text(LATER)
    url = fresh_url()
    with fresh_database(tmp_path) as path:
        monkeypatch.setattr(migration_runner, "MIGRATIONS", tmp_path / "later")
        db = SqliteDatabase(path)
        assert apply(db) == ["0999_notes"]
        assert {"note", "noted_at"} <= {column.name for column in db.get_columns("runs")}
        db.close()
    db = WithDriver(url)
    assert apply(db) == ["0999_notes"]
    db.close()
    with psycopg.connect(url) as connection:
        columns = "SELECT column_name, data_type, collation_name FROM information_schema.columns WHERE {} ORDER BY 1"
        assert connection.execute(columns.format("table_name = 'notes'")).fetchall() == [
            ("at", "bigint", None),
            ("is_read", "smallint", None),
            ("run_id", "text", "C"),
            ("weight", "double precision", None),
        ]
        assert connection.execute(columns.format("column_name LIKE 'note%' AND table_name = 'runs'")).fetchall() == [
            ("note", "text", "C"),
            ("noted_at", "bigint", None),
        ]


def test_packed_steps_are_read_as_sqlite_reads_them(connection, tmp_path):
    packed = steps.packed(packed_steps())
    connection.execute(RUN.format("run_1", "%s"), (packed,))
    with fresh_database(tmp_path) as path, closing(sqlite3.connect(path)) as other:
        other.execute(RUN.format("run_1", "?"), (packed,))
        for each in (connection, other):
            each.execute(RUN.format("run_2", "NULL"))
            each.execute(STEP)
        found, wanted = connection.execute(READ_STEPS).fetchall(), other.execute(READ_STEPS).fetchall()
    assert found == wanted and len(found) == 4
    assert found[:3] == packed_steps()


def test_a_condition_on_steps_is_applied_to_both_kinds_by_an_index(connection):
    connection.execute("SET enable_seqscan = off")
    query = "EXPLAIN SELECT * FROM all_steps WHERE run_id = 'run_1' AND seq > 3 ORDER BY seq LIMIT 50"
    plan = "\n".join(line for (line,) in connection.execute(query).fetchall())
    assert re.search(r"using steps_\w+_pkey on steps.*\n *Index Cond: .*run_id = 'run_1'.* AND \(seq > 3\)", plan), plan
    assert re.search(r"using runs_\w+_pkey on runs.*\n *Index Cond: \(id = 'run_1'", plan) and "Merge Append" in plan, (
        plan
    )


@pytest.mark.parametrize(
    "change",
    [
        f"INSERT INTO run_days (workspace_id, workflow_id, day, {COUNTED} ('ws', 'other', 2, 1, 1, 0, 1)",
        "UPDATE run_days SET total = 5 WHERE workspace_id = 'ws' AND day = 2",
        "DELETE FROM run_days WHERE workspace_id = 'ws' AND day = 2",
    ],
    ids=["insert", "update", "delete"],
)
def test_a_count_of_a_settled_day_deletes_the_sums_from_that_day_on(connection, change):
    rows = ", ".join(f"('{workspace}', {day}, 'wf', 1, 1, 0, 1)" for workspace in ("ws", "xx") for day in (1, 2, 3))
    for table in ("run_days", "flow_sums"):
        connection.execute(f"INSERT INTO {table} (workspace_id, day, workflow_id, {COUNTED} {rows}")
    days = rows.replace(" 'wf',", "")
    connection.execute(f"INSERT INTO workspace_days (workspace_id, day, {COUNTED} {days}")
    connection.execute(change)
    for table in ("workspace_days", "flow_sums"):
        left = connection.execute(f"SELECT workspace_id, day FROM {table} ORDER BY 1, 2").fetchall()
        assert left == [("ws", 1), ("xx", 1), ("xx", 2), ("xx", 3)], table


def test_the_counter_of_settings_begins_at_one(connection):
    assert connection.execute("SELECT name, value FROM server_counters").fetchall() == [("settings", 1)]


def test_every_new_run_has_a_partition_and_a_unique_id(connection):
    far = {days: first_id("run", now_ms() + days * DAY_MS) for days in (-9_000, 0, 1, 7, 10, 9_000)}
    step = f"{STEP.replace('run_2', '{}')} ON CONFLICT (run_id, seq) DO UPDATE SET status = 'failed'"
    for id_ in far.values():
        connection.execute(RUN.format(id_, "NULL"))
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute(RUN.format(id_, "NULL"))
        for _ in range(2):
            connection.execute(step.format(id_))
    places = dict(connection.execute("SELECT id, tableoid::regclass::text FROM runs").fetchall())
    assert places[far[-9_000]] == "runs_old"
    assert places[far[0]] == places[far[1]] != places[far[7]] == places[far[10]] == places[far[9_000]]


def test_partitions_of_runs_have_room_in_their_pages_and_statistics(connection):
    sql = "SELECT relname, reloptions FROM pg_class WHERE relname ~ '^runs_(old|[0-9]{8})$'"
    options = dict(connection.execute(sql).fetchall())
    assert len(options) == 3 and set(map(str, options.values())) == {"['fillfactor=70']"}
    kinds = connection.execute("SELECT stxrelid::regclass::text FROM pg_statistic_ext").fetchall()
    assert {name for (name,) in kinds} == set(options)
