"""The database: an SQLite file (sqlite.py), or PostgreSQL by its pack. Only this package knows which of them.

The SQL of the tables is the same for both, in the form that SQLite takes: `?` and `?1` for parameters.
"""

from __future__ import annotations

from constants import VERSION

from . import peewee_import  # noqa: F401  (Peewee without drivers of other databases)

# isort: split
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from peewee import Database, DatabaseError, OperationalError

from errors import ConfigError
from registry import registry

from . import shared, sqlite
from .migration_runner import BASELINE, apply, former
from .migration_runner import MIGRATIONS as MIGRATIONS
from .migration_runner import migrations as migrations
from .migration_runner import replace_former as replace_former
from .shared import ConnectionLost as ConnectionLost
from .shared import Deadlock as Deadlock
from .shared import Execute as Execute
from .shared import LeaseClock as LeaseClock
from .shared import LockTimeout as LockTimeout
from .shared import OutcomeUnknown as OutcomeUnknown
from .shared import Space as Space
from .shared import get_clock as get_clock
from .shared import is_write_blocked as is_write_blocked
from .shared import lock_wait as lock_wait
from .sqlite import checkpoint as checkpoint
from .sqlite import db as db
from .sqlite import is_checkpoint_due as is_checkpoint_due
from .sqlite import on_checkpoint_due as on_checkpoint_due
from .sqlite import restart_log as restart_log

log = logging.getLogger("headrace.database")
# For modules that may not import Peewee.
DatabaseRefused = OperationalError
DatabaseFailed = DatabaseError

HISTORY = "schema_migration"
SET_FACT = (
    "INSERT INTO server_facts (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)
MAX_NAMED = 5
# Longer than any statement of a server takes, with its locks; then the connection is given up (packs/postgres).
ANSWER_SECONDS = 120.0

_engine: ModuleType = sqlite
_on_change: list[Callable[[Database], None]] = []  # called with Peewee's database when the engine changes


def connect(target: Path | str, durability: str = "full") -> None:
    """Use this database: the path of an SQLite file, or the URL of a PostgreSQL database.

    `durability` "full": what is committed is on the disk; with "normal", a power cut may lose the last commits.

    Raises: ConfigError for PostgreSQL if its pack is off.
    """
    global _engine, db
    engine = registry.find_part("postgres", "DATABASE_URL") if isinstance(target, str) else sqlite
    if engine is not _engine:
        _engine.disconnect()
    engine.connect(target, durability)
    shared.follow(None)
    if engine is not _engine:
        _engine, db = engine, engine.db
        for bind in _on_change:
            bind(db)


def on_engine_change(bind: Callable[[Database], None]) -> None:
    """Register a function that `connect` calls with Peewee's database if the engine changes."""
    _on_change.append(bind)


def is_postgres() -> bool:
    """Return True if the database is PostgreSQL."""
    return _engine is not sqlite


def lease_clock() -> LeaseClock:
    """Return the clock that judges leases."""
    found: LeaseClock = _engine.LEASE_CLOCK
    return found


def synchronize_clock() -> None:
    """Adjust `now_ms` to the clock of PostgreSQL; call this every few seconds. Does nothing with SQLite."""
    if is_postgres():
        by = lease_clock()
        shared.follow(lambda: int(fetch_value(f"SELECT {by.sql}", (by.now(),))))


def limit_waits(seconds: float | None) -> None:
    """Limit the time for which this thread waits for PostgreSQL: for a connection, and for each answer."""
    if is_postgres():
        _engine.limit_waits(seconds)


def limit_all_waits() -> None:
    """Limit the time for which all threads wait for each answer of PostgreSQL, to ANSWER_SECONDS.

    For a server: a command may have statements that take longer.
    """
    if is_postgres():
        _engine.limit_all_waits(ANSWER_SECONDS)


def disconnect_thread() -> None:
    """Close this thread's connection; for a thread that ends."""
    _engine.disconnect_thread()


def disconnect() -> None:
    """Close this thread's connection and what the process shares. Call before a fork: no child inherits them then."""
    _engine.disconnect()


def commits() -> int:
    """Return a number that every commit of any process changes; 0 or odd if results must not be cached now."""
    return int(_engine.commits())


def settings_commits() -> int:
    """Return the same number for commits that may change more than runs: flows, credentials, members, tokens."""
    return int(_engine.settings_commits())


def write() -> AbstractContextManager[None]:
    """Open a write transaction. It may be nested; the outermost one commits.

    With SQLite, there is one at a time. On PostgreSQL, others commit meanwhile: see tables/locks.py.
    """
    return _engine.write()


def write_runs() -> AbstractContextManager[Execute]:
    """Open a write transaction of the recorder, which changes only runs and their parts, and nothing in a `QueryCache`.

    Yield the function that executes its statements, as `statements` does. It is never nested.
    """
    return _engine.write_runs()


def write_leases() -> AbstractContextManager[None]:
    """Open a write transaction for leases. It changes no counter: no response or `QueryCache` depends on leases."""
    return _engine.write_leases()


@contextmanager
def write_values() -> Iterator[None]:
    """Open a write transaction for values that no row refers to yet. It changes no counter.

    Inside another transaction, it is a part of that.
    """
    if db.in_transaction():
        yield
        return
    with _engine.write_leases():
        yield


def execute(sql: str, params: tuple[Any, ...] = ()) -> Any:
    """Execute one statement and return the cursor."""
    return db.execute_sql(sql, params)


def statements() -> AbstractContextManager[Execute]:
    """Yield a function that executes one statement and returns its row count. It costs half of `execute` for each."""
    return _engine.statements()


def execute_together(writes: Iterable[tuple[str, tuple[Any, ...]]], commits: bool = False) -> list[int]:
    """Execute statements of the open transaction on PostgreSQL in one round trip. Return their row counts.

    With `commits`, in a transaction of `write_runs`, commit too. Then each statement must change at least one row.
    """
    counts: list[int] = _engine.execute_together(writes, commits)
    return counts


def space() -> Space:
    """Return the size of the database, without a write-ahead log. Takes microseconds to milliseconds."""
    found: Space = _engine.space()
    return found


def protect_rotation() -> None:
    """Prepare this thread to replace encrypted values: see the engines."""
    _engine.protect_rotation()


def can_shrink() -> bool:
    """Return True if the database can give space back. An SQLite file without that setting must be rewritten."""
    return bool(_engine.can_shrink())


def shrink(to_free: int, has_time: Callable[[], bool]) -> bool:
    """Release free space until `to_free` bytes are left, while there is time. Return True if that is done."""
    return bool(_engine.shrink(to_free, has_time))


def empty_log() -> bool:
    """Copy SQLite's write-ahead log into the file and truncate it. Return False if a reader uses the log."""
    return bool(_engine.empty_log())


def closing_connection(work: Callable[[], object]) -> Callable[[], None]:
    """Return `work`, closing its thread's connection afterwards: for a thread that ends, or is seldom used."""

    def run() -> None:
        try:
            work()
        finally:
            disconnect_thread()

    return run


def fetch_value(sql: str, params: tuple[Any, ...] = ()) -> Any:
    """Execute one query. Return the first column of its first row, or None if it has no row."""
    row = execute(sql, params).fetchone()
    return None if row is None else row[0]


def execute_all(writes: Iterable[tuple[str, tuple[Any, ...]]]) -> list[int]:
    """Execute the statements in order and return their row counts."""
    with statements() as execute_one:
        return [execute_one(sql, params) for sql, params in writes]


def migrate(is_enough: Callable[[], bool] = lambda: False) -> list[str]:
    """Apply the migrations that this database lacks, once even if several processes start together. Return their names.

    The first of them with which `is_enough` returns True is the last.

    Raises: ConfigError if a newer version has changed the database, or if it is too old; nothing is written then.
    """
    with _engine.migrating():
        done = check_migrations()
        # The baseline stands in place of the former migrations.
        if names := former(_recorded()):
            with write():
                execute_all((f"DELETE FROM {HISTORY} WHERE name = ?", (name,)) for name in names)
                execute(f"INSERT INTO {HISTORY} (name, applied) VALUES (?, CURRENT_TIMESTAMP)", (BASELINE,))
        applied = []
        # Playhouse, which applies them, is not imported if there is nothing to apply.
        if done != migrations():
            # Its log line for each migration is noise at the first start; one line for all follows.
            logging.getLogger("peewee.migrations").setLevel(logging.WARNING)
            applied = apply(db, is_enough)
        if written_by() != VERSION:
            with write():
                execute(SET_FACT, ("version", VERSION))
    synchronize_clock()
    for name in applied:
        log.debug("migration %s applied", name)
    if applied:
        log.info(f"database brought up to date: {len(applied)} steps" if done else "database made")
    return applied


def _recorded() -> set[str]:
    if not db.table_exists(HISTORY):
        return set()
    return {str(name) for (name,) in execute(f"SELECT name FROM {HISTORY}").fetchall()}


def check_migrations() -> set[str]:
    """Check that this version can open the database. Return the names of its migrations, as of `replace_former`.

    Raises: ConfigError if a newer version wrote the database, or if it is too old, with the version that wrote it.
    """
    wrote = written_by()
    done = replace_former(_recorded(), f"The database {db.database}", wrote)
    unknown = done - migrations()
    if not unknown:
        return done
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
