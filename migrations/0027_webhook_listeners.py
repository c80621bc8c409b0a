"""Listeners for test calls of webhooks: at most one for each flow. The model here is a frozen copy."""

from peewee import IntegerField, Model, TextField


class WebhookListener(Model):
    workflow_id = TextField(primary_key=True)
    id = TextField()
    workspace_id = TextField()
    user_id = TextField()
    until = IntegerField()
    options = TextField()
    called_at = IntegerField(null=True)
    run_id = TextField(null=True)

    class Meta:
        table_name = "webhook_listeners"


def up(migrator, db):
    with db.bind_ctx([WebhookListener], bind_refs=False, bind_backrefs=False):
        db.create_tables([WebhookListener], safe=False)
