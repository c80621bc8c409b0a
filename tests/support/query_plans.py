"""The database's plans for the queries of a function."""

import logging

from chosen_engine import ON_POSTGRES

from database import execute, write
from database.base import Write

PARTIAL = (
    "SELECT relname FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid WHERE indpred IS NOT NULL"
    if ON_POSTGRES
    else "SELECT name FROM sqlite_master WHERE type = 'index' AND sql LIKE '% WHERE %'"
)


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
    """Return the steps of the database's plan for each query of `work()`, as pairs of SQL and step.

    The steps are in SQLite's words, also on PostgreSQL, which may use an index here wherever there is one: by itself
    it reads tables of a few rows as a whole.
    """
    steps = _steps_on_postgres if ON_POSTGRES else _steps_on_sqlite
    return [
        (sql, step)
        for sql, params in queries_of(work, caplog)
        if sql.lstrip("(").startswith(("SELECT", "UPDATE", "DELETE", "WITH", "INSERT", "REPLACE"))
        for step in steps(sql, tuple(params or ()))
    ]


def _steps_on_sqlite(sql, params):
    return [row[3] for row in execute(f"EXPLAIN QUERY PLAN {sql}", params).fetchall()]


def _steps_on_postgres(sql, params):
    with write():
        for way in ("seqscan", "sort", "hashjoin", "mergejoin"):
            execute(f"SET LOCAL enable_{way} = off")
        (plans,) = execute(f"EXPLAIN (FORMAT JSON) {sql}", params).fetchone()
    return list(_in_words(plans[0]["Plan"]))


def _in_words(plan):
    """Yield the steps of a plan of PostgreSQL in SQLite's words."""
    kind, table, index = plan["Node Type"], plan.get("Relation Name", ""), plan.get("Index Name", "")
    if kind.endswith("Sort"):
        yield "USE TEMP B-TREE"
    elif kind == "Seq Scan":
        yield f"SCAN {table}"
    elif index:
        yield f"{'SEARCH' if 'Index Cond' in plan else 'SCAN'} {table} USING INDEX {index}"
    for part in plan.get("Plans", ()):
        yield from _in_words(part)


def is_full(step):
    """Return True if the step of a plan reads a table or an index from one end to the other.

    Exceptions: a partial index, which is small; a given list (`json_each`); and the rows that other steps of the plan
    have found.
    """
    if step.startswith("SCAN (subquery") or step == "SCAN found":
        return False
    small = ("SCAN CONSTANT ROW", *(f"INDEX {name}" for (name,) in execute(PARTIAL).fetchall()))
    return step.startswith("SCAN") and "VIRTUAL TABLE" not in step and not step.endswith(small)
