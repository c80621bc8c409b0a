"""Both engines have the same schema: every table, column, index and view, compared with each other and the models."""

import re
import sqlite3
from contextlib import closing
from typing import NamedTuple

import psycopg
import pytest
from each import for_each
from peewee import SqliteDatabase
from world import fresh_database

import models
from database.base import Base

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
