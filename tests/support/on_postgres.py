"""The tests of the server on PostgreSQL: with HEADRACE_TEST_DATABASE=postgres, each test has a database of its own.

The controller of the tests starts one server, which syncs nothing to the disk, and migrates one database; every other
database is a copy of that one, or of a database with rows for many tests.
"""

import os
import shutil
import tempfile
import time
from collections import deque
from contextlib import suppress
from functools import cache
from itertools import count
from pathlib import Path

import postgres_rows
import psycopg
import pytest
from chosen_engine import NOTES, ON_POSTGRES, SERVER, note_of, url_of
from sql_servers import POSTGRES, Server, program

import database

TEMPLATE = "headrace_template"
END_SECONDS = 5
END_SESSIONS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""
OTHERS = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
BUSY = f"SELECT 1 {OTHERS} AND state = 'active' AND wait_event_type IS DISTINCT FROM 'Lock'"
OPEN = f"SELECT pid, xact_start {OTHERS} AND state <> 'idle' AND wait_event = 'ClientRead'"
LOOK_SECONDS = 0.005
STOPPED_SECONDS = 0.3  # for which a running process leaves a transaction alone at most
# What a test may have added: tables, columns, indexes, triggers, functions.
SHAPE = """
SELECT md5(string_agg(name, ' ' ORDER BY name)) FROM (
  SELECT format('%s %s %s', relname, relkind, relnatts) AS name FROM pg_class
  WHERE relnamespace = 'public'::regnamespace
  UNION ALL SELECT 'trigger ' || tgname FROM pg_trigger
  UNION ALL SELECT 'function ' || proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
) AS names
"""
_server = None
_released = deque()
_numbers = count()
_connections = {}  # by the name of the database


class Plain(Server):
    """A server for these tests: everybody may log in, and nothing is synced."""

    scheme, signal = "postgresql", 2

    def start(self):
        data = self.folder / "data"
        initdb = Path(program("initdb", POSTGRES))
        self.ask(str(initdb), "-D", str(data), "-U", "postgres", "--no-sync", "-A", "trust", "-E", "UTF8", "--locale=C")
        options = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": str(self.folder),
            "fsync": "off",
            "full_page_writes": "off",
            # Otherwise it analyzes tables at any time, and the plans of a test depend on the tests before it.
            "autovacuum": "off",
            "max_connections": 300,
            "shared_buffers": "64MB",
        }
        arguments = [part for key, value in options.items() for part in ("-c", f"{key}={value}")]
        return self.spawn(str(initdb.with_name("postgres")), "-D", str(data), *arguments)

    def prepare(self):
        psycopg.connect(self.address("postgres")).close()

    def address(self, name):
        return f"postgresql://postgres@127.0.0.1:{self.port}/{name}"


def start():
    """Start the server, and make the template. Without the programs of PostgreSQL, end the tests and say why."""
    global _server
    if program("initdb", POSTGRES) is None:
        pytest.exit("This machine has no PostgreSQL, so nothing is tested on it", returncode=0)
    _server = Plain(Path(os.devnull))
    os.environ[SERVER] = _server.address("")
    os.environ[NOTES] = tempfile.mkdtemp(prefix="headrace-databases-")
    _ask(f"CREATE DATABASE {TEMPLATE}")
    database.connect(f"{os.environ[SERVER]}{TEMPLATE}", "normal")
    database.migrate()
    database.disconnect()


def stop():
    """Stop the server."""
    close_connections()
    if _server is not None:
        shutil.rmtree(os.environ[NOTES])
        with suppress(ProcessLookupError):
            _server.stop()


def new_database(path, template=None):
    """Make the database that stands for this file, with the schema and rows of another one (its URL). Return its URL.

    A database that a test has released gets other rows: to create one, a copy of 8 MB, takes ten times as long.
    """
    template = (template or TEMPLATE).rpartition("/")[2]
    forget_database(path)
    while _released:
        name = _released.popleft()
        if _replace_rows(name, template):
            break
        _drop(name)
    else:
        name = f"{note_of(path).name}_{next(_numbers)}"
        _disconnect(template)  # A database with connections cannot be copied.
        _ask(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    note_of(path).write_text(name)
    return url_of(path)


def release_database(path):
    """Let another test use the database that stands for this file: this test has closed its connections."""
    if ON_POSTGRES and note_of(path).exists():
        _released.append(note_of(path).read_text())
        note_of(path).unlink()


def forget_database(path):
    """Delete the database that stands for this file, if there is one."""
    if note_of(path).exists():
        _drop(note_of(path).read_text())
        note_of(path).unlink()


# Servers in processes of their own


def server_settings(path, port):
    """Return the settings of a server whose database stands for this file. All with the same file share it."""
    if not note_of(path).exists():
        new_database(path)
    return {
        "DATABASE_URL": url_of(path),
        "HEADRACE_SECRET_KEY": "the key of all servers of a test",
        "HEADRACE_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "HEADRACE_FILES_DIR": str(path.parent / "files"),
    }


def wait_for_commits(path):
    """Wait until the database has executed everything that processes, stopped or killed since then, have sent to it."""
    connection = _connect(note_of(path).read_text())
    deadline = time.monotonic() + END_SECONDS
    while connection.execute(BUSY).fetchone():
        assert time.monotonic() < deadline, "the database is still busy"
        time.sleep(LOOK_SECONDS)


def has_open_transaction(path):
    """Return True if a transaction waits for a process for longer than a running process needs."""
    connection = _connect(note_of(path).read_text())
    deadline = time.monotonic() + STOPPED_SECONDS
    open_ones = set(connection.execute(OPEN).fetchall())
    while open_ones and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
        open_ones &= set(connection.execute(OPEN).fetchall())
    return bool(open_ones)


def _replace_rows(name, template):
    """Give the database the rows of the template. Return False if a test has changed its schema, or still uses it."""
    connection = _connect(name)
    shape, rows = _shape_and_rows(template)
    deadline = time.monotonic() + END_SECONDS
    while connection.execute(END_SESSIONS).fetchall() and time.monotonic() < deadline:
        time.sleep(0.001)
    if time.monotonic() >= deadline or connection.execute(SHAPE).fetchone() != shape:
        return False
    with connection.transaction():
        postgres_rows.replace_rows(connection, rows)
    return True


@cache
def _shape_and_rows(template):
    with postgres_rows.connected(f"{os.environ[SERVER]}{template}") as connection:
        return connection.execute(SHAPE).fetchone(), postgres_rows.read_rows(connection)


def _connect(name):
    """Return a connection to this database, which stays open: the server needs ten times as long for a new one."""
    if name not in _connections:
        url = f"{os.environ[SERVER]}{name}"
        _connections[name] = psycopg.connect(url, autocommit=True, cursor_factory=psycopg.RawCursor)
    return _connections[name]


def _disconnect(name):
    if name in _connections:
        _connections.pop(name).close()


def close_connections():
    """Close the connections of this process that stay open."""
    for name in list(_connections):
        _disconnect(name)


def _drop(name):
    _disconnect(name)
    _ask(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def _ask(statement):
    _connect("postgres").execute(statement)
