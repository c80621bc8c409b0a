"""Runs that wait, start each other, are tried again and show how far they are."""

from peewee import CompositeKey, IntegerField, Model, TextField


class Wait(Model):
    run_id = TextField()
    node_id = TextField()
    seq = IntegerField(null=True)
    reason = TextField(null=True)
    wake_at = IntegerField(null=True)
    created_at = IntegerField()
    name = TextField(null=True)
    answer = TextField(null=True)
    answer_bytes = IntegerField(null=True)
    answered_by = TextField(null=True)
    answered_at = IntegerField(null=True)

    class Meta:
        table_name = "waits"
        primary_key = CompositeKey("run_id", "node_id")
        without_rowid = True


STATEMENTS = (
    "ALTER TABLE runs ADD COLUMN deaths INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE runs ADD COLUMN depth INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE runs ADD COLUMN parent_run_id TEXT",
    "ALTER TABLE runs ADD COLUMN parent_node_id TEXT",
    "ALTER TABLE runs ADD COLUMN retry_of TEXT",
    "ALTER TABLE runs ADD COLUMN nodes_total INTEGER",
    "ALTER TABLE runs ADD COLUMN nodes_done INTEGER",
    # What there is to claim; what a flow has queued, and how many of its runs there are at once.
    "DROP INDEX runs_pending",
    "DROP INDEX runs_running",
    "CREATE INDEX runs_claimable ON runs ((deaths > 1), id) "
    "WHERE status = 'pending' AND waiting IS NULL AND recorded = 0",
    "CREATE INDEX runs_pending ON runs (workflow_id, waiting, id) WHERE status = 'pending'",
    "CREATE INDEX runs_queued ON runs (workflow_id, id) "
    "WHERE status = 'pending' AND waiting = 'a free place (max_concurrent_runs)'",
    "CREATE INDEX runs_running ON runs (workflow_id) WHERE status = 'running'",
    "CREATE INDEX runs_children ON runs (parent_run_id) WHERE parent_run_id IS NOT NULL",
    "CREATE INDEX waits_due ON waits (wake_at) WHERE wake_at IS NOT NULL AND answered_at IS NULL",
)


def up(migrator, db):
    with db.bind_ctx([Wait], bind_refs=False, bind_backrefs=False):
        db.create_tables([Wait], safe=False)
    for statement in STATEMENTS:
        db.execute_sql(statement)
