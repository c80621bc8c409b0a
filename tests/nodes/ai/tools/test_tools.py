"""The tools of agents: how they are made, what a model is shown, and those that stand on the workspace alone."""

import json
import re
import time
from inspect import signature
from types import SimpleNamespace

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toolboxes import Agents, Flows, Spec, called, flow

from agent.tools import PendingResult, Tool
from dispatch.agents.workspace_view import Inspection
from errors import NodeError
from nodes.ai.tools import find_issues, shorten
from nodes.ai.tools.base import MAX_SHOWN
from parsers.json_schema.validation import check

ALL = [Spec("http"), Spec("code"), Spec("store"), Spec("memory"), Spec("runs"), Spec("flows"), Spec("run_flow")]


def refused(tools, *specs, **options):
    with pytest.raises(NodeError) as caught:
        tools(*specs, **options)
    return caught.value


def fails(toolbox, name, **arguments):
    with pytest.raises(NodeError) as caught:
        toolbox[name].call(arguments, "call:1")
    return caught.value


def tool(schema, call=lambda arguments, key: None):
    return Tool("a_tool", "", schema, call)


# What is made of a definition


def test_the_tools_are_those_of_the_specs_in_their_order(tools):
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


def test_two_tools_of_one_name_are_an_error_that_names_both_specs(tools):
    error = refused(tools, Spec("http"), Spec("http", {"hosts": ["a.example"]}))
    assert error.message == "two tools are named http_request: one of http and one of http" and error.permanent
    error = refused(tools, Spec("code"), Spec("run_flow"), agents=Agents(flow(name="run_code")), flows=Flows())
    assert "run_code: one of code and one of run_flow" in error.message


def test_a_type_that_there_is_not_is_an_error(tools):
    assert (
        "there is no tool of the type 'shell'; known types: http, code"
        in refused(tools, SimpleNamespace(type="shell")).message
    )


def test_a_name_that_a_model_cannot_take_is_an_error(tools):
    error = refused(tools, Spec("run_flow"), agents=Agents(flow(name="flow ä")), flows=Flows())
    assert "'flow ä' is not a valid tool name" in error.message


def test_more_tools_than_a_model_takes_are_an_error(tools):
    flows = [flow(name=f"flow_{number}", workflow_id=f"wf_{number}") for number in range(130)]
    assert (
        "130 tools; the limit is 128" in refused(tools, Spec("run_flow"), agents=Agents(*flows), flows=Flows()).message
    )


def test_a_tool_may_need_approval_all_of_a_spec_or_some(tools):
    toolbox = tools(Spec("store", approval=("store_set",)), Spec("code", approval=True), Spec("memory"))
    assert {name for name, made in toolbox.items() if made.approval} == {"store_set", "run_code"}


def test_an_approval_of_a_tool_that_there_is_not_is_an_error(tools):
    error = refused(tools, Spec("store", {"write": False}, approval=("store_set",)))
    assert error.message == "approval: store has no tool 'store_set'; known tools: store_get, store_list"


# What a model is shown


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=200),
    lambda inner: st.lists(inner, max_size=30) | st.dictionaries(st.text(max_size=80), inner, max_size=30),
    max_leaves=200,
)


@given(json_values, st.integers(200, 3_000))
@settings(deadline=None)
def test_what_is_shown_is_json_and_has_a_bound(value, most):
    shown = shorten(value, most)
    orjson.dumps(shown)
    text = "".join(str(part) for part in leaves(shown))
    assert len(text) <= 2 * most


@given(st.recursive(st.booleans() | st.text(st.characters(codec="utf-8")), lambda inner: st.lists(inner)))
def test_what_is_small_is_shown_as_it_is(value):
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


def test_a_text_that_is_cut_says_by_how_much():
    shown = shorten("x" * 30_000)
    assert len(shown) < MAX_SHOWN and shown.endswith("more characters were cut)")
    kept, said = shown.split("… (")
    assert len(kept) + int(said.split()[0].replace(",", "")) == 30_000


def test_a_list_that_is_cut_keeps_its_first_items_whole():
    shown = shorten([{"id": number} for number in range(5_000)])
    said = shown.pop()
    assert shown == [{"id": number} for number in range(len(shown))]
    assert said == f"… ({5_000 - len(shown):,} more items were cut)"


def test_what_is_small_beside_something_large_stays_whole():
    shown = shorten({"body": "x" * 100_000, "status": 200, "rows": list(range(100_000)), "url": "https://a.example/"})
    assert (shown["status"], shown["url"]) == (200, "https://a.example/")
    assert len(shown["body"]) > 5_000 and len(shown["rows"]) > 500


def test_an_object_of_too_many_keys_says_how_many_there_are_more():
    shown = shorten({f"key {number}": "value" * 5 for number in range(10_000)})
    assert shown["key 0"] == "value" * 5
    assert shown["…"] == f"({10_000 - len(shown) + 1:,} more keys were cut)"


def test_what_is_nested_without_end_is_shown_to_some_depth():
    deep = []
    for _ in range(50_000):
        deep = [deep]
    assert "nested too deeply" in json.dumps(shorten(deep))


@pytest.mark.parametrize("value", [2**70, float("nan"), float("inf"), "\ud800", {"\ud800": 1}, (1, 2), object()])
def test_what_json_has_no_place_for_is_text(value):
    orjson.dumps(shorten(value))


def test_a_large_value_is_shortened_quickly():
    part = list(range(2_000))
    began = time.monotonic()
    shorten({str(number): [part] * 50 for number in range(400)})
    assert time.monotonic() - began < 15


# What a model gets wrong


def test_arguments_that_do_not_fit_are_told_in_words(tools):
    (store_set,) = [made for name, made in tools(Spec("store")).items() if name == "store_set"]
    assert find_issues(store_set, {"key": "a", "value": None}) == []
    assert find_issues(store_set, {"key": "a"}) == ['arguments: "value" is a required property']
    assert find_issues(store_set, {"key": 1, "value": 1}) == ['key: 1 is not of type "string"']
    (issue,) = find_issues(store_set, {"key": "a", "value": 1, "more": 2})
    assert "'more' was unexpected" in issue
    assert find_issues(store_set, [1]) == ["the arguments must be a JSON object"]


def test_arguments_that_are_too_large_or_too_deep_are_refused(tools):
    made = tools(Spec("store"))["store_set"]
    deep = []
    for _ in range(300):
        deep = [deep]
    assert "nested more than" in find_issues(made, {"key": "a", "value": deep})[0]
    assert "exceeds the limit of 200,000 characters" in find_issues(made, {"key": "a", "value": "x" * 200_001})[0]


@pytest.mark.parametrize("value", ["\ud800", 2**70, {"\ud800": 1}, [float("nan")]])
@pytest.mark.parametrize("schema", [{"type": "object"}, {"type": "object", "properties": {"b": {"pattern": "a"}}}])
def test_arguments_that_are_no_json_are_refused_or_taken_but_end_nothing(schema, value):
    assert isinstance(find_issues(tool(schema), {"a": value}), list)


def test_what_is_told_has_no_secret():
    (issue,) = find_issues(tool({"type": "object", "properties": {"a": {"type": "null"}}}), {"a": "s3cret"}, hide)
    assert "***" in issue and "s3cret" not in issue
    pattern = {"type": "object", "properties": {"a": {"pattern": "^b"}}}
    (issue,) = find_issues(tool(pattern), {"a": "s3cret"}, hide)
    assert "***" in issue and "s3cret" not in issue


def hide(text):
    return text.replace("s3cret", "***")


def doubling(depth):
    """A schema in which every definition asks the next one twice."""
    twice = {f"d{level}": {"anyOf": [{"$ref": f"#/$defs/d{level + 1}"}] * 2} for level in range(depth)}
    return {
        "type": "object",
        "$defs": {**twice, f"d{depth}": {"type": "null"}},
        "properties": {"a": {"$ref": "#/$defs/d0"}},
    }


def test_a_schema_with_references_and_patterns_is_followed():
    parts = {"$defs": {"id": {"pattern": "^[a-z]+$"}}, "properties": {"id": {"$ref": "#/$defs/id"}}}
    made = tool({"type": "object", **parts})
    assert find_issues(made, {"id": "abc"}) == []
    assert find_issues(made, {"id": "A1"}) == ['id: "A1" does not match "^[a-z]+$"']


def forking():
    """A schema that looks at everything below twice, at each level of the data."""
    ways = [{"properties": {"a": {"$ref": "#/$defs/way"}}, "required": [name]} for name in ("b", "c")]
    return {"type": "object", "$defs": {"way": {"anyOf": ways}}, "properties": {"a": {"$ref": "#/$defs/way"}}}


def deep(levels):
    value = {}
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.mark.slow
@pytest.mark.parametrize(("schema", "arguments"), [(doubling(60), {"a": 1}), (forking(), deep(60))])
def test_a_schema_that_would_take_years_holds_nobody(schema, arguments):
    began = time.monotonic()
    (issue,) = find_issues(tool(schema), arguments)
    assert issue.startswith("the data cannot be validated")
    assert time.monotonic() - began < 15


def test_patterns_are_matched_in_time_proportional_to_the_text():
    began = time.monotonic()
    made = tool({"type": "object", "properties": {"a": {"pattern": "^(a+)+$"}}})
    assert len(find_issues(made, {"a": "a" * 5_000 + "!"})) == 1
    assert time.monotonic() - began < 15


# Code


def test_code_gives_its_result_and_what_it_printed(tools):
    toolbox = tools(Spec("code"), given={"prices": [1, 2]})
    assert called(toolbox, "run_code", code="print('a')\nprint('b')\nsum(input['prices'])") == {
        "result": 3,
        "printed": "a\nb",
    }
    assert called(toolbox, "run_code", code="input", input=[7])["result"] == [7]
    assert toolbox["run_code"].may_repeat({"code": "1"})


def test_code_reaches_nothing_of_the_run(tools):
    toolbox = tools(Spec("code"), scope={"secrets": {"a": 1}, "vars": {"b": 2}})
    assert "NameError" in fails(toolbox, "run_code", code="secrets").message
    assert "NameError" in fails(toolbox, "run_code", code="vars").message


def test_what_code_gets_wrong_is_told_to_the_model(tools):
    assert "line 2: ZeroDivisionError" in fails(tools(Spec("code")), "run_code", code="x = 1\n1 / 0").message


def test_code_ends_at_the_deadline_of_the_run(tools):
    toolbox = tools(Spec("code"), seconds=0.5)
    began = time.monotonic()
    assert "ran longer" in fails(toolbox, "run_code", code="while True: pass").message
    assert time.monotonic() - began < 15


def test_no_tool_begins_after_the_deadline(tools):
    toolbox = tools(Spec("store"), seconds=0)
    assert "timed out" in fails(toolbox, "store_get", key="a").message


def test_what_code_gives_is_cut(tools):
    shown = called(tools(Spec("code")), "run_code", code="print('y' * 60_000)\n'x' * 100_000")
    assert len(json.dumps(shown)) < 25_000 and shown["result"].startswith("xxx") and shown["printed"].startswith("yyy")


# The store


def test_the_store_keeps_gives_and_lists(tools):
    toolbox = tools(Spec("store"))
    assert called(toolbox, "store_get", key="a") == {"key": "a", "value": None}
    assert called(toolbox, "store_set", key="a/1", value={"n": 1}, ttl=60) == {"key": "a/1", "kept": True}
    assert tools.ctx.store.ttls == {"a/1": 60}
    assert called(toolbox, "store_get", key="a/1")["value"] == {"n": 1}
    assert called(toolbox, "store_list", prefix="a/") == {"entries": [{"key": "a/1", "value": {"n": 1}}]}
    assert all(made.may_repeat({}) for made in toolbox.values())


def test_a_store_that_may_only_be_read_has_no_tool_to_write(tools):
    assert list(tools(Spec("store", {"write": False}))) == ["store_get", "store_list"]


def test_a_value_that_is_too_large_is_not_kept(tools):
    toolbox = tools(Spec("store"))
    assert "value exceeds the limit" in fails(toolbox, "store_set", key="a", value="x" * 100_001).message
    assert tools.ctx.store.data == {}


# Memory


def test_memory_is_the_agent_s_own_and_of_its_session(tools):
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


def test_a_flow_that_ended_gives_its_output_or_says_why_not(tools):
    made = tools(Spec("run_flow"), agents=Agents(flow()), flows=Flows())["flow_ship"]
    ended = {"run_id": "run_1", "status": "success", "output": {"text": "x" * 50_000}, "error_text": None}
    assert len(made.resume(ended)["text"]) < MAX_SHOWN
    with pytest.raises(NodeError, match="the run run_1 of Ship failed: pay: answered 502"):
        made.resume({**ended, "status": "failed", "error_text": "pay: answered 502", "error_kind": "remote"})


def test_an_input_that_is_no_object_is_wrapped_into_one(tools):
    flows = Flows()
    schema = {"$defs": {"id": {"type": "integer"}}, "type": "array", "items": {"$ref": "#/$defs/id"}}
    toolbox = tools(Spec("run_flow"), agents=Agents(flow(takes=schema)), flows=flows)
    assert find_issues(toolbox["flow_ship"], {"input": ["a"]}) == ['input[0]: "a" is not of type "integer"']
    assert find_issues(toolbox["flow_ship"], {"input": [1], "more": 1}) != []
    called(toolbox, "flow_ship", input=[1, 2])
    assert flows.started[0][2] == [1, 2]


def test_a_flow_that_cannot_start_says_why(tools):
    toolbox = tools(Spec("run_flow"), agents=Agents(flow()), flows=Flows("the workflow wf_1 is not active"))
    assert fails(toolbox, "flow_ship").message == "the workflow wf_1 is not active"


def test_flows_may_be_chosen(tools):
    agents = Agents(flow(), flow("flow_pay", "wf_2"))
    assert list(tools(Spec("run_flow", {"workflows": ["wf_2"]}), agents=agents, flows=Flows())) == ["flow_pay"]
    error = refused(tools, Spec("run_flow", {"workflows": ["wf_3"]}), agents=agents, flows=Flows())
    assert "'wf_3' is not an active flow with a called trigger" in error.message


def test_where_no_flows_can_be_run_that_is_said(tools):
    assert "flows cannot be run here" in refused(tools, Spec("run_flow"), agents=Agents(flow())).message


def test_a_resumed_agent_has_the_flows_with_which_it_began(tools):
    agents = Agents(flow(takes=SCHEMA))
    tools(Spec("run_flow"), agents=agents, flows=Flows())
    listings = json.dumps(tools.listings)
    agents.flows[:] = [flow("flow_other", "wf_9")]
    again = tools(Spec("run_flow"), agents=agents, flows=Flows(), listings=json.loads(listings))
    assert list(again) == ["flow_ship"] and again["flow_ship"].parameters == SCHEMA
    assert tools.listings == json.loads(listings)


# The workspace itself


def test_runs_and_flows_are_looked_at(tools):
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


def test_each_tool_asks_for_what_the_inspection_takes(tools):
    for name, made in tools(Spec("runs"), Spec("flows")).items():
        takes = list(signature(getattr(Inspection, name)).parameters)[1:]
        assert list(made.parameters["properties"]) == takes


def test_of_a_run_more_is_shown_than_of_a_page(tools):
    agents = Agents()
    agents.inspection = SimpleNamespace(**{name: lambda **arguments: "x" * 90_000 for name in tools(Spec("runs"))})
    assert len(called(tools(Spec("runs"), agents=agents), "get_run", run_id="run_1")) > 35_000


def test_what_there_is_not_is_told_to_the_model(tools):
    assert fails(tools(Spec("runs")), "get_run", run_id="run_none").message == "There is no such run."
