"""Sums of the days that are over, so that the figures of a year need not add up every day of every flow.

`workspace_days` has the runs of a workspace by day; `flow_sums` those of each flow from the first to the end of a day,
for one day in eight. Both are made from `run_days`, and no longer than it stays as it was: a run that is counted for a
day whose sums are there takes them away, and those of later days. So they may be missing, but are never wrong.
"""

SUMS = "total INTEGER NOT NULL, success INTEGER NOT NULL, failed INTEGER NOT NULL, duration_ms REAL NOT NULL"
TABLES = (
    f"CREATE TABLE workspace_days (workspace_id TEXT NOT NULL, day INTEGER NOT NULL, {SUMS}, "
    "PRIMARY KEY (workspace_id, day)) WITHOUT ROWID",
    f"CREATE TABLE flow_sums (workspace_id TEXT NOT NULL, day INTEGER NOT NULL, workflow_id TEXT NOT NULL, {SUMS}, "
    "PRIMARY KEY (workspace_id, day, workflow_id)) WITHOUT ROWID",
)
# A condition costs half a microsecond for each count, and adding to a sum here ten.
TRIGGER = (
    "CREATE TRIGGER run_days_{0} AFTER {0} ON run_days "
    "WHEN EXISTS (SELECT 1 FROM workspace_days WHERE workspace_id = {1}.workspace_id AND day >= {1}.day) BEGIN "
    "DELETE FROM workspace_days WHERE workspace_id = {1}.workspace_id AND day >= {1}.day; "
    "DELETE FROM flow_sums WHERE workspace_id = {1}.workspace_id AND day >= {1}.day; END"
)


def up(migrator, db):
    for statement in TABLES:
        db.execute_sql(statement)
    for event, row in (("insert", "new"), ("update", "new"), ("delete", "old")):
        db.execute_sql(TRIGGER.format(event, row))
