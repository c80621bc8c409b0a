"""The node `memory`, which reads and writes the memory of agents, with a real database."""

from types import SimpleNamespace

import pytest
from contract import Case, Contract
from world import fresh_database

import engine
from errors import NodeError
from nodes.credentials.keyring import Keyring
from packs.agents.agent_memory import WorkspaceMemory

SECRET = "correct-horse-battery"


@pytest.fixture
def clock():
    """The clock of the memory, in milliseconds: `clock[0] += 1_000`."""
    return [1_800_000_000_000]


@pytest.fixture
def make_ctx(make_ctx, tmp_path, clock):
    """`make_ctx()` returns the context of a run, with the memory of a workspace."""

    def make(**lent):
        ctx, lines = make_ctx(**lent)
        ctx.agents = SimpleNamespace(memory=WorkspaceMemory("ws_1", ctx.keyring.clean, now=lambda: clock[0]))
        return ctx, lines

    with fresh_database(tmp_path):
        yield make


@pytest.fixture
def memory(run, make_ctx):
    """`memory(operation, …)` runs the node for the agent `researcher`, always with the same memory."""
    ctx, _ = make_ctx()

    def execute(operation, **config):
        return run("memory", {"operation": operation, "agent_id": "researcher", **config}, ctx=ctx)

    return execute


def keys(found):
    return [entry["key"] for entry in found]


def test_a_written_entry_can_be_read(memory):
    written = memory("write", key="city", content="Rome", tags=["place"])
    assert memory("read", key="city") == written
    assert (written["content"], written["tags"], written["session"], written["expires_at"]) == (
        "Rome",
        ["place"],
        "",
        None,
    )


def test_a_missing_entry_is_null(memory):
    memory("write", key="city", content="Rome", session="s")
    assert memory("read", key="city") is None and memory("read", key="city", session="t") is None


def test_each_agent_has_its_own_memory(memory):
    memory("write", key="city", content="Rome")
    assert memory("read", key="city", agent_id="translator") is None


def test_writing_a_key_again_replaces_tags_and_expiry(memory):
    memory("write", key="city", content="Rome", tags=["old"], expires_in=60)
    again = memory("write", key="city", content="Oslo")
    assert (again["content"], again["tags"], again["expires_at"]) == ("Oslo", [], None)
    assert len(memory("search")) == 1


def test_an_entry_expires(memory, clock):
    assert memory("write", key="city", content="Rome", expires_in="60")["expires_at"] == "2027-01-15T08:01:00.000Z"
    clock[0] += 59_999
    assert memory("read", key="city") and memory("search", query="Rome")
    clock[0] += 1
    assert memory("read", key="city") is None and memory("search", query="Rome") == []
    assert memory("delete", key="city") == {"deleted": False}


def test_delete_returns_whether_the_key_existed(memory):
    memory("write", key="city", content="Rome")
    assert memory("delete", key="city") == {"deleted": True}
    assert memory("delete", key="city") == {"deleted": False} and memory("search") == []


def test_search_returns_the_best_matches_first_up_to_the_limit(memory):
    memory("write", key="long", content="Rome " + "and some other town " * 20)
    memory("write", key="short", content="Rome")
    memory("write", key="other", content="Oslo")
    assert keys(memory("search", query="Rome")) == ["short", "long"]
    assert keys(memory("search", query="Rome", limit=1)) == ["short"]


def test_search_without_a_query_returns_the_latest_entries(memory, clock):
    for key in ("a", "b", "c"):
        clock[0] += 1
        memory("write", key=key, content="x")
    assert keys(memory("search", limit=2)) == ["c", "b"]


def test_search_covers_all_sessions_or_one_and_the_shared_entries(memory):
    for session in ("s", "t", ""):
        memory("write", key=f"in {session}", content="Rome", session=session)
    assert sorted(keys(memory("search", query="Rome"))) == ["in ", "in s", "in t"]
    assert sorted(keys(memory("search", query="Rome", session="s"))) == ["in ", "in s"]
    assert keys(memory("search", query="Rome", session="")) == ["in "]


def test_content_that_is_not_text_is_stored_as_json(memory):
    assert memory("write", key="k", content={"a": [1, None]})["content"] == '{"a": [1, null]}'
    assert memory("write", key=7, content=1)["key"] == "7"


@pytest.mark.parametrize(
    ("operation", "given", "missing"),
    [
        ("read", {}, "key"),
        ("delete", {}, "key"),
        ("write", {"content": "x"}, "key"),
        ("write", {"key": "k"}, "content"),
        ("write", {"key": "", "content": "x"}, "key"),
    ],
)
def test_the_error_names_the_missing_setting_of_an_operation(memory, operation, given, missing):
    with pytest.raises(NodeError, match=f"{missing} is required for the operation {operation}") as caught:
        memory(operation, **given)
    assert caught.value.permanent


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({"agent_id": "{{ input.agent }}"}, "agent_id"),
        ({"agent_id": ""}, "agent_id"),
        ({"agent_id": "x" * 65}, "agent_id"),
        ({"operation": "forget"}, "operation"),
        ({"expires_in": 0}, "expires_in"),
        ({"expires_in": "nan"}, "expires_in"),
        ({"limit": 101}, "limit"),
        ({"tags": ["x" * 101]}, "tags"),
        ({"tags": ["x"] * 51}, "tags"),
    ],
)
def test_an_invalid_setting_is_rejected_before_the_flow_runs(config, key):
    node = {"id": "it", "type": "memory", "config": {"operation": "read", "agent_id": "a", "key": "k", **config}}
    with pytest.raises(Exception, match=rf"config\.{key}"):
        engine.plan({"nodes": [node]})


def test_a_context_without_agents_is_an_error(run, make_ctx):
    ctx, _ = make_ctx()
    ctx.agents = None
    with pytest.raises(NodeError, match="agents are not available here"):
        run("memory", {"operation": "read", "agent_id": "a", "key": "k"}, ctx=ctx)


def test_secrets_of_the_run_are_redacted_before_they_are_stored(make_ctx, run):
    keyring = Keyring()
    keyring.hide(SECRET)
    ctx, _ = make_ctx()
    ctx.agents = SimpleNamespace(memory=WorkspaceMemory("ws_1", keyring.clean))
    config = {"operation": "write", "agent_id": "a", "key": f"key {SECRET}", "session": SECRET, "tags": [SECRET]}
    run("memory", {**config, "content": f"the token is {SECRET}."}, ctx=ctx)
    assert SECRET not in repr(ctx.agents.memory.search("a", ""))
    read = run("memory", {**config, "operation": "read"}, ctx=ctx)
    assert (read["key"], read["content"]) == ("key ***", "the token is ***.")
    assert run("memory", {**config, "operation": "delete"}, ctx=ctx) == {"deleted": True}


@pytest.fixture
def case_memory():
    return Case(config={"operation": "write", "agent_id": "a", "key": "k", "content": "Rome"})


class TestTheMemoryNodeKeepsTheContract(Contract):
    type_ = "memory"
