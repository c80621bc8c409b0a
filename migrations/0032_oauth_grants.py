"""Tokens of OAuth grants, and attempts to connect an account. Frozen copies of the models."""

from peewee import IntegerField, Model, TextField


class OAuthGrant(Model):
    credential_id = TextField(primary_key=True)
    workspace_id = TextField()
    status = TextField()
    tokens = TextField(null=True)
    scope = TextField(null=True)
    details = TextField()
    reason = TextField(null=True)
    connected_at = IntegerField(null=True)
    obtained_at = IntegerField(null=True)
    refreshed_at = IntegerField(null=True)
    refresh_at = IntegerField(null=True)
    expires_at = IntegerField(null=True)
    version = IntegerField()
    lease_id = TextField(null=True)
    lease_process = TextField(null=True)
    lease_clock = TextField(null=True)
    lease_until = IntegerField(null=True)

    class Meta:
        table_name = "oauth_grants"


class OAuthAttempt(Model):
    id = TextField(primary_key=True)
    credential_id = TextField()
    workspace_id = TextField()
    session_id = TextField()
    user_id = TextField()
    sealed = TextField()
    expires_at = IntegerField()
    used_at = IntegerField(null=True)

    class Meta:
        table_name = "oauth_attempts"
        indexes = ((("expires_at",), False), (("credential_id", "session_id"), False))


TABLES = [OAuthGrant, OAuthAttempt]


def up(migrator, db):
    with db.bind_ctx(TABLES, bind_refs=False, bind_backrefs=False):
        db.create_tables(TABLES, safe=False)
