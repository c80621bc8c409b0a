"""Flows, their list, and the flows that a flow calls."""

import json
import random
import threading
import time

import pytest
from engines import wait_for_changes
from strict_answers import check_shape
from world import PATIENCE, at_once

from api import workflows
from database import execute, write
from database.base import first_id, now_ms
from database.queries import runs, schedules
from dispatch.process_limits import RequestLimit
from fields import iso
from models import Schedule, User, Workflow, WorkflowVersion

pytestmark = pytest.mark.usefixtures("shared_server")


A = {"nodes": [{"id": "a", "type": "noop"}], "edges": []}
B = {"nodes": [{"id": "b", "type": "noop"}], "edges": []}
INCOMPLETE = {"nodes": [{"id": "a", "type": "set"}, {"id": "b", "type": "no_such_type"}]}


def put(client, flow, body, status=200):
    answer = client.put(f"/api/workflows/{flow['id']}", body)
    assert answer.status_code == status, answer.text
    return answer.json


def test_a_new_flow_is_an_empty_draft_of_version_1_by_default(owner):
    flow = owner.post("/api/flows", {"name": "A"}).json
    assert (flow["status"], flow["version"]) == ("draft", 1)
    assert json.loads(flow["definition_json"]) == {"nodes": [], "edges": []}


@pytest.mark.parametrize("body", [{"definition": A}, {"definition_json": json.dumps(A)}])
def test_a_definition_is_given_as_an_object_or_as_text(owner, body):
    flow = owner.post("/api/flows", {"name": "A", **body}).json
    assert json.loads(flow["definition_json"]) == A


def test_a_definition_given_as_text_is_returned_unchanged(owner):
    text = '{ "nodes": [ {"id":"a" , "type":"noop"} ] }'
    assert owner.post("/api/flows", {"name": "A", "definition_json": text}).json["definition_json"] == text


def test_both_forms_of_a_definition_at_once_are_400(owner):
    body = {"name": "A", "definition": A, "definition_json": json.dumps(A)}
    assert owner.post("/api/flows", body).status_code == 400


@pytest.mark.parametrize("name", ["ä", "日本語", "😀", "a" * 200, "<script>", "'; DROP TABLE workflows; --"])
def test_a_name_may_be_any_text(owner, name):
    made = owner.post("/api/flows", {"name": name}).json
    assert owner.get(f"/api/workflows/{made['id']}").json["name"] == name


WRONG = [
    ({"name": None}, "name"),
    ({"name": 1}, "name"),
    ({"name": ""}, "name"),
    ({"name": "a" * 201}, "name"),
    ({"name": "a\0b"}, "name"),
    ({"name": ["a"]}, "name"),
    ({"status": "deleted"}, "status"),
    ({"status": 1}, "status"),
    ({"definition": None}, "definition"),
    ({"definition": 1}, "definition"),
    ({"definition": []}, "definition"),
    ({"definition": "{}"}, "definition"),
    ({"definition_json": {}}, "definition_json"),
    ({"definition_json": None}, "definition_json"),
    ({"definition_json": ""}, "definition_json"),
    ({"definition_json": "{"}, "definition_json"),
    ({"definition_json": "null"}, "definition"),
    ({"definition_json": "[]"}, "definition"),
    ({"definition_json": '{"a": NaN}'}, "definition_json"),
    ({"definition_json": '{"a": "\\ud800"}'}, "definition_json"),
    ({"definition_json": "[" * 100_000}, "definition_json"),
    ({"definition_json": '{"a":' + "[" * 200 + "]" * 200 + "}"}, "definition_json"),
]


@pytest.mark.parametrize(("change", "field"), WRONG, ids=[str(change)[:40] for change, _ in WRONG])
def test_a_wrong_flow_is_400_names_the_field_and_leaves_nothing(owner, flow, count_rows, change, field):
    before, rows = count_rows(), owner.get(f"/api/workflows/{flow['id']}").json
    for answer in (
        owner.post("/api/flows", {"name": "A", **change}),
        owner.put(f"/api/workflows/{flow['id']}", change),
    ):
        assert answer.status_code == 400 and field in answer.json["error"], answer.text
    assert count_rows() == before
    assert owner.get(f"/api/workflows/{flow['id']}").json == rows


# What a draft may be, and what must be right in any case

MALFORMED = [
    ({"nodes": [{"id": "a", "type": "noop"}, {"id": "a", "type": "noop"}]}, "nodes[1].id", "'a'"),
    ({"nodes": [{"type": "noop"}]}, "nodes[0].id", "required"),
    ({"nodes": [{"id": "a b", "type": "noop"}]}, "nodes[0].id", "letters"),
    ({"nodes": [{"id": "1a", "type": "noop"}]}, "nodes[0].id", "digit"),
    ({"nodes": [{"id": "ä", "type": "noop"}]}, "nodes[0].id", "letters"),
    ({"nodes": [{"id": "a\n", "type": "noop"}]}, "nodes[0].id", "letters"),
    ({"nodes": [{"id": 1, "type": "noop"}]}, "nodes[0].id", "letters"),
    ({"nodes": [{"id": "a" * 65, "type": "noop"}]}, "nodes[0].id", "letters"),
    ({"nodes": [{"id": "a"}]}, "nodes[0].type", "required"),
    ({"nodes": ["a"]}, "nodes[0]", "object"),
    ({"nodes": {"a": {}}}, "nodes", "list"),
    ({**A, "edges": {}}, "edges", "list"),
    ({**A, "edges": ["a"]}, "edges[0]", "from"),
    ({**A, "edges": [["a"]]}, "edges[0]", "from"),
    ({**A, "edges": [["a", "b"]]}, "edges[0].to", "'b'"),
    ({**A, "edges": [{"from": "x", "to": "a"}]}, "edges[0].from", "'x'"),
    ({**A, "edges": [["a", "a"]]}, "edges", "a -> a"),
    (
        {"nodes": [{"id": "a", "type": "noop"}, {"id": "b", "type": "noop"}], "edges": [["a", "b"], ["b", "a"]]},
        "edges",
        "cycle",
    ),
    (
        {"nodes": [{"id": "a", "type": "noop"}, {"id": "b", "type": "noop"}], "edges": [["a", "b"], ["a", "b"]]},
        "edges[1]",
        "duplicate",
    ),
]


@pytest.mark.parametrize(("definition", "path", "word"), MALFORMED, ids=[str(row[1:]) for row in MALFORMED])
@pytest.mark.parametrize("status", ["draft", "active"])
def test_a_malformed_graph_is_400_with_its_node_or_edge(owner, count_rows, status, definition, path, word):
    before = count_rows()
    answer = owner.post("/api/flows", {"name": "A", "status": status, "definition": definition})
    assert answer.status_code == 400
    assert any(item["path"] == path and word in item["message"] for item in answer.json["details"]), answer.text
    assert count_rows() == before


def test_a_draft_may_be_incomplete(owner):
    assert owner.post("/api/flows", {"name": "A", "definition": INCOMPLETE}).status_code == 201


def test_an_active_flow_must_be_complete_and_the_answer_names_node_and_field(owner):
    answer = owner.post("/api/flows", {"name": "A", "status": "active", "definition": INCOMPLETE})
    assert answer.status_code == 400
    found = {(item["node_id"], item["path"]) for item in answer.json["details"]}
    assert found == {("a", "nodes[0].config.values"), ("b", "nodes[1].type")}


def test_a_draft_that_is_incomplete_cannot_become_active(owner, make_flow):
    flow = make_flow(INCOMPLETE)
    put(owner, flow, {"status": "active"}, 400)
    assert owner.get(f"/api/workflows/{flow['id']}").json["status"] == "draft"


def test_a_draft_becomes_active_together_with_the_definition_that_makes_it_complete(owner, make_flow):
    flow = make_flow(INCOMPLETE)
    assert put(owner, flow, {"status": "active", "definition": A})["status"] == "active"


def test_an_active_flow_refuses_a_definition_that_is_incomplete(owner, make_flow):
    flow = make_flow(A, status="active")
    put(owner, flow, {"definition": INCOMPLETE}, 400)
    assert owner.get(f"/api/workflows/{flow['id']}").json == flow


def test_a_flow_without_nodes_cannot_be_active(owner):
    assert owner.post("/api/flows", {"name": "A", "status": "active"}).status_code == 400


# Versions


def test_a_new_definition_is_the_next_version(owner, make_flow):
    flow = make_flow(A)
    assert [put(owner, flow, {"definition": definition})["version"] for definition in (B, A, B)] == [2, 3, 4]


@pytest.mark.parametrize("body", [{"name": "New"}, {"status": "active"}, {"status": "archived"}, {}])
def test_a_change_that_is_not_of_the_definition_keeps_the_version(owner, make_flow, body):
    assert put(owner, make_flow(A), body)["version"] == 1


@pytest.mark.parametrize(
    "body",
    [
        {"definition": A},
        {"definition_json": json.dumps(A)},
        {"definition_json": json.dumps(A, indent=4)},
        {"definition": {"edges": [], "nodes": A["nodes"]}},
    ],
)
def test_the_same_definition_again_keeps_the_version(owner, make_flow, body):
    assert put(owner, make_flow(A), body)["version"] == 1


def test_a_put_changes_only_what_it_names(owner, make_flow):
    flow = make_flow(A)
    changed = put(owner, flow, {"name": "New"})
    assert {key for key in flow if flow[key] != changed[key]} <= {"name", "updated_at"}
    assert changed["name"] == "New" and changed["updated_at"] >= flow["updated_at"]


def test_a_flow_that_was_read_can_be_sent_back_with_a_change(owner, make_flow):
    flow = make_flow(A)
    assert put(owner, flow, {**flow, "name": "New"})["name"] == "New"


def test_a_flow_that_was_read_can_be_sent_as_a_new_one(owner, make_flow):
    answer = owner.post("/api/flows", make_flow(A))
    assert answer.status_code == 201 and answer.json["version"] == 1


def test_an_import_refuses_a_flow_that_the_workspace_has_and_says_which(owner, other, make_flow, count_rows):
    definition = {"nodes": [{"id": "a", "type": "manual"}], "edges": []}
    flow = make_flow(definition, name="Orders")
    copy = {"name": "Copy", "definition_json": '{"edges": [], "nodes": [{"type": "manual", "id": "a"}]}'}
    answer = owner.post("/api/flows", {**copy, "refuse_copy": True})
    assert answer.status_code == 409 and f"'Orders' ({flow['id']})" in answer.json["error"]
    assert count_rows()["workflows"] == 1
    changed = {"name": "Changed", "definition": {**definition, "settings": {"timeout": 1}}, "refuse_copy": True}
    assert owner.post("/api/flows", changed).status_code == 201
    assert other.post("/api/flows", {**copy, "refuse_copy": True}).status_code == 201
    assert owner.post("/api/flows", copy).status_code == 201


def test_a_put_cannot_move_a_flow_or_change_its_id(owner, other, flow):
    changed = put(owner, flow, {"id": "wf_x", "workspace_id": other.workspace.id, "created_at": "2000-01-01T00:00:00Z"})
    assert [changed[key] for key in ("id", "workspace_id", "created_at")] == [
        flow[key] for key in ("id", "workspace_id", "created_at")
    ]


@pytest.mark.parametrize("version", [2, 99, 2**31])
def test_a_version_that_is_not_the_present_one_is_409_and_changes_nothing(owner, make_flow, version):
    flow = make_flow(A)
    put(owner, flow, {"name": "New", "definition": B, "version": version}, 409)
    assert owner.get(f"/api/workflows/{flow['id']}").json == flow


@pytest.mark.parametrize("version", [0, -1, "1", 1.5, None, True, 2**63, 10**30])
def test_a_version_that_cannot_be_is_400(owner, flow, version):
    assert put(owner, flow, {"version": version}, 400)["error"].startswith("version: ")


def test_the_second_of_two_writers_with_the_same_version_is_409(owner, make_flow):
    flow = make_flow(A)
    put(owner, flow, {"definition": B, "version": 1})
    put(owner, flow, {"definition": INCOMPLETE, "version": 1}, 409)


def test_of_many_writers_at_once_exactly_one_wins(app, owner, make_flow, token_client):
    flow = make_flow(A)
    clients = [token_client("editor") for _ in range(6)]

    def write(number):
        definition = {"nodes": [{"id": f"n{number}", "type": "noop"}]}
        body = {"definition": definition, "version": 1}
        return clients[number].put(f"/api/workflows/{flow['id']}", body).status_code

    answers = at_once(6, write)
    assert sorted(answers) == [200] + [409] * 5
    assert WorkflowVersion.select().where(WorkflowVersion.workflow_id == flow["id"]).count() == 2


def test_every_version_can_be_read_with_its_author(owner, make_flow):
    flow = make_flow(A)
    put(owner, flow, {"definition": B})
    items = owner.get(f"/api/workflows/{flow['id']}/versions").json["items"]
    assert [(item["version"], json.loads(item["definition_json"])) for item in items] == [(2, B), (1, A)]
    one = owner.get(f"/api/workflows/{flow['id']}/versions/1").json
    assert one == items[1] and one["created_by"] == owner.user.id


def test_an_earlier_version_is_restored_as_the_next_one(owner, make_flow):
    flow = make_flow(A)
    put(owner, flow, {"definition": B})
    restored = owner.post(f"/api/workflows/{flow['id']}/restore", {"version": 1})
    assert restored.status_code == 200
    assert restored.json["version"] == 3 and json.loads(restored.json["definition_json"]) == A


@pytest.mark.parametrize(
    ("version", "status"), [(9, 404), (0, 400), ("1", 400), (None, 400), (10**30, 400), (1.5, 400)]
)
def test_a_version_that_is_not_there_cannot_be_restored(owner, flow, version, status):
    assert owner.post(f"/api/workflows/{flow['id']}/restore", {"version": version}).status_code == status


def test_an_active_flow_takes_no_incomplete_version_back(owner, make_flow):
    flow = make_flow(INCOMPLETE)
    put(owner, flow, {"definition": A, "status": "active"})
    assert owner.post(f"/api/workflows/{flow['id']}/restore", {"version": 1}).status_code == 400


# Lists, deleting, checking


def test_flows_are_found_by_status_and_by_letters_of_their_name(owner):
    for name, status in (("Order 100%", "draft"), ("order_intake", "archived"), ("Mail", "archived")):
        owner.post("/api/flows", {"name": name, "status": status})

    def names(query):
        return [flow["name"] for flow in owner.get(f"/api/flows?{query}").json["items"]]

    assert names("status=archived") == ["Mail", "order_intake"]
    assert names("search=ORDER") == ["order_intake", "Order 100%"]
    assert names("search=%25") == ["Order 100%"]
    assert names("search=_") == ["order_intake"]
    assert names("search=order&status=draft") == ["Order 100%"]


def test_a_flow_of_another_workspace_is_not_listed(owner, other, flow):
    assert other.get("/api/flows").json["items"] == []


def test_the_runs_of_a_deleted_flow_stay(owner, run):
    owner.delete(f"/api/workflows/{run['workflow_id']}")
    assert owner.get(f"/api/runs/{run['id']}").json["workflow_name"] == "Echo"


def test_a_flow_can_be_deleted_only_once(owner, flow):
    assert owner.delete(f"/api/workflows/{flow['id']}").status_code == 204
    assert owner.delete(f"/api/workflows/{flow['id']}").status_code == 404


def test_validation_returns_the_errors_by_node_and_saves_nothing(owner, count_rows):
    before = count_rows()
    answer = owner.post("/api/workflows/validate", {"definition": INCOMPLETE})
    assert answer.status_code == 200 and answer.json["ok"] is False
    assert {issue["node_id"] for issue in answer.json["issues"]} == {"a", "b"}
    assert all({"level", "node_id", "path", "message"} <= set(issue) for issue in answer.json["issues"])
    assert count_rows() == before


def test_checking_a_good_definition_finds_nothing(owner):
    outline = {"branches": [], "unnamed": True, "trigger": False, "waits": False}
    answer = owner.post("/api/workflows/validate", {"definition": A}).json
    assert answer == {"ok": True, "issues": [], "nodes": {"a": outline}}


def test_validation_returns_the_branches_of_nodes_of_invalid_definitions(owner):
    broken = {"nodes": [{"id": "a", "type": "if"}, {"id": "b", "type": "nothing"}], "edges": [["a", "z"]]}
    answer = owner.post("/api/workflows/validate", {"definition": broken}).json
    assert not answer["ok"] and answer["nodes"]["a"]["branches"] == ["true", "false"] and "b" not in answer["nodes"]


@pytest.mark.parametrize("definition", [1, "x", [], {}, {"nodes": 1}, {"nodes": [], "no_key": 1}])
def test_checking_takes_any_json_and_finds_something(owner, definition):
    answer = owner.post("/api/workflows/validate", {"definition": definition})
    assert answer.status_code == 200 and answer.json["issues"]


def test_no_larger_definition_is_checked_than_one_that_is_saved_may_be(owner, server):
    most = server.config.max_definition_bytes
    large = {"nodes": [{"id": "a", "type": "noop", "notes": "x" * most}], "edges": []}
    checked = owner.post("/api/workflows/validate", {"definition": large})
    saved = owner.post("/api/flows", {"name": "A", "definition": large})
    assert checked.status_code == saved.status_code == 413 and checked.json == saved.json


# Places for what takes long


def ask_to_check(client):
    return client.post("/api/workflows/validate", {"definition": A})


def test_a_user_over_the_limit_of_validations_is_refused_and_others_are_not(owner, member, monkeypatch):
    places = RequestLimit("to check definitions", 2, 1, 0.01)
    monkeypatch.setattr(workflows, "CHECKS", places)
    viewer = member("viewer")
    with places.taken(viewer.user.id):
        refused = ask_to_check(viewer)
        assert refused.status_code == 429 and refused.headers["Retry-After"] == "1"
        assert ask_to_check(owner).status_code == 200
        with places.taken("somebody else"):
            full = ask_to_check(owner)
            assert full.status_code == 503 and full.headers["Retry-After"] == "1"
    assert ask_to_check(viewer).status_code == 200


def test_only_a_large_definition_needs_a_place_to_be_saved(owner, monkeypatch):
    places = RequestLimit("to save large definitions", 1, 1, 0.01)
    monkeypatch.setattr(workflows, "SAVES", places)
    large = {"nodes": [{"id": "a", "type": "noop", "notes": "x" * workflows.LARGE}], "edges": []}
    made = owner.post("/api/flows", {"name": "A", "definition": A}).json
    with places.taken(User.get().id):
        assert owner.post("/api/flows", {"name": "B", "definition": A}).status_code == 201
        assert owner.post("/api/flows", {"name": "B", "definition": large}).status_code == 429
        put(owner, made, {"definition": large}, 429)
        assert owner.post(f"/api/workflows/{made['id']}/run", {"definition": large}).status_code == 429
    large = put(owner, made, {"definition": large})
    put(owner, made, {"definition": A})
    with places.taken("somebody else"):
        assert owner.post(f"/api/workflows/{made['id']}/restore", {"version": large["version"]}).status_code == 503
        put(owner, made, {"name": "C"})


# The list of flows, as the app requests it: sorted, filtered, and with the overview of each flow


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
        if server.scheduler.poller is not None:
            server.scheduler.poller.tick()
        if found := look():
            return found
        time.sleep(0.02)
    raise AssertionError("it never comes")


def only(owner, **query):
    (found,) = owner.get("/api/flows", query_string=query).json["items"]
    return found


# What is known of a flow


@pytest.mark.pack("polls")
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


def test_a_flow_that_is_only_a_draft_has_the_nodes_of_the_draft(owner):
    flow = owner.post("/api/flows", {"name": "A"}).json
    draft = definition(HOOK, {"id": "a", "type": "noop"})
    owner.put(f"/api/workflows/{flow['id']}/draft", {"base_version": 1, "revision": 0, "definition": draft})
    found = only(owner)
    assert (found["node_count"], found["triggers"]) == (2, [{"node_id": "hook", "type": "webhook"}])


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
    assert names(trigger="manual") == ["bad"] and names(trigger="schedule") == []
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


# Calls between flows: a called flow cannot be deleted, and a missing one is a warning


AGENT = {"id": "caller", "name": "Caller", "instructions": "Do.", "model": "test"}


def calls(workflow_id, **node):
    config = {"workflow_id": workflow_id}
    return {"nodes": [{"id": "call", "type": "subflow", "config": config, **node}], "edges": []}


def tells(workflow_id):
    nodes = [{"id": "start", "type": "manual"}]
    return {"nodes": nodes, "edges": [], "settings": {"error_workflow_id": workflow_id}}


ERROR = {"nodes": [{"id": "failed", "type": "error"}], "edges": []}


def warning(path, message, node_id=None):
    return {"path": path, "message": message, "node_id": node_id, "level": "warning"}


def delete(owner, flow):
    return owner.delete(f"/api/workflows/{flow['id']}")


# Deleting


@pytest.mark.parametrize("definition", [calls, tells])
def test_a_flow_that_an_active_flow_calls_is_not_deleted(owner, make_flow, flow, definition):
    caller = make_flow(definition(flow["id"]), status="active", name="Orders")
    assert "called by the active flow 'Orders'" in check_shape(delete(owner, flow), 409)
    assert Workflow.find(flow["id"]) is not None
    owner.put(f"/api/workflows/{caller['id']}", {"status": "draft"})
    assert delete(owner, flow).status_code == 204


@pytest.mark.pack("agents")
def test_a_flow_that_an_agent_may_run_is_not_deleted(owner, flow):
    tools = [{"type": "run_flow", "workflows": [flow["id"]]}]
    assert owner.post("/api/agents", {**AGENT, "tools": tools}).status_code == 201
    assert "the agent 'Caller'" in check_shape(delete(owner, flow), 409)
    owner.put("/api/agents/caller", AGENT)
    assert delete(owner, flow).status_code == 204


def test_the_first_callers_are_named(owner, make_flow, flow):
    for number in range(7):
        make_flow(calls(flow["id"]), status="active", name=f"Orders {number}")
    message = check_shape(delete(owner, flow), 409)
    assert message.count("the active flow") == 5 and message.endswith(" and others")


def test_only_active_callers_of_the_workspace_prevent_a_deletion(owner, other, make_flow, flow):
    make_flow(calls(flow["id"]), name="A draft")
    make_flow(calls(flow["id"], disabled=True), status="active", name="Switched off")
    text = {"nodes": [{"id": "a", "type": "log", "config": {"message": flow["id"]}}], "edges": []}
    make_flow(text, status="active", name="Only mentions it")
    make_flow(calls(flow["id"]), who=other, status="active", name="Elsewhere")
    assert delete(owner, flow).status_code == 204


def test_a_flow_that_calls_itself_can_be_deleted(owner, flow):
    path = f"/api/workflows/{flow['id']}"
    assert owner.put(path, {"definition": calls(flow["id"]), "status": "active"}).status_code == 200
    assert owner.delete(path).status_code == 204


# Naming one that is not there


def test_checking_saving_and_activating_a_flow_warn_of_flows_that_are_missing(owner, make_flow):
    definition = calls("wf_nobody") | {"settings": {"error_workflow_id": "wf_none"}}
    warnings = [
        warning("nodes[0].config.workflow_id", "there is no flow 'wf_nobody' in this workspace", "call"),
        warning("settings.error_workflow_id", "there is no flow 'wf_none' in this workspace"),
    ]
    checked = owner.post("/api/workflows/validate", {"definition": definition}).json
    assert (checked["ok"], checked["issues"]) == (True, warnings)
    saved = make_flow(definition)
    assert saved["warnings"] == warnings
    answer = owner.put(f"/api/workflows/{saved['id']}", {"status": "active"})
    assert answer.status_code == 200 and answer.json["warnings"] == warnings


def test_a_flow_of_another_workspace_is_not_found(owner, other, make_flow):
    theirs = make_flow(who=other)
    (found,) = make_flow(calls(theirs["id"]))["warnings"]
    assert "there is no flow" in found["message"] and "Echo" not in found["message"]


def test_one_that_cannot_be_started_is_warned_of_by_its_name(owner, make_flow):
    archived, draft = make_flow(name="Old"), make_flow(ERROR, name="Told")
    owner.put(f"/api/workflows/{archived['id']}", {"status": "archived"})
    (called,) = make_flow(calls(archived["id"]))["warnings"]
    assert called["message"] == "the flow 'Old' is archived and cannot be called"
    (told,) = make_flow(tells(draft["id"]))["warnings"]
    assert told["message"].startswith("the flow 'Told' is not active")


def test_calls_of_existing_flows_cause_no_warning(owner, make_flow, flow):
    told = make_flow(ERROR, status="active")
    assert "warnings" not in make_flow(calls(flow["id"]) | {"settings": {"error_workflow_id": told["id"]}})
