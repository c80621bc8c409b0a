"""What tests do with a database besides using the server: on SQLite and on PostgreSQL with the same functions.

Another connection, copies of all rows, the statements of a thread, a table or a disk that refuses writes.
"""

import fcntl
import re
import sqlite3
import threading
import time
from contextlib import ExitStack, closing, contextmanager
from functools import cache
from importlib import import_module
from pathlib import Path

import postgres_rows
import psycopg
from chosen_engine import ON_POSTGRES, url_of
from servers import until
from written import list_tables

import database
from database import write
from database.base import Write

# An error of a PostgreSQL server without space.
FULL = "RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'"
LARGE = 20_000  # bytes of a row for which a full disk has no space
RUN = b"run_0"  # as the ids of runs begin
BESIDE = ("-wal", "-shm")  # suffixes of files that belong to an SQLite database
_refused = set()
_listeners = {}  # by thread: the function that gets its statements on PostgreSQL


@contextmanager
def other_connection(path):
    """Give a connection with `execute(sql, params)`, like that of another process. It commits at the end."""
    if ON_POSTGRES:
        with psycopg.connect(url_of(path), options="-c lock_timeout=20s", cursor_factory=_Translating) as connection:
            yield connection
    else:
        with closing(sqlite3.connect(path, timeout=20)) as connection, connection:
            yield connection


class _Translating(psycopg.RawCursor):
    """A cursor for statements in SQLite's form, as the tables have them."""

    def execute(self, sql, params=None, **options):
        translate = import_module("packs.postgres.engine").translate
        return super().execute(translate(sql), params or None, **options)


def change(path, sql, *params):
    """Execute one statement that writes, while servers use the database."""
    with ExitStack() as stack:
        if not ON_POSTGRES:
            fcntl.flock(stack.enter_context(Path(f"{path}.lock").open()), fcntl.LOCK_EX)
        stack.enter_context(other_connection(path)).execute(sql, params)


def lease_now(path):
    """Return the time of the clock that judges the leases of a server with this database."""
    if not ON_POSTGRES:
        return time.monotonic_ns() // 1_000_000
    with other_connection(path) as connection:
        return int(connection.execute("SELECT EXTRACT(EPOCH FROM clock_timestamp()) * 1000").fetchone()[0])


# Copies


def snapshot(path):
    """Return the committed rows of the database that this file stands for, while others may use it."""
    if ON_POSTGRES:
        with postgres_rows.connected(url_of(path)) as connection:
            return postgres_rows.read_rows(connection)
    with closing(sqlite3.connect(path, timeout=20)) as source, closing(sqlite3.connect(":memory:")) as copy:
        source.backup(copy)
        return copy.serialize()


def has_run(rows):
    """Return True if a snapshot has a run."""
    if ON_POSTGRES:
        return any(RUN in text for table, text in rows.items() if table.startswith("runs"))
    return RUN in rows


def stored_bytes(path):
    """Return everything in the database as bytes: SQLite's files, with deleted rows, or all rows of PostgreSQL."""
    if ON_POSTGRES:
        return b"\n".join(snapshot(path).values())
    return b"\n".join(file.read_bytes() for file in Path(path).parent.glob(f"{Path(path).name}*"))


def restore(path, rows):
    """Replace the rows of a database, which nobody uses, with those of a snapshot."""
    if ON_POSTGRES:
        with postgres_rows.connected(url_of(path)) as connection, connection.transaction():
            postgres_rows.replace_rows(connection, rows)
        return
    for suffix in BESIDE:
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    Path(path).write_bytes(rows)


def runs_with_values(folder):
    """Return the ids of the runs that have values outside of their rows, for the data folder `folder`."""
    if ON_POSTGRES:
        return [id_ for (id_,) in database.execute("SELECT DISTINCT run_id FROM payloads ORDER BY run_id").fetchall()]
    return sorted(path.name for path in folder.glob("values/*"))


# Statements


@contextmanager
def statements_of_thread(before=None):
    """Collect the statements that this thread executes, with their values; `before(sql)` is called before each."""
    found = []

    def note(sql):
        found.append(sql)
        if before is not None:
            before(sql)

    if ON_POSTGRES:
        _listen()
        _listeners[threading.get_ident()] = note
    else:
        database.db.connection().set_trace_callback(note)
    try:
        yield found
    finally:
        if ON_POSTGRES:
            del _listeners[threading.get_ident()]
        elif not database.db.is_closed():
            database.db.connection().set_trace_callback(None)


@cache
def _listen():
    """Have psycopg's cursors, and the pipeline of the recorder, call the listeners, from now on."""
    execute = psycopg.RawCursor.execute

    def heard(cursor, sql, params=None, **options):
        note = _listeners.get(threading.get_ident())
        if note is not None and not isinstance(cursor, _Translating):
            # The server sends some statements together: `BEGIN; …` and `…; COMMIT`.
            for statement in [_with_values(sql, params)] if params else sql.split("; "):
                note(statement)
        return execute(cursor, sql, params, **options)

    psycopg.RawCursor.execute = heard
    pipeline = import_module("packs.postgres.pipeline").Pipeline
    execute_all = pipeline.execute

    def heard_together(self, statements):
        note = _listeners.get(threading.get_ident())
        for sql, params in statements if note is not None else ():
            note(_with_values(sql, params) if params else sql)
        return execute_all(self, statements)

    pipeline.execute = heard_together


def _with_values(sql, params):
    return re.sub(r"\$(\d+)", lambda found: _literal(params[int(found[1]) - 1]), sql)


def _literal(value):
    if value is None:
        return "NULL"
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value)


# Changes


def count_transactions():
    """Return the number of transactions so far, without those of leases."""
    if not ON_POSTGRES:
        return database.commits() // 2
    return database.fetch_value("SELECT COUNT(*) FROM commit_numbers")


def wait_for_changes():
    """Wait until this process has seen all changes of settings, which it may cache then. On SQLite it always has."""
    if ON_POSTGRES:
        postgres = import_module("packs.postgres.engine")

        def are_seen():
            return database.settings_commits() and postgres._changes._seen == database.fetch_value(postgres.CHANGES)

        until(are_seen, "changes are seen")


# Refused writes


def refuse_inserts(table, when="1 = 1"):
    """Make the database refuse to insert such rows, as a broken disk would, until `accept_inserts`."""
    _refused.add(table)
    with write():
        if ON_POSTGRES:
            _make_function("refuse", FULL)
            _make_trigger("refuse", table, "INSERT", when)
        else:
            # A division by zero is null. An integer overflow is an error, but not a violated constraint.
            event = f"BEFORE INSERT ON {table} WHEN {when}"
            overflow = "SELECT abs(-9223372036854775807 - 1)"
            database.execute(f"CREATE TRIGGER refuse_{table} {event} BEGIN {overflow}; END")


def accept_inserts():
    """End `refuse_inserts`."""
    with write():
        while _refused:
            table = _refused.pop()
            database.execute(f"DROP TRIGGER IF EXISTS refuse_{table}{f' ON {table}' if ON_POSTGRES else ''}")


def fill_disk(recorder, pages=2):
    """Leave the recorder space for a few small rows, or for none, until `make_room`."""
    if ON_POSTGRES:
        with write():
            _make_function("full", FULL)
            for table in list_tables() if pages else ("runs", "steps"):
                _make_trigger("full", table, "INSERT OR UPDATE", f"octet_length(NEW::text) > {LARGE if pages else 0}")
    else:
        present = database.fetch_value("PRAGMA page_count")
        recorder.commit([Write(f"PRAGMA max_page_count = {present + pages}", ())])


def make_room(recorder):
    """End `fill_disk`."""
    if ON_POSTGRES:
        with write():
            for table in list_tables():
                database.execute(f"DROP TRIGGER IF EXISTS full_{table} ON {table}")
    else:
        recorder.commit([Write("PRAGMA max_page_count = 1000000", ())])


def _make_function(name, body):
    """Create a trigger function of PostgreSQL."""
    database.execute(
        f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body}; RETURN NEW; END $$"
    )


def _make_trigger(name, table, event, when):
    database.execute(
        f"CREATE TRIGGER {name}_{table} BEFORE {event} ON {table} FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION {name}()"
    )
