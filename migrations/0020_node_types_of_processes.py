"""The node types that each process has, so that a run goes to a process that has those of its flow."""


def up(migrator, db):
    db.execute_sql("ALTER TABLE leases ADD COLUMN node_types TEXT")
