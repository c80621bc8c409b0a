"""The queues of each process, for the metrics of the server: runs that wait for a thread, and the message broker."""

from peewee import IntegerField


def up(migrator, db):
    names = ("queued", "unsent", "is_broker_down", "deaf_ms")
    migrator.migrate(*(migrator.add_column("leases", name, IntegerField(null=True)) for name in names))
