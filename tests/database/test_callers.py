"""Cached users of requests and cached flows to start: never used when they are outdated."""

import http.client
import json
import logging

import pytest
from children import end_child
from engines import wait_for_changes
from servers import EMAIL, Server, until
from world import add_flow, flow, start_python

import database
from database import execute, write, write_runs
from database.base import now_ms
from database.queries import sessions as callers
from database.queries import users, workspaces
from database.queries.sessions import Caller, forget_session
from database.queries.workflows import Startable
from models import ApiToken, Session, User, Workspace

OTHER = """
import sys, database
from chosen_engine import connect
from constants import ROLES
from database.queries import sessions, users, workflows, workspaces
from models import ApiToken, Session, Workflow, Workspace
connect(sys.argv[1])
user, workspace = users.by_email("ada@example.org"), Workspace.get(name="Second")
kept = {"token_hash": sys.argv[2], "workspace_id": workspace.id, "user_id": user.id}
def member(): return workspaces.get_member(workspace.id, user.id)
def token(): return ApiToken.one("token_hash = ?", sys.argv[2])
def flow(): return Workflow.get()
DO = {
    **{role: lambda role=role: workspaces.change_role(member(), role) for role in ROLES},
    "issue": lambda: ApiToken.add(name="t", role="editor", expires_at=None, **kept),
    "withdraw": lambda: token().remove(),
    "leave": lambda: workspaces.leave(member()),
    "join": lambda: workspaces.join(workspace.id, user, "editor"),
    "log in": lambda: Session.add(expires_at=2**50, idle_at=2**50, **kept),
    "log out": lambda: sessions.end_all(user),
    "promote": lambda: users.change(user, is_admin=True),
    "demote": lambda: users.change(user, is_admin=False),
    "active": lambda: workflows.change(flow(), None, triggers=[], status="active"),
    "archived": lambda: workflows.change(flow(), None, triggers=[], status="archived"),
}
for line in sys.stdin:
    DO[line.strip()]()
    print("done", flush=True)
"""


@pytest.fixture
def ada(path):
    """A user with two workspaces, an owner in the first and an editor in the second."""
    user = User.add(email="ada@example.org", name="Ada", password_hash="the hash")
    workspaces.found("First", user)
    second = workspaces.found("Second", User.add(email="other@example.org", name="O", password_hash="-"))
    with write():
        workspaces.join(second.id, user, "editor")
    user.second = second
    return user


@pytest.fixture
def token(ada):
    """A token of hers for the second workspace."""
    return callers.issue_token(user_id=ada.id, workspace_id=ada.second.id, name="t", role="owner", expires_at=None)[1]


def session_of(user, ends_in=60_000, idle_in=60_000):
    """The text of a new session of the user."""
    row, text = callers.start(user, user.second.id, days=1)
    with write():
        Session.update(expires_at=now_ms() + ends_in, idle_at=now_ms() + idle_in).where(Session.id == row.id).execute()
    return text


@pytest.fixture
def statements(caplog):
    """`statements(work)` returns the number of SQL statements that `work` executes."""

    def count(work):
        wait_for_changes()
        caplog.clear()
        with caplog.at_level(logging.DEBUG, "peewee"):
            work()
        return sum(record.name == "peewee" for record in caplog.records)

    return count


@pytest.fixture
def other(path, ada, token):
    """`other(word)` has another process execute the change of this name, and returns when it is done."""
    process = start_python(OTHER, path, callers.hash_token(token))

    def tell(word):
        process.stdin.write(f"{word}\n")
        process.stdin.flush()
        assert process.stdout.readline() == "done\n"

    yield tell
    end_child(process)


# One process


def test_a_caller_has_the_user_the_roles_and_the_session_or_token(ada, token):
    by_token, by_session = Caller.of_token(token), Caller.of_session(session_of(ada))
    assert by_token.user.email == by_session.user.email == "ada@example.org"
    assert dict(by_token.roles) == {ada.second.id: "editor"}
    assert list(by_session.roles.values()) == ["owner", "editor"]
    assert (by_token.session, by_session.token) == (None, None)
    assert by_token.token.name == "t" and by_session.session.user_id == ada.id
    assert by_token.workspace_id == by_session.workspace_id == ada.second.id


def test_a_second_lookup_executes_no_statement(ada, token, statements):
    session = session_of(ada)
    for look in (lambda: Caller.of_token(token), lambda: Caller.of_session(session)):
        assert statements(look) == 3
        assert statements(lambda look=look: look().user.name) == 0


def test_a_flow_is_remembered_and_its_definition_read_when_asked_for(path, statements):
    made = add_flow(flow("a"))
    assert statements(lambda: Startable.find(made.id)) == 1
    assert statements(lambda: Startable.find(made.id)) == 0
    found = Startable.find(made.id)
    assert (found.name, found.status, found.version) == (made.name, made.status, made.version)
    assert statements(lambda: found.definition_json) == 1 and found.definition_json == made.definition_json


def test_changes_of_a_request_to_its_rows_are_invisible_to_the_next(ada, token):
    first = Caller.of_token(token)
    first.user.name, first.token.role = "Eve", "owner"
    with pytest.raises(TypeError):
        first.roles[ada.second.id] = "owner"
    second = Caller.of_token(token)
    assert (second.user.name, second.token.role) == ("Ada", "owner") and second.user is not first.user
    second.token.role = "viewer"
    assert Caller.of_token(token).token.role == "owner"


def test_no_password_hash_and_no_token_is_cached(ada, token):
    session = session_of(ada)
    assert Caller.of_token(token).user.password_hash is None is Caller.of_session(session).user.password_hash
    kept = repr([(key, vars(found)) for key, (_, found) in callers._cache._found.items()])
    assert "ada@example.org" in kept
    assert not any(secret in kept for secret in ("the hash", token, session))


def test_wrong_tokens_are_not_cached(ada, token):
    before = len(callers._cache._found)
    assert all(Caller.of_token(f"hr_{number}") is None for number in range(50))
    assert all(Caller.of_session(f"{number}") is None is Startable.find(f"wf_{number}") for number in range(50))
    assert len(callers._cache._found) == before
    assert Caller.of_session(token) is None is Caller.of_token(session_of(ada))


def test_a_token_or_session_expires_without_a_commit(ada, token):
    sessions = [session_of(ada, ends_in=500), session_of(ada, idle_in=500)]
    with write():
        ApiToken.update(expires_at=now_ms() + 500).execute()
    wait_for_changes()
    before = database.settings_commits()
    assert Caller.of_token(token) and all(map(Caller.of_session, sessions))
    until(lambda: not Caller.of_token(token) and not any(map(Caller.of_session, sessions)), "all of them end")
    assert database.settings_commits() == before


def test_an_extended_idle_timeout_is_valid_at_once(ada):
    session = session_of(ada, idle_in=300)
    row = Caller.of_session(session).session
    with write_runs():
        execute("UPDATE sessions SET idle_at = ? WHERE id = ?", (row.expires_at, row.id))
    until(lambda: now_ms() > row.idle_at, "the first idle end is over")
    assert Caller.of_session(session).session.idle_at == row.expires_at


def test_a_used_session_is_looked_up_again(ada, statements):
    session = session_of(ada)
    row = Caller.of_session(session).session
    forget_session(row)
    assert statements(lambda: Caller.of_session(session)) == 3


# Two processes


@pytest.mark.slow
@pytest.mark.sqlite_only("on PostgreSQL, other processes see a change within POLL_SECONDS")
def test_a_role_lowered_by_another_process_is_valid_at_once(other, ada, token):
    for _ in range(1_000):
        for role in ("viewer", "editor"):
            other(role)
            assert dict(Caller.of_token(token).roles) == {ada.second.id: role} == dict(Caller.of_token(token).roles)


@pytest.mark.slow
@pytest.mark.sqlite_only("on PostgreSQL, other processes see a change within POLL_SECONDS")
def test_a_session_or_token_ended_by_another_process_is_refused_at_once(other, ada, token):
    for _ in range(300):
        other("withdraw")
        assert Caller.of_token(token) is None
        other("issue")
        assert Caller.of_token(token) is not None
        other("log in")
        assert Caller.of_session(token) is not None
        other("log out")
        assert Caller.of_session(token) is None
        other("promote")
        assert Caller.of_token(token).user.is_admin
        other("demote")
        assert not Caller.of_token(token).user.is_admin
    other("leave")
    assert Caller.of_token(token) is None
    other("join")
    other("issue")
    assert Caller.of_token(token)


@pytest.mark.slow
@pytest.mark.sqlite_only("on PostgreSQL, other processes see a change within POLL_SECONDS")
def test_a_flow_archived_by_another_process_is_seen_at_once(path, ada, token, other):
    made = add_flow(flow("a"))
    for _ in range(1_000):
        for status in ("archived", "active"):
            other(status)
            assert Startable.find(made.id).status == status == Startable.find(made.id).status


@pytest.mark.slow
@pytest.mark.sqlite_only("on PostgreSQL, other processes see a change within POLL_SECONDS")
def test_no_worker_accepts_a_token_ended_by_another_worker(tmp_path):
    server, connections = Server(tmp_path / "data"), []
    try:
        server.start()
        database.connect(server.database, "normal")
        user, place = users.by_email(EMAIL), Workspace.get()
        made = add_flow(flow("a"), place.id)
        _, text = callers.issue_token(user_id=user.id, workspace_id=place.id, name="t", role="editor", expires_at=None)
        connections += [http.client.HTTPConnection("127.0.0.1", server.port, timeout=60) for _ in range(6)]
        for _ in range(200):
            for status, change in {201: {"role": "editor"}, 403: {"role": "viewer"}, 401: {"expires_at": 1}}.items():
                with write():
                    ApiToken.update(**{"expires_at": None, **change}).execute()
                assert {created(one, text, made.id) for one in connections} == {status}
    finally:
        for one in connections:
            one.close()
        database.disconnect()
        server.close()


def created(connection, token, flow_id):
    """The status of an attempt to record a run by this token."""
    body = json.dumps({"workflow_id": flow_id, "status": "success", "triggered_by": "manual"})
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    connection.request("POST", "/api/runs", body, headers)
    answer = connection.getresponse()
    answer.read()
    return answer.status
