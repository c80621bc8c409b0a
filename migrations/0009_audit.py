"""Who changed what and when, and who has not chosen a password yet. The model here is a frozen copy."""

from peewee import IntegerField, Model, TextField


class AuditEntry(Model):
    id = TextField(primary_key=True)
    workspace_id = TextField(null=True)
    user_id = TextField(null=True)
    user_email = TextField(null=True)
    token_name = TextField(null=True)
    action = TextField()
    target_type = TextField(null=True)
    target_id = TextField(null=True)
    target_name = TextField(null=True)
    changes = TextField()
    address = TextField(null=True)
    created_at = IntegerField()

    class Meta:
        table_name = "audit_entries"
        indexes = (
            (("workspace_id", "id"), False),
            (("workspace_id", "action", "id"), False),
            (("workspace_id", "user_id", "id"), False),
            (("workspace_id", "target_id", "id"), False),
        )


TABLES = [AuditEntry]


def up(migrator, db):
    with db.bind_ctx(TABLES, bind_refs=False, bind_backrefs=False):
        db.create_tables(TABLES, safe=False)
    # Who is there already has a password that they know.
    db.execute_sql("ALTER TABLE users ADD COLUMN set_up INTEGER NOT NULL DEFAULT 1")
