"""Helpers for tests of retention: times, and the remaining rows and files."""

from itertools import count
from pathlib import Path

import world
from chosen_engine import ON_POSTGRES

from database import execute
from database.queries import retention as rows
from dispatch.payloads import Kept
from models import Run, ServerFact

DAY = 86_400_000
NOW = 1_800_000_000_000
OLD = NOW - 31 * DAY
RECENT = NOW - 29 * DAY
A_LEASE = 10_000  # bytes in the emptied write-ahead log for the release of the lease


def kept():
    """Return the ids of the existing runs, oldest first."""
    return [id_ for (id_,) in execute("SELECT id FROM runs ORDER BY id").fetchall()]


def log_size(path):
    """Return the size of the write-ahead log in bytes."""
    return Path(f"{path}-wal").stat().st_size


def strays():
    """Return the number of rows without a run, by table."""
    tables = ("steps", "log_entries", "waits", "idempotency_keys", "run_options")
    sql = "SELECT COUNT(*) FROM {} WHERE run_id NOT IN (SELECT id FROM runs)"
    found = {table: execute(sql.format(table)).fetchone()[0] for table in tables}
    return {table: number for table, number in found.items() if number}


def check_consistent(payloads):
    """Check that every row has its run, every run is complete, and every value of a row can be read."""
    assert strays() == {} and ServerFact.find(rows.REMOVING) is None
    if not ON_POSTGRES:
        assert execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    for run in Run.select():
        assert world.steps_of(run.id)
        if run.input_bytes is not None:
            assert len(payloads.load(run.id, "input", Kept(None, run.input_bytes))) == run.input_bytes


def tick(seconds):
    """Return a clock that advances by `seconds` at each reading."""
    times = count()
    return lambda: next(times) * seconds
