"""When a session ends if nobody uses it, from where users have logged in, and when a login has failed last."""

from peewee import CompositeKey, IntegerField, Model, TextField

IDLE_MS = 7 * 86_400_000


class LoginAddress(Model):
    user_id = TextField()
    address = TextField()
    at = IntegerField(index=True)

    class Meta:
        table_name = "login_addresses"
        primary_key = CompositeKey("user_id", "address")


class LoginFailure(Model):
    key = TextField(primary_key=True)
    count = IntegerField()
    since = IntegerField(index=True)
    last = IntegerField()

    class Meta:
        table_name = "login_failures"


def up(migrator, db):
    db.execute_sql("ALTER TABLE sessions ADD COLUMN idle_at INTEGER NOT NULL DEFAULT 0")
    # Nobody knows when the present ones were used last: they end if nobody does from now on.
    now_ms = "CAST(strftime('%s', 'now') AS INTEGER) * 1000"
    db.execute_sql(f"UPDATE sessions SET idle_at = MIN(expires_at, {now_ms} + {IDLE_MS})")
    db.execute_sql("DROP TABLE login_failures")
    with db.bind_ctx([LoginAddress, LoginFailure], bind_refs=False, bind_backrefs=False):
        db.create_tables([LoginAddress, LoginFailure], safe=False)
