"""What agents remember: one entry a key, found by words, forgotten in time, in bounds, without secrets."""

import itertools
import uuid

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from properties import examples
from world import at_once, fresh_database, raced

from config import Config
from database import execute, fetch_value, is_postgres, write
from database.base import now_ms
from database.full_text import POSTGRES
from database.queries import retention
from dispatch.payloads import Payloads
from errors import NodeError
from fields import iso
from models import AgentMemory
from nodes.credentials.keyring import Keyring
from packs.agents import agent_memory
from packs.agents.agent_memory import MemoryName, MemoryScope, WorkspaceMemory
from scheduler.retention import Retention

NOW = 1_800_000_000_000
SECRET = "correct-horse-battery"
OPERATORS = [
    '"', '""', '"Rome', "'", "*", "Ro*", "^Rome", "NEAR(Rome city)", "Rome AND", "AND", "OR", "NOT", "NOT Rome",
    "key:Rome", "content : Rome", "-Rome", "(", ")", "{", "Rome + city", "Rome,city", ";", "--", "' OR 1=1 --", "%",
    "_", "\\", "😀", '" OR "a', "rowid", "agent_memories_fts", "…", " ", "\t", "a\0b", "\0", "\ud800", "", "مرحبا",
    "東京", "a" * 50_000, "word " * 20_000, '"' * 20_000, "é\u0301", "\u202e",
]  # fmt: skip


@pytest.fixture(autouse=True)
def path(tmp_path):
    with fresh_database(tmp_path) as path:
        yield path


@pytest.fixture
def clock():
    return [NOW]


@pytest.fixture
def memory(clock):
    """The memory of a workspace whose agents keep five entries each; `clock[0]` is the time in milliseconds."""
    return WorkspaceMemory("ws_1", most=5, now=lambda: clock[0])


def keys(found):
    return [entry["key"] for entry in found]


def row_count():
    return AgentMemory.select().count()


def check_index():
    """The full-text index says what the table says."""
    if is_postgres():
        for row in AgentMemory.select():
            words = POSTGRES.vector((row.key, row.content, row.tags))
            same = "SELECT 1 FROM agent_memories WHERE number = ? AND words = CAST(? AS tsvector)"
            assert fetch_value(same, (row.number, words)), row.key
        return
    execute("INSERT INTO agent_memories_fts (agent_memories_fts, rank) VALUES ('integrity-check', 1)")


# One entry a key


def test_a_written_entry_is_read_unchanged(memory):
    written = memory.write("a", "city", "Rome", "s", ["place", "old"], 60)
    named = {"agent_id": "a", "session": "s", "key": "city", "content": "Rome", "tags": ["place", "old"]}
    times = {"expires_at": iso(NOW + 60_000), "created_at": iso(NOW), "updated_at": iso(NOW)}
    assert written == {"id": written["id"], **named, **times} == memory.read("a", "city", "s")


def test_the_same_agent_session_and_key_are_one_entry(memory, clock):
    first = memory.write("a", "k", "one", "s", ["t"], 60)
    clock[0] += 5
    second = memory.write("a", "k", "two", "s")
    assert first["id"] == second["id"] and second["created_at"] == iso(NOW) and second["updated_at"] == iso(NOW + 5)
    assert (second["content"], second["tags"], second["expires_at"]) == ("two", [], None)
    memory.write("a", "k", "x")
    memory.write("b", "k", "x", "s")
    WorkspaceMemory("ws_2").write("a", "k", "x", "s")
    assert row_count() == 4 and memory.read("a", "k", "s")["content"] == "two"


def test_threads_that_write_the_same_key_at_once_leave_one_entry():
    at_once(8, lambda number: WorkspaceMemory("ws_1").write("a", "k", str(number)))
    assert row_count() == 1
    check_index()


@pytest.mark.slow
def test_processes_that_write_the_same_keys_at_once_leave_one_entry_each(path):
    source = """
import sys, database
from chosen_engine import connect
from packs.agents.agent_memory import WorkspaceMemory
connect(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
ids = {WorkspaceMemory("ws_1").write("a", f"k{number % 3}", f"words {number}")["id"] for number in range(150)}
print(*ids)
database.disconnect()
"""
    ids = raced(2, source, path)
    assert len(ids) == 6 and len(set(ids)) == 3 == row_count()
    check_index()


def test_a_failed_write_changes_no_entry(memory, monkeypatch):
    """Its place among the others is made in the same transaction."""
    for number in range(5):
        memory.write("a", f"k{number}", "x")

    def refuse(*_):
        raise OSError("the disk says no")

    monkeypatch.setattr(agent_memory, "delete_memories", refuse)
    with pytest.raises(OSError, match="the disk says no"):
        memory.write("a", "one more", "x")
    check_index()
    assert memory.read("a", "one more") is None and row_count() == 5


def test_delete_takes_one_entry(memory):
    memory.write("a", "k", "x", "s")
    memory.write("a", "k", "x", "t")
    assert memory.delete("a", "k", "s") and not memory.delete("a", "k", "s") and not memory.delete("b", "k", "t")
    assert memory.read("a", "k", "t") and row_count() == 1
    check_index()


# What is refused


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"agent_id": ""}, "agent_id must not be empty"),
        ({"agent_id": "x" * 65}, "agent_id has 65 characters; at most 64"),
        ({"agent_id": None}, "agent_id must be text"),
        ({"key": " "}, "key must not be empty"),
        ({"key": "x" * 201}, "key has 201 characters"),
        ({"key": 5}, "key must be text"),
        ({"session": "x" * 201}, "session has 201"),
        ({"session": None}, "session must be text"),
        ({"content": "x" * 100_001}, "content has 100001 characters; at most 100000"),
        ({"content": {"a": 1}}, "content must be text"),
        ({"content": "a\0b"}, "content must not contain NUL"),
        ({"content": "\ud800"}, "half a surrogate pair"),
        ({"tags": "abc"}, "tags must be a list"),
        ({"tags": ["x"] * 51}, "51 tags; at most 50"),
        ({"tags": [1]}, "a tag must be text"),
        ({"tags": ["x" * 101]}, "a tag has 101"),
        ({"tags": [""]}, "a tag must not be empty"),
        ({"expires_in": 0}, "expires_in must be a number of seconds from 1 to 316224000"),
        ({"expires_in": float("nan")}, "expires_in"),
        ({"expires_in": float("inf")}, "expires_in"),
        ({"expires_in": True}, "expires_in"),
        ({"expires_in": "60"}, "expires_in"),
        ({"expires_in": 10**30}, "expires_in"),
    ],
    ids=lambda value: ascii(value)[:50],
)
def test_a_wrong_value_is_named_and_nothing_is_kept(memory, change, message):
    with pytest.raises(NodeError, match=message) as caught:
        memory.write(**{"agent_id": "a", "key": "k", "content": "c", **change})
    assert caught.value.permanent and row_count() == 0


@pytest.mark.parametrize("ask", [{"limit": "10"}, {"limit": None}, {"query": None}, {"query": 5}, {"session": 5}])
def test_a_wrong_search_is_named(memory, ask):
    with pytest.raises(NodeError, match=next(iter(ask))):
        memory.search(**{"agent_id": "a", "query": "x", **ask})


def test_the_largest_entry_is_kept_whole(memory):
    names, content, tags = ("x" * 64, "k" * 200, "s" * 200), "é" * 100_000, ["t" * 100] * 50
    agent, key, session = names
    assert memory.write(agent, key, content, session, tags)["content"] == content
    assert memory.read(agent, key, session)["tags"] == tags


# Secrets


def test_a_secret_is_kept_nowhere_and_each_use_of_it_finds_the_same_entry(path):
    keyring = Keyring()
    keyring.hide(SECRET)
    memory = WorkspaceMemory("ws_1", keyring.clean)
    written = memory.write("a", f"k {SECRET}", f"it is {SECRET}", SECRET, [SECRET])
    assert memory.read("a", f"k {SECRET}", SECRET) == written and written["content"] == "it is ***"
    assert memory.search("a", SECRET, SECRET) == [] == memory.search("a", "horse", SECRET)
    assert memory.recall("a", SECRET, "it is", 100)[0]["key"] == "k ***"
    if is_postgres():
        kept = [repr(execute("SELECT * FROM agent_memories").fetchall()).encode()]
    else:
        kept = [file.read_bytes() for file in path.parent.iterdir()]
    assert kept and not any(SECRET.encode() in content for content in kept)
    assert memory.delete("a", f"k {SECRET}", SECRET)


# Expiry


def test_an_expired_entry_is_never_found(memory, clock):
    memory.write("a", "k", "Rome", expires_in=60)
    scope = MemoryScope("ws_1", "a", None, NOW + 60_000)
    clock[0] += 59_999
    assert memory.read("a", "k") and memory.search("a", "Rome") and memory.recall("a", "", "Rome", 100)
    clock[0] += 1
    assert memory.read("a", "k") is None and not memory.delete("a", "k")
    assert memory.search("a", "Rome") == memory.search("a", "") == memory.recall("a", "", "Rome", 100) == []
    assert agent_memory.listed(scope, "", 10, None) == agent_memory.listed(scope, "Rome", 10, None) == ([], None)
    assert list(agent_memory.forget(scope)) == [] and row_count() == 1


def test_an_entry_that_expired_a_moment_ago_has_no_id_any_more():
    row = agent_memory.put(MemoryName("ws_1", "a", "", "k"), content="x", tags="[]", expires_at=now_ms() - 1)
    other = agent_memory.put(MemoryName("ws_1", "a", "", "l"), content="x", tags="[]", expires_at=now_ms() + 60_000)
    assert agent_memory.find(row.id) is None and agent_memory.find(other.id).key == "l"


def test_a_write_over_an_expired_entry_makes_a_new_one(memory, clock):
    old = memory.write("a", "k", "Rome", tags=["t"], expires_in=60)
    clock[0] += 60_000
    new = memory.write("a", "k", "Oslo")
    assert new["id"] != old["id"] and new["created_at"] == iso(clock[0]) and row_count() == 1
    check_index()


def test_expired_entries_are_deleted_and_no_others(memory, clock):
    for number in range(5):
        memory.write("a", f"k{number}", "x", expires_in=60 if number % 2 else None)
    memory.write("b", "k", "x", expires_in=61)
    assert retention.remove_expired_memories(NOW + 60_000, lambda: True)
    assert sorted(row.key for row in AgentMemory.select()) == ["k", "k0", "k2", "k4"]
    check_index()


def test_many_are_deleted_in_small_transactions_with_pauses(tmp_path):
    with write():
        for number in range(25):
            agent_memory.put(
                MemoryName("ws_1", "a", "", f"k{number}"), content="x", tags="[]", expires_at=NOW, now=NOW - 1
            )
    left = []
    seconds = itertools.count()  # so that every step has taken too long when it looks at the clock

    def pause(seconds):
        left.append(row_count())
        return False

    config = Config(data_dir=tmp_path, retention_days=0)
    part = Retention(config, Payloads(tmp_path / "values", 1_000), lambda: NOW, lambda: next(seconds), pause)
    assert part.work() and row_count() == 0
    assert sorted(set(left), reverse=True) == [25, 15, 5, 0]


def test_a_clock_that_is_set_far_ahead_makes_nobody_forget(memory, clock, tmp_path):
    memory.write("a", "k", "x", expires_in=86_400)
    part = Retention(
        Config(data_dir=tmp_path, retention_days=0), Payloads(tmp_path / "values", 1_000), lambda: clock[0]
    )
    clock[0] += 3 * 86_400_000
    assert part.work() and row_count() == 1
    clock[0] = NOW
    assert memory.read("a", "k")


# The bound


def test_over_the_limit_the_entry_with_the_oldest_update_is_deleted(memory, clock):
    for number in range(5):
        clock[0] += 1
        memory.write("a", f"k{number}", "x")
    clock[0] += 1
    memory.write("a", "k0", "again")
    memory.write("b", "other agent", "x")
    WorkspaceMemory("ws_2", most=5).write("a", "other workspace", "x")
    clock[0] += 1
    memory.write("a", "new", "x", "some session")
    assert sorted(keys(memory.search("a", ""))) == ["k0", "k2", "k3", "k4", "new"]
    assert row_count() == 7
    check_index()


def test_expired_entries_are_deleted_first(memory, clock):
    memory.write("a", "oldest", "x")
    clock[0] += 1
    memory.write("a", "short", "x", expires_in=1)
    for number in range(3):
        clock[0] += 1_000
        memory.write("a", f"k{number}", "x")
    memory.write("a", "new", "x")
    assert sorted(keys(memory.search("a", ""))) == ["k0", "k1", "k2", "new", "oldest"] and row_count() == 5


def test_a_written_entry_stays_if_the_clock_was_set_back(memory, clock):
    for number in range(5):
        memory.write("a", f"k{number}", "x")
    clock[0] -= 86_400_000
    memory.write("a", "new", "x")
    assert memory.read("a", "new") and len(memory.search("a", "")) == 5


def test_a_bound_that_was_lowered_is_reached_in_steps():
    many, few = WorkspaceMemory("ws_1", most=200), WorkspaceMemory("ws_1", most=10)
    for number in range(130):
        many.write("a", f"k{number}", "x")
    found = []
    for _ in range(4):
        few.write("a", "k129", "x")
        found.append(row_count())
    assert found == [80, 30, 10, 10]


# Any sequence of writes, deletions and waiting, against a dictionary


class Remembering(RuleBasedStateMachine):
    """Every sequence is in a workspace of its own, all in the database of the test."""

    NAMES = {"agent": st.sampled_from("ab"), "session": st.sampled_from(["", "s"]), "key": st.sampled_from("xyz")}
    MOST = 4

    @initialize()
    def begin(self):
        self.now = NOW
        self.workspace = uuid.uuid4().hex
        self.memory = WorkspaceMemory(self.workspace, most=self.MOST, now=lambda: self.now)
        self.known = {}

    @rule(**NAMES, word=st.sampled_from(["rome", "oslo"]), expires_in=st.none() | st.integers(1, 4))
    def write(self, agent, session, key, word, expires_in):
        self.now += 1
        self.memory.write(agent, key, word, session, [word], expires_in)
        self.known.pop((agent, session, key), None)
        end = None if expires_in is None else self.now + expires_in * 1000
        self.known[agent, session, key] = word, end
        self.forget_the_expired()
        mine = [name for name in self.known if name[0] == agent]
        for name in mine[: max(0, len(mine) - self.MOST)]:
            del self.known[name]

    @rule(**NAMES)
    def delete(self, agent, session, key):
        there = self.known.pop((agent, session, key), None) is not None
        assert self.memory.delete(agent, key, session) == there

    @rule(seconds=st.integers(1, 3))
    def wait(self, seconds):
        self.now += seconds * 1000
        self.forget_the_expired()

    @rule()
    def clean_up(self):
        assert retention.remove_expired_memories(self.now, lambda: True)

    def forget_the_expired(self):
        self.known = {name: (word, end) for name, (word, end) in self.known.items() if end is None or end > self.now}

    @invariant()
    def it_knows_what_the_dictionary_knows(self):
        for agent in "ab":
            mine = {name: word for name, (word, _) in self.known.items() if name[0] == agent}
            # Later is nearer to the front, which the order of the dictionary has too.
            latest = [name[2] for name in reversed(mine)]
            assert keys(self.memory.search(agent, "", limit=100)) == latest
            for word in ("rome", "oslo"):
                found = self.memory.search(agent, word, limit=100)
                assert sorted((one["session"], one["key"]) for one in found) == sorted(
                    name[1:] for name, given in mine.items() if given == word
                )
            shared = [name[2] for name in reversed(mine) if name[1] == ""]
            assert sorted(keys(self.memory.recall(agent, "", "oslo", 10_000))) == sorted(shared)
            for name, word in mine.items():
                assert self.memory.read(agent, name[2], name[1])["content"] == word

    def teardown(self):
        check_index()


@pytest.mark.slow
def test_any_sequence_of_calls_has_the_result_of_a_dictionary(path):
    quick = settings(
        max_examples=examples(40), stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(Remembering, settings=quick)


# Forgetting


def test_an_agent_forgets_all_or_one_session(memory):
    for session in ("s", "t", ""):
        memory.write("a", "k", "x", session)
    memory.write("b", "k", "x")
    WorkspaceMemory("ws_2").write("a", "k", "x")
    assert sum(agent_memory.forget(MemoryScope("ws_1", "a", ("",), NOW))) == 1
    assert sum(agent_memory.forget(MemoryScope("ws_1", "a", None, NOW))) == 2
    assert sorted((row.workspace_id, row.agent_id) for row in AgentMemory.select()) == [("ws_1", "b"), ("ws_2", "a")]
    check_index()


def test_an_entry_written_while_an_agent_is_forgotten_stays():
    memory = WorkspaceMemory("ws_1")
    with write():
        for number in range(300):
            memory.write("a", f"k{number}", "some words " * 100)
    steps = agent_memory.forget(MemoryScope("ws_1", "a", None, now_ms()))
    first = next(steps)
    memory.write("a", "new", "x")
    assert first > 0 and first + sum(steps) == 300
    assert keys(memory.search("a", "")) == ["new"]
