"""Agent definitions over HTTP: built-in and own ones, roles, and refused definitions."""

import json

import pytest
from agent_samples import EXPECTED, FULL, LEAST
from world import at_once

from database import execute
from packs.agents import agent_store
from packs.agents.agent_store import find_agent, find_built_in
from packs.agents.definition import parse

pytestmark = pytest.mark.usefixtures("shared_server")


def add(client, status=201, **changes):
    """Create a minimal agent with these changes and return the response; a key set to `...` is omitted."""
    body = {key: value for key, value in {**LEAST, **changes}.items() if value is not ...}
    answer = client.post("/api/agents", body)
    assert answer.status_code == status, answer.text
    return answer.json


def agents(client, query=""):
    return client.get(f"/api/agents?{query}").json["items"]


def ids(client, query=""):
    return [agent["id"] for agent in agents(client, query)]


# Reading


def test_the_list_has_the_built_in_agents_and_the_workspaces_own_by_id(owner):
    for id_ in ("zebra", "ant"):
        add(owner, id=id_)
    assert ids(owner) == sorted({*EXPECTED, "zebra", "ant"})
    assert {agent["id"] for agent in agents(owner) if not agent["builtin"]} == {"zebra", "ant"}


def test_the_pages_together_are_the_list(owner):
    for number in range(5):
        add(owner, id=f"own-{number}")
    whole, found, cursor = ids(owner, "limit=200"), [], ""
    for _ in range(20):
        page = owner.get(f"/api/agents?limit=3{cursor}").json
        found += [agent["id"] for agent in page["items"]]
        if page["next_cursor"] is None:
            break
        assert len(page["items"]) == 3
        cursor = f"&cursor={page['next_cursor']}"
    assert found == whole == ids(owner) and len(whole) == 5 + len(EXPECTED)


@pytest.mark.parametrize("cursor", ["x", "UmVzZWFyY2hlcg", "cmVzZWFyY2hlcgo", "\0", "%ff"])
def test_a_cursor_that_the_list_never_gave_is_400(owner, cursor):
    answer = owner.get("/api/agents", query_string={"cursor": cursor})
    assert answer.status_code == 400 and answer.json["error"].startswith("cursor: ")


def test_an_agent_is_returned_with_all_defaults(owner):
    made = add(owner)
    assert made == owner.get("/api/agents/good").json and made in agents(owner)
    assert {key: made[key] for key in parse(LEAST).snapshot()} == parse(LEAST).snapshot()
    assert made["builtin"] is False and made["created_at"] == made["updated_at"] and "warnings" not in made


def test_a_built_in_agent_is_marked_and_lists_its_credentials(owner):
    answer = owner.get("/api/agents/sql-answerer").json
    assert (answer["builtin"], answer["created_at"], answer["needs_credentials"]) == (True, None, ["sql"])
    assert owner.get("/api/agents/summarizer").json["needs_credentials"] == []


@pytest.mark.parametrize("name", ["nobody", "../templates", "Researcher", "a" * 300, "%00", "%ff", "validate"])
def test_an_agent_that_is_not_there_is_404(owner, name):
    for method in ("GET", "PUT", "DELETE"):
        answer = owner.open(f"/api/agents/{name}", LEAST if method == "PUT" else None, method=method)
        assert answer.status_code == 404 and set(answer.json) == {"error"}


# Making


def test_without_an_id_it_gets_one_made_of_its_name(owner):
    assert add(owner, id=..., name="Größe & Co.")["id"] == "grosse-co"
    assert add(owner, id=None, name="Other")["id"] == "other"
    answer = add(owner, 400, id=..., name="Переводчик")
    assert answer["error"] == "id: is required"


def test_an_id_that_is_taken_is_409(owner, count_rows):
    add(owner)
    before = count_rows()
    assert add(owner, 409, name="Another")["error"] == "id: an agent 'good' exists already; choose another id"
    assert "built in; choose another id" in add(owner, 409, id="researcher")["error"]
    assert add(owner, 409, id=..., name="Researcher")["error"].startswith("id: ")
    assert count_rows() == before and owner.get("/api/agents/good").json["name"] == "Good"


def test_of_two_concurrent_creations_with_one_id_one_succeeds(app, owner, member):
    clients = [owner, member("editor"), member("editor"), member("editor")]
    answers = at_once(4, lambda number: clients[number].post("/api/agents", {**LEAST, "name": f"By {number}"}))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409]
    (winner,) = [answer.json for answer in answers if answer.status_code == 201]
    assert owner.get("/api/agents/good").json == winner


def test_a_workspace_has_no_more_agents_than_its_bound(owner, other, monkeypatch):
    monkeypatch.setattr(agent_store, "MAX_AGENTS", 3)
    for number in range(3):
        add(owner, id=f"a-{number}")
    assert add(owner, 409)["error"] == "The workspace has 3 agents, the maximum; delete some"
    add(other)
    assert owner.delete("/api/agents/a-0").status_code == 204
    add(owner)


def test_a_built_in_agent_can_be_sent_back_under_another_id(owner):
    read = owner.get("/api/agents/flow-builder").json
    made = owner.post("/api/agents", {**read, "id": "my-builder"})
    assert made.status_code == 201
    same = parse(find_built_in("flow-builder")).snapshot() | {"id": "my-builder"}
    assert {key: made.json[key] for key in same} == same


def test_credentials_that_are_missing_or_of_another_type_are_warnings(owner):
    owner.post("/api/credentials", {"name": "chat", "type": "secret", "data": {"value": "v"}})
    owner.post("/api/credentials", {"name": "tickets", "type": "mcp", "data": {"url": "https://mcp.example.com/"}})
    made = add(owner, **FULL)
    assert [(warning["path"], warning["level"], warning["message"]) for warning in made["warnings"]] == [
        ("credential", "warning", "there is no credential 'key' in this workspace"),
        ("tools[6].credential", "warning", "there is no credential 'wiki' in this workspace"),
        ("approval.notify", "warning", "the credential 'chat' is of type secret; it must be service_url"),
    ]
    changed = owner.put("/api/agents/good", {**FULL, "tools": [], "approval": None}).json
    assert [warning["path"] for warning in changed["warnings"]] == ["credential"]


def test_another_workspaces_credential_is_none_here(owner, other):
    other.post("/api/credentials", {"name": "wiki", "type": "mcp", "data": {"url": "https://mcp.example.com/"}})
    assert "wiki" in str(add(owner, tools=[{"type": "mcp", "credential": "wiki"}])["warnings"])


# Changing


def test_a_change_replaces_the_whole_definition(owner):
    first = add(owner, **FULL)
    changed = owner.put("/api/agents/good", {"name": "Better", "instructions": "Do better."}).json
    assert changed["name"] == "Better" and (changed["tools"], changed["output_schema"]) == ([], None)
    assert changed["created_at"] == first["created_at"] and changed["updated_at"] > first["updated_at"]
    assert owner.get("/api/agents/good").json == {key: value for key, value in changed.items() if key != "warnings"}


def test_a_response_can_be_sent_back_until_the_agent_changes(owner):
    read = add(owner)
    second = owner.put("/api/agents/good", {**read, "name": "Second"})
    assert second.status_code == 200
    stale = owner.put("/api/agents/good", {**read, "name": "Third"})
    assert stale.status_code == 409 and stale.json["error"].startswith("updated_at: the agent has changed since")
    assert owner.put("/api/agents/good", second.json).status_code == 200
    assert owner.get("/api/agents/good").json["name"] == "Second"


def test_of_two_concurrent_changes_one_is_refused(owner, member):
    clients, read = [owner, member("editor")], add(owner)
    answers = at_once(2, lambda number: clients[number].put("/api/agents/good", {**read, "name": f"By {number}"}))
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    (winner,) = [answer.json["name"] for answer in answers if answer.status_code == 200]
    assert owner.get("/api/agents/good").json["name"] == winner


def test_an_agent_keeps_its_id(owner):
    add(owner)
    answer = owner.put("/api/agents/good", {**LEAST, "id": "better"})
    assert answer.status_code == 400 and answer.json["error"].startswith("id: must be 'good'")


def test_a_built_in_agent_is_neither_changed_nor_deleted(owner, count_rows):
    before = count_rows()
    for answer in (owner.put("/api/agents/researcher", LEAST), owner.delete("/api/agents/researcher")):
        assert answer.status_code == 409 and "is built in and cannot be" in answer.json["error"]
    assert count_rows() == before and "researcher" in ids(owner)


def test_a_deleted_agent_is_gone_and_its_id_is_free(owner):
    add(owner)
    assert owner.delete("/api/agents/good").status_code == 204
    assert owner.get("/api/agents/good").status_code == 404 == owner.delete("/api/agents/good").status_code
    assert "good" not in ids(owner)
    add(owner, name="Again")


# Who, and where


def test_a_foreign_workspace_sees_nothing(owner, other):
    add(owner)
    assert "good" not in ids(other) and other.get("/api/agents/good").status_code == 404
    assert other.put("/api/agents/good", LEAST).status_code == 404 == other.delete("/api/agents/good").status_code
    assert add(other, name="Theirs")["name"] == "Theirs"
    assert owner.get("/api/agents/good").json["name"] == "Good"


@pytest.mark.parametrize(("role", "may"), [("viewer", False), ("operator", False), ("editor", True), ("owner", True)])
def test_editors_make_change_and_delete_agents(owner, member, role, may):
    client = member(role)
    add(owner)
    assert client.post("/api/agents", {**LEAST, "id": "mine"}).status_code == (201 if may else 403)
    assert client.put("/api/agents/good", LEAST).status_code == (200 if may else 403)
    assert client.get("/api/agents/good").status_code == 200
    assert client.delete("/api/agents/good").status_code == (204 if may else 403)


def test_a_run_finds_the_workspaces_own_agent_or_the_built_in_one(owner, other):
    add(owner, **FULL)
    assert find_agent(owner.workspace.id, "good") == parse(FULL)
    assert find_agent(other.workspace.id, "good") is None is find_agent(owner.workspace.id, "nobody")
    built_in = parse(find_built_in("researcher"))
    assert find_agent(owner.workspace.id, "researcher") == built_in == find_agent(other.workspace.id, "researcher")


def test_an_agent_that_was_there_before_one_of_its_id_was_built_in_stays(owner, monkeypatch):
    add(owner)
    later = {**find_built_in("researcher"), "id": "good"}
    monkeypatch.setattr(agent_store, "_read_built_in", lambda: (later,))
    assert find_agent(owner.workspace.id, "good").name == "Good" == owner.get("/api/agents/good").json["name"]
    assert [agent["builtin"] for agent in agents(owner)] == [False]
    assert owner.put("/api/agents/good", {**LEAST, "name": "Still"}).status_code == 200
    assert owner.delete("/api/agents/good").status_code == 204
    assert owner.get("/api/agents/good").json["builtin"] is True


# What is wrong


def nested(depth):
    value = {}
    for _ in range(depth):
        value = {"a": value}
    return value


HOSTILE = [
    ({"name": 1}, "name: must be text"),
    ({"name": None}, "name: must not be null"),
    ({"name": ...}, "name: is required"),
    ({"name": "a\0"}, "name: must not contain the character NUL"),
    ({"id": "a\0"}, "id: must not contain the character NUL"),
    ({"id": {"$ne": ""}}, "id: must be text"),
    ({"id": "../etc"}, "id: must be a-z"),
    ({"instructions": ["a"]}, "instructions: must be text"),
    ({"instructions": "a" * 50_001}, "instructions: must have at most 50,000 characters"),
    ({"tools": "http"}, "tools: must be a list"),
    ({"tools": {"0": "http"}}, "tools: must be a list"),
    ({"tools": ["http"] * 10_000}, "tools: must be a list of at most 50 tools"),
    ({"tools": [nested(50)]}, "tools[0].type: must be one of"),
    ({"tools": [{"type": "http", "hosts": ["a\0.b"]}]}, "tools[0].hosts[0]: must"),
    ({"output_schema": nested(90)}, 'output_schema: must have "type": "object"'),
    ({"output_schema": {"type": "object", "title": "a" * 70_000}}, "output_schema: must have at most 65,536 bytes"),
    ({"output_schema": {"type": "object", "pattern": "(a{1000}){1000}"}}, "output_schema: is not a JSON Schema"),
    ({"output_schema": {"type": "object", "$ref": "file:///etc/passwd"}}, "output_schema: is not a JSON Schema"),
    ({"limits": {"steps": 10**30}}, ""),
    ({"limits": {"seconds": float("inf")}}, ""),
    ({"limits": [1]}, "limits: must be an object"),
    ({"memory": "true"}, "memory: must be true or false"),
    ({"__proto__": {}}, "__proto__: unknown key"),
    ({"\0": 1}, ""),
    ({"name": "\ud800"}, ""),
    ({"\ud800": 1}, ""),
    ({"x": nested(150)}, ""),
    ({f"k{number}": number for number in range(5_000)}, "k0: unknown key"),
]


@pytest.mark.parametrize(("changes", "message"), HOSTILE, ids=lambda value: ascii(value)[:50])
def test_an_invalid_definition_is_400_with_its_place_and_saves_nothing(owner, count_rows, changes, message):
    add(owner)
    before, kept = count_rows(), owner.get("/api/agents/good").json
    answer = add(owner, 400, **{"id": "new", **changes})
    assert answer["error"].startswith(message) and len(json.dumps(answer)) < 20_000
    body = {key: value for key, value in {**LEAST, **changes}.items() if value is not ...}
    assert owner.put("/api/agents/good", body).status_code == 400
    assert count_rows() == before and owner.get("/api/agents/good").json == kept


@pytest.mark.parametrize("updated_at", ["yesterday", 5, {}, "9999999-01-01"])
def test_a_wrong_time_is_400(owner, updated_at):
    add(owner)
    answer = owner.put("/api/agents/good", {**LEAST, "updated_at": updated_at})
    assert answer.status_code == 400 and answer.json["error"].startswith("updated_at: must be a time")


def test_a_definition_is_validated_as_it_would_be_saved_and_not_kept(owner, count_rows):
    before = count_rows()
    good = owner.post("/api/agents/validate", {"definition": {**LEAST, "id": None}}).json
    assert good == {"ok": True, "issues": []}
    warned = owner.post("/api/agents/validate", {"definition": {**LEAST, "credential": "key"}}).json
    assert warned["ok"] and [(issue["path"], issue["level"]) for issue in warned["issues"]] == [
        ("credential", "warning")
    ]
    bad = owner.post("/api/agents/validate", {"definition": {"name": 1, "tools": ["shell"], "memry": True}}).json
    assert [issue["path"] for issue in bad["issues"]] == ["memry", "id", "name", "instructions", "tools[0].type"]
    assert not bad["ok"] and {issue["level"] for issue in bad["issues"]} == {"error"}
    assert count_rows() == before


@pytest.mark.parametrize("definition", [None, 5, "text", [], [LEAST], True])
def test_a_body_that_is_not_a_definition_is_an_issue(owner, definition):
    answer = owner.post("/api/agents/validate", {"definition": definition})
    assert answer.status_code == 400 or answer.json["ok"] is False
    assert "definition" in answer.text


def test_the_stored_row_has_the_definition_its_id_and_name(owner):
    add(owner, **FULL)
    (row,) = execute("SELECT id, name, definition, workspace_id FROM agents").fetchall()
    assert row[0] == "good" and row[1] == "Good" and row[3] == owner.workspace.id
    assert json.loads(row[2]) == parse(FULL).snapshot()


def test_the_openapi_document_describes_agent_definitions(client):
    described = client.get("/api/openapi.json").json
    shape = described["components"]["schemas"]["AgentIn"]
    assert set(shape["required"]) == {"name", "instructions"} and set(shape["properties"]) == set(
        parse(LEAST).snapshot()
    )
    assert shape["properties"]["instructions"]["maxLength"] == 50_000
    assert {"get", "post"} <= set(described["paths"]["/api/agents"])
