"""The list of flows, as the app requests it: sorted, filtered, and with the overview of each flow."""

import json
import random
import threading
import time

import pytest
from engines import wait_for_changes
from world import PATIENCE

from api import workflows
from database import execute, write
from database.base import first_id, now_ms
from database.queries import runs, schedules
from fields import iso
from models import Schedule, Workflow

pytestmark = pytest.mark.usefixtures("shared_server")

HOOK = {"id": "hook", "type": "webhook", "config": {"path": "orders"}}
HOURLY = {"id": "hourly", "type": "schedule", "config": {"every": 3600}}
DAILY = {"id": "daily", "type": "schedule", "config": {"cron": "0 9 * * *", "timezone": "Europe/Berlin"}}


def definition(*nodes):
    return {"nodes": list(nodes), "edges": []}


@pytest.fixture
def end(owner):
    """`end(flow, status)` records a run of the flow and returns its id."""

    def record(flow, status="success", **values):
        return owner.post("/api/runs", {"workflow_id": flow["id"], "status": status, **values}).json["id"]

    return record


@pytest.fixture
def names(owner):
    """`names(**query)` returns the names of all pages of the list."""

    def read(**query):
        found, cursor = [], {}
        for _ in range(50):
            answer = owner.get("/api/flows", query_string={**query, **cursor})
            assert answer.status_code == 200, answer.text
            found += [flow["name"] for flow in answer.json["items"]]
            if answer.json["next_cursor"] is None:
                return found
            cursor = {"cursor": answer.json["next_cursor"]}
        raise AssertionError("the pages never end")

    return read


def eventually(server, look):
    """Return the first true result of `look`, after ticks of the scheduler."""
    for _ in range(2_000):
        server.scheduler.leader.tick()
        server.scheduler.poller.tick()
        if found := look():
            return found
        time.sleep(0.02)
    raise AssertionError("it never comes")


def only(owner, **query):
    (found,) = owner.get("/api/flows", query_string=query).json["items"]
    return found


# What is known of a flow


def test_lists_hide_settings_of_triggers_from_viewers(owner, member, make_flow, server):
    hook = {**HOOK, "config": {"path": "orders/hunter2"}}
    feed = {
        "id": "feed",
        "type": "poll",
        "config": {"url": "https://ada:hunter2@127.0.0.1:9/news?key=hunter2", "every": 30_000},
    }
    made = make_flow(definition(hook, feed), status="active")
    eventually(server, lambda: any(due["last_error"] for due in owner.get("/api/schedules").json["items"]))
    for path in ("/api/flows?brief=true", "/api/schedules", "/api/logs", "/api/metrics"):
        answer = member("viewer").get(path)
        assert answer.status_code == 200 and "hunter2" not in answer.text, answer.text
    (found,) = member("viewer").get("/api/flows?brief=true").json["items"]
    told = [{"node_id": "hook", "type": "webhook"}, {"node_id": "feed", "type": "poll"}]
    assert (found["id"], found["triggers"]) == (made["id"], told)


def test_a_flow_has_its_node_count_and_enabled_triggers(owner, make_flow):
    off = {"id": "off", "type": "manual", "disabled": True}
    odd = {"id": "odd", "type": "no_such_type"}
    make_flow(definition({"id": "start", "type": "manual"}, HOURLY, off, odd, {"id": "a", "type": "noop"}))
    found = only(owner)
    assert (found["node_count"], found["description"]) == (5, "")
    assert found["triggers"] == [{"node_id": "start", "type": "manual"}, {"node_id": "hourly", "type": "schedule"}]


def test_the_overview_of_a_flow_follows_its_definition(owner, make_flow):
    flow = make_flow(definition(HOOK))
    assert only(owner)["triggers"] == [{"node_id": "hook", "type": "webhook"}]
    owner.put(f"/api/workflows/{flow['id']}", {"definition": definition({"id": "a", "type": "noop"})})
    assert (only(owner)["triggers"], only(owner)["node_count"]) == ([], 1)
    owner.post(f"/api/workflows/{flow['id']}/restore", {"version": 1})
    assert only(owner)["triggers"] == [{"node_id": "hook", "type": "webhook"}]


def test_an_empty_draft_has_no_nodes_and_no_run(owner):
    owner.post("/api/flows", {"name": "A"})
    found = only(owner)
    assert (found["node_count"], found["triggers"], found["last_run"], found["failing"]) == (0, [], None, False)
    assert found["next_at"] is None


def test_a_brief_list_is_the_list_without_definitions(owner, make_flow, end):
    end(make_flow(definition(HOOK)))
    whole, brief = only(owner), only(owner, brief="true")
    assert json.loads(whole.pop("definition_json")) == definition(HOOK)
    assert whole == brief


@pytest.mark.parametrize("status", ["success", "failed", "running", "pending"])
@pytest.mark.parametrize("trigger", ["manual", "schedule", "webhook"])
def test_the_last_run_is_the_newest_whatever_became_of_it(owner, flow, end, status, trigger):
    end(flow, "failed", error_text="no")
    run = owner.get(f"/api/runs/{end(flow, status, triggered_by=trigger, error_text='x' * 301)}").json
    expected = {key: run[key] for key in ("id", "status", "cancelled", "started_at", "finished_at")}
    assert only(owner)["last_run"] == {**expected, "error_text": "x" * 300}


def test_a_flow_is_failing_until_a_run_ends_well_or_is_cancelled(owner, flow, end):
    end(flow, "success")
    assert only(owner)["failing"] is False
    failed = end(flow, "failed")
    end(flow, "running")
    assert only(owner)["failing"] is True and only(owner)["last_run"]["status"] == "running"
    with write():
        execute("UPDATE runs SET cancelled = 1 WHERE id = ?", (failed,))
    assert not only(owner)["failing"]
    end(flow, "failed")
    assert only(owner)["failing"]
    end(flow, "success")
    assert not only(owner)["failing"]


def test_the_next_time_is_that_of_the_first_schedule_of_an_active_flow(owner, server, make_flow):
    flow = make_flow(definition({**HOURLY, "config": {"every": 10**7}}, DAILY), status="active")
    found = eventually(server, lambda: (found := only(owner))["next_at"] and found)
    daily = Schedule.get(Schedule.node_id == "daily")
    assert found["next_at"] == iso(daily.next_at) and daily.next_at > now_ms()
    owner.put(f"/api/workflows/{flow['id']}", {"status": "draft"})
    assert only(owner)["next_at"] is None


def test_a_due_time_that_is_not_computed_yet_is_null(owner, flow):
    config = {"cron": "0 9 * * *", "timezone": "UTC", "catch_up": "last"}
    with write():
        schedules.sync(Workflow(id=flow["id"], workspace_id=owner.workspace.id), [("daily", config)], now_ms() + 10**9)
    assert only(owner)["next_at"] is None


def test_nothing_of_another_workspace_is_shown(owner, other, make_flow, end):
    end(make_flow(definition(HOOK)), "failed")
    theirs = other.post("/api/flows", {"name": "Theirs"}).json
    for query in ({}, {"sort": "last_run"}, {"failing": "false"}):
        (found,) = other.get("/api/flows", query_string=query).json["items"]
        assert found["id"] == theirs["id"] and found["last_run"] is None
    for query in ({"failing": "true"}, {"trigger": "webhook"}):
        assert other.get("/api/flows", query_string=query).json["items"] == []


# Filters


def test_the_list_can_leave_out_archived_flows(make_flow, names):
    for status in ("draft", "archived", "active"):
        make_flow(definition({**HOURLY, "config": {"every": 60}}), name=status, status=status)
    assert names(status="draft,active", sort="name") == ["active", "draft"]


def test_flows_are_filtered_by_failing_and_by_trigger(make_flow, end, names):
    bad, hook = make_flow(name="bad"), make_flow(definition(HOOK), name="hook")
    make_flow({"nodes": [{**HOOK, "disabled": True}]}, name="off")
    end(bad, "failed")
    end(hook, "success")
    assert names(failing="true") == ["bad"] and names(failing="false") == ["off", "hook"]
    assert names(trigger="webhook") == ["hook"] == names(trigger="webhook", limit=1, brief="true")
    assert names(trigger="manual") == ["bad"] and names(trigger="email_trigger") == []
    assert names(trigger="webhook", failing="true") == [] == names(trigger="webhook", status="active")
    assert names(search="HO", sort="name") == ["hook"] and names(search="%") == []


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("sort=oldest", "sort"),
        ("failing=perhaps", "failing"),
        ("brief=x", "brief"),
        ("trigger=noop", "trigger"),
        ("trigger=cron", "trigger"),
    ],
)
def test_a_wrong_filter_is_400_and_named(owner, query, name):
    answer = owner.get(f"/api/flows?{query}")
    assert answer.status_code == 400 and answer.json["error"].startswith(f"{name}: ")


# Orders


@pytest.fixture
def twelve(owner, make_flow, end):
    """Flows with names that differ only in case, some with runs, changed in another order than created."""
    chance = random.Random(5)
    texts = ["b", "A", "a", "B", "ä", "c:d", "", "C", "a", "😀", "z", "Z"]
    flows = [make_flow(name=text or "_") for text in texts]
    for flow in chance.sample(flows, 7):
        end(flow, chance.choice(["success", "failed", "running"]))
    with write():
        for flow in flows:
            # Several at the same time, so that the id decides.
            Workflow.update(updated_at=chance.randrange(3)).where(Workflow.id == flow["id"]).execute()
    return owner.get("/api/flows?limit=200").json["items"]


KEYS = {
    "newest": (lambda flow: flow["id"], True),
    "name": (lambda flow: (flow["name"].lower() if flow["name"].isascii() else flow["name"], flow["id"]), False),
    "updated": (lambda flow: (flow["updated_at"], flow["id"]), True),
    "last_run": (lambda flow: ((flow["last_run"] or {}).get("id", ""), flow["id"]), True),
}


@pytest.mark.parametrize("sort", KEYS)
@pytest.mark.parametrize("limit", [1, 2, 5, 12, 200])
def test_the_pages_of_every_order_are_together_the_flows_in_it(owner, twelve, sort, limit):
    key, downwards = KEYS[sort]
    found, cursor = [], ""
    while cursor is not None:
        answer = owner.get(f"/api/flows?sort={sort}&limit={limit}{cursor}").json
        found += answer["items"]
        cursor = answer["next_cursor"] and f"&cursor={answer['next_cursor']}"
    assert found == sorted(twelve, key=key, reverse=downwards)


def test_deletions_do_not_disturb_pagination(owner, make_flow):
    for text in "dcba":
        make_flow(name=text)
    first = owner.get("/api/flows?sort=name&limit=2").json
    owner.delete(f"/api/workflows/{first['items'][-1]['id']}")
    second = owner.get(f"/api/flows?sort=name&limit=2&cursor={first['next_cursor']}").json
    assert [flow["name"] for flow in second["items"]] == ["c", "d"]


@pytest.mark.parametrize("sort", KEYS)
@pytest.mark.parametrize("other", KEYS)
def test_a_cursor_is_of_one_order(owner, make_flow, sort, other):
    for text in "ab":
        make_flow(name=text)
    cursor = owner.get(f"/api/flows?limit=1&sort={sort}").json["next_cursor"]
    answer = owner.get(f"/api/flows?sort={other}&cursor={cursor}")
    assert answer.status_code == (200 if sort == other else 400)
    assert sort == other or answer.json["error"].startswith("cursor: ")


def test_the_number_of_questions_does_not_grow_with_the_flows(owner, make_flow, end, caplog, monkeypatch):
    # Otherwise the session is looked up again whenever the machine is busy.
    monkeypatch.setattr("packs.postgres.engine.STALE_SECONDS", PATIENCE)

    def asked():
        wait_for_changes()
        caplog.clear()
        with caplog.at_level("DEBUG", "peewee"):
            owner.get("/api/flows?limit=200&brief=true")
        # Threads of the server ask as well, whenever it is time for that.
        mine = threading.get_ident()
        return len([record for record in caplog.records if record.name == "peewee" and record.thread == mine])

    end(make_flow())
    asked()
    few = asked()
    for _ in range(20):
        end(make_flow(definition(HOOK)))
    asked()
    assert asked() == few


def test_an_old_run_is_the_last_run_if_there_is_no_newer_one(owner, flow):
    with write():
        run = runs.accept(Workflow.get(), id=first_id("run", 5), triggered_by="schedule", status="failed")
        execute(*runs.insertion(run))
    assert only(owner)["last_run"]["id"] == run.id and only(owner)["failing"]


def test_a_page_of_long_definitions_is_shorter_and_the_pages_together_are_all(owner, make_flow, names, monkeypatch):
    made = [f"f{number}" for number in range(5)]
    for name in made:
        make_flow(definition({"id": "a", "type": "noop", "notes": "x" * 1_000}), name=name)
    monkeypatch.setattr(workflows, "MAX_CHARACTERS", 2_500)
    for sort in ("newest", "name", "updated", "last_run"):
        assert len(owner.get(f"/api/flows?sort={sort}").json["items"]) == 2
        assert len(owner.get(f"/api/flows?sort={sort}&brief=true").json["items"]) == 5
        assert sorted(names(sort=sort)) == made
    monkeypatch.setattr(workflows, "MAX_CHARACTERS", 10)
    assert sorted(names()) == made
