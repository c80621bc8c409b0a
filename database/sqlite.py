"""SQLite as the database: one file. How it is opened, written to and kept small.

Writers queue on a lock file beside the database, because SQLite's own busy handler sleeps and starves; readers never
wait.
"""

from __future__ import annotations

from . import peewee_import  # noqa: F401  (Peewee without drivers of other databases)

# isort: split
import logging
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from peewee import DatabaseError, ExceptionWrapper, IntegrityError, OperationalError, SqliteDatabase

from . import shared
from .shared import ALL, SETTINGS, Changes, Execute, LeaseClock, Space, boot_id, monotonic_ms

log = logging.getLogger("headrace.database")

BESIDE = ("-wal", "-shm", "-journal")  # suffixes of the files that belong to a database
BUSY_MS = 5000
CHECKPOINT_COMMITS = 64  # after which a checkpoint is due, some 5 MB of the write-ahead log under load
FALLBACK_PAGES = 8_000  # of the log, 32 MB, at which a commit makes a checkpoint itself, if no thread does
PAGES_AT_ONCE = 32
# All processes are on one machine, and a change of its time must not end them.
LEASE_CLOCK = LeaseClock(boot_id, "?", monotonic_ms)

# `sqlite3` looks for two methods of each value that is neither a number nor text, and a run's row is half NULL. With an
# adapter it does not: `{}.get` returns None for None.
sqlite3.register_adapter(type(None), {}.get)  # type: ignore[arg-type]
sqlite3.register_adapter(bool, int)

db = SqliteDatabase(None)
# Raises errors of sqlite3 as those of Peewee, as `execute_sql` does.
_peewee_errors = ExceptionWrapper(
    {error.__name__: error for error in (DatabaseError, IntegrityError, OperationalError)}
)


_changes = Changes(os.devnull)
_notify_due: Callable[[], object] | None = None  # called after a commit of this process if a checkpoint is due


def connect(path: Path, durability: str) -> None:
    """Use this database file. Each thread opens a connection at its first query and keeps it.

    `durability` "full" syncs every commit to the disk; with "normal", a power cut may lose the last commits.
    """
    global _changes
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    pragmas = {
        "journal_mode": "wal",
        "synchronous": durability,
        "foreign_keys": 1,
        "busy_timeout": BUSY_MS,
        "cache_size": -2000,
        "temp_store": "memory",
        "wal_autocheckpoint": FALLBACK_PAGES,
    }
    db.init(str(path), pragmas=pragmas)
    shared.use(shared.WriteLock(f"{path}.lock"))
    _changes = Changes(f"{path}.lock")


def disconnect_thread() -> None:
    """Close this thread's connection; for a thread that ends."""
    if not db.is_closed():
        db.close()


def disconnect() -> None:
    """Close this thread's connection and the lock file. Call before a fork, so that no child inherits them."""
    disconnect_thread()
    shared.lock.close()


def commits() -> int:
    """Return a number that every commit of any process changes; it is odd during a write."""
    return _changes.count(ALL)


def settings_commits() -> int:
    """Return the same number for commits that may change more than runs: flows, credentials, members, tokens."""
    return _changes.count(SETTINGS)


@contextmanager
def write() -> Iterator[None]:
    """Open a write transaction, exclusive among all writers. It may be nested; the outermost one commits."""
    with shared.lock:
        if db.in_transaction():
            with db.atomic():
                yield
            return
        changes = _begin_commit(ALL, SETTINGS)
        try:
            with _transaction():
                yield
        finally:
            _end_commit(changes, ALL, SETTINGS)


@contextmanager
def write_runs() -> Iterator[Execute]:
    """Open a write transaction of the recorder, which changes only runs and their parts, and nothing in a `QueryCache`.

    Yield the function that executes its statements. It is never nested, and does not use Peewee's transactions, which
    take twice the time that SQLite needs for one.
    """
    with shared.lock, _peewee_errors:
        changes = _begin_commit(ALL)
        try:
            cursor = db.cursor()
            cursor.execute("BEGIN IMMEDIATE")
            try:
                yield lambda sql, params: cursor.execute(sql, params).rowcount
                cursor.execute("COMMIT")
            except BaseException as error:
                if cursor.connection.in_transaction:  # On a full disk, SQLite has rolled back already.
                    with suppress(sqlite3.OperationalError):
                        cursor.execute("ROLLBACK")
                _forget_if_read_only(error)
                raise
        finally:
            _end_commit(changes, ALL)


def _forget_if_read_only(error: BaseException) -> None:
    """Close the connection if its file was read-only when it was opened: the next connection may write."""
    if isinstance(error, OperationalError | sqlite3.OperationalError) and "readonly" in str(error):
        disconnect_thread()


@contextmanager
def write_leases() -> Iterator[None]:
    """Open a write transaction for leases. It changes no counter: no response or `QueryCache` depends on leases."""
    with shared.lock, _transaction():
        yield


def _begin_commit(*which: int) -> Changes:
    """Begin to count a commit. Return the counters for `_end_commit`: `connect` may change the database meanwhile."""
    try:
        _changes.begin(*which)
    except OSError as error:
        raise OperationalError(f"The change counters of the database cannot be written: {error.strerror}") from error
    return _changes


def _end_commit(changes: Changes, *which: int) -> None:
    changes.end(*which)
    if _notify_due is not None and changes.commits_since_checkpoint() >= CHECKPOINT_COMMITS:
        _notify_due()


@contextmanager
def _transaction() -> Iterator[None]:
    cause: BaseException | None = None
    try:
        with db.atomic("IMMEDIATE"):
            try:
                yield
            except BaseException as error:
                cause = error
                raise
    except OperationalError as error:
        first = cause or _find_original_error(error)
        _forget_if_read_only(first)
        raise first from None


def _find_original_error(error: OperationalError) -> BaseException:
    """Return the original error. On a full disk SQLite has already rolled back, so "cannot rollback" hides it."""
    rollback = error.__context__
    commit = None if rollback is None else rollback.__context__
    return commit if isinstance(commit, OperationalError) and "cannot rollback" in str(error) else error


def execute(sql: str, params: tuple[Any, ...] = ()) -> Any:
    """Execute one statement and return the cursor."""
    return db.execute_sql(sql, params)


def _fetch_value(sql: str) -> Any:
    return execute(sql).fetchone()[0]


@contextmanager
def statements() -> Iterator[Execute]:
    """Yield a function that executes one statement and returns its row count. It costs half of `execute` for each."""
    cursor = db.cursor()
    with _peewee_errors:
        yield lambda sql, params: cursor.execute(sql, params).rowcount


@contextmanager
def migrating() -> Iterator[None]:
    """Hold the write lock while the database is migrated. A new file is prepared first."""
    with shared.lock:
        path = Path(db.database)
        if not path.exists() or not path.stat().st_size:
            # Settings that only an empty file accepts. In each connection they would be a write outside of the lock.
            disconnect_thread()
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            with closing(sqlite3.connect(path)) as new:
                new.execute("PRAGMA auto_vacuum = incremental")
                new.execute("PRAGMA journal_mode = wal")
        yield


def protect_rotation() -> None:
    """Make this thread's next commits sync to the disk, and overwrite the values that they delete."""
    execute("PRAGMA synchronous = FULL")
    execute("PRAGMA secure_delete = ON")


def space() -> Space:
    """Return the size of the database, without the pages of the write-ahead log. Takes microseconds."""
    size, pages, free = (_fetch_value(f"PRAGMA {name}") for name in ("page_size", "page_count", "freelist_count"))
    return Space(pages * size, free * size)


def can_shrink() -> bool:
    """Return True if the file can give space back. A file without that setting has to be rewritten for it."""
    return bool(_fetch_value("PRAGMA auto_vacuum") == 2)


def shrink(to_free: int, has_time: Callable[[], bool]) -> bool:
    """Release free space until `to_free` bytes are left, while there is time. Return True if that is done.

    The file itself shrinks with the next checkpoint: see `empty_log`.
    """
    with write():
        while (before := space().free) > to_free:
            # The pragma frees one page for each row that is read.
            execute(f"PRAGMA incremental_vacuum({PAGES_AT_ONCE})").fetchall()
            if space().free >= before:
                return True
            if not has_time():
                return False
    return True


def is_checkpoint_due() -> bool:
    """Return True if there were CHECKPOINT_COMMITS commits since the last checkpoint of any process."""
    return _changes.commits_since_checkpoint() >= CHECKPOINT_COMMITS


def on_checkpoint_due(notify: Callable[[], object]) -> None:
    """Call `notify` after each commit of this process while a checkpoint is due. It must return at once."""
    global _notify_due
    _notify_due = notify


def checkpoint() -> int:
    """Copy pages that no reader needs from the write-ahead log into the database file, and sync it. No thread waits.

    Return the number of pages of the log, -1 while another process makes a checkpoint. If the whole log is in the file
    then, the next write begins a new log.
    """
    _changes.note_checkpoint()
    _, pages, _ = execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    return int(pages)


def restart_log() -> bool:
    """Make the next write begin a new write-ahead log. Return False if a reader uses the log.

    Writers wait meanwhile: most of the log should be in the file already.
    """
    return _checkpoint_alone("RESTART")


def empty_log() -> bool:
    """Copy the write-ahead log into the file and truncate it. Return False if a reader uses the log."""
    # Most of the work and the sync block no writer this way; the short rest does.
    checkpoint()
    return _checkpoint_alone("TRUNCATE")


def _checkpoint_alone(mode: str) -> bool:
    with shared.lock:
        execute("PRAGMA busy_timeout = 0")
        try:
            return not _fetch_value(f"PRAGMA wal_checkpoint({mode})")
        finally:
            execute(f"PRAGMA busy_timeout = {BUSY_MS}")
