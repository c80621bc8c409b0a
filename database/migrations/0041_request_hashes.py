"""The hash of the request for which a caller used an idempotency key; null for keys of before, and without a hash."""

from peewee import TextField


def up(migrator, db):
    migrator.migrate(migrator.add_column("idempotency_keys", "request_hash", TextField(null=True)))
