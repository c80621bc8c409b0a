"""Runs that another system executed, recorded by POST /api/runs: whole runs as another server returned them."""

import pytest

from api.runs import MAX_CLOCK_AHEAD_MS, RunIn, RunItemOut, RunWholeOut
from database import execute, fetch_value, write
from database.base import DAY_MS, first_id, new_id, now_ms
from database.queries import logs
from models import Run

pytestmark = pytest.mark.usefixtures("shared_server")

FAILING = {"nodes": [{"id": "no", "type": "stop", "config": {"message": "No stock"}}], "edges": []}
# The fields of the contract's Run, and of ours, that are recorded.
KEPT = {
    *("workflow_name", "status", "triggered_by", "duration_ms", "started_at", "finished_at", "output", "error_text"),
    *("input", "error_kind", "cancelled"),
}
CONTRACT = {
    "id": "run_01KDVDNSE8AX2R4D9Q7W3NYMTB",
    "workflow_id": "wf_x",
    "workflow_name": "Orders of last year",
    "status": "success",
    "triggered_by": "webhook",
    "duration_ms": 1234,
    "started_at": "2026-01-01T00:00:00.000Z",
    "finished_at": "2026-01-01T00:00:05.000Z",
    "output": {"ok": [True, None, 1]},
    "error_text": None,
}


@pytest.fixture
def whole(owner, make_run):
    """A run of a flow as GET /api/runs/:id returns it, of which this server has nothing left."""
    run = owner.get(f"/api/runs/{make_run(FAILING, {'order': 7})['id']}").json
    assert owner.delete(f"/api/runs/{run['id']}").status_code == 204
    return run


def kept(run):
    return {name: run[name] for name in KEPT}


def test_the_run_of_the_contract_is_recorded_with_all_of_its_fields(owner, flow):
    body = {**CONTRACT, "id": new_id("run"), "workflow_id": flow["id"]}
    answer = owner.post("/api/runs", body)
    assert answer.status_code == 201 and body.items() <= answer.json.items(), answer.text
    assert body.items() <= owner.get(f"/api/runs/{body['id']}").json.items()
    (listed,) = owner.get("/api/runs?search=last year").json["items"]
    assert body.items() <= listed.items()


def test_a_run_of_another_server_is_recorded_as_it_was_returned(owner, flow, whole):
    answer = owner.post("/api/runs", {**whole, "workflow_id": flow["id"]})
    assert answer.status_code == 201, answer.text
    again = owner.get(f"/api/runs/{whole['id']}").json
    assert kept(again) == kept(whole) and again["input"] == {"order": 7}
    assert (again["id"], again["created_at"], again["workflow_id"]) == (whole["id"], whole["created_at"], flow["id"])


def test_a_run_goes_to_another_workspace_of_the_same_server_with_another_id_alone(owner, other, make_flow, run):
    there = make_flow(who=other)
    whole = owner.get(f"/api/runs/{run['id']}").json
    refused = other.post("/api/runs", {**whole, "workflow_id": there["id"]})
    assert refused.status_code == 409 and run["id"] in refused.json["error"] and "workspace" not in refused.text
    made = other.post("/api/runs", {**whole, "workflow_id": there["id"], "id": new_id("run")})
    assert made.status_code == 201 and made.json["workspace_id"] == there["workspace_id"]
    assert kept(made.json) == kept(whole)


@pytest.mark.parametrize("status", ["running", "pending"])
def test_an_unfinished_run_is_recorded_with_its_nulls(owner, flow, status):
    nulls = dict.fromkeys(("duration_ms", "finished_at", "output", "error_text"))
    body = {**CONTRACT, **nulls, "id": new_id("run"), "workflow_id": flow["id"], "status": status}
    assert body.items() <= owner.post("/api/runs", body).json.items()


def test_every_field_of_a_run_may_be_sent_and_a_misspelt_one_not(owner, flow):
    known = RunIn.read_only | RunIn._declared_fields.keys()
    assert (RunWholeOut._declared_fields.keys() | RunItemOut._declared_fields.keys()) <= known
    answer = owner.post("/api/runs", {"workflow_id": flow["id"], "workflow_nam": "x"})
    assert answer.status_code == 400 and answer.json["error"].startswith("workflow_nam: ")


def test_the_same_id_is_recorded_once(owner, flow, count_rows):
    body = {**CONTRACT, "id": new_id("run"), "workflow_id": flow["id"]}
    assert owner.post("/api/runs", body).status_code == 201
    before, metrics = count_rows(), owner.get("/api/metrics").json
    again = owner.post("/api/runs", {**body, "status": "failed"})
    assert again.status_code == 409 and count_rows() == before and owner.get("/api/metrics").json == metrics


@pytest.mark.parametrize(
    "id_",
    [
        *("run_x", "run_", "01KDVDNSE8AX2R4D9Q7W3NYMTB", "wf_01KDVDNSE8AX2R4D9Q7W3NYMTB"),
        *("run_01KDVDNSE8AX2R4D9Q7W3NYMT", "run_01KDVDNSE8AX2R4D9Q7W3NYMTBB", "run_01KDVDNSE8AX2R4D9Q7W3NYMTB\n"),
        *("run_01kdvdnse8ax2r4d9q7w3nymtb", "run_01KDVDNSE8AX2R4D9Q7W3NYMTU", "run_../../etc/passwd", "", 5, ["x"]),
        *("run_00000000000000000000000000", "run_7ZZZZZZZZZZZZZZZZZZZZZZZZZ", "run_ZZZZZZZZZZZZZZZZZZZZZZZZZZ"),
    ],
)
def test_a_malformed_or_absurd_id_is_400_and_leaves_nothing(owner, flow, count_rows, id_):
    before = count_rows()
    answer = owner.post("/api/runs", {"workflow_id": flow["id"], "id": id_})
    assert answer.status_code == 400 and answer.json["error"].startswith("id: ")
    assert count_rows() == before


def test_an_id_of_the_future_is_refused_and_a_clock_ahead_is_not(owner, flow):
    def post(ahead):
        return owner.post("/api/runs", {"workflow_id": flow["id"], "id": first_id("run", now_ms() + ahead)}).status_code

    assert (post(MAX_CLOCK_AHEAD_MS - 10_000), post(MAX_CLOCK_AHEAD_MS + 10_000)) == (201, 400)


def test_an_id_that_retention_would_delete_is_refused(owner, server, flow):
    def post(days):
        body = {"workflow_id": flow["id"], "id": first_id("run", now_ms() - days * DAY_MS - 60_000)}
        return owner.post("/api/runs", body)

    days = server.config.retention_days
    assert days > 1 and post(days - 1).status_code == 201
    refused = post(days)
    assert refused.status_code == 400 and f"deletes runs after {days} days" in refused.json["error"]


def test_a_run_is_in_lists_at_the_time_of_its_id(owner, flow, run):
    at = now_ms() - 3 * DAY_MS
    made = owner.post("/api/runs", {"workflow_id": flow["id"], "id": first_id("run", at)}).json
    assert [item["id"] for item in owner.get("/api/runs").json["items"]] == [run["id"], made["id"]]
    query = {"since": made["created_at"], "until": made["created_at"]}
    assert [item["id"] for item in owner.get("/api/runs", query_string=query).json["items"]] == [made["id"]]


@pytest.mark.parametrize("left", ["a child", "a log entry"])
def test_the_id_of_a_deleted_run_is_not_free_while_something_of_it_is_left(owner, other, make_flow, run, left):
    there = make_flow(who=other)
    owner.delete(f"/api/runs/{run['id']}")
    with write():
        if left == "a child":
            child = owner.post("/api/runs", {"workflow_id": run["workflow_id"]}).json
            execute("UPDATE runs SET parent_run_id = ? WHERE id = ?", (run["id"], child["id"]))
        else:
            execute(*logs.entry(run["workspace_id"], run["id"], None, "info", "secret", None))
    answer = other.post("/api/runs", {"workflow_id": there["id"], "id": run["id"]})
    assert answer.status_code == 409 and Run.find(run["id"]) is None


@pytest.mark.parametrize("status", ["success", "running", "pending"])
def test_only_a_failed_run_was_cancelled(owner, flow, status):
    answer = owner.post("/api/runs", {"workflow_id": flow["id"], "status": status, "cancelled": True})
    assert answer.status_code == 400 and answer.json["error"].startswith("cancelled: ")
    made = owner.post("/api/runs", {"workflow_id": flow["id"], "status": "failed", "cancelled": True}).json
    assert made["cancelled"] is True and fetch_value("SELECT recorded FROM runs WHERE id = ?", (made["id"],))
