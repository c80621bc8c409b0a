"""Running flows, and the records of runs."""

import time

import pytest

import database
from database.base import now_ms

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
