"""Log entries."""

import pytest

LOGGING = {"nodes": [{"id": "say", "type": "log", "config": {"message": "{{ input }}"}}]}


def test_an_entry_is_what_was_written(owner, run):
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


def test_what_a_node_logs_is_in_the_log_of_its_run(owner, make_run):
    run = make_run(LOGGING, "hello")
    (entry,) = owner.get(f"/api/logs/{run['id']}").json["items"]
    assert (entry["message"], entry["node_id"], entry["run_id"]) == ("hello", "say", run["id"])


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
