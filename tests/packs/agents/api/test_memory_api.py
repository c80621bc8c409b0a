"""Agent memory over HTTP."""

import base64
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from database import execute, write
from database.base import now_ms

pytestmark = pytest.mark.usefixtures("shared_server")

MEMORY = {"agent_id": "researcher", "key": "city", "content": "Rome"}


def remember(client, **change):
    answer = client.post("/api/agent/memory", {**MEMORY, **change})
    assert answer.status_code in (200, 201), answer.text
    return answer.json


def found(client, **query):
    return [item["content"] for item in client.get("/api/agent/memory", query_string=query).json["items"]]


def test_a_memory_is_returned_as_written(owner):
    memory = remember(owner, session="s", tags=["a", "b"])
    assert (memory["session"], memory["key"], memory["content"], memory["tags"]) == ("s", "city", "Rome", ["a", "b"])


def test_a_memory_can_be_asked_for_by_its_id(owner):
    memory = remember(owner)
    assert owner.get(f"/api/agent/memory/{memory['id']}").json == memory


def test_the_same_agent_session_and_key_overwrite(owner):
    first, second = remember(owner, tags=["old"], expires_in=60), remember(owner, content="Oslo")
    assert first["id"] == second["id"] and found(owner) == ["Oslo"]
    assert (second["tags"], second["expires_at"]) == ([], None)


@pytest.mark.parametrize("change", [{"agent_id": "translator"}, {"session": "s"}, {"key": "town"}])
def test_another_agent_session_or_key_is_another_memory(owner, change):
    remember(owner)
    remember(owner, content="Oslo", **change)
    assert sorted(found(owner)) == ["Oslo", "Rome"]


def test_no_session_and_an_empty_one_are_the_same(owner):
    ids = {remember(owner)["id"], remember(owner, session=None)["id"], remember(owner, session="")["id"]}
    assert len(ids) == 1


def test_another_workspaces_memory_is_neither_seen_nor_overwritten(owner, other):
    remember(owner)
    remember(other, content="Oslo")
    assert found(owner) == ["Rome"] and found(other) == ["Oslo"] and found(other, search="Rome") == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"agent_id": None}, "agent_id"),
        ({"agent_id": ""}, "agent_id"),
        ({"key": None}, "key"),
        ({"key": "x" * 201}, "key"),
        ({"key": "\0"}, "key"),
        ({"content": None}, "content"),
        ({"content": {"a": 1}}, "content"),
        ({"content": "x" * 100_001}, "content"),
        ({"session": 1}, "session"),
        ({"tags": "a"}, "tags"),
        ({"tags": [1]}, "tags"),
        ({"tags": [""]}, "tags"),
        ({"tags": ["a"] * 51}, "tags"),
        ({"tags": None}, "tags"),
        ({"expires_in": 0}, "expires_in"),
        ({"expires_in": -1}, "expires_in"),
        ({"expires_in": 1.5}, "expires_in"),
        ({"expires_in": "60"}, "expires_in"),
        ({"expires_in": 10**30}, "expires_in"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_a_wrong_memory_is_400_names_the_field_and_leaves_nothing(owner, count_rows, change, field):
    before = count_rows()
    answer = owner.post("/api/agent/memory", {**MEMORY, **change})
    assert answer.status_code == 400 and answer.json["error"].startswith(field)
    assert count_rows() == before


def test_memories_are_found_by_agent_and_session(owner):
    remember(owner, content="one")
    remember(owner, content="two", session="s")
    remember(owner, content="three", agent_id="translator")
    assert found(owner, agent_id="translator") == ["three"] and found(owner, session="s") == ["two"]
    assert found(owner, agent_id="researcher", session="") == ["one"] and found(owner, agent_id="nobody") == []


def test_search_wants_every_word_by_its_beginning_in_key_content_or_tags(owner):
    remember(owner, key="city", content="Rome is old", tags=["italy"])
    assert found(owner, search="rom old ITAL city") == ["Rome is old"]
    assert found(owner, search="rome young") == [] and found(owner, search="ome") == []


def test_search_does_not_find_overwritten_content(owner):
    remember(owner)
    remember(owner, content="Oslo")
    assert found(owner, search="Rome") == [] and found(owner, search="Oslo") == ["Oslo"]


def test_search_does_not_find_deleted_memories(owner):
    memory = remember(owner)
    assert owner.delete(f"/api/agent/memory/{memory['id']}").status_code == 204
    assert found(owner, search="Rome") == [] == found(owner)


# What has expired


def expire(memory):
    """Let the memory expire."""
    with write():
        execute("UPDATE agent_memories SET expires_at = ? WHERE id = ?", (now_ms() - 1, memory["id"]))


def test_a_memory_has_its_expiry_time(owner):
    memory = remember(owner, expires_in=3_600)
    times = [datetime.fromisoformat(memory[name]) for name in ("updated_at", "expires_at")]
    assert times[1] - times[0] == timedelta(hours=1)
    assert remember(owner, key="other", expires_in=None)["expires_at"] is None


def test_expired_memories_are_not_returned(owner):
    memory = remember(owner, expires_in=60)
    expire(memory)
    assert found(owner) == found(owner, search="Rome") == found(owner, agent_id="researcher", session="") == []
    path = f"/api/agent/memory/{memory['id']}"
    assert owner.get(path).status_code == 404 == owner.delete(path).status_code
    assert owner.delete("/api/agent/memory?agent_id=researcher").json == {"deleted": 0}


def test_writing_over_an_expired_memory_creates_a_new_one(owner):
    memory = remember(owner, expires_in=60)
    expire(memory)
    assert remember(owner)["id"] != memory["id"] and found(owner) == ["Rome"]


# The bound


def test_over_the_limit_the_least_recently_updated_memory_is_deleted(owner, server, monkeypatch):
    monkeypatch.setattr(server, "config", replace(server.config, memory_entries=2))
    for number in range(3):
        remember(owner, key=str(number), content=str(number))
    assert found(owner) == ["2", "1"]


# Forgetting


def test_an_agent_forgets_everything(owner, other):
    for number in range(3):
        remember(owner, key=str(number), session="s" * (number % 2))
    remember(owner, agent_id="translator", content="Oslo")
    remember(other, content="Paris")
    assert owner.delete("/api/agent/memory?agent_id=researcher").json == {"deleted": 3}
    assert found(owner) == ["Oslo"] and found(other) == ["Paris"]
    assert owner.delete("/api/agent/memory?agent_id=researcher").json == {"deleted": 0}


@pytest.mark.parametrize(
    ("session", "deleted", "left"),
    [("s", 1, ["in t", "in "]), ("", 1, ["in t", "in s"]), ("unknown", 0, ["in t", "in s", "in "])],
)
def test_an_agent_forgets_a_session(owner, session, deleted, left):
    for name in ("", "s", "t"):
        remember(owner, session=name, content=f"in {name}")
    query = {"agent_id": "researcher", "session": session}
    assert owner.delete("/api/agent/memory", query_string=query).json == {"deleted": deleted}
    assert found(owner) == left


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("", "agent_id"),
        ("?agent_id=", "agent_id"),
        ("?session=s", "agent_id"),
        ("?agent_id=%00", "agent_id"),
        (f"?agent_id={'x' * 65}", "agent_id"),
        (f"?agent_id=researcher&session={'x' * 201}", "session"),
    ],
)
def test_forgetting_needs_an_agent_and_else_leaves_everything(owner, query, name):
    remember(owner)
    answer = owner.delete(f"/api/agent/memory{query}")
    assert answer.status_code == 400 and answer.json["error"].startswith(f"{name}: ") and found(owner) == ["Rome"]


# Lists and searches


def test_the_pages_of_a_search_together_are_its_list(owner):
    for number in range(5):
        remember(owner, key=str(number), content=f"Rome {number}")
        remember(owner, key=f"other {number}", content="Oslo")
    cursor, walked = None, []
    while True:
        query = {"search": "rome", "limit": 2, **({"cursor": cursor} if cursor else {})}
        page = owner.get("/api/agent/memory", query_string=query).json
        walked += [item["content"] for item in page["items"]]
        if (cursor := page["next_cursor"]) is None:
            break
    assert walked == [f"Rome {number}" for number in (4, 3, 2, 1, 0)]


def test_a_cursor_of_another_list_leads_to_nothing(owner, flow):
    remember(owner)
    cursor = base64.urlsafe_b64encode(flow["id"].encode()).decode().rstrip("=")
    assert owner.get(f"/api/agent/memory?cursor={cursor}").json == {"items": [], "next_cursor": None}


HOSTILE = [
    '"', '""', '"Rome', "'", "*", "Ro*", "^Rome", "NEAR(Rome city)", "Rome AND", "AND", "OR", "NOT", "NOT Rome",
    "key:Rome", "content : Rome", "-Rome", "(", ")", "{", "Rome + city", "Rome,city", ";", "--", "' OR 1=1 --", "%",
    "_", "\\", "😀", "a" * 200, '" OR "a', "rowid", "agent_memories_fts", "…", " ", "\t", "\n",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_nothing_in_a_search_is_syntax(owner, text):
    remember(owner)
    answer = owner.get("/api/agent/memory", query_string={"search": text})
    assert answer.status_code == 200 and isinstance(answer.json["items"], list)


@pytest.mark.parametrize("text", ["AND", "NEAR", "NOT", "OR"])
def test_a_word_that_is_an_operator_elsewhere_is_a_word_here(owner, text):
    remember(owner, content=f"Rome {text} Oslo")
    remember(owner, key="k", content="Rome Oslo")
    assert found(owner, search=text) == [f"Rome {text} Oslo"]


# Flows


def test_a_flow_writes_memories_of_its_workspace_without_secrets(owner, other, make_run):
    owner.post("/api/credentials", {"name": "shop", "type": "http_bearer", "data": {"token": "correct-horse-battery"}})
    config = {
        "operation": "write",
        "agent_id": "researcher",
        "key": "shop",
        "content": "{{ secrets.shop }} or {{ input }}",
    }
    run = make_run({"nodes": [{"id": "a", "type": "memory", "config": config}]}, "Rome")
    assert run["error_text"] is None and run["output"]["content"] == "*** or Rome"
    assert found(owner, search="Rome", agent_id="researcher", session="") == ["*** or Rome"] and found(other) == []


def test_a_flow_finds_memories_written_by_users(owner, make_run):
    remember(owner)
    config = {"operation": "search", "agent_id": "researcher", "query": "{{ input }}"}
    run = make_run({"nodes": [{"id": "a", "type": "memory", "config": config}]}, "which city?")
    assert [entry["content"] for entry in run["output"]] == ["Rome"]
