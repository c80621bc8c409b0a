"""Transactions on a whole PostgreSQL database: `open_new` fills an empty database, completely or not at all;
`open_snapshot` reads all tables in one consistent state.

Import this module at its first use: it loads the driver.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg
from peewee import PeeweeException
from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import InsufficientPrivilege

from database import HISTORY
from database.migration_runner import apply
from database.table_rows import MAX_NAMED, PostgresTables
from database.value_copies import ReadObject
from errors import BadInput, Conflict, HeadraceError
from packs.postgres import engine as postgres

FORM = "postgresql://user:password@host/database, where special characters of the password are escaped (`@` is `%40`)"
IF_NO_RIGHTS = "Make its user the owner of the database, so that it may create tables."
COPY_PLACE = re.compile(r"COPY \w+, line \d+(, column \w+)?")
MIN_VERSION = 140_000
# Without timeouts, which the server may have by default: copying a large database takes long.
BEGIN = (
    "BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0; "
    "SET LOCAL lock_timeout = '10s'; SET LOCAL synchronous_commit = on; "
    f"SELECT pg_advisory_xact_lock({postgres.MIGRATIONS})"
)
BEGIN_SNAPSHOT = (
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = 0; "
    "SET LOCAL idle_in_transaction_session_timeout = 0"
)


class UnknownOutcome(HeadraceError):
    """The connection was lost during the commit, which may have succeeded."""

    status = 503


def describe_place(url: str) -> str:
    """Return host, port and database of a URL, without its password. Raises: BadInput if it is not a valid URL."""
    try:
        if not url.startswith(("postgresql://", "postgres://")):
            raise ValueError
        parts = conninfo_to_dict(url)
    except (ValueError, psycopg.Error):  # the error may contain the password
        raise BadInput(f"This is not the URL of a PostgreSQL database; it must have the form {FORM}") from None
    host = parts.get("host") or "localhost"
    name = parts.get("dbname") or parts.get("user") or ""
    return f"postgresql://{f'[{host}]' if ':' in str(host) else host}:{parts.get('port') or 5432}/{name}"


@contextmanager
def report_errors(place: str) -> Iterator[None]:
    """Convert errors of psycopg to Conflict with one sentence. The transaction has then changed nothing."""
    try:
        yield
    except psycopg.Error as error:
        # Without details and context, which may quote rows. The error of a lost connection has only a text.
        said = " ".join((error.diag.message_primary or str(error)).split()).removesuffix(".")
        found = COPY_PLACE.match(error.diag.context or "")
        where = f" ({found[0]})" if found else ""
        hint = f" {IF_NO_RIGHTS}" if isinstance(error, InsufficientPrivilege) else ""
        raise Conflict(f"{place}: {said}{where}. Nothing was changed there.{hint}") from error


class NewPostgres(PostgresTables):
    """The tables of a new database, in one transaction."""

    def __init__(self, connection: Any, place: str) -> None:
        super().__init__(connection)
        self.place = place

    def was_filled_by(self, token: str) -> bool:
        """Return True if the move with this token filled the database."""
        if "public.server_facts" not in self.objects():
            return False
        sql = "SELECT 1 FROM server_facts WHERE name = 'moved_from' AND value = $1"
        return self._connection.execute(sql, (token,)).fetchone() is not None

    def create_tables(self, is_enough: Callable[[], bool] = lambda: False) -> None:
        """Apply all migrations, or those until `is_enough`.

        Raises: Conflict if the database is not empty or cannot be used.
        """
        (encoding,) = self._connection.execute("SHOW server_encoding").fetchone()
        version = self._connection.info.server_version
        if encoding != "UTF8":
            raise Conflict(f"{self.place} stores text as {encoding}; create the database with ENCODING 'UTF8'")
        if version < MIN_VERSION:
            raise Conflict(f"{self.place} is PostgreSQL {version // 10_000}, but 14 or newer is needed")
        found = self.objects()
        if found:
            kind = "another server's data" if any(name.endswith(f".{HISTORY}") for name in found) else "other data"
            more = f" and {len(found) - MAX_NAMED} more" if len(found) > MAX_NAMED else ""
            raise Conflict(
                f"{self.place} is not empty: it has {kind} ({', '.join(found[:MAX_NAMED])}{more}). Create a new "
                "database, and give its URL"
            )
        self.migrate(is_enough)
        # Replaced by the rows of the other database.
        self._connection.execute("DELETE FROM server_facts")

    def migrate(self, is_enough: Callable[[], bool] = lambda: False) -> None:
        """Apply the migrations that the database lacks, until `is_enough`."""
        try:
            apply(postgres.db, is_enough)
        except PeeweeException as error:
            raise (error.__cause__ or error) from None

    def set_fact(self, name: str, value: str) -> None:
        """Add a fact about the server, or change it."""
        sql = "INSERT INTO server_facts (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = $2"
        self._connection.execute(sql, (name, value))

    def analyze(self) -> None:
        """Update the server's statistics, so that it plans the first queries well."""
        self._connection.execute("ANALYZE")

    def commit(self) -> None:
        """Commit. Raises: UnknownOutcome if the connection is lost meanwhile."""
        try:
            self._connection.execute("COMMIT")
        except psycopg.Error as error:
            if self._connection.closed:
                raise UnknownOutcome(
                    f"{self.place}: the connection was lost during the commit, so the database may or may not have the "
                    "data. Repeat the command with the same URL to find out"
                ) from error
            raise


@contextmanager
def open_new(url: str) -> Iterator[NewPostgres]:
    """Open a transaction on a connection of its own. Unless it is committed in the block, it is rolled back.

    Raises: BadInput for an invalid URL; Conflict for all errors of the database.
    """
    place = describe_place(url)
    options: dict[str, Any] = {"autocommit": True, "cursor_factory": psycopg.RawCursor, **postgres.OPTIONS}
    with report_errors(place), closing(psycopg.connect(url, **options)) as connection:
        postgres.configure(connection)
        connection.execute(BEGIN, prepare=False)
        with postgres.using(connection):
            yield NewPostgres(connection, place)


@contextmanager
def open_snapshot(read_object: ReadObject | None = None) -> Iterator[PostgresTables]:
    """Open a transaction that reads one consistent state of the connected database."""
    options: dict[str, Any] = {"autocommit": True, "cursor_factory": psycopg.RawCursor, **postgres.OPTIONS}
    with closing(psycopg.connect(postgres.url(), **options)) as connection:
        postgres.configure(connection)
        connection.execute(BEGIN_SNAPSHOT, prepare=False)
        yield PostgresTables(connection, read_object)
