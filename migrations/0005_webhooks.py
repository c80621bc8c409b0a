"""Webhooks and the credentials that they check their callers with; what the server knows about itself.

The models here are frozen copies: what this migration makes, not what the tables are now.
"""

from peewee import CompositeKey, IntegerField, Model, TextField


class Credential(Model):
    id = TextField(primary_key=True)
    workspace_id = TextField()
    name = TextField()
    type = TextField()
    data = TextField()
    hosts = TextField(null=True)
    created_at = IntegerField()
    updated_at = IntegerField()

    class Meta:
        table_name = "credentials"
        indexes = ((("workspace_id", "name"), True),)


class Webhook(Model):
    path = TextField()
    method = TextField()
    workflow_id = TextField(index=True)
    node_id = TextField()
    workspace_id = TextField()
    credential_id = TextField(null=True, index=True)

    class Meta:
        table_name = "webhooks"
        primary_key = CompositeKey("path", "method")
        without_rowid = True


class Fact(Model):
    name = TextField(primary_key=True)
    value = TextField()

    class Meta:
        table_name = "server_facts"


TABLES = [Credential, Webhook, Fact]


def up(migrator, db):
    with db.bind_ctx(TABLES, bind_refs=False, bind_backrefs=False):
        db.create_tables(TABLES, safe=False)
