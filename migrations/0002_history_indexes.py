"""Indexes by which the list of runs finds its page whatever the filters, however few of a million runs match.

They end in the id, so that a page is read in its order. The two of ended runs have status and trigger before it: a list
that leaves those open merges their few values (see `Run.select_where`). An entry of theirs is written once, when the
run ends, so that a run costs no more to write than with the three indexes of one filter each that they replace;
an index for each combination of filters would double that cost. What has not ended is in a small
index of its own. `(workspace_id, id)` stays for the list without a filter.
"""

REPLACED = ("run_workspace_id_status_id", "run_workspace_id_workflow_id_id", "run_workspace_id_triggered_by_id")
ENDED = "WHERE status = 'success' OR status = 'failed'"
ADDED = (
    f"CREATE INDEX runs_ended ON runs (workspace_id, status, triggered_by, id) {ENDED}",
    f"CREATE INDEX runs_ended_of_flow ON runs (workspace_id, workflow_id, status, triggered_by, id) {ENDED}",
    "CREATE INDEX runs_unfinished ON runs (workspace_id, status, id) WHERE status = 'pending' OR status = 'running'",
    "CREATE INDEX log_entries_of_level ON log_entries (workspace_id, level, id)",
)


def up(migrator, db):
    for name in REPLACED:
        db.execute_sql(f"DROP INDEX {name}")
    for statement in ADDED:
        db.execute_sql(statement)
