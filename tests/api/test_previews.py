"""Previews of expressions: evaluated as by the engine, without secrets."""

import dataclasses
import hashlib
import itertools

import pytest
from test_runs import start

from api import expressions
from database import execute
from dispatch import expression_preview, references
from dispatch.process_limits import RequestLimit
from nodes.data.python_sandbox import Sandbox

pytestmark = pytest.mark.usefixtures("shared_server")

SECRET = "s3cret-value-of-the-test"
FLOW = {
    "nodes": [
        {"id": "start", "type": "manual"},
        {"id": "check", "type": "if", "config": {"condition": "{{ input.n > 10 }}"}},
        {"id": "large", "type": "set", "config": {"values": {"size": "large", "n": "{{ input.n }}"}}},
        {"id": "small", "type": "set", "config": {"values": {"size": "small"}}},
        {"id": "side", "type": "set", "config": {"values": {"on": "the side"}}},
        {"id": "end", "type": "set", "config": {"values": "{{ input }}"}},
        {"id": "after", "type": "noop"},
    ],
    "edges": [
        ["start", "check"], ["check", "large", "true"], ["check", "small", "false"], ["start", "side"],
        ["large", "end"], ["small", "end"], ["end", "after"],
    ],
    "settings": {"vars": {"rate": 3}},
}  # fmt: skip


@pytest.fixture
def made(owner, make_flow):
    """A flow and a run of it."""
    flow = make_flow(FLOW)
    return flow, start(owner, flow, {"input": {"n": 20}})


@pytest.fixture
def ask(owner, made):
    """`ask(node, *templates, …)` returns the previews of the templates at the node; default: with the run."""
    flow, run = made

    def preview(node, *templates, status=200, who=owner, **body):
        body = {"workflow_id": flow["id"], "run_id": run["id"], "node_id": node, "templates": templates, **body}
        answer = who.post("/api/expressions/preview", body)
        assert answer.status_code == status, answer.text
        return answer.json

    return preview


@pytest.fixture
def value(ask):
    """`value(node, template, …)` returns the value of the template, or its error."""

    def one(node, template, **body):
        (item,) = ask(node, template, **body)["items"]
        return item["value"] if item["ok"] else item["error"]

    return one


# What expressions see


def test_an_expression_is_evaluated_with_the_recorded_values(value):
    assert value("end", "{{ input.n * 2 }} {{ input.size }}") == "40 large"
    assert value("end", "{{ steps.start.n + vars.rate + trigger.n }}") == 43
    assert value("start", "{{ input }}") == {"n": 20}


def test_a_template_may_be_any_json(value):
    assert value("end", {"a": ["{{ input.n }}", 1, None], "b": {"c": "n is {{ input.n }}"}}) == {
        "a": [20, 1, None],
        "b": {"c": "n is 20"},
    }
    for plain in (None, 1, True, "text", [], {}):
        assert value("end", plain) == plain


def test_a_node_that_was_not_reached_sees_its_executed_predecessors(value):
    assert value("small", "{{ input.n }}") == 20
    assert value("after", "{{ input.size }}") == "large"


def test_the_error_names_nodes_that_the_run_did_not_reach(value):
    draft = {
        **FLOW,
        "nodes": [*FLOW["nodes"], {"id": "far", "type": "noop"}],
        "edges": [*FLOW["edges"], ["small", "far"]],
    }
    assert value("far", "{{ input }}", definition=draft).startswith("the run did not reach this node: 'input' is not")
    assert value("far", "{{ trigger.n }}", definition=draft) == 20


def test_missing_values_are_errors(value, ask):
    assert "steps has no key 'small'" in value("end", "{{ steps.small.size }}")
    assert "'nothing' is not defined" in value("end", "{{ nothing }}")
    assert "line 1, column" in value("end", "{{ 1 + }}")
    assert ask("end", "{{ 1 +")["items"][0]["ok"] is False


def test_run_workflow_and_now_are_those_of_the_run(value, made):
    flow, run = made
    assert value("end", "{{ run.id }} {{ run.triggered_by }}") == f"{run['id']} manual"
    assert value("end", "{{ workflow }}") == {"id": flow["id"], "name": "Echo", "version": 1}
    assert value("end", "{{ now.year > 2000 }}") is True


def test_the_preview_equals_the_result_of_the_engine(owner, made, ask, make_flow):
    templates = [
        "{{ input }}",
        "{{ steps.start }}",
        "{{ steps }}",
        "{{ trigger.n }}",
        "{{ vars }}",
        "{{ workflow.name }}",
    ]
    flow, _ = made
    definition = {**FLOW, "nodes": [*FLOW["nodes"][:5], {"id": "end", "type": "set", "config": {"values": {}}}]}
    definition["edges"] = FLOW["edges"][:6]
    definition["nodes"][5]["config"]["values"] = {str(at): text for at, text in enumerate(templates)}
    run = start(owner, flow, {"definition": definition, "input": {"n": 30}})
    found = ask("end", *templates, definition=definition, run_id=run["id"])["items"]
    assert {str(at): item["value"] for at, item in enumerate(found)} == run["output"]["end"]


def test_a_draft_that_is_not_valid_yet_is_good_enough(value):
    nodes = [*FLOW["nodes"], {"id": "new", "type": "http", "config": {"methd": 1}}, {"id": "odd", "type": "nothing"}]
    draft = {**FLOW, "nodes": nodes, "edges": [*FLOW["edges"], ["large", "new"], ["new", "odd"]]}
    assert value("new", "{{ input.size }}", definition=draft) == "large"
    assert value("odd", "{{ steps.large.n }}", definition=draft) == 20
    assert value("new", "{{ workflow.version }}", definition=draft, run_id=None) is None


def test_pinned_outputs_stand_in_place_of_recorded_ones(value):
    pinned = {"large": {"output": {"n": 1, "size": "pinned"}}}
    assert value("end", "{{ input.size }}", pinned=pinned) == "pinned"
    assert value("end", "{{ steps.large.n }}", pinned=pinned, run_id=None) == 1


def test_a_pinned_branch_decides_the_input(value):
    pinned = {"large": {"output": 1}, "small": {"output": 2}}
    assert value("end", "{{ input }}", pinned=pinned) == {"large": 1, "small": 2}


def test_without_a_run_only_pinned_outputs_exist(value):
    for name in ("input", "trigger"):
        assert f"'{name}' is not defined" in value("start", f"{{{{ {name} }}}}", run_id=None)
    assert value("end", "{{ vars.rate }} {{ workflow.version }} {{ run.triggered_by }}", run_id=None) == "3 1 manual"


def test_of_a_node_that_is_mapped_the_first_item_is_seen(value):
    def mapped(foreach):
        return {
            **FLOW,
            "nodes": [node | ({"foreach": foreach} if node["id"] == "side" else {}) for node in FLOW["nodes"]],
        }

    assert value("side", "{{ item }} {{ index }}", definition=mapped("{{ [input.n, 7] }}")) == "20 0"
    assert value("side", "{{ item }}", definition=mapped([5, 6])) == 5
    for nothing in ("{{ [] }}", "{{ nothing }}", "{{ 1 + }}", 7):
        assert "'item' is not defined" in value("side", "{{ item }}", definition=mapped(nothing))


def test_of_a_node_that_goes_through_a_list_the_first_item_is_seen(value):
    node = {"id": "f", "type": "filter", "config": {"items": "{{ [4, 5] }}", "keep": "{{ item > 4 }}"}}
    draft = {**FLOW, "nodes": [*FLOW["nodes"], node], "edges": [*FLOW["edges"], ["large", "f"]]}
    assert value("f", "{{ item > 4 }}", definition=draft) is False
    del node["config"]["items"]
    assert value("f", "{{ item }}", definition=draft, pinned={"large": {"output": ["x"]}}) == "x"


def test_the_address_of_a_node_that_waits_is_there_before_it_is_reached(value):
    nodes = [*FLOW["nodes"], {"id": "ask", "type": "approval", "config": {"message": "?"}}]
    draft = {**FLOW, "nodes": nodes, "edges": [*FLOW["edges"], ["after", "ask"]]}
    assert value("large", "{{ steps.ask.url }}", definition=draft).startswith("http")
    assert value("large", "{{ steps.ask.url }}", definition=draft, run_id=None).startswith("http")


def test_names_for_completion_are_those_that_the_node_sees(ask):
    names = ask("end", 1)["names"]
    assert names["steps"] == ["start", "check", "large", "small"]
    assert {"input", "steps", "trigger", "vars", "secrets", "run", "workflow", "now", "item", "index"} == set(
        names["top"]
    )
    assert ask("start", 1)["names"]["steps"] == []


# Secrets

ATTEMPTS = [
    "{{ secrets.key }}",
    "{{ secrets['key'] }}",
    "{{ secrets.get('key') }}",
    "{{ secrets.key[0] }}{{ secrets.key[1:] }}",
    "{{ secrets.key | upper }}",
    "{{ secrets.key | length }}",
    "{{ secrets.key | b64encode }}",
    "{{ secrets.key | sha256 }}",
    "{{ secrets.key | tojson }}",
    "{{ secrets.key | list }}",
    "{{ secrets.key | urlencode }}",
    "{{ secrets.key == '" + SECRET + "' }}",
    "{{ 's3cret' in secrets.key }}",
    "{{ 'yes' if secrets.key[0] == 's' else 'no' }}",
    "{{ secrets.key < 't' }}",
    "{{ {'a': secrets.key}.a }}",
    "{{ secrets }}",
    "{{ secrets | list }}",
    "{{ secrets.login }}",
    "{{ secrets.login.password }} {{ secrets.login.username }}",
]


@pytest.fixture
def credentials(owner):
    for name, type_, data in (
        ("key", "secret", {"value": SECRET}),
        ("login", "http_basic", {"username": SECRET, "password": SECRET}),
    ):
        assert owner.post("/api/credentials", {"name": name, "type": type_, "data": data}).status_code == 201


def test_secrets_are_dots(value, credentials):
    assert value("end", "{{ secrets.key }}") == "••••"
    assert value("end", "Bearer {{ secrets.key }}") == "Bearer ••••"
    assert value("end", "{{ secrets.login }}") == {"username": "••••", "password": "••••"}
    assert "there is no credential 'other'" in value("end", "{{ secrets.other }}")


def test_no_expression_reveals_a_secret(ask, owner, credentials):
    """The previews are the same for another value of another length."""
    first = ask("end", *ATTEMPTS)
    assert SECRET not in str(first) and hashlib.sha256(SECRET.encode()).hexdigest() not in str(first)
    for row in owner.get("/api/credentials").json["items"]:
        data = {"value": "x"} if row["name"] == "key" else {"username": "x", "password": "x"}
        assert owner.put(f"/api/credentials/{row['id']}", {"data": data}).status_code == 200
    assert ask("end", *ATTEMPTS) == first


def test_no_credential_is_opened(ask, credentials, server, monkeypatch):
    monkeypatch.setattr(server.dispatcher.resources, "find_credential", None)
    execute("UPDATE credentials SET data = 'not to be read'")
    assert [item["value"] for item in ask("end", *ATTEMPTS)["items"][:2]] == ["••••", "••••"]


# Bounds


def test_a_long_value_is_cut_and_marked_as_truncated(ask):
    text, listed, short = ask("end", "{{ 'x' * 50000 }}", "{{ range(20000) | list }}", "{{ 'x' * 9 }}")["items"]
    assert text["truncated"] and text["value"] == "x" * expression_preview.MAX_VALUE
    assert (
        listed["truncated"]
        and listed["value"].startswith("[0,1,2,")
        and len(listed["value"]) <= expression_preview.MAX_VALUE
    )
    assert short["truncated"] is False


def test_a_value_that_would_be_huge_is_an_error(value):
    pinned = {"large": {"output": "x" * 300_000}}
    assert "exceeds the limit" in value("end", ["{{ input }}"] * 120, pinned=pinned)
    assert "too much work" in value("end", ["{{ 'x' * 1000000 }}"] * 60)


def test_templates_that_take_too_long_together_are_not_evaluated(ask, monkeypatch):
    clock = itertools.count(0, 4)
    monkeypatch.setattr(expression_preview.time, "monotonic", lambda: next(clock))
    first, second, third = ask("end", 1, 2, "{{ 3 }}")["items"]
    assert first["ok"] and not third["ok"] and "not evaluated" in third["error"] and second is not None


def test_more_expressions_than_are_compiled_in_a_second_are_413(ask, monkeypatch):
    monkeypatch.setattr(expression_preview, "MAX_COMPILED", 100)
    texts = ["{{ input.n }}" + str(at) for at in range(10)]
    assert "100 characters" in ask("end", {"a": [texts[:5], {"b": texts[5:]}]}, status=413)["error"]
    assert "100 characters" in ask("end", *texts, status=413)["error"]
    assert ask("end", texts[:5], "x" * 1000)["items"][0]["ok"]


def test_no_more_than_a_few_are_evaluated_at_once_and_each_gives_its_place_back(ask, monkeypatch):
    places = RequestLimit("to preview expressions", 1, 1, 0.01)
    monkeypatch.setattr(expressions, "PREVIEWS", places)
    ask("end", "{{ 1 }}")
    ask("end", "{{ x" * 50_000, status=413)
    with places.taken("somebody else"):
        assert "try again" in ask("end", "{{ 1 }}", status=503)["error"]
    ask("end", "{{ 1 }}")


def test_more_of_the_record_than_a_value_may_have_is_413(owner, make_flow, ask, server, monkeypatch):
    nodes = [{"id": f"n{at}", "type": "set", "config": {"values": {"x": "{{ 'x' * 90000 }}"}}} for at in range(3)]
    flow = make_flow(
        {"nodes": [*nodes, {"id": "end", "type": "noop"}], "edges": [[f"n{at}", "end"] for at in range(3)]}
    )
    run, where = start(owner, flow), {"workflow_id": flow["id"]}
    assert ask("end", "{{ input.n1.x | length }}", run_id=run["id"], **where)["items"][0]["value"] == 90_000
    monkeypatch.setattr(
        server.dispatcher.resources, "config", dataclasses.replace(server.config, max_value_bytes=200_000)
    )
    ask("end", "{{ input }}", status=413, run_id=run["id"], **where)
    assert ask("n0", "{{ vars }}", run_id=run["id"], **where)["items"][0]["ok"]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"node_id": "nothing"}, "node_id: the definition has no node 'nothing'"),
        ({"node_id": None}, "node_id"),
        ({"templates": []}, "templates"),
        ({"templates": [1] * 51}, "templates"),
        ({"template": 1}, "template: Give either template or templates"),
        ({"templates": "x"}, "templates"),
        ({"definition": 1}, "definition"),
        ({"definition": {"nodes": [{"id": "a"}]}}, "nodes[0].type"),
        ({"pinned": {"end": 1}}, "pinned.end"),
        ({"run_id": 7}, "run_id"),
        ({"more": 1}, "more"),
    ],
)
def test_a_wrong_request_is_400(ask, body, problem):
    assert problem in ask("end", 1, status=400, **body)["error"]


def test_one_template_alone_may_be_given(owner, made):
    flow, run = made
    body = {"workflow_id": flow["id"], "run_id": run["id"], "node_id": "end", "template": ["{{ input.n }}"]}
    answer = owner.post("/api/expressions/preview", body).json
    assert answer["items"] == [{"ok": True, "value": [20], "error": None, "truncated": False}]
    del body["template"]
    assert owner.post("/api/expressions/preview", body).status_code == 400


def test_a_run_of_another_flow_is_400_and_a_missing_one_404(ask, make_run):
    assert "not a run of this flow" in ask("end", 1, status=400, run_id=make_run(input=1)["id"])["error"]
    ask("end", 1, status=404, run_id="run_nothing")
    ask("end", 1, status=404, workflow_id="wf_nothing")


def test_a_definition_that_is_too_large_is_413(ask, server):
    most = server.config.max_definition_bytes
    ask("a", 1, status=413, definition={"nodes": [{"id": "a", "type": "noop", "notes": "x" * most}]})


def test_a_preview_needs_the_role_editor(ask, member, other, make_flow, make_run):
    for role in ("viewer", "operator"):
        ask("end", 1, status=403, who=member(role))
    ask("end", 1, who=member("editor"))
    ask("end", 1, status=403, who=other)
    theirs = make_run(input=1, who=other)
    ask("end", 1, status=403, run_id=theirs["id"])
    ask("end", 1, status=403, workflow_id=theirs["workflow_id"])


def test_nothing_is_written(ask, count_rows):
    before = count_rows()
    ask("end", "{{ input }}")
    assert count_rows() == before


# Several items


def test_each_item_of_a_loop_has_its_value(owner, make_flow):
    nodes = [
        {"id": "start", "type": "manual"},
        {"id": "each", "type": "set", "foreach": "{{ input.rows }}", "config": {"values": {}}},
        {"id": "some", "type": "filter", "config": {"items": "{{ trigger.rows }}", "keep": "{{ true }}"}},
    ]
    flow = make_flow({"nodes": nodes, "edges": [["start", "each"], ["each", "some"]]})
    run = start(owner, flow, {"input": {"rows": [{"n": n} for n in range(30)]}})
    body = {"workflow_id": flow["id"], "run_id": run["id"], "each": 20}
    for node in ("each", "some"):
        told = owner.post("/api/expressions/preview", {**body, "node_id": node, "template": "{{ 6 // (item.n - 1) }}"})
        each = told.json["each"]
        assert [item["index"] for item in each] == [*range(20)] and {item["run_id"] for item in each} == {None}
        assert each[0]["value"] == -6 and each[3]["value"] == 3
        assert not each[1]["ok"] and "zero" in each[1]["error"]


def test_without_a_loop_each_of_the_last_runs_has_its_value(owner, made, ask):
    flow, run = made
    runs = [run["id"], *(start(owner, flow, {"input": {"n": n}})["id"] for n in (1, 30))]
    body = {"workflow_id": flow["id"], "node_id": "large", "run_id": run["id"], "each": 10}
    each = owner.post("/api/expressions/preview", {**body, "template": "{{ input.n }} of {{ run.id }}"}).json["each"]
    assert [item["run_id"] for item in each] == runs[::-1]
    values = [item["value"] for item in each]
    assert values == [f"{n} of {id_}" for n, id_ in zip((30, 1, 20), runs[::-1], strict=True)]
    assert ask("large", "{{ 1 }}")["each"] == []


def test_values_of_several_items_are_bounded(owner, made):
    flow, run = made
    body = {"workflow_id": flow["id"], "node_id": "large", "run_id": run["id"], "template": "{{ 'x' * 5000 }}"}
    (each,) = owner.post("/api/expressions/preview", {**body, "each": 5}).json["each"]
    assert each["truncated"] and len(each["value"]) == expression_preview.MAX_EACH_VALUE
    assert owner.post("/api/expressions/preview", {**body, "each": 21}).status_code == 400
    del body["template"]
    assert owner.post("/api/expressions/preview", {**body, "each": 2, "templates": ["a"]}).status_code == 400


# Syntax errors in the code of nodes are found while a flow is edited, and nothing of the code is executed


@pytest.fixture(scope="module")
def sandbox():
    made = Sandbox()
    yield made
    made.close()


@pytest.mark.parametrize(
    ("source", "line", "words"),
    [
        ("x = 1\nfor i in range(3)\n  x", 2, "Expected `:`"),
        ("x = [1, 2\ny = 3", 2, "Expected `,`"),
        ("a = 'open", 1, "closing quote"),
        ("(" * 10_000, 1, "too deeply nested"),
        ("x = 1\ndel x", 2, "'del'"),
    ],
)
def test_the_first_error_is_told_with_its_line(sandbox, source, line, words):
    message = sandbox.check(source)
    assert message.startswith(f"line {line}: ") and words in message


@pytest.mark.parametrize(
    "source", ["", "x = 1", "while True: pass", "1 / 0", "raise ValueError", "input['a']", "no_name"]
)
def test_code_that_compiles_is_not_executed(sandbox, source):
    assert sandbox.check(source) is None


def code(*sources):
    return {"nodes": [{"id": f"n{at}", "type": "code", "config": {"source": text}} for at, text in enumerate(sources)]}


def test_a_definition_is_checked_with_the_place_of_each_error(owner):
    body = {"definition": code("x = 1", "x =")}
    told = owner.post("/api/workflows/validate", body).json
    (issue,) = (issue for issue in told["issues"] if issue["path"].startswith("nodes"))
    assert issue["path"] == "nodes[1].config.source" and issue["node_id"] == "n1" and issue["level"] == "warning"
    assert issue["message"] == "line 1: SyntaxError: Expected an expression"


def test_the_number_of_issues_and_the_time_are_bounded(sandbox, monkeypatch):
    assert len(references.find_code_issues(code(*["x ="] * 50), sandbox)) == references.MAX_ISSUES
    monkeypatch.setattr(references, "MAX_SECONDS", -1.0)
    assert references.find_code_issues(code("x ="), sandbox) == []


@pytest.mark.parametrize(
    "definition", [None, {}, {"nodes": 3}, {"nodes": [1, {"type": "code"}, {"type": "code", "config": {"source": 5}}]}]
)
def test_a_definition_of_any_shape_is_accepted(sandbox, definition):
    assert references.find_code_issues(definition, sandbox) == []
