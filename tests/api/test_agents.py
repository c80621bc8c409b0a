"""What agents do and remember."""

import pytest

MEMORY = {"agent_id": "researcher", "key": "city", "content": "Rome"}


def remember(client, **change):
    answer = client.post("/api/agent/memory", {**MEMORY, **change})
    assert answer.status_code in (200, 201), answer.text
    return answer.json


def found(client, **query):
    return [item["content"] for item in client.get("/api/agent/memory", query_string=query).json["items"]]


def test_a_memory_is_what_was_written(owner):
    memory = remember(owner, session="s", tags=["a", "b"])
    assert (memory["session"], memory["key"], memory["content"], memory["tags"]) == ("s", "city", "Rome", ["a", "b"])


def test_the_same_agent_session_and_key_overwrite(owner):
    first, second = remember(owner, tags=["old"]), remember(owner, content="Oslo")
    assert first["id"] == second["id"] and second["tags"] == [] and found(owner) == ["Oslo"]


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


def test_search_finds_what_was_overwritten_no_more(owner):
    remember(owner)
    remember(owner, content="Oslo")
    assert found(owner, search="Rome") == [] and found(owner, search="Oslo") == ["Oslo"]


def test_search_finds_what_was_forgotten_no_more(owner):
    memory = remember(owner)
    assert owner.delete(f"/api/agent/memory/{memory['id']}").status_code == 204
    assert found(owner, search="Rome") == [] == found(owner)


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


# Tasks


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"task": "x"}, "agent_id"),
        ({"agent_id": "researcher"}, "task"),
        ({"agent_id": "nobody", "task": "x"}, "agent_id"),
        ({"agent_id": "researcher", "task": ""}, "task"),
        ({"agent_id": "researcher", "task": 1}, "task"),
        ({"agent_id": "researcher", "task": "x" * 100_001}, "task"),
        ({"agent_id": "researcher", "task": "x", "model": 1}, "model"),
        ({"agent_id": "../x", "task": "x"}, "agent_id"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_a_wrong_task_is_400_names_the_field_and_leaves_nothing(owner, count_rows, body, field):
    before = count_rows()
    answer = owner.post("/api/agent/run", body)
    assert answer.status_code == 400 and answer.json["error"].startswith(f"{field}: ")
    assert count_rows() == before


def test_without_a_model_a_task_is_503_that_names_the_setting(owner, count_rows):
    before = count_rows()
    answer = owner.post("/api/agent/run", {"agent_id": "researcher", "task": "look"})
    assert answer.status_code == 503 and "HEADRACE_LLM_MODEL" in answer.json["error"]
    assert count_rows() == before
