"""0024: a PostgreSQL database with runs gets partitions, without losing one."""

import re

import psycopg
import pytest
from postgres import WithDriver

from database import migration_runner
from database.migration_runner import make_runner, migration_files
from database.tables.base import DAY_MS, first_id, now_ms

pytestmark = pytest.mark.slow

RUN = (
    "INSERT INTO runs (id, workspace_id, workflow_id, workflow_name, status, triggered_by, cancelled, recorded, "
    "created_at, claims, packed_steps) VALUES (%s, 'ws', 'wf', 'A', 'success', 'manual', 0, 0, 1, 1, %s)"
)
STEP = (
    "INSERT INTO steps (run_id, seq, node_id, node_type, node_name, status, attempt, started_at, final) "
    "VALUES (%s, %s, 'b', 'set', 'B', 'success', 1, 5, 0)"
)
PACKED = '[[0, "a", "set", "A", "success", 1, null, null, null, "1", null, null, null, null, 1, 2, 1.0, false, null]]'
PLACES = "SELECT tableoid::regclass::text, COUNT(*) FROM {} GROUP BY 1 ORDER BY 1"
DAYS = (400, 30, 29, 1, 0)


@pytest.fixture
def old(fresh_url, monkeypatch):
    """The URL of a database of the version before partitions, with a run of each of DAYS."""
    url = fresh_url(empty=True)
    earlier = [file for file in migration_files("postgres") if file.name < "0024"]
    db = WithDriver(url)
    with monkeypatch.context() as patch:
        patch.setattr(migration_runner, "migration_files", lambda kind: earlier)
        make_runner(db, "postgres").up()
    db.close()
    with psycopg.connect(url) as connection:
        for number, days in enumerate(DAYS):
            id_ = first_id("run", now_ms() - days * DAY_MS)
            connection.execute(RUN, (id_, PACKED if number % 2 else None))
            for seq in range(0 if number % 2 else 3):
                connection.execute(STEP, (id_, seq))
    return url


def migrate(url):
    """Apply the migrations that the database lacks."""
    db = WithDriver(url)
    try:
        return make_runner(db, "postgres").up()
    finally:
        db.close()


def content(url):
    """Return all rows of runs and steps."""
    with psycopg.connect(url) as connection:
        return [
            connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()
            for table in ("runs", "steps", "all_steps")
        ]


def ask(url, sql, *params):
    with psycopg.connect(url, autocommit=True) as connection:
        found = connection.execute(sql, *params)
        return found.fetchall() if found.description else []


def test_a_database_with_runs_keeps_them_in_the_first_partition(old):
    before = content(old)
    assert migrate(old)[0] == "0024_partitions_of_runs"
    assert content(old) == before and len(before[0]) == 5 and len(before[2]) == 11
    assert ask(old, PLACES.format("runs")) == [("runs_old", 5)] and ask(old, PLACES.format("steps")) == [
        ("steps_old", 9)
    ]
    unused = "SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid"
    assert ask(old, unused) == []


def test_every_new_run_has_a_partition_and_a_unique_id(old):
    migrate(old)
    far = {days: first_id("run", now_ms() + days * DAY_MS) for days in (-9_000, 0, 1, 5, 10, 9_000)}
    with psycopg.connect(old, autocommit=True) as connection:
        for id_ in far.values():
            connection.execute(RUN, (id_, None))
            with pytest.raises(psycopg.errors.UniqueViolation):
                connection.execute(RUN, (id_, None))
            for _ in range(2):
                connection.execute(f"{STEP} ON CONFLICT (run_id, seq) DO UPDATE SET status = 'failed'", (id_, 0))
    places = dict(ask(old, "SELECT id, tableoid::regclass::text FROM runs WHERE id = ANY(%s)", (list(far.values()),)))
    assert places[far[-9_000]] == places[far[0]] == "runs_old"
    assert places[far[5]] != places[far[10]] == places[far[9_000]] != "runs_old"


def test_an_error_in_the_middle_changes_nothing_and_the_migration_can_be_repeated(old):
    before = content(old)
    # The second partition of steps cannot be made: this name is taken.
    tomorrow = ask(old, "SELECT to_char(now() AT TIME ZONE 'UTC' + interval '1 day', 'YYYYMMDD')")[0][0]
    ask(old, f"CREATE TABLE steps_{tomorrow} AS SELECT 1 AS a")
    with pytest.raises(Exception, match=f"steps_{tomorrow}"):
        migrate(old)
    assert content(old) == before
    assert ask(old, "SELECT relkind::text FROM pg_class WHERE relname IN ('runs', 'steps')") == [("r",), ("r",)]
    ask(old, f"DROP TABLE steps_{tomorrow}")
    migrate(old)
    assert content(old) == before and migrate(old) == []


def test_a_new_database_has_room_in_the_pages_and_statistics(fresh_url):
    url = fresh_url()
    options = dict(ask(url, "SELECT relname, reloptions FROM pg_class WHERE relname ~ '^runs_(old|[0-9]{8})$'"))
    assert len(options) == 3 and set(map(str, options.values())) == {"['fillfactor=70']"}
    kinds = ask(url, "SELECT stxrelid::regclass::text FROM pg_statistic_ext")
    assert {name for (name,) in kinds} == set(options)
    assert all(re.fullmatch(r"runs_(old|\d{8})", name) for name in options)
