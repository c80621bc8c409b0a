"""The metrics of a workspace, as the dashboard requests them."""

import pytest

from database import write
from database.base import first_id, now_ms
from database.queries import runs
from database.queries.runs import execute_units
from fields import iso
from models import Workflow

HOUR = 3_600_000


@pytest.fixture
def accepted(flow):
    """`accepted(ago, status)` puts a run on record that was accepted so many hours ago; it took `duration_ms`."""

    def make(ago, status="success", duration_ms=1.0, **values):
        at = now_ms() // HOUR * HOUR - ago * HOUR
        ended = {"finished_at": at, "duration_ms": duration_ms} if status in ("success", "failed") else {}
        with write():
            row = {"status": status, "triggered_by": "webhook", **ended, **values}
            run = runs.accept(Workflow.find(flow["id"]), id=first_id("run", at + len(made)), **row)
            execute_units([[runs.insertion(run), *([runs.counted(run)] if ended else [])]])
        made.append(run.id)
        return run.id

    made = []
    return make


def hours(client, days):
    return client.get(f"/api/metrics?days={days}").json["hourly"]


@pytest.mark.parametrize("days", [1, 2])
def test_the_hours_of_one_or_two_days_are_counted_one_by_one(owner, accepted, days):
    for ago, status in ((0, "success"), (0, "failed"), (0, "running"), (3, "success"), (23, "failed"), (47, "success")):
        accepted(ago, status)
    accepted(3, "success", triggered_by="manual")
    accepted(48)
    found = hours(owner, days)
    assert len(found) == days * 24 and [hour["hour"] for hour in found] == sorted(hour["hour"] for hour in found)
    now = now_ms() // HOUR * HOUR
    counts = {hour["hour"]: (hour["total"], hour["success"], hour["failed"]) for hour in found if hour["total"]}
    expected = {0: (2, 1, 1), 3: (2, 2, 0), 23: (1, 0, 1), 47: (1, 1, 0)}
    assert counts == {iso(now - ago * HOUR): counted for ago, counted in expected.items() if ago < days * 24}


@pytest.mark.parametrize("days", [3, 30])
def test_longer_times_have_no_hours(owner, accepted, days):
    accepted(1)
    assert "hourly" not in owner.get(f"/api/metrics?days={days}").json


def test_the_hours_count_no_runs_of_another_workspace(other, accepted):
    accepted(1)
    assert not any(hour["total"] for hour in hours(other, 1))


def test_a_day_has_the_mean_of_its_durations(owner, accepted):
    accepted(0, duration_ms=1.0)
    accepted(0, "failed", duration_ms=4.5)
    *_, before, today = owner.get("/api/metrics?days=3").json["daily"]
    assert today["mean_duration_ms"] == 3 and before["mean_duration_ms"] is None


def test_a_flow_has_its_name_its_rate_and_how_its_newest_run_stands(owner, flow, accepted):
    for number in range(60):
        accepted(0, "success" if number % 4 else "failed", duration_ms=float(number))
    accepted(0, "running")
    (found,) = owner.get("/api/metrics").json["flows"]
    assert (found["workflow_id"], found["workflow_name"]) == (flow["id"], "Echo")
    assert (found["total"], found["failed"], found["failure_rate"]) == (60, 15, 0.25)
    assert found["last_status"] == "running"
    # Of the newest 50, which are those of 10 to 59 ms.
    assert found["p95_duration_ms"] == 57


def test_a_deleted_flow_keeps_its_name_in_the_metrics(owner, flow, accepted):
    id_ = accepted(0, "failed")
    owner.delete(f"/api/workflows/{flow['id']}")
    (found,) = owner.get("/api/metrics").json["flows"]
    assert (found["workflow_name"], found["last_status"]) == ("Echo", "failed")
    owner.delete(f"/api/runs/{id_}")
    (found,) = owner.get("/api/metrics").json["flows"]
    assert (found["workflow_name"], found["last_status"], found["p95_duration_ms"]) == (None, None, None)


@pytest.mark.parametrize("days", ["0", "366", "x", "1.5"])
def test_a_wrong_number_of_days_is_400(owner, days):
    answer = owner.get(f"/api/metrics?days={days}")
    assert answer.status_code == 400 and answer.json["error"].startswith("days: ")
