"""Rows that a block writes to the database, without ids and times, which differ between two runs."""

import re
from contextlib import contextmanager
from types import SimpleNamespace

import database
from database import execute
from database.base import Write

OWN = {"id", "run_id", "created_at", "started_at", "finished_at", "duration_ms", "packed_steps"}
RUN_ID = re.compile(r"run_[0-9A-HJKMNP-TV-Z]{26}")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
ORDER = {"runs": "id", "all_steps": "run_id, seq", "log_entries": "id", "run_days": "day, workflow_id"}


def list_tables():
    """Return the names of our tables, without those in which only an engine keeps something, and partitions."""
    return [
        name
        for name in database.db.get_tables()
        if not re.match("sqlite_|.*_fts|server_counters|commit_numbers|(runs|steps)_", name)
    ]


def count_rows():
    """Return the number of rows of each table; `steps` counts both kinds of steps."""
    sources = {name: name for name in list_tables() if name != "leases"} | {"steps": "all_steps"}
    return {name: execute(f"SELECT COUNT(*) FROM {source}").fetchone()[0] for name, source in sources.items()}


def rows_of(table):
    """Return all rows of a table as dicts, in order."""
    cursor = execute(f"SELECT * FROM {table} ORDER BY {ORDER[table]}")
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def plain(row):
    """Return a row without its ids and times."""
    return {name: without_ids(value) for name, value in row.items() if name not in OWN}


def without_ids(value):
    """Return a text without run ids and UUIDs, and any other value unchanged."""
    return UUID.sub("a UUID", RUN_ID.sub("run", value)) if isinstance(value, str) else value


def counted():
    """Return the counts of `run_days` by flow: all, successful and failed runs."""
    sums = "SELECT workflow_id, SUM(total), SUM(success), SUM(failed) FROM run_days GROUP BY workflow_id"
    return {id_: tuple(sums) for id_, *sums in execute(sums).fetchall()}


@contextmanager
def written():
    """Collect the rows that the block writes. After the block, `ids` has the new run ids, and `rows` all rows."""
    counts, days = count_rows(), counted()
    known = {table: {row["id"] for row in rows_of(table)} for table in ("runs", "log_entries")}
    found = SimpleNamespace()
    yield found
    runs = [row for row in rows_of("runs") if row["id"] not in known["runs"]]
    found.ids = [row["id"] for row in runs]
    steps = [row for row in rows_of("all_steps") if row["run_id"] in found.ids]
    logged = [row for row in rows_of("log_entries") if row["id"] not in known["log_entries"]]
    found.rows = {
        "runs": [plain(row) for row in runs],
        "steps": [plain(row) for row in steps],
        "log_entries": [plain(row) for row in logged],
        "counted": {
            id_: tuple(new - old for new, old in zip(sums, days.get(id_, (0, 0, 0)), strict=True))
            for id_, sums in counted().items()
            if sums != days.get(id_)
        },
        "new": {table: count - counts[table] for table, count in count_rows().items() if table != "run_days"},
    }


def put(id_, name="x"):
    """Return the write of a row; a second write with the same id fails."""
    return Write("INSERT INTO workspaces (id, name, created_at) VALUES (?, ?, 0)", (id_, name))
