"""What a long history needs: indexes by which the list of runs finds its page whatever the filters, and counts by day.

The indexes end in the id, so that a page is read in its order. The two of ended runs have status and trigger before it:
a list that leaves those open merges their few values (see `Run.select_where`). An entry of theirs is written once, when
the run ends, so that a run costs no more to write than with the three indexes of one filter each that they replace; an
index for each combination of filters would double that cost. What has not ended is in a small index of its own.
`(workspace_id, id)` stays for the list without a filter.

`run_days` is now in the order of days within a workspace: a series of days is read in its order, and the counts that
change today lie side by side rather than one to a page.
"""

REPLACED = ("run_workspace_id_status_id", "run_workspace_id_workflow_id_id", "run_workspace_id_triggered_by_id")
ENDED = "WHERE status = 'success' OR status = 'failed'"
ADDED = (
    f"CREATE INDEX runs_ended ON runs (workspace_id, status, triggered_by, id) {ENDED}",
    f"CREATE INDEX runs_ended_of_flow ON runs (workspace_id, workflow_id, status, triggered_by, id) {ENDED}",
    "CREATE INDEX runs_unfinished ON runs (workspace_id, status, id) WHERE status = 'pending' OR status = 'running'",
    "CREATE INDEX log_entries_of_level ON log_entries (workspace_id, level, id)",
)
RUN_DAYS = (
    "ALTER TABLE run_days RENAME TO run_days_before",
    "CREATE TABLE run_days (workspace_id TEXT NOT NULL, workflow_id TEXT NOT NULL, day INTEGER NOT NULL, "
    "total INTEGER NOT NULL, success INTEGER NOT NULL, failed INTEGER NOT NULL, duration_ms REAL NOT NULL, "
    "PRIMARY KEY (workspace_id, day, workflow_id)) WITHOUT ROWID",
    "INSERT INTO run_days (workspace_id, workflow_id, day, total, success, failed, duration_ms) "
    "SELECT workspace_id, workflow_id, day, total, success, failed, duration_ms FROM run_days_before "
    "ORDER BY workspace_id, day, workflow_id",
    "DROP TABLE run_days_before",
)


def up(migrator, db):
    for name in REPLACED:
        db.execute_sql(f"DROP INDEX {name}")
    for statement in (*ADDED, *RUN_DAYS):
        db.execute_sql(statement)
