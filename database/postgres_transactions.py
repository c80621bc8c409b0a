"""Transactions on a whole PostgreSQL database: one fills a new database, which is then complete or stays empty; one
reads a single state of all tables.

Import this module at its first use: it loads the driver.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import psycopg
from peewee import PeeweeException
from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import InsufficientPrivilege

from errors import BadInput, Conflict, HeadraceError

from . import HISTORY, postgres
from .migration_runner import make_runner
from .table_rows import MAX_NAMED, PostgresTables
from .value_copies import ReadObject

FORM = "postgresql://user:password@host/database, where special characters of the password are escaped (`@` is `%40`)"
IF_NO_RIGHTS = "Make its user the owner of the database, so that it may create tables."
COPY_PLACE = re.compile(r"COPY \w+, line \d+(, column \w+)?")
MIN_VERSION = 140_000
# A server's own limits of time would end the transaction of a large database.
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
    """The connection was lost during the commit, so nobody here knows whether it was done."""

    status = 503


def describe_place(url: str) -> str:
    """Return host, port and database of a URL, without its password. Raises: BadInput if it is not a valid URL."""
    try:
        if not url.startswith(("postgresql://", "postgres://")):
            raise ValueError
        parts = conninfo_to_dict(url)
    except (ValueError, psycopg.Error):  # the error may contain the password
        raise BadInput(f"The URL is not one of a PostgreSQL database; its form is {FORM}") from None
    host = parts.get("host") or "localhost"
    name = parts.get("dbname") or parts.get("user") or ""
    return f"postgresql://{f'[{host}]' if ':' in str(host) else host}:{parts.get('port') or 5432}/{name}"


@contextmanager
def report_errors(place: str) -> Iterator[None]:
    """Turn errors of the database into one sentence. Nothing was changed there: a transaction is whole or nothing."""
    try:
        yield
    except psycopg.Error as error:
        # Not its details and context, which quote rows. A lost connection has no parts, but only a text.
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

    def came_by(self, token: str) -> bool:
        """Return True if the move with this token filled the database."""
        if "public.server_facts" not in self.objects():
            return False
        sql = "SELECT 1 FROM server_facts WHERE name = 'moved_from' AND value = $1"
        return self._connection.execute(sql, (token,)).fetchone() is not None

    def create_tables(self) -> None:
        """Apply all migrations. Raises: Conflict if the database is not empty or cannot be used."""
        (encoding,) = self._connection.execute("SHOW server_encoding").fetchone()
        version = self._connection.info.server_version
        if encoding != "UTF8":
            raise Conflict(f"{self.place} stores text as {encoding}; create the database with ENCODING 'UTF8'")
        if version < MIN_VERSION:
            raise Conflict(f"{self.place} is PostgreSQL {version // 10_000}, and 14 or newer is needed")
        found = self.objects()
        if found:
            kind = "another server's data" if any(name.endswith(f".{HISTORY}") for name in found) else "other data"
            more = f" and {len(found) - MAX_NAMED} more" if len(found) > MAX_NAMED else ""
            raise Conflict(
                f"{self.place} is not empty: it has {kind} ({', '.join(found[:MAX_NAMED])}{more}). Create a new "
                "database, and give its URL"
            )
        try:
            make_runner(postgres.db, "postgres").up()
        except PeeweeException as error:
            raise (error.__cause__ or error) from None
        # The rows of the other database follow.
        self._connection.execute("DELETE FROM server_facts")

    def set_fact(self, name: str, value: str) -> None:
        """Add a fact about the server, or change it."""
        sql = "INSERT INTO server_facts (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = $2"
        self._connection.execute(sql, (name, value))

    def analyze(self) -> None:
        """Have the server count its rows, so that it plans the first queries as all later ones."""
        self._connection.execute("ANALYZE")

    def commit(self) -> None:
        """Commit. Raises: UnknownOutcome if the connection is lost meanwhile."""
        try:
            self._connection.execute("COMMIT")
        except psycopg.Error as error:
            if self._connection.closed:
                raise UnknownOutcome(
                    f"{self.place}: the connection was lost during the commit, and nobody knows whether it has the "
                    "data. Repeat the command with the same URL: it finds out"
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
    """Open a transaction that reads one state of the connected database, while others write."""
    options: dict[str, Any] = {"autocommit": True, "cursor_factory": psycopg.RawCursor, **postgres.OPTIONS}
    with closing(psycopg.connect(postgres.url(), **options)) as connection:
        postgres.configure(connection)
        connection.execute(BEGIN_SNAPSHOT, prepare=False)
        yield PostgresTables(connection, read_object)
