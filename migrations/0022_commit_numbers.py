"""Numbers of commits on PostgreSQL, by which a process learns whether a commit whose answer was lost has happened."""

from peewee import PostgresqlDatabase


def up(migrator, db):
    if isinstance(db, PostgresqlDatabase):
        db.execute_sql(
            'CREATE TABLE commit_numbers (writer TEXT COLLATE "C" NOT NULL, number BIGINT NOT NULL, '
            "is_void SMALLINT NOT NULL DEFAULT 0, PRIMARY KEY (writer, number))"
        )
