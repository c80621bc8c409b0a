"""Flows as tools: which are, under which names, with which arguments."""

import re

import pytest

from errors import NodeError
from packs.agents.services import MAX_NAME, MAX_SCHEMA, arguments_schema, callable_flow, callable_flows
from parsers.json_schema import issues_of

NULL = {"a": {"type": "null"}}
ORDER = {"type": "object", "properties": {"id": {"type": "integer"}}, "required": ["id"]}


def called(schema=None, *, disabled=False, **config):
    config |= {} if schema is None else {"input_schema": schema}
    return {"nodes": [{"id": "begin", "type": "called", "config": config, "disabled": disabled}]}


@pytest.fixture
def tools(server, workspace):
    """`tools()` gives the flows that can be called, by name."""
    return lambda where=workspace: {flow.name: flow for flow in callable_flows(where.id, server.dispatcher.resources)}


@pytest.fixture
def offer(make_flow):
    """`offer(name, definition)` makes an active flow."""
    return lambda name, definition=None, **more: make_flow(definition or called(), name=name, status="active", **more)


def test_an_active_flow_that_can_be_called_is_a_tool_with_the_schema_of_its_trigger(tools, offer):
    flow = offer("Look up an order", called(ORDER, description="Finds an order."))
    (tool,) = tools().values()
    assert (tool.name, tool.title, tool.description) == (
        "flow_look_up_an_order",
        "Look up an order",
        "Finds an order.",
    )
    assert (tool.workflow_id, tool.trigger_node) == (flow["id"], "begin")
    assert tool.input_schema == ORDER and tool.input_of({"id": 7}) == {"id": 7}


def test_without_a_schema_it_takes_any_object(tools, offer):
    offer("Anything")
    tool = tools()["flow_anything"]
    assert tool.input_schema == {"type": "object"} and tool.input_of({"a": [1]}) == {"a": [1]}
    assert tool.description == "Runs the workflow 'Anything'."


def test_a_schema_that_describes_itself_describes_the_tool(tools, offer):
    offer("A", called({**ORDER, "description": "Takes an order."}))
    assert tools()["flow_a"].description == "Takes an order."


def test_only_an_active_flow_with_a_called_trigger_is_a_tool(tools, offer, make_flow, owner):
    make_flow(called(), name="Draft")
    offer("Off", called(disabled=True))
    offer("By hand", {"nodes": [{"id": "called", "type": "manual"}]})
    archived = offer("Archived")
    assert list(tools()) == ["flow_archived"]
    owner.put(f"/api/workflows/{archived['id']}", {"status": "archived"})
    assert tools() == {}


def test_another_workspaces_flows_are_none_of_ours(tools, offer, other):
    offer("Theirs", who=other)
    assert tools() == {} and list(tools(other.workspace)) == ["flow_theirs"]


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Größe & Maß!", "flow_grosse_mass"),
        ("  --a--  ", "flow_a"),
        ("Already_named 2", "flow_already_named_2"),
    ],
)
def test_a_name_is_made_of_the_title(tools, offer, title, name):
    offer(title)
    assert list(tools()) == [name]


@pytest.mark.parametrize("title", ["注文", "x" * 200, "a" * 43 + " b"])
def test_every_title_gives_a_name_that_clients_take(tools, offer, title):
    flow = offer(title)
    (name,) = tools()
    assert re.fullmatch(r"flow_[a-z0-9_]*[a-z0-9]", name) and len(name) <= MAX_NAME
    assert title != "注文" or name == f"flow_{flow['id'][-6:].lower()}"


def test_of_two_flows_of_one_name_the_older_has_it_and_keeps_it_while_it_is_off(tools, offer, owner):
    first, second = offer("Same"), offer("Same")
    ours = {tool.workflow_id: name for name, tool in tools().items()}
    assert ours == {first["id"]: "flow_same", second["id"]: f"flow_same_{second['id'][-6:].lower()}"}
    owner.put(f"/api/workflows/{first['id']}", {"status": "draft"})
    assert list(tools()) == [ours[second["id"]]]


def test_one_is_found_by_its_name(server, workspace, offer, make_flow):
    flow = offer("Same")
    offer("Not callable", {"nodes": [{"id": "called", "type": "manual"}]})
    make_flow(called(), name="Draft")
    found = [
        callable_flow(workspace.id, server.dispatcher.resources, f"flow_{name}")
        for name in ("same", "not_callable", "draft", "x")
    ]
    assert found[0].workflow_id == flow["id"] and found[1:] == [None, None, None]


def test_names_stay_apart_where_one_is_called_as_another_is_made(tools, offer):
    flows = [offer("x" * 200) for _ in range(3)]
    assert len(tools()) == 3 and {tool.workflow_id for tool in tools().values()} == {flow["id"] for flow in flows}


def test_an_input_that_is_no_object_is_wrapped_into_one(tools, offer):
    offer("A", called({"type": "array", "items": {"type": "integer"}}))
    tool = tools()["flow_a"]
    assert tool.wrapped and tool.input_schema["properties"]["input"]["type"] == "array"
    assert tool.input_of({"input": [1, 2]}) == [1, 2]
    with pytest.raises(NodeError, match="an object with the key input, and no other"):
        tool.input_of({"a": 1})


def test_a_schema_too_large_to_be_shown_is_not(tools, offer):
    large = {"enum": ["x" * 100 + str(number) for number in range(MAX_SCHEMA // 100)]}
    offer("A", called(large))
    offer("B", called({"type": "object", "properties": {"a": large}}))
    tool, other = tools()["flow_a"], tools()["flow_b"]
    assert tool.input_schema["properties"] == {"input": {}} and other.input_schema == {"type": "object"}
    assert "too large to be shown" in tool.description


@pytest.mark.parametrize("takes", [ORDER, {"required": ["id"]}, {"properties": {"id": True}}])
def test_a_schema_of_an_object_stays_as_it_is_and_says_so(takes):
    assert arguments_schema(takes) == ({**takes, "type": "object"}, False)


@pytest.mark.parametrize(
    ("takes", "good", "bad"),
    [
        ({"type": ["object", "null"]}, None, 1),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"type": "integer"}}}, 1, "x"),
        ({"type": "array", "items": {"$ref": "#"}}, [[[]]], [[1]]),
        ({"anyOf": [{"$ref": "#a"}], "$defs": {"a": {"$anchor": "a", "type": "null"}}}, None, 1),
        ({"$id": "https://example.org/a", "$ref": "#/$defs/a", "$defs": NULL}, None, 1),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "type": "integer"}, 1, "x"),
        ({"enum": [{"$ref": "#/a"}]}, {"$ref": "#/a"}, {"$ref": "#/properties/input/a"}),
        ({"not": {"properties": {"enum": {"$ref": "#/$defs/a"}}}, "$defs": NULL}, {"enum": 1}, {"enum": None}),
    ],
)  # fmt: skip
def test_a_wrapped_schema_means_the_same_in_its_new_place(takes, good, bad):
    schema, wrapped = arguments_schema(takes)
    assert wrapped and schema["type"] == "object"
    assert issues_of(takes, good) == issues_of(schema, {"input": good}) == []
    assert issues_of(takes, bad) and issues_of(schema, {"input": bad})
    assert issues_of(schema, {}) and issues_of(schema, {"input": good, "more": 1})


def test_no_argument_is_to_be_repeated_in_a_header():
    marked = {"type": "string", "x-mcp-header": "Region"}
    takes = {"type": "object", "properties": {"x-mcp-header": marked, "b": {"items": [marked]}}}
    schema, _ = arguments_schema(takes)
    plain = {"type": "string"}
    assert schema == {"type": "object", "properties": {"x-mcp-header": plain, "b": {"items": [plain]}}}
