"""The next due times of a workspace."""

import pytest

from database import write
from database.base import now_ms
from database.queries import schedules
from database.queries.schedules import Due, upcoming
from fields import iso
from models import Poll, Schedule, Workflow

pytestmark = pytest.mark.usefixtures("shared_server")

HOUR = 3_600_000
CONFIG = {"catch_up": "last", "timezone": "UTC"}


@pytest.fixture
def far():
    """A time in the distant future, which the server's own scheduler does not reach."""
    return now_ms() + 1_000 * HOUR


@pytest.fixture
def schedule(owner, flow):
    """`schedule(node_id, next_at, anchor_ms=1, **config)` adds a schedule to the flow and returns its `Due`."""
    wanted = {}

    def add(node_id, next_at, anchor_ms=1, of=flow, **config):
        wanted[node_id] = {**CONFIG, **config}
        row = Workflow(id=of["id"], workspace_id=of["workspace_id"])
        with write():
            schedules.sync(row, list(wanted.items()), now_ms() + 10**10)
            mine = (Schedule.workflow_id == of["id"]) & (Schedule.node_id == node_id)
            Schedule.update(next_at=next_at, anchor_ms=anchor_ms).where(mine).execute()
            fields = (getattr(Schedule.get(mine), name) for name in Due._fields)
        return Due(*fields)

    return add


@pytest.fixture
def poll(flow):
    """`poll(node_id, **values)` adds a polled trigger to the flow."""

    def add(node_id, **values):
        row = {
            "workflow_id": flow["id"], "node_id": node_id, "workspace_id": flow["workspace_id"], "type": "poll",
            "every": 900, "source": "s", "moved_at": 1, "version": 1, "begun": True, "failures": 0, **values,
        }  # fmt: skip
        with write():
            Poll.create(**row)

    return add


def items(client, query=""):
    answer = client.get(f"/api/schedules{query}")
    assert answer.status_code == 200, answer.text
    return answer.json["items"]


def test_a_schedule_has_its_due_time_and_rule(owner, flow, schedule, far):
    due = schedule("daily", far, cron="0 9 * * *", timezone="Europe/Berlin")
    with write():
        for instant in (5_000, 9_000):
            schedules.take_instants(due, instant, now_ms(), None)
    assert items(owner) == [
        {
            "workflow_id": flow["id"],
            "workflow_name": "Echo",
            "node_id": "daily",
            "node_type": "schedule",
            "category": "trigger",
            "icon": "clock",
            "describes": "0 9 * * *",
            "timezone": "Europe/Berlin",
            "next_at": iso(far),
            "last_at": "1970-01-01T00:00:09.000Z",
            "overdue": False,
            "last_error": None,
        }
    ]


@pytest.mark.parametrize(("every", "words"), [(300, "every 300 s"), (0.5, "every 0.5 s"), (31_622_400, None)])
def test_an_interval_is_described_in_seconds(owner, schedule, far, every, words):
    schedule("a", far, every=every)
    assert items(owner)[0]["describes"] == words or f"every {every} s"


def test_a_polled_trigger_has_its_last_poll_and_error(owner, poll, far):
    poll("feed", next_at=far, failures=2, last_error="the server answered 500", last_polled_at=7_000)
    (found,) = items(owner)
    assert (found["node_type"], found["describes"], found["timezone"]) == ("poll", "every 900 s", None)
    assert (found["next_at"], found["last_at"]) == (iso(far), "1970-01-01T00:00:07.000Z")
    assert (found["last_error"], found["overdue"]) == ("the server answered 500", False)


def test_a_claimed_poll_keeps_its_due_time_and_idle_polls_are_not_listed(owner, poll, far):
    poll("busy", next_at=far, owner="somebody else", moved_at=now_ms() + HOUR)
    poll("resting", next_at=None, idle_since=5)
    (found,) = items(owner)
    assert found["node_id"] == "busy" and found["next_at"] < iso(far)


def test_schedules_and_polls_are_ordered_by_due_time_with_nulls_last(owner, schedule, poll, far):
    schedule("never", None, cron="0 0 30 2 *")
    schedule("later", far + 2, every=60)
    schedule("soon", far, every=60)
    poll("feed", next_at=far + 1)
    assert [item["node_id"] for item in items(owner)] == ["soon", "feed", "later", "never"]
    assert items(owner)[-1]["next_at"] is None


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 200])
def test_the_pages_together_are_the_list(owner, schedule, poll, far, limit):
    for number in range(4):
        schedule(f"s{number}", far, every=60)
    schedule("never", None, every=60)
    poll("feed", next_at=far)
    whole, walked, cursor = items(owner), [], ""
    while cursor is not None:
        answer = owner.get(f"/api/schedules?limit={limit}{cursor}").json
        walked += answer["items"]
        cursor = answer["next_cursor"] and f"&cursor={answer['next_cursor']}"
    assert walked == whole and len(whole) == 6


@pytest.mark.parametrize(("late", "is_overdue"), [(59_000, False), (61_000, True)])
def test_schedules_over_a_minute_late_are_overdue(owner, schedule, poll, far, late, is_overdue):
    schedule("never", None, every=60)
    schedule("late", far, every=60)
    poll("feed", next_at=far)
    rows, _ = upcoming(owner.workspace.id, far + late, 50, None)
    assert {row.node_id: bool(row.overdue) for row in rows} == {"never": False, "late": is_overdue, "feed": is_overdue}


def test_a_due_time_that_is_not_computed_yet_is_null(owner, schedule, far):
    schedule("a", far, anchor_ms=far, every=60)
    assert items(owner)[0]["next_at"] is None


def test_another_workspace_sees_none_of_it(other, schedule, poll, far):
    schedule("a", far, every=60)
    poll("feed", next_at=far)
    assert items(other) == []


@pytest.mark.parametrize(("query", "name"), [("limit=0", "limit"), ("cursor=x", "cursor"), ("cursor=MTIz", "cursor")])
def test_a_wrong_parameter_is_400_and_named(owner, query, name):
    answer = owner.get(f"/api/schedules?{query}")
    assert answer.status_code == 400 and answer.json["error"].startswith(f"{name}: ")


def test_the_schedule_of_an_active_flow_is_listed_as_soon_as_it_is_saved(owner, make_flow):
    made = {"nodes": [{"id": "hourly", "type": "schedule", "config": {"every": 3600}}]}
    flow = make_flow(made, status="active", name="Hourly")
    (found,) = items(owner)
    assert (found["workflow_id"], found["workflow_name"], found["node_id"]) == (flow["id"], "Hourly", "hourly")
    owner.put(f"/api/workflows/{flow['id']}", {"status": "archived"})
    assert items(owner) == []
