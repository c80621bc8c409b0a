"""Saved filters: each user has their own in each workspace."""

import pytest

from database.queries import saved_filters

pytestmark = pytest.mark.usefixtures("shared_server")

PATH = "/api/saved-filters"
FAILED = {"outcome": "failed", "range": "24h"}


@pytest.fixture
def save():
    """`save(client, name)` saves a filter and returns its JSON."""

    def post(client, name, status=201, query=FAILED, **values):
        answer = client.post(PATH, {"name": name, "query": query, **values})
        assert answer.status_code == status, answer.text
        return answer.json

    return post


def names(client, **query):
    return [one["name"] for one in client.get(PATH, query_string=query).json["items"]]


def test_filters_are_saved_listed_by_name_and_deleted(owner, save):
    made = save(owner, " Failed today ")
    assert made["name"] == "Failed today" and made["query"] == FAILED and made["page"] == "runs"
    save(owner, "all", query={"search": ""})
    assert names(owner) == ["all", "Failed today"]
    assert owner.delete(f"{PATH}/{made['id']}").status_code == 204
    assert owner.delete(f"{PATH}/{made['id']}").status_code == 404
    assert names(owner) == ["all"]


def test_each_page_has_its_own(owner, save):
    save(owner, "mine", page="flows")
    save(owner, "mine")
    assert names(owner) == names(owner, page="flows") == ["mine"]
    assert owner.get(f"{PATH}?page=logs").status_code == 400


def test_a_filter_is_renamed_and_replaced(owner, save):
    made = save(owner, "a")
    save(owner, "b")
    path = f"{PATH}/{made['id']}"
    assert owner.patch(path, {"name": "c", "query": {"flow": "wf_1"}}).json["query"] == {"flow": "wf_1"}
    assert owner.patch(path, {"name": "c"}).status_code == 200
    assert "'b'" in owner.patch(path, {"name": "b"}).json["error"]
    assert owner.patch(path, {}).status_code == 200
    assert names(owner) == ["b", "c"]


def test_a_name_is_used_once(owner, save):
    save(owner, "a")
    assert "choose another name" in save(owner, "a", status=409)["error"]
    assert names(owner) == ["a"]


def test_the_number_is_bounded(owner, save, monkeypatch):
    monkeypatch.setattr(saved_filters, "MAX_SAVED", 2)
    save(owner, "a")
    save(owner, "b")
    assert "delete one first" in save(owner, "c", status=409)["error"]
    save(owner, "c", page="flows")


@pytest.mark.parametrize(
    "body",
    [
        {"query": FAILED},
        {"name": "", "query": FAILED},
        {"name": "x" * 101, "query": FAILED},
        {"name": "a", "query": {}},
        {"name": "a", "query": {"a": 1}},
        {"name": "a", "query": {"a": "x" * 301}},
        {"name": "a", "query": {"x" * 41: "x"}},
        {"name": "a", "query": {f"n{number}": "x" for number in range(21)}},
        {"name": "a", "query": [1]},
        {"name": "a", "query": FAILED, "page": "logs"},
    ],
)
def test_a_bad_filter_is_refused(owner, body):
    answer = owner.post(PATH, body)
    assert answer.status_code == 400 and answer.json["error"], answer.text
    assert names(owner) == []


def test_nobody_sees_or_changes_those_of_others(owner, member, save):
    made = save(owner, "mine")
    viewer = member("viewer")
    assert names(viewer) == []
    save(viewer, "mine")
    for answer in (viewer.patch(f"{PATH}/{made['id']}", {"name": "x"}), viewer.delete(f"{PATH}/{made['id']}")):
        assert answer.status_code == 404 and "no saved filter" in answer.json["error"]
    assert names(owner) == ["mine"]


def test_each_workspace_has_its_own(owner, save):
    made = save(owner, "mine")
    second = owner.post("/api/workspaces", {"name": "Second"}).json["id"]
    headers = {"X-Workspace-Id": second}
    assert owner.get(PATH, headers=headers).json["items"] == []
    assert owner.delete(f"{PATH}/{made['id']}", headers=headers).status_code == 404
