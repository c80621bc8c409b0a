"""PostgreSQL as the database, for servers on several machines.

The SQL of the tables is written once, in the dialect of SQLite; `translate` converts a statement to the dialect of
PostgreSQL, and its result is cached. Writers commit concurrently, with the locks of tables/locks.py.

Connections belong to a pool. A thread has one only during a statement or a transaction, so that many threads share a
few. No transaction relies on the state of a session, so a pooler such as PgBouncer may be used.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from itertools import count
from random import randrange
from types import TracebackType
from typing import Any

import peewee
import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.errors import DeadlockDetected, LockNotAvailable, ReadOnlySqlTransaction
from psycopg.postgres import types as oids
from psycopg.types.numeric import Int8Dumper
from psycopg.types.string import StrDumperUnknown
from psycopg_pool import ConnectionPool

from database import shared
from database.shared import (
    ConnectionLost,
    Deadlock,
    Execute,
    LeaseClock,
    LockTimeout,
    Space,
    ThreadLock,
    TransactionLimit,
    lock_wait,
)
from errors import ConfigError
from packs.postgres.commit_numbers import CommitNumber, CommitNumbers, is_of_lost_connection
from packs.postgres.connection import NotAnswered, PostgresConnection, Primary, limit
from packs.postgres.connection import limit_all_waits as limit_all_waits
from packs.postgres.connection import limit_waits as limit_waits
from packs.postgres.pipeline import Pipeline, RunTransaction, ThreadPipeline

log = logging.getLogger("headrace.database")
peewee_log = logging.getLogger("peewee")  # Peewee's own method logs each statement with it

POOL_SIZE = 8  # connections of a process
WRITES_AT_ONCE = 4  # transactions of `write`; the other connections are for reads, leases and the recorder
POOL_SECONDS = 5.0  # timeout of a thread that waits for a connection
RECONNECT_SECONDS = 2.0  # timeout of a reconnection; the next thread that needs a connection tries again
ATTEMPTS = POOL_SIZE + 1  # after a restart of the server, each connection of the pool fails once
PREPARED = 500  # statements that each connection keeps prepared
POLL_SECONDS = 0.25  # between two queries for changes by other processes
LOCK_SECONDS = 10.0  # maximum wait of a request for each lock
STALE_SECONDS = 2.0  # after the last such query, nothing is cached
MIGRATIONS = 0x48656165  # key of an advisory lock: any number that no other program uses
# After a network failure the server must release the locks of this process, and no thread may wait for ever.
OPTIONS = {
    "application_name": "headrace",
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
BEGIN = (
    "BEGIN; SET LOCAL idle_in_transaction_session_timeout = '30s'; SET LOCAL lock_timeout = {lock_ms}; "
    "SET LOCAL synchronous_commit = {synchronous}"
)
BEGIN_LEASE = "BEGIN; SET LOCAL idle_in_transaction_session_timeout = '30s'"
# clock_timestamp() is the current time; now() would be the time when the transaction began.
LEASE_CLOCK = LeaseClock(
    lambda: "database", "(CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT) + ?)", lambda: 0
)
# Sent with COMMIT, so that its row is locked only for the time of the commit. There are several rows, because a single
# one would make all commits of all processes wait for each other.
NOTE_CHANGE = (
    "INSERT INTO server_counters (name, value) VALUES ('settings {row}', 1) "
    "ON CONFLICT (name) DO UPDATE SET value = server_counters.value + 1; "
)
COUNTERS = 16
CHANGES = "SELECT SUM(value) FROM server_counters WHERE name LIKE 'settings%'"

# The parts of SQLite's dialect that `translate` replaces, and string literals, which stay as they are. `%s` is a
# placeholder in Peewee's own statements.
PARTS = re.compile(
    r"'(?:[^']|'')*'|/\* (FOR [A-Z ]+) \*/|%s|\?\d*|SELECT value FROM json_each\((\?\d*)\)|\bLIKE\b|\bAS INTEGER\)"
)


class PostgresDatabase(peewee.PostgresqlDatabase):
    """The Peewee database, which creates SQL for PostgreSQL. `execute_sql` executes it on connections of the pool."""

    param = "?"
    # The same column types as in the baseline, for migrations that use Peewee's fields.
    field_types = {
        **peewee.PostgresqlDatabase.field_types,
        **{"INT": "BIGINT", "FLOAT": "DOUBLE PRECISION", "BOOL": "SMALLINT", "AUTO": "BIGSERIAL"},
        "TEXT": 'TEXT COLLATE "C"',
    }
    index_value_literals = True
    _isolation_level = None

    _state: Any  # connection and transactions of the thread

    def init(self, database: str | None, *_: Any, **options: Any) -> None:
        peewee.Database.init(self, database, **options)

    def get_binary_type(self) -> type[bytes]:
        return bytes

    def _connect(self) -> PostgresConnection:
        return _pool().getconn()

    def _close(self, connection: PostgresConnection) -> None:
        _pool().putconn(connection)

    def _set_server_version(self, connection: psycopg.Connection) -> None:
        self.server_version = connection.info.server_version

    def is_connection_usable(self) -> bool:
        return not self._state.closed and not self._state.conn.closed

    def execute_sql(self, sql: str, params: Any = None, *_: Any) -> Any:
        peewee_log.debug((sql, params))
        with _errors:
            if not self._state.closed:
                return self._state.conn.execute(translate(sql), _given(params))
            return _execute_alone(translate(sql), _given(params))


db = PostgresDatabase(None)
_recording = ThreadPipeline()
_url = ""
_synchronous = "on"
_shared: ConnectionPool[PostgresConnection] | None = None
_sharing = threading.Lock()
_numbers = CommitNumbers()
_primary = Primary()
_places = TransactionLimit(WRITES_AT_ONCE)
_rollbacks = count()
_counters = count(randrange(COUNTERS))  # each process begins at a random row


class _Errors:
    """Converts errors of psycopg to the corresponding errors of Peewee."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if not isinstance(error, psycopg.Error):
            return
        if isinstance(error, LockNotAvailable):
            raise LockTimeout from error
        if isinstance(error, DeadlockDetected):
            raise Deadlock from error
        if is_of_lost_connection(error):  # also a PoolTimeout: nothing was sent
            raise ConnectionLost(str(error).strip()) from error
        if isinstance(error, ReadOnlySqlTransaction):
            # A pooler has connected to a standby. Later it connects to the new primary.
            raise ConnectionLost(str(error).strip()) from error
        name = next((base.__name__ for base in type(error).__mro__ if base.__module__ == "psycopg"), "DatabaseError")
        raise getattr(peewee, name, peewee.DatabaseError)(str(error).strip()) from error


_errors = _Errors()


# Statements


@lru_cache(4_096)
def translate(sql: str) -> str:
    """Return PostgreSQL's form of a statement: parameters `$1`, and the few texts that differ."""
    number = 0

    def replace(found: re.Match[str]) -> str:
        nonlocal number
        text = found[0]
        if text[0] == "'":
            return text
        if text[0] == "/":
            return found[1]  # the lock of a SELECT: see tables/locks.py
        if text == "LIKE":
            return "ILIKE"
        if text == "AS INTEGER)":
            return "AS BIGINT)"
        mark = found[2] or text
        if mark in ("?", "%s"):
            number += 1
            mark = f"?{number}"
        place = f"${mark[1:]}"
        return place if text[0] in "?%" else f"SELECT value FROM json_array_elements_text({place}::json) AS t(value)"

    return PARTS.sub(replace, sql)


def _given(params: Any) -> Any:
    """Return the parameters for psycopg: None if there are none, since it then accepts several statements at once."""
    return params or None


def _execute_alone(sql: str, params: Any) -> Any:
    """Execute one statement by itself. A query is repeated on another connection if its own is lost."""
    for attempt in range(ATTEMPTS):
        with _pool().connection(limit.seconds) as connection:
            try:
                return connection.execute(sql, params)
            except psycopg.OperationalError as error:
                is_query = sql.startswith(("SELECT", "WITH")) and limit.seconds is None
                is_repeatable = connection.closed and is_query and not isinstance(error, NotAnswered)
                if not is_repeatable or attempt == ATTEMPTS - 1:
                    raise
    return None


@contextmanager
def statements() -> Iterator[Execute]:
    """Yield a function that executes one statement of the open transaction and returns its row count."""
    cursor = db._state.conn.cursor()
    with _errors:
        yield lambda sql, params: int(cursor.execute(translate(sql), params).rowcount)


def execute_together(writes: Iterable[tuple[str, tuple[Any, ...]]], commits: bool = False) -> list[int]:
    """Execute statements of the open transaction in their order, in one round trip. Return their row counts.

    With `commits`, in a transaction of `write_runs`, the transaction is committed too. Then each of the statements must
    change at least one row.
    """
    connection = db._state.conn
    found = [(translate(sql), params) for sql, params in writes]
    with _errors:
        if not isinstance(connection, RunTransaction):
            return Pipeline(connection, max_prepared=0).execute(found)
        return connection.commit(_connect_alone, found) if commits else connection.execute_together(found)


# Connections


def connect(url: str, durability: str) -> None:
    """Use the database at this URL. With `durability` "normal", a crash of its server may lose the last commits."""
    global _url, _synchronous, _primary
    disconnect()
    _url, _synchronous, _primary = url, "off" if durability == "normal" else "on", Primary()
    try:
        parts = conninfo_to_dict(url)
    except psycopg.Error as error:
        raise ConfigError(f"DATABASE_URL is not a valid URL of PostgreSQL: {str(error).strip()}") from None
    # This name is shown in messages, so it has no password.
    hosts, ports = (str(parts.get(part, "")).split(",") for part in ("host", "port"))
    ports = ports * len(hosts) if len(ports) == 1 else ports
    place = ",".join(f"{host}:{port}" if port else host for host, port in zip(hosts, ports, strict=False))
    db.init(f"postgresql://{place}/{parts.get('dbname', '')}")
    shared.use(ThreadLock())  # never locked: writers of PostgreSQL do not exclude each other


def url() -> str:
    """Return the URL given to `connect`, with its password."""
    return _url


def disconnect_thread() -> None:
    """Close the connection of a thread that records runs. Other threads have none of their own."""
    _recording.close()


def disconnect() -> None:
    """Close all connections of this process. Call before a fork, so that no child inherits them."""
    global _shared, _changes
    _recording.close()
    _changes.stop()
    _changes = _Changes()
    _numbers.forget()
    with _sharing:
        pool, _shared = _shared, None
    if pool is not None:
        pool.close(timeout=1)


def _pool() -> ConnectionPool[PostgresConnection]:
    global _shared
    if _shared is None:
        with _sharing:
            if _shared is None:
                options = {"autocommit": True, "cursor_factory": psycopg.RawCursor, **OPTIONS}
                pool = ConnectionPool(
                    _url, kwargs=options, min_size=1, max_size=POOL_SIZE, timeout=POOL_SECONDS, open=False,
                    configure=_prepare, connection_class=PostgresConnection, name="headrace",
                    reconnect_timeout=RECONNECT_SECONDS,
                )  # fmt: skip
                pool.open()
                _shared = pool
    return _shared


class _Text(StrDumperUnknown):
    """Replaces the character NUL in text, which PostgreSQL cannot store."""

    def dump(self, obj: str) -> Any:
        return super().dump(obj.replace("\0", "\ufffd") if "\0" in obj else obj)


class _Flag(Int8Dumper):
    """Stores booleans as numbers, as in SQLite, so that conditions such as `recorded = 0` are valid in both."""

    oid = oids["int2"].oid

    def dump(self, obj: bool) -> bytes:
        return b"1" if obj else b"0"


class _Numeric(psycopg.adapt.Loader):
    """Reads `numeric` as an integer if it is one, such as a sum of integers, and otherwise as a float."""

    def load(self, data: Any) -> int | float:
        text = bytes(data)
        return float(text) if b"." in text or b"N" in text else int(text)


def configure(connection: psycopg.Connection) -> None:
    """Configure a connection to store and read values as SQLite does."""
    adapters = connection.adapters
    # One type for all integers; otherwise a statement would be prepared for each size of its numbers.
    adapters.register_dumper(int, Int8Dumper)
    adapters.register_dumper(bool, _Flag)
    adapters.register_dumper(str, _Text)
    adapters.register_loader("numeric", _Numeric)
    connection.prepared_max = PREPARED


def _prepare(connection: psycopg.Connection) -> None:
    _primary.check(connection)
    configure(connection)


def _connect_alone() -> psycopg.Connection:
    """Return a new connection to the primary, outside the pool."""
    connection = PostgresConnection.connect(_url, autocommit=True, **OPTIONS)  # type: ignore[arg-type]
    try:
        _primary.check(connection)
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def using(connection: psycopg.Connection) -> Iterator[None]:
    """Make `db` use this connection, which has an open transaction, in this thread: see transactions.py."""
    db.init("postgresql://")
    db._state.set_connection(connection)
    db.push_transaction(connection)
    try:
        yield
    finally:
        db.pop_transaction()
        db._state.reset()


# Transactions


@contextmanager
def write() -> Iterator[None]:
    """Open a write transaction. It may be nested; the outermost one commits. Other transactions write concurrently.

    Raises: LockTimeout if WRITES_AT_ONCE other threads of this process, or another transaction that has a lock, take
        longer than this thread may wait.
    """
    if db.in_transaction():
        with db.atomic():
            yield
        return
    with _places.taken(), _transaction(_begin, NOTE_CHANGE.format(row=next(_counters) % COUNTERS)):
        yield
    _changes.note_own()


@contextmanager
def write_runs() -> Iterator[Execute]:
    """Open a write transaction of the recorder, which is never nested. Yield the function that executes its statements.

    It begins with the first statement.
    """
    with _errors:
        if not db.is_closed():
            db.close()  # a migration's
        transaction = RunTransaction(_recording.take(_pool(), ATTEMPTS), _numbers.take(), _synchronous)
        db._state.set_connection(transaction)
        db.push_transaction(transaction)
        try:
            yield lambda sql, params: int(transaction.execute(translate(sql), params).rowcount)
            transaction.commit(_connect_alone)
        except BaseException:
            transaction.roll_back()
            raise
        finally:
            db.pop_transaction()
            db._state.reset()


@contextmanager
def write_leases() -> Iterator[None]:
    """Open a write transaction for leases. It waits for no other transaction, since each of these writes one lease."""
    with _errors, _begun(_begin_lease) as connection, _in_transaction(connection):
        yield


@contextmanager
def _transaction(begin: Callable[[psycopg.Connection], object], note: str = "") -> Iterator[None]:
    with _errors, _begun(begin) as connection, _in_transaction(connection, note, _numbers.take()):
        yield


@contextmanager
def _begun(begin: Callable[[psycopg.Connection], object]) -> Iterator[psycopg.Connection]:
    """Yield a connection on which `begin` has succeeded. Lost connections are replaced."""
    pool = _pool()
    if not db.is_closed():
        db.close()  # a migration's
    for attempt in range(ATTEMPTS):
        connection = pool.getconn()
        try:
            begin(connection)
            break
        except BaseException as error:
            is_lost = connection.closed and isinstance(error, psycopg.OperationalError)
            pool.putconn(connection)
            if not is_lost or isinstance(error, NotAnswered) or attempt == ATTEMPTS - 1:
                raise
    db._state.set_connection(connection)
    try:
        yield connection
    finally:
        db._state.reset()
        pool.putconn(connection)


@contextmanager
def _in_transaction(
    connection: psycopg.Connection, note: str = "", number: CommitNumber | None = None
) -> Iterator[None]:
    """Commit the block, or roll it back after an error. If COMMIT gets no answer, `number` tells if it succeeded."""
    db.push_transaction(connection)
    try:
        yield
        try:
            connection.execute(f"{note}{'' if number is None else number.insertion()}COMMIT", prepare=False)
        except psycopg.OperationalError as error:
            is_asked = number is not None and is_of_lost_connection(error)
            if number is None or not is_asked or not number.has_committed(_connect_alone):
                raise
    except BaseException:
        with suppress(psycopg.Error):  # if the connection is lost, the server rolls back
            # After an error the server skips the rest of a pipeline, but psycopg counts its statements as prepared.
            # A rollback corrects this, but only if psycopg has never seen the text of the rollback: so it is new.
            connection.execute(f"ROLLBACK /* {next(_rollbacks)} */", prepare=False)
        raise
    finally:
        db.pop_transaction()


def _begin_lease(connection: psycopg.Connection) -> None:
    connection.execute(BEGIN_LEASE, prepare=False)


def _begin(connection: psycopg.Connection) -> None:
    """Begin a transaction with the lock timeout of this thread, after which a statement raises LockTimeout."""
    seconds = lock_wait.seconds
    lock_ms = 0 if seconds is None else max(1, round(min(seconds, LOCK_SECONDS) * 1000))  # 0: without a limit
    connection.execute(BEGIN.format(lock_ms=lock_ms, synchronous=_synchronous), prepare=False)


def _connect_first() -> psycopg.Connection:
    try:
        return _connect_alone()
    except psycopg.OperationalError as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"The database {db.database} cannot be reached: {reason}. Check DATABASE_URL") from None


@contextmanager
def migrating() -> Iterator[None]:
    """Lock out migrations by other processes during the block.

    Raises: ConfigError if its server cannot be reached, is too old, or has another encoding than UTF-8.
    """
    with _errors, _connect_first() as guard:
        encoding = guard.info.parameter_status("server_encoding")
        if encoding != "UTF8":
            raise ConfigError(f"{db.database} has the encoding {encoding}; create it with ENCODING 'UTF8'")
        if _synchronous == "on" and guard.execute("SHOW fsync").fetchone() == ("off",):
            log.warning("PostgreSQL runs with fsync off: a crash of its machine may damage the database")
        if guard.info.server_version < 140_000:
            raise ConfigError(f"PostgreSQL 14 or newer is needed, but this is {guard.info.server_version // 10_000}")
        guard.execute(f"BEGIN; SELECT pg_advisory_xact_lock({MIGRATIONS})", prepare=False)
        try:
            yield
        finally:
            if not db.is_closed():
                db.close()
            guard.execute("COMMIT", prepare=False)


# Changes by other processes


class _Changes:
    """The number of commits that changed more than runs: of this process, and of all processes at the last query."""

    def __init__(self) -> None:
        # The count begins at the current time, so that it never repeats a number of an earlier connection: the process
        # may still have cached results of another database, or of an earlier state of this one.
        self._own, self._seen = time.time_ns(), 0
        self._seen_at = -STALE_SECONDS
        self._stops = threading.Event()
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def note_own(self) -> None:
        """Count a commit of this process, so that it sees its own changes at once."""
        with self._starting:
            self._own += 1

    def count(self) -> int:
        """Return an even number that grows with every change, or 0 if the changes of other processes are unknown."""
        if self._thread is None:
            with self._starting:
                if self._thread is None and not self._stops.is_set():
                    self._thread = threading.Thread(target=self._watch, name="changes", daemon=True)
                    self._thread.start()
        is_stale = time.monotonic() - self._seen_at > STALE_SECONDS
        return 0 if is_stale else 2 * (self._own + self._seen)

    def stop(self) -> None:
        """End the thread."""
        self._stops.set()
        if self._thread is not None:
            self._thread.join(POOL_SECONDS)

    def _watch(self) -> None:
        while True:
            at = time.monotonic()
            try:
                row = _execute_alone(CHANGES, None).fetchone()
                self._seen, self._seen_at = row[0], at
            except Exception as error:
                log.debug("changes of other processes cannot be read: %s", error)
            if self._stops.wait(POLL_SECONDS):
                return


_changes = _Changes()


def commits() -> int:
    """Return 0, which switches caching off: commits of other machines are not known at once."""
    return 0


def settings_commits() -> int:
    """Return a number that grows with every commit that may change more than runs, by others within POLL_SECONDS."""
    return _changes.count()


# Space


def space() -> Space:
    """Return the size of the database. PostgreSQL reuses the space of deleted rows by itself (autovacuum)."""
    return Space(int(db.execute_sql("SELECT pg_database_size(current_database())").fetchone()[0]), 0)


def protect_rotation() -> None:
    """Sync the following commits to the disk. Old values stay in dead rows until a vacuum, and in the log."""
    global _synchronous
    _synchronous = "on"


def can_shrink() -> bool:
    """Return True: the file has no format that would have to be rewritten first."""
    return True


def shrink(to_free: int, has_time: Callable[[], bool]) -> bool:
    """Return True: PostgreSQL does this by itself."""
    return True


def empty_log() -> bool:
    """Return True: PostgreSQL does this by itself."""
    return True
