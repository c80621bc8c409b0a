"""All rows of a PostgreSQL database: read as a whole, and put back."""

from contextlib import contextmanager

import psycopg

# Their rows stay: they belong to the schema and to caches, which would not see that a number became smaller.
LASTING = ("schema_migration", "server_counters")
LARGE = 200_000  # bytes of a table
FILLED = """
SELECT relname, pg_relation_size(oid) FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
AND relname <> ALL($1) AND pg_relation_size(oid) > 0
"""


@contextmanager
def connected(url):
    """Give a connection of its own to a PostgreSQL database."""
    with psycopg.connect(url, autocommit=True, cursor_factory=psycopg.RawCursor) as connection:
        yield connection


def read_rows(connection):
    """Return the rows of a PostgreSQL database as bytes by table."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        return {table: _copy_out(connection, table) for table, _ in _filled(connection)}


def replace_rows(connection, rows, staying=()):
    """Replace the rows of a PostgreSQL database, except in the tables `staying`. Call inside a transaction."""
    # No trigger runs meanwhile: the snapshot has what triggers write, too.
    connection.execute("SET LOCAL session_replication_role = replica")
    for table, size in _filled(connection):
        if table not in staying:
            # TRUNCATE makes new files, so that deleting the few rows of a test is quicker.
            connection.execute(f"TRUNCATE {table}" if size > LARGE else f"DELETE FROM {table}")
    for table, data in rows.items():
        if table not in staying:
            with connection.cursor().copy(f"COPY {table} FROM STDIN (FORMAT binary)") as copy:
                copy.write(data)
    connection.execute("SET LOCAL session_replication_role = DEFAULT")


def _copy_out(connection, table):
    with connection.cursor().copy(f"COPY {table} TO STDOUT (FORMAT binary)") as copy:
        return b"".join(bytes(part) for part in copy)


def _filled(connection):
    """Return the tables that have, or had, rows, with their size in bytes."""
    return connection.execute(FILLED, (list(LASTING),)).fetchall()
