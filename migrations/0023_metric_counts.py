"""The counts of all processes for the metrics of the server, and the role, the runs and the threads of each process."""

from peewee import CompositeKey, FloatField, IntegerField, Model, TextField


class MetricCount(Model):
    metric = TextField()
    labels = TextField()
    part = TextField()
    value = FloatField()

    class Meta:
        table_name = "metric_counts"
        primary_key = CompositeKey("metric", "labels", "part")


def up(migrator, db):
    with db.bind_ctx([MetricCount], bind_refs=False, bind_backrefs=False):
        db.create_tables([MetricCount], safe=False)
    migrator.migrate(
        migrator.add_column("leases", "role", TextField(null=True)),
        migrator.add_column("leases", "active", IntegerField(null=True)),
        migrator.add_column("leases", "threads", IntegerField(null=True)),
    )
