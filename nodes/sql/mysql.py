"""SQL for MySQL and MariaDB, by PyMySQL, which writes the values into the statement, escaped, as their protocol has it.

That is safe as long as both sides agree on what a string is: the connection is new and in UTF-8, and its mode is known.
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

from errors import NodeError
from net.egress_guard import dial, guarded
from nodes.base import Services
from nodes.fields import text_of
from nodes.sql.rows import MOST_BYTES, Place, Work, collect, late, too_large

# Errors that pass by themselves: too many connections, locks, a server that goes, a connection that is lost or late.
PASSING = {1040, 1042, 1053, 1158, 1159, 1160, 1161, 1203, 1205, 1213, 1226, 1317, 1927, 1969, 3024}
PASSING |= {2002, 2003, 2006, 2013, 2055}
# What PyMySQL does over an answer that is none of MySQL's.
SLIPS = (AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError, struct.error)


def execute(place: Place, work: Work, services: Services) -> dict[str, Any]:
    """Do the work on a connection of its own, in a transaction, in the time zone UTC."""
    import pymysql

    try:
        with guarded(services.egress, work.left()), _connected(place, work, services) as connection:
            for statement in _beginning(connection, work):
                connection.query(statement)
            answer = _answer(connection, work)
            if not work.read_only:
                connection.commit()
            return answer
    except pymysql.MySQLError as error:
        raise failure(error, work) from None
    except SLIPS as error:
        if time.monotonic() >= work.end:
            raise late() from None
        raise NodeError(f"MySQL: {str(error) or 'the server does not answer as MySQL does'}", permanent=True) from None


@contextmanager
def _connected(place: Place, work: Work, services: Services) -> Iterator[Any]:
    port = place.port or 3306
    connection = _session()(
        host=place.host,
        port=port,
        user=place.user,
        password=place.password.encode(),
        database=place.database,
        charset="utf8mb4",
        program_name="headrace",
        client_flag=_found_rows(),
        conv=_conversions(),
        defer_connect=True,
        **_tls(place.options.get("sslmode", "prefer"), services),
    )
    try:
        connection.connect(dial(services.egress, place.host, port, work.left()))
        yield connection
    finally:
        connection.drop()


def _found_rows() -> int:
    """Have an UPDATE count the rows that it found, as other databases do, not those that became different."""
    from pymysql.constants import CLIENT

    return CLIENT.FOUND_ROWS


@functools.cache
def _session() -> Any:
    """The class of our connections; made at first use, for PyMySQL is loaded then."""
    import pymysql

    class Session(pymysql.Connection):
        """A connection over which an answer has a greatest size."""

        room = MOST_BYTES

        def _read_bytes(self, num_bytes: int) -> bytes:
            self.room -= num_bytes
            if self.room < 0:
                raise too_large()
            return super()._read_bytes(num_bytes)

        def _create_ssl_ctx(self, sslp: Any) -> ssl.SSLContext:
            return sslp if isinstance(sslp, ssl.SSLContext) else _encrypting()

        def drop(self) -> None:
            """End it without a word: what is still on its way is nobody's."""
            if self._result is not None:
                self._result.unbuffered_active = False
            self._force_close()

    return Session


@functools.cache
def _encrypting() -> ssl.SSLContext:
    """Encryption with whoever answers, as `require` and `prefer` have it for databases."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _tls(mode: str, services: Services) -> dict[str, Any]:
    if mode in ("disable", "prefer"):
        return {"ssl_disabled": mode == "disable"}
    if mode == "require":
        return {"ssl": _encrypting()}
    context = services.tls(f"mysql {mode}")
    context.check_hostname = mode == "verify-full"
    return {"ssl": context}


def _conversions() -> dict[Any, Any]:
    """How values are read: JSON as what it says, bits as a number, TIME, which may be more than a day, as text."""
    from pymysql.constants import FIELD_TYPE
    from pymysql.converters import conversions

    read = {FIELD_TYPE.JSON: json.loads, FIELD_TYPE.BIT: lambda raw: int.from_bytes(raw, "big")}
    return {key: value for key, value in conversions.items() if key != FIELD_TYPE.TIME} | read


def _beginning(connection: Any, work: Work) -> Iterator[str]:
    """The statements before the one that counts. MySQL has a time limit for SELECT alone, MariaDB for all."""
    left = work.left()
    milliseconds, seconds = math.ceil(left * 1000), max(1, math.ceil(left))
    maria = "mariadb" in str(connection.server_version).lower()
    limit = f"max_statement_time = {left:.3f}" if maria else f"max_execution_time = {milliseconds}"
    yield f"SET SESSION time_zone = '+00:00', innodb_lock_wait_timeout = {seconds}, {limit}"
    if work.read_only:
        # For the session: a change of tables would end a transaction that is only read-only itself, and go through.
        yield "SET SESSION TRANSACTION READ ONLY"
    yield "START TRANSACTION"


def _answer(connection: Any, work: Work) -> dict[str, Any]:
    from pymysql.constants.SERVER_STATUS import SERVER_STATUS_NO_BACKSLASH_ESCAPES
    from pymysql.cursors import Cursor, SSCursor

    plain = connection.server_status & SERVER_STATUS_NO_BACKSLASH_ESCAPES
    prepared = work.prepared("mysql-plain" if plain else "mysql")
    sets = [[_bound(value) for value in values] for values in work.values(prepared)]
    if work.many:
        return {"row_count": Cursor(connection).executemany(prepared.text, sets) or 0}
    cursor = SSCursor(connection)
    cursor.execute(prepared.text, *sets)
    if cursor.description is None:
        return {"row_count": max(cursor.rowcount, 0)}
    return collect([column[0] for column in cursor.description], cursor, work)


def _bound(value: Any) -> Any:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC)
    return text_of(value) if isinstance(value, list | dict) else value


def failure(error: Exception, work: Work) -> NodeError:
    """The error of a run for PyMySQL's, whose arguments are a number and a text."""
    code, text = (*error.args, "", "")[:2]
    if time.monotonic() >= work.end:
        return late()
    passing = code in PASSING and "CERTIFICATE_VERIFY_FAILED" not in str(text)
    return NodeError(f"MySQL: {' '.join(str(text or code).split())} ({code})", permanent=not passing)
