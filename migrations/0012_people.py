"""Admins, founders of workspaces, where a user was last, and invitations. The model here is a frozen copy."""

from peewee import IntegerField, Model, TextField


class Invitation(Model):
    id = TextField(primary_key=True)
    workspace_id = TextField()
    email = TextField()
    role = TextField()
    token_hash = TextField(unique=True)
    invited_by = TextField()
    created_at = IntegerField()
    expires_at = IntegerField()

    class Meta:
        table_name = "invitations"
        indexes = ((("workspace_id", "email"), True),)


TABLES = [Invitation]
COLUMNS = (
    "ALTER TABLE users ADD COLUMN is_admin INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE users ADD COLUMN last_workspace_id TEXT",
    "ALTER TABLE workspaces ADD COLUMN founder_id TEXT",
)
VALUES = (
    # The oldest owner is whom the first start made.
    "UPDATE users SET is_admin = 1 WHERE id = (SELECT MIN(user_id) FROM memberships WHERE role = 'owner')",
    "UPDATE users SET last_workspace_id = "
    "(SELECT workspace_id FROM sessions WHERE user_id = users.id ORDER BY id DESC LIMIT 1)",
    "UPDATE workspaces SET founder_id = (SELECT user_id FROM memberships "
    "WHERE workspace_id = workspaces.id AND role = 'owner' ORDER BY created_at, user_id LIMIT 1)",
)


def up(migrator, db):
    with db.bind_ctx(TABLES, bind_refs=False, bind_backrefs=False):
        db.create_tables(TABLES, safe=False)
    for statement in (*COLUMNS, *VALUES):
        db.execute_sql(statement)
