"""Running flows, and the records of runs."""

import time
from urllib.parse import urlsplit

import pytest
from servers import until

import database
from api.runs import MAX_CLOCK_AHEAD_MS, RunIn, RunItemOut, RunWholeOut
from database import execute, fetch_value, write
from database.base import DAY_MS, first_id, new_id, now_ms
from database.queries import logs
from models import IdempotencyKey, Run

pytestmark = pytest.mark.usefixtures("shared_server")


FAILING = {"nodes": [{"id": "a", "type": "stop", "config": {"message": "no more milk"}}]}
SLOW = {"nodes": [{"id": "a", "type": "noop"}, {"id": "b", "type": "gate"}], "edges": [["a", "b"]]}
BRANCHING = {
    "nodes": [
        {"id": "start", "type": "manual"},
        {"id": "check", "type": "if", "name": "Is it large?", "config": {"condition": "{{ input > 10 }}"}},
        {"id": "large", "type": "set", "config": {"values": {"size": "large"}}},
        {"id": "small", "type": "set", "config": {"values": {"size": "small"}}},
    ],
    "edges": [["start", "check"], ["check", "large", "true"], ["check", "small", "false"]],
}


def start(client, flow, body=None, status=200, query="", **headers):
    answer = client.post(f"/api/workflows/{flow['id']}/run{query}", {} if body is None else body, headers=headers)
    assert answer.status_code == status, answer.text
    return answer.json


def finished(client, run):
    """Return the run once it has ended."""
    for _ in range(2_000):
        present = client.get(f"/api/runs/{run['id']}").json
        if present["finished_at"] is not None:
            return present
        time.sleep(0.02)
    raise AssertionError("the run does not end")


# Running


@pytest.mark.parametrize("value", [None, 0, False, "", "text", 1.5, [], {}, {"a": [1, {"b": None}]}, "\0", "😀", 2**53])
def test_a_run_takes_any_json_and_gives_any_json(make_run, value):
    run = make_run(input=value)
    assert run["status"] == "success" and run["output"] == value and run["error_text"] is None


def test_integers_of_64_bits_are_returned_exactly(make_run):
    value = [2**63 - 1, -(2**63), 2**64 - 1]
    assert make_run(input=value)["output"] == value


@pytest.mark.parametrize("number", ["18446744073709551616", "123456789012345678901234567890", "-9223372036854775809"])
def test_a_larger_integer_becomes_the_nearest_float_as_it_does_in_a_browser(owner, flow, number):
    body = f'{{"input": {number}}}'
    answer = owner.post(f"/api/workflows/{flow['id']}/run", data=body, content_type="application/json")
    assert answer.json["output"] == float(number)


def test_a_run_without_a_body_has_no_input(owner, flow):
    answer = owner.post(f"/api/workflows/{flow['id']}/run")
    assert answer.status_code == 200 and answer.json["output"] is None


def test_a_run_names_its_flow(run, owner):
    flow = owner.get(f"/api/workflows/{run['workflow_id']}").json
    assert (run["workflow_name"], run["workflow_version"], run["triggered_by"]) == (flow["name"], 1, "manual")
    assert run["started_at"] <= run["finished_at"] and run["duration_ms"] >= 0


def test_a_run_that_fails_is_a_request_that_succeeded(make_run):
    run = make_run(FAILING)
    assert run["status"] == "failed" and "no more milk" in run["error_text"] and run["error_node_id"] == "a"


def test_a_run_that_takes_longer_than_one_waits_is_202_and_finishes_later(owner, make_flow, gate):
    run = start(owner, make_flow(SLOW), {"input": 7}, 202, "?wait=0")
    assert run["status"] in ("pending", "running") and run["finished_at"] is None and run["output"] is None
    gate.set()
    assert finished(owner, run)["output"] == 7


@pytest.mark.parametrize("wait", ["0", "0.05"])
def test_waiting_takes_at_most_the_given_time(owner, make_flow, gate, wait):
    began = time.monotonic()
    start(owner, make_flow(SLOW), {}, 202, f"?wait={wait}")
    assert time.monotonic() - began < 10


def test_an_archived_flow_is_409(owner, make_flow, count_rows):
    flow = make_flow(status="archived")
    before = count_rows()
    start(owner, flow, status=409)
    assert count_rows() == before


def test_a_draft_that_is_not_valid_is_400_and_names_the_node(owner, make_flow, count_rows):
    flow = make_flow({"nodes": [{"id": "a", "type": "set"}]})
    before = count_rows()
    answer = start(owner, flow, status=400)
    assert answer["details"][0]["node_id"] == "a" and count_rows() == before


def test_an_input_over_the_bound_of_a_body_is_413(owner, flow, config, count_rows):
    before = count_rows()
    start(owner, flow, {"input": "x" * config.max_body_bytes}, 413)
    assert count_rows() == before


def test_a_large_input_and_output_are_shown_as_references_that_lead_to_them(owner, flow, config):
    value = "x" * (config.inline_value_bytes + 1)
    run = start(owner, flow, {"input": value})
    for name in ("input", "output"):
        assert owner.get(run[name]["$ref"]).json == value


def test_a_large_value_that_is_no_longer_stored_is_404(owner, flow, config, server):
    run = start(owner, flow, {"input": "x" * (config.inline_value_bytes + 1)})
    server.dispatcher.resources.payloads.remove(run["id"])
    answer = owner.get(run["input"]["$ref"])
    assert answer.status_code == 404
    assert answer.json["error"] == f"The value input of the run {run['id']} is no longer stored; see the server's log"


# Idempotency-Key


def test_the_same_key_answers_the_first_run_and_starts_none(owner, flow, count_rows):
    first = start(owner, flow, {"input": 1}, **{"Idempotency-Key": "k"})
    before = count_rows()
    assert start(owner, flow, {"input": 2}, **{"Idempotency-Key": "k"}) == first
    assert count_rows() == before


@pytest.mark.parametrize("key", ["K", "other", "kk"])
def test_another_key_starts_another_run(owner, flow, key):
    first = start(owner, flow, **{"Idempotency-Key": "k"})
    assert start(owner, flow, **{"Idempotency-Key": key})["id"] != first["id"]


def test_the_same_key_on_another_flow_starts_a_run(owner, make_flow):
    runs = [start(owner, make_flow(), **{"Idempotency-Key": "k"})["id"] for _ in range(2)]
    assert len(set(runs)) == 2


def test_the_same_key_during_the_first_run_returns_that_run(owner, make_flow, gate):
    flow = make_flow(SLOW)
    first = start(owner, flow, {}, 202, "?wait=0", **{"Idempotency-Key": "k"})
    assert start(owner, flow, {}, 202, "?wait=0", **{"Idempotency-Key": "k"})["id"] == first["id"]


@pytest.mark.parametrize(("key", "status"), [("", 400), ("x" * 200, 200), ("x" * 201, 400)])
def test_a_key_has_1_to_200_characters(owner, flow, key, status):
    start(owner, flow, status=status, **{"Idempotency-Key": key})


# Cancelling


def test_a_cancelled_run_has_failed_at_once_and_names_the_user(owner, make_flow, gate):
    run = start(owner, make_flow(SLOW), {}, 202, "?wait=0")
    answer = owner.post(f"/api/runs/{run['id']}/cancel")
    assert answer.status_code == 200
    assert answer.json["status"] == "failed" and answer.json["cancelled"] is True
    assert answer.json["error_text"] == "cancelled by owner@example.org"
    gate.set()
    assert finished(owner, run)["error_text"] == "cancelled by owner@example.org"


def test_a_run_that_has_ended_cannot_be_cancelled(owner, run):
    assert owner.post(f"/api/runs/{run['id']}/cancel").status_code == 409
    assert owner.get(f"/api/runs/{run['id']}").json == run | {"questions": []}


def test_an_active_run_cannot_be_deleted(owner, make_flow, gate):
    run = start(owner, make_flow(SLOW), {}, 202, "?wait=0")
    assert owner.delete(f"/api/runs/{run['id']}").status_code == 409


def test_a_deleted_run_is_gone_with_its_steps_and_log(owner, run):
    owner.post("/api/logs", {"message": "x", "run_id": run["id"]})
    assert owner.delete(f"/api/runs/{run['id']}").status_code == 204
    for path in (f"/api/runs/{run['id']}", f"/api/runs/{run['id']}/steps", f"/api/logs/{run['id']}"):
        assert owner.get(path).status_code == 404
    assert owner.get("/api/logs").json["items"] == []


# Steps


def test_the_steps_are_in_the_order_in_which_they_ran(owner, make_run):
    run = make_run(BRANCHING, 20)
    steps = owner.get(f"/api/runs/{run['id']}/steps").json["items"]
    assert [(step["node_id"], step["status"]) for step in steps] == [
        ("start", "success"),
        ("check", "success"),
        ("large", "success"),
        ("small", "skipped"),
    ]


def test_a_step_has_its_input_and_output(owner, make_run):
    run = make_run(BRANCHING, 20)
    start_, check, large, _ = owner.get(f"/api/runs/{run['id']}/steps").json["items"]
    assert (start_["input"], start_["output"]) == (20, 20)
    assert (check["node_name"], check["input"], check["branch"]) == ("Is it large?", 20, "true")
    assert large["output"] == {"size": "large"} == run["output"]


def test_a_failed_step_has_its_error(owner, make_run):
    run = make_run(FAILING)
    (step,) = owner.get(f"/api/runs/{run['id']}/steps").json["items"]
    assert step["status"] == "failed" and step["error_text"] == "no more milk" and step["attempt"] == 1


def test_all_steps_are_given_unless_a_limit_is(owner, make_run):
    nodes = [{"id": f"n{number}", "type": "noop"} for number in range(120)]
    run = make_run({"nodes": nodes, "edges": [[f"n{number}", f"n{number + 1}"] for number in range(119)]})
    path = f"/api/runs/{run['id']}/steps"
    assert len(owner.get(path).json["items"]) == 120
    first = owner.get(f"{path}?limit=100").json
    second = owner.get(f"{path}?limit=100&cursor={first['next_cursor']}").json
    assert [step["node_id"] for step in first["items"] + second["items"]] == [node["id"] for node in nodes]
    assert second["next_cursor"] is None


# Recording a run that something else executed


def test_a_recorded_run_is_saved_as_given_and_not_executed(owner, make_flow):
    flow = make_flow(FAILING)
    body = {
        "workflow_id": flow["id"],
        "status": "success",
        "triggered_by": "webhook",
        "started_at": "2026-01-01T00:00:00Z",
        "finished_at": "2026-01-01T01:00:01.5+01:00",
        "output": {"a": [1, None]},
    }
    run = owner.post("/api/runs", body)
    assert run.status_code == 201
    assert run.json["finished_at"] == "2026-01-01T00:00:01.500Z" and run.json["duration_ms"] == 1_500
    assert (run.json["status"], run.json["triggered_by"], run.json["output"]) == (
        "success",
        "webhook",
        {"a": [1, None]},
    )
    assert owner.get(f"/api/runs/{run.json['id']}").json == run.json | {"questions": []}
    assert owner.get(f"/api/runs/{run.json['id']}/steps").json["items"] == []


@pytest.mark.parametrize(("given", "ms", "us"), [(1240, 1240, 1_240_000), (12.345, 12, 12_000), (0, 0, 0)])
def test_a_recorded_duration_is_returned_in_milliseconds_and_microseconds(owner, flow, given, ms, us):
    body = {"workflow_id": flow["id"], "status": "success", "duration_ms": given}
    run = owner.post("/api/runs", body).json
    assert run == owner.get("/api/runs").json["items"][0]
    assert (repr(run["duration_ms"]), repr(run["duration_us"])) == (repr(ms), repr(us))


def test_each_step_has_its_duration_in_microseconds_too_without_values_as_well(owner, run):
    whole = owner.get(f"/api/runs/{run['id']}/steps").json["items"]
    outlines = owner.get(f"/api/runs/{run['id']}/steps?values=false").json["items"]
    names = ("duration_ms", "duration_us")
    assert [[step[name] for name in names] for step in whole] == [[step[name] for name in names] for step in outlines]
    assert all(type(step[name]) is int for step in whole for name in names)
    assert all(abs(step["duration_us"] - 1_000 * step["duration_ms"]) <= 500 for step in whole)


@pytest.mark.parametrize("status", ["running", "pending"])
def test_a_recorded_active_run_is_not_changed(owner, server, flow, status):
    run = owner.post("/api/runs", {"workflow_id": flow["id"], "status": status}).json
    server.dispatcher.sweep()
    assert owner.get(f"/api/runs/{run['id']}").json == run | {"questions": []}
    assert run["status"] == status and run["finished_at"] is None


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"workflow_id": None}, "workflow_id"),
        ({"workflow_id": 1}, "workflow_id"),
        ({"workflow_id": "x" * 65}, "workflow_id"),
        ({"status": "cancelled"}, "status"),
        ({"triggered_by": "api"}, "triggered_by"),
        ({"started_at": "yesterday"}, "started_at"),
        ({"started_at": 5}, "started_at"),
        ({"started_at": "0001-01-01T00:00:00Z"}, "started_at"),
        ({"started_at": "2026-01-02", "finished_at": "2026-01-01"}, "finished_at"),
        ({"status": "running", "finished_at": "2026-01-01"}, "finished_at"),
        ({"duration_ms": -1}, "duration_ms"),
        ({"duration_ms": "x"}, "duration_ms"),
        ({"duration_ms": True}, "duration_ms"),
        ({"duration_ms": 10**30}, "duration_ms"),
        ({"output": "x" * 1_000_001}, "output"),
        ({"error_text": 1}, "error_text"),
        ({"error_text": "\0"}, "error_text"),
        ({"error_text": "x" * 10_001}, "error_text"),
        ({"id": "run_x"}, "id"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_a_wrong_record_is_400_names_the_field_and_leaves_nothing(owner, flow, count_rows, change, field):
    before = count_rows()
    answer = owner.post("/api/runs", {"workflow_id": flow["id"], **change})
    assert answer.status_code == 400 and answer.json["error"].startswith(f"{field}: ")
    assert count_rows() == before


def test_a_run_is_recorded_for_no_flow_that_is_not_there(owner, count_rows):
    before = count_rows()
    assert owner.post("/api/runs", {"workflow_id": "wf_x"}).status_code == 404
    assert count_rows() == before


def test_a_run_is_recorded_for_no_flow_of_a_foreign_workspace(other, flow):
    assert other.post("/api/runs", {"workflow_id": flow["id"]}).status_code == 403


# Lists


def test_runs_are_found_by_status_flow_and_trigger(owner, make_flow):
    one, two = make_flow(), make_flow()
    for flow, status, trigger in ((one, "success", "webhook"), (one, "failed", "manual"), (two, "success", "manual")):
        owner.post("/api/runs", {"workflow_id": flow["id"], "status": status, "triggered_by": trigger})

    def count(query):
        return len(owner.get(f"/api/runs?{query}").json["items"])

    assert count("") == 3 and count("limit=2") == 2
    assert count("status=success") == 2 and count("status=running") == 0
    assert count(f"workflow_id={one['id']}") == 2 and count("workflow_id=nothing") == 0
    assert count("triggered_by=manual&status=success") == 1


def test_runs_are_found_by_the_time_of_their_start(owner, run):
    def count(query):
        return len(owner.get("/api/runs", query_string=query).json["items"])

    at = run["created_at"]
    assert count({"since": at, "until": at}) == 1
    assert count({"since": "2000-01-01", "until": "2001-01-01"}) == 0
    assert count({"until": "9999-12-31T23:59:59Z"}) == 1 and count({"since": "9999-12-31T23:59:59Z"}) == 0


def test_the_latest_are_the_8_newest(owner, flow):
    ids = [owner.post("/api/runs", {"workflow_id": flow["id"]}).json["id"] for _ in range(10)]
    assert [run["id"] for run in owner.get("/api/dashboard/runs/latest").json["items"]] == ids[:1:-1]


def test_runs_of_another_workspace_are_not_listed(other, run):
    for path in ("/api/runs", "/api/dashboard/runs/latest", f"/api/runs?workflow_id={run['workflow_id']}"):
        assert other.get(path).json["items"] == []


# Metrics


def test_without_runs_the_metrics_are_zero(owner):
    answer = owner.get("/api/metrics").json
    assert (answer["total_runs"], answer["success_runs"], answer["failure_rate"]) == (0, 0, 0)
    assert answer["last_run_at"] is None and answer["p50_duration_ms"] is None


def test_recorded_and_executed_runs_are_counted(owner, make_run, make_flow, gate):
    last = make_run(FAILING)
    flow = make_flow()
    for status in ("success", "failed", "running", "pending"):
        last = owner.post("/api/runs", {"workflow_id": flow["id"], "status": status}).json
    answer = owner.get("/api/metrics").json
    assert {name: answer[f"{name}_runs"] for name in ("total", "success", "failed", "running", "pending")} == {
        "total": 5,
        "success": 1,
        "failed": 2,
        "running": 1,
        "pending": 1,
    }
    assert answer["failure_rate"] == pytest.approx(2 / 3, abs=0.001)
    assert answer["last_run_at"] == (last["started_at"] or last["created_at"])


def test_a_cancelled_run_counts_as_failed_once(owner, make_flow, gate):
    run = start(owner, make_flow(SLOW), {}, 202, "?wait=0")
    owner.post(f"/api/runs/{run['id']}/cancel")
    gate.set()
    answer = owner.get("/api/metrics").json
    assert (answer["total_runs"], answer["failed_runs"], answer["running_runs"]) == (1, 1, 0)


@pytest.mark.parametrize("days", [1, 7, 365])
def test_the_daily_series_has_every_day_and_ends_today(owner, run, days):
    daily = owner.get(f"/api/metrics?days={days}").json["daily"]
    today = time.strftime("%Y-%m-%d", time.gmtime(now_ms() / 1000))
    mean = daily[-1].pop("mean_duration_ms")
    assert len(daily) == days and daily[-1] == {"day": today, "total": 1, "success": 1, "failed": 0}
    assert mean == pytest.approx(run["duration_ms"], abs=0.01)


def test_the_metrics_count_flow_by_flow(owner, run):
    (flow,) = owner.get("/api/metrics").json["flows"]
    assert (flow["workflow_id"], flow["total"], flow["success"]) == (run["workflow_id"], 1, 1)


def test_the_metrics_are_those_of_the_workspace(other, run):
    assert other.get("/api/metrics").json["total_runs"] == 0


def test_the_metrics_have_the_size_of_the_database(owner, server):
    answer = owner.get("/api/metrics").json
    database.empty_log()
    assert answer["database_bytes"] == database.space().total > 100_000


# Runs that another system executed, recorded by POST /api/runs: whole runs as another server returned them


NO_STOCK = {"nodes": [{"id": "no", "type": "stop", "config": {"message": "No stock"}}], "edges": []}
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
    run = owner.get(f"/api/runs/{make_run(NO_STOCK, {'order': 7})['id']}").json
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


# Questions of the items of a loop, answered by the API and by links


FLOW = {
    "nodes": [
        {"id": "start", "type": "manual"},
        {"id": "ask", "type": "approval", "config": {"message": "Pay {{ item }}?"}, "foreach": "{{ input }}"},
        {"id": "yes", "type": "noop"},
        {"id": "no", "type": "noop"},
    ],
    "edges": [["start", "ask"], ["ask", "yes", "approved"], ["ask", "no", "rejected"]],
}


def test_each_item_is_asked_and_answered_on_its_own(owner, client, make_flow):
    flow = make_flow(FLOW, None, name="Payments")
    flow_id = flow["id"] if isinstance(flow, dict) else flow.id
    run = owner.post(f"/api/workflows/{flow_id}/run?wait=0", {"input": [10, 20, 30]}).json
    path = f"/api/runs/{run['id']}"
    until(lambda: len(owner.get(path).json["questions"]) == 3, "all items are asked")
    asked = owner.get(path).json["questions"]
    assert [(one["node_id"], one["item_index"], one["text"]) for one in asked] == [
        ("ask:0", 0, "Pay 10?"), ("ask:1", 1, "Pay 20?"), ("ask:2", 2, "Pay 30?"),
    ]  # fmt: skip
    assert owner.post(f"{path}/resume", {"answer": "approved"}).status_code == 400
    assert owner.post(f"{path}/resume", {"node_id": "ask:2", "answer": "rejected"}).status_code == 200
    assert owner.post(f"{path}/resume", {"node_id": "ask:2", "answer": "approved"}).status_code == 409
    steps = owner.get(f"{path}/steps").json["items"]
    (link,) = [step["output"]["approved_url"] for step in steps if step.get("index") == 0 and step["node_id"] == "ask"]
    relative = urlsplit(link)._replace(scheme="", netloc="").geturl()
    assert "Pay 10?" in client.get(relative, headers={"Accept": "text/html"}).text
    assert client.post(relative, {}).status_code == 200
    assert owner.post(f"{path}/resume", {"node_id": "ask:1", "answer": "approved"}).status_code == 200
    until(lambda: owner.get(path).json["status"] == "success", "the run ends")
    ended = owner.get(path).json
    assert [one["item"] for one in ended["output"]["yes"]] == [10, 20]
    assert [one["item"] for one in ended["output"]["no"]] == [30]
    counts = {one["node_id"]: one for one in owner.get(f"{path}/counts").json["items"]}
    taken = {one["branch"]: one["count"] for one in counts["ask"]["branches"]}
    assert taken == {"approved": 2, "rejected": 1, "timeout": 0}
    (yes,) = [step for step in owner.get(f"{path}/steps").json["items"] if step["node_id"] == "yes"]
    assert [one["item"] for one in yes["input"]] == [10, 20]


# Flows with an input schema: an invalid input starts no run, from any trigger


BOOKING = {
    "type": "object",
    "properties": {
        "room": {"type": "string", "enum": ["north", "south"]},
        "guests": {"type": "array", "items": {"type": "object", "properties": {"age": {"type": "integer"}}}},
        "seats": {"type": "integer", "default": 4},
    },
    "required": ["room"],
}
RIGHT, WRONG = {"room": "north"}, {"room": "west", "guests": [{"age": 7}, {"age": "x"}]}


def asking(schema=BOOKING, type_="manual", *more, **start):
    config = {} if schema is None else {"input_schema": schema}
    nodes = [{"id": "start", "type": type_, "config": config, **start}, {"id": "end", "type": "noop"}, *more]
    return {"nodes": nodes, "edges": [["start", "end"]]}


def run(client, flow, status=200, headers=None, **body):
    answer = client.post(f"/api/workflows/{flow['id']}/run", body, headers=headers or {})
    assert answer.status_code == status, answer.text
    return answer.json


def retry(client, done, status=200, **body):
    answer = client.post(f"/api/runs/{done['id']}/retry", body)
    assert answer.status_code == status, answer.text
    return answer.json


def change(client, flow, definition):
    assert client.put(f"/api/workflows/{flow['id']}", {"definition": definition}).status_code == 200


@pytest.mark.parametrize("type_", ["manual", "called"])
def test_invalid_input_is_an_error_with_its_place_and_starts_no_run(owner, make_flow, count_rows, type_):
    flow = make_flow(asking(type_=type_))
    before = count_rows()
    answer = run(owner, flow, 422, input=WRONG)
    assert answer["error"].startswith("The input does not match the input schema: ")
    assert {issue["path"] for issue in answer["details"]} == {"input.room", "input.guests[1].age"}
    assert '"west" is not one of' in next(one["message"] for one in answer["details"] if one["path"] == "input.room")
    assert count_rows() == before


@pytest.mark.parametrize("given", [{}, {"input": None}, {"input": []}, {"input": "north"}])
def test_an_input_that_is_not_an_object_is_an_error_of_the_whole_input(owner, make_flow, given):
    (issue,) = run(owner, make_flow(asking()), 422, **given)["details"]
    assert issue["path"] == "input" and 'is not of type "object"' in issue["message"]


def test_a_right_input_is_taken_as_it_is_and_no_default_is_filled_in(owner, make_flow):
    done = run(owner, make_flow(asking()), input=RIGHT)
    assert (done["status"], done["input"], done["output"]) == ("success", RIGHT, RIGHT)


def test_without_a_schema_everything_is_taken(owner, make_flow):
    flow = make_flow(asking(None))
    assert [run(owner, flow, input=given)["output"] for given in (None, 1, WRONG)] == [None, 1, WRONG]


@pytest.mark.parametrize("role", ["operator", "editor"])
def test_the_input_is_validated_for_every_role(make_flow, member, role):
    assert run(member(role), make_flow(asking()), 422, input=WRONG)["details"]


def test_a_refused_input_does_not_use_up_its_key(owner, make_flow):
    flow, headers = make_flow(asking()), {"Idempotency-Key": "once"}
    run(owner, flow, 422, headers, input=WRONG)
    assert IdempotencyKey.select().count() == 0
    first = run(owner, flow, 200, headers, input=RIGHT)
    # The key answers for the run that it has started, whatever comes with it.
    assert run(owner, flow, 200, headers, input=WRONG)["id"] == first["id"]


def test_the_input_of_a_draft_run_is_validated_by_the_draft(owner, make_flow):
    open_, strict = make_flow(asking(None)), make_flow(asking())
    assert run(owner, open_, 422, input=WRONG, definition=asking())["details"]
    assert run(owner, strict, input=WRONG, definition=asking(None))["status"] == "success"
    assert Run.select().count() == 1


def test_up_to_a_node_only_the_triggers_count_that_lead_to_it(owner, make_flow):
    alone = {"id": "alone", "type": "noop"}
    flow = make_flow(asking(BOOKING, "manual", alone))
    assert run(owner, flow, 422, input=WRONG, until="end")["details"]
    assert run(owner, flow, input=WRONG, until="alone")["status"] == "success"


def test_a_trigger_that_is_not_executed_refuses_nothing(owner, make_flow):
    flow, off = make_flow(asking()), make_flow(asking(disabled=True))
    assert run(owner, flow, input=WRONG, pinned={"start": {"output": 1}})["output"] == 1
    assert run(owner, off, input=WRONG)["status"] == "success"


def test_other_triggers_start_the_flow_without_validation(owner, make_flow, client):
    hook = {"id": "hook", "type": "webhook", "config": {"path": "rooms", "respond": "last"}}
    make_flow(asking(BOOKING, "manual", hook), status="active")
    assert client.post("/api/webhooks/rooms", {"room": "west"}).status_code == 200


def test_repeating_is_checked_against_the_version_that_is_to_run(owner, make_flow):
    flow = make_flow(asking(None))
    first = run(owner, flow, input=WRONG)
    change(owner, flow, asking())
    assert {issue["path"] for issue in retry(owner, first, 422, **{"from": "start"})["details"]} >= {"input.room"}
    assert Run.select().count() == 1
    assert retry(owner, first, **{"from": "start", "version": "same"})["status"] == "success"


def test_from_where_it_failed_a_trigger_that_has_done_its_part_is_not_asked_again(owner, make_flow):
    broken, mended = asking(None), asking(None)
    broken["nodes"][1] = {"id": "end", "type": "stop", "config": {"message": "no"}}
    flow = make_flow(broken)
    first = run(owner, flow, input=WRONG)
    change(owner, flow, mended)
    assert retry(owner, first)["status"] == "success"
    change(owner, flow, asking())
    assert retry(owner, first, 422)["details"]


def test_invalid_input_of_a_called_flow_fails_its_trigger(owner, make_flow):
    asked = make_flow(asking())
    config = {"workflow_id": asked["id"], "input": WRONG}
    caller = run(owner, make_flow({"nodes": [{"id": "call", "type": "subflow", "config": config}]}))
    assert caller["status"] == "failed" and "the input does not match the input schema: room: " in caller["error_text"]


def test_long_lists_of_issues_are_cut(owner, make_flow):
    flow = make_flow(asking({"type": "array", "items": {"type": "integer"}}))
    answer = run(owner, flow, 422, input=["x"] * 1000)
    assert len(answer["details"]) == 50 and answer["details"][7]["path"] == "input[7]"
    assert len(answer["error"]) < 500


def test_a_schema_is_checked_when_the_flow_is(owner):
    body = {"definition": asking({"type": "objekt"})}
    issues = owner.post("/api/workflows/validate", body).json["issues"]
    assert [(issue["node_id"], issue["path"]) for issue in issues] == [("start", "nodes[0].config.input_schema")]


def test_an_expensive_schema_is_checked_in_a_separate_process(owner, make_flow):
    flow = make_flow(asking({"properties": {"a": {"pattern": "^.{1,600}$"}}}))
    assert run(owner, flow, 422, input={"a": ""})["details"][0]["path"] == "input.a"
    assert run(owner, flow, input={"a": "b"})["status"] == "success"


def test_input_that_cannot_be_validated_is_refused(owner, make_flow):
    flow = make_flow(asking({"pattern": "(.{1,100}){1,50}!"}))
    answer = run(owner, flow, 422, input="é" * 20_000)
    assert answer["error"].startswith("The input cannot be checked: the data cannot be validated by this schema")
    assert Run.select().count() == 0
