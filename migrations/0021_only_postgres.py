"""What PostgreSQL has in place of a part of SQLite's engine, and of the files beside an SQLite database.

- `without_signatures`: the function that database/tables/link_signatures.py gives to SQLite, with the same results.
- Statistics: the columns depend on each other (a schedule's runs seldom fail, a workspace has its own triggers), and
  without them the planner estimates few rows where there are many, or many where there are none.
- `payloads`: values too large for the rows of runs, in parts. They are not compressed again by PostgreSQL: that takes
  more time than the space is worth, and parts of plain storage can be read alone.
"""

from peewee import SqliteDatabase

# `\u0025` is a percent sign. The text before a signature is searched for the path of a link, 500 bytes back.
WITHOUT_SIGNATURES = r"""
CREATE FUNCTION without_signatures(given TEXT) RETURNS TEXT LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $body$
DECLARE
    mark CONSTANT TEXT := '(token(?:=|\u0025(?:25)*3D|\\+u003D))[A-Za-z0-9_-]+';
    plain TEXT COLLATE "C" := given;
    result TEXT := '';
    before BYTEA := '';
    found TEXT[];
    place INTEGER;
    length INTEGER;
BEGIN
    IF position('token' IN plain) = 0 THEN
        RETURN given;
    END IF;
    FOR found IN SELECT regexp_matches(plain, '(' || mark || ')', 'gi') LOOP
        place := position(found[1] IN plain);
        length := char_length(found[1]);
        before := before || convert_to(left(plain, place - 1), 'UTF8');
        result := result || left(plain, place - 1);
        IF position('resume'::BYTEA IN substring(before FROM greatest(1, octet_length(before) - 499))) > 0 THEN
            result := result || found[2] || U&'\2026';
        ELSE
            result := result || found[1];
        END IF;
        before := before || convert_to(found[1], 'UTF8');
        plain := substr(plain, place + length);
    END LOOP;
    RETURN result || plain;
END
$body$
"""


def up(migrator, db):
    if isinstance(db, SqliteDatabase):
        return
    db.execute_sql(WITHOUT_SIGNATURES)
    db.execute_sql("CREATE STATISTICS runs_kinds (mcv) ON workspace_id, status, triggered_by FROM runs")
    db.execute_sql("""
        CREATE TABLE payloads (
            run_id TEXT COLLATE "C" NOT NULL,
            name TEXT COLLATE "C" NOT NULL,
            claims BIGINT NOT NULL,
            part BIGINT NOT NULL,
            data BYTEA NOT NULL,
            PRIMARY KEY (run_id, name, claims, part)
        )
    """)
    db.execute_sql("ALTER TABLE payloads ALTER COLUMN data SET STORAGE EXTERNAL")
