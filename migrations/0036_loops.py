"""Loops whose items wait, and rate limits of nodes. The models here are frozen copies.

The wait of a loop has the run whose turn it is, when the next may start, and how many may be open at once.
"""

from peewee import CompositeKey, IntegerField, Model, TextField


class RateLimit(Model):
    workspace_id = TextField()
    key = TextField()
    empty_at = IntegerField()

    class Meta:
        table_name = "rate_limits"
        primary_key = CompositeKey("workspace_id", "key")
        indexes = ((("empty_at",), False),)


STATEMENTS = (
    "CREATE INDEX waits_open ON waits (run_id, COALESCE(answered_at, 0))",
    "CREATE INDEX runs_held ON runs (parent_run_id, id) WHERE status = 'pending' AND waiting = 'its turn'",
    "CREATE INDEX runs_started ON runs (parent_run_id) WHERE parent_run_id IS NOT NULL "
    "AND status IN ('pending', 'running') AND COALESCE(waiting, '') <> 'its turn'",
)


def up(migrator, db):
    names = {"kind": TextField, "places": IntegerField, "delay_ms": IntegerField, "next_at": IntegerField}
    added = {**names, "turn": TextField}
    migrator.migrate(*(migrator.add_column("waits", name, field(null=True)) for name, field in added.items()))
    with db.bind_ctx([RateLimit], bind_refs=False, bind_backrefs=False):
        db.create_tables([RateLimit], safe=False)
    for statement in STATEMENTS:
        db.execute_sql(statement)
