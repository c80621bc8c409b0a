"""Many people change everything at once on PostgreSQL: nobody waits in a circle, and each error is one of ours.

Each transaction takes its locks of names in the order of KINDS; that is what keeps it so.
"""

import threading
from contextlib import suppress
from functools import partial
from random import Random

import pytest
from seeding import accept, do
from world import add_flow, at_once, flow

import database
from database import fetch_value, write
from database.queries import claims, concurrent_runs, credentials, locks, retention, sessions, workflows, workspaces
from database.queries import runs as run_queries
from database.queries import users as user_queries
from database.queries.audit import NewAuditEntry
from database.queries.metrics import settle_days
from database.queries.store import WorkspaceStore
from errors import HeadraceError
from models import Run, Session, User, Workflow
from packs.agents import agent_memory, agent_store
from packs.agents.agent_memory import MemoryName, MemoryScope
from packs.importing import presets
from packs.polls import queries as polls
from packs.postgres import engine as postgres
from security import accounts, login_throttle

pytestmark = pytest.mark.slow

PEOPLE, ACTIONS, NAMES = 6, 50, ("a", "b", "c")
PRESET = {"key": "k", "name": "n", "description": "", "tags": "", "node_json": "{}", "parameters_json": "[]"}
HOOK = {"methods": ["POST"], "credential_types": ["api_key"]}
POLL = {"type": "poll", "every": 60.0, "source": "s"}


class Order:
    """Notes the kinds of names that each transaction locks. `wrong` are those out of the order."""

    def __init__(self, monkeypatch):
        self.wrong = []
        self._own = threading.local()
        begin, make = postgres._begin, locks.make_names_lock

        def begun(connection):
            self._own.kinds = []
            begin(connection)

        def made(kind, *given, **options):
            kinds = self._own.kinds
            if kind not in kinds:
                kinds.append(kind)
            if [locks.KINDS.index(kind) for kind in kinds] != sorted(locks.KINDS.index(kind) for kind in kinds):
                self.wrong.append(tuple(kinds))
            return make(kind, *given, **options)

        monkeypatch.setattr(postgres, "_begin", begun)
        monkeypatch.setattr(locks, "make_names_lock", made)


class Person:
    """Somebody who does things at random, in a workspace with others."""

    def __init__(self, number, workspace, users):
        self.random, self.workspace, self.users = Random(number), workspace, users

    def name(self):
        return self.random.choice(NAMES)

    def user(self):
        return User.find(self.random.choice(self.users).id)

    def entry(self, action):
        return NewAuditEntry(action, self.workspace.id)

    def act(self):
        things = [
            self.flow, self.flow, self.credential, self.member, self.invite, self.log_in, self.reset, self.profile,
            self.store, self.memory, self.forget, self.preset, self.agent, self.poll, self.runs, self.clean,
        ]  # fmt: skip
        with suppress(HeadraceError):
            self.random.choice(things)()

    def flow(self):
        hook = ("h", "webhook", {**HOOK, "path": self.name(), "credential": self.name()})
        triggers = self.random.sample([hook, ("p", "poll", POLL)], self.random.randint(0, 2))
        found = list(Workflow.select().where(Workflow.workspace_id == self.workspace.id))
        if len(found) < 4:
            with self.entry("flow.created").written():
                add_flow(flow("h"), self.workspace.id, triggers=triggers)
            return
        with self.entry("flow.updated").written():
            row = self.random.choice(found)
            status = self.random.choice(["active", "draft", "gone"])
            workflows.remove(row) if status == "gone" else workflows.change(row, None, triggers=triggers, status=status)

    def credential(self):
        with self.entry("credential.updated").written():
            locks.lock_names("key", ("",), shared=True)
            row = credentials.named(self.workspace.id, name := self.name())
            if row is None:
                credentials.keep(self.workspace.id, name=name, type="api_key", data="x")
            else:
                self.random.choice(
                    [partial(credentials.remove, row), lambda: credentials.change(row, name=self.name(), data="y")]
                )()

    def member(self):
        user = self.user()
        row = workspaces.get_member(self.workspace.id, user.id)
        if row is None:
            accounts.add_member(self.entry("member.added"), user.email, "owner", None)
        else:
            with self.entry("member.changed").written():
                self.random.choice(
                    [
                        partial(workspaces.leave, row),
                        lambda: workspaces.change_role(row, self.random.choice(["owner", "viewer"])),
                    ]
                )()

    def invite(self):
        user = self.user()
        row, _ = accounts.invite(self.entry("invitation.created"), user.email, "editor", self.users[0])
        session, _ = sessions.start(user, self.workspace.id, 1)
        accounts.accept_invitation(row, user, session, self.entry)

    def log_in(self):
        user = self.user()
        made = login_throttle.count_attempt(user.email, f"192.0.2.{self.random.randint(1, 2)}", user)
        with self.entry("session.opened").written():
            made.mark_success(user)
            if user_queries.keeps_password(user):
                sessions.start(user, self.workspace.id, 1)

    def reset(self):
        user = self.user()
        with self.entry("password.reset").about(user).written():
            accounts._set_hash(user, str(self.random.random()), True)

    def profile(self):
        user = self.user()
        session, _ = sessions.start(user, self.workspace.id, 1)
        email = f"{self.name()}{self.random.randint(1, 2)}@example.org"
        accounts.change_profile(user, {"email": email}, session, self.entry)
        sessions.move(session, self.workspace.id)

    def store(self):
        store = WorkspaceStore(self.workspace.id)
        self.random.choice([store.increment, store.delete, lambda key: store.set(key, 1)])(self.name())

    def memory(self):
        agent_memory.put(MemoryName(self.workspace.id, "agent", "", self.name()), "text", "", expires_at=1, most=2)

    def forget(self):
        list(agent_memory.forget(MemoryScope(self.workspace.id, "agent", None, 0)))

    def preset(self):
        presets.replace_source(self.workspace.id, self.name(), "t", [PRESET])

    def agent(self):
        row = agent_store.named(self.workspace.id, name := self.name())
        agent_store.change(row, "n", "{}") if row else agent_store.keep(self.workspace.id, name, "n", "{}")

    def poll(self):
        for claim in polls.claim(self.name(), 10**15, 2):
            with write():
                if polls.holds(claim):
                    polls.end(claim, 1, 1)

    def runs(self):
        run = accept(add_flow(flow("a"), "ws_runs"))
        do(claims.claim(run.id, "me", 1, run.workflow_id))
        run_queries.cancel(Run.find(run.id), "cancelled")
        retention.remove_runs([run.id], lambda: True)

    def clean(self):
        concurrent_runs.unqueue()
        retention.remove_expired_memories(10**15, lambda: True)
        polls.prune(10**15)
        settle_days(10**15)
        Session.prune()


def test_nobody_waits_in_a_circle_and_each_error_is_one_of_ours(fresh_url, monkeypatch):
    database.connect(fresh_url(), "normal")
    try:
        order = Order(monkeypatch)
        users = [User.add(email=f"{name}0@example.org", name=name, password_hash="x") for name in NAMES]
        workspace = workspaces.found("W", users[0])

        def live(number):
            person = Person(number, workspace, users)
            for _ in range(ACTIONS):
                person.act()

        at_once(PEOPLE, live)
        deadlocks = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        assert fetch_value(deadlocks) == 0 and order.wrong == []
        assert fetch_value("SELECT COUNT(*) FROM memberships WHERE role = 'owner'") >= 1
    finally:
        database.disconnect()
