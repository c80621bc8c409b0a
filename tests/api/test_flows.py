"""Flows: their definitions, versions and states."""

import json

import pytest
from world import at_once

from api import workflows
from dispatch.limits import RequestLimit
from models import User, WorkflowVersion

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
