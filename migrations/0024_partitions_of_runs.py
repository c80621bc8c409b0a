"""On PostgreSQL, `runs` and `steps` are partitioned by the id of the run, which begins with its time.

No row is moved: the present tables become the first partitions, for all ids before a day that no row has reached. Their
indexes become those of the partitions. PostgreSQL reads both tables once, to check that no id is beyond that day. The
first and the last partition have no outer bound, so every id has a partition; `database/tables/partitions.py` adds and
removes the others.
"""

import time

from peewee import PostgresqlDatabase

DAY_MS = 86_400_000
FIRST_DAYS = 6  # of the first partition after the present tables
DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
NEWEST = "SELECT MAX(id) FROM (SELECT MAX(id) AS id FROM runs UNION ALL SELECT MAX(run_id) FROM steps) AS found"
TABLES = {"runs": ("id", "id", " WITH (fillfactor = 70)"), "steps": ("run_id", "run_id, seq", "")}
INDEXES = """
    SELECT c.relname, pg_get_indexdef(c.oid) FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
    WHERE i.indrelid = '{}'::regclass AND NOT i.indisprimary ORDER BY c.relname
"""
KINDS = "CREATE STATISTICS {0}_kinds (mcv) ON workspace_id, status, triggered_by FROM {0}"


def time_of(id_):
    """Return the milliseconds in an id."""
    number = 0
    for letter in id_.partition("_")[2][:10]:
        number = number * 32 + DIGITS.index(letter)
    return number


def first_id(at_ms):
    """Return the smallest id of a run of this time."""
    return "run_" + "".join(DIGITS[at_ms >> shift & 31] for shift in range(45, -1, -5)) + "0" * 16


def name_at(table, at_ms):
    """Return the name of the partition that begins at this time."""
    return f"{table}_{time.strftime('%Y%m%d', time.gmtime(at_ms // 1000))}"


def partition(db, table, cut):
    """Make this table the first partition of a new one with its name, with all ids before the time `cut`."""
    column, key, storage = TABLES[table]
    old = f"{table}_old"
    indexes = db.execute_sql(INDEXES.format(table)).fetchall()
    db.execute_sql(f"ALTER TABLE {table} RENAME TO {old}")
    db.execute_sql(f"ALTER INDEX {table}_pkey RENAME TO {old}_pkey")
    for name, _ in indexes:
        db.execute_sql(f"ALTER INDEX {name} RENAME TO {name}_old")
    db.execute_sql(
        f"CREATE TABLE {table} (like {old} INCLUDING DEFAULTS) PARTITION BY RANGE ({column})"
    )  # LIKE is an operator there
    db.execute_sql(f"ALTER TABLE {table} ADD CONSTRAINT {table}_pkey PRIMARY KEY ({key})")
    for _, definition in indexes:
        db.execute_sql(definition)  # it has the name of the new table
    after = cut + FIRST_DAYS * DAY_MS
    db.execute_sql(f"ALTER TABLE {table} ATTACH PARTITION {old} FOR VALUES FROM (MINVALUE) TO ('{first_id(cut)}')")
    for at, end in ((cut, f"'{first_id(after)}'"), (after, "MAXVALUE")):
        bounds = f"FOR VALUES FROM ('{first_id(at)}') TO ({end})"
        db.execute_sql(f"CREATE TABLE {name_at(table, at)} PARTITION OF {table} {bounds}{storage}")
        if table == "runs":
            db.execute_sql(KINDS.format(name_at(table, at)))


def up(migrator, db):
    if not isinstance(db, PostgresqlDatabase):
        return
    db.execute_sql("LOCK TABLE runs, steps IN ACCESS EXCLUSIVE MODE")
    today = int(time.time() * 1000) // DAY_MS * DAY_MS
    newest = db.execute_sql(NEWEST).fetchone()[0]
    cut = today if newest is None else max(today, (time_of(newest) // DAY_MS + 1) * DAY_MS)
    view = db.execute_sql("SELECT pg_get_viewdef('all_steps'::regclass)").fetchone()[0]
    db.execute_sql("DROP VIEW all_steps")
    db.execute_sql("ALTER STATISTICS runs_kinds RENAME TO runs_old_kinds")
    for table in TABLES:
        partition(db, table, cut)
    db.execute_sql(f"CREATE VIEW all_steps AS {view}")
