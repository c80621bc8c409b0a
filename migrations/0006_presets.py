"""Nodes ready to be used, as OpenAPI documents describe them. The model here is a frozen copy."""

from peewee import IntegerField, Model, TextField


class Preset(Model):
    id = TextField(primary_key=True)
    workspace_id = TextField()
    source = TextField()
    title = TextField()
    key = TextField()
    name = TextField()
    description = TextField()
    tags = TextField()
    node_json = TextField()
    parameters_json = TextField()
    credential_type = TextField(null=True)
    created_at = IntegerField()

    class Meta:
        table_name = "presets"
        indexes = ((("workspace_id", "source", "key"), True), (("workspace_id", "id"), False))


TABLES = [Preset]


def up(migrator, db):
    with db.bind_ctx(TABLES, bind_refs=False, bind_backrefs=False):
        db.create_tables(TABLES, safe=False)
