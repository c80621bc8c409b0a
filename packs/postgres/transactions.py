"""Transactions on a whole PostgreSQL database: `open_new` fills an empty database, completely or not at all;
`open_snapshot` reads all tables in one consistent state.

Import this module at its first use: it loads the driver.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from itertools import chain, groupby
from typing import Any

import psycopg
from peewee import PeeweeException
from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import InsufficientPrivilege

from database import HISTORY, full_text
from database.migration_runner import apply
from database.queries import partitions
from database.queries.large_values import PART_BYTES
from errors import BadInput, Conflict, HeadraceError
from packs.moving.rows import (
    LEFT_OUT,
    MAX_NAMED,
    VALUE_ROWS,
    ReadObject,
    Row,
    TableLayout,
    WrittenValue,
    make_layout,
    quote_names,
    select_rows,
)
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

WORDS = "words"  # PostgreSQL's index of the texts of memories, in a column that is computed here
INDEXED_TEXTS = ("key", "content", "tags")
ROWS_OF_SERVER = 200  # rows of PostgreSQL in memory; some have values of 64 KB
VALUES_OF_SERVER = 8  # large values in memory
VALUE_COLUMNS = "run_id, name, claims, part, data"
log = logging.getLogger("headrace.database")


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


# The tables of a database and its large values

COLUMNS = """
    SELECT c.relname, a.attname, format_type(a.atttypid, NULL), array_position(CAST(i.indkey AS int2[]), a.attnum)
    FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname = current_schema()
    LEFT JOIN pg_index AS i ON i.indrelid = c.oid AND i.indisprimary
    WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
    ORDER BY c.relname, a.attnum
"""
# Objects of users, without those of extensions.
OBJECTS = """
    SELECT n.nspname || '.' || c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND n.nspname <> 'information_schema'
    AND n.nspname NOT LIKE 'pg|_%' ESCAPE '|'
    AND NOT EXISTS (SELECT 1 FROM pg_depend AS d WHERE d.objid = c.oid AND d.deptype = 'e') ORDER BY c.relkind <> 'r', 1
"""


class PostgresTables:
    """The tables of a PostgreSQL database, read and written in the transaction of this connection (psycopg)."""

    has_nul = False

    def __init__(self, connection: Any, read_object: ReadObject | None = None) -> None:
        """`read_object` reads large values in a store of objects."""
        self._connection, self._read_object = connection, read_object

    def objects(self) -> list[str]:
        """Return the names of all tables, views and sequences: none in a new database."""
        return [name for (name,) in self._connection.execute(OBJECTS)]

    def tables(self) -> dict[str, TableLayout]:
        """Return the tables by name."""
        found: dict[str, list[tuple[str, str, int | None]]] = {}
        for table, *column in self._connection.execute(COLUMNS):
            if table not in LEFT_OUT and column[1] != "tsvector":
                found.setdefault(table, []).append(tuple(column))
        return {name: make_layout(name, columns) for name, columns in found.items()}

    def read(self, table: TableLayout) -> Iterator[Row]:
        """Yield the rows in the order of the key, which the server sorts by bytes."""
        with self._connection.cursor(name="rows") as cursor:
            cursor.itersize = ROWS_OF_SERVER
            cursor.execute(select_rows(table), binary=True)
            yield from cursor

    def write(self, table: TableLayout, rows: Iterable[Row]) -> None:
        """Copy the rows into the table, with the words of memories, and continue its sequence after them."""
        names: tuple[str, ...] = table.columns
        if table.name == "runs":
            # Add partitions for the days of these runs, the oldest of which comes first.
            each = iter(rows)
            first = next(each, None)
            rows = () if first is None else chain((first,), each)
            if first is not None:
                partitions.split_old(first[table.columns.index("id")], self._connection.execute)
        if table.name == "agent_memories":
            texts = [table.columns.index(name) for name in INDEXED_TEXTS]
            names = (*names, WORDS)
            rows = ((*row, full_text.POSTGRES.vector([row[at] for at in texts])) for row in rows)
        with self._connection.cursor() as cursor:
            with cursor.copy(f'COPY "{table.name}" ({quote_names(names)}) FROM STDIN') as copy:
                for row in rows:
                    copy.write_row(row)
            if len(table.key) == 1 and table.kinds[table.columns.index(table.key[0])] == "integer":
                (key,) = table.key
                cursor.execute(
                    f"SELECT setval(pg_get_serial_sequence('{table.name}', '{key}'), "
                    f'COALESCE(MAX("{key}"), 0) + 1, false) FROM "{table.name}"'
                )

    def values(self) -> Iterator[WrittenValue]:
        """Yield the large values."""
        return read_rows(self._connection, self._read_object)

    def write_values(self, values: Iterable[WrittenValue]) -> None:
        """Write large values into rows."""
        write_rows(self._connection, values)


def read_rows(connection: Any, read_object: ReadObject | None = None) -> Iterator[WrittenValue]:
    """Yield the values in the rows of PostgreSQL (psycopg), in the order of their runs. Missing objects are left out.

    Raises: Conflict if a value is an object, and there is nothing to read it.
    """
    with connection.cursor(name="value_rows") as cursor:
        cursor.itersize = VALUES_OF_SERVER
        cursor.execute(
            f"SELECT {VALUE_COLUMNS}, object FROM {VALUE_ROWS} ORDER BY run_id, name, claims, part", binary=True
        )
        for (run_id, name, claims), rows in groupby(cursor, lambda row: row[:3]):
            parts = list(rows)
            if (object_name := parts[0][-1]) is None:
                yield WrittenValue(run_id, name, claims, b"".join(bytes(data) for *_, data, _ in parts))
                continue
            if read_object is None:
                raise Conflict("There are large values in a store of objects: set HEADRACE_VALUES_URL to its address")
            try:
                yield WrittenValue(run_id, name, claims, read_object(object_name))
            except FileNotFoundError as error:
                log.warning("The value %s of %s is left out: %s", name, run_id, error)


def write_rows(connection: Any, values: Iterable[WrittenValue]) -> None:
    """Write values into rows of PostgreSQL, in parts."""
    with connection.cursor() as cursor, cursor.copy(f"COPY {VALUE_ROWS} ({VALUE_COLUMNS}) FROM STDIN") as copy:
        for run_id, name, claims, data in values:
            for part, start in enumerate(range(0, len(data), PART_BYTES)):
                copy.write_row((run_id, name, claims, part, data[start : start + PART_BYTES]))


# A new database, or one consistent state of the connected one


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
