"""The tests of the server on PostgreSQL: with HEADRACE_TEST_DATABASE=postgres, each test has a database of its own.

The controller of the tests starts one server, which syncs nothing to the disk, and migrates one database; every other
database is a copy of that one.
"""

import hashlib
import os
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from sql_servers import POSTGRES, Server, program

import database

ON_POSTGRES = os.environ.get("HEADRACE_TEST_DATABASE") == "postgres"
SERVER = "TEST_POSTGRES_URL"  # the environment variable with the URL of the server, for all processes of the tests
TEMPLATE = "headrace_template"
_server = None


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
    _ask(f"CREATE DATABASE {TEMPLATE}")
    database.connect(f"{os.environ[SERVER]}{TEMPLATE}", "normal")
    database.migrate()
    database.disconnect()


def stop():
    """Stop the server."""
    if _server is not None:
        with suppress(ProcessLookupError):
            _server.stop()


def url_of(path):
    """Return the URL of the database that stands for the SQLite file at this path; empty if SQLite is tested."""
    return f"{os.environ[SERVER]}t_{hashlib.md5(str(path).encode()).hexdigest()[:20]}" if ON_POSTGRES else ""


def database_of(folder):
    """Return the settings of a server with this data folder: its database, and where its files are."""
    files = {"files_dir": folder / "files"} if ON_POSTGRES else {}
    return {"database_url": url_of(folder / "headrace.sqlite3"), **files}


def new_database(path, template=None):
    """Create the database that stands for this file as a copy of another one (its URL). Return its URL."""
    url = url_of(path)
    name, template = url.rpartition("/")[2], (template or TEMPLATE).rpartition("/")[2]
    _ask(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    _ask(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    return url


def _ask(*statements):
    with psycopg.connect(f"{os.environ[SERVER]}postgres", autocommit=True) as admin:
        for statement in statements:
            admin.execute(statement)
