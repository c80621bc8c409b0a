"""The kind of a failure (see errors.py), for steps and runs. It stays null for those that failed before.

The view `all_steps` is made anew: in packed steps the kind is the last value, and absent before. An index has only the
runs that failed with a kind, so other runs cost no more to write.
"""

from importlib import import_module

STEP_COLUMNS = {**import_module("migrations.0018_packed_steps").COLUMNS, "error_kind": "TEXT"}
OF_A_STEP = ", ".join(
    f"CAST(json_extract(step.value, '$[{at}]') AS {kind})" for at, kind in enumerate(STEP_COLUMNS.values())
)


def up(migrator, db):
    db.execute_sql("ALTER TABLE runs ADD COLUMN error_kind TEXT")
    db.execute_sql("ALTER TABLE steps ADD COLUMN error_kind TEXT")
    db.execute_sql("CREATE INDEX runs_error_kind ON runs (workspace_id, error_kind, id) WHERE error_kind IS NOT NULL")
    db.execute_sql("DROP VIEW all_steps")
    db.execute_sql(
        f"CREATE VIEW all_steps AS SELECT run_id, {', '.join(STEP_COLUMNS)} FROM steps UNION ALL "
        f"SELECT runs.id, {OF_A_STEP} FROM runs JOIN json_each(runs.packed_steps) AS step"
    )
