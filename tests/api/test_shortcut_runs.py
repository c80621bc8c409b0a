"""Runs started by API token in the server's loop: the served requests, and the same responses as by the view."""

import pytest

from database import execute
from models import Run, Step, Workflow

ADD = {
    "nodes": [
        {"id": "start", "type": "manual"},
        {"id": "sum", "type": "set", "config": {"values": {"sum": "{{ input.a + input.b }}"}}},
    ],
    "edges": [["start", "sum"]],
}
GOOD = {"input": {"a": 2, "b": 3}}
# What differs between two runs of the same.
OWN = {"id", "created_at", "started_at", "finished_at", "duration_ms", "duration_us", "run_id"}


@pytest.fixture
def program(app, token_client):
    """A client with an API token of the role operator."""
    return token_client("operator")


@pytest.fixture
def path(make_flow):
    return f"/api/workflows/{make_flow(ADD)['id']}/run"


def without(row, *names):
    return {name: value for name, value in row.items() if name not in {*OWN, *names}}


@pytest.mark.parametrize("query", ["", "?wait=1", "?wait=60", "?wait=2.5"])
def test_a_quick_run_by_token_is_answered_with_its_end(behind, program, path, query):
    answer = program.post(path + query, GOOD)
    assert (answer.status_code, answer.json["status"], answer.json["output"]) == (200, "success", {"sum": 5})
    assert behind.taken == 1
    run = Run.find(answer.json["id"])
    assert (run.status, run.claims, run.lease_owner, run.triggered_by) == ("success", 1, None, "manual")
    assert [step.node_id for step in Step.select().order_by(Step.seq)] == ["start", "sum"]


@pytest.mark.parametrize("body", [GOOD, {"input": {"a": "x"}}, {"input": None}, {}, None])
def test_it_answers_and_records_as_the_view_does(behind, program, path, body, app):
    here = program.post(path, body)
    assert behind.taken == 1
    app.wsgi_app = behind.wsgi_app
    there = program.post(path, body)
    assert without(here.json) == without(there.json)
    seen = [{name: value for name, value in answer.headers if name != "Content-Length"} for answer in (here, there)]
    assert (here.status, seen[0]) == (there.status, seen[1])
    rows = [[without(row.__data__) for row in Step.select().where(Step.run_id == id_).order_by(Step.seq)]
            for id_ in (here.json["id"], there.json["id"])]  # fmt: skip
    assert rows[0] == rows[1]
    first, second = (Run.find(answer.json["id"]).__data__ for answer in (here, there))
    assert without(first) == without(second)
    (counted,) = execute("SELECT total, success, failed FROM run_days").fetchall()
    assert counted in ((2, 2, 0), (2, 0, 2))


@pytest.mark.parametrize(
    ("query", "body", "headers"),
    [
        ("?wait=0", GOOD, {}),
        ("?wait=0.5", GOOD, {}),
        ("?wait=61", GOOD, {}),
        ("?wait=nan", GOOD, {}),
        ("?wait=1&wait=2", GOOD, {}),
        ("?other=1", GOOD, {}),
        ("", {**GOOD, "until": "start"}, {}),
        ("", {**GOOD, "nonsense": 1}, {}),
        ("", [1], {}),
        ("", GOOD, {"Idempotency-Key": "once"}),
        ("", GOOD, {"X-Workspace-Id": "ws_other"}),
        ("", GOOD, {"Authorization": "Bearer hr_wrong"}),
        ("", GOOD, {"Authorization": "Basic YTpi"}),
    ],
)  # fmt: skip
def test_unusual_requests_are_left_to_the_view(behind, program, path, query, body, headers, app):
    answer = program.post(path + query, body, headers=headers)
    assert behind.taken == 0
    made = Run.select().count()
    app.wsgi_app = behind.wsgi_app
    again = program.post(path + query, body, headers=headers)
    # A caller who does not wait may see the end of the run or not.
    codes = {again.status_code, answer.status_code}
    assert len(codes) == 1 or (query == "?wait=0" and codes == {200, 202})
    assert made == (answer.status_code < 300)


def test_a_session_is_left_to_the_view(behind, owner, path):
    assert owner.post(path, GOOD).status_code == 200
    assert behind.taken == 0


@pytest.mark.parametrize("status", ["draft", "active"])
def test_a_flow_that_is_archived_starts_no_more(behind, program, make_flow, owner, status):
    flow = make_flow(ADD, status=status)["id"]
    assert program.post(f"/api/workflows/{flow}/run", GOOD).status_code == 200
    owner.put(f"/api/workflows/{flow}", {"status": "archived"})
    assert program.post(f"/api/workflows/{flow}/run", GOOD).status_code == 409
    assert behind.taken == 1


def test_a_token_that_was_withdrawn_starts_no_run(behind, owner, app, path):
    made = owner.post("/api/tokens", {"name": "ci", "role": "operator"}).json
    client, headers = app.test_client(), {"Authorization": f"Bearer {made['token']}"}
    assert client.post(path, GOOD, headers=headers).status_code == 200
    assert owner.delete(f"/api/tokens/{made['id']}").status_code == 204
    assert client.post(path, GOOD, headers=headers).status_code == 401
    assert behind.taken == 1


def test_a_viewer_may_not_run_it(behind, token_client, path):
    assert token_client("viewer").post(path, GOOD).status_code == 403
    assert behind.taken == 0


def test_a_flow_of_another_workspace_is_not_run(behind, program, other, make_flow):
    foreign = make_flow(ADD, other)["id"]
    assert program.post(f"/api/workflows/{foreign}/run", GOOD).status_code == 403
    assert program.post("/api/workflows/wf_nothing/run", GOOD).status_code == 404
    assert behind.taken == 0


def test_an_input_that_the_trigger_does_not_take_is_left_to_the_view(behind, program, make_flow):
    asking = {"nodes": [{"id": "a", "type": "manual", "config": {"input_schema": {"type": "object"}}}], "edges": []}
    flow = make_flow(asking)["id"]
    assert program.post(f"/api/workflows/{flow}/run", {"input": 3}).status_code == 422
    assert program.post(f"/api/workflows/{flow}/run", {"input": {}}).status_code == 200
    assert Workflow.select().count() == 1


def test_a_run_that_takes_longer_is_executed_once_by_the_view(behind, program, make_flow):
    many = {"id": "b", "type": "set", "foreach": "{{ range(3000) }}", "config": {"values": {"x": "{{ item }}"}}}
    slow = {"nodes": [{"id": "a", "type": "manual"}, many], "edges": [["a", "b"]]}
    flow = make_flow(slow)["id"]
    for count in (1, 2, 3):
        answer = program.post(f"/api/workflows/{flow}/run", {})
        assert answer.status_code == 200 and len(answer.json["output"]) == 3000
        assert Run.select().count() == count
    assert behind.taken == 0
