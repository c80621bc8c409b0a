"""Variables and the time zone of a workspace: what runs and schedules see of them, and when."""

import pytest
from strict_answers import check_shape
from test_resume_links import ended
from world import flow, node

from database import write
from database.base import first_id
from database.queries.store import WorkspaceStore
from database.queries.workspace_variables import find_variables as find
from models import Schedule, VariableSet

pytestmark = pytest.mark.usefixtures("shared_server")

SHOWS = flow(node("out", "set", {"values": {"rate": "{{ vars.rate }}"}}))
ASKS = {
    "nodes": [
        node("before", "set", {"values": {"rate": "{{ vars.rate }}"}}),
        node("ask", "approval", {"message": "Go?"}),
        node("after", "set", {"values": {"before": "{{ steps.before.rate }}", "after": "{{ vars.rate }}"}}),
    ],
    "edges": [["before", "ask"], ["ask", "after", "approved"]],
}


def put(client, name, value):
    answer = client.put(f"/api/variables/{name}", {"value": value})
    assert answer.status_code == 200, answer.text
    return answer.json


def run(client, made, **body):
    return client.post(f"/api/workflows/{made['id']}/run", body).json


def test_a_variable_is_set_listed_and_deleted(owner):
    assert put(owner, "rate", {"eur": [1.08, None]}) == {"name": "rate", "value": {"eur": [1.08, None]}}
    put(owner, "name", "Shop")
    assert owner.get("/api/variables").json["items"] == [
        {"name": "name", "value": "Shop"},
        {"name": "rate", "value": {"eur": [1.08, None]}},
    ]
    assert owner.delete("/api/variables/rate").status_code == 204
    check_shape(owner.delete("/api/variables/rate"), 404)
    check_shape(owner.put("/api/variables/1a", {"value": 1}), 400)
    check_shape(owner.put("/api/variables/a", {"value": "x" * 70_000}), 413)
    assert [one["name"] for one in owner.get("/api/variables").json["items"]] == ["name"]


def test_the_next_run_uses_a_variable_and_a_flows_own_comes_first(owner, make_flow):
    made, own = make_flow(SHOWS), make_flow({**SHOWS, "settings": {"vars": {"rate": 9}}})
    assert "rate" in run(owner, made)["error_text"]
    for value in (1.5, {"a": 1}, "x"):
        put(owner, "rate", value)
        assert run(owner, made)["output"] == {"rate": value}
    assert run(owner, own)["output"] == {"rate": 9}


def test_a_resumed_run_keeps_the_values_of_its_start(owner, make_flow):
    put(owner, "rate", "old")
    waiting = run(owner, make_flow(ASKS))
    for value in ("newer", "newest"):
        put(owner, "rate", value)
    owner.delete("/api/variables/rate")
    owner.post(f"/api/runs/{waiting['id']}/resume", {"answer": "approved"})
    assert ended(owner, waiting)["output"] == {"before": "old", "after": "old"}


def test_variables_of_another_workspace_are_not_seen(owner, other, make_flow):
    put(other, "rate", 1)
    assert "rate" in run(owner, make_flow(SHOWS))["error_text"]
    assert owner.get("/api/variables").json["items"] == []


def test_old_sets_are_dropped_and_the_oldest_left_counts_for_older_runs(owner):
    place = owner.workspace.id
    with write():
        for at in range(1, 51):
            VariableSet.create(workspace_id=place, effective_at=at, variables=f'{{"n":{at}}}')
    assert [find(place, first_id("run", at))["n"] for at in (0, 1, 25, 99)] == [1, 1, 25, 50]
    put(owner, "m", 0)
    assert VariableSet.select().count() == 50 and find(place, first_id("run", 1))["n"] == 2


def test_a_preview_knows_them(owner, make_flow):
    put(owner, "rate", 7)
    body = {"workflow_id": make_flow(SHOWS)["id"], "node_id": "out", "template": "{{ vars.rate + 1 }}"}
    answer = owner.post("/api/expressions/preview", body)
    assert "8" in answer.text, answer.text


# The time zone


def set_zone(client, zone):
    return client.patch(f"/api/workspaces/{client.workspace.id}", {"timezone": zone})


def schedule(cron="0 8 * * *", zone=None, flow_zone=None):
    config = {"cron": cron, **({"timezone": zone} if zone else {})}
    return flow(node("at", "schedule", config), **({"timezone": flow_zone} if flow_zone else {}))


def zones():
    return sorted(row.timezone for row in Schedule.select())


def test_schedules_without_a_time_zone_follow_the_workspace(owner, make_flow):
    for definition in (schedule(), schedule(zone="Asia/Tokyo"), schedule(flow_zone="Europe/Paris")):
        make_flow(definition, status="active")
    assert zones() == ["Asia/Tokyo", "Europe/Paris", "UTC"]
    answer = set_zone(owner, "Europe/Berlin")
    assert answer.json["timezone"] == "Europe/Berlin", answer.text
    assert zones() == ["Asia/Tokyo", "Europe/Berlin", "Europe/Paris"]
    make_flow(schedule(), status="active")
    assert zones() == ["Asia/Tokyo", "Europe/Berlin", "Europe/Berlin", "Europe/Paris"]
    set_zone(owner, "Europe/Paris")
    set_zone(owner, "America/Lima")
    assert zones() == ["America/Lima", "America/Lima", "Asia/Tokyo", "Europe/Paris"]


def test_a_time_zone_that_does_not_exist_is_400(owner):
    check_shape(set_zone(owner, "Mars/Olympus"), 400)
    assert owner.get("/api/workspaces").json["items"][0]["timezone"] == "UTC"


def test_only_the_owner_sets_it(member):
    check_shape(set_zone(member("editor"), "Europe/Berlin"), 403)


# The key-value store over HTTP


def test_entries_of_the_store_are_listed_set_and_deleted(owner):
    store = WorkspaceStore(owner.workspace.id)
    for key in ("rates/chf", "rates/usd", "visits"):
        store.set(key, {"n": 1})
    answer = owner.put("/api/store/rates/eur", {"value": [1, None], "ttl": 60})
    assert answer.status_code == 200 and answer.json["value"] == [1, None] and answer.json["expires_at"]
    assert store.get("rates/eur") == [1, None]
    page = owner.get("/api/store?prefix=rates/&limit=2").json
    assert [entry["key"] for entry in page["items"]] == ["rates/chf", "rates/eur"]
    page = owner.get(f"/api/store?prefix=rates/&limit=2&cursor={page['next_cursor']}").json
    assert ([entry["key"] for entry in page["items"]], page["next_cursor"]) == (["rates/usd"], None)
    assert owner.delete("/api/store/visits").status_code == 204
    check_shape(owner.delete("/api/store/visits"), 404)
    check_shape(owner.put("/api/store/big", {"value": "x" * 100_000}), 413)
