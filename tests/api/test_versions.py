"""The versions of a flow with their authors and changes."""

import pytest

from api import workflows as views
from database.queries import workflows


def node(id_, **more):
    return {"id": id_, "type": "noop", **more}


DEFINITIONS = [
    {"nodes": [node("a"), node("b")], "edges": []},
    {"nodes": [node("a"), node("b")], "edges": [["a", "b"]]},
    {"nodes": [node("a"), node("c", name="C"), node("d")], "edges": []},
    {"nodes": [node("a"), node("c", name="D"), node("d", position={"x": 1, "y": 2})], "edges": []},
    {"nodes": [node("a"), node("c", name="D"), node("d", position={"x": 9, "y": 2})], "edges": []},
    {"nodes": [node(f"n{number}") for number in range(5)], "edges": [], "settings": {"timezone": "Europe/Rome"}},
]
SUMMARIES = [
    "first version",
    "edges changed",
    "2 nodes added (C, d); 1 node removed (b); edges changed",
    "1 node changed (D)",
    "nodes moved",
    "5 nodes added (n0, n1, n2, …); 3 nodes removed (a, D, d); settings changed",
]


def test_edges_are_the_same_however_they_are_written_and_in_whatever_order():
    nodes = [node("a"), node("b"), node("c")]
    short = {"nodes": nodes, "edges": [["a", "b"], ["b", "c", "yes"]]}
    whole = {"nodes": nodes, "edges": [{"from": "b", "to": "c", "branch": "yes"}, {"from": "a", "to": "b"}]}
    assert views.compare(short, whole) == "formatting changed"
    assert views.compare(short, {"nodes": nodes, "edges": whole["edges"][1:]}) == "edges changed"
    noted = {**whole, "notes": [{"id": "n", "text": "Why"}], "groups": "of an old draft"}
    assert views.compare(short, noted) == "notes changed"


@pytest.fixture
def path(owner, make_flow):
    flow = make_flow(DEFINITIONS[0])
    for definition in DEFINITIONS[1:]:
        assert owner.put(f"/api/workflows/{flow['id']}", {"definition": definition}).status_code == 200
    return f"/api/workflows/{flow['id']}/versions"


def test_a_version_has_the_name_of_its_author(owner, path):
    whole = owner.get(path).json["items"]
    assert {item["created_by"] for item in whole} == {owner.user.id}
    assert {item["created_by_name"] for item in whole} == {owner.user.name or owner.user.email}
    assert owner.get(f"{path}/1").json == whole[-1] and "definition_json" in whole[0]


def test_a_brief_list_has_no_definitions(owner, path):
    whole, brief = (owner.get(f"{path}?limit=2&brief={text}").json for text in ("false", "true"))
    assert brief["next_cursor"] == whole["next_cursor"]
    assert [{key: item[key] for key in item if key != "definition_json"} for item in whole["items"]] == brief["items"]


@pytest.mark.parametrize("limit", [1, 2, 6, 200])
def test_every_page_summarizes_the_changes_in_one_line(owner, path, limit):
    found, cursor = [], ""
    while cursor is not None:
        answer = owner.get(f"{path}?brief=true&summary=true&limit={limit}{cursor}").json
        found += answer["items"]
        cursor = answer["next_cursor"] and f"&cursor={answer['next_cursor']}"
    assert [item["summary"] for item in found] == SUMMARIES[::-1]
    assert [item["node_count"] for item in found] == [5, 3, 3, 3, 2, 2]


def test_no_more_is_compared_than_the_bound_allows(owner, path, monkeypatch):
    sizes = [len(item["definition_json"]) for item in owner.get(path).json["items"]]
    monkeypatch.setattr(views, "MAX_COMPARED", sum(sizes[:2]))
    found = owner.get(f"{path}?summary=true").json["items"]
    assert [item["summary"] for item in found] == [SUMMARIES[-1], None, None, None, None, "first version"]
    assert [item["node_count"] for item in found] == [5, 3, None, None, None, None]


@pytest.mark.parametrize("name", ["brief", "summary"])
def test_a_wrong_parameter_is_400_and_named(owner, path, name):
    answer = owner.get(f"{path}?{name}=x")
    assert answer.status_code == 400 and answer.json["error"].startswith(f"{name}: ")


def test_a_page_of_long_definitions_is_shorter_and_the_pages_together_are_all(owner, path, monkeypatch):
    newest = len(owner.get(f"{path}?limit=1").json["items"][0]["definition_json"])
    for most, first in ((newest + 1, 1), (10, 1), (10_000, len(DEFINITIONS))):
        monkeypatch.setattr(workflows, "MAX_CHARACTERS", most)
        found, page = [], owner.get(path).json
        assert len(page["items"]) == first
        while page["next_cursor"] is not None:
            found += page["items"]
            page = owner.get(f"{path}?cursor={page['next_cursor']}").json
        found += page["items"]
        assert [item["version"] for item in found] == list(range(len(DEFINITIONS), 0, -1))
        assert len(owner.get(f"{path}?brief=true").json["items"]) == len(DEFINITIONS)
