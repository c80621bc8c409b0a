"""MySQL and MariaDB, by PyMySQL, which escapes the values into the statement, as the protocol requires.

That is safe as long as both sides parse strings alike: the connection is new and in UTF-8, and its SQL mode is known.
"""

from __future__ import annotations

import functools
import json
import math
import ssl
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from errors import ErrorKind, NodeError
from net.library_sockets import dial, guard_connections
from nodes.base import Services
from nodes.fields import text_of
from packs.sql.statement import MAX_BYTES, DatabaseAddress, SqlWork, collect, size_error, timeout_error

# Transient errors: too many connections, locks, a server shutting down, a lost or timed out connection.
TRANSIENT = {1040, 1042, 1053, 1158, 1159, 1160, 1161, 1203, 1205, 1213, 1226, 1317, 1927, 1969, 3024}
TRANSIENT |= {2002, 2003, 2006, 2013, 2055}
# Errors of PyMySQL on a response that is not MySQL's.
PROTOCOL_ERRORS = (AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError, struct.error)


def execute(place: DatabaseAddress, work: SqlWork, services: Services) -> dict[str, Any]:
    """Execute the work on a new connection, in a transaction, in the time zone UTC."""
    import pymysql

    try:
        with guard_connections(services.egress, work.left()), _connect(place, work, services) as connection:
            for statement in _setup_statements(connection, work):
                connection.query(statement)
            answer = _run_statement(connection, work)
            if not work.read_only:
                connection.commit()
            return answer
    except pymysql.MySQLError as error:
        raise to_node_error(error, work) from None
    except PROTOCOL_ERRORS as error:
        if time.monotonic() >= work.end:
            raise timeout_error() from None
        raise NodeError(f"MySQL: {str(error) or 'the server does not speak the MySQL protocol'}", True) from None


@contextmanager
def _connect(place: DatabaseAddress, work: SqlWork, services: Services) -> Iterator[Any]:
    from pymysql.constants import CLIENT, FIELD_TYPE
    from pymysql.converters import conversions

    port = place.port or 3306
    # JSON is parsed, bits are a number, TIME, which may exceed a day, is text.
    read = {FIELD_TYPE.JSON: json.loads, FIELD_TYPE.BIT: lambda raw: int.from_bytes(raw, "big")}
    connection = _session_class()(
        host=place.host,
        port=port,
        user=place.user,
        password=place.password.encode(),
        database=place.database,
        charset="utf8mb4",
        program_name="headrace",
        client_flag=CLIENT.FOUND_ROWS,  # count the rows that an UPDATE found, as other databases do, not those changed
        conv={key: value for key, value in conversions.items() if key != FIELD_TYPE.TIME} | read,
        defer_connect=True,
        **_tls(place.options.get("sslmode", "prefer"), services),
    )
    try:
        connection.connect(dial(services.egress, place.host, port, work.left()))
        yield connection
    finally:
        connection.drop()


@functools.cache
def _session_class() -> Any:
    """Return the connection class; made at first use, because it loads PyMySQL."""
    import pymysql

    class MysqlSession(pymysql.Connection):
        """A connection with a limit on the size of a response."""

        room = MAX_BYTES

        def _read_bytes(self, num_bytes: int) -> bytes:
            self.room -= num_bytes
            if self.room < 0:
                raise size_error()
            return super()._read_bytes(num_bytes)

        def _create_ssl_ctx(self, sslp: Any) -> ssl.SSLContext:
            return sslp if isinstance(sslp, ssl.SSLContext) else _unverified_context()

        def drop(self) -> None:
            """Close without a goodbye, discarding pending data."""
            if self._result is not None:
                self._result.unbuffered_active = False
            self._force_close()

    return MysqlSession


@functools.cache
def _unverified_context() -> ssl.SSLContext:
    """Return a context without verification, the meaning of `require` and `prefer` for databases."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _tls(mode: str, services: Services) -> dict[str, Any]:
    if mode in ("disable", "prefer"):
        return {"ssl_disabled": mode == "disable"}
    if mode == "require":
        return {"ssl": _unverified_context()}
    context = services.tls(f"mysql {mode}")
    context.check_hostname = mode == "verify-full"
    return {"ssl": context}


def _setup_statements(connection: Any, work: SqlWork) -> Iterator[str]:
    """Yield the setup statements. The time limit of MySQL covers only SELECT, that of MariaDB all statements."""
    left = work.left()
    milliseconds, seconds = math.ceil(left * 1000), max(1, math.ceil(left))
    maria = "mariadb" in str(connection.server_version).lower()
    limit = f"max_statement_time = {left:.3f}" if maria else f"max_execution_time = {milliseconds}"
    yield f"SET SESSION time_zone = '+00:00', innodb_lock_wait_timeout = {seconds}, {limit}"
    if work.read_only:
        # For the session: a DDL statement would implicitly end a read-only transaction, and succeed.
        yield "SET SESSION TRANSACTION READ ONLY"
    yield "START TRANSACTION"


def _run_statement(connection: Any, work: SqlWork) -> dict[str, Any]:
    from pymysql.constants.SERVER_STATUS import SERVER_STATUS_NO_BACKSLASH_ESCAPES
    from pymysql.cursors import Cursor, SSCursor

    plain = connection.server_status & SERVER_STATUS_NO_BACKSLASH_ESCAPES
    prepared = work.prepare("mysql-plain" if plain else "mysql")
    sets = [[_bind(value) for value in values] for values in work.values(prepared)]
    if work.many:
        return {"row_count": Cursor(connection).executemany(prepared.text, sets) or 0}
    cursor = SSCursor(connection)
    cursor.execute(prepared.text, *sets)
    return collect(cursor, work)


def _bind(value: Any) -> Any:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC)
    return text_of(value) if isinstance(value, list | dict) else value


def to_node_error(error: Exception, work: SqlWork) -> NodeError:
    """Convert an error of PyMySQL, whose arguments are a number and a text."""
    code, text = (*error.args, "", "")[:2]
    if time.monotonic() >= work.end:
        return timeout_error()
    is_transient = code in TRANSIENT and "CERTIFICATE_VERIFY_FAILED" not in str(text)
    kind: ErrorKind = "credential" if code in (1044, 1045) else "remote" if is_transient else "refused"
    return NodeError(f"MySQL: {' '.join(str(text or code).split())} ({code})", not is_transient, kind=kind)
