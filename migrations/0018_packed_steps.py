"""The steps of a run that is written whole, when it has ended: JSON in the run's row.

As rows they take a place in a table and one in its index, so a commit of one such run writes two pages more. A view has
the steps of both kinds, and whoever reads steps reads it. Its columns are cast to the types of those of the table: only
then does SQLite put a condition and an order into each half, instead of reading all steps of a run for every page.
"""

COLUMNS = {
    "seq": "INTEGER", "node_id": "TEXT", "node_type": "TEXT", "node_name": "TEXT", "status": "TEXT",
    "attempt": "INTEGER", "item_index": "INTEGER", "inputs": "TEXT", "item": "TEXT", "output": "TEXT",
    "output_bytes": "INTEGER", "same_as": "TEXT", "branch": "TEXT", "error_text": "TEXT", "started_at": "INTEGER",
    "finished_at": "INTEGER", "duration_ms": "REAL", "final": "INTEGER",
}  # fmt: skip
OF_A_STEP = ", ".join(
    f"CAST(json_extract(step.value, '$[{at}]') AS {kind})" for at, kind in enumerate(COLUMNS.values())
)
VIEW = (
    f"CREATE VIEW all_steps AS SELECT run_id, {', '.join(COLUMNS)} FROM steps UNION ALL "
    f"SELECT runs.id, {OF_A_STEP} FROM runs JOIN json_each(runs.packed_steps) AS step"
)


def up(migrator, db):
    db.execute_sql("ALTER TABLE runs ADD COLUMN packed_steps TEXT")
    db.execute_sql(VIEW)
