"""The tools of agents: how they are built, what a model sees of results, and the tools of the workspace."""

import json
import re
import time
from inspect import signature
from types import SimpleNamespace

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from node_contexts import Agents, Flows, Spec, called, flow

from errors import NodeError
from packs.agents.runtime.types import PendingResult, Tool
from packs.agents.services import WorkspaceView
from packs.agents.tools.base import MAX_SHOWN, find_issues, shorten
from parsers.json_schema import check

ALL = [Spec("http"), Spec("code"), Spec("store"), Spec("memory"), Spec("runs"), Spec("flows"), Spec("run_flow")]


def creation_fails(tools, *specs, **options):
    with pytest.raises(NodeError) as caught:
        tools(*specs, **options)
    return caught.value


def fails(toolbox, name, **arguments):
    with pytest.raises(NodeError) as caught:
        toolbox[name].call(arguments, "call:1")
    return caught.value


def tool(schema, call=lambda arguments, key: None):
    return Tool("a_tool", "", schema, call)


# Tools built from a definition


def test_tools_have_the_order_of_their_specs(tools):
    names = list(tools(*ALL, agents=Agents(flow()), flows=Flows()))
    assert names[:2] == ["http_request", "run_code"] and names[-1] == "flow_ship"
    assert names[2:7] == ["store_get", "store_list", "store_set", "memory_search", "memory_write"]


def test_every_tool_has_a_name_a_description_and_a_strict_schema(tools):
    for name, made in tools(*ALL, flows=Flows()).items():
        assert re.fullmatch("[a-zA-Z0-9_-]{1,64}", name) and made.name == name
        assert 20 <= len(made.description) <= 1_000 and made.description.endswith(".")
        check(made.parameters)
        assert made.parameters["additionalProperties"] is False
        assert set(made.parameters["required"]) <= set(made.parameters["properties"])
        for argument in made.parameters["properties"].values():
            assert len(argument["description"]) > 5


def test_two_tools_of_the_same_name_are_an_error(tools):
    error = creation_fails(tools, Spec("http"), Spec("http", {"hosts": ["a.example"]}))
    assert error.message == "two tools are named http_request: one of http and one of http" and error.permanent
    error = creation_fails(tools, Spec("code"), Spec("run_flow"), agents=Agents(flow(name="run_code")), flows=Flows())
    assert "run_code: one of code and one of run_flow" in error.message


def test_an_unknown_tool_type_is_an_error(tools):
    assert (
        "there is no tool of the type 'shell'; known types: http, code"
        in creation_fails(tools, SimpleNamespace(type="shell")).message
    )


def test_an_invalid_tool_name_is_an_error(tools):
    error = creation_fails(tools, Spec("run_flow"), agents=Agents(flow(name="flow ä")), flows=Flows())
    assert "'flow ä' is not a valid tool name" in error.message


def test_more_than_128_tools_are_an_error(tools):
    flows = [flow(name=f"flow_{number}", workflow_id=f"wf_{number}") for number in range(130)]
    assert (
        "130 tools; the limit is 128"
        in creation_fails(tools, Spec("run_flow"), agents=Agents(*flows), flows=Flows()).message
    )


def test_approval_can_cover_all_or_some_tools_of_a_spec(tools):
    toolbox = tools(Spec("store", approval=("store_set",)), Spec("code", approval=True), Spec("memory"))
    assert {name for name, made in toolbox.items() if made.approval} == {"store_set", "run_code"}


def test_approval_of_an_unknown_tool_is_an_error(tools):
    error = creation_fails(tools, Spec("store", {"write": False}, approval=("store_set",)))
    assert error.message == "approval: store has no tool 'store_set'; known tools: store_get, store_list"


# Values shortened for a model


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=200),
    lambda inner: st.lists(inner, max_size=30) | st.dictionaries(st.text(max_size=80), inner, max_size=30),
    max_leaves=200,
)


@given(json_values, st.integers(200, 3_000))
@settings(deadline=None)
def test_a_shortened_value_is_json_of_limited_size(value, limit):
    shown = shorten(value, limit)
    orjson.dumps(shown)
    text = "".join(str(part) for part in leaves(shown))
    assert len(text) <= 2 * limit


@given(st.recursive(st.booleans() | st.text(st.characters(codec="utf-8")), lambda inner: st.lists(inner)))
def test_a_small_value_is_unchanged(value):
    if len(json.dumps(value, ensure_ascii=False)) < 1_000:
        assert shorten(value, 5_000) == value


def leaves(value):
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from leaves(item)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item)
    else:
        yield value


def test_a_truncated_text_says_how_many_characters_were_cut():
    shown = shorten("x" * 30_000)
    assert len(shown) < MAX_SHOWN and shown.endswith("more characters were cut)")
    start, note = shown.split("… (")
    assert len(start) + int(note.split()[0].replace(",", "")) == 30_000


def test_a_truncated_list_keeps_its_first_items_whole():
    shown = shorten([{"id": number} for number in range(5_000)])
    note = shown.pop()
    assert shown == [{"id": number} for number in range(len(shown))]
    assert note == f"… ({5_000 - len(shown):,} more items were cut)"


def test_small_values_beside_a_large_one_stay_whole():
    shown = shorten({"body": "x" * 100_000, "status": 200, "rows": list(range(100_000)), "url": "https://a.example/"})
    assert (shown["status"], shown["url"]) == (200, "https://a.example/")
    assert len(shown["body"]) > 5_000 and len(shown["rows"]) > 500


def test_a_truncated_object_says_how_many_keys_were_cut():
    shown = shorten({f"key {number}": "value" * 5 for number in range(10_000)})
    assert shown["key 0"] == "value" * 5
    assert shown["…"] == f"({10_000 - len(shown) + 1:,} more keys were cut)"


def test_a_deeply_nested_value_is_truncated():
    deep = []
    for _ in range(50_000):
        deep = [deep]
    assert "nested too deeply" in json.dumps(shorten(deep))


@pytest.mark.parametrize("value", [2**70, float("nan"), float("inf"), "\ud800", {"\ud800": 1}, (1, 2), object()])
def test_a_value_that_json_cannot_represent_is_converted(value):
    orjson.dumps(shorten(value))


def test_a_large_value_is_shortened_quickly():
    part = list(range(2_000))
    began = time.monotonic()
    shorten({str(number): [part] * 50 for number in range(400)})
    assert time.monotonic() - began < 15


# Validation of arguments


def test_each_problem_with_the_arguments_is_described(tools):
    (store_set,) = [made for name, made in tools(Spec("store")).items() if name == "store_set"]
    assert find_issues(store_set, {"key": "a", "value": None}) == []
    assert find_issues(store_set, {"key": "a"}) == ['arguments: "value" is a required property']
    assert find_issues(store_set, {"key": 1, "value": 1}) == ['key: 1 is not of type "string"']
    (issue,) = find_issues(store_set, {"key": "a", "value": 1, "more": 2})
    assert "'more' was unexpected" in issue
    assert find_issues(store_set, [1]) == ["the arguments must be a JSON object"]


def test_arguments_that_are_too_large_or_too_deep_are_rejected(tools):
    made = tools(Spec("store"))["store_set"]
    deep = []
    for _ in range(300):
        deep = [deep]
    assert "nested more than" in find_issues(made, {"key": "a", "value": deep})[0]
    assert "exceeds the limit of 200,000 characters" in find_issues(made, {"key": "a", "value": "x" * 200_001})[0]


@pytest.mark.parametrize("value", ["\ud800", 2**70, {"\ud800": 1}, [float("nan")]])
@pytest.mark.parametrize("schema", [{"type": "object"}, {"type": "object", "properties": {"b": {"pattern": "a"}}}])
def test_arguments_that_json_cannot_represent_do_not_raise(schema, value):
    assert isinstance(find_issues(tool(schema), {"a": value}), list)


def test_problems_do_not_contain_secrets():
    (issue,) = find_issues(tool({"type": "object", "properties": {"a": {"type": "null"}}}), {"a": "s3cret"}, hide)
    assert "***" in issue and "s3cret" not in issue
    pattern = {"type": "object", "properties": {"a": {"pattern": "^b"}}}
    (issue,) = find_issues(tool(pattern), {"a": "s3cret"}, hide)
    assert "***" in issue and "s3cret" not in issue


def hide(text):
    return text.replace("s3cret", "***")


def doubling(depth):
    """Return a schema in which every definition refers to the next one twice."""
    twice = {f"d{level}": {"anyOf": [{"$ref": f"#/$defs/d{level + 1}"}] * 2} for level in range(depth)}
    return {
        "type": "object",
        "$defs": {**twice, f"d{depth}": {"type": "null"}},
        "properties": {"a": {"$ref": "#/$defs/d0"}},
    }


def test_references_and_patterns_of_a_schema_are_checked():
    parts = {"$defs": {"id": {"pattern": "^[a-z]+$"}}, "properties": {"id": {"$ref": "#/$defs/id"}}}
    made = tool({"type": "object", **parts})
    assert find_issues(made, {"id": "abc"}) == []
    assert find_issues(made, {"id": "A1"}) == ['id: "A1" does not match "^[a-z]+$"']


def forking():
    """Return a schema that validates everything below twice, at each level of the data."""
    ways = [{"properties": {"a": {"$ref": "#/$defs/way"}}, "required": [name]} for name in ("b", "c")]
    return {"type": "object", "$defs": {"way": {"anyOf": ways}}, "properties": {"a": {"$ref": "#/$defs/way"}}}


def deep(levels):
    value = {}
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.mark.slow
@pytest.mark.parametrize(("schema", "arguments"), [(doubling(60), {"a": 1}), (forking(), deep(60))])
def test_an_exponential_schema_is_given_up_in_time(schema, arguments):
    began = time.monotonic()
    (issue,) = find_issues(tool(schema), arguments)
    assert issue.startswith("the data cannot be validated")
    assert time.monotonic() - began < 15


def test_patterns_are_matched_in_linear_time():
    began = time.monotonic()
    made = tool({"type": "object", "properties": {"a": {"pattern": "^(a+)+$"}}})
    assert len(find_issues(made, {"a": "a" * 5_000 + "!"})) == 1
    assert time.monotonic() - began < 15


# Code


def test_code_returns_its_result_and_printed_lines(tools):
    toolbox = tools(Spec("code"), given={"prices": [1, 2]})
    assert called(toolbox, "run_code", code="print('a')\nprint('b')\nsum(input['prices'])") == {
        "result": 3,
        "printed": "a\nb",
    }
    assert called(toolbox, "run_code", code="input", input=[7])["result"] == [7]
    assert toolbox["run_code"].may_repeat({"code": "1"})


def test_code_cannot_read_the_scope_of_the_run(tools):
    toolbox = tools(Spec("code"), scope={"secrets": {"a": 1}, "vars": {"b": 2}})
    assert "NameError" in fails(toolbox, "run_code", code="secrets").message
    assert "NameError" in fails(toolbox, "run_code", code="vars").message


def test_the_model_gets_the_error_of_its_code(tools):
    assert "line 2: ZeroDivisionError" in fails(tools(Spec("code")), "run_code", code="x = 1\n1 / 0").message


def test_code_ends_at_the_deadline_of_the_run(tools):
    toolbox = tools(Spec("code"), seconds=0.5)
    began = time.monotonic()
    assert "ran longer" in fails(toolbox, "run_code", code="while True: pass").message
    assert time.monotonic() - began < 15


def test_a_tool_does_not_start_after_the_deadline(tools):
    toolbox = tools(Spec("store"), seconds=0)
    assert "timed out" in fails(toolbox, "store_get", key="a").message


def test_the_result_and_output_of_code_are_truncated(tools):
    shown = called(tools(Spec("code")), "run_code", code="print('y' * 60_000)\n'x' * 100_000")
    assert len(json.dumps(shown)) < 25_000 and shown["result"].startswith("xxx") and shown["printed"].startswith("yyy")


# The store


def test_the_store_tools_set_get_and_list_values(tools):
    toolbox = tools(Spec("store"))
    assert called(toolbox, "store_get", key="a") == {"key": "a", "value": None}
    assert called(toolbox, "store_set", key="a/1", value={"n": 1}, ttl=60) == {"key": "a/1", "kept": True}
    assert tools.ctx.store.ttls == {"a/1": 60}
    assert called(toolbox, "store_get", key="a/1")["value"] == {"n": 1}
    assert called(toolbox, "store_list", prefix="a/") == {"entries": [{"key": "a/1", "value": {"n": 1}}]}
    assert all(made.may_repeat({}) for made in toolbox.values())


def test_a_read_only_store_has_no_tool_to_write(tools):
    assert list(tools(Spec("store", {"write": False}))) == ["store_get", "store_list"]


def test_an_oversized_value_is_not_stored(tools):
    toolbox = tools(Spec("store"))
    assert "value exceeds the limit" in fails(toolbox, "store_set", key="a", value="x" * 100_001).message
    assert tools.ctx.store.data == {}


# Memory


def test_memory_belongs_to_the_agent_and_its_session(tools):
    agents = Agents()
    first = tools(Spec("memory"), agents=agents, session="one")
    assert called(first, "memory_write", key="a", content="likes tea", tags=["taste"], expires_in=60)["kept"]
    assert agents.memory.entries == {
        ("helper", "one", "a"): {"content": "likes tea", "tags": ["taste"], "expires_in": 60}
    }
    shared = tools(Spec("memory"), agents=agents)
    called(shared, "memory_write", key="b", content="tea is sold out")
    assert [found["key"] for found in called(first, "memory_search", query="tea")["found"]] == ["a", "b"]
    assert [found["key"] for found in called(first, "memory_search", query="tea", limit=1)["found"]] == ["a"]
    assert [found["key"] for found in called(shared, "memory_search", query="tea")["found"]] == ["b"]
    assert all(made.may_repeat({}) for made in first.values())


# Flows


SCHEMA = {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}


def test_a_flow_is_started_and_waited_for(tools):
    flows = Flows()
    toolbox = tools(Spec("run_flow"), agents=Agents(flow(takes=SCHEMA)), flows=flows)
    made = toolbox["flow_ship"]
    assert made.description == "Run the flow 'Ship' and wait for its output. Ships an order."
    assert find_issues(made, {"id": "seven"}) == ['id: "seven" is not of type "integer"']
    assert called(toolbox, "flow_ship", id=7) == PendingResult("the run run_1 of Ship", "run_1")
    assert flows.started == [("node", "wf_1", {"id": 7}, True)]
    assert made.may_repeat({"id": 7})


def test_an_ended_flow_returns_its_output_or_its_error(tools):
    made = tools(Spec("run_flow"), agents=Agents(flow()), flows=Flows())["flow_ship"]
    ended = {"run_id": "run_1", "status": "success", "output": {"text": "x" * 50_000}, "error_text": None}
    assert len(made.resume(ended)["text"]) < MAX_SHOWN
    with pytest.raises(NodeError, match="the run run_1 of Ship failed: pay: answered 502"):
        made.resume({**ended, "status": "failed", "error_text": "pay: answered 502", "error_kind": "remote"})


def test_an_input_that_is_not_an_object_is_wrapped_in_one(tools):
    flows = Flows()
    schema = {"$defs": {"id": {"type": "integer"}}, "type": "array", "items": {"$ref": "#/$defs/id"}}
    toolbox = tools(Spec("run_flow"), agents=Agents(flow(takes=schema)), flows=flows)
    assert find_issues(toolbox["flow_ship"], {"input": ["a"]}) == ['input[0]: "a" is not of type "integer"']
    assert find_issues(toolbox["flow_ship"], {"input": [1], "more": 1}) != []
    called(toolbox, "flow_ship", input=[1, 2])
    assert flows.started[0][2] == [1, 2]


def test_the_error_says_why_a_flow_cannot_start(tools):
    toolbox = tools(Spec("run_flow"), agents=Agents(flow()), flows=Flows("the workflow wf_1 is not active"))
    assert fails(toolbox, "flow_ship").message == "the workflow wf_1 is not active"


def test_a_spec_can_select_flows(tools):
    agents = Agents(flow(), flow("flow_pay", "wf_2"))
    assert list(tools(Spec("run_flow", {"workflows": ["wf_2"]}), agents=agents, flows=Flows())) == ["flow_pay"]
    error = creation_fails(tools, Spec("run_flow", {"workflows": ["wf_3"]}), agents=agents, flows=Flows())
    assert "'wf_3' is not an active flow with a called trigger" in error.message


def test_a_context_without_flows_is_an_error(tools):
    assert "flows cannot be run here" in creation_fails(tools, Spec("run_flow"), agents=Agents(flow())).message


def test_a_resumed_agent_reuses_the_recorded_flows(tools):
    agents = Agents(flow(takes=SCHEMA))
    tools(Spec("run_flow"), agents=agents, flows=Flows())
    listings = json.dumps(tools.listings)
    agents.flows[:] = [flow("flow_other", "wf_9")]
    again = tools(Spec("run_flow"), agents=agents, flows=Flows(), listings=json.loads(listings))
    assert list(again) == ["flow_ship"] and again["flow_ship"].parameters == SCHEMA
    assert tools.listings == json.loads(listings)


# Inspection of the workspace


def test_runs_and_flows_can_be_inspected(tools):
    toolbox = tools(Spec("runs"), Spec("flows"))
    assert called(toolbox, "list_runs", status="failed", limit=3) == {
        "asked": "list_runs",
        "status": "failed",
        "limit": 3,
    }
    assert called(toolbox, "get_run", run_id="run_1") == {"asked": "get_run", "run_id": "run_1"}
    assert called(toolbox, "get_run_log", run_id="run_1")["asked"] == "get_run_log"
    assert called(toolbox, "list_flows") == {"asked": "list_flows"}
    assert called(toolbox, "get_run", run_id="run_1", after=99)["after"] == 99
    assert called(toolbox, "search_nodes", query="mail") == {"asked": "search_nodes", "query": "mail"}
    assert called(toolbox, "search_nodes") == {"asked": "search_nodes"}
    assert called(toolbox, "describe_node", type="http")["type"] == "http"
    assert called(toolbox, "get_flow", workflow_id="wf_1")["workflow_id"] == "wf_1"
    assert called(toolbox, "validate_flow", definition={"nodes": []})["definition"] == {"nodes": []}
    assert all(made.may_repeat({}) for made in toolbox.values())
    assert find_issues(toolbox["get_run"], {}) == ['arguments: "run_id" is a required property']


def test_each_tool_has_the_parameters_of_its_inspection_method(tools):
    for name, made in tools(Spec("runs"), Spec("flows")).items():
        takes = list(signature(getattr(WorkspaceView, name)).parameters)[1:]
        assert list(made.parameters["properties"]) == takes


def test_the_result_of_get_run_has_a_higher_limit(tools):
    agents = Agents()
    agents.workspace_view = SimpleNamespace(**{name: lambda **arguments: "x" * 90_000 for name in tools(Spec("runs"))})
    assert len(called(tools(Spec("runs"), agents=agents), "get_run", run_id="run_1")) > 35_000


def test_the_model_gets_the_error_for_a_missing_run(tools):
    assert fails(tools(Spec("runs")), "get_run", run_id="run_none").message == "There is no such run."
