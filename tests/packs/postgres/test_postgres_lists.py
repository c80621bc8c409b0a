"""Lists on PostgreSQL: the same pages as on SQLite, read in the order of indexes."""

from types import SimpleNamespace

import psycopg
import pytest

from database import base
from database.base import first_id
from database.queries import metrics, runs
from database.queries.runs import RunFilters

pytestmark = pytest.mark.slow
FLOW = SimpleNamespace(id="wf_1", workspace_id="ws_1", name="F", version=1)
LISTS = {
    "of a trigger": {"triggered_by": "manual"},
    "of a flow": {"workflow_id": "wf_1"},
    "of some statuses": {"status": ("success", "failed"), "triggered_by": "webhook"},
    "of a time": {"triggered_by": "manual", "since": 1_020, "until": 1_080},
    "with some letters": {"workflow_id": "wf_1", "search": "F"},
    "of ended runs of a trigger": {"status": ["success"], "triggered_by": "manual"},
}


@pytest.fixture
def connection(fresh_url, monkeypatch):
    """A connection to a migrated database, which the tables use for their statements."""
    with psycopg.connect(fresh_url(), autocommit=True) as connection:

        def execute(sql, params=()):
            values = [int(value) if isinstance(value, bool) else value for value in params]
            numbers = {f"?{number}": f"%(p{number})s" for number in range(1, 10)}
            if "?1" not in sql:
                return connection.execute(sql.replace("%", "%%").replace("?", "%s"), values)
            for mark, name in numbers.items():
                sql = sql.replace(mark, name)
            return connection.execute(sql, {f"p{number}": value for number, value in enumerate(values, 1)})

        for module in (base, metrics):
            monkeypatch.setattr(module, "execute", execute)
            monkeypatch.setattr(module, "is_postgres", lambda: True)
        yield connection


def record(connection, count):
    """Insert runs of all statuses and triggers, and return them, newest first."""
    made = []
    for number in range(count):
        values = {
            "status": ("success", "failed", "pending", "success")[number % 4],
            "triggered_by": ("manual", "webhook", "schedule")[number % 3],
            "duration_ms": float(number),
        }
        run = runs.accept(FLOW, id=first_id("run", 1_000 + number), **values)
        base.execute(*runs.insertion(run))
        made.append(run)
    return made[::-1]


@pytest.mark.parametrize("filters", LISTS.values(), ids=LISTS)
def test_pages_have_all_rows_in_order(connection, filters):
    made = record(connection, 120)
    expected = [run.id for run in made if fits(run, filters)]
    found, before = [], None
    while True:
        page, before = runs.select_where(RunFilters("ws_1", **filters)).page(7, before)
        found += [run.id for run in page]
        if before is None:
            break
    assert found == expected != []
    assert [run.id for run in runs.select_where(RunFilters("ws_1", **filters))] == expected


def fits(run, filters):
    """Return True if the run is in the list with these filters."""
    return (
        run.triggered_by == filters.get("triggered_by", run.triggered_by)
        and run.status in filters.get("status", (run.status,))
        and filters.get("since", 0) <= run.created_at <= filters.get("until", run.created_at)
    )


def test_a_page_is_merged_from_indexes_and_not_sorted(connection, monkeypatch):
    record(connection, 24)
    connection.execute("SET enable_sort = off")  # so that it is used only where nothing else can be
    plans = []
    execute = base.execute

    def explain(sql, params=()):
        plans.append("\n".join(row[0] for row in execute(f"EXPLAIN {sql}", params)))
        return execute(sql, params)

    for module in (base, metrics):
        monkeypatch.setattr(module, "execute", explain)
    runs.select_where(RunFilters("ws_1", triggered_by="manual")).page(5, None)
    durations = metrics._durations_of("ws_1", "wf_1")
    assert durations == sorted(float(number) for number in range(24) if number % 4 != 2)
    assert len(plans) == 3, "the runs of the last days first, then all; the durations"
    for plan in plans:
        assert "Merge Append" in plan and "->  Sort" not in plan, plan
