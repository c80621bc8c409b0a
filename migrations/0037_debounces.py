"""Debounced calls of triggers: the runs that wait for more calls. The model here is a frozen copy."""

from peewee import CompositeKey, IntegerField, Model, TextField


class Debounce(Model):
    workflow_id = TextField()
    node_id = TextField()
    key = TextField()
    run_id = TextField()
    first_at = IntegerField()
    due_at = IntegerField()

    class Meta:
        table_name = "debounces"
        primary_key = CompositeKey("workflow_id", "node_id", "key")
        indexes = ((("due_at",), False),)


def up(migrator, db):
    with db.bind_ctx([Debounce], bind_refs=False, bind_backrefs=False):
        db.create_tables([Debounce], safe=False)
