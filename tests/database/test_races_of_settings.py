"""Races on PostgreSQL of what is not a run: owners, stored values, memories, credentials, webhooks, flows, polls.

Each is run without its locks, to show that they are needed, and with them.
"""

from functools import partial

import peewee
import pytest
from races import outcomes, value
from world import add_flow, flow

from config import Config
from database import write
from database.queries import credentials, drafts, retention, schedules, users, workflows, workspaces
from database.queries.audit import NewAuditEntry
from database.queries.store import WorkspaceStore
from dispatch.publishing import Publication, publish, publish_scheduled, save_draft
from errors import Conflict, DefinitionError, Unavailable, VaultError
from models import Credential, StoreEntry, User, Workflow
from packs.agents import agent_memory, agent_store
from packs.agents.agent_memory import MemoryName
from packs.importing import presets
from packs.polls import queries as polls
from security.accounts import make_first_owner
from security.credentials import Credentials
from security.key_rotation import check_key, rotate_key
from security.vault import Vault

pytestmark = pytest.mark.slow

HOOK = {"path": "orders", "methods": ["POST"], "credential_types": [], "credential": None}
SECRET = {"name": "key", "type": "api_key", "data": "x"}


def user(name, **values):
    return User.add(email=f"{name}@example.org", name=name, password_hash="x", **values)


# People


def test_an_owner_stays(race):
    ann, bob = user("ann"), user("bob")
    workspace = workspaces.found("W", ann)
    members = [workspaces.get_member(workspace.id, ann.id), workspaces.join(workspace.id, bob, "owner")]
    left = race.run(partial(workspaces.leave, members[0]), partial(workspaces.leave, members[1]))
    owners = value("SELECT COUNT(*) FROM memberships WHERE role = 'owner'")
    assert (left, owners) == (([True, False], 1) if race.cured else ([True, True], 0))


def test_an_owner_stays_when_one_leaves_and_one_becomes_a_viewer(race):
    ann, bob = user("ann"), user("bob")
    workspace = workspaces.found("W", ann)
    members = [workspaces.get_member(workspace.id, ann.id), workspaces.join(workspace.id, bob, "owner")]
    race.run(partial(workspaces.leave, members[0]), lambda: workspaces.change_role(members[1], "viewer"))
    assert value("SELECT COUNT(*) FROM memberships WHERE role = 'owner'") == race.cured


def test_an_admin_stays(race):
    ann, bob = user("ann", is_admin=True), user("bob", is_admin=True)
    changed = race.run(lambda: users.change_admin(ann, False), lambda: users.change_admin(bob, False))
    admins = value("SELECT COUNT(*) FROM users WHERE is_admin = 1")
    assert (changed, admins) == (([True, False], 1) if race.cured else ([True, True], 0))


# Values


@pytest.mark.parametrize("there", [False, True], ids=["new", "there"])
def test_two_increments_are_both_counted(race, there):
    store = WorkspaceStore("ws_1")
    if there:
        store.set("n", 0)
    totals = race.run(lambda: store.increment("n"), lambda: store.increment("n"))
    assert totals == ([1, 2] if race.cured else [1, 1]) and store.get("n") == totals[1]


def test_an_increment_does_not_undo_a_new_value(race):
    store = WorkspaceStore("ws_1")
    store.set("n", 5)
    race.run(lambda: store.increment("n"), lambda: store.set("n", 10), before="INSERT INTO store_entries")
    assert store.get("n") == (10 if race.cured else 6)


def test_two_memories_keep_to_the_maximum(race):
    def put(key):
        return agent_memory.put(MemoryName("ws_1", "agent", "", key), "text", "", most=1).key

    assert race.run(lambda: put("a"), lambda: put("b")) == ["a", "b"]
    assert value("SELECT COUNT(*) FROM agent_memories") == (1 if race.cured else 2)


def test_a_memory_is_saved_under_its_name_once(race):
    def put(text):
        return agent_memory.put(MemoryName("ws_1", "agent", "", "a"), text, "").content

    found = outcomes(race.run(lambda: put("x"), lambda: put("y")))
    assert found == ["x", "y" if race.cured else peewee.IntegrityError]
    assert value("SELECT content FROM agent_memories") == ("y" if race.cured else "x")


def test_two_lists_of_presets_keep_to_the_maximum(race, monkeypatch):
    monkeypatch.setattr(presets, "MAX_PRESETS", 1)
    one = {"key": "k", "name": "n", "description": "", "tags": "", "node_json": "{}", "parameters_json": "[]"}

    def replace(source):
        return len(presets.replace_source("ws_1", source, source, [one]))

    found = outcomes(race.run(lambda: replace("a"), lambda: replace("b")))
    assert found == [1, Conflict if race.cured else 1]
    assert value("SELECT COUNT(*) FROM presets") == (1 if race.cured else 2)


def test_two_agents_keep_to_the_maximum(race, monkeypatch):
    monkeypatch.setattr(agent_store, "MAX_AGENTS", 1)
    found = outcomes(race.run(*(lambda id_=id_: agent_store.keep("ws_1", id_, "A", "{}").id for id_ in ("a", "b"))))
    assert found == ["a", Conflict if race.cured else "b"]


def test_presets_are_removed_with_those_that_replace_them(race):
    one = {"key": "k", "name": "n", "description": "", "tags": "", "node_json": "{}", "parameters_json": "[]"}
    presets.replace_source("ws_1", "a", "a", [one])
    found = race.run(
        lambda: len(presets.replace_source("ws_1", "a", "a", [one])), lambda: presets.remove_source("ws_1", "a")
    )
    assert found == [1, race.cured] and value("SELECT COUNT(*) FROM presets") == (not race.cured)


# What expires


NAME = MemoryName("ws_1", "agent", "", "a")


def test_a_memory_that_is_renewed_does_not_expire(race):
    agent_memory.put(NAME, "old", "", expires_at=5, now=1)
    race.run(
        lambda: agent_memory.put(NAME, "new", "", now=2), lambda: retention.remove_expired_memories(9, lambda: True)
    )
    assert value("SELECT content FROM agent_memories") == ("new" if race.cured else None)


def test_a_memory_is_saved_while_it_expires(race):
    agent_memory.put(NAME, "old", "", expires_at=5, now=1)
    race.run(
        lambda: retention.remove_expired_memories(9, lambda: True), lambda: agent_memory.put(NAME, "new", "", now=2)
    )
    assert value("SELECT content FROM agent_memories") == ("new" if race.cured else None)


def test_a_stored_value_that_is_renewed_does_not_expire(race):
    store = WorkspaceStore("ws_1")
    store.set("n", 1, ttl=-1)
    race.run(lambda: store.set("n", 2), StoreEntry.prune)
    assert store.get("n") == (2 if race.cured else None)


# Flows


def test_of_two_editors_of_a_flow_one_loses(race):
    id_ = add_flow(flow("a")).id
    one, other = Workflow.find(id_), Workflow.find(id_)
    changed = race.run(
        lambda: workflows.change(one, None, name="One"), lambda: workflows.change(other, None, status="draft")
    )
    present = Workflow.find(id_)
    assert changed == [True, not race.cured]
    assert (present.name, present.status) == (("One", "active") if race.cured else ("Flow", "draft"))


def test_of_two_new_versions_one_is_refused_without_an_error(race):
    id_ = add_flow(flow("a")).id
    one, other = Workflow.find(id_), Workflow.find(id_)
    changed = race.run(
        *(lambda each=each: workflows.change(each, None, triggers=[], definition_json="{}") for each in (one, other))
    )
    assert outcomes(changed) == [True, False if race.cured else peewee.IntegrityError]


def test_of_two_saves_of_a_draft_one_is_refused(race):
    made = add_flow(flow("a"))
    saves = (lambda text=text: save_draft(made, text, 1, 0, "usr_a").revision for text in ('{"a":1}', '{"a":2}'))
    found = outcomes(race.run(*saves))
    assert found == [1, Conflict if race.cured else 1]
    assert drafts.of(made.id).definition_json == ('{"a":1}' if race.cured else '{"a":2}')


def test_a_draft_saved_while_it_is_published_is_refused(race):
    made = add_flow(flow("a"))
    save_draft(made, '{"nodes":[]}', 1, 0, "usr_a")
    publication = Publication('{"nodes":[]}', 1, 1, "active", [])
    found = outcomes(
        race.run(
            lambda: publish(NewAuditEntry("flow.published"), Workflow.find(made.id), publication, "usr_a"),
            lambda: save_draft(made, '{"a":2}', 1, 1, "usr_a").revision,
        )
    )
    assert found == [None, Conflict if race.cured else 2]


def test_a_scheduled_publish_makes_one_version(race):
    made, ann = add_flow(flow("a")), user("ann")
    workspaces.join(made.workspace_id, ann, "editor")
    values = {"draft_revision": 1, "base_version": 1, "publish_at": 5, "created_by": ann.id, "name": None, "note": None}
    with write():
        due = drafts.schedule(workflow_id=made.id, definition_json='{"nodes":[{"id":"b","type":"noop"}]}', **values)
    found = outcomes(race.run(lambda: publish_scheduled(due, 100), lambda: publish_scheduled(due, 100)))
    assert found[0] is True and found[1] is not True
    assert value("SELECT COUNT(*) FROM workflow_versions") == 2


def test_a_webhook_of_two_flows_is_refused_with_the_name_of_the_first(race):
    def add(name):
        return add_flow(flow("h"), name=name, triggers=[("h", "webhook", HOOK)]).name

    first, second = race.run(lambda: add("One"), lambda: add("Other"))
    assert first == "One"
    assert "taken by the flow 'One'" in str(second) if race.cured else isinstance(second, peewee.IntegrityError)


def test_a_credential_is_not_deleted_while_a_webhook_begins_to_use_it(race):
    credential = credentials.keep("ws_1", **SECRET)
    config = HOOK | {"credential_types": ["api_key"], "credential": "key"}
    found = outcomes(
        race.run(
            partial(credentials.remove, credential),
            lambda: add_flow(flow("h"), triggers=[("h", "webhook", config)]).name,
        )
    )
    assert found == [True, DefinitionError if race.cured else "Flow"]


def test_a_webhook_that_begins_to_use_a_credential_keeps_it(race):
    credential = credentials.keep("ws_1", **SECRET)
    config = HOOK | {"credential_types": ["api_key"], "credential": "key"}
    found = outcomes(
        race.run(
            lambda: add_flow(flow("h"), triggers=[("h", "webhook", config)]).name,
            partial(credentials.remove, credential),
        )
    )
    assert found == ["Flow", Conflict if race.cured else True]


def test_two_credentials_have_two_names(race):
    """The unique key keeps it; the lock makes it the usual error."""
    found = outcomes(race.run(*(lambda: credentials.keep("ws_1", **SECRET).name for _ in range(2))))
    assert found == ["key", Conflict if race.cured else peewee.IntegrityError]


# Polls and schedules


def test_a_poll_that_records_its_result_is_not_taken_over(race):
    add_flow(flow("p"), triggers=[("p", "poll", {"type": "poll", "every": 60.0, "source": "s"})])
    (claim,) = polls.claim("one", 10**15, 1)
    taken = []
    held, _ = race.run(lambda: polls.holds(claim), lambda: taken.extend(polls.claim("other", 2 * 10**15, 1)))
    assert held and race.waited == race.cured
    assert len(taken) == 1 and not polls.holds(claim)


POLL = {"type": "poll", "every": 60.0, "source": "s"}
LATER = 10**15


@pytest.fixture
def idle(race):
    """A flow whose poll has been idle for long."""
    made = add_flow(flow("p"), triggers=[("p", "poll", POLL)])
    with write():
        polls.sync(made, [], now=1)
    return made


def polled(made):
    with write():
        polls.sync(made, [("p", POLL)], now=2)


def test_a_poll_that_begins_again_is_not_deleted(race, idle):
    def prune():
        if race.cured:
            return polls.prune(LATER)
        with write():  # by what was read before
            return polls.drop(idle.id, "p")

    race.run(lambda: polled(idle), prune)
    assert value("SELECT COUNT(*) FROM polls WHERE next_at = 2") == race.cured


def test_a_poll_begins_while_its_old_state_is_deleted(race, idle):
    race.run(lambda: polls.prune(LATER), lambda: polled(idle))
    assert value("SELECT COUNT(*) FROM polls") == race.cured


def test_an_instant_fires_once(race):
    """The unique key is the cure."""
    if not race.cured:
        race.drop_key("schedule_fires")
    config = {"cron": "* * * * *", "every": None, "timezone": "UTC", "catch_up": "one"}
    add_flow(flow("s"), triggers=[("s", "schedule", config)])
    (due,) = schedules.due(10**15, 1)

    def fire():
        with write():
            return schedules.take_instants(due, 5, 6, None)

    assert race.run(fire, fire) == [True, not race.cured]


def test_a_schedule_moves_once(race):
    """The row itself is the lock: the second one waits for it, and then sees another time."""
    config = {"cron": "* * * * *", "every": None, "timezone": "UTC", "catch_up": "one"}
    add_flow(flow("s"), triggers=[("s", "schedule", config)])
    (due,) = schedules.due(10**15, 1)

    def move():
        with write():
            return schedules.move(due, due.next_at + 60_000)

    assert race.run(move, move) == [True, False] and race.waited


# The server


@pytest.fixture
def config(tmp_path):
    return Config(data_dir=tmp_path, secret_key="the first key of 20")


def start(config):
    """Do what each process does at its start."""
    with write():
        vault = check_key(config)
        return vault, make_first_owner(config)


def test_processes_that_start_together_make_one_owner(race, config):
    first, second = race.run(lambda: start(config)[1], lambda: start(config)[1])
    assert first is not None
    assert second is None if race.cured else isinstance(second, peewee.IntegrityError)


@pytest.mark.parametrize("is_rotated_first", [False, True], ids=["kept first", "rotated first"])
def test_a_credential_is_not_kept_under_an_old_key(race, config, is_rotated_first):
    vault, _ = start(config)
    entry = NewAuditEntry("credential.created", "ws_1")
    values = {"name": "key", "type": "api_key", "hosts": None}
    both = [
        lambda: Credentials(vault).keep(entry, {"key": "x"}, **values).name,
        lambda: rotate_key(config, b"the second key of 21").unreadable,
    ]
    found = outcomes(race.run(*(both[::-1] if is_rotated_first else both)))
    assert found == ([[], Unavailable if race.cured else "key"] if is_rotated_first else ["key", []])
    new = Vault(b"the second key of 21", "the new key")
    kept = [can_decrypt(new, row.data) for row in Credential.select()]
    assert kept == ([race.cured] if not is_rotated_first else [] if race.cured else [False])


def can_decrypt(vault, text):
    try:
        return bool(vault.decrypt(text.encode()))
    except VaultError:
        return False
