"""The one SQLite file: how it is opened, written to, migrated and kept small. Only this package knows SQLite.

Writers queue on a lock file beside the database, because SQLite's own busy handler sleeps and starves; readers never
wait.
"""

from __future__ import annotations

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
from version import VERSION

from . import write_lock
from .changes import ALL, SETTINGS, Changes
from .write_lock import HeldUp as HeldUp
from .write_lock import is_held_up as is_held_up
from .write_lock import patience as patience

log = logging.getLogger("headrace.database")
DatabaseRefused = OperationalError  # for whoever may not import Peewee

MIGRATIONS = Path(__file__).parents[1] / "migrations"
HISTORY = "schema_migration"
MOST_NAMED = 5
BESIDE = ("-wal", "-shm", "-journal")  # how the names of the files end that belong to a database
BUSY_MS = 5000
CHECKPOINT_COMMITS = 64  # after which a checkpoint is due, some 5 MB of the write-ahead log under load
FALLBACK_PAGES = 8_000  # of the log, 32 MB, at which a commit makes a checkpoint itself, as nobody else does
PAGES_AT_ONCE = 32

db = SqliteDatabase(None)
# sqlite3's errors as Peewee's, as its own `execute_sql` gives them.
_translated = ExceptionWrapper({error.__name__: error for error in (DatabaseError, IntegrityError, OperationalError)})


_changes = Changes(os.devnull)
_tell_due: Callable[[], object] | None = None  # called after a commit of this process if a checkpoint is due


def connect(path: Path, durability: str = "full") -> None:
    """Point `db` at the file; connections are opened by each thread at its first query and kept.

    `durability` full syncs every commit to the disk; normal leaves the last instants before a power cut to chance.
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
    """Close this thread's connection, for a thread that ends."""
    if not db.is_closed():
        db.close()


def disconnect() -> None:
    """Close this thread's connection and the lock file; before a fork, so that no child inherits either."""
    disconnect_thread()
    write_lock.lock.close()


def commits() -> int:
    """A number that every commit changes, in whichever process; odd while somebody writes."""
    return _changes.count(ALL)


def settings_commits() -> int:
    """The same, of commits that may change more than runs: flows, credentials, members, tokens."""
    return _changes.count(SETTINGS)


@contextmanager
def write() -> Iterator[None]:
    """A write transaction: alone among all writers, all or nothing. May be nested; the outermost commits."""
    with write_lock.lock:
        if db.in_transaction():
            with db.atomic():
                yield
            return
        with _counted(ALL, SETTINGS), _transaction():
            yield


@contextmanager
def write_runs() -> Iterator[None]:
    """`write` for the recorder: it changes runs and what belongs to them, and nothing that a `Memory` holds.

    It is never nested, and does without Peewee's transactions: they take twice the time that SQLite needs for one.
    """
    with write_lock.lock, _counted(ALL):
        cursor = db.cursor()
        with _translated:
            cursor.execute("BEGIN IMMEDIATE")
        try:
            yield
            with _translated:
                cursor.execute("COMMIT")
        except BaseException as error:
            _roll_back(cursor)
            _forget_if_read_only(error)
            raise


def _roll_back(cursor: sqlite3.Cursor) -> None:
    """End the transaction without effect. A full disk has done so already."""
    if cursor.connection.in_transaction:
        with suppress(sqlite3.OperationalError):
            cursor.execute("ROLLBACK")


def _forget_if_read_only(error: BaseException) -> None:
    """Close the connection if its file could not be written when it was opened: the next one need not stay so."""
    if isinstance(error, OperationalError) and "readonly" in str(error):
        disconnect_thread()


@contextmanager
def write_leases() -> Iterator[None]:
    """`write` for leases, which no answer shows and no `Memory` holds: no counter grows, since each process renews its
    own every few seconds.
    """
    with write_lock.lock, _transaction():
        yield


@contextmanager
def _counted(*which: int) -> Iterator[None]:
    changes = _changes  # `connect` may name another database meanwhile
    try:
        changes.begin(*which)
    except OSError as error:
        raise OperationalError(f"what changes cannot be counted: {error.strerror}") from error
    try:
        yield
    finally:
        changes.end(*which)
        if _tell_due is not None and changes.commits_since_checkpoint() >= CHECKPOINT_COMMITS:
            _tell_due()


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
        first = cause or _before_the_rollback(error)
        _forget_if_read_only(first)
        raise first from None


def _before_the_rollback(error: OperationalError) -> BaseException:
    """What a transaction failed of. A full disk ends it by itself, and that nothing is left to roll back is no news."""
    rollback = error.__context__
    commit = None if rollback is None else rollback.__context__
    return commit if isinstance(commit, OperationalError) and "cannot rollback" in str(error) else error


def execute(sql: str, params: tuple[Any, ...] = ()) -> Any:
    """Run one statement; the cursor."""
    return db.execute_sql(sql, params)


def execute_all(statements: Iterable[tuple[str, tuple[Any, ...]]]) -> list[int]:
    """Run the statements one after the other; the row count of each. For many at once: it costs half of `execute`."""
    cursor = db.cursor()
    with _translated:
        return [cursor.execute(sql, params).rowcount for sql, params in statements]


def migrate() -> list[str]:
    """Apply the migrations that this database lacks, once however many processes start together; their names.

    Raises: ConfigError if a newer version has changed the database; nothing is written then.
    """
    with peewee_import.hidden():
        from playhouse.migrations import Runner

    with write_lock.lock:
        _prepare_a_new_file(Path(db.database))
        refuse_newer()
        # Its line for each migration is noise at the first start; one for all follows.
        logging.getLogger("peewee.migrations").setLevel(logging.WARNING)
        runner = Runner(db, directory=str(MIGRATIONS))
        is_new = not runner.applied()
        applied = list(runner.up())
        _note_version()
    for name in applied:
        log.debug("migration %s applied", name)
    if applied:
        log.info("database made" if is_new else f"database brought up to date: {len(applied)} steps")
    return applied


def migrations() -> set[str]:
    """The names of the migrations that this version knows."""
    return {file.stem for file in MIGRATIONS.glob("[0-9]*.py")}


def refuse_newer() -> None:
    """Do nothing if this version knows every migration of the database.

    Raises: ConfigError if it does not, which names the version that wrote the database.
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
        f"{', '.join(sorted(unknown)[:MOST_NAMED])}. Use {newer}, or restore a backup that {VERSION} or an older "
        "version made"
    )


def written_by() -> str | None:
    """The version that has opened the database last; None if none has said so."""
    if not db.table_exists("server_facts"):
        return None
    row = execute("SELECT value FROM server_facts WHERE name = 'version'").fetchone()
    return None if row is None else str(row[0])


def _note_version() -> None:
    if written_by() != VERSION:
        with write():
            execute("INSERT OR REPLACE INTO server_facts (name, value) VALUES ('version', ?)", (VERSION,))


def _prepare_a_new_file(path: Path) -> None:
    """What only an empty file can be told. In every connection it would be a write, outside of the lock, each time."""
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


def close_to_others(path: Path) -> None:
    """Take the rights of other users from the database's files; SQLite gives new ones those of the database."""
    for file in (path, *(Path(f"{path}{suffix}") for suffix in ("-wal", "-shm", ".lock"))):
        try:
            if not file.stat().st_mode & 0o077:
                continue
            file.chmod(0o600)
            log.warning("%s could be opened by other users; now it cannot", file)
        except FileNotFoundError:
            continue
        except OSError as error:
            log.warning("%s can be opened by other users, and that cannot be changed: %s", file, error.strerror)


class Space(NamedTuple):
    """What the database takes on the disk, in bytes: all of it, and the part that is free for new rows."""

    total: int
    free: int

    @property
    def used(self) -> int:
        return self.total - self.free


def space() -> Space:
    """How large the database is, without what still lies in the write-ahead log twice. Takes microseconds."""
    size, pages, free = (
        int(execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_size", "page_count", "freelist_count")
    )
    return Space(pages * size, free * size)


def can_shrink() -> bool:
    """Whether the file can give space back. One that was not told so when it was empty has to be rewritten for it."""
    return bool(execute("PRAGMA auto_vacuum").fetchone()[0] == 2)


def shrink(to_free: int, has_time: Callable[[], bool]) -> bool:
    """Give free space back until `to_free` bytes are left, while there is time; whether that is done.

    The file itself is cut off when the write-ahead log has gone into it: see `empty_log`.
    """
    with write():
        while (before := space().free) > to_free:
            # The pragma does a page a row that is read.
            execute(f"PRAGMA incremental_vacuum({PAGES_AT_ONCE})").fetchall()
            if space().free >= before:
                return True
            if not has_time():
                return False
    return True


class Log(NamedTuple):
    """The write-ahead log after a checkpoint: how many pages it has, and how many of them are in the file by now.

    Both are -1 if somebody else makes a checkpoint just now.
    """

    pages: int
    done: int


def is_checkpoint_due() -> bool:
    """Return True if there were CHECKPOINT_COMMITS commits since the last checkpoint of any process."""
    return _changes.commits_since_checkpoint() >= CHECKPOINT_COMMITS


def when_checkpoint_is_due(tell: Callable[[], object]) -> None:
    """Have commits of this process call `tell` as long as a checkpoint is due. It must return at once."""
    global _tell_due
    _tell_due = tell


def checkpoint() -> Log:
    """Bring what readers do not need any more from the write-ahead log into the file, and sync that. Nobody waits.

    If all of the log is in the file then, the next write begins it anew.
    """
    _changes.note_checkpoint()
    _, pages, done = execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    return Log(pages, done)


def restart_log() -> bool:
    """Have the next write begin the write-ahead log anew. Return False if somebody reads from it just now.

    Writers wait meanwhile: most of the log should be in the file already.
    """
    return _checkpoint_alone("RESTART")


def empty_log() -> bool:
    """Bring the write-ahead log into the file and cut it to nothing; False where somebody reads from it just then."""
    # Most of the work, and the sync, disturbs nobody like this; what is left is quickly done while writers wait.
    checkpoint()
    return _checkpoint_alone("TRUNCATE")


def _checkpoint_alone(mode: str) -> bool:
    with write_lock.lock:
        execute("PRAGMA busy_timeout = 0")
        try:
            busy, _, _ = execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
        finally:
            execute(f"PRAGMA busy_timeout = {BUSY_MS}")
    return not busy
