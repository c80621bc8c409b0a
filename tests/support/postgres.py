"""A PostgreSQL server for all tests of a session, and databases in it. Without its programs, the tests are skipped."""

from itertools import count

import postgres_rows
import psycopg
import pytest
from peewee import PostgresqlDatabase

from database.migration_runner import apply

TEMPLATE, SHARED = "headrace_template", "shared"


@pytest.fixture(scope="session")
def postgres_server(authority):
    """Start a server that syncs nothing to the disk: `sql_servers.Postgres`."""
    from sql_servers import POSTGRES, Postgres, serving

    yield from serving(Postgres, "initdb", POSTGRES, authority)


@pytest.fixture(scope="session")
def postgres_template(postgres_server):
    """Return the name of a migrated database, to be copied. The migrations run once in a session."""
    create(postgres_server, TEMPLATE)
    db = WithDriver(postgres_server.url(database=TEMPLATE))
    apply(db)
    db.close()  # A database with connections cannot be copied.
    return TEMPLATE


@pytest.fixture
def fresh_url(postgres_server, postgres_template):
    """`fresh_url()` returns the URL of a new database with the schema, `fresh_url(empty=True)` of an empty one.

    The databases are deleted at the end of the test.
    """
    made = []

    def make(empty=False):
        made.append(f"fresh_{next(NUMBERS)}")
        create(postgres_server, made[-1], "template0" if empty else postgres_template)
        return postgres_server.url(database=made[-1])

    yield make
    for name in made:
        postgres_server.admin(f"DROP DATABASE {name} WITH (FORCE)", database="postgres")


@pytest.fixture(scope="session")
def shared_database(postgres_server, postgres_template):
    """A connection of the administrator to the database of `shared_url`, and the rows that it had at first."""
    create(postgres_server, SHARED, postgres_template)
    with postgres_server.connect(SHARED, psycopg.RawCursor) as connection:
        yield connection, postgres_rows.read_rows(connection)
    postgres_server.admin(f"DROP DATABASE {SHARED} WITH (FORCE)", database="postgres")


@pytest.fixture
def shared_url(postgres_server, shared_database):
    """The URL of a database with the schema, which one test after the other uses: to make one takes much longer.

    A test may change rows, but not the schema.
    """
    yield postgres_server.url(database=SHARED)
    connection, rows = shared_database
    with connection.transaction():
        postgres_rows.replace_rows(connection, rows)


NUMBERS = count(1)


def create(server, name, template="template0"):
    """Create a database as a copy of another one. Copying files is quicker than logging each page."""
    server.admin(f"CREATE DATABASE {name} OWNER app TEMPLATE {template} STRATEGY file_copy", database="postgres")


class WithDriver(PostgresqlDatabase):
    """Peewee's database for a URL. Its driver is loaded here, because Peewee is imported without it.

    The types are those of the schema, so that Peewee's fields in a migration give the same columns as its SQL.
    """

    field_types = {
        **PostgresqlDatabase.field_types,
        **{"AUTO": "BIGSERIAL", "BOOL": "SMALLINT", "FLOAT": "DOUBLE PRECISION", "INT": "BIGINT"},
        "TEXT": 'TEXT COLLATE "C"',
    }

    def init(self, database, **options):
        super().init(database, **options)
        self._adapter = self.psycopg3_adapter()

    def _connect(self):
        return psycopg.connect(self.database, autocommit=True)
