"""Races on PostgreSQL of people: accounts, passwords, logins, members, invitations, API tokens.

Each is run without its locks, to show that they are needed, and with them.
"""

from functools import partial

import peewee
import pytest
from races import outcomes, value
from world import add_flow, flow

from config import Config
from database.queries import saved_filters, sessions, workflows, workspaces
from database.queries.audit import NewAuditEntry
from database.queries.workflows import LabelChange
from errors import BadInput, Conflict, NotFound, TooMany, Unauthenticated
from models import User
from security import accounts, login_throttle

pytestmark = pytest.mark.slow

OLD, NEW, OTHER = "correct horse 1", "battery staple 2", "another pony 3"
BOB = "bob@example.org"


@pytest.fixture
def ann(race):
    """The owner of the workspace W, whose password is OLD."""
    user = accounts.add_user("ann@example.org", accounts.hash_password(OLD), set_up=True)
    user.workspace = workspaces.found("W", user)
    return user


@pytest.fixture
def bob(race, ann):
    """A user without a workspace."""
    return accounts.add_user(BOB, "x")


def entry(action, user):
    return NewAuditEntry(action, user.workspace.id)


def log_in(password, days=1):
    return accounts.log_in("ann@example.org", password, "192.0.2.1", False, days, days)


def change_profile(user, **given):
    session, _ = sessions.start(user, "ws_1", 1)
    return lambda: accounts.change_profile(user, given, session, lambda action: NewAuditEntry(action).about(user))


def member(user, workspace):
    return workspaces.get_member(workspace.id, user.id)


# Accounts


def test_two_accounts_have_two_addresses(race):
    """The unique key keeps it; the lock makes it the usual error."""
    found = outcomes(race.run(*(lambda: accounts.add_user(BOB, "x").email for _ in range(2))))
    assert found == [BOB, Conflict if race.cured else peewee.IntegrityError]


def test_two_users_do_not_change_to_one_address(race, ann, bob):
    changes = [change_profile(user, email="new@example.org") for user in (ann, bob)]
    assert outcomes(race.run(*changes)) == [None, Conflict if race.cured else peewee.IntegrityError]


def test_a_user_creates_no_more_workspaces_than_allowed(race, ann):
    config = Config(max_workspaces=2, workspaces="everybody")

    def create(name):
        return accounts.create_workspace(entry("workspace.created", ann), name, ann, config).name

    found = outcomes(race.run(lambda: create("A"), lambda: create("B")))
    assert found == ["A", Conflict if race.cured else "B"]


def test_the_old_password_opens_no_session_while_it_is_reset(race, ann):
    found = outcomes(race.run(lambda: accounts.set_password(ann, NEW), lambda: log_in(OLD)[0].email))
    assert found == [None, Unauthenticated if race.cured else "ann@example.org"]
    assert value("SELECT COUNT(*) FROM sessions") == (0 if race.cured else 1)


def test_the_old_password_changes_nothing_while_it_is_reset(race, ann):
    """The present password was checked before."""
    change = change_profile(User.find(ann.id), password=OTHER)
    found = outcomes(race.run(lambda: accounts.set_password(ann, NEW), change))
    assert found == [None, BadInput if race.cured else None]
    assert accounts.check_password(User.find(ann.id), NEW if race.cured else OTHER)


# Logins


def test_two_attempts_are_no_more_than_the_limit(race, ann, monkeypatch):
    monkeypatch.setattr(login_throttle, "MAX_FAILURES", {"pair": 1, "address": 50})

    def attempt():
        return login_throttle.count_attempt("ann@example.org", "192.0.2.1", ann).account

    assert outcomes(race.run(attempt, attempt)) == ["ann@example.org", TooMany if race.cured else "ann@example.org"]


def test_a_reset_password_forgets_attempts_that_are_being_counted(race, ann):
    race.run(
        lambda: login_throttle.count_attempt("ann@example.org", "192.0.2.1", ann),
        lambda: login_throttle.forget("ann@example.org"),
    )
    assert value("SELECT COUNT(*) FROM login_failures WHERE key LIKE '%ann%'") == (0 if race.cured else 2)


# Members


def test_a_member_joins_once(race, ann, bob):
    def add():
        return accounts.add_member(entry("member.added", ann), BOB, "viewer", None).role

    assert outcomes(race.run(add, add)) == ["viewer", Conflict if race.cured else peewee.IntegrityError]


def test_the_last_owner_is_known_by_the_present_role(race, ann, bob):
    """Bob becomes an owner, and Ann leaves, after his role was read for another change."""
    workspaces.join(ann.workspace.id, bob, "viewer")
    same = member(bob, ann.workspace)

    def hand_over():
        return workspaces.change_role(member(bob, ann.workspace), "owner") and workspaces.leave(
            member(ann, ann.workspace)
        )

    assert race.run(hand_over, lambda: workspaces.change_role(same, "editor")) == [True, not race.cured]
    assert value("SELECT COUNT(*) FROM memberships WHERE role = 'owner'") == race.cured


def test_the_role_of_a_removed_member_is_not_changed(race, ann, bob):
    workspaces.join(ann.workspace.id, bob, "viewer")
    rows = [member(bob, ann.workspace) for _ in range(2)]
    found = outcomes(race.run(partial(workspaces.leave, rows[0]), lambda: workspaces.change_role(rows[1], "editor")))
    assert found == [True, NotFound if race.cured else True]


def test_a_removed_member_gets_no_token(race, ann, bob):
    workspaces.join(ann.workspace.id, bob, "viewer")
    token = {"name": "t", "role": "viewer", "user_id": bob.id, "workspace_id": ann.workspace.id}
    found = outcomes(
        race.run(partial(workspaces.leave, member(bob, ann.workspace)), lambda: sessions.issue_token(**token)[0].name)
    )
    assert found == [True, NotFound if race.cured else "t"]


# Invitations


def invite(user, email):
    return lambda: accounts.invite(entry("invitation.created", user), email, "viewer", user)[0].email


def test_an_invitation_replaces_another_one_of_the_same_moment(race, ann):
    """The unique key keeps it; the lock makes the second one succeed."""
    found = outcomes(race.run(invite(ann, BOB), invite(ann, BOB)))
    assert found == [BOB, BOB if race.cured else peewee.IntegrityError]


def test_two_invitations_keep_to_the_maximum(race, ann, monkeypatch):
    monkeypatch.setattr(accounts, "MAX_PENDING", 1)
    found = outcomes(race.run(invite(ann, BOB), invite(ann, "eve@example.org")))
    assert found == [BOB, Conflict if race.cured else "eve@example.org"]


def test_nobody_is_invited_who_joins(race, ann, bob):
    found = outcomes(race.run(lambda: workspaces.join(ann.workspace.id, bob, "viewer").role, invite(ann, BOB)))
    assert found == ["viewer", Conflict if race.cured else BOB]


def test_an_invitation_is_used_once(race, ann):
    """The row itself is the lock: the second one waits for it, and finds none."""
    row, _ = accounts.invite(entry("invitation.created", ann), BOB, "viewer", ann)
    assert (
        race.run(partial(workspaces.use_invitation, row), partial(workspaces.use_invitation, row)) == [True, False]
        and race.waited
    )


# Races on PostgreSQL of folders, tags and saved filters. Each is run without its locks, and with them


FILTER = {"workspace_id": "ws_1", "user_id": "usr_a", "page": "runs", "query": "{}"}


def label(made, **values):
    """Return the change of a flow's labels, as a function."""
    return lambda: LabelChange(**values).record("ws_1", [made], lambda: NewAuditEntry("flow.updated", "ws_1"))


def test_a_flow_labelled_while_it_is_deleted_leaves_no_labels(race):
    made = add_flow(flow("a"))
    found = outcomes(race.run(partial(workflows.remove, made), label(made, moves=True, folder="A", added=("x",))))
    assert found == [True, NotFound if race.cured else 1]
    left = [
        value(f"SELECT COUNT(*) FROM workflow_{name} WHERE workflow_id = ?", made.id) for name in ("folders", "tags")
    ]
    assert left == ([0, 0] if race.cured else [1, 1])


def test_a_flow_marked_while_it_is_deleted_leaves_no_mark(race):
    made = add_flow(flow("a"))
    race.run(partial(workflows.remove, made), lambda: workflows.set_favourite("usr_a", made.id, True))
    assert value("SELECT COUNT(*) FROM favourites WHERE workflow_id = ?", made.id) == (0 if race.cured else 1)


def test_two_people_together_do_not_exceed_the_number_of_folders(race, monkeypatch):
    monkeypatch.setattr(workflows, "MAX_FOLDERS", 1)
    one, other = add_flow(flow("a"), "ws_2"), add_flow(flow("b"), "ws_2")

    def move(made, folder):
        return lambda: LabelChange(True, folder).record("ws_2", [made], lambda: NewAuditEntry("flow.updated"))

    assert outcomes(race.run(move(one, "A"), move(other, "B"))) == [1, Conflict if race.cured else 1]
    assert value("SELECT COUNT(*) FROM workflow_folders WHERE workspace_id = 'ws_2'") == (1 if race.cured else 2)


def test_of_two_saved_filters_of_one_name_the_second_is_refused_with_a_reason(race):
    name = f"Failed {race.cured}"
    found = race.run(*[lambda: saved_filters.save_new(name=name, **FILTER).name] * 2)
    assert outcomes(found) == [name, Conflict if race.cured else peewee.IntegrityError]
