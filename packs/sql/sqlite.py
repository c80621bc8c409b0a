"""SQLite files of the workspace. A statement cannot reach anything else of this machine."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from errors import NodeError
from nodes.fields import text_of
from packs.sql.statement import MAX_BYTES, SqlWork, collect, size_error, timeout_error

SUFFIXES = (".db", ".sqlite", ".sqlite3")
MAX_PATTERN = 500  # characters of a LIKE pattern: matching is a single step, however long it takes
# Steps of SQLite's virtual machine between two checks. One step can create 32 MB, so there must not be many.
STEPS = 500
CHECK_SECONDS = 0.005  # between two checks of the disk
IO = Path("/proc/thread-self/io")
TRANSIENT = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_INTERRUPT", "SQLITE_NOMEM")
# Permitted pragmas: they inspect tables, and do not change how the file is written.
PRAGMAS = {
    *("table_info", "table_xinfo", "table_list", "index_list", "index_info", "index_xinfo", "foreign_key_list"),
    *("foreign_key_check", "integrity_check", "quick_check", "user_version", "application_id", "encoding"),
    *("page_count", "page_size", "freelist_count", "compile_options", "data_version"),
}
TABLE_MODULES = {"fts4", "fts5", "rtree", "geopoly"}
FORBIDDEN = {
    sqlite3.SQLITE_ATTACH: "ATTACH",
    sqlite3.SQLITE_DETACH: "DETACH",
    sqlite3.SQLITE_TRANSACTION: "BEGIN, COMMIT and ROLLBACK (each execution is a transaction of its own)",
    sqlite3.SQLITE_SAVEPOINT: "SAVEPOINT",
}
# Permitted actions of a read-only statement, in addition to opening the file for reading; except writes that an R-tree
# index prepares for its own tables, but does not execute.
READS = {
    *(sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE),
    *(sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_PRAGMA),
}
SHADOWS = ("_node", "_rowid", "_parent")


def check_name(path: str) -> None:
    """Raise NodeError unless the path has the extension of a database."""
    if not path.lower().endswith(SUFFIXES):
        raise NodeError(f"{path!r}: the name of a SQLite file must end with {' or '.join(SUFFIXES)}", permanent=True)


def execute(path: Path, work: SqlWork, max_bytes: int) -> dict[str, Any]:
    """Execute the work on the file, which is created if necessary and may have at most `max_bytes`."""
    rejected: list[str] = []
    with _open(path, work, max_bytes) as connection:
        try:
            disk = Disk(4 * max_bytes + MAX_BYTES)
            connection.set_progress_handler(lambda: disk.is_over(work.end), STEPS)
            connection.execute("BEGIN")
            connection.set_authorizer(_authorizer(rejected, work.read_only))
            answer = _run_statement(connection, work)
            connection.set_authorizer(None)
            connection.execute("COMMIT")
            return answer
        except (sqlite3.Error, sqlite3.Warning) as error:
            if disk.is_used_up():
                raise NodeError("SQLite: the statement needs too much temporary disk space", permanent=True) from None
            raise to_node_error(error, rejected, work) from None
        except (OverflowError, UnicodeEncodeError) as error:
            raise NodeError(f"SQLite: a value cannot be stored: {error}", permanent=True) from None


class Disk:
    """Limit on the bytes that this thread may write, because SQLite does not limit its temporary files for sorting.

    No limit if the system does not report the bytes written.
    """

    def __init__(self, most: int) -> None:
        self.most = _count_written() + most
        self.next_check = 0.0

    def is_over(self, end: float) -> bool:
        """Return True if the time or the bytes are used up. Checks the bytes only now and then, as it takes time."""
        now = time.monotonic()
        if now < self.next_check:
            return now > end
        self.next_check = now + CHECK_SECONDS
        return now > end or self.is_used_up()

    def is_used_up(self) -> bool:
        """Return True if the bytes are used up."""
        return _count_written() > self.most


def _count_written() -> int:
    """Return the bytes that this thread has written so far, to any file."""
    try:
        with IO.open("rb", buffering=0) as file:
            return int(file.read(200).split(b"wchar: ")[1].split()[0])
    except (OSError, IndexError, ValueError):
        return 0


@contextmanager
def _open(path: Path, work: SqlWork, max_bytes: int) -> Iterator[sqlite3.Connection]:
    try:
        if work.read_only and Path(f"{path}-journal").exists():
            # Roll back the journal of a crash, which a read-only connection cannot do, and would always fail on.
            with closing(_connect(path, "rw", work)) as connection:
                connection.execute("PRAGMA schema_version")
        connection = _connect(path, "ro" if work.read_only else "rwc", work)
    except sqlite3.Error as error:
        raise to_node_error(error, [], work) from None
    try:
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_BYTES)
        connection.setlimit(sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, MAX_PATTERN)
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA foreign_keys = ON")
        (size,) = connection.execute("PRAGMA page_size").fetchone()
        connection.execute(f"PRAGMA max_page_count = {max(1, max_bytes // size)}")
        if work.read_only:
            connection.execute("PRAGMA query_only = ON")
        yield connection
    except sqlite3.Error as error:
        raise to_node_error(error, [], work) from None
    finally:
        connection.close()


def _connect(path: Path, mode: str, work: SqlWork) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.as_uri()}?mode={mode}", timeout=work.left(), isolation_level=None, uri=True)


def _authorizer(rejected: list[str], read_only: bool) -> Callable[..., int]:
    """Return SQLite's authorizer, called for each action of a statement; adds rejected actions to `rejected`."""

    def allowed(action: int, first: str | None, second: str | None, *rest: Any) -> int:
        what = _find_forbidden(action, (first or "").lower(), (second or "").lower())
        if what is None and read_only and action not in READS and not (first or "").lower().endswith(SHADOWS):
            what = "a change (read_only is set)"
        if what is None:
            return sqlite3.SQLITE_OK
        rejected.append(what)
        return sqlite3.SQLITE_DENY

    return allowed


def _find_forbidden(action: int, first: str, second: str) -> str | None:
    """Return the name of a forbidden action, or None."""
    if action in FORBIDDEN:
        return FORBIDDEN[action]
    if action == sqlite3.SQLITE_PRAGMA and first not in PRAGMAS:
        return f"PRAGMA {first}"
    if action == sqlite3.SQLITE_FUNCTION and second in ("load_extension", "fts3_tokenizer"):
        return second
    if action == sqlite3.SQLITE_CREATE_VTABLE and second not in TABLE_MODULES:
        return f"a virtual table of {second}"
    return None


def _run_statement(connection: sqlite3.Connection, work: SqlWork) -> dict[str, Any]:
    prepared = work.prepare("sqlite")
    sets = [[_bind(value) for value in values] for values in work.values(prepared)]
    if work.many:
        return collect(connection.executemany(prepared.text, sets), work)
    cursor = connection.execute(prepared.text, *sets)
    return collect(cursor, work, _measure(cursor))


def _measure(rows: sqlite3.Cursor) -> Iterator[tuple[Any, ...]]:
    """Yield the rows. Raises: NodeError if they are too large in total."""
    room = MAX_BYTES
    for row in rows:
        room -= sum(len(value) if isinstance(value, str | bytes) else 8 for value in row)
        if room < 0:
            raise size_error()
        yield row


def _bind(value: Any) -> Any:
    if isinstance(value, date):
        return value.isoformat()
    return text_of(value) if isinstance(value, list | dict) else value


def to_node_error(error: Exception, rejected: list[str], work: SqlWork) -> NodeError:
    """Convert an error of SQLite."""
    if rejected:
        return NodeError(f"SQLite: {rejected[0]} is not permitted", permanent=True, kind="refused")
    name = getattr(error, "sqlite_errorname", None) or ""
    if name.startswith("SQLITE_INTERRUPT") or time.monotonic() > work.end:
        return timeout_error()
    if "Incorrect number of bindings" in str(error):
        return NodeError("SQLite: the statement has placeholders without values in params", permanent=True)
    text = re.sub(r"^You can only execute one statement at a time\.$", "only one statement is permitted", str(error))
    permanent = not name.startswith(TRANSIENT)
    return NodeError(f"SQLite: {text}", permanent, kind="refused" if permanent else "remote")
