"""Schedules with what they fired, and whose a lease is. The models here are frozen copies."""

from peewee import CompositeKey, FloatField, IntegerField, Model, TextField


class Schedule(Model):
    workflow_id = TextField()
    node_id = TextField()
    workspace_id = TextField()
    cron = TextField(null=True)
    every = FloatField(null=True)
    timezone = TextField()
    catch_up = TextField()
    anchor_ms = IntegerField()
    next_at = IntegerField(null=True, index=True)
    alerted_at = IntegerField(null=True)

    class Meta:
        table_name = "schedules"
        primary_key = CompositeKey("workflow_id", "node_id")
        without_rowid = True


class ScheduleFire(Model):
    workflow_id = TextField()
    node_id = TextField()
    instant = IntegerField()
    run_id = TextField(null=True)
    fired_at = IntegerField(index=True)
    note = TextField(null=True)

    class Meta:
        table_name = "schedule_fires"
        primary_key = CompositeKey("workflow_id", "node_id", "instant")
        without_rowid = True


TABLES = [Schedule, ScheduleFire]


def up(migrator, db):
    with db.bind_ctx(TABLES, bind_refs=False, bind_backrefs=False):
        db.create_tables(TABLES, safe=False)
    db.execute_sql("ALTER TABLE leases ADD COLUMN owner TEXT")
    db.execute_sql("ALTER TABLE leases ADD COLUMN process TEXT")
