"""Drafts of flows, scheduled publishes, who has a flow open, and names of versions. Frozen copies of the models."""

from peewee import CompositeKey, IntegerField, Model, TextField


class Draft(Model):
    workflow_id = TextField(primary_key=True)
    revision = IntegerField()
    definition_json = TextField(null=True)
    base_version = IntegerField(null=True)
    changed_by = TextField(null=True)
    changed_at = IntegerField(null=True)

    class Meta:
        table_name = "drafts"


class ScheduledPublish(Model):
    workflow_id = TextField(primary_key=True)
    draft_revision = IntegerField()
    definition_json = TextField()
    base_version = IntegerField()
    name = TextField(null=True)
    note = TextField(null=True)
    publish_at = IntegerField()
    created_by = TextField()
    created_at = IntegerField()
    failure = TextField(null=True)
    failed_at = IntegerField(null=True)

    class Meta:
        table_name = "scheduled_publishes"
        indexes = ((("publish_at",), False),)


class Presence(Model):
    workflow_id = TextField()
    user_id = TextField()
    since = IntegerField()
    expires_at = IntegerField()

    class Meta:
        table_name = "presences"
        primary_key = CompositeKey("workflow_id", "user_id")
        indexes = ((("expires_at",), False),)


TABLES = [Draft, ScheduledPublish, Presence]


def up(migrator, db):
    with db.bind_ctx(TABLES, bind_refs=False, bind_backrefs=False):
        db.create_tables(TABLES, safe=False)
    columns = ("name", "note")
    migrator.migrate(*(migrator.add_column("workflow_versions", name, TextField(null=True)) for name in columns))
