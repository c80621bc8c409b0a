"""The one SQLite file: how it is opened, locked for writing, migrated and copied. All that only SQLite has is here.

Writers queue on a lock file beside the database, because SQLite's own busy handler sleeps and starves; readers never
wait.
"""

from __future__ import annotations

from . import peewee_import

# isort: split
import fcntl
import logging
import os
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from peewee import DatabaseError, ExceptionWrapper, IntegrityError, OperationalError, SqliteDatabase

from errors import ConfigError
from version import VERSION

from .changes import ALL, SETTINGS, Changes

log = logging.getLogger("headrace.database")
DatabaseRefused = OperationalError  # for whoever may not import Peewee

MIGRATIONS = Path(__file__).parents[1] / "migrations"
HISTORY = "schema_migration"
MOST_NAMED = 5
BESIDE = ("-wal", "-shm", "-journal")  # how the names of the files end that belong to a database
MAGIC = b"SQLite format 3\0"
BUSY_MS = 5000
STALL_SECONDS = 2.0  # for which other processes may be waited for as a matter of course
LOOK_SECONDS = 0.25
CHECKPOINT_COMMITS = 64  # after which a checkpoint is due, some 5 MB of the write-ahead log under load
FALLBACK_PAGES = 8_000  # of the log, 32 MB, at which a commit makes a checkpoint itself, as nobody else does
PAGES_AT_ONCE = 32
PAGES_A_STEP = 1000  # of a copy
MOST_WORDS = 100  # of those that all must be there
MOST_TEXT, FIRST_WORDS, ANY_WORDS, BEGINS = 20_000, 200, 16, 4
BETWEEN_WORDS = re.compile(r"[\s\0-/:-@\[-`{-\x7f]+")

db = SqliteDatabase(None)
# sqlite3's errors as Peewee's, as its own `execute_sql` gives them.
_translated = ExceptionWrapper({error.__name__: error for error in (DatabaseError, IntegrityError, OperationalError)})


class HeldUp(OperationalError):
    """Others write for longer than this thread may wait; nothing was done."""

    def __init__(self) -> None:
        super().__init__("nothing can be written at the moment, since another process does not end what it writes")


class _Patience:
    """How long threads that answer requests wait for their turn to write. All others wait for as long as it takes.

    Only so many wait for long, that others are left to answer what writes nothing: see `wait`.
    """

    def __init__(self) -> None:
        self._own = threading.local()
        self._turns = threading.BoundedSemaphore(1)

    def leave(self, most: int) -> None:
        """Let so many threads wait for long."""
        self._turns = threading.BoundedSemaphore(most)

    def limit(self, seconds: float | None) -> None:
        """Let this thread wait no longer than that from now on, whenever it writes; None for as long as it takes."""
        self._own.seconds = seconds

    def wait(self, come: Callable[[float | None], bool]) -> bool:
        """Whether `come(seconds)` is true within the time that this thread may wait; None stands for any time.

        Where enough wait for long, only as long as no other process has held up this one for STALL_SECONDS.
        """
        most, turns = getattr(self._own, "seconds", None), self._turns
        if most is None:
            return come(None)
        if turns.acquire(blocking=False):
            try:
                return come(most)
            finally:
                turns.release()
        ends = time.monotonic() + most
        while (left := ends - time.monotonic()) > 0 and not is_held_up():
            if come(min(left, LOOK_SECONDS)):
                return True
        return come(0.0)


patience = _Patience()


class _Queued:
    """Waits for the other processes, in a thread of its own, so that who wants the lock need not wait any longer."""

    def __init__(self, lock: _WriteLock, fd: int) -> None:
        self.came = threading.Event()
        self._lock = lock
        self._fd = os.dup(fd)  # the same lock, whatever becomes of the other one
        threading.Thread(target=self._wait, name="write-lock", daemon=True).start()

    def _wait(self) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX)
        finally:
            self.came.set()
            self._lock.give_back(self, self._fd)
            os.close(self._fd)


class _WriteLock:
    """Exclusive among the threads of this process (mutex) and among processes (flock); its owner may take it again.

    The file is opened at the first use, in each process anew: a forked descriptor would share its lock.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._mutex = threading.RLock()
        self._depth = 0
        self._fd = -1
        self._queued: _Queued | None = None  # still waits for whoever gave up
        self._since: float | None = None  # when this process began to wait for others, if it does

    def close(self) -> None:
        """Close the file until the next use; not while somebody writes, or is to, whose lock it is then."""
        if self._mutex.acquire(blocking=False):
            if self._fd >= 0 and not self._depth and self._queued is None:
                os.close(self._fd)
                self._fd = -1
            self._mutex.release()

    def held_up_for(self) -> float:
        """For how many seconds this process has been waiting for others; 0 where it does not."""
        since = self._since
        return 0.0 if since is None else time.monotonic() - since

    def give_back(self, queued: _Queued, fd: int) -> None:
        """Let other processes write where nobody here has wanted that lock any more."""
        with self._mutex:
            if self._queued is queued:
                self._queued = self._since = None
                fcntl.flock(fd, fcntl.LOCK_UN)

    def __enter__(self) -> None:
        if not self._mutex.acquire(blocking=False) and not patience.wait(self._acquired):
            raise HeldUp
        self._depth += 1
        if self._depth > 1:
            return
        try:
            self._take()
        except BaseException:
            self._depth -= 1
            self._mutex.release()
            raise

    def _acquired(self, seconds: float | None) -> bool:
        return self._mutex.acquire(timeout=-1 if seconds is None else seconds)

    def _take(self) -> None:
        if self._fd < 0:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if self._queued is None:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                self._since = time.monotonic()
        if not patience.wait(self._came):
            raise HeldUp
        self._queued = self._since = None

    def _came(self, seconds: float | None) -> bool:
        """Wait for the other processes; whether it is our turn."""
        if self._queued is None and seconds is None:
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            return True
        if self._queued is None:
            self._queued = _Queued(self, self._fd)
        return self._queued.came.wait(seconds)

    def __exit__(self, *error: object) -> None:
        self._depth -= 1
        try:
            if not self._depth:
                fcntl.flock(self._fd, fcntl.LOCK_UN)
        finally:
            self._mutex.release()


# Of the database that `connect` named last. Who still writes to an earlier one keeps the lock of that.
_lock = _WriteLock(os.devnull)
_changes = Changes(os.devnull)
_tell_due: Callable[[], object] | None = None  # called after a commit of this process if a checkpoint is due


def is_held_up() -> bool:
    """Whether other processes have kept this one from writing for longer than they should."""
    return _lock.held_up_for() > STALL_SECONDS


def connect(path: Path, durability: str = "full") -> None:
    """Point `db` at the file; connections are opened by each thread at its first query and kept.

    `durability` full syncs every commit to the disk; normal leaves the last instants before a power cut to chance.
    """
    global _lock, _changes
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
    _lock.close()
    _lock = _WriteLock(f"{path}.lock")
    _changes = Changes(f"{path}.lock")


def disconnect_thread() -> None:
    """Close this thread's connection, for a thread that ends."""
    if not db.is_closed():
        db.close()


def disconnect() -> None:
    """Close this thread's connection and the lock file; before a fork, so that no child inherits either."""
    disconnect_thread()
    _lock.close()


def commits() -> int:
    """A number that every commit changes, in whichever process; odd while somebody writes."""
    return _changes.count(ALL)


def settings_commits() -> int:
    """The same, of commits that may change more than runs: flows, credentials, members, tokens."""
    return _changes.count(SETTINGS)


@contextmanager
def write() -> Iterator[None]:
    """A write transaction: alone among all writers, all or nothing. May be nested; the outermost commits."""
    with _lock:
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
    with _lock, _counted(ALL):
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
    with _lock, _transaction():
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

    with _lock:
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


def all_words(text: str) -> str:
    """What to look for in a full-text index (FTS5), by MATCH, for rows with all of the words; empty without words.

    Each word is quoted, so nothing in it is FTS5 syntax; its last letters may be missing.
    """
    return " ".join(map(_beginning, text.replace("\0", " ").split()[:MOST_WORDS]))


def any_word(text: str) -> str:
    """The same for rows with any of the words. Of many words the longest count, as they say most.

    Those of one or two letters count only where there are no others, and no short one stands for a beginning: there is
    hardly a text without `in`, or without a word that begins so.
    """
    found = dict.fromkeys(word.lower() for word in BETWEEN_WORDS.split(text[:MOST_TEXT]) if word)
    first = list(found)[:FIRST_WORDS]
    telling = [word for word in first if len(word) > 2 or not word.isascii()] or first
    words = sorted(telling, key=len, reverse=True)[:ANY_WORDS]
    return " OR ".join(f'"{word}"' if word.isascii() and len(word) < BEGINS else _beginning(word) for word in words)


def _beginning(word: str) -> str:
    quoted = word.replace('"', '""')
    return f'"{quoted}"*'


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
    with _lock:
        execute("PRAGMA busy_timeout = 0")
        try:
            busy, _, _ = execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
        finally:
            execute(f"PRAGMA busy_timeout = {BUSY_MS}")
    return not busy


def backup(target: Path) -> None:
    """Copy the live database to a new file, consistently, while others go on writing. FileExistsError if it exists."""
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        _copy(str(db.database), target)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _copy(source: str, target: Path, uri: bool = False) -> None:
    with closing(sqlite3.connect(source, uri=uri)) as read, closing(sqlite3.connect(target)) as copy:
        # Held to one state by reading from it: else the copy would begin anew whenever another process has written,
        # and where that never rests, it would never end.
        read.execute("BEGIN")
        read.execute("SELECT 1 FROM sqlite_master").fetchone()
        read.backup(copy, pages=PAGES_A_STEP)


def copy_if_one(source: Path, target: Path) -> bool:
    """Copy any file consistently if it is a SQLite database that can be read. Return False if it is not."""
    with source.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            return False
    try:
        # Only read: what an interrupted writer left is not for us to put right, nor what strangers have put there.
        _copy(f"{source.absolute().as_uri()}?mode=ro", target, uri=True)
    except sqlite3.Error:
        target.unlink(missing_ok=True)
        return False
    return True
