"""SQLite's query plans for the queries of a function."""

import logging

from database import execute
from models import Write


def queries_of(work, caplog):
    """Return the SQL and the parameters of each query of `work()`."""
    caplog.clear()
    with caplog.at_level(logging.DEBUG, "peewee"):
        work()
    return [record.msg for record in caplog.records if record.name == "peewee"]


def log_each(unit):
    """Execute the writes of a unit one by one, whatever their row counts, so that Peewee logs each of them."""
    for item in unit:
        if isinstance(item, Write):
            execute(*item)


def explain(work, caplog):
    """Return the steps of SQLite's plan for each query of `work()`, as pairs of SQL and step."""
    return [
        (sql, row[3])
        for sql, params in queries_of(work, caplog)
        if sql.startswith(("SELECT", "UPDATE", "DELETE", "WITH", "INSERT", "REPLACE"))
        for row in execute(f"EXPLAIN QUERY PLAN {sql}", tuple(params or ())).fetchall()
    ]


def is_full(step):
    """Return True if the step of a plan reads a table or an index from one end to the other.

    Exceptions: a partial index, which is small; a given list (`json_each`); and the rows that other steps of the plan
    have found.
    """
    partial = execute("SELECT name FROM sqlite_master WHERE type = 'index' AND sql LIKE '% WHERE %'").fetchall()
    if step.startswith("SCAN (subquery") or step == "SCAN found":
        return False
    small = ("SCAN CONSTANT ROW", *(f"INDEX {name}" for (name,) in partial))
    return step.startswith("SCAN") and "VIRTUAL TABLE" not in step and not step.endswith(small)
