"""What a run was started with beside its input: an unsaved definition, where it stops, what it need not execute."""

from peewee import IntegerField, Model, TextField


class RunOptions(Model):
    run_id = TextField(primary_key=True)
    value = TextField(null=True)
    value_bytes = IntegerField(null=True)

    class Meta:
        table_name = "run_options"


def up(migrator, db):
    with db.bind_ctx([RunOptions], bind_refs=False, bind_backrefs=False):
        db.create_tables([RunOptions], safe=False)
    # What a list of runs tells of them, so that it need not read the others.
    db.execute_sql("ALTER TABLE runs ADD COLUMN options TEXT")
