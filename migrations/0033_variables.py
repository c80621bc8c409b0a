"""Variables and the time zone of a workspace. The model here is a frozen copy."""

from peewee import CompositeKey, IntegerField, Model, TextField


class VariableSet(Model):
    workspace_id = TextField()
    effective_at = IntegerField()
    variables = TextField()

    class Meta:
        table_name = "variable_sets"
        primary_key = CompositeKey("workspace_id", "effective_at")


def up(migrator, db):
    with db.bind_ctx([VariableSet], bind_refs=False, bind_backrefs=False):
        db.create_tables([VariableSet], safe=False)
    migrator.migrate(migrator.add_column("workspaces", "timezone", TextField(null=True)))
