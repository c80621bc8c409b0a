"""Large values as objects of an S3 store, with PostgreSQL: a row of `payloads` names an object in place of its data.

`value_objects` has each object that may exist in the store: its row is committed before the object is written, and
deleted after the object is. So none is forgotten, and the store need not be searched.
"""

from peewee import SqliteDatabase


def up(migrator, db):
    if isinstance(db, SqliteDatabase):
        return
    db.execute_sql('ALTER TABLE payloads ADD COLUMN object TEXT COLLATE "C"')
    db.execute_sql("CREATE INDEX payloads_object ON payloads (object) WHERE object IS NOT NULL")
    db.execute_sql("""
        CREATE TABLE value_objects (
            run_id TEXT COLLATE "C" NOT NULL,
            digest TEXT COLLATE "C" NOT NULL,
            PRIMARY KEY (run_id, digest)
        )
    """)
