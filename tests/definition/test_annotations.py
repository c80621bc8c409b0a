"""Notes and groups of a definition: their validation, and that nothing of them reaches a run."""

import pytest
from world import chain, flow, node, run

from definition import check, count_differences, graph, plan
from definition.node_graph import Issues
from definition.schema import MAX_GROUPS, MAX_NOTE, MAX_NOTES, check_annotations
from errors import DefinitionError

NOTE = {"id": "n1", "text": "# Why", "position": {"x": 10, "y": -20.5}, "width": 300, "height": 80, "color": "blue"}
GROUP = {"id": "g1", "name": "Prepare", "nodes": ["a", "b"], "folded": True, "color": "green"}


def with_notes(*notes, groups=()):
    return {**flow("a", "b", "c", edges=["a b"]), "notes": list(notes), "groups": list(groups)}


def found(made):
    """Return the issues as path and message."""
    return [(issue.path, issue.message) for issue in check(made)[1]]


def test_notes_and_groups_are_accepted():
    assert found(with_notes(NOTE, {"id": "n2"}, groups=[GROUP, {"id": "g2", "nodes": ["c"]}])) == []
    assert found({**flow("a"), "notes": None, "groups": None}) == []


def test_no_plan_contains_notes_or_groups():
    assert plan(with_notes(NOTE, groups=[GROUP])) == plan(flow("a", "b", "c", edges=["a b"]))


def test_a_run_ignores_them():
    made = {**chain("start", node("end", "set", {"values": {"n": 1}})), "notes": [NOTE]}
    assert run(made, None).output == {"n": 1}


@pytest.mark.parametrize(
    ("change", "path", "message"),
    [
        ({"id": ""}, "id", "is required: letters, digits and _, not starting with a digit"),
        ({"text": 3}, "text", "must be text of at most 5,000 characters"),
        ({"text": "x" * (MAX_NOTE + 1)}, "text", "must be text of at most 5,000 characters"),
        ({"color": "pink"}, "color", "must be one of: yellow, blue, green, red, violet, gray"),
        ({"color": ["red"]}, "color", "must be one of: yellow, blue, green, red, violet, gray"),
        ({"width": 5}, "width", "must be a number from 80 to 2000"),
        ({"height": True}, "height", "must be a number from 40 to 2000"),
        ({"position": [1, 2]}, "position", 'must be {"x": number, "y": number}, at most 1,000,000 from 0'),
        ({"position": {"x": 1e300}}, "position", 'must be {"x": number, "y": number}, at most 1,000,000 from 0'),
        ({"size": 1}, "size", "unknown key; known keys: id, text, position, width, height, color"),
    ],
)
def test_a_wrong_note_is_explained(change, path, message):
    assert found(with_notes({**NOTE, **change})) == [(f"notes[0].{path}", message)]


@pytest.mark.parametrize(
    ("change", "path", "message"),
    [
        ({"name": "x" * 201}, "name", "must be text of at most 200 characters"),
        ({"folded": 1}, "folded", "must be true or false"),
        ({"color": "pink"}, "color", "must be one of: gray, yellow, blue, green, red, violet"),
        ({"nodes": []}, "nodes", "must be a list of at least one node id"),
        ({"nodes": ["a", "x"]}, "nodes[1]", "there is no node 'x'"),
        ({"nodes": [{}]}, "nodes[0]", "there is no node '{}'"),
        ({"nodes": ["a", "a"]}, "nodes[1]", "'a' is in groups[0] already; a node is in one group"),
        ({"position": {}}, "position", "unknown key; known keys: id, name, nodes, folded, color"),
    ],
)
def test_a_wrong_group_is_explained(change, path, message):
    assert found(with_notes(groups=[{**GROUP, **change}])) == [(f"groups[0].{path}", message)]


def test_ids_are_unique_and_a_node_is_in_one_group():
    assert found(with_notes(NOTE, NOTE)) == [("notes[1].id", "the id 'n1' is used twice in notes; ids must be unique")]
    assert [path for path, _ in found(with_notes(groups=[GROUP, {"id": "g2", "nodes": ["b"]}]))] == [
        "groups[1].nodes[0]"
    ]


def test_their_number_is_bounded():
    notes = [{"id": f"n{at}"} for at in range(MAX_NOTES + 1)]
    assert found(with_notes(*notes)) == [("notes", "has 201 entries; the limit is 200")]
    groups = [{"id": f"g{at}", "nodes": ["a"]} for at in range(MAX_GROUPS + 1)]
    assert found(with_notes(groups=groups)) == [("groups", "has 201 entries; the limit is 200")]


@pytest.mark.parametrize("wrong", ["text", {"id": "n"}, [3]])
def test_another_shape_is_an_issue(wrong):
    assert [path for path, _ in found({**flow("a"), "notes": wrong})] in (["notes"], ["notes[0]"])
    assert [path for path, _ in found({**flow("a"), "groups": wrong})] in (["groups"], ["groups[0]"])


def test_they_are_checked_in_a_draft_too():
    with pytest.raises(DefinitionError, match="there is no node 'x'"):
        graph(with_notes(groups=[{"id": "g", "nodes": ["x"]}]))


def test_many_wrong_members_end_the_check():
    issues = Issues()
    check_annotations({"groups": [{"id": "g", "nodes": [7] * 100_000}]}, (), issues)
    assert issues.is_full


def test_the_layout_alone_does_not_count_as_a_change():
    before = with_notes(NOTE, groups=[GROUP])
    moved = with_notes({**NOTE, "position": {"x": 0, "y": 0}, "width": 400}, groups=[{**GROUP, "folded": False}])
    assert count_differences(before, moved) == {}
    changed = with_notes({**NOTE, "text": "Because"})
    assert count_differences(before, changed) == {"notes": {"changed": True}, "groups": {"changed": True}}
