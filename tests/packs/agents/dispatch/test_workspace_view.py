"""What agents and MCP clients are told of a workspace: all that they need, bounded, and nothing of another one."""

import json

import orjson
import pytest

from errors import BadInput, NotFound
from models import LogEntry
from packs.agents.services import MAX_ISSUES, MAX_OUTPUTS, MAX_STEPS, MAX_TEXT, MAX_VALUE, WorkspaceView

FAILING = {
    "nodes": [
        {"id": "start", "type": "manual"},
        {"id": "stop", "type": "stop", "config": {"message": "no {{ input.a }}"}},
    ],
    "edges": [["start", "stop"]],
}


def called_with(**config):
    return {"nodes": [{"id": "s", "type": "set", "config": config}]}


@pytest.fixture
def look(server, workspace):
    return WorkspaceView(workspace.id, server.dispatcher.resources)


@pytest.fixture
def stranger(server, other):
    return WorkspaceView(other.workspace.id, server.dispatcher.resources)


def test_flows_are_listed_newest_first_page_by_page(look, make_flow):
    ids = [make_flow(name=name)["id"] for name in ("Alpha", "Beta", "Alphabet")]
    found = look.list_flows(limit=2)
    assert [flow["id"] for flow in found["flows"]] == [ids[2], ids[1]]
    assert found["flows"][0].keys() == {"id", "name", "status", "version", "created_at", "updated_at"}
    rest = look.list_flows(limit=2, cursor=found["next_cursor"])
    assert [flow["name"] for flow in rest["flows"]] == ["Alpha"] and rest["next_cursor"] is None
    assert len(look.list_flows(search="alpha")["flows"]) == 2
    assert look.list_flows(status="active")["flows"] == []


def test_a_flow_comes_with_its_definition(look, flow):
    found = look.get_flow(flow["id"])
    assert found["definition"] == json.loads(flow["definition_json"])
    assert found["updated_at"] == flow["updated_at"]


def test_a_definition_that_is_too_long_is_cut_and_says_so(look, make_flow):
    flow = make_flow(called_with(values={"a": "x" * 70_000}))
    cut = look.get_flow(flow["id"])["definition"]["$cut"]
    assert cut["bytes"] > 70_000 and flow["definition_json"].startswith(cut["start"]) and len(cut["start"]) == 60_000


def test_a_run_is_told_with_its_steps(look, make_run):
    run = make_run(called_with(values={"b": "{{ input.a }}"}), {"a": 1})
    found = look.get_run(run["id"])
    assert (found["status"], found["input"], found["output"]) == ("success", {"a": 1}, {"b": 1})
    (step,) = found["steps"]
    assert (step["number"], step["node_id"], step["status"], step["output"]) == (0, "s", "success", {"b": 1})
    assert "error_text" not in found and "more_after" not in found


def test_durations_are_whole_milliseconds(look, make_run):
    run = make_run()
    found = look.get_run(run["id"])
    told = [found, *found["steps"], *look.list_runs()["runs"]]
    assert {type(each["duration_ms"]) for each in told} == {int}


def test_a_step_says_whose_outputs_it_was_given(look, make_run):
    run = make_run({"nodes": [{"id": "a", "type": "manual"}, {"id": "b", "type": "noop"}], "edges": [["a", "b"]]}, 1)
    first, second = look.get_run(run["id"])["steps"]
    assert second["input_of"] == ["a"] and "input_of" not in first


def test_a_failed_run_says_where_and_why(look, make_run):
    run = make_run(FAILING, {"a": 7})
    found = look.get_run(run["id"])
    assert (found["status"], found["error_node_id"], found["error_text"]) == ("failed", "stop", "no 7")
    assert found["steps"][-1]["error_text"] == "no 7"
    assert look.list_runs(status="failed")["runs"][0]["error_text"] == "no 7"
    assert look.list_runs(status="success")["runs"] == []


def test_an_item_of_a_foreach_is_told_with_its_index(look, make_run):
    config = {"operation": "increment", "key": "{{ item }}"}
    run = make_run({"nodes": [{"id": "s", "type": "store", "foreach": "{{ input }}", "config": config}]}, ["a", "b"])
    items = [step for step in look.get_run(run["id"])["steps"] if "index" in step]
    assert [(step["index"], step["item"], step["output"]) for step in items] == [(0, "a", 1), (1, "b", 1)]


def test_long_values_are_cut_and_say_so_wherever_they_lie(look, make_run):
    in_row, in_file = "é" * 20_000, "é" * 100_000
    for text in (in_row, in_file):
        found = look.get_run(make_run(called_with(values={"a": text}), text)["id"])
        for value in (found["input"], found["output"], found["steps"][0]["output"]):
            cut = value["$cut"]
            assert cut["bytes"] > 2 * len(text) and 0 < len(cut["start"]) <= MAX_VALUE and "éé" in cut["start"]


def test_many_steps_are_given_by_pages_whose_outputs_are_shorter(look, make_run):
    count = MAX_STEPS + 20
    nodes = [{"id": f"n{number}", "type": "set", "config": {"values": {"a": "x" * 3_000}}} for number in range(count)]
    run = make_run({"nodes": nodes})
    found = look.get_run(run["id"])
    assert len(found["steps"]) == MAX_STEPS and found["more_after"] == MAX_STEPS - 1
    assert len(orjson.dumps([step["output"] for step in found["steps"]])) < MAX_OUTPUTS * 1.2
    rest = look.get_run(run["id"], after=found["more_after"])
    assert [step["number"] for step in rest["steps"]] == list(range(MAX_STEPS, count)) and "more_after" not in rest


def test_the_step_that_ended_the_run_is_on_the_first_page(look, make_run):
    nodes = [{"id": f"n{number}", "type": "noop"} for number in range(MAX_STEPS + 5)]
    nodes.append({"id": "stop", "type": "stop", "config": {"message": "no"}})
    edges = [[a["id"], b["id"]] for a, b in zip(nodes, nodes[1:], strict=False)]
    found = look.get_run(make_run({"nodes": nodes, "edges": edges})["id"])
    assert found["steps"][-1]["error_text"] == "no" and len(found["steps"]) == MAX_STEPS + 1


def test_long_messages_are_cut(look, run, workspace):
    LogEntry.add(workspace_id=workspace.id, run_id=run["id"], level="info", message="x" * 5_000)
    (entry,) = look.get_run_log(run["id"])["entries"]
    assert entry["message"].endswith("… (cut: 5,000 characters)") and len(entry["message"]) < MAX_TEXT + 50


def test_runs_are_listed_by_flow_and_page(look, make_run):
    first, second = make_run(input=1), make_run(input=2)
    found = look.list_runs(limit=1)
    assert [run["id"] for run in found["runs"]] == [second["id"]] and "output" not in found["runs"][0]
    assert [run["id"] for run in look.list_runs(cursor=found["next_cursor"])["runs"]] == [first["id"]]
    assert [run["id"] for run in look.list_runs(workflow_id=first["workflow_id"])["runs"]] == [first["id"]]


def test_the_log_of_a_run_is_told_page_by_page(look, run, workspace):
    for number in range(205):
        LogEntry.add(workspace_id=workspace.id, run_id=run["id"], level="info", message=f"m{number}", data='{"a":1}')
    found = look.get_run_log(run["id"])
    assert len(found["entries"]) == 200
    assert {key: found["entries"][0][key] for key in ("level", "message", "data")} == {
        "level": "info",
        "message": "m0",
        "data": {"a": 1},
    }
    rest = look.get_run_log(run["id"], found["next_cursor"])
    assert [entry["message"] for entry in rest["entries"]] == [f"m{number}" for number in range(200, 205)]


def test_nothing_of_another_workspace_is_told(stranger, flow, run):
    assert stranger.list_flows()["flows"] == stranger.list_runs()["runs"] == []
    assert stranger.list_runs(workflow_id=flow["id"])["runs"] == []
    for ask, id_ in ((stranger.get_flow, flow["id"]), (stranger.get_run, run["id"]), (stranger.get_run_log, run["id"])):
        with pytest.raises(NotFound) as caught:
            ask(id_)
        with pytest.raises(NotFound) as unknown:
            ask(id_.lower())
        assert caught.value.message.lower() == unknown.value.message.lower()


@pytest.mark.parametrize(
    ("ask", "named"),
    [
        (lambda look: look.list_runs(status="broken"), "status"),
        (lambda look: look.list_flows(status="on"), "status"),
        (lambda look: look.list_runs(limit=0), "limit"),
        (lambda look: look.list_flows(limit=101), "limit"),
    ],
)
def test_a_parameter_that_cannot_be_is_named(look, ask, named):
    with pytest.raises(BadInput, match=f"^{named}: must be"):
        ask(look)


@pytest.mark.parametrize(
    "definition",
    [
        {"nodes": [{"id": "a", "type": "manual"}]},
        {"nodes": [{"id": "a", "type": "htpp"}], "edges": [["a", "b"]], "more": 1},
        {"nodes": [{"id": "a", "type": "set"}, {"id": "b", "type": "email", "config": {"credential": "post"}}]},
        {"nodes": [{"id": "a", "type": "email", "config": {"credential": "post", "to": "a@b.c", "subject": "s"}}]},
        [],
        "{}",
    ],
)
def test_a_definition_is_checked_as_the_api_does_it(look, owner, definition):
    answer = owner.post("/api/workflows/validate", {"definition": definition}).json
    del answer["nodes"]  # which are for an editor to draw them
    assert look.validate_flow(definition) == answer


def test_issues_are_bounded(look):
    nodes = [{"id": f"n{number}", "type": "nothing"} for number in range(MAX_ISSUES + 30)]
    found = look.validate_flow({"nodes": nodes})
    assert len(found["issues"]) == MAX_ISSUES and found["more_issues"] == 30


def test_a_definition_that_is_too_large_or_too_deep_is_refused(look, server):
    deep = []
    for _ in range(1_000):
        deep = [deep]
    for definition in ({"nodes": deep}, {"nodes": ["x" * server.config.max_definition_bytes]}):
        with pytest.raises(BadInput, match="^definition "):
            look.validate_flow(definition)


def test_node_types_are_found_by_words(look):
    found = look.search_nodes("send an email")["nodes"]
    assert found[0]["type"] == "email" and found[0].keys() == {"type", "name", "category", "description"}
    assert look.search_nodes("xyzzy")["nodes"] == []
    assert {node["category"] for node in look.search_nodes(category="trigger")["nodes"]} == {"trigger"}
    many = look.search_nodes("the")
    assert len(many["nodes"]) == 20 and many["more_nodes"] > 0


def test_a_node_type_is_described_with_its_schema(look):
    found = look.describe_node("called")
    assert found["config_schema"]["properties"].keys() == {"input_schema", "description"} and found["examples"]
    with pytest.raises(NotFound, match="There is no node type 'htpp'; did you mean 'http'?"):
        look.describe_node("htpp")


def test_all_that_is_told_is_json(look, make_run, flow):
    run = make_run(FAILING, {"a": 1})
    told = [look.list_flows(), look.get_flow(flow["id"]), look.list_runs(), look.get_run(run["id"])]
    orjson.dumps([*told, look.get_run_log(run["id"]), look.search_nodes("http"), look.describe_node("http")])
