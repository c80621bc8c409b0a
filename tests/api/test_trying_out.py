"""Running drafts, parts of flows and flows with pinned nodes; and the steps of long runs."""

import json
import re

import pytest
from engines import statements_of_thread
from test_runs import finished

from api import runs
from models import AuditEntry, Run, RunOptions, Workflow, WorkflowVersion

pytestmark = pytest.mark.usefixtures("shared_server")

SECRET = "s3cret-value-of-the-test"
FLOW = {
    "nodes": [
        {"id": "start", "type": "manual"},
        {"id": "check", "type": "if", "config": {"condition": "{{ input.n > 10 }}"}},
        {"id": "large", "type": "set", "config": {"values": {"size": "large"}}},
        {"id": "small", "type": "set", "config": {"values": {"size": "small"}}},
        {"id": "end", "type": "noop"},
    ],
    "edges": [["start", "check"], ["check", "large", "true"], ["check", "small", "false"], ["large", "end"]],
}
DRAFT = {"nodes": [{"id": "hook", "type": "webhook", "config": {"path": "orders"}}, {"id": "b", "type": "noop"}]}
DRAFT |= {"edges": [["hook", "b"]]}
DRAFT["nodes"][0]["config"]["auth"] = "none"


def start(client, flow, status=200, headers=None, **body):
    answer = client.post(f"/api/workflows/{flow['id']}/run", body, headers=headers or {})
    assert answer.status_code == status, answer.text
    return answer.json


def steps(client, run, query=""):
    answer = client.get(f"/api/runs/{run['id']}/steps{query}")
    assert answer.status_code == 200, answer.text
    return answer.json["items"]


# Drafts, parts, pinned nodes


@pytest.mark.parametrize("status", ["draft", "active"])
def test_a_draft_runs_and_nothing_of_the_flow_changes(owner, make_flow, client, count_rows, status):
    flow = make_flow(FLOW, status=status)
    before = count_rows()
    run = start(owner, flow, definition=DRAFT, input=3)
    assert (run["status"], run["output"], run["draft"], run["workflow_version"]) == ("success", 3, True, None)
    assert [step["node_id"] for step in steps(owner, run)] == ["hook", "b"]
    assert owner.get(f"/api/workflows/{flow['id']}").json == flow
    assert [item["version"] for item in owner.get(f"/api/workflows/{flow['id']}/versions").json["items"]] == [1]
    assert client.post("/api/webhooks/orders").status_code == 404
    after = count_rows()
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"runs", "run_days", "run_options", "steps", "audit_entries"}
    assert owner.get(f"/api/runs?workflow_id={flow['id']}").json["items"][0]["draft"] is True


def test_a_draft_of_an_archived_flow_is_409_as_its_runs_are(owner, make_flow):
    flow = make_flow(FLOW, status="archived")
    assert "archived" in start(owner, flow, 409, definition=DRAFT)["error"]


def test_up_to_a_node_a_draft_may_be_incomplete_after_it(owner, flow):
    nodes = [{"id": "a", "type": "manual"}, {"id": "b", "type": "noop"}, {"id": "c", "type": "http"}]
    draft = {"nodes": nodes, "edges": [["a", "b"], ["b", "c"]]}
    run = start(owner, flow, definition=draft, until="b", input=7, pinned={"c": {"output": 1}})
    assert (run["status"], run["output"], run["until"]) == ("success", 7, "b")
    assert [step["node_id"] for step in steps(owner, run)] == ["a", "b"]
    assert {one["node_id"] for one in start(owner, flow, 400, definition=draft, until="c")["details"]} == {"c"}
    assert start(owner, flow, 400, definition=draft)["details"]


def test_a_half_built_draft_runs_without_the_unconnected_node_that_has_errors(owner, flow):
    draft = {**DRAFT, "nodes": [*DRAFT["nodes"], {"id": "c", "type": "http", "config": {"url": ""}}]}
    run = start(owner, flow, definition=draft, input=7)
    assert (run["status"], run["output"], run["progress"]) == ("success", 7, {"done": 2, "total": 2})
    joined = {**draft, "edges": [*draft["edges"], ["b", "c"]]}
    [issue] = start(owner, flow, 400, definition=joined)["details"]
    assert (issue["node_id"], issue["path"]) == ("c", "nodes[2].config.url")
    saved = owner.put(f"/api/workflows/{flow['id']}", {"definition": draft, "status": "active"})
    assert saved.status_code == 400 and saved.json["details"][0]["node_id"] == "c"


def test_the_part_of_a_draft_that_runs_must_be_valid(owner, flow):
    wrong = {"nodes": [{"id": "a", "type": "http", "config": {"methd": "GET"}}]}
    answer = start(owner, flow, 400, definition=wrong)
    assert {(issue["node_id"], issue["path"]) for issue in answer["details"]} >= {("a", "nodes[0].config.methd")}
    polled = {"nodes": [{"id": "a", "type": "poll", "config": {"url": "{{ input.url }}"}}]}
    assert start(owner, flow, 400, definition=polled)["details"][0]["node_id"] == "a"
    assert Run.select().count() == RunOptions.select().count() == 0


@pytest.mark.parametrize("wrong", [1, "{}", [], {"nodes": 1}, {"nodes": []}, {"nodes": [{"id": "a"}]}])
def test_an_invalid_draft_is_400(owner, flow, wrong):
    assert start(owner, flow, 400, definition=wrong)["error"]


def test_a_draft_that_is_too_large_is_413(owner, flow, server):
    most = server.config.max_definition_bytes
    start(owner, flow, 413, definition={"nodes": [{"id": "a", "type": "noop", "notes": "x" * most}]})


def test_a_draft_that_is_nested_too_deeply_is_400(owner, flow):
    deep = {"nodes": []}
    for _ in range(120):
        deep = {"nodes": [deep]}
    start(owner, flow, 400, definition=deep)


def test_a_run_until_a_node_has_only_the_steps_that_lead_there(owner, make_flow):
    run = start(owner, make_flow(FLOW), until="check", input={"n": 20})
    assert [step["node_id"] for step in steps(owner, run)] == ["start", "check"]
    assert (run["until"], run["output"], run["pinned"], run["draft"]) == ("check", {"n": 20}, [], False)
    assert run["progress"] == {"done": 2, "total": 2}


def test_pinned_nodes_are_not_executed_and_marked(owner, make_flow):
    pinned = {"check": {"output": {"n": 1}, "branch": "false"}}
    run = start(owner, make_flow(FLOW), pinned=pinned)
    found = {step["node_id"]: step for step in steps(owner, run)}
    assert (found["check"]["status"], found["check"]["pinned"], found["check"]["output"]) == ("success", True, {"n": 1})
    assert (found["small"]["status"], found["small"]["pinned"], found["large"]["status"]) == (
        "success",
        False,
        "skipped",
    )
    assert "start" not in found and run["pinned"] == ["check"] and run["output"] == {"size": "small"}


def test_all_three_go_together(owner, flow):
    run = start(owner, flow, definition=FLOW, until="end", pinned={"large": {"output": None}})
    assert [step["node_id"] for step in steps(owner, run)] == ["large", "end"]
    assert (run["draft"], run["until"], run["pinned"], run["output"]) == (True, "end", ["large"], None)
    assert owner.get(f"/api/runs/{run['id']}").json == {**run, "questions": []}


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"until": "nothing"}, "until"),
        ({"until": 1}, "until"),
        ({"until": ""}, "until"),
        ({"pinned": []}, "pinned"),
        ({"pinned": {"nothing": {"output": 1}}}, "pinned.nothing"),
        ({"pinned": {"large": 1}}, "pinned.large"),
        ({"pinned": {"large": {}}}, "pinned.large.output"),
        ({"pinned": {"large": {"output": 1, "branches": "x"}}}, "pinned.large.branches"),
        ({"pinned": {"large": {"output": 1, "branch": "true"}}}, "pinned.large.branch"),
        ({"pinned": {"check": {"output": 1}}}, "pinned.check.branch"),
        ({"pinned": {"check": {"output": 1, "branch": "maybe"}}}, "pinned.check.branch"),
        ({"pinned": {f"n{at}": {"output": 1} for at in range(1_001)}}, "pinned"),
    ],
)
def test_missing_nodes_are_400_and_start_no_run(owner, make_flow, count_rows, body, path):
    flow = make_flow(FLOW)
    before = count_rows()
    answer = start(owner, flow, 400, **body)
    assert path in [issue["path"] for issue in answer["details"]]
    assert count_rows() == before


@pytest.mark.parametrize("body", [{"definition": None}, {"until": None}, {"pinned": None}, {"pinned": {}}])
def test_without_options_the_run_is_an_ordinary_one(owner, flow, body):
    run = start(owner, flow, input=1, **body)
    assert (run["draft"], run["until"], run["pinned"], run["workflow_version"]) == (False, None, [], 1)
    assert RunOptions.select().count() == 0


def test_operators_may_use_until_but_no_draft_and_no_pinned_nodes(member, make_flow):
    flow, operator = make_flow(FLOW), member("operator")
    assert start(operator, flow, until="start", input=1)["output"] == 1
    for body in ({"definition": DRAFT}, {"pinned": {"start": {"output": 1}}}):
        assert start(operator, flow, 403, **body) == {"error": "This needs the role editor; your role is operator"}
        start(member("editor"), flow, **body)
        start(member("viewer"), flow, 403, **body)


def test_a_stranger_runs_no_draft_of_the_flow(other, make_flow):
    start(other, make_flow(FLOW), 403, definition=DRAFT)


def test_a_key_answers_the_first_run_whatever_else_is_asked_for(owner, make_flow):
    flow, key = make_flow(FLOW), {"Idempotency-Key": "k"}
    first = start(owner, flow, headers=key, until="start", input=1)
    assert start(owner, flow, headers=key, definition=DRAFT)["id"] == first["id"]


def test_a_secret_in_pinned_outputs_is_redacted(owner, make_flow):
    owner.post("/api/credentials", {"name": "key", "type": "secret", "data": {"value": SECRET}})
    made = {
        "nodes": [
            {"id": "a", "type": "set", "config": {"values": {"k": "{{ secrets.key }}"}}},
            {"id": "b", "type": "noop"},
            {"id": "c", "type": "noop"},
        ],
        "edges": [["a", "b"], ["a", "c"]],
    }
    run = start(owner, make_flow(made), pinned={"c": {"output": SECRET}})
    assert SECRET not in owner.get(f"/api/runs/{run['id']}/steps").text
    assert SECRET not in owner.get(f"/api/runs/{run['id']}").text


def test_a_run_of_a_draft_is_retried_and_answered_as_any_other(owner, flow):
    draft = {
        "nodes": [{"id": "ask", "type": "approval", "config": {"message": "?"}}, {"id": "b", "type": "stop"}],
        "edges": [["ask", "b", "approved"]],
    }
    draft["nodes"][1]["config"] = {"message": "no"}
    run = start(owner, flow, 202, definition=draft)
    assert run["waiting"]
    assert owner.post(f"/api/runs/{run['id']}/resume", {"answer": "approved"}).status_code == 200
    assert finished(owner, run)["error_node_id"] == "b"
    again = owner.post(f"/api/runs/{run['id']}/retry", {}).json
    assert (again["draft"], again["retry_of"], again["error_node_id"]) == (True, run["id"], "b")
    assert owner.post(f"/api/runs/{run['id']}/retry", {"version": "latest"}).status_code == 409


def test_a_draft_run_creates_no_version(owner, make_flow):
    flow = make_flow(FLOW)
    start(owner, flow, definition=DRAFT)
    assert WorkflowVersion.select().count() == 1 == Workflow.get_by_id(flow["id"]).version
    assert owner.get(f"/api/workflows/{flow['id']}/versions/2").status_code == 404


# Steps


@pytest.fixture
def long_run(owner, make_flow):
    """A run with a large output, an item of a looping node, and a skipped node."""
    made = {
        "nodes": [
            {"id": "a", "type": "set", "config": {"values": {"text": "{{ 'x' * 300000 }}"}}},
            {"id": "b", "type": "store", "foreach": [1, 2], "config": {"operation": "set", "key": "k", "value": 1}},
            {"id": "c", "type": "noop", "disabled": True},
        ],
        "edges": [["a", "b"], ["b", "c"]],
    }
    return start(owner, make_flow(made))


def test_a_step_can_be_read_by_its_number(owner, long_run):
    listed = steps(owner, long_run)
    assert [step["number"] for step in listed] == sorted(step["number"] for step in listed)
    for step in listed:
        assert owner.get(f"/api/runs/{long_run['id']}/steps/{step['number']}").json == step
        assert owner.get(f"/api/runs/{long_run['id']}/steps/{step['number']}/output").status_code == 200
    assert owner.get(f"/api/runs/{long_run['id']}/steps/999").status_code == 404


def test_steps_without_values_have_the_same_other_fields(owner, long_run):
    whole = [{**step, "input": None, "output": None} for step in steps(owner, long_run)]
    assert steps(owner, long_run, "?values=false") == whole
    assert steps(owner, long_run, "?values=true") == steps(owner, long_run)


def test_without_values_none_is_read(owner, long_run, server, monkeypatch):
    monkeypatch.setattr(server.dispatcher.resources.payloads, "load", None)
    monkeypatch.setattr(server.dispatcher.resources.payloads, "_latest", None)
    with statements_of_thread() as read:
        steps(owner, long_run, "?values=false")
    asked = [sql for sql in read if "steps" in sql]
    assert len(asked) == 1 and not {"output", "item", "inputs"} & set(asked[0].replace(",", " ").split())


def test_values_too_large_for_a_response_are_references(owner, make_flow, monkeypatch):
    """Many nodes can join the same values, and each step repeats them, so a list of steps could have any size."""
    makers = [{"id": f"m{n}", "type": "set", "config": {"values": {"x": "{{ 'x' * 1000 }}"}}} for n in range(4)]
    joins = [{"id": f"j{n}", "type": "noop"} for n in range(4)]
    edges = [[maker["id"], join["id"]] for maker in makers for join in joins]
    run = start(owner, make_flow({"nodes": [*makers, *joins], "edges": edges}), input={"given": "y" * 500})
    whole = owner.get(f"/api/runs/{run['id']}/steps")
    monkeypatch.setattr(runs, "MAX_ANSWER", 8_000)
    cut = owner.get(f"/api/runs/{run['id']}/steps")
    assert len(whole.data) > 30_000 > 20_000 > len(cut.data)
    references = re.findall(r'{"\$ref":"([^"]+)","bytes":(\d+)}', cut.text)
    assert len(references) > 10
    for path, size in set(references):
        assert len(owner.get(path).data) == int(size)


def test_the_steps_of_one_node_are_asked_for_by_its_id(owner, long_run):
    for query in ("", "&values=false"):
        found = steps(owner, long_run, f"?node_id=b{query}")
        assert {step["node_id"] for step in found} == {"b"} and len(found) == 3
        assert steps(owner, long_run, f"?node_id=nothing{query}") == []


def test_pages_of_one_nodes_steps_follow_each_other(owner, long_run):
    for query in ("", "&values=false"):
        path, found, cursor = f"/api/runs/{long_run['id']}/steps?node_id=b&limit=2{query}", [], ""
        for _ in range(2):
            page = owner.get(path + cursor).json
            found += page["items"]
            cursor = f"&cursor={page['next_cursor']}"
        assert page["next_cursor"] is None and sorted(step["number"] for step in found) == [1, 2, 3]


@pytest.mark.parametrize("query", ["?values=maybe", f"?node_id={'x' * 65}", "?limit=0&values=false"])
def test_a_wrong_parameter_is_400(owner, long_run, query):
    assert owner.get(f"/api/runs/{long_run['id']}/steps{query}").status_code == 400


# What a run began with, and what it started


def test_a_run_has_the_definition_of_its_start(owner, make_flow):
    flow = make_flow(FLOW, status="active")
    saved, draft = start(owner, flow, input={"n": 1}), start(owner, flow, definition=DRAFT)
    owner.put(f"/api/workflows/{flow['id']}", {"definition": DRAFT | {"nodes": DRAFT["nodes"][:1], "edges": []}})
    assert owner.get(f"/api/runs/{saved['id']}/definition").json == FLOW
    assert owner.get(f"/api/runs/{draft['id']}/definition").json == DRAFT


def test_a_run_whose_version_is_not_kept_has_no_definition(owner, make_flow):
    run = start(owner, make_flow(FLOW, status="active"), input={"n": 1})
    WorkflowVersion.delete().execute()
    assert owner.get(f"/api/runs/{run['id']}/definition").status_code == 404


def test_a_run_lists_the_runs_that_it_started(owner, make_flow):
    called = make_flow({"nodes": [{"id": "a", "type": "manual"}]}, status="active")
    nodes = [{"id": name, "type": "subflow", "config": {"workflow_id": called["id"]}} for name in ("one", "two")]
    run = start(owner, make_flow({"nodes": nodes, "edges": [["one", "two"]]}, status="active"))
    run = finished(owner, run)
    started = owner.get(f"/api/runs/{run['id']}/children").json["items"]
    assert [item["parent_run_id"] for item in started] == [run["id"]] * 2
    assert "output" not in started[0]
    assert owner.get(f"/api/runs/{started[0]['id']}/children").json["items"] == []


# Only one node


LINE = {
    "nodes": [
        {"id": "start", "type": "manual"},
        {"id": "one", "type": "set", "config": {"values": {"n": "{{ input.n + 1 }}"}}},
        {"id": "two", "type": "set", "config": {"values": {"n": "{{ input.n * 10 }}", "first": "{{ trigger.n }}"}}},
        {"id": "three", "type": "set", "config": {"values": {"sum": "{{ input.n + steps.one.n }}"}}},
    ],
    "edges": [["start", "one"], ["one", "two"], ["two", "three"]],
}


def with_values(definition, id_, **values):
    """Return the definition with another node `set` of this id."""
    changed = [{**n, "config": {"values": values}} if n["id"] == id_ else n for n in definition["nodes"]]
    return {**definition, "nodes": changed}


def by_node(client, run):
    return {step["node_id"]: step for step in steps(client, run)}


def test_only_one_node_runs_with_the_recorded_outputs_of_another_run(owner, make_flow):
    flow = make_flow(LINE)
    first = start(owner, flow, input={"n": 1})
    draft = with_values(LINE, "one", n=1000)
    draft = with_values(draft, "two", n="{{ input.n * 100 }}", first="{{ trigger.n }}")
    run = start(owner, flow, only="two", from_run=first["id"], definition=draft)
    assert (run["status"], run["output"], run["only"]) == ("success", {"n": 200, "first": 1}, "two")
    assert (run["retry_of"], run["input"], run["draft"]) == (first["id"], {"n": 1}, True)
    before, after = by_node(owner, first), by_node(owner, run)
    assert list(after) == ["start", "one", "two"]
    assert all(after[id_]["started_at"] == before[id_]["started_at"] for id_ in ("start", "one"))
    listed = owner.get(f"/api/runs?workflow_id={flow['id']}").json["items"]
    assert [item["only"] for item in listed] == ["two", None]
    # The new run has what the next node needs.
    last = start(owner, flow, only="three", from_run=run["id"])
    assert last["output"] == {"sum": 202} and list(by_node(owner, last)) == ["start", "one", "two", "three"]


def test_only_one_node_runs_again_when_its_run_is_retried(owner, make_flow):
    flow = make_flow(LINE)
    first = start(owner, flow, input={"n": 1})
    run = start(owner, flow, only="three", from_run=first["id"])
    again = owner.post(f"/api/runs/{run['id']}/retry", {"from": "start"}).json
    assert again["output"] == {"sum": 22} and again["only"] == "three"
    before, after = by_node(owner, run), by_node(owner, again)
    assert after["two"]["started_at"] == before["two"]["started_at"]
    assert after["three"]["id"] != before["three"]["id"]


def test_pinned_outputs_take_precedence_over_recorded_ones_and_need_no_run(owner, make_flow):
    flow = make_flow(LINE)
    first = start(owner, flow, input={"n": 1})
    pinned = {"two": {"output": {"n": 5}}}
    run = start(owner, flow, only="three", from_run=first["id"], pinned=pinned)
    assert run["output"] == {"sum": 7} and by_node(owner, run)["two"]["pinned"] is True
    run = start(owner, flow, only="two", pinned={"one": {"output": {"n": 7}}}, input={"n": 3})
    assert run["output"] == {"n": 70, "first": 3} and list(by_node(owner, run)) == ["one", "two"]
    assert run["retry_of"] is None


def test_a_first_node_runs_alone_with_the_given_input(owner, make_flow):
    flow = make_flow(LINE)
    first = start(owner, flow, input={"n": 1})
    assert start(owner, flow, only="start", input={"n": 9})["output"] == {"n": 9}
    assert start(owner, flow, only="start", input={"n": 9}, from_run=first["id"])["output"] == {"n": 9}
    assert start(owner, flow, only="start", from_run=first["id"])["output"] == {"n": 1}


def test_missing_data_is_a_409_that_names_the_nodes(owner, make_flow, count_rows):
    flow = make_flow(LINE)
    partial = start(owner, flow, until="one", input={"n": 1})
    before = count_rows()
    answer = start(owner, flow, 409, only="three", from_run=partial["id"])
    assert answer["error"] == "The node 'three' needs the output of 'two', but this node has no output yet"
    assert [(one["path"], one["node_id"]) for one in answer["details"]] == [("only", "two")]
    assert {one["node_id"] for one in start(owner, flow, 409, only="three")["details"]} == {"one", "two"}
    assert count_rows() == before


def test_a_branch_that_was_not_taken_gives_no_input(owner, make_flow):
    flow = make_flow(FLOW)
    first = start(owner, flow, input={"n": 20})
    assert start(owner, flow, only="large", from_run=first["id"])["output"] == {"size": "large"}
    answer = start(owner, flow, 409, only="small", from_run=first["id"])
    assert answer["error"] == "The node 'small' has no input: in that run, no branch led to it"
    pinned = {"check": {"output": 1, "branch": "false"}}
    assert start(owner, flow, only="small", from_run=first["id"], pinned=pinned)["output"] == {"size": "small"}


def test_only_the_node_that_runs_must_be_valid(owner, make_flow):
    flow = make_flow(LINE)
    first = start(owner, flow, input={"n": 1})
    wrong = {"id": "one", "type": "http", "config": {"url": ""}}
    draft = {**LINE, "nodes": [wrong if n["id"] == "one" else n for n in LINE["nodes"]]}
    run = start(owner, flow, only="two", from_run=first["id"], definition=draft)
    assert run["output"] == {"n": 20, "first": 1}
    answer = start(owner, flow, 400, only="one", from_run=first["id"], definition=draft)
    assert [one["path"] for one in answer["details"]] == ["nodes[1].config.url"]


def test_large_values_are_shared_and_loops_and_disabled_nodes_keep_their_outputs(owner, make_flow, server):
    large = "x" * (server.config.inline_value_bytes + 1)
    nodes = [
        {"id": "start", "type": "manual"},
        {"id": "each", "type": "set", "foreach": "{{ input.items }}", "config": {"values": {"t": "{{ item }}"}}},
        {"id": "off", "type": "http", "disabled": True, "config": {"url": "http://localhost/"}},
        {"id": "last", "type": "set", "config": {"values": {"n": "{{ len(input) }}", "t": "{{ input[1].t }}"}}},
    ]
    flow = make_flow({"nodes": nodes, "edges": [["start", "each"], ["each", "off"], ["off", "last"]]})
    first = start(owner, flow, input={"items": ["a", large]})
    run = start(owner, flow, only="last", from_run=first["id"])
    assert owner.get(f"/api/runs/{run['id']}/output").json == {"n": 2, "t": large}
    owner.delete(f"/api/runs/{first['id']}")
    found = next(step for step in steps(owner, run) if step["node_id"] == "each" and step["index"] is None)
    assert owner.get(f"/api/runs/{run['id']}/steps/{found['number']}/output").json[1] == {"t": large}


def test_a_disabled_node_is_not_run(owner, make_flow):
    off = [{**n, "disabled": n["id"] == "one"} for n in LINE["nodes"]]
    flow = make_flow({**LINE, "nodes": off})
    first = start(owner, flow, input={"n": 1})
    assert "is disabled" in start(owner, flow, 409, only="one", from_run=first["id"])["error"]


@pytest.mark.parametrize(
    ("body", "status", "path"),
    [
        ({"only": "nothing"}, 400, "only"),
        ({"only": ""}, 400, "only"),
        ({"only": "one", "until": "two"}, 400, "only"),
        ({"from_run": "run_1"}, 400, "from_run"),
        ({"only": "one", "from_run": "run_1"}, 404, None),
        ({"only": "one", "pinned": {"nothing": {"output": 1}}}, 400, "pinned.nothing"),
    ],
)
def test_a_wrong_choice_of_one_node_is_refused(owner, make_flow, body, status, path):
    answer = start(owner, make_flow(LINE), status, **body)
    assert {one["path"] for one in answer.get("details", [])} == ({path} if path else set())


def test_recorded_outputs_come_only_from_ended_runs_of_the_flow(owner, make_flow):
    flow = make_flow(LINE)
    other = start(owner, make_flow(LINE), input={"n": 1})
    assert "has no run" in start(owner, flow, 404, only="two", from_run=other["id"])["error"]
    waiting = make_flow({"nodes": [{"id": "ask", "type": "approval", "config": {"message": "Go?"}}], "edges": []})
    run = start(owner, waiting, 202)
    assert "has not ended" in start(owner, waiting, 409, only="ask", from_run=run["id"])["error"]
    key = {"Idempotency-Key": "k"}
    first = start(owner, flow, input={"n": 1})
    assert "Idempotency-Key" in start(owner, flow, 400, key, only="two", from_run=first["id"])["error"]


def test_a_run_of_one_node_needs_the_role_editor_and_is_audited(owner, make_flow, member):
    flow = make_flow(LINE)
    first = start(owner, flow, input={"n": 1})
    operator = member("operator")
    start(operator, flow, 403, only="two", from_run=first["id"])
    run = start(owner, flow, only="two", from_run=first["id"])
    entry = AuditEntry.get(target_id=run["id"])
    assert (entry.action, json.loads(entry.changes)) == ("run.started", {"draft": False, "only": "two"})
