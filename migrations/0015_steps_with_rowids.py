"""`steps` with rowids. Without them, a row of more than about 1 KB takes another page beside its place in the table.

The steps are copied in transactions of some hundred rows, so that neither the memory nor the write-ahead log grows with
their number. Then one transaction puts the copy in the place of the table. If anything fails before that, the old table
is as it was, and the next start copies again. The columns stay the same, so statements of older versions work as well.
"""

import logging
import shutil
import time
from contextlib import contextmanager, suppress
from pathlib import Path

from peewee import OperationalError

from errors import ConfigError

atomic = False

log = logging.getLogger("headrace.database")

COPY = "steps_copy"
COLUMNS = {
    "run_id": "TEXT NOT NULL", "seq": "INTEGER NOT NULL", "node_id": "TEXT NOT NULL", "node_type": "TEXT NOT NULL",
    "node_name": "TEXT NOT NULL", "status": "TEXT NOT NULL", "attempt": "INTEGER NOT NULL", "item_index": "INTEGER",
    "inputs": "TEXT", "item": "TEXT", "output": "TEXT", "output_bytes": "INTEGER", "same_as": "TEXT", "branch": "TEXT",
    "error_text": "TEXT", "started_at": "INTEGER NOT NULL", "finished_at": "INTEGER", "duration_ms": "REAL",
    "final": "INTEGER NOT NULL",
}  # fmt: skip
TABLE = f"CREATE TABLE {COPY} ({', '.join(map(' '.join, COLUMNS.items()))}, PRIMARY KEY (run_id, seq))"
NAMES = ", ".join(COLUMNS)
COPY_SOME = f"INSERT INTO {COPY} ({NAMES}) SELECT {NAMES} FROM steps WHERE (run_id, seq) > (?, ?) ORDER BY run_id, seq"
LAST = f"SELECT run_id, seq FROM {COPY} ORDER BY rowid DESC LIMIT 1"
# An upper bound of the bytes that the copy takes, for pages of :page bytes. A row has 90 bytes for its numbers and its
# head. As many rows as fit share a page; a larger row has pages of its own. The index has the id of the run once more.
LENGTHS = " + ".join(f"COALESCE(LENGTH(CAST({name} AS BLOB)), 0)" for name in COLUMNS if "TEXT" in COLUMNS[name])
PAGES = "CASE WHEN size < :page THEN :page / (:page / size) ELSE (size / (:page - 4) + 2) * :page END"
SIZE = (
    f"SELECT COUNT(*), COALESCE(SUM({PAGES} + entry), 0) "
    f"FROM (SELECT 90 + {LENGTHS} AS size, 20 + LENGTH(run_id) AS entry FROM steps)"
)
AT_ONCE = 500  # rows of a transaction
RESERVE = 64 * 2**20  # bytes for the write-ahead log
A_SECOND = 40 * 2**20  # bytes that a usual disk takes
TELL_SECONDS = 10.0


def up(migrator, db):
    (made_by,) = db.execute_sql("SELECT sql FROM sqlite_master WHERE name = 'steps'").fetchone()
    if "WITHOUT ROWID" not in made_by.upper():
        return  # The copy is in its place already: then the process died before that was noted.
    with _in_a_hurry(db):
        _make_copy(db)
        with db.atomic("IMMEDIATE"):
            db.execute_sql("DROP TABLE steps")
            db.execute_sql(f"ALTER TABLE {COPY} RENAME TO steps")


def _make_copy(db):
    rows = needed = 0
    try:
        db.execute_sql(f"DROP TABLE IF EXISTS {COPY}")  # of a start that was interrupted
        rows, needed = db.execute_sql(SIZE, {"page": _pragma(db, "page_size")}).fetchone()
        _check_space(db, rows, needed)
        if rows:
            log.info("copying %d steps of runs into a new table; it takes about %d s", rows, needed // A_SECOND + 1)
        db.execute_sql(TABLE)
        _copy(db, rows)
    except BaseException as error:
        with suppress(OperationalError):
            db.execute_sql(f"DROP TABLE IF EXISTS {COPY}")
        if isinstance(error, OperationalError) and "full" in str(error):
            raise _refusal(db, rows, needed, "which became full") from error
        raise


def _copy(db, rows):
    began = told = time.monotonic()
    done, last = 0, ("", -1)
    while True:
        with db.atomic("IMMEDIATE"):
            copied = db.execute_sql(f"{COPY_SOME} LIMIT {AT_ONCE}", last).rowcount
        done += copied
        if copied < AT_ONCE:
            break
        last = db.execute_sql(LAST).fetchone()
        if time.monotonic() - told > TELL_SECONDS:
            told = time.monotonic()
            log.info("%d of %d steps are copied", done, rows)
    if rows:
        log.info("%d steps were copied in %.1f s", done, time.monotonic() - began)


def _check_space(db, rows, needed):
    """Raise ConfigError if the disk has too little space for the copy. Free pages of the file are used as well."""
    pages = _pragma(db, "freelist_count") * _pragma(db, "page_size")
    free = shutil.disk_usage(Path(db.database).parent).free + pages
    if needed and needed + RESERVE > free:
        raise _refusal(db, rows, needed, f"and there are {free // 2**20} MiB")


def _refusal(db, rows, needed, reason):
    return ConfigError(
        f"This version copies the {rows} steps of runs in {db.database} into a new table. That needs "
        f"{-(-(needed + RESERVE) // 2**20)} MiB of free space on its disk, {reason}. Nothing is changed: make room "
        "and start again"
    )


@contextmanager
def _in_a_hurry(db):
    """Let no transaction wait for the disk, and overwrite nothing that is deleted.

    The one that follows, and notes this migration, brings them all to the disk; after a power cut before that the next
    start copies again. Some builds of SQLite write zeros over all that is deleted, here the whole old table.
    """
    before = {name: _pragma(db, name) for name in ("synchronous", "secure_delete")}
    try:
        db.execute_sql("PRAGMA secure_delete = OFF").fetchall()
        db.execute_sql("PRAGMA synchronous = NORMAL")
        yield
    finally:
        for name, value in before.items():
            db.execute_sql(f"PRAGMA {name} = {value}").fetchall()


def _pragma(db, name):
    return int(db.execute_sql(f"PRAGMA {name}").fetchone()[0])
