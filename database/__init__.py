"""The one SQLite file: how it is opened, written to, migrated and kept small. Only this package knows SQLite.

Writers queue on a lock file beside the database, because SQLite's own busy handler sleeps and starves; readers never
wait.
"""

from __future__ import annotations

from constants import VERSION

from . import peewee_import

# isort: split
import logging
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from peewee import DatabaseError, ExceptionWrapper, IntegrityError, OperationalError, SqliteDatabase

from errors import ConfigError

from . import write_lock
from .changes import ALL, SETTINGS, Changes
from .write_lock import LockTimeout as LockTimeout
from .write_lock import is_write_blocked as is_write_blocked
from .write_lock import lock_wait as lock_wait

log = logging.getLogger("headrace.database")
DatabaseRefused = OperationalError  # for modules that may not import Peewee

MIGRATIONS = Path(__file__).parents[1] / "migrations"
HISTORY = "schema_migration"
SET_FACT = (
    "INSERT INTO server_facts (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)
MAX_NAMED = 5
BESIDE = ("-wal", "-shm", "-journal")  # suffixes of the files that belong to a database
BUSY_MS = 5000
CHECKPOINT_COMMITS = 64  # after which a checkpoint is due, some 5 MB of the write-ahead log under load
FALLBACK_PAGES = 8_000  # of the log, 32 MB, at which a commit makes a checkpoint itself, if no thread does
PAGES_AT_ONCE = 32

db = SqliteDatabase(None)
# Raises errors of sqlite3 as those of Peewee, as `execute_sql` does.
_peewee_errors = ExceptionWrapper(
    {error.__name__: error for error in (DatabaseError, IntegrityError, OperationalError)}
)


_changes = Changes(os.devnull)
_notify_due: Callable[[], object] | None = None  # called after a commit of this process if a checkpoint is due


def connect(path: Path, durability: str = "full") -> None:
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
    write_lock.use(f"{path}.lock")
    _changes = Changes(f"{path}.lock")


def disconnect_thread() -> None:
    """Close this thread's connection; for a thread that ends."""
    if not db.is_closed():
        db.close()


def closing_connection(work: Callable[[], object]) -> Callable[[], None]:
    """Return `work`, closing its thread's connection afterwards: for a thread that ends, or is seldom used."""

    def run() -> None:
        try:
            work()
        finally:
            disconnect_thread()

    return run


def disconnect() -> None:
    """Close this thread's connection and the lock file. Call before a fork, so that no child inherits them."""
    disconnect_thread()
    write_lock.lock.close()


def commits() -> int:
    """Return a number that every commit of any process changes; it is odd during a write."""
    return _changes.count(ALL)


def settings_commits() -> int:
    """Return the same number for commits that may change more than runs: flows, credentials, members, tokens."""
    return _changes.count(SETTINGS)


@contextmanager
def write() -> Iterator[None]:
    """Open a write transaction, exclusive among all writers. It may be nested; the outermost one commits."""
    with write_lock.lock:
        if db.in_transaction():
            with db.atomic():
                yield
            return
        with _count_commit(ALL, SETTINGS), _transaction():
            yield


@contextmanager
def write_runs() -> Iterator[None]:
    """Open a write transaction of the recorder, which changes only runs and their parts, and nothing in a `QueryCache`.

    It is never nested, and does not use Peewee's transactions, which take twice the time that SQLite needs for one.
    """
    with write_lock.lock, _count_commit(ALL):
        cursor = db.cursor()
        with _peewee_errors:
            cursor.execute("BEGIN IMMEDIATE")
        try:
            yield
            with _peewee_errors:
                cursor.execute("COMMIT")
        except BaseException as error:
            if cursor.connection.in_transaction:  # On a full disk, SQLite has rolled back already.
                with suppress(sqlite3.OperationalError):
                    cursor.execute("ROLLBACK")
            _forget_if_read_only(error)
            raise


def _forget_if_read_only(error: BaseException) -> None:
    """Close the connection if its file was read-only when it was opened: the next connection may write."""
    if isinstance(error, OperationalError) and "readonly" in str(error):
        disconnect_thread()


@contextmanager
def write_leases() -> Iterator[None]:
    """Open a write transaction for leases. It changes no counter: no response or `QueryCache` depends on leases."""
    with write_lock.lock, _transaction():
        yield


@contextmanager
def _count_commit(*which: int) -> Iterator[None]:
    changes = _changes  # `connect` may change the database meanwhile
    try:
        changes.begin(*which)
    except OSError as error:
        raise OperationalError(f"The change counters of the database cannot be written: {error.strerror}") from error
    try:
        yield
    finally:
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


def fetch_value(sql: str, params: tuple[Any, ...] = ()) -> Any:
    """Execute one query. Return the first column of its first row, or None if it has no row."""
    row = execute(sql, params).fetchone()
    return None if row is None else row[0]


@contextmanager
def statements() -> Iterator[Callable[[str, tuple[Any, ...]], int]]:
    """Give a function that executes one statement and returns its row count. It costs half of `execute` for each."""
    cursor = db.cursor()
    with _peewee_errors:
        yield lambda sql, params: cursor.execute(sql, params).rowcount


def execute_all(writes: Iterable[tuple[str, tuple[Any, ...]]]) -> list[int]:
    """Execute the statements in order and return their row counts."""
    with statements() as execute_one:
        return [execute_one(sql, params) for sql, params in writes]


def migrate() -> list[str]:
    """Apply the migrations that this database lacks, once even if several processes start together. Return their names.

    Raises: ConfigError if a newer version has changed the database; nothing is written then.
    """
    with peewee_import.hidden():
        from playhouse.migrations import Runner

    with write_lock.lock:
        _prepare_a_new_file(Path(db.database))
        refuse_newer()
        # Its log line for each migration is noise at the first start; one line for all follows.
        logging.getLogger("peewee.migrations").setLevel(logging.WARNING)
        runner = Runner(db, directory=str(MIGRATIONS))
        is_new = not runner.applied()
        applied = list(runner.up())
        if written_by() != VERSION:
            with write():
                execute(SET_FACT, ("version", VERSION))
    for name in applied:
        log.debug("migration %s applied", name)
    if applied:
        log.info("database made" if is_new else f"database brought up to date: {len(applied)} steps")
    return applied


def migrations() -> set[str]:
    """Return the names of the migrations that this version knows."""
    return {file.stem for file in MIGRATIONS.glob("[0-9]*.py")}


def refuse_newer() -> None:
    """Check that this version knows every migration of the database.

    Raises: ConfigError if it does not, with the version that wrote the database.
    """
    if not db.table_exists(HISTORY):
        return
    unknown = {name for (name,) in execute(f"SELECT name FROM {HISTORY}").fetchall()} - migrations()
    if not unknown:
        return
    wrote = written_by()
    newer = "a newer version of Headrace" if wrote is None else f"Headrace {wrote}"
    raise ConfigError(
        f"The database {db.database} was written by {newer} and this is {VERSION}, which does not know its migrations "
        f"{', '.join(sorted(unknown)[:MAX_NAMED])}. Use {newer}, or restore a backup that {VERSION} or an older "
        "version made"
    )


def written_by() -> str | None:
    """Return the version that opened the database last; None if that is not recorded."""
    if not db.table_exists("server_facts"):
        return None
    found: str | None = fetch_value("SELECT value FROM server_facts WHERE name = 'version'")
    return found


def _prepare_a_new_file(path: Path) -> None:
    """Apply settings that only an empty file accepts. In each connection they would be a write outside of the lock."""
    if path.exists() and path.stat().st_size:
        return
    disconnect_thread()
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    new = sqlite3.connect(path)
    try:
        new.execute("PRAGMA auto_vacuum = incremental")
        new.execute("PRAGMA journal_mode = wal")
    finally:
        new.close()


def restrict_access(path: Path) -> None:
    """Remove the rights of other users from the database's files; SQLite copies the rights to new files."""
    for file in (path, *(Path(f"{path}{suffix}") for suffix in ("-wal", "-shm", ".lock"))):
        try:
            if not file.stat().st_mode & 0o077:
                continue
            file.chmod(0o600)
            log.warning("%s was accessible to other users, and no longer is", file)
        except FileNotFoundError:
            continue
        except OSError as error:
            log.warning("%s is accessible to other users, and its rights cannot be changed: %s", file, error.strerror)


class Space(NamedTuple):
    """The size of the database on the disk in bytes: in all, and the part that is free for new rows."""

    total: int
    free: int

    @property
    def used(self) -> int:
        return self.total - self.free


def space() -> Space:
    """Return the size of the database, without the pages of the write-ahead log. Takes microseconds."""
    size, pages, free = (fetch_value(f"PRAGMA {name}") for name in ("page_size", "page_count", "freelist_count"))
    return Space(pages * size, free * size)


def can_shrink() -> bool:
    """Return True if the file can give space back. A file without that setting has to be rewritten for it."""
    return bool(fetch_value("PRAGMA auto_vacuum") == 2)


def shrink(to_free: int, has_time: Callable[[], bool]) -> bool:
    """Give free space back until `to_free` bytes are left, while there is time. Return True if that is done.

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
    """Have each commit of this process call `notify` while a checkpoint is due. It must return at once."""
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
    """Have the next write begin a new write-ahead log. Return False if a reader uses the log.

    Writers wait meanwhile: most of the log should be in the file already.
    """
    return _checkpoint_alone("RESTART")


def empty_log() -> bool:
    """Copy the write-ahead log into the file and truncate it. Return False if a reader uses the log."""
    # Most of the work and the sync block no writer this way; the short rest does.
    checkpoint()
    return _checkpoint_alone("TRUNCATE")


def _checkpoint_alone(mode: str) -> bool:
    with write_lock.lock:
        execute("PRAGMA busy_timeout = 0")
        try:
            return not fetch_value(f"PRAGMA wal_checkpoint({mode})")
        finally:
            execute(f"PRAGMA busy_timeout = {BUSY_MS}")
