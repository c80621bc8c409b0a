"""What is polled, and the entries that each of them knows. The models here are frozen copies."""

from peewee import BlobField, BooleanField, CompositeKey, FloatField, IntegerField, Model, TextField


class Poll(Model):
    workflow_id = TextField()
    node_id = TextField()
    workspace_id = TextField()
    type = TextField()
    every = FloatField()
    source = TextField()
    next_at = IntegerField(null=True, index=True)
    moved_at = IntegerField()
    idle_since = IntegerField(null=True)
    owner = TextField(null=True)
    version = IntegerField()
    state_of = TextField(null=True)
    state = TextField(null=True)
    begun = BooleanField()
    failures = IntegerField()
    last_error = TextField(null=True)
    last_polled_at = IntegerField(null=True)

    class Meta:
        table_name = "polls"
        primary_key = CompositeKey("workflow_id", "node_id")
        without_rowid = True


class PollEntry(Model):
    workflow_id = TextField()
    node_id = TextField()
    entry = BlobField()
    run_id = TextField(null=True)
    seen_at = IntegerField()
    gone_at = IntegerField(null=True)

    class Meta:
        table_name = "poll_entries"
        primary_key = CompositeKey("workflow_id", "node_id", "entry")
        without_rowid = True


TABLES = [Poll, PollEntry]


def up(migrator, db):
    with db.bind_ctx(TABLES, bind_refs=False, bind_backrefs=False):
        db.create_tables(TABLES, safe=False)
    db.execute_sql("CREATE INDEX polls_failing ON polls (workspace_id) WHERE failures > 0")
    db.execute_sql("CREATE INDEX polls_taken ON polls (owner) WHERE owner IS NOT NULL")
