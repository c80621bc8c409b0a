"""Index of the webhook paths with parameters, which are few: the search for them reads no others."""


def up(migrator, db):
    db.execute_sql("CREATE INDEX webhooks_patterns ON webhooks (path) WHERE replace(path, ':', '') <> path")
