"""Log entries and metrics."""

import http.client
from contextlib import closing

import pytest
from servers import PATIENCE, Server

from database import base, execute, write
from database.base import first_id, now_ms
from database.queries import logs, runs
from database.queries.runs import execute_units
from errors import NotFound
from fields import iso
from models import LogEntry, Workflow

pytestmark = pytest.mark.usefixtures("shared_server")


LOGGING = {"nodes": [{"id": "say", "type": "log", "config": {"message": "{{ input }}"}}]}


def test_an_entry_is_returned_as_written(owner, run):
    body = {"message": "m", "level": "warning", "run_id": run["id"], "node_id": "start", "data": {"a": [1]}}
    answer = owner.post("/api/logs", body)
    assert answer.status_code == 201 and body.items() <= answer.json.items()
    assert owner.get(f"/api/logs/{run['id']}").json["items"] == [answer.json]


def test_an_entry_needs_only_a_message(owner):
    entry = owner.post("/api/logs", {"message": "m"}).json
    assert (entry["level"], entry["run_id"], entry["node_id"], entry["data"]) == ("info", None, None, None)


@pytest.mark.parametrize("data", [0, False, "", [], {}, "text", 1.5])
def test_the_data_of_an_entry_is_any_json(owner, data):
    assert owner.post("/api/logs", {"message": "m", "data": data}).json["data"] == data


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"message": None}, "message"),
        ({"message": ""}, "message"),
        ({"message": 1}, "message"),
        ({"message": "x" * 10_001}, "message"),
        ({"message": "a\0"}, "message"),
        ({"level": "fatal"}, "level"),
        ({"run_id": 1}, "run_id"),
        ({"run_id": ""}, "run_id"),
        ({"node_id": "x" * 65}, "node_id"),
        ({"data": "x" * 65_537}, "data"),
        ({"created_at": "2026-01-01"}, "created_at"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_a_wrong_entry_is_400_names_the_field_and_leaves_nothing(owner, count_rows, change, field):
    before = count_rows()
    answer = owner.post("/api/logs", {"message": "m", **change})
    assert answer.status_code == 400 and answer.json["error"].startswith(f"{field}: ")
    assert count_rows() == before


def test_no_entry_is_written_to_a_run_that_is_not_there(owner, other, run):
    assert owner.post("/api/logs", {"message": "m", "run_id": "run_x"}).status_code == 404
    assert other.post("/api/logs", {"message": "m", "run_id": run["id"]}).status_code == 403


def test_entries_of_a_node_are_in_the_log_of_its_run(owner, make_run):
    run = make_run(LOGGING, "hello")
    (entry,) = owner.get(f"/api/logs/{run['id']}").json["items"]
    assert (entry["message"], entry["node_id"], entry["run_id"]) == ("hello", "say", run["id"])


def test_a_run_that_fails_is_in_the_log_of_the_workspace_and_in_its_own(owner, make_run):
    run = make_run({"nodes": [{"id": "halt", "type": "stop", "config": {"message": "No stock"}}]})
    assert (run["status"], run["error_text"]) == ("failed", "No stock")
    (entry,) = owner.get(f"/api/logs/{run['id']}").json["items"]
    known = {"level": "error", "run_id": run["id"], "node_id": "halt", "message": "The run failed: No stock"}
    assert known.items() <= entry.items()
    for query in ("level=error&brief=true", f"workflow_id={run['workflow_id']}", f"run_id={run['id']}"):
        (found,) = owner.get(f"/api/logs?{query}").json["items"]
        assert {**entry, "workflow_name": "Echo", "workflow_id": run["workflow_id"]} == found
    assert owner.delete(f"/api/runs/{run['id']}").status_code == 204
    assert owner.get("/api/logs").json["items"] == []


def test_the_log_of_a_run_is_given_whole_and_oldest_first(owner, run):
    for number in range(60):
        owner.post("/api/logs", {"message": str(number), "run_id": run["id"]})
    items = owner.get(f"/api/logs/{run['id']}").json["items"]
    assert [item["message"] for item in items] == [str(number) for number in range(60)]


def test_the_log_of_a_run_can_be_read_in_pages(owner, run):
    for number in range(5):
        owner.post("/api/logs", {"message": str(number), "run_id": run["id"]})
    first = owner.get(f"/api/logs/{run['id']}?limit=3").json
    second = owner.get(f"/api/logs/{run['id']}?limit=3&cursor={first['next_cursor']}").json
    assert [item["message"] for item in first["items"] + second["items"]] == ["0", "1", "2", "3", "4"]
    assert second["next_cursor"] is None


def test_entries_are_found_by_run_and_level(owner, run):
    owner.post("/api/logs", {"message": "a", "level": "error"})
    owner.post("/api/logs", {"message": "b", "level": "error", "run_id": run["id"]})
    owner.post("/api/logs", {"message": "c", "run_id": run["id"]})

    def messages(query):
        return [item["message"] for item in owner.get(f"/api/logs?{query}").json["items"]]

    assert messages("") == ["c", "b", "a"] and messages("limit=1") == ["c"]
    assert messages("level=error") == ["b", "a"]
    assert messages(f"run_id={run['id']}") == ["c", "b"]
    assert messages(f"run_id={run['id']}&level=error") == ["b"]


def test_the_entries_of_a_run_that_is_not_ones_own_are_refused(owner, other, run):
    assert owner.get("/api/logs?run_id=nothing").status_code == 404
    assert other.get(f"/api/logs?run_id={run['id']}").status_code == 403


def test_entries_of_another_workspace_are_not_listed(owner, other):
    owner.post("/api/logs", {"message": "m"})
    assert other.get("/api/logs").json["items"] == []


# As a page asks for it


def walk(owner, **query):
    """Return the messages of all pages."""
    found, cursor = [], {}
    for _ in range(50):
        answer = owner.get("/api/logs", query_string={**query, **cursor})
        assert answer.status_code == 200, answer.text
        found += [item["message"] for item in answer.json["items"]]
        if answer.json["next_cursor"] is None:
            return found
        cursor = {"cursor": answer.json["next_cursor"]}
    raise AssertionError("the pages never end")


def test_several_levels_are_asked_for_at_once(owner, run):
    for level in ("debug", "info", "warning", "error"):
        owner.post("/api/logs", {"message": level, "level": level, "run_id": run["id"]})
    for query in ({}, {"run_id": run["id"]}):
        assert (
            walk(owner, level="error,debug", **query)
            == ["error", "debug"]
            == walk(owner, level="debug,error,debug", limit=1, **query)
        )


def test_entries_are_found_by_their_time(owner):
    at = owner.post("/api/logs", {"message": "a"}).json["created_at"]
    assert walk(owner, since=at) == ["a"] == walk(owner, until=at, since=at)
    assert walk(owner, since="2000-01-01", until="2001-01-01") == [] == walk(owner, since="9999-12-31")
    assert walk(owner, since="2000-01-01", until="9999-12-31") == ["a"]


def test_entries_are_found_by_letters_of_their_message(owner, monkeypatch):
    for number in range(9):
        owner.post("/api/logs", {"message": "100% of Orders" if number in (0, 4) else "other", "data": "orders"})
    assert len(walk(owner, search="orders")) == 2 == len(walk(owner, search="100%"))
    assert walk(owner, search="100_") == [] == walk(owner, search="orders", level="error")
    monkeypatch.setattr(base, "MAX_EXAMINED", 2)
    assert len(walk(owner, search="orders", limit=1)) == 2


def test_an_entry_names_its_flow(owner, other, run, flow):
    owner.post("/api/logs", {"message": "of a run", "run_id": run["id"]})
    owner.post("/api/logs", {"message": "of a schedule", "data": {"workflow_id": flow["id"], "late_seconds": 5}})
    foreign = other.post("/api/flows", {"name": "Secret"}).json
    owner.post("/api/logs", {"message": "made up", "data": {"workflow_id": foreign["id"]}})
    owner.post("/api/logs", {"message": "of none", "data": [1]})
    found = {item["message"]: item for item in owner.get("/api/logs").json["items"]}
    known = {text: (item["workflow_id"], item["workflow_name"]) for text, item in found.items()}
    assert known == {
        "of a run": (run["workflow_id"], "Echo"),
        "of a schedule": (flow["id"], "Echo"),
        "made up": (None, None),
        "of none": (None, None),
    }
    assert walk(owner, workflow_id=run["workflow_id"]) == ["of a run"]
    assert walk(owner, workflow_id=flow["id"]) == ["of a schedule"]
    assert walk(owner, workflow_id=flow["id"][:-1]) == []


def test_an_entry_that_only_mentions_a_flow_is_not_of_it(owner, flow):
    owner.post("/api/logs", {"message": "mentions it", "data": {"about": "it", "workflow_id": flow["id"]}})
    assert owner.get("/api/logs").json["items"][0]["workflow_id"] is None
    assert walk(owner, workflow_id=flow["id"]) == []


def test_brief_entries_have_no_long_data(owner):
    owner.post("/api/logs", {"message": "short", "data": {"a": 1}})
    owner.post("/api/logs", {"message": "long", "data": "ä" * 400})
    owner.post("/api/logs", {"message": "none"})
    none, long, short = owner.get("/api/logs?brief=true").json["items"]
    assert (none["data"], short["data"]) == (None, {"a": 1})
    assert long["data"] == {"$cut": {"bytes": 802, "start": '"' + "ä" * 299}}
    assert owner.get("/api/logs").json["items"][1]["data"] == "ä" * 400


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("level=fatal", "level"),
        ("level=info,", "level"),
        ("since=yesterday", "since"),
        ("until=5", "until"),
        ("brief=x", "brief"),
        (f"workflow_id={'x' * 65}", "workflow_id"),
    ],
)
def test_a_wrong_filter_is_400_and_named(owner, query, name):
    answer = owner.get(f"/api/logs?{query}")
    assert answer.status_code == 400 and answer.json["error"].startswith(f"{name}: ")


# The whole log of a run


def fill(run, count, message="m"):
    """Write entries of a run at once."""
    with write():
        for _ in range(count):
            execute(*logs.entry(run["workspace_id"], run["id"], None, "info", message, '{"a":[1]}'))


@pytest.mark.parametrize("count", [0, 1, 200, 201, 300, 2_500])
def test_the_log_of_a_run_has_all_entries_oldest_first(owner, run, count):
    fill(run, count)
    answer = owner.get(f"/api/logs/{run['id']}")
    assert answer.status_code == 200 and answer.json["next_cursor"] is None
    assert [entry["id"] for entry in answer.json["items"]] == [entry.id for entry in LogEntry.select().order_by("id")]
    assert all(entry["data"] == {"a": [1]} for entry in answer.json["items"])


def test_the_log_of_a_run_has_pages_if_they_are_asked_for(owner, run):
    fill(run, 2_500)
    whole = owner.get(f"/api/logs/{run['id']}").json["items"]
    first = owner.get(f"/api/logs/{run['id']}?limit=3").json
    second = owner.get(f"/api/logs/{run['id']}?cursor={first['next_cursor']}").json
    third = owner.get(f"/api/logs/{run['id']}?limit=1000&cursor={second['next_cursor']}").json
    assert [len(page["items"]) for page in (first, second, third)] == [3, 1_000, 1_000]
    assert first["items"] + second["items"] + third["items"] == whole[:2_003] and third["next_cursor"] is not None
    assert owner.get(f"/api/logs/{run['id']}?limit=1001").status_code == 400


def test_a_long_log_is_not_in_memory_as_a_whole_and_ends_with_what_was_there(run):
    fill(run, 350)
    first, *_ = LogEntry.select().order_by(LogEntry.id)
    pages = logs.pages_after(run["id"], first.id)
    sizes = [len(next(pages))]
    fill(run, 1)
    assert sizes + [len(page) for page in pages] == [100, 100, 100, 49]


def test_a_log_that_is_deleted_while_it_is_sent_does_not_look_complete(owner, run):
    fill(run, 350)
    pages = logs.pages_after(run["id"], "")
    next(pages)
    owner.delete(f"/api/runs/{run['id']}")
    with pytest.raises(NotFound, match="was deleted while its log was read"):
        next(pages)


def test_a_long_log_has_no_signatures_for_viewers(owner, member, run):
    link = f"http://a.example/api/runs/{run['id']}/resume?node=a&token={'s' * 43}"
    fill(run, 1_300, link)
    assert owner.get(f"/api/logs/{run['id']}").text.count("sss") > 1_300
    seen = member("viewer").get(f"/api/logs/{run['id']}")
    assert "sss" not in seen.text and len(seen.json["items"]) == 1_300


@pytest.mark.slow
def test_a_server_breaks_off_the_log_of_a_run_that_is_deleted(tmp_path):
    server = Server(tmp_path).start()
    try:
        server.log_in()
        flow = server.call("POST", "/api/flows", {"name": "Echo", "definition": LOGGING})
        run = server.call("POST", "/api/runs", {"workflow_id": flow["id"]})
        body = {"message": "m", "run_id": run["id"], "data": "x" * 60_000}
        for _ in range(400):  # more than sockets hold
            server.call("POST", "/api/logs", body)
        assert len(server.call("GET", f"/api/logs/{run['id']}")["items"]) == 400
        with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)) as connection:
            connection.request("GET", f"/api/logs/{run['id']}", headers={"Authorization": f"Bearer {server.token}"})
            answer = connection.getresponse()
            assert answer.status == 200 and answer.read(10) == b'{"items":['
            server.call("DELETE", f"/api/runs/{run['id']}", status=(204,))
            with pytest.raises(http.client.IncompleteRead):
                answer.read()
    finally:
        server.close()


# The metrics of a workspace, as the dashboard requests them


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
