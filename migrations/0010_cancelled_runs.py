"""The runs that were cancelled, in an index of their own: they are few, and among those that failed nobody finds them.

A run that is not cancelled has no entry, and costs no more to write.
"""


def up(migrator, db):
    db.execute_sql("CREATE INDEX runs_cancelled ON runs (workspace_id, id) WHERE cancelled = 1")
