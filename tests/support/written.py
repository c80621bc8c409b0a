"""What is written to the database meanwhile, without what differs between two runs of the same: ids and times."""

import re
from contextlib import contextmanager
from types import SimpleNamespace

from database import execute
from models import Write

OWN = {"id", "run_id", "created_at", "started_at", "finished_at", "duration_ms", "packed_steps"}
RUN_ID = re.compile(r"run_[0-9A-HJKMNP-TV-Z]{26}")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
ORDER = {"runs": "id", "all_steps": "run_id, seq", "log_entries": "id", "run_days": "day, workflow_id"}


def count_rows():
    """How many rows each table has; of steps, those of both kinds."""
    names = [row[0] for row in execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()]
    ours = [name for name in names if not name.startswith("sqlite_") and "_fts" not in name and name != "leases"]
    sources = {name: name for name in ours} | {"steps": "all_steps"}
    return {name: execute(f"SELECT COUNT(*) FROM {source}").fetchone()[0] for name, source in sources.items()}


def rows_of(table):
    """All rows of a table as dicts, in their order."""
    cursor = execute(f"SELECT * FROM {table} ORDER BY {ORDER[table]}")
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def plain(row):
    """A row without its own ids and times, wherever they stand."""
    return {name: without_ids(value) for name, value in row.items() if name not in OWN}


def without_ids(value):
    """A text without ids of runs and UUIDs; anything else as it is."""
    return UUID.sub("a UUID", RUN_ID.sub("run", value)) if isinstance(value, str) else value


def counted():
    """For each flow: how many runs of it `run_days` counts, how many as success, how many as failed."""
    sums = "SELECT workflow_id, SUM(total), SUM(success), SUM(failed) FROM run_days GROUP BY workflow_id"
    return {id_: tuple(sums) for id_, *sums in execute(sums).fetchall()}


@contextmanager
def written():
    """Gives what is written in the block, once that has ended: `ids` of the new runs, and in `rows` everything."""
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
    """The write of a row; a second one of the same id is refused."""
    return Write("INSERT INTO workspaces (id, name, created_at) VALUES (?, ?, 0)", (id_, name))
