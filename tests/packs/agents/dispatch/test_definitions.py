"""Agent definitions: what is wrong with one is said where it stands, and those that are built in are fit for use."""

import json
import re

import jsonschema
import orjson
import pytest
from agent_samples import EXPECTED, FULL, LEAST
from hypothesis import given
from hypothesis import strategies as st
from world import run

import definition as workflows
from constants import HTTP_CREDENTIALS
from definition.builder import NODE_KEYS
from definition.schema import SETTING_CHECKS
from errors import DefinitionError
from nodes.core.waits import MAX_WAIT as MAX_APPROVAL
from nodes.credentials.types import TYPES
from packs.agents import definition
from packs.agents.agent_store import FOLDER, find_built_in, list_built_in
from packs.agents.definition import (
    KINDS,
    AgentDefinition,
    ApprovalRule,
    Limits,
    ToolSpec,
    check,
    find_credentials,
    needs_credentials,
    parse,
    restore,
    slug,
)


def issues_of(**changes):
    """What is wrong with the least definition under these changes; one to `...` is left out."""
    raw = {key: value for key, value in {**LEAST, **changes}.items() if value is not ...}
    return [str(issue) for issue in check(raw)[1]]


def test_the_least_definition_has_the_usual_limits_and_no_tools():
    assert parse(LEAST) == AgentDefinition("good", "Good", "Do good.")
    assert parse(LEAST).limits == Limits(12, 50_000, 180, None)


def test_every_key_of_a_full_definition_is_read():
    agent = parse(FULL)
    assert agent.tools == (
        ToolSpec("code"),
        ToolSpec("http", True, hosts=("api.example.com", "*.example.org"), methods=("GET", "POST")),
        ToolSpec("store", write=False),
        ToolSpec("run_flow", ("flow_pay",), workflows=("wf_1",)),
        ToolSpec("sql"),
        ToolSpec("mcp", credential="tickets", tools=("find",)),
        ToolSpec("mcp", credential="wiki"),
        ToolSpec("memory", ("memory_write",)),
    )
    assert agent.limits == Limits(3, 1_000, 30.5, 0.25) and agent.approval == ApprovalRule("chat", 3_600)
    assert (agent.model, agent.credential, agent.memory) == ("openai:gpt-5", "key", True)


@pytest.mark.parametrize("raw", [LEAST, FULL, {**LEAST, "approval": {}}, *list_built_in()])
def test_a_snapshot_is_json_and_makes_the_same_agent_again(raw):
    agent = parse(raw)
    snapshot = json.loads(json.dumps(agent.snapshot()))
    assert restore(snapshot) == agent == parse(snapshot) and restore(snapshot).snapshot() == snapshot


def test_a_snapshot_outlives_bounds_that_have_become_narrower(monkeypatch):
    snapshot = parse(FULL).snapshot()
    monkeypatch.setattr(definition, "MAX_INSTRUCTIONS", 3)
    assert restore(snapshot) == restore(snapshot) and not check(snapshot)[0]


def test_null_is_as_good_as_nothing_where_a_key_may_be_left_out():
    names = [name for name in definition.KEYS if name not in LEAST]
    assert parse({**LEAST, **dict.fromkeys(names)}) == parse(LEAST)
    spec = {"type": "http", "approval": None, "hosts": None, "methods": None, "credential": None}
    assert parse({**LEAST, "tools": [spec]}).tools == (ToolSpec("http"),)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"id": ...}, "id: is required"),
        ({"id": "Mail"}, "id: must be a-z, 0-9 and single dashes, such as mail-triage"),
        ({"id": "-a"}, "id: must be a-z"),
        ({"id": "a--b"}, "id: must be a-z"),
        ({"id": "a\n"}, "id: must be a-z"),
        ({"id": "a" * 65}, "id: must have at most 64 characters"),
        ({"id": 1}, "id: must be text"),
        ({"name": ...}, "name: is required"),
        ({"name": " "}, "name: must not be empty"),
        ({"name": "a" * 201}, "name: must have at most 200 characters"),
        ({"name": "a\0"}, "name: must not contain the character NUL"),
        ({"name": "a\ud800"}, "name: must not contain the character NUL or half a surrogate pair"),
        ({"description": "a" * 1_001}, "description: must have at most 1,000 characters"),
        ({"instructions": ...}, "instructions: is required"),
        ({"instructions": ""}, "instructions: must not be empty"),
        ({"instructions": "a" * 50_001}, "instructions: must have at most 50,000 characters"),
        ({"model": "gpt-5"}, "model: must be provider:name, such as openai:gpt-5"),
        ({"model": ["openai:gpt-5"]}, "model: must be text"),
        ({"credential": 1}, "credential: must be text"),
        ({"memory": 1}, "memory: must be true or false"),
        ({"instruction": "x"}, "instruction: unknown key; did you mean 'instructions'?"),
        ({"shell": "x"}, "shell: unknown key; known keys: id, name"),
        ({"tools": {}}, "tools: must be a list of at most 50 tools"),
        ({"tools": ["http"] * 51}, "tools: must be a list of at most 50 tools"),
        ({"tools": ["shell"]}, "tools[0].type: must be one of: http, code, store"),
        ({"tools": ["code", {"type": ["http"]}]}, "tools[1].type: must be one of: http"),
        ({"tools": [{}]}, "tools[0].type: must be one of: http"),
        ({"tools": [["http"]]}, "tools[0]: must be a type, or an object such as"),
        ({"tools": ["code", "code"]}, "tools[1]: code is listed twice; use it once for each agent"),
        ({"tools": [{"type": "mcp", "credential": "a"}] * 2}, "tools[1]: mcp is listed twice; use it once for"),
        ({"tools": ["mcp", "mcp"]}, "tools[1]: mcp is listed twice"),
        ({"tools": [{"type": "code", "hosts": ["a.b"]}]}, "tools[0].hosts: unknown key; known keys: type, approval"),
        ({"tools": [{"type": "http", "host": ["a.b"]}]}, "tools[0].host: unknown key; did you mean 'hosts'?"),
        ({"tools": [{"type": "http", "hosts": []}]}, "tools[0].hosts: must be a list of 1 to 50 texts"),
        ({"tools": [{"type": "http", "hosts": "a.b"}]}, "tools[0].hosts: must be a list of 1 to 50 texts"),
        ({"tools": [{"type": "http", "hosts": ["a.b"] * 51}]}, "tools[0].hosts: must be a list of 1 to 50 texts"),
        ({"tools": [{"type": "http", "hosts": ["a.b", "http://a.b"]}]}, "tools[0].hosts[1]: must be a host, or a"),
        ({"tools": [{"type": "http", "hosts": ["*.com"]}]}, "tools[0].hosts[0]: must be a host"),
        ({"tools": [{"type": "http", "hosts": ["*"]}]}, "tools[0].hosts[0]: must be a host"),
        ({"tools": [{"type": "http", "methods": ["BREW"]}]}, "tools[0].methods[0]: must be one or more of: GET, POST"),
        ({"tools": [{"type": "http", "methods": []}]}, "tools[0].methods: must be a list of 1 to 7 texts"),
        ({"tools": [{"type": "store", "write": "no"}]}, "tools[0].write: must be true or false"),
        ({"tools": [{"type": "sql", "credential": 5}]}, "tools[0].credential: must be text"),
        ({"tools": [{"type": "mcp", "tools": [5]}]}, "tools[0].tools[0]: must be text"),
        ({"tools": [{"type": "http", "approval": "yes"}]}, "tools[0].approval: must be a list of 1 to 50 texts"),
        ({"tools": [{"type": "http", "approval": []}]}, "tools[0].approval: must be a list of 1 to 50 texts"),
        ({"tools": [{"type": "store", "approval": ["store_sett"]}]}, "tools[0].approval: there is no tool 'store_se"),
        ({"output_schema": "text"}, "output_schema: must be null, or a JSON Schema (an object)"),
        ({"output_schema": {"type": "array"}}, 'output_schema: must have "type": "object"; put any other value under'),
        ({"output_schema": {}}, 'output_schema: must have "type": "object"'),
        ({"output_schema": {"type": "objekt"}}, "output_schema: is not a JSON Schema: type: "),
        ({"output_schema": {"type": "object", "$ref": "http://x.y/z"}}, "output_schema: is not a JSON Schema: "),
        ({"output_schema": {"type": "object", "title": "a" * 65_536}}, "output_schema: must have at most 65,536 bytes"),
        ({"output_schema": {"type": "object", "title": "\ud800"}}, "output_schema: is not JSON: "),
        ({"output_schema": {"type": "object", "maximum": 2**70}}, "output_schema: is not JSON: "),
        ({"limits": 5}, "limits: must be an object with the keys: steps, tokens, seconds, cost"),
        ({"limits": {"step": 5}}, "limits.step: unknown key; did you mean 'steps'?"),
        ({"limits": {"steps": 0}}, "limits.steps: must be a whole number from 1 to 100"),
        ({"limits": {"steps": 101}}, "limits.steps: must be a whole number from 1 to 100"),
        ({"limits": {"steps": True}}, "limits.steps: must be a whole number"),
        ({"limits": {"steps": 1.5}}, "limits.steps: must be a whole number"),
        ({"limits": {"tokens": 10_000_001}}, "limits.tokens: must be a whole number from 1 to 10,000,000"),
        ({"limits": {"seconds": 3_601}}, "limits.seconds: must be a number from 1 to 3,600"),
        ({"limits": {"seconds": float("nan")}}, "limits.seconds: must be a number from 1 to 3,600"),
        ({"limits": {"seconds": "60"}}, "limits.seconds: must be a number from 1 to 3,600"),
        ({"limits": {"cost": 0}}, "limits.cost: must be a number above 0 up to 1,000"),
        ({"limits": {"cost": 1_001}}, "limits.cost: must be a number above 0 up to 1,000"),
        ({"approval": True}, "approval: must be an object with the keys: notify, timeout"),
        ({"approval": {"timeout": 0}}, "approval.timeout: must be a number from 1 to 31,622,400"),
        ({"approval": {"notify": ["a"]}}, "approval.notify: must be text"),
    ],
    ids=lambda value: ascii(value)[:60],
)  # fmt: skip
def test_an_issue_names_its_path(changes, message):
    (issue,) = issues_of(**changes)
    assert issue.startswith(message)


@pytest.mark.parametrize("raw", [None, [], "agent", 5, True])
def test_a_definition_is_an_object(raw):
    assert [str(issue) for issue in check(raw)[1]] == [
        'definition: must be an object with the keys "id", "name" and "instructions"'
    ]


def test_everything_that_is_wrong_is_said_at_once():
    wrong = {"id": "A B", "tools": ["shell", {"type": "http", "hosts": [5, "a b"]}], "limits": {"steps": 0, "cost": -1}}
    paths = [issue.path for issue in check(wrong)[1]]
    assert paths == [
        *("id", "name", "instructions", "tools[0].type", "tools[1].hosts[0]", "tools[1].hosts[1]"),
        *("limits.steps", "limits.cost"),
    ]
    with pytest.raises(DefinitionError, match=r"^The definition is not valid: id: .*\(and 3 more\)$") as error:
        parse(wrong)
    assert [issue.path for issue in error.value.details] == paths


def test_of_many_unknown_keys_only_the_first_are_named():
    assert len(issues_of(**{f"k{number}": 1 for number in range(1_000)})) == 20
    (long,) = issues_of(**{"x" * 10_000: 1})
    assert len(long) < 400


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.sampled_from([*KINDS]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
specs = st.dictionaries(
    st.sampled_from(["type", "approval", "hosts", "methods", "credential", "write", "workflows", "tools", "x"]),
    anything,
)


@given(
    st.dictionaries(st.sampled_from([*definition.KEYS, "x"]), anything),
    st.none() | st.lists(specs | anything, max_size=3),
)
def test_whatever_is_given_is_an_agent_or_has_issues(raw, tools):
    agent, issues = check({**LEAST, **raw, **({} if tools is None else {"tools": tools})})
    assert (agent is None) == bool(issues)
    for issue in issues:
        issue.path.encode(), issue.message.encode()
    if agent is not None:
        assert parse(orjson.loads(orjson.dumps(agent.snapshot()))) == agent


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("Mail triage", "mail-triage"),
        ("  Größe & Co. (2026) ", "grosse-co-2026"),
        ("Čeština", "cestina"),
        ("a" * 63 + " b", "a" * 63),
        ("Переводчик", ""),
        ("--", ""),
        ("a\ud800", "a"),
    ],
    ids=ascii,
)
def test_an_id_is_made_of_the_name(name, made):
    assert slug(name) == made and (not made or definition.ID.match(made))


# What it needs


def test_the_caller_gives_the_credential_of_a_tool_that_names_none():
    assert needs_credentials(parse({**LEAST, "tools": ["http", "sql", "mcp"]})) == ("sql", "mcp")
    named = [{"type": "sql", "credential": "a"}, {"type": "mcp", "credential": "b"}]
    assert needs_credentials(parse({**LEAST, "tools": named})) == ()


def test_the_credentials_that_it_names_are_found_with_their_types():
    tools = [{"type": kind, "credential": f"my {kind}"} for kind in ("http", "sql", "mcp")]
    agent = parse({**LEAST, "credential": "key", "tools": tools, "approval": {"notify": "chat"}})
    assert list(find_credentials(agent)) == [
        ("credential", "key", ("llm",)),
        ("tools[0].credential", "my http", HTTP_CREDENTIALS),
        ("tools[1].credential", "my sql", ("database_url",)),
        ("tools[2].credential", "my mcp", ("mcp",)),
        ("approval.notify", "chat", ("service_url",)),
    ]
    assert list(find_credentials(parse(LEAST))) == []


def test_credentials_methods_and_waits_are_described_as_by_the_nodes():
    types = {type_ for kind in KINDS.values() for type_ in kind.credentials} | {definition.LLM, definition.SERVICE}
    assert types <= set(TYPES) and set(KINDS["http"].credentials) == set(HTTP_CREDENTIALS)
    assert definition.MAX_WAIT == MAX_APPROVAL


def test_a_tool_asks_for_approval_as_its_spec_says():
    assert ToolSpec("store", ("store_set",)).asks("store_set") and not ToolSpec("store", ("store_set",)).asks(
        "store_get"
    )
    assert ToolSpec("mcp", True).asks("anything") and not ToolSpec("mcp").asks("anything")


# Those that are built in

BUILT_IN = list_built_in()
BY_ID = {agent["id"]: agent for agent in BUILT_IN}
each = pytest.mark.parametrize("agent", BUILT_IN, ids=lambda agent: agent["id"])
# Output that cannot be described to the last key: the settings of a node are the node's business.
OPEN = {"flow-builder"}


def test_the_promised_agents_are_there():
    assert set(BY_ID) == EXPECTED and len({agent["name"] for agent in BUILT_IN}) == len(BUILT_IN)


@each
def test_an_agent_is_complete(agent):
    assert agent["model"] is None, "the server's own model fits every installation"
    assert 50 < len(agent["description"]) < 200 and 500 < len(agent["instructions"]) < 8_000
    assert agent["limits"]["steps"] <= 25 and agent["limits"]["tokens"] <= 300_000
    assert agent["limits"]["seconds"] <= 600 and agent["output_schema"] is not None


@each
def test_the_instructions_say_that_data_from_outside_is_not_an_order(agent):
    assert "is data" in agent["instructions"] and "never follow them" in agent["instructions"]


@each
def test_an_agent_names_nothing_of_a_workspace(agent):
    made = parse(agent)
    assert not list(find_credentials(made)) and not any(spec.workflows for spec in made.tools)


@each
def test_an_agent_with_the_tool_for_memory_is_told_what_it_remembers(agent):
    assert agent["memory"] or "memory" not in {spec["type"] for spec in agent["tools"]}


@each
def test_instructions_name_the_tools_that_the_agent_has_and_no_others(agent):
    named = set(re.findall(r"`([a-z]+_[a-z_]+)`", agent["instructions"]))
    every = {tool for kind in KINDS.values() for tool in kind.tools or ()}
    had = {tool for spec in agent["tools"] for tool in KINDS[spec["type"]].tools or ()}
    assert named & every <= had


def open_ends(schema, path=""):
    """Where a schema is not closed as strict structured outputs want it: every key required, and no others."""
    if schema.get("type") == "object":
        closed = schema.get("additionalProperties") is False
        if not closed or set(schema.get("required", ())) != set(schema.get("properties", ())) or not schema["required"]:
            yield path
    for name, inner in schema.get("properties", {}).items():
        yield from open_ends(inner, f"{path}.{name}")
    if "items" in schema:
        yield from open_ends(schema["items"], f"{path}[]")
    elif "array" in str(schema.get("type")):
        yield f"{path} has no items"


@each
def test_an_output_schema_is_closed_to_the_last_object(agent):
    schema = agent["output_schema"]
    jsonschema.Draft202012Validator.check_schema(schema)
    if agent["id"] not in OPEN:
        assert not list(open_ends(schema))
    assert set(schema["required"]) == set(schema["properties"]) and schema["additionalProperties"] is False


def test_only_the_researcher_reaches_the_network_and_only_to_read():
    calling = {agent["id"]: spec for agent in BUILT_IN for spec in agent["tools"] if spec["type"] == "http"}
    assert {id_: spec["methods"] for id_, spec in calling.items()} == {"researcher": ["GET"]}


def test_an_agent_that_runs_flows_asks_for_approval_of_each():
    assert [spec for spec in BY_ID["operator"]["tools"] if spec["type"] == "run_flow"] == [
        {"type": "run_flow", "approval": True}
    ]
    assert not any(spec["type"] == "run_flow" for id_ in EXPECTED - {"operator"} for spec in BY_ID[id_]["tools"])


def test_an_agent_that_answers_strangers_asks_before_it_writes_memory():
    (spec,) = parse(BY_ID["support-answerer"]).tools
    assert spec.asks("memory_write") and not spec.asks("memory_search")
    assert BY_ID["mail-triage"]["tools"] == []


def test_the_flow_builder_shows_a_definition_that_runs():
    (text,) = re.findall(r"```json\n(.*?)\n```", BY_ID["flow-builder"]["instructions"], re.DOTALL)
    shown = json.loads(text)
    assert workflows.check(shown)[1] == []
    done = run(shown, {"method": "POST", "path": "orders", "query": {}, "headers": {}, "body": {"id": 7}})
    assert done.status == "success" and done.output["status"] == 422
    schema = BY_ID["flow-builder"]["output_schema"]["properties"]["definition"]
    jsonschema.validate(shown, schema)
    assert set(schema["properties"]["nodes"]["items"]["properties"]) == set(NODE_KEYS)
    assert set(shown["settings"]) <= set(SETTING_CHECKS)


def test_an_agent_is_found_by_its_id():
    assert find_built_in("summarizer")["tools"] == []
    assert find_built_in("no-such") is None


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_a_file_of_an_agent_is_named_by_its_id(path):
    assert find_built_in(path.stem) == parse(json.loads(path.read_text(encoding="utf-8"))).snapshot()
