"""Webhooks that the server adds in services for app triggers. The model here is a frozen copy."""

from peewee import IntegerField, Model, TextField


class RegisteredHook(Model):
    id = TextField(primary_key=True)
    workspace_id = TextField()
    workflow_id = TextField()
    node_id = TextField()
    type = TextField()
    path = TextField()
    scope = TextField()
    events = TextField()
    account_id = TextField()
    url = TextField(null=True)
    state = TextField()
    secret = TextField(null=True)
    next_at = IntegerField()
    claimed_until = IntegerField()
    claimed_by = TextField(null=True)
    version = IntegerField()
    attempts = IntegerField()
    last_error = TextField(null=True)
    created_at = IntegerField()

    class Meta:
        table_name = "registered_hooks"
        indexes = ((("workflow_id",), False), (("next_at",), False), (("account_id",), False), (("path",), False))


def up(migrator, db):
    with db.bind_ctx([RegisteredHook], bind_refs=False, bind_backrefs=False):
        db.create_tables([RegisteredHook], safe=False)
