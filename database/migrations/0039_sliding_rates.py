"""The starts of a rate limit within its window, and its last turn, as JSON."""

from peewee import TextField


def up(migrator, db):
    migrator.migrate(migrator.add_column("rate_limits", "state", TextField(null=True)))
