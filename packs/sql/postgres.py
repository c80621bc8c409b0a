"""PostgreSQL, by psycopg. The server binds the values itself (`$1`); they are never part of a statement.

psycopg waits for the server in Python, so that the time and the size of a response can be checked whenever data
arrives.
"""

from __future__ import annotations

import atexit
import functools
import json
import math
import os
import socket
import struct
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from errors import ErrorKind, LimitExceeded, NodeError
from net.egress import describe_lookup_error
from nodes.base import Services
from nodes.fields import text_of
from packs.sql.statement import MAX_BYTES, DatabaseAddress, SqlWork, collect, size_error

# Transient errors by SQLSTATE, classes and codes. All others are errors in the statement or the database.
TRANSIENT_CLASSES = ("08", "40", "53", "58")
TRANSIENT = {"55P03", "55006", "57014", "57P01", "57P02", "57P03", "57P05"}
# A server explains a rejected connection only in words; these reasons are permanent.
REFUSED = ("authentication failed", "does not exist", "pg_hba.conf", "certificate", "does not support SSL", "sslmode")
HINTS = {"42P18": "add a cast, such as ?::text", "25001": "each execution is already a transaction"}
# Prevents libpq from using passwords and certificates of this machine's users.
NO_FILE = "/dev/null/none"
# Of a connection that lasts: it must notice within a minute that the server is gone.
LASTING = {"connect_timeout": 15, "keepalives_idle": 20, "keepalives_interval": 10, "keepalives_count": 3}
BYTES_RECEIVED = struct.Struct("@128xQ")  # in Linux's tcp_info


def execute(place: DatabaseAddress, work: SqlWork, services: Services) -> dict[str, Any]:
    """Execute the work on a new connection, in a transaction."""
    import psycopg

    try:
        with _connect(place, work, services) as connection:
            mode = "READ ONLY" if work.read_only else "READ WRITE"
            # In one message, and without connection options, which a pooler may not support.
            connection.execute(f"BEGIN {mode}; SET LOCAL statement_timeout = {math.ceil(work.left() * 1000)}")
            prepared = work.prepare("postgresql")
            sets = [[_bind(value) for value in values] for values in work.values(prepared)]
            cursor = connection.cursor()
            # A pipeline makes the server accept only one statement, even without values.
            with connection.pipeline():
                if work.many:
                    cursor.executemany(prepared.text, sets)
                else:
                    cursor.execute(prepared.text, *sets)
            answer = collect(cursor, work)
            # Roll back a read-only transaction: there is nothing to commit, and its notices would be sent.
            connection.execute("ROLLBACK" if work.read_only else "COMMIT")
            return answer
    except psycopg.Error as error:
        raise to_node_error(error) from None
    except (UnicodeError, OverflowError, ValueError) as error:
        raise NodeError(f"PostgreSQL: a value cannot be sent: {error}", permanent=True) from None


class Notifications:
    """The notifications of the channels that a connection listens to."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def get(self, seconds: float, most: int) -> list[tuple[str, str]]:
        """Return the channels and payloads of those that have arrived, or that arrive first within this time.

        Raises: NodeError if the connection is lost.
        """
        with _converted_errors():
            found = list(self.connection.notifies(timeout=seconds, stop_after=1))
            while found and len(found) < most and (more := list(self.connection.notifies(timeout=0, stop_after=1))):
                found += more
        return [(one.channel, one.payload) for one in found]


@contextmanager
def _converted_errors() -> Iterator[None]:
    import psycopg

    try:
        yield
    except psycopg.Error as error:
        raise to_node_error(error) from None


@contextmanager
def listening(place: DatabaseAddress, channels: Sequence[str], services: Services) -> Iterator[Notifications]:
    """Listen to the channels on a connection of its own. Raises: NodeError if that is not possible."""
    import psycopg
    from psycopg import sql
    from psycopg.conninfo import make_conninfo

    def open_connection(settings: str) -> Any:
        return psycopg.connect(make_conninfo(settings, **LASTING), autocommit=True)

    with _converted_errors():
        connection = _open_first(place, services, open_connection)
    with closing(connection):
        with _converted_errors():
            for channel in channels:
                connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
        yield Notifications(connection)


def _open_first(place: DatabaseAddress, services: Services, open_connection: Callable[[str], Any]) -> Any:
    """Return a connection to the first permitted address of the host that answers."""
    import psycopg

    port = place.port or 5432
    try:
        addresses = services.egress.addresses(place.host, port)
    except (OSError, UnicodeError, OverflowError) as error:
        raise NodeError(describe_lookup_error(place.host, error)) from None
    for last, address in ((address == addresses[-1], address) for address in addresses):
        try:
            return open_connection(_settings(place, port, address, services.ca_file))
        except psycopg.OperationalError as error:
            if last or to_node_error(error).permanent:
                raise
    raise NodeError(f"{place.host} has no address")


@contextmanager
def _connect(place: DatabaseAddress, work: SqlWork, services: Services) -> Iterator[Any]:
    """Connect with the work's deadline."""
    import psycopg

    connection = _open_first(place, services, lambda settings: _session_class().open(settings, work))
    try:
        yield connection
    except psycopg.Error:
        if connection.ended is not None:
            raise connection.ended from None
        raise
    finally:
        connection.close()


def _settings(place: DatabaseAddress, port: int, address: str, ca_file: Path | None) -> str:
    from psycopg.conninfo import make_conninfo

    mode = place.options.get("sslmode", "prefer")
    return make_conninfo(
        host=place.host,
        hostaddr=address,
        port=port,
        dbname=place.database,
        user=place.user,
        password=place.password,
        sslmode=mode,
        # With a CA file, libpq would verify certificates for `require`, too.
        sslrootcert=get_authorities(ca_file) if mode.startswith("verify") else NO_FILE,
        sslcertmode="disable",
        passfile=NO_FILE,
        gssencmode="disable",
        client_encoding="UTF8",
        application_name=place.options.get("application_name", "headrace"),
        options=place.options.get("options", ""),
    )


@functools.cache
def get_authorities(ca_file: Path | None) -> str:
    """Return a file with the certificates of all trusted CAs, because libpq accepts only one file."""
    import certifi

    if ca_file is None:
        return certifi.where()
    with NamedTemporaryFile(prefix="headrace-get_authorities-", suffix=".pem", delete=False) as file:
        atexit.register(Path(file.name).unlink, missing_ok=True)
        file.write(Path(certifi.where()).read_bytes() + b"\n" + ca_file.read_bytes())
    return file.name


@functools.cache
def _session_class() -> Any:
    """Return the connection class; made at first use, because it loads psycopg."""
    import psycopg
    from psycopg import generators, waiting
    from psycopg.types import datetime as times
    from psycopg.types.json import set_json_loads
    from psycopg.types.string import TextLoader

    class PostgresSession(psycopg.Connection[Any]):
        """A connection with the work's deadline, and a limit on the size of a response."""

        work: SqlWork
        ended: NodeError | None = None
        measured: socket.socket

        @classmethod
        def open(cls, settings: str, work: SqlWork) -> PostgresSession:
            connecting = watch(generators.connect(settings), work.left)
            session = cls(waiting.wait_conn(connecting, interval=0.1))
            session.work, session.measured = work, socket.socket(fileno=os.dup(session.fileno()))
            session.cursor_factory = psycopg.RawCursor
            session.autocommit = True
            # Without loss: values that Python cannot represent, such as an infinite date, become text.
            set_json_loads(_read_json, session)
            for name in ("interval", "int4range", "int8range", "numrange", "daterange", "tsrange", "tstzrange"):
                session.adapters.register_loader(name, TextLoader)
            for name in ("Date", "Time", "Timetz", "Timestamp", "Timestamptz"):
                loader = _fall_back_to_text(getattr(times, f"{name}Loader"))
                session.adapters.register_loader(name.lower(), loader)
            return session

        def close(self) -> None:
            super().close()
            self.measured.close()

        def wait(self, gen: Any, *args: Any, **options: Any) -> Any:
            before = count_received(self.measured)
            return super().wait(watch(gen, lambda: self.check(before)), *args, **options)

        def check(self, before: int) -> None:
            try:
                self.work.left()
                if count_received(self.measured) - before > MAX_BYTES:
                    raise size_error()
            except NodeError as error:
                # psycopg may fail because of the unfinished work before it raises this.
                self.ended = error
                raise

    return PostgresSession


def watch(steps: Generator[Any, Any, Any], check: Callable[[], Any]) -> Generator[Any, Any, Any]:
    """Yield the same steps, calling `check` before each one; an exception from it ends them."""
    ready = None
    try:
        while True:
            try:
                wanted = steps.send(ready)
            except StopIteration as end:
                return end.value
            ready = yield wanted
            check()
    finally:
        steps.close()


def count_received(sock: socket.socket) -> int:
    """Return the number of bytes received; 0 if the system does not report it."""
    if not hasattr(socket, "TCP_INFO"):
        return 0
    found: tuple[int] = BYTES_RECEIVED.unpack(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, BYTES_RECEIVED.size))
    return found[0]


@functools.cache
def _fall_back_to_text(kind: Any) -> Any:
    import psycopg

    class OrText(kind):
        def load(self, data: Any) -> Any:
            try:
                return super().load(data)
            except psycopg.DataError:
                return bytes(data).decode()

    return OrText


def _read_json(data: str | bytes) -> Any:
    try:
        return json.loads(data)
    except RecursionError:
        raise LimitExceeded("a value is nested too deeply") from None


def _bind(value: Any) -> Any:
    """Convert a value for the driver. A list of scalars is an array; other lists and objects are JSON."""
    nested = isinstance(value, dict) or (isinstance(value, list) and any(isinstance(one, list | dict) for one in value))
    return text_of(value) if nested else value


def to_node_error(error: Any) -> NodeError:
    """Convert an error of psycopg."""
    import psycopg

    code = error.sqlstate
    if code is None:
        text = " ".join(str(error).split())
        if "COPY" in text:
            return NodeError("PostgreSQL: COPY is not supported", permanent=True)
        lost = isinstance(error, psycopg.OperationalError) and not any(reason in text for reason in REFUSED)
        return NodeError(f"PostgreSQL: {text}", not lost, kind="remote" if lost else "refused")
    about = error.diag
    parts = (about.message_primary or str(error), about.message_detail, about.message_hint, HINTS.get(code))
    text = "; ".join(" ".join(part.split()) for part in parts if part)
    text = text.replace("cannot insert multiple commands into a prepared statement", "only one statement is permitted")
    permanent = not (code[:2] in TRANSIENT_CLASSES or code in TRANSIENT)
    kind: ErrorKind = "credential" if code.startswith("28") else "refused" if permanent else "remote"
    return NodeError(f"PostgreSQL: {text} ({code})", permanent, kind="timeout" if code == "57014" else kind)
