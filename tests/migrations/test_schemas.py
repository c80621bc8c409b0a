"""Both engines have the same schema: every table, column, index and view, compared with each other and the models."""

import re
import sqlite3
from contextlib import closing
from typing import NamedTuple

import psycopg
import pytest
from each import for_each
from peewee import SqliteDatabase
from postgres import WithDriver
from world import fresh_database

import database
import models
from database import migration_runner
from database.base import DAY_MS, Base, first_id, now_ms
from database.migration_runner import BASELINE, FORMER, apply, migrations
from database.queries import steps
from errors import ConfigError

pytestmark = pytest.mark.slow


def is_table(value):
    return isinstance(value, type) and issubclass(value, Base) and value is not Base


HISTORY = "schema_migration"  # Peewee's own table
# PostgreSQL only: SQLite has its counters and large values in files, and its full-text index in tables of its own.
ONLY_POSTGRES_TABLES = {"server_counters", "commit_numbers", "payloads", "value_objects"}
ONLY_POSTGRES_COLUMNS = {("agent_memories", "words")}
ONLY_POSTGRES_INDEXES = {"agent_memories_words"}
NOT_IN_MODELS = {("runs", "packed_steps")}  # see models.Run
VIEW = "all_steps"
MODELS = {model._meta.table_name: model for model in vars(models).values() if is_table(model)}
KINDS = {
    **dict.fromkeys(("INTEGER", "bigint", "smallint"), "integer"),
    **dict.fromkeys(("REAL", "double precision"), "real"),
    **dict.fromkeys(("TEXT", "text"), "text"),
    **dict.fromkeys(("BLOB", "bytea"), "blob"),
}
KINDS_OF_FIELDS = {
    **dict.fromkeys(("AUTO", "INT", "BOOL"), "integer"),
    **{"FLOAT": "real", "TEXT": "text", "BLOB": "blob"},
}


class Column(NamedTuple):
    """A column; `default` is its SQL."""

    name: str
    kind: str
    is_null: bool
    default: str | None


class Index(NamedTuple):
    """An index; `predicate` is the SQL of a partial one, without the marks in which the engines differ."""

    table: str
    columns: tuple[str, ...]
    is_unique: bool
    predicate: str


class Schema(NamedTuple):
    """The parts of a schema. `views` have no nullability, and `collations` are those of PostgreSQL's text columns."""

    tables: dict[str, list[Column]]
    keys: dict[str, tuple[str, ...]]
    indexes: dict[str, Index]
    views: dict[str, list[tuple[str, str]]]
    triggers: set[str]
    collations: dict[tuple[str, str], str]


def plain(sql):
    """Return the SQL without parentheses, quotes and types, which each engine writes in its own way."""
    without_types = re.sub(r"::\w+(\[\])?", "", sql or "")
    # PostgreSQL writes `x IN ('a', 'b')` as `x = ANY (ARRAY['a', 'b'])`.
    without_types = re.sub(r"= ANY \(\(?ARRAY\[([^\]]*)\]\)?\)", r"IN (\1)", without_types)
    return " ".join(re.sub(r'[()"]', " ", without_types).split()).lower()


# SQLite


def read_sqlite(ask):
    """Return the Schema; `ask(sql)` returns rows."""
    made = "SELECT name FROM sqlite_master WHERE type = '{}' AND name NOT LIKE 'sqlite_%' AND INSTR(name, '_fts') = 0"
    tables, views = ([name for (name,) in ask(made.format(kind))] for kind in ("table", "view"))
    triggers = {name for (name,) in ask(made.format("trigger")) if not name.startswith("agent_memories_")}
    tables = [name for name in tables if name != HISTORY]
    info = {
        name: ask(f"SELECT name, type, \"notnull\", dflt_value, pk FROM pragma_table_info('{name}')") for name in tables
    }
    return Schema(
        {
            table: [Column(name, KINDS[kind], not not_null, default) for name, kind, not_null, default, _ in columns]
            for table, columns in info.items()
        },
        {
            table: tuple(name for name, *_, key in sorted(columns, key=lambda column: column[-1]) if key)
            for table, columns in info.items()
        },
        {name: index for table in tables for name, index in sqlite_indexes(ask, table)},
        {
            view: [(name, KINDS[kind]) for name, kind in ask(f"SELECT name, type FROM pragma_table_info('{view}')")]
            for view in views
        },
        triggers,
        {},
    )


def sqlite_indexes(ask, table):
    """Yield the name and the Index of each index that a statement made."""
    for name, is_unique in ask(f"SELECT name, \"unique\" FROM pragma_index_list('{table}') WHERE origin = 'c'"):
        ((sql,),) = ask(f"SELECT sql FROM sqlite_master WHERE name = '{name}'")
        columns, predicate = re.fullmatch(r"CREATE .*?INDEX \S+ ON \S+ \((.*?)\)(?: WHERE (.*))?", sql).groups()
        yield (
            name,
            Index(
                table,
                tuple(plain(one) for one in re.split(r",(?![^(]*\))", columns)),
                bool(is_unique),
                plain(predicate),
            ),
        )


# PostgreSQL

COLUMNS = """
    SELECT table_name, column_name, data_type, is_nullable = 'YES', column_default, collation_name
    FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'schema_migration'
    AND NOT (SELECT relispartition FROM pg_class WHERE oid = CAST(table_name AS regclass))
    ORDER BY table_name, ordinal_position
"""
INDEXES = """
    SELECT t.relname, c.relname, i.indisunique, i.indisprimary, pg_get_expr(i.indpred, i.indrelid),
        ARRAY(SELECT pg_get_indexdef(i.indexrelid, n, false) FROM generate_series(1, i.indnatts) AS n ORDER BY n)
    FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_class AS t ON t.oid = i.indrelid
    WHERE t.relnamespace = 'public'::regnamespace AND t.relname <> 'schema_migration' AND NOT t.relispartition
"""
VIEWS = "SELECT table_name FROM information_schema.views WHERE table_schema = 'public'"
TRIGGERS = "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal"


def read_postgres(ask):
    """Return the Schema, without that which only PostgreSQL has; `ask(sql)` returns rows."""
    views = {name: [] for (name,) in ask(VIEWS)}
    tables, keys, indexes, collations = {}, {}, {}, {}
    for table, name, type_, is_null, default, collation in ask(COLUMNS):
        if table in ONLY_POSTGRES_TABLES or (table, name) in ONLY_POSTGRES_COLUMNS:
            continue
        kind = KINDS[type_]
        if kind == "text":
            collations[table, name] = collation
        if table in views:
            views[table].append((name, kind))
        else:
            tables.setdefault(table, []).append(Column(name, kind, is_null, default))
    for table, name, is_unique, is_primary, predicate, columns in ask(INDEXES):
        columns = tuple(map(plain, columns))
        if table in ONLY_POSTGRES_TABLES or name in ONLY_POSTGRES_INDEXES:
            continue
        if is_primary:
            keys[table] = columns
        else:
            indexes[name] = Index(table, columns, is_unique, plain(predicate))
    return Schema(tables, keys, indexes, views, {name for (name,) in ask(TRIGGERS)}, collations)


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory):
    with (
        fresh_database(tmp_path_factory.mktemp("schema")) as path,
        closing(sqlite3.connect(path)) as connection,
    ):
        return read_sqlite(lambda sql: connection.execute(sql).fetchall())


@pytest.fixture(scope="module")
def postgres(postgres_server, postgres_template):
    with psycopg.connect(postgres_server.url(database=postgres_template)) as connection:
        return read_postgres(lambda sql: connection.execute(sql).fetchall())


@pytest.fixture(scope="module")
def declared():
    """The schema of a database that Peewee makes of models.py alone."""
    database, tables = SqliteDatabase(":memory:"), [model for name, model in MODELS.items() if name != VIEW]
    with database.bind_ctx(tables, bind_refs=False, bind_backrefs=False):
        database.create_tables(tables)
        found = read_sqlite(lambda sql: database.execute_sql(sql).fetchall())
    database.close()
    return found


# Both


def test_both_have_the_same_tables(sqlite, postgres):
    assert set(postgres.tables) == set(sqlite.tables) and len(sqlite.tables) > 30


@for_each("part", ["tables", "keys", "indexes", "views"])
def test_both_have_the_same(sqlite, postgres, part):
    found, wanted = getattr(postgres, part), getattr(sqlite, part)
    differences = [
        f"{name}: PostgreSQL has {only(found, wanted, name)}, SQLite has {only(wanted, found, name)}"
        for name in sorted({*found, *wanted})
        if found.get(name) != wanted.get(name)
    ]
    assert not differences, "\n".join(differences)


def only(some, others, name):
    """Return the parts that only `some` have under this name, or everything if only the order differs."""
    mine, theirs = some.get(name, ()), others.get(name, ())
    return [part for part in mine if part not in theirs] or mine


def test_both_have_the_triggers_of_counts(sqlite, postgres):
    assert postgres.triggers == sqlite.triggers == {"run_days_insert", "run_days_update", "run_days_delete"}


def fields(model):
    """Return name, kind and nullability of the columns of a model."""
    return [
        (field.column_name, KINDS_OF_FIELDS[field.field_type], bool(field.null)) for field in model._meta.sorted_fields
    ]


@for_each("engine", ["sqlite", "postgres"])
def test_an_engine_has_the_columns_of_the_models(sqlite, postgres, engine):
    schema = {"sqlite": sqlite, "postgres": postgres}[engine]
    # In any order: queries name their columns.
    wanted = {table: set(fields(model)) for table, model in MODELS.items() if table != VIEW}
    found = {
        table: {(name, kind, is_null) for name, kind, is_null, _ in columns if (table, name) not in NOT_IN_MODELS}
        for table, columns in schema.tables.items()
        if table in wanted
    }
    assert found == wanted
    assert schema.views == {VIEW: [(name, kind) for name, kind, _ in fields(MODELS[VIEW])]}


@for_each("part", ["keys", "indexes"])
@for_each("engine", ["sqlite", "postgres"])
def test_an_engine_has_the_keys_and_indexes_of_the_models(sqlite, postgres, declared, engine, part):
    found, wanted = getattr({"sqlite": sqlite, "postgres": postgres}[engine], part), getattr(declared, part)
    assert {name: found.get(name) for name in {*found, *wanted}} == {
        name: wanted.get(name) for name in {*found, *wanted}
    }


def test_every_text_of_postgresql_is_sorted_by_bytes(postgres):
    assert {column: name for column, name in postgres.collations.items() if name != "C"} == {}
    assert len(postgres.collations) > 150


# The view of steps, the triggers of counts and the partitions of a new PostgreSQL database, and its migrations


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
