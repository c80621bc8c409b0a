"""Sums of past days equal the counts of each flow and day, in any order of events."""

import random
import re
from collections import Counter
from types import SimpleNamespace

import pytest
from chosen_engine import ON_POSTGRES
from engines import statements_of_thread
from world import fresh_database, raced

from database import execute, write
from database.base import DAY_MS
from database.queries import metrics, runs
from database.queries import metrics as metric_sums
from database.queries.metrics import settle_days
from database.queries.runs import execute_units
from models import Run, RunDay, User, Workspace

PLACES = ("ws_a", "ws_b")
FLOWS = ("wf_1", "wf_2", "wf_3")


@pytest.fixture
def path(tmp_path):
    with fresh_database(tmp_path) as path:
        with write():
            for id_ in PLACES:
                Workspace.create(id=id_, name=id_, created_at=1)
        yield path


def count(place, flow, day, status="success", duration_ms=1.0):
    """Count a run that ended on this day."""
    run = Run.fresh({"id": "run_1", "workspace_id": place, "workflow_id": flow, "status": status})
    run.__data__ |= {"finished_at": day * DAY_MS, "duration_ms": duration_ms}
    with write():
        execute_units([[runs.counted(run)]])


def settle(today):
    settle_days(today * DAY_MS)


def stored(table):
    """The rows of a table of sums."""
    cursor = execute(f"SELECT * FROM {table}")
    names = [column[0] for column in cursor.description]
    return [SimpleNamespace(**dict(zip(names, row, strict=True))) for row in cursor.fetchall()]


def of_days(place):
    """Return the counts of each day, from the rows of the flows."""
    found = {}
    for row in RunDay.select().where(RunDay.workspace_id == place):
        before = found.get(row.day, (0, 0, 0, 0.0))
        found[row.day] = tuple(
            map(sum, zip(before, (row.total, row.success, row.failed, row.duration_ms), strict=True))
        )
    return found


def of_flows(place, first):
    """Return the total and the mean duration of each flow since a day, from its rows."""
    totals, durations = Counter(), Counter()
    for row in RunDay.select().where((RunDay.workspace_id == place) & (RunDay.day >= first)):
        totals[row.workflow_id] += row.total
        durations[row.workflow_id] += row.duration_ms
    return {flow: (total, durations[flow] / total) for flow, total in totals.items()}


def assert_right(days):
    for place in PLACES:
        by_day = execute(metrics.BY_DAY, (place,)).fetchall()
        assert {day: tuple(counts) for day, *counts in by_day} == of_days(place)
        for first in days:
            rows = metrics._by_flow(place, first)
            found = {row["workflow_id"]: (row["total"], row["mean_duration_ms"]) for row in rows}
            assert found == of_flows(place, first), f"since day {first}"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1 if ON_POSTGRES else 6))
def test_metrics_equal_the_counts_in_any_order_of_events(path, seed):
    chance, today = random.Random(seed), 100
    for _ in range(120):
        today += chance.choice((0, 0, 0, 1, 1, 2, 12))
        for _ in range(chance.randrange(4)):
            # Mostly of today; sometimes an old run is recorded, or the clock was changed.
            day = today - chance.choice((0, 0, 0, 0, 1, 3, 40)) + chance.choice((0, 0, 0, 0, 0, 5))
            status = chance.choice(("success", "failed"))
            count(chance.choice(PLACES), chance.choice(FLOWS), day, status, chance.choice((0.5, 2.25)))
        if chance.random() < 0.4:
            settle(today - chance.choice((0, 0, 0, 9)))
        assert_right((0, today - 30, today - 9, today - 1, today))
    assert len(stored("workspace_days")) > 10 and len(stored("flow_sums")) > 3


def test_a_day_is_settled_when_the_day_after_it_is_over(path):
    for day in (10, 11, 12):
        count("ws_a", "wf_1", day)
    for today, settled in ((11, []), (12, [10]), (13, [10, 11]), (14, [10, 11, 12])):
        settle(today)
        assert [row.day for row in stored("workspace_days")] == settled


def test_the_flows_are_summed_up_every_eight_days_that_have_runs(path):
    days = [*range(10, 30), 500, 501, 502, 503]
    for day in days:
        count("ws_a", "wf_1", day)
        count("ws_a", f"wf_{day}", day, "failed")
    for today in range(12, 32):
        settle(today)
    settle(600)
    assert sorted({row.day for row in stored("flow_sums")}) == [days[7], days[15], days[23]]
    of_one = {row.day: (row.total, row.success, row.failed) for row in stored("flow_sums") if row.workflow_id == "wf_1"}
    assert of_one == {days[at]: (at + 1, at + 1, 0) for at in (7, 15, 23)}
    assert_right((0, 15, 100, 501))


def test_a_year_is_settled_at_once_and_in_small_transactions(path):
    for day in range(365):
        for flow in FLOWS:
            count("ws_a", flow, day)
    with statements_of_thread() as said:
        settle(400)
    assert len(stored("workspace_days")) == 365 and {row.total for row in stored("workspace_days")} == {3}
    assert said.count("COMMIT") == -(-365 // metric_sums.DAYS_AT_ONCE)
    assert len(stored("flow_sums")) == 3 * (365 // metric_sums.DAYS_AT_ONCE)
    assert_right((0, 1, 100, 364, 365))


def test_settled_days_are_not_written_again(path):
    for day in range(20):
        count("ws_a", "wf_1", day)
    settle(30)
    with statements_of_thread() as said:
        settle(30)
        settle(31)
    assert "COMMIT" not in said


@pytest.mark.parametrize("flow", ["wf_1", "wf_new"])
def test_a_run_of_a_settled_day_deletes_the_sums_from_that_day_on(path, flow):
    for day in range(40):
        count("ws_a", "wf_1", day)
        count("ws_b", "wf_1", day)
    settle(50)
    count("ws_a", flow, 20)
    kept = {place: [row.day for row in stored("workspace_days") if row.workspace_id == place] for place in PLACES}
    assert kept == {"ws_a": list(range(20)), "ws_b": list(range(40))}
    assert max(row.day for row in stored("flow_sums") if row.workspace_id == "ws_a") < 20
    assert_right((0, 19, 20, 21, 39))
    settle(50)
    assert [row.day for row in stored("workspace_days") if row.workspace_id == "ws_a"] == list(range(40))
    assert_right((0, 19, 20, 21, 39))


def test_counts_changed_or_deleted_by_hand_delete_the_sums_too(path):
    for statement in ("UPDATE run_days SET total = 9 WHERE day = 5", "DELETE FROM run_days WHERE day = 5"):
        for day in range(10):
            count("ws_a", "wf_1", day)
        settle(50)
        with write():
            execute(statement)
        assert [row.day for row in stored("workspace_days")] == list(range(5))
        assert_right((0, 4, 5, 6))


def test_a_run_recorded_with_an_old_date_is_in_the_metrics_at_once(owner, workspace, flow):
    for at in ("2026-01-05", "2026-01-20", "2026-03-03"):
        body = {"workflow_id": flow["id"], "finished_at": f"{at}T12:00:00Z", "status": "success"}
        assert owner.post("/api/runs", body).status_code == 201
        assert owner.get("/api/metrics").json["success_runs"] == Run.select().count()
        settle_days(10**13)
        assert owner.get("/api/metrics").json["success_runs"] == Run.select().count()
    assert len(stored("workspace_days")) == 3 and User.select().exists()


@pytest.mark.slow
def test_days_settled_by_several_processes_are_settled_once(path):
    for day in range(100):
        count("ws_a", "wf_1", day)
    source = """
import sys
from chosen_engine import connect
from database.queries.metrics import settle_days
connect(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
settle_days(200 * 86_400_000)
print("done")
"""
    assert raced(3, source, path) == ["done"] * 3
    assert len(stored("workspace_days")) == 100 and len(stored("flow_sums")) == 100 // metric_sums.DAYS_AT_ONCE
    assert_right((0, 50, 99))


@pytest.mark.parametrize(
    "sql", [metrics.BY_DAY, metrics.SINCE, metric_sums.SETTLE, metric_sums.UNSETTLED, metric_sums.SUM_UP]
)
@pytest.mark.sqlite_only("it reads the plan of SQLite")
def test_no_statement_reads_more_days_than_it_needs(path, sql):
    given = ("ws_a", 5)[: len(set(re.findall(r"\?\d", sql)))]
    lines = [row[3] for row in execute(f"EXPLAIN QUERY PLAN {sql}", given).fetchall()]
    read = [line for line in lines if re.search(r"(SCAN|SEARCH) (run_days|workspace_days|flow_sums)", line)]
    assert read and all("SEARCH" in line and "day" in line for line in read if "run_days" in line), read
    assert all(line.startswith("SEARCH") for line in read), read
